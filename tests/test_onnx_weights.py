"""Weights and constants in every form that a file may have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convc.errors import InvalidModelError
from convc.ir import Array
from convc.onnx_io import from_bytes, load, to_bytes
from convc.reference import evaluate
from tests.onnx_helpers import (
    FLOAT,
    assert_same,
    checked,
    info,
    model,
    round_trip,
    run,
    session,
    weight,
)

X = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
NODE = helper.make_node

# -- Constant nodes ----------------------------------------------------------------------------

SPARSE = helper.make_sparse_tensor(
    weight("values", np.array([5, 7], np.float32)),
    weight("indices", np.array([1, 3], np.int64)),
    [2, 2],
)
CONSTANTS: dict[str, tuple[dict[str, Any], Array]] = {
    "value": ({"value": weight("t", X)}, X),
    "value scalar": ({"value": weight("t", np.float32(2))}, np.array(2, np.float32)),
    "value empty": ({"value": weight("t", np.zeros((0, 3), np.int64))}, np.zeros((0, 3), np.int64)),
    "value_float": ({"value_float": 0.5}, np.array(0.5, np.float32)),
    "value_floats": ({"value_floats": [0.5, 1.5]}, np.array([0.5, 1.5], np.float32)),
    "value_int": ({"value_int": -3}, np.array(-3)),
    "value_ints": ({"value_ints": [4, 5]}, np.array([4, 5])),
    "value_string": ({"value_string": "ab"}, np.array("ab", object)),
    "value_strings": ({"value_strings": ["ab", "ü"]}, np.array(["ab", "ü"], object)),
    "sparse_value": ({"sparse_value": SPARSE}, np.array([[0, 5], [0, 7]], np.float32)),
}


@pytest.mark.parametrize("form", CONSTANTS)
def test_a_constant_node_becomes_a_weight_in_whatever_form_it_comes(form: str) -> None:
    attributes, array = CONSTANTS[form]
    kind = helper.np_dtype_to_tensor_dtype(array.dtype) if array.dtype != object else 8
    made = checked(
        model(
            [NODE("Constant", [], ["c"], doc_string="why", **attributes),
             NODE("Identity", ["c"], ["y"])],
            [], [info("y", list(array.shape), kind)],
        )
    )  # fmt: skip
    graph = from_bytes(made.SerializeToString())
    (constant,) = (op for op in graph.ops() if op.kind == "Constant")
    assert constant.result.name == "c"
    assert constant.doc == "why"
    assert constant.array is not None
    assert constant.array.dtype == array.dtype
    assert texts(constant.array) == texts(array)
    after = round_trip(made)
    assert_same(run(after.SerializeToString(), {}), [array])
    if form != "sparse_value":  # onnxruntime takes sparse Constant nodes only when optimising
        round_trip(made, {})


def texts(array: Array) -> Any:
    if array.dtype != object:
        return array.tolist()
    return [v.decode() if isinstance(v, bytes) else v for v in array.reshape(-1)]


def test_a_constant_node_without_a_value_is_refused() -> None:
    made = model([NODE("Constant", [], ["y"])], [], [info("y", [1])])
    with pytest.raises(InvalidModelError, match=r"node 'y' \(Constant\) holds no value"):
        from_bytes(made.SerializeToString())


# -- initialisers ------------------------------------------------------------------------------


def with_default(ir: int) -> ModelProto:
    return model(
        [NODE("Mul", ["x", "w"], ["h"]), NODE("Add", ["h", "b"], ["y"])],
        [info("w", [2, 2]), info("x", [2, 2]), info("b", [2])],
        [info("y", [2, 2])],
        [weight("w", X), weight("b", np.array([1, 2], np.float32))],
        ir=ir,
    )


@pytest.mark.parametrize("ir", [3, 8])
def test_weights_that_are_inputs_become_constants(ir: int) -> None:
    made = with_default(ir)
    graph = from_bytes(made.SerializeToString())
    assert [v.name for v in graph.inputs] == ["x"]
    assert sorted(op.result.name for op in graph.ops() if op.kind == "Constant") == ["b", "w"]
    after = round_trip(made, {"x": X})
    assert [i.name for i in session(after.SerializeToString()).get_inputs()] == ["x"]
    assert session(after.SerializeToString()).get_overridable_initializers() == []


@pytest.mark.parametrize("ir", [3, 8])
def test_shapes_that_depend_on_such_weights_are_known(ir: int) -> None:
    made = model(
        [NODE("Reshape", ["x", "s"], ["y"])],
        [info("x", [2, 2]), info("s", [1], TensorProto.INT64)], [info("y", None)],
        [weight("s", np.array([4]))], ir=ir,
    )  # fmt: skip
    assert from_bytes(made.SerializeToString()).outputs[0].shape == (4,)


@pytest.mark.parametrize("ir", [3, 8])
def test_on_request_they_stay_inputs_with_their_default(ir: int, tmp_path: Path) -> None:
    made = with_default(ir)
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    graph = load(path, keep_initializer_inputs=True)
    graph.verify()
    assert [v.name for v in graph.inputs] == ["w", "x", "b"]
    assert graph.inputs[1].op.default is None
    assert graph.inputs[0].op.default is not None
    np.testing.assert_array_equal(graph.inputs[0].op.default, X)
    copy = graph.clone()
    for written in (to_bytes(graph), to_bytes(copy)):
        after = ModelProto.FromString(written)
        assert list(after.graph.input) == list(made.graph.input)
        assert {t.name for t in after.graph.initializer} == {"w", "b"}
        assert_same(run(written, {"x": X}), run(made.SerializeToString(), {"x": X}))
        fed = {"x": X, "w": 3 * X}
        # Below IR 4 onnxruntime takes no weight from outside, whatever the file lists.
        assert_same(run(written, fed), run(with_default(8).SerializeToString(), fed))
        assert [i.name for i in session(written).get_overridable_initializers()] == ["w", "b"]


def test_the_evaluator_takes_the_default_of_an_input_that_is_not_fed(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(with_default(8).SerializeToString())
    graph = load(path, keep_initializer_inputs=True)
    (result,) = evaluate(graph, {"x": X})
    np.testing.assert_array_equal(result, X * X + [1.0, 2.0])
    (result,) = evaluate(graph, {"x": X, "b": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(result, X * X)


@pytest.mark.parametrize("linear", [True, False])
def test_sparse_initialisers_become_dense_weights(linear: bool) -> None:
    indices = [1, 2] if linear else [[0, 1], [1, 0]]
    sparse = helper.make_sparse_tensor(
        weight("w", np.array([5, 7], np.float32)),
        weight("", np.array(indices, np.int64)),
        [2, 2],
    )
    made = model([NODE("Add", ["x", "w"], ["y"])], [info("x", [2, 2])], [info("y", [2, 2])])
    made.graph.sparse_initializer.append(sparse)
    after = round_trip(made, {"x": X})
    assert not after.graph.sparse_initializer
    np.testing.assert_array_equal(
        numpy_helper.to_array(after.graph.initializer[0]), [[0, 5], [7, 0]]
    )


@pytest.mark.parametrize(
    ("indices", "dims"), [([4], [2, 2]), ([[0, 2]], [2, 2]), ([0], [-1]), ([0], [2**60])]
)
def test_sparse_weights_with_bad_indices_are_refused(indices: Any, dims: list[int]) -> None:
    sparse = onnx.SparseTensorProto(dims=dims)
    sparse.values.CopyFrom(weight("w", np.array([5], np.float32)))
    sparse.indices.CopyFrom(weight("", np.array(indices, np.int64)))
    made = model([NODE("Neg", ["w"], ["y"])], [], [info("y", None)])
    made.graph.sparse_initializer.append(sparse)
    with pytest.raises(InvalidModelError, match="sparse weight 'w' is broken"):
        from_bytes(made.SerializeToString())


DTYPES = [
    np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64,
    np.uint8, np.uint16, np.uint32, np.uint64, np.bool_,
    ml_dtypes.bfloat16, ml_dtypes.int4, ml_dtypes.uint4,
    ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("shape", [(3, 5), (), (0, 2)], ids=str)
def test_weights_of_every_type_keep_their_bytes(dtype: Any, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    node, output = NODE("Shape", ["w"], ["y"]), info("y", [len(shape)], TensorProto.INT64)
    if kind in (TensorProto.INT4, TensorProto.UINT4):  # onnxruntime has hardly any op for these
        node, output = NODE("DequantizeLinear", ["w", "scale"], ["y"]), info("y", list(shape))
    weights = [weight("w", array), weight("scale", np.float32(0.5))]
    made = model([node], [], [output], weights, opset=21, ir=10)
    after = round_trip(made, {})
    tensor = after.graph.initializer[0]
    assert tensor.data_type == kind
    assert numpy_helper.to_array(tensor).tobytes() == array.tobytes()
    assert tensor.raw_data == made.graph.initializer[0].raw_data


def test_strings_go_through() -> None:
    array = np.array([["a", "ü"], ["", "long"]], object)
    made = checked(
        model(
            [NODE("Identity", ["w"], ["y"]), NODE("Identity", ["x"], ["z"])],
            [info("x", [2], TensorProto.STRING)],
            [info("y", [2, 2], TensorProto.STRING), info("z", [2], TensorProto.STRING)],
            [weight("w", array)],
        )
    )
    round_trip(made, {"x": np.array(["p", "q"], object)})


def test_typed_fields_instead_of_raw_data_are_read() -> None:
    made = model(
        [NODE("Add", ["x", "w"], ["y"]), NODE("Cast", ["h"], ["z"], to=FLOAT)],
        [info("x", [2, 2])],
        [info("y", [2, 2]), info("z", [2])],
        [
            helper.make_tensor("w", FLOAT, [2, 2], X.reshape(-1)),
            helper.make_tensor("h", TensorProto.FLOAT16, [2], [1.5, 2.5]),
        ],
    )
    assert not made.graph.initializer[0].HasField("raw_data")
    round_trip(checked(made), {"x": X})
