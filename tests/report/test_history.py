"""Which op comes of which: the history of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings

from convc.api import TUNED_PIPELINE
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, TensorType, Value
from convc.latency import Made, optimize_by_clock
from convc.model_files import load
from convc.pipeline import Context, Pass, Pipeline
from convc.report.history import Declined, Historian, History, Origin, computing
from convc.report.matching import match
from convc.rewrite import Stats
from convc.runtime import Settings
from convc.tuning import Store, Tuner
from tests.conftest import ROOT
from tests.graph_strategies import recipes
from tests.report.provenance import check, history_of, names
from tests.tuning_helpers import PricedWatch

FLOAT = np.dtype(np.float32)
IMAGE = TensorType(FLOAT, (1, 4, 8, 8))


class Net:
    """A small network, op by op, under names of its own."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.input = self.graph.add_input("x", IMAGE)
        self._random = np.random.default_rng(7)

    def op(self, name: str, kind: str, *operands: Value | Array, **attributes: object) -> Value:
        values = [
            self.graph.add_constant(operand.astype(FLOAT), f"{name}.{i}")
            if isinstance(operand, np.ndarray)
            else operand
            for i, operand in enumerate(operands)
        ]
        made = self.graph.add(kind, values, attributes, types=(IMAGE,), names=(name,))  # type: ignore[arg-type]
        return made.result

    def conv(self, name: str, data: Value) -> Value:
        weight = self._random.normal(size=(4, 4, 1, 1))
        return self.op(name, "Conv", data, weight, kernel_shape=(1, 1))

    def norm(self, name: str, data: Value) -> Value:
        scale, shift, mean = self._random.normal(size=(3, 4))
        return self.op(name, "BatchNormalization", data, scale, shift, mean, np.ones(4))

    def history(self, *outputs: Value, passes: str | None = None) -> History:
        self.graph.set_outputs(outputs, [value.name for value in outputs])
        return history_of(self.graph, passes)


def sources(history: History) -> dict[str, list[str]]:
    """For the result of each op the names of its sources."""
    return {name: names(origin.sources) for name, origin in origins(history).items()}


def origins(history: History) -> dict[str, Origin]:
    """By the name of each op's first result."""
    return {op.result.name: origin for op, origin in history.origins.items()}


def test_a_fused_conv_comes_of_exactly_its_convs_and_norms() -> None:
    net = Net()
    first = net.norm("bn1", net.conv("conv1", net.input))
    fused = net.norm("bn2", net.conv("conv2", first))
    relu = net.op("relu", "Relu", fused)
    history = net.history(net.conv("conv3", relu), passes="fold-affine,fuse-convs,simplify")
    assert sources(history) == {
        "bn2": ["conv1", "bn1", "conv2", "bn2"],
        "relu": ["relu"],
        "conv3": ["conv3"],
    }
    by_name = origins(history)
    assert by_name["relu"].changes == by_name["conv3"].changes == ()
    chain = [history.changes[i] for i in by_name["bn2"].changes]
    assert [change.origin for change in chain] == ["fold-affine", "fold-affine", "fuse-convs"]
    assert [history.passes[change.number] for change in chain] == [c.origin for c in chain]
    assert chain[-1].region == ("Conv conv1", "Conv conv2")
    assert len(chain[-1].made) == 1
    assert chain[-1].macs == 4 * 4 * 64


def test_a_repvgg_block_becomes_one_conv() -> None:
    history = history_of(ROOT / "models" / "repvgg_block.onnx")
    assert sources(history)["total"] == [
        "dense", "dense_norm", "point", "point_norm", "identity_norm", "branches", "total",
    ]  # fmt: skip
    last = history.changes[-1]
    assert (last.origin, history.passes[last.number][:7]) == ("merge-branches", "choose(")


def test_each_of_several_users_takes_its_own_copy() -> None:
    net = Net()
    norm = net.norm("bn", net.input)
    one, two = net.conv("left", norm), net.conv("right", norm)
    history = net.history(one, two, passes="fold-affine,simplify")
    assert sources(history) == {"left": ["bn", "left"], "right": ["bn", "right"]}


