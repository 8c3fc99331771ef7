"""The profile: every kernel's time finds the op it comes from. Never how fast anything is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from convc.errors import ConvcError
from convc.feeds import noise
from convc.graph import Graph
from convc.ir import Array, Op
from convc.machine import vectors
from convc.onnx_io import load, to_bytes
from convc.profile import FOLDED, LEAST_RUNS, OpTime, Profile, profile
from convc.profile.events import read_kernels
from convc.runtime import RunError, Session, Settings
from tests.conftest import real_models, sample_models
from tests.tiny import BOOL, FLOAT, IMAGE, graph_of, kernel, model, node

ONE = Settings(threads=1)
PLAIN = Settings(threads=1, optimised=False)
blocked = pytest.mark.skipif(vectors()[0] < 8, reason="no blocked kernels without AVX2")

BIG = (1, 16, 24, 24)
WEIGHTS = {"w": kernel(1, 16, 16, 3, 3), "v": kernel(2, 16, 16, 3, 3), "d": kernel(3, 16)}
PADDED = {"pads": [1, 1, 1, 1]}


def profiled(
    nodes: Sequence[NodeProto],
    weights: Mapping[str, Array] = WEIGHTS,
    settings: Settings = ONE,
    **options: Any,
) -> tuple[Profile, dict[str, OpTime]]:
    """The profile of a small model, and its ops' times by the names of their first results."""
    used = {name: array for name, array in weights.items() if any(name in n.input for n in nodes)}
    options.setdefault("inputs", {"x": (FLOAT, BIG)})
    graph = graph_of(model(nodes, used, **options))
    found = profile(graph, noise(graph), settings, runs=3)
    check(found, graph)
    return found, {op.result.name: time for op, time in found.times.items()}


def check(found: Profile, graph: Graph) -> None:
    """What holds of every profile."""
    nodes = [op for op in graph.ops() if not op.is_boundary and op.array is None]
    assert set(found.times) == set(nodes)
    for op, time in found.times.items():
        assert time.layout_seconds >= 0
        assert time.kernel
        assert (time.seconds is None) == (time.fused_into is not None)
        if time.fused_into is None:
            assert time.seconds is not None
            assert time.seconds >= 0
            assert time.seconds == 0 or time.kernel != FOLDED
            continue
        main = found.times[time.fused_into]
        assert time.fused_into is not op
        assert main.fused_into is None, "fused into what is itself fused"
        assert main.kernel == time.kernel != FOLDED
    lost = sum(item.seconds for item in found.unattributed)
    assert found.total_seconds == pytest.approx(found.attributed_seconds + lost)
    assert found.wall_seconds > 0
    # Of a model of a microsecond or two one may be all there is: none is lost by chance.
    assert lost <= 0.05 * found.total_seconds


def test_an_activation_is_fused_into_its_conv() -> None:
    nodes = [node("Conv", "x w d", "c", **PADDED), node("Relu", "c", "y")]
    _, times = profiled(nodes)
    conv, relu = times["c"], times["y"]
    assert relu.fused_into is not None
    assert relu.fused_into.result.name == "c"
    assert relu.kernel == conv.kernel
    assert "Conv" in conv.kernel


def test_without_optimisations_every_op_has_its_own_time() -> None:
    nodes = [node("Conv", "x w d", "c", **PADDED), node("Relu", "c", "y")]
    found, times = profiled(nodes, settings=PLAIN)
    assert [(t.kernel, t.fused_into) for t in times.values()] == [("Conv", None), ("Relu", None)]
    assert found.layout_seconds == 0


def test_a_norm_is_folded_into_its_conv() -> None:
    norm = {name: np.abs(kernel(5, 16)) for name in ("g", "h", "m", "q")}
    nodes = [
        node("Conv", "x w", "c", **PADDED),
        node("BatchNormalization", "c g h m q", "n"),
        node("Relu", "n", "y"),
    ]
    _, times = profiled(nodes, {**WEIGHTS, **norm})
    assert [t.fused_into.result.name for t in times.values() if t.fused_into] == ["c", "c"]


