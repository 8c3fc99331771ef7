"""The reference of these tests means the same by its attributes as onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from convc.algebra import ConvGeometry, TransposeGeometry
from convc.algebra.geometry import Geometry
from tests.algebra.naive import apply
from tests.algebra.strategies import kernel_for

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(x: np.ndarray, w: np.ndarray, b: np.ndarray, geometry: Geometry) -> np.ndarray:
    kind, extra = "Conv", {}
    if isinstance(geometry, TransposeGeometry):
        kind, extra = "ConvTranspose", {"output_padding": geometry.output_padding}
    node = onnx.helper.make_node(
        kind,
        ["x", "w", "b"],
        ["y"],
        strides=geometry.strides,
        dilations=geometry.dilations,
        pads=geometry.pads,
        group=geometry.group,
        **extra,
    )
    feeds = {name: value.astype(np.float32) for name, value in (("x", x), ("w", w), ("b", b))}
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape)
        for name, value in feeds.items()
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "one", inputs, [output]),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, feeds)[0])


@pytest.mark.parametrize(
    "geometry",
    [
        ConvGeometry((3,), (2,), (2,), (1,), (3,), 2),
        ConvGeometry((3, 2), (2, 1), (1, 3), (0, 2), (3, 1), 2),
        ConvGeometry((2, 3, 1), (1, 2, 2), (2, 1, 1), (0, 2, 0), (1, 0, 1), 4),
        TransposeGeometry((3,), (2,), (2,), (1,), (0,), (1,), 2),
        TransposeGeometry((3, 2), (2, 3), (1, 3), (0, 2), (3, 1), (1, 2), 2),
        TransposeGeometry((2, 3, 1), (1, 2, 2), (2, 1, 1), (0, 2, 0), (1, 0, 0), (0, 1, 0), 4),
    ],
)
def test_reference_agrees_with_onnxruntime(geometry: Geometry) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, *(9, 7, 5)[: geometry.ndim]))
    w, b = kernel_for(geometry, 4, 8, rng), rng.standard_normal(8)
    expected = apply(x, w, b, geometry)
    # At most 100 products of a few units each: float32 keeps 1e-4 with room.
    np.testing.assert_allclose(run(x, w, b, geometry), expected, rtol=0, atol=1e-4)