def test_what_does_nothing_is_absorbed() -> None:
    net = Net()
    conv = net.conv("conv", net.input)
    same = net.op("same", "Identity", conv)
    relu = net.op("relu", "Relu", same)
    history = net.history(net.conv("last", relu), passes="simplify")
    assert sources(history) == {"conv": ["conv"], "relu": ["relu"], "last": ["last"]}
    absorbed = {name: names(origin.absorbed) for name, origin in origins(history).items()}
    assert absorbed == {"conv": ["same"], "relu": [], "last": []}


def test_equal_ops_are_shared_and_what_was_absorbed_goes_on() -> None:
    net = Net()
    left, right = net.op("left", "Relu", net.input), net.op("right", "Relu", net.input)
    total = net.op("total", "Add", left, right)
    history = net.history(net.norm("bn", net.conv("conv", total)), passes="simplify,fold-affine")
    by_name = origins(history)
    assert names(by_name["left"].absorbed) == ["right"]
    assert history.changes[by_name["left"].changes[0]].note == "equal Relu: shared"
    assert names(by_name["bn"].sources) == ["conv", "bn"]


def test_what_becomes_a_constant_leaves_nothing() -> None:
    net = Net()
    shape = net.graph.add(
        "Shape", (net.input,), types=(TensorType(np.dtype(np.int64), (4,)),), names=("shape",)
    ).result
    reshaped = net.op("reshaped", "Reshape", net.op("relu", "Relu", net.input), shape)
    history = net.history(net.conv("conv", reshaped), passes="simplify")
    told = {name for found in sources(history).values() for name in found}
    assert told == {"relu", "conv"}
    assert {"shape"} <= {name for change in history.changes for name in names(change.sources)}


def test_approximate_forms_are_found_without_rewrites() -> None:
    history = history_of(
        ROOT / "models" / "low_rank_channels.onnx", max_error=0.5, seed=1, objective="macs"
    )
    approximate = [change for change in history.changes if change.exactness == "approximate"]
    assert approximate
    assert all(change.sources and change.made for change in approximate)


@dataclass(frozen=True)
class ByHand(Pass):
    """Puts two ops in the place of every Relu, and knows nothing of rewrites."""

    name: ClassVar[str] = "by-hand"

    def run(self, graph: Graph, context: Context | None = None) -> Stats:  # noqa: ARG002
        stats = Stats()
        for op in graph.ops():
            if op.kind == "Relu":
                first = graph.add("Neg", op.operands, types=(op.result.type,)).result
                last = graph.add("Neg", (first,), types=(op.result.type,)).result
                graph.replace_uses(op.result, last)
                last.name, op.result.name = op.result.name, ""
                graph.erase(op)
                stats.applied += 1
        return stats


@dataclass(frozen=True)
class Rebuild(Pass):
    """Replaces the whole graph by a copy of itself."""

    name: ClassVar[str] = "rebuild"

    def run(self, graph: Graph, context: Context | None = None) -> Stats:  # noqa: ARG002
        old = graph.outputs
        graph.set_outputs(graph.inline(graph.clone(), graph.inputs), graph.output_names)
        graph.erase_dead([value.op for value in old])
        return Stats(applied=1)


def watched(graph: Graph, *passes: Pass) -> History:
    copy = graph.clone()
    historian = Historian(graph, copy)
    Pipeline(passes).run(copy, None, [historian])
    history = historian.finish()
    check(history)
    return history


def test_a_pass_that_changes_the_graph_by_hand() -> None:
    net = Net()
    relu = net.op("relu", "Relu", net.conv("conv", net.input))
    net.graph.set_outputs([net.conv("last", relu)], ["y"])
    history = watched(net.graph, ByHand())
    found = [names(origin.sources) for origin in history.origins.values()]
    # The first new op has no name: only its user says where it belongs.
    assert sorted(found) == [["conv"], ["last"], ["relu"], ["relu"]]
    assert [change.made for change in history.changes] == [("Neg", "Neg relu")]


def test_a_copy_is_the_same() -> None:
    net = Net()
    net.graph.set_outputs([net.norm("bn", net.conv("conv", net.input))], ["y"])
    history = watched(net.graph, Rebuild())
    assert history.changes == []
    assert [names(o.sources) for o in history.origins.values()] == [["conv"], ["bn"]]