def residual() -> list[NodeProto]:
    return [
        node("Conv", "x w", "a", **PADDED),
        node("Relu", "a", "r"),
        node("Conv", "r v", "b", **PADDED),
        node("Add", "b r", "s"),
        node("Relu", "s", "t"),
        node("Conv", "t w", "y", **PADDED),
    ]


def test_the_sum_and_the_activation_of_a_residual_block() -> None:
    """They leave no name where the blocked conv before them takes them up."""
    _, times = profiled(residual())
    mains = {name: t.fused_into.result.name for name, t in times.items() if t.fused_into}
    assert mains == {"r": "a", "s": "b", "t": "b"}


@blocked
def test_layout_changes_go_to_the_op_that_wants_them() -> None:
    pads = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    nodes = [
        node("Conv", "x w", "a"),
        node("Pad", "a p", "b", mode="reflect"),
        node("Conv", "b v", "y"),
    ]
    graph = graph_of(model(nodes, {**WEIGHTS, **pads}, inputs={"x": (FLOAT, (1, 16, 96, 96))}))
    found = profile(graph, noise(graph), ONE, runs=3)
    check(found, graph)
    layout = {op.result.name: time.layout_seconds for op, time in found.times.items()}
    # In for the first conv; out for the pad; in again, and out for the result, for the last conv.
    assert all(seconds > 0 for seconds in layout.values())
    assert found.layout_seconds == pytest.approx(sum(layout.values()))
    assert found.times[found_op(graph, "Pad")].kernel == "Pad"


def found_op(graph: Graph, kind: str) -> Op:
    (op,) = [op for op in graph.ops() if op.kind == kind]
    return op


def test_what_is_known_before_the_first_run_is_folded() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Neg", "w", "n"),
        node("Exp", "n", "e"),
        node("Conv", "x e", "c", **PADDED),
        node("Reshape", "c s", "y"),
    ]
    _, times = profiled(nodes)
    folded = [name for name, time in times.items() if time.kernel == FOLDED]
    assert {"n", "e"} <= set(folded)
    assert all(times[name].seconds == 0 for name in folded)


def test_what_vanishes_is_in_the_op_that_reads_it() -> None:
    nodes = [
        node("Identity", "x", "i"),
        node("Dropout", "i", "j"),
        node("Conv", "j w", "y", **PADDED),
    ]
    _, times = profiled(nodes)
    mains = {name: t.fused_into.result.name for name, t in times.items() if t.fused_into}
    assert mains == {"i": "y", "j": "y"}


def test_equal_ops_share_the_time_of_one() -> None:
    nodes = [
        node("Exp", "x", "a"),
        node("Exp", "x", "b"),
        node("Neg", "a", "c"),
        node("Sin", "b", "s"),
        node("Add", "c s", "y"),
    ]
    _, times = profiled(nodes)
    (fused,) = [t.fused_into for t in times.values() if t.fused_into]
    assert fused.kind == "Exp"


def test_a_product_with_its_bias_is_one() -> None:
    nodes = [
        node("Flatten", "x", "f"),
        node("MatMul", "f m", "p"),
        node("Add", "p d", "a"),
        node("Relu", "a", "y"),
    ]
    weights = {"m": kernel(1, 16 * 24 * 24, 16), "d": kernel(2, 16)}
    _, times = profiled(nodes, weights)
    assert times["a"].fused_into is not None
    assert times["a"].fused_into.kind == "MatMul"
    assert "Gemm" in times["p"].kernel


def test_an_op_that_the_runtime_expands_has_all_its_pieces() -> None:
    """A function of ONNX without a kernel of its own: its pieces have no name of ours."""
    nodes = [
        node("MeanVarianceNormalization", "x", "m", axes=[0, 2, 3]),
        node("GroupNormalization", "m g h", "y", num_groups=4),
    ]
    weights = {"g": kernel(1, 16), "h": kernel(2, 16)}
    found, times = profiled(nodes, weights, opset=21)
    assert not found.unattributed
    assert times["m"].fused_into is None
    assert times["y"].fused_into is None


