"""The Python interface, as its users write it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import convc
from convc.api import DEFAULT_PIPELINE
from convc.errors import InvalidModelError, ProofError, UsageError
from convc.graph import Graph
from convc.ir import Op
from convc.judge import Verdict
from convc.rewrite import NoMatch, Replacement, Rewrite, Rule, Stats, rule
from passes import FlushSubnormals, FoldAffine, FuseConvs, Simplify
from tests.conftest import ROOT
from tests.tiny import FLOAT, IMAGE, STRING, kernel, model, node, write

MODELS = ROOT / "models"


def chain() -> bytes:
    """Conv with a batch norm after it, then a padded and an unpadded pair."""
    nodes = [
        node("Conv", "x w1 b1", "a", pads=[1] * 4),
        node("Mul", "a s", "m"),
        node("Conv", "m w2", "c"),
        node("Relu", "c", "y"),
    ]
    weights = {
        "w1": kernel(1, 8, 4, 3, 3), "b1": kernel(2, 8), "s": kernel(3, 1, 8, 1, 1),
        "w2": kernel(4, 3, 8, 1, 1),
    }  # fmt: skip
    return model(nodes, weights)


@dataclass(frozen=True)
class Flip(convc.Pass):
    """Flips every conv's kernel: wrong on purpose."""

    name: ClassVar[str] = "flip"

    def rules(self) -> list[Rule]:
        return [rule(flip, "Conv")]


def flip(graph: Graph, op: Op) -> Rewrite:
    start, weight = op.operands[0], op.operands[1]
    assert start is not None
    assert weight is not None
    if weight.array is None or weight.name.startswith("flipped") or weight.array.shape[-1] == 1:
        raise NoMatch("flipped already")
    made = Replacement(graph)
    turned = made.weight(weight.array[..., ::-1, ::-1], weight)
    turned.name = "flipped"
    operands = [made.take(start), turned, *(made.take(v) for v in op.operands[2:] if v)]
    result = made.op("Conv", operands, op.attributes)
    return made.rewrite({op.result: result}, note="flipped")