def test_other_weights_are_a_change() -> None:
    one, two = Net(), Net()
    before = one.conv("conv", one.input)
    two.conv("another", two.input)
    after = two.conv("conv", two.input)
    matched = match({before.op: ["conv"]}, [after.op])
    assert matched.same == ()
    assert matched.regions == (((before.op,), (after.op,)),)


@settings(max_examples=25)
@given(recipes())
def test_any_graph_keeps_its_sources(recipe) -> None:  # type: ignore[no-untyped-def]
    graph = recipe.build()
    history_of(graph, "simplify,fold-affine,fuse-convs,merge-branches,simplify")


def by_the_clock(wholes: Callable[[Graph], float]) -> Made:
    original = load(ROOT / "models" / "conv_norm_relu.onnx")
    pipeline = Pipeline.parse(TUNED_PIPELINE)
    watch = PricedWatch(lambda _: 1.0, wholes)
    tuner = Tuner(Settings(), 10.0, Store(), watch=watch)

    def attempt() -> Made:
        graph = original.clone()
        historian = Historian(original, graph)
        reports = pipeline.run(graph, Context(chooser=tuner), [historian])
        return Made(graph, reports, history=historian.finish())

    made = optimize_by_clock(original, b"", tuner, attempt, may_refuse=True)
    assert made.history is not None
    assert made.history.result is made.graph
    check(made.history)
    return made


def size(graph: Graph) -> float:
    return float(len(computing(graph.ops())))


def test_the_clock_may_choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVC_CACHE", str(tmp_path))
    made = by_the_clock(size)
    assert made.history is not None
    assert made.history.changes


def test_what_is_not_faster_has_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVC_CACHE", str(tmp_path))
    made = by_the_clock(lambda graph: 1 / size(graph))
    assert made.history is not None
    assert made.history.changes == ()


def test_residuals_are_those_of_the_proofs() -> None:
    history = history_of(ROOT / "models" / "repvgg_block.onnx", proof=True)
    assert all(c.residual is not None and c.residual < 1e-9 for c in history.changes)
    plain = history_of(ROOT / "models" / "repvgg_block.onnx")
    assert all(change.residual is None for change in plain.changes)


def test_where_rules_declined_is_kept() -> None:
    history = history_of(ROOT / "models" / "repvgg_block.onnx")
    reasons = {why: where for (_, why), where in history.declined.items()}
    (reason,) = [why for why in reasons if why.endswith("is next to the BatchNormalization")]
    assert reasons[reason] == Declined(("identity_norm",), ())


def test_where_the_clock_chooses_it_is_kept_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVC_CACHE", str(tmp_path))
    made = by_the_clock(size)
    assert made.history is not None
    found = {
        reason: made.history.declined[number, reason]
        for number, report in enumerate(made.reports)
        for reason in report.stats.declined
        if report.text.startswith("choose(")
    }
    assert found
    assert all(entry.places and entry.passes for entry in found.values())


def test_nobody_watches_unasked() -> None:
    graph = load(ROOT / "models" / "repvgg_block.onnx")
    assert graph.witness is None
    Historian(graph, copy := graph.clone())
    assert copy.witness is not None
    assert copy.clone().witness is None
    assert Graph.beside(copy).witness is None


def test_a_real_model(shared: Path) -> None:
    history = history_of(shared / "models" / "det_ultraface_rfb320.onnx")
    assert len(history.changes) > 50
    assert sources(history)["246"] == ["245", "246"]


@pytest.mark.parametrize("name", ["redundant_ops", "dead_filters", "conv_then_transpose"])
def test_models_of_many_passes(name: str) -> None:
    path = ROOT / "models" / f"{name}.onnx"
    for passes in (None, "lower-to-conv2d,lower-to-gemm,simplify", "lower-to-winograd"):
        history_of(path, passes)


def test_the_builder_is_not_needed_to_watch() -> None:
    graph = Graph()
    x = graph.add_input("x", IMAGE)
    graph.set_outputs([Builder(graph).op("Relu", (x,), type_=IMAGE)], ["y"])
    assert len(History.unchanged(graph, graph.clone()).origins) == 1