def branches() -> bytes:
    """An If whose branches both do something to a value from outside."""
    value = helper.make_tensor_value_info
    bodies = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(kind, ["a"], ["in"]), helper.make_node("Neg", ["in"], ["z"])],
            name, [], [value("z", FLOAT, IMAGE)],
        )
        for name, kind in (("then", "Exp"), ("else", "Sin"))
    }  # fmt: skip
    nodes = [node("Abs", "x", "a"), helper.make_node("If", ["k"], ["b"], **bodies)]
    nodes += [node("Neg", "b", "y")]
    return model(nodes, inputs={"x": (FLOAT, IMAGE), "k": (BOOL, [])})


def test_the_time_of_a_body_is_counted_once() -> None:
    graph = graph_of(branches())
    feeds = {"x": kernel(1, *IMAGE), "k": np.array(True)}
    found = profile(graph, feeds, ONE, runs=3)
    check(found, graph)
    assert [time.kernel for time in found.times.values()] == ["Abs", "If", "Neg"]
    assert not found.unattributed


def test_names_of_the_file_do_not_matter() -> None:
    """Names that look like ours, quotes, empty ones and equal ones."""
    nodes = [
        helper.make_node("Conv", ['in"put', "_v3.0_"], ["_op2_"], name="_op1_"),
        helper.make_node("Relu", ["_op2_"], ["\\out"], name="_op1_"),
        helper.make_node("Exp", ["_op2_"], ["_in0_"]),
    ]
    graph = graph_of(
        model(
            nodes, {"_v3.0_": WEIGHTS["w"]}, inputs={'in"put': (FLOAT, BIG)},
            outputs={"\\out": FLOAT, "_in0_": FLOAT},
        )
    )  # fmt: skip
    before = to_bytes(graph)
    found = profile(graph, noise(graph), ONE, runs=3)
    check(found, graph)
    assert {op.kind for op, t in found.times.items() if t.fused_into is None} >= {"Conv", "Exp"}
    assert to_bytes(graph) == before, "the graph was changed"


def test_outputs_that_are_inputs_weights_or_the_same_twice() -> None:
    graph = graph_of(model([node("Relu", "x", "y")], {"w": WEIGHTS["d"]}))
    relu = found_op(graph, "Relu")
    weight = next(op for op in graph.ops() if op.kind == "Constant")
    values = (relu.result, relu.result, graph.inputs[0], weight.result)
    graph.set_outputs(values, ("y", "again", "same", "weight"))
    found = profile(graph, noise(graph), ONE, runs=3)
    assert set(found.times) == {relu}
    assert found.times[relu].kernel.startswith("Relu")


def test_an_open_size_and_an_empty_graph() -> None:
    graph = graph_of(
        model([node("Relu", "x", "y")], inputs={"x": (FLOAT, ("n", 4, "h", 8))}, outputs={"y": 1})
    )
    found = profile(graph, {"x": kernel(1, 2, 4, 3, 8)}, ONE, runs=3)
    check(found, graph)
    graph.set_outputs(graph.inputs, ("y",))
    graph.erase(found_op(graph, "Relu"))
    found = profile(graph, {"x": kernel(1, 2, 4, 3, 8)}, ONE, runs=3)
    assert found.times == {}


def test_half_precision_has_casts_that_no_op_asked_for() -> None:
    half = TensorProto.FLOAT16
    weights = {"w": WEIGHTS["w"].astype(np.float16)}
    nodes = [node("Conv", "x w", "c"), node("Sin", "c", "y")]
    _, times = profiled(nodes, weights, inputs={"x": (half, BIG)}, outputs={"y": half})
    assert times["c"].fused_into is None
    assert times["y"].fused_into is None


def test_the_number_of_runs() -> None:
    graph = graph_of(model([node("Relu", "x", "y")]))
    feeds = noise(graph)
    assert profile(graph, feeds, ONE, runs=7).runs == 7
    assert profile(graph, feeds, ONE, runs=7, seconds=0).runs == LEAST_RUNS
    assert profile(graph, feeds, ONE, runs=0).runs == LEAST_RUNS


