"""The shape and cost rules against what onnxruntime really returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from convc.graph import Graph
from convc.ir import Array, Op, TensorType
from convc.onnx_io import from_bytes
from convc.opset import OPS, infer_types, is_linear, macs
from tests.onnx_helpers import info, model, session, weight

F32 = np.dtype(np.float32)
NODE = helper.make_node


@dataclass(frozen=True)
class Case:
    """One op on an input ``x`` with some named dims, and its weights."""

    kind: str
    shape: tuple[int, ...]
    weights: tuple[Array, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17
    open: tuple[int, ...] = ()
    """Axes that have a name instead of a size."""


def check(case: Case) -> bool:
    """The inferred shape says what onnxruntime returns, at the sizes given and at others.

    False where onnxruntime does not run the op.
    """
    dims = [f"d{axis}" if axis in case.open else n for axis, n in enumerate(case.shape)]
    names = [f"w{i}" for i in range(len(case.weights))]
    made = model(
        [NODE(case.kind, ["x", *names], ["y"], **case.attributes)],
        [info("x", dims)], [info("y", None)],
        [weight(n, w) for n, w in zip(names, case.weights, strict=True)], opset=case.opset,
    )  # fmt: skip
    data = made.SerializeToString()
    sizes = {f"d{axis}": case.shape[axis] for axis in case.open}
    runtime = session(data)
    truth = run(runtime, case.shape)
    if truth is None:
        return False
    graph = from_bytes(data, sizes)
    op = next(op for op in graph.ops() if op.kind == case.kind)
    op.result.type = None
    (inferred,) = infer_types(graph, op)
    assert isinstance(inferred, TensorType)
    assert inferred.dtype == F32
    assert inferred.shape is not None
    op.result.type = inferred
    assert graph.concrete_shape(op.result) == truth
    if not case.open:
        assert inferred.shape == truth
    for step in (1, 2, 13):
        other = tuple(n + step * (axis in case.open) for axis, n in enumerate(case.shape))
        moved = run(runtime, other)
        if moved is None:
            continue
        for dim, size in zip(inferred.shape, moved, strict=True):
            if isinstance(dim, int):
                assert size == dim
            elif dim in sizes:
                assert size == other[int(dim[1:])], f"{dim} was taken to be unchanged"
    return True


def run(runtime: Any, shape: Sequence[int]) -> tuple[int, ...] | None:
    try:
        return tuple(runtime.run(None, {"x": np.zeros(shape, np.float32)})[0].shape)
    except Exception:  # onnxruntime's errors share no base class
        return None


def opened(draw: st.DrawFn, axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(draw(st.sets(st.sampled_from(list(axes))))) if axes else ()


@st.composite
def windows(draw: st.DrawFn, kind: str) -> Case:
    rank = draw(st.integers(1, 3 if kind == "Conv" else 2))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    sizes = [draw(st.integers(4, 9)) for _ in range(rank)]
    attributes: dict[str, Any] = {"kernel_shape": kernel}
    if draw(st.booleans()):
        attributes["strides"] = [draw(st.integers(1, 3)) for _ in range(rank)]
    if kind in ("Conv", "ConvTranspose") and draw(st.booleans()):
        attributes["dilations"] = [draw(st.integers(1, 2)) for _ in range(rank)]
    mode = draw(st.sampled_from(("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", "")))
    if mode:
        attributes["auto_pad"] = mode
    if mode in ("NOTSET", ""):
        most = 1 if "Pool" in kind else 2
        pads = [draw(st.integers(0, min(most, k - 1) if "Pool" in kind else most)) for k in kernel]
        attributes["pads"] = pads + [draw(st.integers(0, p)) for p in pads]
    group = draw(st.sampled_from((1, 2))) if "Conv" in kind else 1
    attributes |= {"group": group} if "Conv" in kind and group > 1 else {}
    channels = 4 // group
    weights: dict[str, tuple[Array, ...]] = {
        "Conv": (np.zeros((6, channels, *kernel), np.float32),),
        "ConvTranspose": (np.zeros((4, 3, *kernel), np.float32),),
    }
    # onnxruntime gives SAME another meaning where kernels are dilated or have even pads to share.
    if kind == "ConvTranspose" and mode.startswith("SAME"):
        attributes.pop("dilations", None)
    open_axes = opened(draw, [0, *range(2, rank + 2)])
    if mode.startswith("SAME") and "strides" in attributes:
        open_axes = tuple(axis for axis in open_axes if axis == 0)
    return Case(kind, (2, 4, *sizes), weights.get(kind, ()), attributes, open=open_axes)


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose", "MaxPool", "AveragePool"])
@settings(max_examples=80)
@given(data=st.data())
def test_windows(kind: str, data: st.DataObject) -> None:
    assume(check(data.draw(windows(kind))))


@settings(max_examples=60)
@given(st.data())
def test_slices(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    bound = st.one_of(st.integers(-7, 7), st.sampled_from((2**31 - 1, 2**63 - 1, -(2**31))))
    starts = [data.draw(st.integers(-7, 7)) for _ in axes]
    ends = [data.draw(bound) for _ in axes]
    steps = [data.draw(st.integers(1, 3)) for _ in axes]
    signed = [axis - len(shape) * data.draw(st.integers(0, 1)) for axis in axes]
    weights = tuple(np.array(v) for v in (starts, ends, signed, steps))
    assert check(Case("Slice", shape, weights, open=opened(data.draw, range(len(shape)))))


def test_a_slice_with_a_limit_is_no_identity_of_an_open_dim() -> None:
    graph = Graph(sizes={"N": 5})
    x = graph.add_input("x", TensorType(F32, ("N",)))
    for end, kept in ((2000, False), (2**31 - 1, True), (2**63 - 1, True)):
        operands = [x, *(graph.add_constant(np.array([v])) for v in (0, end, 0))]
        (type_,) = infer_types(graph, graph.add("Slice", operands))
        assert isinstance(type_, TensorType)
        assert (type_.shape == ("N",)) is kept


@settings(max_examples=60)
@given(st.data())
def test_reshapes(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    open_axes = opened(data.draw, range(len(shape)))
    kind = data.draw(st.sampled_from(("copy", "flat", "split", "back")))
    split = data.draw(st.integers(0, len(shape)))
    target = {
        "copy": [0] * len(shape),
        "flat": [-1],
        "split": [*([0] * min(split, len(shape))), -1],
        "back": [*([0] * max(len(shape) - 1, 0)), -1, 1],
    }[kind]
    assert check(Case("Reshape", shape, (np.array(target),), open=open_axes))


@pytest.mark.parametrize(
    "case",
    [
        Case("Reshape", (2, 6), (np.array([3, 4]),)),
        Case("Reshape", (2, 6), (np.array([0, 2, -1]),), open=(0,)),
        Case("Reshape", (2, 6), (np.array([-1, 3]),), open=(0,)),
        Case("Reshape", (2, 6, 5), (np.array([0, -1]),), open=(0, 2)),
        Case("Flatten", (2, 3, 4)),
        Case("Flatten", (2, 3, 4), attributes={"axis": 0}),
        Case("Flatten", (2, 3, 4), attributes={"axis": 3}),
        Case("Flatten", (2, 3, 4), attributes={"axis": -1}, open=(0, 2)),
        Case("Flatten", (2, 3, 1), attributes={"axis": 1}, open=(1,)),
        Case("Transpose", (2, 3, 4), attributes={"perm": [2, 0, 1]}, open=(1,)),
        Case("Transpose", (2, 3, 4), open=(0,)),
        Case("Pad", (2, 3), (np.array([1, 0, 2, 0]),), open=(0, 1)),
        Case("Pad", (4, 3), (np.array([-1, 0, 1, 0]),), open=(0,)),
        Case("Pad", (2, 3), attributes={"pads": [0, 1, 0, 2]}, opset=10),
        Case("Slice", (5, 3), attributes={"starts": [1], "ends": [9]}, opset=9, open=(0,)),
        Case("GlobalAveragePool", (2, 3, 4, 5), open=(0, 2)),
        Case("GlobalMaxPool", (2, 3, 4)),
        Case("MatMul", (2, 3, 4), (np.zeros((4, 5), np.float32),), open=(0, 1)),
        Case("MatMul", (3, 4), (np.zeros((7, 4, 5), np.float32),), open=(0,)),
        Case("MatMul", (1, 3, 4), (np.zeros((7, 4, 5), np.float32),)),
        Case("MatMul", (2, 1, 3, 4), (np.zeros((7, 4, 5), np.float32),)),
        Case("Gemm", (3, 4), (np.zeros((4, 5), np.float32),), open=(0,)),
        Case("Gemm", (4, 3), (np.zeros((5, 4), np.float32),), {"transA": 1, "transB": 1}, 17, (1,)),
        Case("Concat", (2, 3), (np.zeros((2, 4), np.float32),), {"axis": 1}, open=(1,)),
        Case("Concat", (2, 3), (np.zeros((1, 3), np.float32),), {"axis": -2}),
        Case("Concat", (2, 3), (), {"axis": 0}, open=(0, 1)),
        Case("Add", (2, 3), (np.zeros((4, 1, 3), np.float32),), open=(0,)),
        Case("Mul", (1, 3), (np.zeros((4, 1), np.float32),)),
        Case("Sub", (2, 3), (np.zeros((), np.float32),), open=(0, 1)),
        Case("Max", (2, 1), (np.zeros((3,), np.float32), np.zeros((4, 1, 1), np.float32))),
        Case("Relu", (2, 0, 3), open=(0,)),
        Case("Softmax", (2, 3), open=(0,)),
        Case("Clip", (2, 3)),
    ],
    ids=lambda c: f"{c.kind}-{c.shape}-{dict(c.attributes)}",
)  # fmt: skip
def test_other_shapes(case: Case) -> None:
    assert check(case)


def op_with(kind: str, *operands: TensorType | Array | None, **attributes: Any) -> tuple[Graph, Op]:
    graph = Graph(sizes={"N": 2, "H": 10})
    values = [
        None if o is None
        else graph.add_constant(o) if isinstance(o, np.ndarray)
        else graph.add_input(f"x{i}", o)
        for i, o in enumerate(operands)
    ]  # fmt: skip
    op = graph.add(kind, values, attributes)
    op.result.type = infer_types(graph, op)[0]
    return graph, op


@pytest.mark.parametrize(
    ("kind", "operands", "attributes"),
    [
        ("Foo", [TensorType(F32, (1,))], {}),
        ("Resize", [TensorType(F32, (1, 3, 4, 4))], {}),
        ("Relu", [None], {}),
    ],
)
def test_without_a_rule_nothing_is_said(kind: str, operands: list[Any], attributes: Any) -> None:
    graph, op = op_with(kind, *operands, **attributes)
    assert infer_types(graph, op) == (None,)


@pytest.mark.parametrize(
    ("kind", "operands", "attributes"),
    [
        ("Relu", [TensorType(F32, None)], {}),
        ("Conv", [TensorType(F32, None), np.zeros((1, 1, 3, 3), np.float32)], {}),
        ("Conv", [TensorType(F32, (1, 1, "H", 4)), np.zeros((1, 1, 3, 3), np.float32)],
         {"auto_pad": "SAME_UPPER", "strides": (2, 2)}),
        ("MaxPool", [TensorType(F32, (1, 1, 5, 5))], {"kernel_shape": (2, 2), "ceil_mode": 1}),
        ("Reshape", [TensorType(F32, (2, 3)), TensorType(np.dtype(np.int64), (2,))], {}),
        ("Reshape", [TensorType(F32, (2, None)), np.array([-1])], {}),
        ("Reshape", [TensorType(F32, (2, 0)), np.array([0, -1])], {"allowzero": 1}),
        ("Slice", [TensorType(F32, (5,)), np.array([4]), np.array([0]), np.array([0]),
                   np.array([-1])], {}),
        ("Slice", [TensorType(F32, (5,)), TensorType(np.dtype(np.int64), (1,)), np.array([0])], {}),
        ("Pad", [TensorType(F32, (5,)), TensorType(np.dtype(np.int64), (2,))], {}),
        ("Pad", [TensorType(F32, (5,)), np.array([1, 1]), None, np.array([0])], {}),
        ("MatMul", [TensorType(F32, (5,)), np.zeros((5, 2), np.float32)], {}),
        ("Add", [TensorType(F32, (5,)), TensorType(F32, None)], {}),
        ("Concat", [TensorType(F32, (5,)), TensorType(F32, None)], {"axis": 0}),
    ],
)  # fmt: skip
def test_what_a_shape_depends_on_must_be_known(
    kind: str, operands: list[Any], attributes: Any
) -> None:
    _, op = op_with(kind, *operands, **attributes)
    assert op.result.type == TensorType(F32, None)


def test_a_dim_without_a_size_gives_a_dim_without_a_name() -> None:
    data = TensorType(F32, (None, 1, None, "K"))
    _, op = op_with("Conv", data, np.zeros((4, 1, 3, 1), np.float32))
    assert op.result.shape == (None, 4, None, "K")
    graph, op = op_with("Concat", TensorType(F32, ("N",)), TensorType(F32, ("K",)), axis=0)
    assert op.result.shape == (None,)
    assert graph.concrete_shape(op.result) is None


def test_two_equal_ops_make_two_dims_of_one_size() -> None:
    graph, op = op_with("Concat", TensorType(F32, ("N",)), TensorType(F32, ("H",)), axis=0)
    assert op.result.shape is not None
    (dim,) = op.result.shape
    assert isinstance(dim, str)
    assert graph.sizes[dim] == 12


@pytest.mark.parametrize(
    ("kind", "operands", "attributes", "wanted"),
    [
        # K·C/g·kh·kw for each of the N·oh·ow outputs, padded zeros counted.
        ("Conv", [TensorType(F32, (2, 4, 5, 6)), np.zeros((8, 4, 3, 3), np.float32)],
         {"pads": (1, 1, 1, 1)}, 2 * 8 * 5 * 6 * 4 * 9),
        ("Conv", [TensorType(F32, (2, 4, 5, 6)), np.zeros((8, 2, 3, 3), np.float32)],
         {"group": 2, "strides": (2, 2)}, 2 * 8 * 2 * 2 * 2 * 9),
        ("Conv", [TensorType(F32, ("N", 4, "H")), np.zeros((8, 4, 3), np.float32)],
         {}, 2 * 8 * 8 * 4 * 3),
        ("ConvTranspose", [TensorType(F32, (2, 4, 5, 6)), np.zeros((4, 3, 2, 2), np.float32)],
         {"strides": (2, 2)}, 2 * 4 * 5 * 6 * 3 * 4),
        ("ConvTranspose", [TensorType(F32, (1, 4, 5)), np.zeros((4, 3, 2), np.float32)],
         {"group": 2}, 4 * 5 * 3 * 2),
        ("Gemm", [TensorType(F32, (3, 4)), np.zeros((4, 5), np.float32)], {}, 3 * 4 * 5),
        ("Gemm", [TensorType(F32, (4, 3)), np.zeros((5, 4), np.float32)],
         {"transA": 1, "transB": 1}, 3 * 4 * 5),
        ("MatMul", [TensorType(F32, (2, "N", 4)), np.zeros((4, 5), np.float32)], {}, 2 * 2 * 4 * 5),
        ("MatMul", [TensorType(F32, (1, 3, 4)), np.zeros((7, 4, 5), np.float32)], {},
         7 * 3 * 4 * 5),
        ("Relu", [TensorType(F32, (2, 3))], {}, 0),
        ("Foo", [TensorType(F32, (2, 3))], {}, 0),
        ("Conv", [TensorType(F32, (2, 4, None)), np.zeros((8, 4, 3), np.float32)], {}, None),
        ("MatMul", [TensorType(F32, ("K", 4)), np.zeros((4, 5), np.float32)], {}, None),
        ("Gemm", [TensorType(F32, None), np.zeros((4, 5), np.float32)], {}, None),
        ("ConvTranspose", [TensorType(F32, (2, 4, None)), np.zeros((4, 3, 2), np.float32)], {},
         None),
    ],
)  # fmt: skip
def test_macs(kind: str, operands: list[Any], attributes: Any, wanted: int | None) -> None:
    graph, op = op_with(kind, *operands, **attributes)
    assert macs(graph, op) == wanted


def test_ops_of_other_domains_are_not_what_their_name_says() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (1, 1, 4, 4)))
    w = graph.add_constant(np.zeros((1, 1, 3, 3), np.float32))
    mine, other = graph.add("Conv", (x, w)), graph.add("Conv", (x, w), domain="other")
    assert is_linear(mine)
    assert not is_linear(other)
    assert infer_types(graph, other) == (None,)
    assert macs(graph, other) == 0


def test_only_the_first_result_is_inferred() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (1, 1, 4, 4)))
    op = graph.add("MaxPool", (x,), {"kernel_shape": (2, 2)}, types=(None, None))
    assert infer_types(graph, op) == (TensorType(F32, (1, 1, 3, 3)), None)


LINEAR = {"Conv", "ConvTranspose", "Gemm", "MatMul", "AveragePool", "GlobalAveragePool", "Add",
          "BatchNormalization", "Identity", "Pad", "Slice", "Reshape", "Transpose"}  # fmt: skip
NOT_LINEAR = {"Relu", "MaxPool", "Sigmoid", "Softmax", "Abs", "Max", "Clip", "GlobalMaxPool"}


def test_linear_ops_are_known_and_others_are_not_taken_for_linear() -> None:
    assert all(OPS[kind].linear for kind in LINEAR)
    assert not any(OPS[kind].linear for kind in NOT_LINEAR)


@settings(max_examples=40)
@given(st.data())
def test_broadcasts(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    other = [data.draw(st.sampled_from((1, n))) for n in shape]
    cut = data.draw(st.integers(0, len(shape)))
    kind = data.draw(st.sampled_from(("Add", "Sub", "Mul", "Div", "Min")))
    open_axes = [a for a, n in enumerate(shape) if a < cut or other[a] == 1]
    case = Case(kind, tuple(shape), (np.ones(other[cut:], np.float32),),
                open=opened(data.draw, open_axes))  # fmt: skip
    assert check(case)


def test_a_product_of_two_values_is_linear_in_neither() -> None:
    def last(kind: str, *operands: str) -> Op:
        nodes = [NODE("Relu", ["x"], ["h"]), NODE(kind, list(operands), ["y"])]
        weights = [weight("w", np.ones((3, 3), np.float32))]
        made = model(nodes, [info("x", [3, 3])], [info("y", [3, 3])], weights)
        return from_bytes(made.SerializeToString()).outputs[0].op

    assert is_linear(last("Mul", "h", "w"))
    assert is_linear(last("MatMul", "w", "h"))
    assert is_linear(last("Add", "h", "x"))
    assert is_linear(last("Div", "h", "w"))
    assert not is_linear(last("Div", "w", "h"))
    for kind in ("Mul", "Div", "MatMul"):
        assert not is_linear(last(kind, "h", "x"))
        assert not is_linear(last(kind, "h", "h"))