@pytest.fixture
def wrong_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Flip`, installed beside the real passes."""
    import convc.pipeline

    found = convc.pipeline.entry_points
    entry = EntryPoint("flip", f"{__name__}:Flip", "convc.passes")
    monkeypatch.setattr(
        EntryPoint, "load", lambda self: Flip if self.name == "flip" else load(self)
    )

    def with_flip(**wanted: str) -> list[EntryPoint]:
        real = list(found(**wanted))
        return [*real, entry] if wanted.get("name", "flip") == "flip" else real

    monkeypatch.setattr(convc.pipeline, "entry_points", with_flip)


load = EntryPoint.load


def test_load_optimize_save_verify(tmp_path: Path) -> None:
    source = write(tmp_path / "model.onnx", chain())
    result = convc.optimize(source)
    assert result.verdict is convc.Verdict.EQUAL
    assert result.after.ops < result.before.ops
    assert result.after.macs <= result.before.macs
    assert str(result.pipeline) == DEFAULT_PIPELINE
    assert [report.text for report in result.reports] == list(map(str, result.pipeline.passes))
    target = tmp_path / "faster.onnx"
    convc.save(result.graph, target)
    comparison = convc.verify(source, target)
    assert comparison.verdict is Verdict.EQUAL
    assert len(convc.load(target)) == len(result.graph)


def test_optimize_a_graph_leaves_it_alone(tmp_path: Path) -> None:
    graph = convc.load(write(tmp_path / "model.onnx", chain()))
    version, ops = graph.version, graph.ops()
    result = convc.optimize(graph, "fold-affine,fuse-convs")
    assert (graph.version, graph.ops()) == (version, ops)
    assert [report.stats.applied for report in result.reports] == [1, 1]
    assert result.verdict.good
    assert convc.verify(graph, result.graph).verdict.good
    assert result.graph.header.metadata["convc.passes"] == "fold-affine,fuse-convs"
    assert result.graph.header.metadata["convc.version"] == convc.__version__


def test_pipelines_and_single_passes() -> None:
    graph = convc.load(MODELS / "conv_norm_relu.onnx")
    reports = convc.Pipeline([FoldAffine(), FuseConvs()]).run(graph)
    assert [report.changed for report in reports] == [True, False]
    graph = convc.load(MODELS / "chain_dilated.onnx")
    before = len(graph)
    stats = FuseConvs().run(graph)
    assert isinstance(stats, Stats)
    assert stats.applied == 1
    assert len(graph) < before
    graph.verify()
    for made in (Simplify(), FlushSubnormals(), FoldAffine(), FuseConvs()):
        assert str(convc.Pipeline.parse(str(made))) == str(made)


def test_proposals_change_nothing() -> None:
    graph = convc.load(MODELS / "chain_dilated.onnx")
    version, ops = graph.version, graph.ops()
    proposals = FuseConvs().propose(graph)
    assert len(proposals) == 1
    assert (graph.version, graph.ops()) == (version, ops)
    assert FuseConvs().propose(convc.load(MODELS / "patchify.onnx")) == []


def test_verify_off_and_each() -> None:
    off = convc.optimize(MODELS / "conv_norm_relu.onnx", verify="off")
    assert off.comparison is None
    assert off.verdict is Verdict.UNVERIFIED
    each = convc.optimize(MODELS / "conv_norm_relu.onnx", verify="each")
    residuals = [report.stats.residual for report in each.reports if report.stats.applied]
    assert residuals
    assert all(residual is not None and residual < 1e-9 for residual in residuals)


@pytest.mark.usefixtures("wrong_pass")
@pytest.mark.parametrize(
    "passes",
    ["flip", "simplify,flip,fold-affine,fuse-convs", "fold-affine,simplify,simplify,simplify,flip"],
)
def test_a_wrong_pass_is_found_and_named(passes: str, tmp_path: Path) -> None:
    source = write(tmp_path / "model.onnx", chain())
    result = convc.optimize(source, passes)
    assert result.verdict is Verdict.DIFFERENT
    assert result.culprit == "flip"
    with pytest.raises(ProofError, match=r"pass flip: .* differs by"):
        convc.optimize(source, passes, verify="each")


@pytest.mark.usefixtures("wrong_pass")
def test_a_wrong_pass_inside_choose(tmp_path: Path) -> None:
    source = write(tmp_path / "model.onnx", chain())
    # It gains nothing, so nothing happens; named, it is at fault.
    assert convc.optimize(source, "simplify,choose(flip)").verdict is Verdict.IDENTICAL
    with pytest.raises(ProofError, match="pass flip"):
        convc.optimize(source, "choose(flip,fuse-convs),flip", verify="each")


def test_data_is_used_and_checked(tmp_path: Path) -> None:
    source = write(tmp_path / "model.onnx", chain())
    rng = np.random.default_rng(0)
    x = rng.standard_normal(IMAGE).astype(np.float32)
    result = convc.optimize(source, data={"x": x})
    assert result.comparison is not None
    assert result.comparison.cases[0] == "data 0"
    with pytest.raises(UsageError, match="'x' is missing"):
        convc.optimize(source, data={"other": x})
    open_model = MODELS / "chain_padded_dynamic.onnx"
    shape = (3, 8, 11, 17)
    given = {"input": rng.standard_normal(shape).astype(np.float32)}
    found = convc.optimize(open_model, data=given).comparison
    assert found is not None
    assert {"batch": 3, "height": 11, "width": 17} in found.sizes
    assert len(found.sizes) == 5


def test_sizes_of_open_dims() -> None:
    result = convc.optimize(MODELS / "chain_padded_dynamic.onnx", sizes={"height": 20, "width": 30})
    assert result.comparison is not None
    assert {"batch": 1, "height": 20, "width": 30} in result.comparison.sizes
    # 3×3 from 8 to 12 and from 12 to 6 channels.
    assert result.before.macs == 20 * 30 * 9 * (8 * 12 + 12 * 6)
    assert convc.load(MODELS / "chain_padded_dynamic.onnx").inputs[0].shape[2] == "height"  # type: ignore[index]
    with pytest.raises(UsageError, match="no such open dim"):
        convc.optimize(MODELS / "chain_padded_dynamic.onnx", sizes={"depth": 3})
    with pytest.raises(UsageError, match="sizes are set when a model is loaded"):
        convc.optimize(convc.load(MODELS / "chain_padded_dynamic.onnx"), sizes={"height": 3})


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="did you mean fuse-convs"):
        convc.optimize(MODELS / "patchify.onnx", "fuse-conv")
    with pytest.raises(UsageError, match="did you mean border"):
        convc.optimize(MODELS / "patchify.onnx", "fuse-convs{boarder=exact}")
    with pytest.raises(InvalidModelError, match="no such file"):
        convc.optimize("nowhere.onnx")
    with pytest.raises(AttributeError):
        convc.nothing  # noqa: B018
    assert issubclass(UsageError, convc.ConvcError)


def test_unverified_models_are_said_to_be() -> None:
    words = model([node("Identity", "x", "y")], inputs={"x": (STRING, (2,))}, outputs={"y": STRING})
    graph = convc.onnx_io.from_bytes(words)  # type: ignore[attr-defined]
    result = convc.optimize(graph)
    assert result.verdict is Verdict.UNVERIFIED
    assert not result.verdict.good


def test_progress_is_told() -> None:
    steps: list[str] = []
    convc.optimize(MODELS / "patchify.onnx", "simplify", on_progress=steps.append)
    assert steps[:3] == ["reading", "pass 1 of 1: simplify", "verifying"]
    assert steps[3].startswith("comparing, inputs 1 of ")
    assert steps[-1] == "comparing as deployed"


def test_the_same_seed_gives_the_same_bytes() -> None:
    from convc.onnx_io import to_bytes

    path = MODELS / "repvgg_block.onnx"
    assert to_bytes(convc.optimize(path).graph) == to_bytes(convc.optimize(path).graph)


def test_public_names_are_there() -> None:
    for name in convc.__all__:
        assert getattr(convc, name) is not None
    assert FLOAT == 1