def test_what_the_runtime_refuses() -> None:
    graph = graph_of(model([node("Mystery", "x", "y", domain="nowhere")], domains=["nowhere"]))
    with pytest.raises(RunError):
        profile(graph, noise(graph), ONE)
    graph = graph_of(model([node("Relu", "x", "y")]))
    with pytest.raises(RunError):
        profile(graph, {"x": np.zeros((2, 2), np.float32)}, ONE)
    with pytest.raises(RunError):
        profile(graph, {}, ONE)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    graph = graph_of(model(residual(), {k: WEIGHTS[k] for k in "wv"}, inputs={"x": (FLOAT, BIG)}))
    profile(graph, noise(graph), ONE, runs=3)
    with pytest.raises(RunError):
        profile(graph, {}, ONE)
    assert list(tmp_path.iterdir()) == []


def test_only_a_traced_session_has_a_trace(tmp_path: Path) -> None:
    data = model(residual(), {k: WEIGHTS[k] for k in "wv"}, inputs={"x": (FLOAT, BIG)})
    with pytest.raises(ValueError, match="not traced"):
        Session(data, ONE).end_trace()
    session = Session(data, ONE, trace=tmp_path)
    session.run({"x": kernel(1, *BIG)})
    trace = session.end_trace()
    assert trace.optimised.parent == trace.events.parent == tmp_path
    assert load(trace.optimised).ops()


# -- the events ----------------------------------------------------------------------------------


def written(path: Path, events: Sequence[tuple[str, str, int, int]]) -> Path:
    entries = [
        {"cat": cat, "name": name, "ts": ts, "dur": dur, "tid": 1, "args": {"op_name": "Kind"}}
        for cat, name, ts, dur in events
    ]
    path.write_text(json.dumps(entries))
    return path


def test_events_by_run(tmp_path: Path) -> None:
    file = written(
        tmp_path / "p.json",
        [
            ("Session", "model_run", 0, 90),
            ("Node", "a_kernel_time", 10, 70),
            ("Session", "model_run", 100, 90),
            ("Node", "a_kernel_time", 110, 20),
            ("Node", "a_fence_before", 111, 20),
            ("Node", "b_kernel_time", 130, 5),
            ("Node", "c_kernel_time", 130, 30),
            ("Session", "model_run", 200, 90),
            ("Node", "a_kernel_time", 210, 10),
            ("Node", "a_kernel_time", 220, 0),
            ("Node", "a_kernel_time", 230, 4),
        ],
    )
    found = read_kernels(file, 2)
    # b begins with c and ends before it: it runs inside.
    assert set(found.seconds) == {"a", "c"}
    assert found.seconds["a"] == pytest.approx((20e-6, 14e-6))
    assert found.seconds["c"] == pytest.approx((30e-6, 0.0))
    assert found.kinds == {"a": "Kind", "c": "Kind"}


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "[1]", '[{"cat": "Node"}]', "[[]]"])
def test_a_profile_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(RunError):
        read_kernels(tmp_path / "p.json", 1)


# -- whole networks ------------------------------------------------------------------------------

SMALL = [path for path in sample_models() if path.stat().st_size < 2**20]


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_sample_models(path: Path) -> None:
    graph = load(path)
    check(profile(graph, noise(graph), ONE, runs=3, seconds=1), graph)


NAMES = (
    "cls_mnist8",
    "det_yolox_nano",
    "seg_deeplab_v3_1",
    "audio_gtcrn_simple",
    "sr_espcn_cvtools",
)
NETWORKS = [path for path in real_models() if path.stem in NAMES]


@pytest.mark.skipif(not NETWORKS, reason="no folder of real models (set CONVC_SHARED)")
@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_real_models(path: Path) -> None:
    graph = load(path)
    try:
        found = profile(graph, noise(graph), ONE, runs=3, seconds=1)
    except ConvcError as error:
        pytest.fail(str(error))
    check(found, graph)
    assert found.attributed_seconds >= 0.98 * found.total_seconds
    convs = [op for op in found.times if op.kind in ("Conv", "ConvTranspose")]
    own = [op for op in convs if found.times[op].fused_into is None]
    assert own == convs, "a conv is the main op of its kernel"
