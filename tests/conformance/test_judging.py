"""The judge has to fail on what is wrong: models made wrong on purpose, and wrong outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx import numpy_helper as nh

from convc.onnx_io import from_bytes, to_bytes
from tests.conformance.cases import Case
from tests.conformance.judging import judge, judge_evaluator
from tests.conformance.outcome import Status
from tests.conformance.routes import Passage, Route
from tests.conformance.runtimes import CannotRunError, by_onnxruntime
from tests.conformance.values import difference
from tests.tiny import FLOAT, model, node

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1, 4, 12, 10)).astype(np.float32)
W = RNG.standard_normal((4, 4, 1, 1)).astype(np.float32)
MODEL = model([node("Conv", "x w", "c"), node("Relu", "c", "y")], {"w": W})
Y = np.maximum(np.einsum("nchw,kcij->nkhw", X.astype(np.float64), W), 0).astype(np.float32)


def case(outputs: list[Any], name: str = "made_up", data: bytes = MODEL) -> Case:
    return Case("node", name, data, [([X], outputs)], 1e-3, 1e-6)


def route(change: Callable[[ModelProto], None]) -> Route:
    def bring(data: bytes) -> Passage:
        changed = onnx.load_from_string(to_bytes(from_bytes(data)))
        change(changed)
        return Passage(changed.SerializeToString())

    return Route("changed", bring)


def scaled(changed: ModelProto) -> None:
    (weight,) = changed.graph.initializer
    weight.CopyFrom(nh.from_array(nh.to_array(weight) * np.float32(1.01), weight.name))


def without_relu(changed: ModelProto) -> None:
    changed.graph.node[1].op_type = "Identity"


def cast(changed: ModelProto) -> None:
    changed.graph.node[1].output[0] = "r"
    changed.graph.node.append(helper.make_node("Cast", ["r"], ["y"], to=TensorProto.DOUBLE))
    changed.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def flattened(changed: ModelProto) -> None:
    changed.graph.node[1].output[0] = "r"
    changed.graph.node.append(helper.make_node("Flatten", ["r"], ["y"], axis=1))


def nan(changed: ModelProto) -> None:
    changed.graph.node[1].op_type = "Log"


def refused(changed: ModelProto) -> None:
    changed.graph.node[1].op_type = "NoSuchOp"


def one_output_more(changed: ModelProto) -> None:
    changed.graph.output.append(helper.make_tensor_value_info("c", FLOAT, None))


def raising(_changed: ModelProto) -> None:
    raise RuntimeError("broken")


def test_the_same_model_passes() -> None:
    outcome = judge(case([Y]), route(lambda _: None))
    assert (outcome.status, outcome.detail) == (Status.PASSED, "")


@pytest.mark.parametrize(
    "change", [scaled, without_relu, cast, flattened, nan, refused, one_output_more, raising]
)
def test_a_wrong_model_fails(change: Callable[[ModelProto], None]) -> None:
    outcome = judge(case([Y]), route(change))
    assert outcome.status is Status.FAILED
    assert outcome.detail


def test_where_onnxruntime_disagrees_nothing_may_change_all_the_same() -> None:
    elsewhere = case([Y + 1])
    assert judge(elsewhere, route(lambda _: None)).status is Status.SKIPPED
    assert judge(elsewhere, route(scaled)).status is Status.FAILED
    assert judge(elsewhere, route(refused)).status is Status.FAILED


def test_what_onnxruntime_cannot_run_is_judged_by_onnx() -> None:
    double = onnx.load_from_string(model([node("Elu", "x", "y")]))
    for value in (*double.graph.input, *double.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    data, x = double.SerializeToString(), X.astype(np.float64)
    with pytest.raises(CannotRunError):
        by_onnxruntime(data, {"x": x})
    y = np.where(x > 0, x, np.expm1(x))
    made = Case("node", "elu", data, [([x], [y])], 1e-3, 1e-7)
    outcome = judge(made, route(lambda _: None))
    assert outcome.status is Status.BY_REFERENCE
    assert "no kernel" in outcome.reason

    def doubled(changed: ModelProto) -> None:
        changed.graph.node[0].attribute.append(helper.make_attribute("alpha", 2.0))

    assert judge(made, route(doubled)).status is Status.FAILED


def test_the_evaluator_is_judged_too() -> None:
    assert judge_evaluator(case([Y])).status is Status.PASSED
    assert judge_evaluator(case([Y * np.float32(1.01)])).status is Status.FAILED
    assert judge_evaluator(case([Y[:, :2]])).status is Status.FAILED
    assert judge_evaluator(case([Y.astype(np.int32)])).status is Status.FAILED


def test_an_op_with_a_kernel_may_not_be_refused() -> None:
    bad = model([node("DepthToSpace", "x", "y", blocksize=3)])
    assert judge_evaluator(case([Y], data=bad)).status is Status.FAILED
    strange = model([node("Mystery", "x", "y", domain="nowhere")], domains=["nowhere"])
    assert judge_evaluator(case([Y], data=strange)).status is Status.SKIPPED


A = np.array([[1.0, -2.0], [np.nan, np.inf]], np.float32)


@pytest.mark.parametrize(
    ("expected", "produced", "wrong"),
    [
        (A, A.copy(), ""),
        (A, A * np.float32(1.0009), ""),
        (A, A * np.float32(1.002), "2 of 4 values differ"),
        (A, A.astype(np.float64), "is float64"),
        (A, A[None], "has shape"),
        (A, np.nan_to_num(A), "2 of 4 values differ"),
        (A, -A, "3 of 4 values differ"),
        (np.array([1000]), np.array([1001]), "1 of 1 values differ"),
        (np.array(True), np.array(False), "1 of 1 values differ"),
        (np.array(["a", "b"], object), np.array(["a", "c"], object), "other strings"),
        (np.array(["a"], object), np.array(["a"], object), ""),
        ([A, A], [A, A], ""),
        ([A, A], [A, -A], "[1] 3 of 4"),
        ([A, A], [A], "no sequence of 2"),
        ([A], A, "no sequence of 1"),
        (None, None, ""),
        (None, A, "no value"),
        (A.astype(ml_dtypes.bfloat16), A.astype(ml_dtypes.bfloat16), ""),
        (np.ones(1, ml_dtypes.bfloat16), np.array([1.02], ml_dtypes.bfloat16), "1 of 1"),
        (np.ones(1, ml_dtypes.float8_e5m2), np.array([1.25], ml_dtypes.float8_e5m2), "1 of 1"),
        (np.ones(1, ml_dtypes.int4), np.array([2], ml_dtypes.int4), "1 of 1"),
    ],
)
def test_difference(expected: Any, produced: Any, wrong: str) -> None:
    found = difference(expected, produced, 1e-3, 1e-7)
    assert (wrong in found) if wrong else found == ""


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint2"])
def test_types_that_numpy_lacks_go_in_and_out(name: str) -> None:
    dtype = getattr(ml_dtypes, name)
    array = np.array([1, 0, 1, 1, 0], np.float32).astype(dtype)
    number = helper.np_dtype_to_tensor_dtype(array.dtype)
    ends = [helper.make_tensor_value_info(name, number, [5]) for name in ("x", "y")]
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["h"], ["y"], to=number),
    ]
    graph = helper.make_graph(nodes, "narrow", ends[:1], ends[1:])
    imports = [helper.make_opsetid("", 25)]
    data = helper.make_model(graph, opset_imports=imports, ir_version=13).SerializeToString()
    (result,) = by_onnxruntime(data, {"x": array})
    assert result.dtype == array.dtype
    assert difference(array, result, 0, 0) == ""
