"""The float64 evaluator against onnxruntime in float32, node by node and on whole models."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import convc.reference
from convc.feeds import noise
from convc.graph import Graph
from convc.ir import Array, is_real
from convc.judge import judge
from convc.onnx_io import from_bytes, load
from convc.opset import macs
from convc.reference import EvaluationError, evaluate, widen
from convc.runtime import Model, RunError, Session, Settings
from convc.sizes import load_runnable
from tests.conftest import real_models, sample_models
from tests.tiny import (
    BOOL,
    DOUBLE,
    FLOAT,
    HALF,
    IMAGE,
    INT64,
    graph_of,
    kernel,
    model,
    node,
)  # fmt: skip

SLOW = 3e10
"""MACs above which float64 takes more than a few seconds; covered by hand."""


def run(source: Model, feeds: dict[str, Array]) -> list[Array]:
    return Session(source, Settings(optimised=False, threads=1)).run(feeds)


def agree(
    graph: Graph, source: Model, feeds: dict[str, Array], error: float, share: float = 1.0
) -> None:
    """onnxruntime is within ``error`` of float64, relative to the scale, in ``share`` of places."""
    for name, got, exact in zip(
        graph.output_names, run(source, feeds), evaluate(graph, feeds), strict=True
    ):
        assert got.shape == exact.shape, name
        if got.dtype.kind != "f":
            np.testing.assert_array_equal(got, exact)
            continue
        assert exact.dtype == np.float64
        # A sigmoid rounds as its largest value does, 1, however small those at hand are.
        scale = max(np.abs(exact[np.isfinite(exact)]).max(initial=0.0), 2.0**-22 / error)
        apart = np.where(got == exact, 0.0, np.abs(got - exact))  # infinities may agree
        assert np.quantile(apart, share) <= error * scale, name


@pytest.mark.parametrize("path", sample_models(), ids=lambda path: path.stem)
def test_sample_models(path: Path) -> None:
    small = {"height": 16, "width": 13} if path.stem == "sesr_m5_x2" else {}
    graph = load(path, small)
    half = graph.inputs[0].dtype == np.float16
    agree(graph, path, dict(noise(graph)), 4e-3 if half else 2e-6)


@pytest.mark.parametrize("path", real_models(), ids=lambda path: path.stem)
def test_real_models(path: Path) -> None:
    graph = load_runnable(path, {})
    if sum(macs(graph, op) or 0 for op in graph.ops()) > SLOW:
        pytest.skip("float64 takes seconds")
    # Deep nets are chaotic in a few places: one divides by what is nearly zero.
    agree(graph, path, dict(noise(graph)), 1e-4, share=0.99)


def check(data: bytes, error: float = 1e-5, **feeds: Array) -> list[Array]:
    graph = from_bytes(data)
    given = feeds or dict(noise(graph))
    agree(graph, data, given, error)
    return evaluate(graph, given)


def body(text: str) -> object:
    return parser.parse_graph(text)


@pytest.mark.parametrize("sign", [1, -1])
def test_if_takes_one_branch_and_sees_what_it_captures(sign: int) -> None:
    yes = body("yes () => (float[] a) { k = Constant<value_float = 0.1>() a = Mul(scaled, k) }")
    no = body("no () => (float[] b) { b = Neg(scaled) }")
    nodes = [
        node("Mul", "x w", "scaled"),
        node("ReduceSum", "x", "total", keepdims=0),
        node("Greater", "total zero", "flag"),
        node("If", "flag", "y", then_branch=yes, else_branch=no),
    ]
    data = model(nodes, {"w": kernel(1, 1, 4, 1, 1), "zero": np.float32(0)})
    x = sign * np.abs(kernel(2, *IMAGE))
    check(data, x=x)


def test_constants_in_bodies_are_those_of_the_file() -> None:
    """0.1 in a float32 model is the float32 nearest to 0.1, whoever holds it."""
    yes = body("yes () => (float[] a) { k = Constant<value_float = 0.1>() a = Mul(x, k) }")
    no = body("no () => (float[] a) { k = Constant<value_floats = [0.1]>() a = Mul(x, k) }")
    for flag in (True, False):
        nodes = [node("If", "flag", "y", then_branch=yes, else_branch=no)]
        data = model(nodes, {"flag": np.array(flag)})
        x = np.ones(IMAGE, np.float32)
        (y,) = evaluate(graph_of(data), {"x": x})
        assert y.dtype == np.float64
        assert (y == float(np.float32(0.1))).all()


def test_loop_carries_its_state() -> None:
    inner = body(
        """turn (int64 i, bool go, float[] before) => (bool still, float[] after, float[] seen)
        { still = Identity(go) half = Mul(before, scale) after = Add(half, x)
        seen = Identity(after) }"""
    )
    nodes = [node("Loop", "count go start", "last y", body=inner)]
    weights = {
        "count": np.array(5), "go": np.array(True), "start": np.float32(1), "scale": np.float32(0.5)
    }  # fmt: skip
    data = model([*nodes[:1]], weights)
    with pytest.raises(EvaluationError, match=r"Loop .* gives only 1"):
        evaluate(graph_of(data), {"x": kernel(1, *IMAGE)})
    (last,) = check(model(nodes, weights, outputs={"last": FLOAT}))
    assert last.shape == IMAGE


def test_scan_over_an_axis() -> None:
    inner = body(
        """step (float[4] before, float[4] row) => (float[4] after, float[4] out)
        { after = Add(before, row) out = Mul(after, row) }"""
    )
    nodes = [node("Scan", "start x", "last y", body=inner, num_scan_inputs=1)]
    data = model(nodes, {"start": kernel(3, 4)}, inputs={"x": (FLOAT, (7, 4))})
    check(data)


@pytest.mark.parametrize("opset", [9, 13, 17])
def test_bodies_are_evaluated_by_the_same_kernels(opset: int) -> None:
    """onnx.reference normalises by the batch below opset 14, and knows no grouped ConvTranspose."""
    yes = body(
        """yes () => (float[] a) { b = BatchNormalization(x, s, s, m, v)
        a = ConvTranspose<group = 2>(b, w) }"""
    )
    no = body("no () => (float[] a) { a = Identity(x) }")
    c = IMAGE[1]
    positive = np.abs(kernel(6, c)) + np.float32(0.5)
    weights = {
        "s": kernel(7, c), "m": kernel(8, c), "v": positive, "w": kernel(9, c, c // 2, 1, 1),
        "flag": np.array(True),
    }  # fmt: skip
    data = model([node("If", "flag", "y", then_branch=yes, else_branch=no)], weights, opset=opset)
    check(data, x=kernel(5, *IMAGE))


def test_local_functions_keep_float64_inside() -> None:
    function = parser.parse_function(
        """<domain: "local", opset_import: ["" : 17]> third (a) => (b)
        { k = Constant<value = float {3.0}>() c = Div(a, k) d = Cast<to = 1>(c) b = Sin(d) }"""
    )
    data = model([node("third", "x", "y", domain="local")], domains=["local"], functions=[function])
    x = kernel(4, *IMAGE)
    (y,) = check(data, x=x)
    # Nothing in between is rounded to float32.
    np.testing.assert_allclose(y, np.sin(x.astype(np.float64) / 3), rtol=1e-15)


def test_half_precision_is_widened_everywhere() -> None:
    w = kernel(5, 6, 4, 3, 3).astype(np.float16)
    nodes = [
        node("Conv", "x w", "c"),
        node("Cast", "c", "d", to=FLOAT),
        node("Cast", "d", "e", to=HALF),
        node("Softmax", "e", "y", axis=1),
    ]
    data = model(nodes, {"w": w}, inputs={"x": (HALF, IMAGE)}, outputs={"y": HALF})
    (y,) = check(data, 4e-3)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.sum(axis=1), 1.0, rtol=1e-14)


def test_bfloat16_weights_and_inputs() -> None:
    w = kernel(6, 1, 4, 1, 1).astype(ml_dtypes.bfloat16)
    kind = TensorProto.BFLOAT16
    nodes = [node("Mul", "x w", "m"), node("Cast", "m", "y", to=FLOAT)]
    data = model(nodes, {"w": w}, inputs={"x": (kind, IMAGE)})
    x = kernel(7, *IMAGE).astype(ml_dtypes.bfloat16)
    (y,) = evaluate(graph_of(data), {"x": x})
    np.testing.assert_array_equal(y, x.astype(np.float64) * w.astype(np.float64))


def test_widen() -> None:
    for dtype in (np.float16, np.float32, ml_dtypes.bfloat16):
        assert widen(np.ones(2, dtype)).dtype == np.float64
    for dtype in (np.int8, bool, np.float64):
        array = np.ones(2, dtype)
        assert widen(array) is array


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "int4"])
def test_types_that_only_store_are_not_widened(name: str) -> None:
    # ml_dtypes gives float8_e5m2 the kind of numpy's floats.
    array = np.ones(2, getattr(ml_dtypes, name))
    assert not is_real(array.dtype)
    assert widen(array) is array


@pytest.mark.parametrize(
    ("target", "saturate", "expected"),
    [
        (TensorProto.FLOAT8E4M3FN, 1, [448.0, -448.0, 1.0]),
        (TensorProto.FLOAT8E4M3FN, 0, [np.nan, np.nan, 1.0]),
        (TensorProto.FLOAT8E5M2, 1, [57344.0, -57344.0, 1.0]),
        (TensorProto.FLOAT8E5M2, 0, [np.inf, -np.inf, 1.0]),
    ],
)
def test_casts_to_eight_bits_stop_at_the_range_or_not(
    target: int, saturate: int, expected: list[float]
) -> None:
    nodes = [
        node("Cast", "x", "h", to=target, saturate=saturate),
        node("Cast", "h", "y", to=FLOAT),
    ]
    data = model(nodes, inputs={"x": (FLOAT, (3,))}, opset=19)
    (y,) = evaluate(graph_of(data), {"x": np.array([1e6, -1e6, 1.0], np.float32)})
    np.testing.assert_array_equal(y, expected)


def test_an_input_may_be_a_sequence() -> None:
    tensor = helper.make_tensor_type_proto(FLOAT, None)
    sequence = helper.make_value_info("x", helper.make_sequence_type_proto(tensor))
    at = helper.make_tensor_value_info("i", INT64, [])
    result = helper.make_tensor_value_info("y", FLOAT, None)
    graph = helper.make_graph([node("SequenceAt", "x i", "y")], "tiny", [sequence, at], [result])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    arrays = [np.ones(2, np.float32), np.full((1, 3), 2, np.float32)]
    (y,) = evaluate(graph_of(made.SerializeToString()), {"x": arrays, "i": np.array(1)})
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, arrays[1])


@pytest.mark.parametrize("opset", [6, 11, 13, 17, 18])
def test_equal_split_in_every_opset(opset: int) -> None:
    more = {"num_outputs": 2} if opset >= 18 else {}
    data = model(
        [node("Split", "x", "y z", axis=1, **more)],
        outputs={"y": FLOAT, "z": FLOAT}, opset=opset,
    )  # fmt: skip
    first, second = check(data)
    assert first.shape == second.shape == (1, 2, 12, 10)


def test_split_by_sizes() -> None:
    data = model(
        [node("Split", "x parts", "y z", axis=1)], {"parts": np.array([1, 3])},
        outputs={"y": FLOAT, "z": FLOAT},
    )  # fmt: skip
    assert [array.shape[1] for array in check(data)] == [1, 3]


def test_optional_inputs_and_unused_results() -> None:
    nodes = [
        node("Clip", "x - high", "c"),
        node("MaxPool", "c", "p unused", kernel_shape=[2, 2]),
        node("Dropout", "p", "y mask"),
    ]
    data = model(nodes, {"high": np.float32(0.5)})
    check(data)


def test_casts_truncate_and_keep_float64() -> None:
    nodes = [
        node("Mul", "x k", "m"),
        node("Cast", "m", "i", to=INT64),
        node("Cast", "i", "y", to=FLOAT),
        node("Cast", "x", "b", to=BOOL),
        node("Cast", "b", "z", to=FLOAT),
    ]
    data = model(nodes, {"k": np.float32(7)}, outputs={"y": FLOAT, "z": FLOAT})
    check(data)


def test_recurrent_nets_by_onnx() -> None:
    hidden, size = 3, 4
    weights = {"w": kernel(8, 1, 4 * hidden, size), "r": kernel(9, 1, 4 * hidden, hidden)}
    nodes = [node("LSTM", "x w r", "y", hidden_size=hidden)]
    check(model(nodes, weights, inputs={"x": (FLOAT, (5, 2, size))}), 1e-5)


def test_wanted_values_alone_are_evaluated() -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Mystery", "a", "b", domain="nowhere"),
        node("Add", "a b", "y"),
    ]
    graph = graph_of(model(nodes, domains=["nowhere"]))
    a = next(r for op in graph.ops() for r in op.results if r.name == "a")
    x = kernel(10, *IMAGE)
    (found,) = evaluate(graph, {"x": x}, [a])
    np.testing.assert_array_equal(found, np.maximum(x, 0))
    with pytest.raises(EvaluationError, match="Mystery"):
        evaluate(graph, {"x": x})


def test_dead_ops_do_not_matter() -> None:
    nodes = [node("Relu", "x", "y"), node("Mystery", "x", "dead", domain="nowhere")]
    graph = graph_of(model(nodes, domains=["nowhere"]))
    evaluate(graph, {"x": kernel(10, *IMAGE)})


def test_errors_name_the_op() -> None:
    graph = graph_of(model([node("Reshape", "x s", "y")], {"s": np.array([7, 7])}))
    with pytest.raises(EvaluationError, match="Reshape 'y'"):
        evaluate(graph, {"x": kernel(1, *IMAGE)})
    with pytest.raises(EvaluationError, match="no data for input 'x'"):
        evaluate(graph, {})


def test_the_same_value_twice_and_inputs_as_outputs() -> None:
    nodes = [node("Add", "x x", "y"), node("Mul", "y y", "z")]
    data = model(nodes, outputs={"y": FLOAT, "z": FLOAT, "x": FLOAT})
    y, z, x = check(data)
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(z, y * y)


def test_values_are_freed_after_their_last_use(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ["Relu", "Neg", "Abs", "Exp", "Tanh", "Sigmoid", "Sin", "Cos"]
    names = ["x", *(f"v{i}" for i in range(len(kinds) - 1)), "y"]
    nodes = [node(k, a, b) for k, a, b in zip(kinds, names, names[1:], strict=False)]
    nodes.append(node("MaxPool", "v0", "p indices", kernel_shape=[1, 1]))
    data = model(nodes, outputs={"y": FLOAT, "p": FLOAT})
    alive: list[weakref.ref[Array]] = []
    most = 0
    step = convc.reference._evaluate_op

    def spy(*args: object) -> list[Array]:
        nonlocal most
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        results = step(*args)  # type: ignore[arg-type]
        alive.extend(weakref.ref(result) for result in results)
        return list(results)

    monkeypatch.setattr(convc.reference, "_evaluate_op", spy)
    evaluate(graph_of(data), {"x": kernel(1, *IMAGE)})
    # The value in the making's operand and the one kept for the pool; all would be nine.
    assert len(alive) > 9
    assert most <= 4


def test_float64_is_nearer_to_the_truth_than_float32() -> None:
    """A sum that cancels: float32 loses it, the evaluator does not."""
    nodes = [node("Add", "x big", "far"), node("Sub", "far big", "y")]
    data = model(nodes, {"big": np.float32(1e8)})
    x = kernel(11, *IMAGE)
    (exact,) = evaluate(graph_of(data), {"x": x})
    (got,) = run(data, {"x": x})
    assert np.abs(exact - x).max() < 2e-8
    assert np.abs(got - x).max() > 0.1
    assert judge(got, got + np.float32(1), exact).original_error > 0.1


def test_sparse_and_double_models() -> None:
    dense = np.zeros((3, 4), np.float32)
    dense[1, 2], dense[2, 0] = 2.5, -1
    values = numpy_helper.from_array(dense[dense != 0], "w")
    indices = numpy_helper.from_array(np.flatnonzero(dense), "i")
    graph = helper.make_graph(
        [node("MatMul", "w x", "y")], "sparse",
        [helper.make_tensor_value_info("x", FLOAT, (4, 5))],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        sparse_initializer=[helper.make_sparse_tensor(values, indices, (3, 4))],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 17)]
    made = helper.make_model(graph, opset_imports=imports, ir_version=8)
    x = kernel(1, 4, 5)
    (y,) = evaluate(from_bytes(made.SerializeToString()), {"x": x})
    np.testing.assert_array_equal(y, dense.astype(float) @ x.astype(float))
    double = {"inputs": {"x": (DOUBLE, IMAGE)}, "outputs": {"y": DOUBLE}}
    check(model([node("Exp", "x", "y")], **double), 1e-15)


def test_models_that_onnxruntime_refuses_are_refused_here_too() -> None:
    wrong = model([node("MatMul", "x w", "y")], {"w": kernel(1, 7, 3)})
    with pytest.raises(RunError):
        run(wrong, {"x": kernel(1, *IMAGE)})
    with pytest.raises(EvaluationError):
        evaluate(graph_of(wrong), {"x": kernel(1, *IMAGE)})
