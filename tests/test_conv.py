"""The geometry that passes see against what onnxruntime computes from the attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from onnx import helper

from convc.conv import (
    conv_geometry,
    geometry_attributes,
    group_of,
    ints,
    pool_geometry,
    transpose_attributes,
    transpose_geometry,
)
from convc.graph import Graph
from convc.ir import Array, Op, TensorType
from convc.kernels import KERNELS
from convc.onnx_io import from_bytes
from tests.onnx_helpers import info, model, run, weight

F32 = np.dtype(np.float32)
RNG = np.random.default_rng(0)


def made(kind: str, x: Array, w: Array | None, attributes: Mapping[str, Any]) -> bytes:
    names = ["x"] if w is None else ["x", "w"]
    node = helper.make_node(kind, names, ["y"], **attributes)
    weights = [] if w is None else [weight("w", w)]
    return model([node], [info("x", x.shape)], [info("y", None)], weights).SerializeToString()


def op_of(data: bytes, kind: str) -> Op:
    return next(op for op in from_bytes(data).ops() if op.kind == kind)


@st.composite
def attributes_of(draw: st.DrawFn, kind: str, rank: int) -> dict[str, Any]:
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    found: dict[str, Any] = {"kernel_shape": kernel}
    if draw(st.booleans()):
        found["strides"] = [draw(st.integers(1, 4)) for _ in range(rank)]
    if kind != "AveragePool" and draw(st.booleans()):
        found["dilations"] = [draw(st.integers(1, 2)) for _ in range(rank)]
    mode = draw(st.sampled_from((None, "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")))
    if mode is not None:
        found["auto_pad"] = mode
    if mode in (None, "NOTSET"):
        found["pads"] = [draw(st.integers(0, k - 1)) for k in kernel * 2]
    if kind == "ConvTranspose":
        strides = found.get("strides", [1] * rank)
        if draw(st.booleans()):
            found["output_padding"] = [draw(st.integers(0, s - 1)) for s in strides]
        if draw(st.booleans()):
            found.pop("pads", None)
            found["output_shape"] = [draw(st.integers(4, 20)) for _ in kernel]
    return found


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose", "MaxPool", "AveragePool"])
@settings(max_examples=400)
@given(data=st.data())
def test_explicit_numbers_compute_what_the_attributes_say(kind: str, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 2))
    attributes = data.draw(attributes_of(kind, rank))
    size = [data.draw(st.integers(4, 9)) for _ in range(rank)]
    x = RNG.integers(-8, 9, (1, 2, *size)).astype(np.float32)
    w = RNG.integers(-8, 9, (2, 2, *attributes["kernel_shape"])).astype(np.float32)
    given_weight = w if kind.startswith("Conv") else None
    model_bytes = made(kind, x, given_weight, attributes)
    try:
        (truth,) = run(model_bytes, {"x": x})
    except Exception:  # onnxruntime's errors share no base class
        assume(False)
    op = op_of(model_bytes, kind)
    if kind == "ConvTranspose":
        transposed = transpose_geometry(op)
        assert transposed is not None
        explicit = transpose_attributes(transposed)
        assert transposed.output_size(size) == truth.shape[2:]
    else:
        window = conv_geometry(op) if kind == "Conv" else pool_geometry(op)
        assert window is not None
        explicit = geometry_attributes(window)
        event("crops" if min(window.pads) < 0 else "pads" if any(window.pads) else "neither")
    if kind == "AveragePool" and "dilations" in explicit:
        del explicit["dilations"]  # all ones, and unknown to older opsets
    operands = (
        [x.astype(np.float64)] if given_weight is None else [x.astype(float), w.astype(float)]
    )
    result = KERNELS[kind](operands, explicit, 17)[0]
    # Sums of few small integers are exact in float32; an average is rounded once.
    np.testing.assert_allclose(result, truth, rtol=2.0**-23, atol=0)


@pytest.mark.parametrize(
    ("n", "stride", "mode", "reads"),
    [(8, 4, "SAME_UPPER", [1, 5]), (8, 4, "SAME_LOWER", [0, 4]), (7, 4, "SAME_UPPER", [0, 4])],
)
def test_a_stride_beyond_the_kernel_crops_as_onnxruntime_does(
    n: int, stride: int, mode: str, reads: list[int]
) -> None:
    x = np.arange(n, dtype=np.float32).reshape(1, 1, n)
    data = made("Conv", x, np.ones((1, 1, 1), np.float32), {"auto_pad": mode, "strides": [stride]})
    assert run(data, {"x": x})[0].reshape(-1).tolist() == reads
    geometry = conv_geometry(op_of(data, "Conv"))
    assert geometry is not None
    assert -geometry.pads_begin[0] == reads[0]


def graph_op(kind: str, shape: Any, weights: Any = None, **attributes: Any) -> Op:
    graph = Graph(sizes={"H": 9})
    values = [graph.add_input("x", TensorType(F32, shape))]
    if weights is not None:
        values.append(graph.add_input("w", TensorType(F32, weights)))
    return graph.add(kind, values, attributes)


def test_same_padding_at_stride_one_needs_no_size() -> None:
    for shape in ((1, 2, "H"), (1, 2, None), None):
        geometry = conv_geometry(graph_op("Conv", shape, (2, 2, 4), auto_pad="SAME_UPPER"))
        assert geometry is not None
        assert (geometry.pads_begin, geometry.pads_end) == ((1,), (2,))


def test_same_padding_with_a_stride_needs_a_fixed_size() -> None:
    options: dict[str, Any] = {"auto_pad": "SAME_UPPER", "strides": (2,)}
    assert conv_geometry(graph_op("Conv", (1, 2, "H"), (2, 2, 3), **options)) is None
    assert conv_geometry(graph_op("Conv", None, (2, 2, 3), **options)) is None
    assert conv_geometry(graph_op("Conv", (1, 2, 9), (2, 2, 3), **options)) is not None
    assert pool_geometry(graph_op("MaxPool", (1, 2, "H"), kernel_shape=(3,), **options)) is None


def test_output_shape_needs_a_fixed_size() -> None:
    options: dict[str, Any] = {"strides": (2,), "output_shape": (18,)}
    assert transpose_geometry(graph_op("ConvTranspose", (1, 2, "H"), (2, 2, 3), **options)) is None
    whole = graph_op("ConvTranspose", (1, 2, 9), (2, 2, 3), strides=(2,), output_shape=(1, 2, 18))
    geometry = transpose_geometry(whole)
    assert geometry is not None
    assert geometry.output_size((9,)) == (18,)


def test_output_shape_has_a_size_for_each_axis() -> None:
    for more in ({"output_shape": (18,)}, {"output_padding": (0,)}):
        op = graph_op("ConvTranspose", (1, 2, 9, 9), (2, 2, 3, 3), strides=(2, 2), **more)
        assert transpose_geometry(op) is None


def test_the_kernel_is_read_from_the_weight_or_else_from_the_attribute() -> None:
    geometry = conv_geometry(graph_op("Conv", (1, 2, 9), (2, 2, 3)))
    assert geometry is not None
    assert geometry.kernel == (3,)
    unknown = graph_op("Conv", (1, 2, 9), None, kernel_shape=(5,))
    found = conv_geometry(unknown)
    assert found is not None
    assert found.kernel == (5,)
    assert conv_geometry(graph_op("Conv", (1, 2, 9), (2, 2, "K"))) is None
    assert conv_geometry(graph_op("Conv", (1, 2, 9))) is None
    assert transpose_geometry(graph_op("ConvTranspose", (1, 2, 9))) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": (1, 1)},
        {"pads": (1,)},
        {"pads": (1, 1, 1)},
        {"strides": (0,)},
        {"dilations": (0,)},
        {"dilations": (1, 1), "auto_pad": "SAME_UPPER"},
        {"strides": (1, 1), "auto_pad": "SAME_LOWER"},
        {"strides": (1, 1), "auto_pad": "VALID"},
        {"dilations": (), "strides": ()},
    ],
)
def test_invalid_attributes_have_no_geometry(attributes: dict[str, Any]) -> None:
    assert conv_geometry(graph_op("Conv", (1, 2, 9), (2, 2, 3), **attributes)) is None
    assert transpose_geometry(graph_op("ConvTranspose", (1, 2, 9), (2, 2, 3), **attributes)) is None


def test_attributes_of_the_wrong_type_count_as_absent() -> None:
    op = graph_op("Conv", (1, 2, 9), (2, 2, 3), group="2", strides=3)
    assert group_of(op) == 1
    assert ints(op, "strides", (7,)) == (7,)
    assert group_of(graph_op("Conv", (1, 2, 9), (2, 2, 3), group=2)) == 2
