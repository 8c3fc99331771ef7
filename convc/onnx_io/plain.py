"""Windows and sizes said in the way that shape inference understands.

Inference, onnx's as well as onnxruntime's own, takes two attributes for what they are not, and
multiplies more precisely than runtimes do (see `convc.onnx_io.mistakes`). A wrong size does no harm
while nothing disagrees with it; a constant of the right size beside it is refused, and
onnxruntime's optimiser believes it. So where sizes are fixed the same is said in another way:

- ``output_shape`` of a ConvTranspose as the pads that it stands for,
- ``ceil_mode`` of a pool whose last window would start in the padding, and is left out, as the
  padding at the end with which the windows fit,
- scales of a Resize as the sizes that they give, where these give the same scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import ge, gt

import numpy as np

from convc.algebra.pooling import pooled_size
from convc.conv import pool_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Attribute, Op, TensorType, Type, Value
from convc.onnx_io.windows import POOLS

Attributes = Mapping[str, Attribute]
EMPTY_SCALES = range(11, 13)
"""Opsets in which a Resize by sizes has scales, without any; later ones leave them out."""


def plain_attributes(op: Op) -> Attributes:
    """The attributes of ``op``, or others that say the same where inference gets these wrong."""
    if op.domain:
        return op.attributes
    if op.kind == "ConvTranspose" and op.attributes.get("output_shape"):
        return _padded(op) or op.attributes
    if op.kind in POOLS and op.attributes.get("ceil_mode"):
        return _floored(op) or op.attributes
    return op.attributes


def plain_operands(graph: Graph, op: Op, result: Type) -> tuple[Value | None, ...]:
    """The operands of ``op``, or those of a Resize by sizes where inference gets its scales wrong.

    Args:
        graph: gets the constants.
        op: not part of it yet.
        result: the type of its first result, as runtimes have it.
    """
    sizes = _sizes(op, result) if op.kind == "Resize" and not op.domain else None
    if sizes is None:
        return op.operands
    empty = graph.header.opset in EMPTY_SCALES
    scales = graph.add_constant(np.empty(0, np.float32)) if empty else None
    return (*op.operands[:2], scales, graph.add_constant(np.array(sizes)))


def _sizes(op: Op, result: Type) -> tuple[int, ...] | None:
    """The sizes that scales give in single precision, if not in double, and that give the scales.

    10 · 1.3 is 13 in single precision and below 13 in double.
    """
    data, scales = op.operand(0), op.operand(2)
    if data is None or scales is None or scales.op.array is None or op.operand(3) is not None:
        return None  # by sizes, or before opset 11
    before = data.shape or ()
    after = (result.shape or ()) if isinstance(result, TensorType) else ()
    factors = scales.op.array.reshape(-1).astype(np.float64)
    cropped = op.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    if cropped or not len(before) == len(after) == factors.size or "axes" in op.attributes:
        return None
    old = [size for size in before if isinstance(size, int) and size]
    new = [size for size in after if isinstance(size, int)]
    if not len(old) == len(new) == factors.size:
        return None
    told = np.floor(factors * old)
    same = np.divide(new, old, dtype=np.float32) == factors
    return tuple(new) if (told != new).any() and same.all() else None


def _padded(op: Op) -> Attributes | None:
    """``output_shape`` as pads; what it asks for beyond the full extent is ``output_padding``."""
    geometry = transpose_geometry(op)
    if geometry is None:
        return None
    end = geometry.pads_end
    beyond = [own - min(pad, 0) for own, pad in zip(geometry.output_padding, end, strict=True)]
    steps = map(max, geometry.strides, geometry.dilations)
    if any(extra >= step for extra, step in zip(beyond, steps, strict=True) if extra):
        return None  # more than ONNX has an output_padding for
    kept = {k: v for k, v in op.attributes.items() if k not in ("auto_pad", "output_shape")}
    said = {
        "pads": (*geometry.pads_begin, *(max(pad, 0) for pad in end)),
        "output_padding": tuple(beyond),
    }
    return {**kept, **said, "kernel_shape": geometry.kernel}


def _floored(op: Op) -> Attributes | None:
    """A pool without ``ceil_mode``, where inference counts a window that there is not."""
    geometry, data = pool_geometry(op), op.operand(0)
    if geometry is None or data is None or data.shape is None:
        return None
    sizes = tuple(dim for dim in data.shape[2:] if isinstance(dim, int))
    if len(sizes) != geometry.ndim or op.attributes.get("auto_pad", "NOTSET") not in (
        "NOTSET",
        "VALID",
    ):
        return None
    counts = pooled_size(geometry, sizes, ceil_mode=True)
    reach = [
        (count - 1) * stride + extent - size - begin
        for count, stride, extent, size, begin in zip(
            counts, geometry.strides, geometry.extent, sizes, geometry.pads_begin, strict=True
        )
    ]  # how far the last window reaches into the padding at the end
    if all(map(ge, reach, geometry.pads_end)):
        return None  # no window is left out: inference is right
    # Pads are smaller than the kernel, so less than a stride of them lies behind the last window.
    ends = tuple(map(max, geometry.pads_end, reach))
    further = any(map(gt, ends, geometry.pads_end))
    if further and (op.attributes.get("count_include_pad") or any(map(ge, ends, geometry.kernel))):
        return None
    kept = {k: v for k, v in op.attributes.items() if k not in ("auto_pad", "ceil_mode")}
    return {**kept, "pads": (*geometry.pads_begin, *ends)}
