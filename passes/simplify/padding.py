"""Padding said in numbers, and said by the op that needs it.

- ``auto_pad`` becomes ``pads``, where sizes are numbers or the stride is 1. Elsewhere the pads
  depend on the size the model is run at, and ``auto_pad`` stays.
- A Pad of some axes (opset 18) becomes one of all. onnxruntime 1.32 takes the pads for those of
  all when it moves a Transpose past the Pad, and then fails, or pads other axes.
- ``Conv(Pad(x, P), pads=p) = Conv(x, pads=p + P)`` for zeros on spatial axes.
- ``AveragePool(Pad(x, P), pads=p) = AveragePool(x, pads=p + P, count_include_pad=1)`` if the
  pool counts its own pads, or has none: the zeros of the Pad are counted by every window.
- ``MaxPool(Pad(x, P), pads=p) = MaxPool(x, pads=p + P)`` if x is never negative and every window
  sees an element of x: the pool's own padding is −∞, and ``max(0, x) = max(−∞, x)`` needs both.

With ceil_mode the runtime drops a last window that would start in the padding: a Pad is data,
pads are not, so that the two could differ. Folded only where the windows fit without a rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convc.algebra.geometry import ConvGeometry
from convc.conv import conv_geometry, ints, pool_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Attribute, Dim, Op
from convc.opset import constant_ints
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes.simplify.common import constant_of, data_of, fed, made_by, remake, shape_of
from passes.simplify.identities import is_nonnegative

AUTOMATIC = ("SAME_UPPER", "SAME_LOWER", "VALID")


def explicit_pads(graph: Graph, op: Op) -> Rewrite:
    """``auto_pad`` as ``pads``."""
    mode = op.attributes.get("auto_pad", "NOTSET")
    if mode not in AUTOMATIC:
        raise NoMatch
    if op.kind == "ConvTranspose" and "output_shape" in op.attributes:
        raise NoMatch(f"{op.kind}: auto_pad with output_shape")
    if op.attributes.get("ceil_mode"):
        raise NoMatch(f"{op.kind}: auto_pad with ceil_mode")
    read = {"Conv": conv_geometry, "ConvTranspose": transpose_geometry}.get(op.kind, pool_geometry)
    geometry = read(op)
    if geometry is None:
        raise NoMatch(f"{op.kind}: auto_pad depends on a size that varies")
    if min(geometry.pads, default=0) < 0:
        raise NoMatch(f"{op.kind}: auto_pad would crop")
    attributes = {**op.attributes, "pads": geometry.pads}
    del attributes["auto_pad"]
    return remake(graph, op, {}, attributes, f"{op.kind}: auto_pad made explicit")


def pad_of_all_axes(graph: Graph, op: Op) -> Rewrite:
    """Pad without its operand that names axes."""
    if op.operand(3) is None:
        raise NoMatch
    axes, pads = constant_of(op, 3, "axes"), constant_of(op, 1, "pads")
    rank = len(shape_of(data_of(op)))
    full = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        full[axis % rank], full[axis % rank + rank] = pads[i], pads[i + len(axes)]
    built = Replacement(graph)
    fill = op.operand(2)
    operands = [built.take(data_of(op)), built.ints(full), fill and built.take(fill)]
    made = built.graph.add(
        "Pad",
        operands[: 2 if fill is None else 3],
        op.attributes,
        types=[op.result.type],
        names=[op.result.name],
        name=op.name,
        doc=op.doc,
        metadata=op.metadata,
    )
    return built.rewrite({op.result: made.result}, note="Pad: said for all axes")


def pad_into_conv(graph: Graph, op: Op) -> Rewrite:
    """Conv of a Pad."""
    pad = made_by(op.operand(0), "Pad")
    geometry = conv_geometry(op)
    if geometry is None:
        raise NoMatch("Pad before Conv: the Conv's auto_pad depends on a size that varies")
    begin, end = _zeros_around(graph, pad, geometry.ndim)
    attributes = _padded(op, geometry, begin, end)
    return remake(graph, op, {0: data_of(pad)}, attributes, "Pad before Conv: folded")


def pad_into_average(graph: Graph, op: Op) -> Rewrite:
    """AveragePool of a Pad."""
    pad, geometry, begin, end = _padded_pool(graph, op)
    if any(geometry.pads) and not op.attributes.get("count_include_pad"):
        raise NoMatch("Pad before AveragePool: its own pads are not counted, the Pad's are")
    if set(geometry.dilations) != {1}:
        raise NoMatch("Pad before AveragePool: dilated")
    if _sticks_out(shape_of(pad.result), geometry):
        raise NoMatch("Pad before AveragePool: a window is larger than the padded data")
    attributes = {**_padded(op, geometry, begin, end), "count_include_pad": 1}
    return remake(graph, op, {0: data_of(pad)}, attributes, "Pad before AveragePool: folded")


def pad_into_max(graph: Graph, op: Op) -> Rewrite:
    """MaxPool of a Pad."""
    pad, geometry, begin, end = _padded_pool(graph, op)
    if any(graph.is_used(result) for result in op.results[1:]):
        raise NoMatch("Pad before MaxPool: its indices are used")
    data = data_of(pad)
    if not is_nonnegative(graph, data):
        raise NoMatch("Pad before MaxPool: what is padded with zeros may be negative")
    # Pads are narrower than the kernel, so that every window spans an element; its taps are
    # `dilation` apart and hit one for sure if the data is at least as wide as that.
    for dim, dilation in zip(shape_of(data)[2:], geometry.dilations, strict=True):
        if dilation > 1 and not (isinstance(dim, int) and dim >= dilation):
            raise NoMatch("Pad before MaxPool: a dilated window may see only padding")
    attributes = _padded(op, geometry, begin, end)
    note = "Pad before MaxPool: folded"
    return remake(graph, op, {0: data}, attributes, note, frontier=fed(data.op))


def _padded_pool(graph: Graph, op: Op) -> tuple[Op, ConvGeometry, Sequence[int], Sequence[int]]:
    pad = made_by(op.operand(0), "Pad")
    geometry = pool_geometry(op)
    if geometry is None:
        raise NoMatch(f"Pad before {op.kind}: its auto_pad depends on a size that varies")
    begin, end = _zeros_around(graph, pad, geometry.ndim)
    total = zip(geometry.pads, (*begin, *end), geometry.kernel * 2, strict=True)
    if any(own + more >= k for own, more, k in total):
        raise NoMatch(f"Pad before {op.kind}: a window would see only padding")
    if op.attributes.get("ceil_mode") and not _fits(shape_of(data_of(op)), geometry):
        raise NoMatch(f"Pad before {op.kind}: ceil_mode")
    return pad, geometry, begin, end


def _sticks_out(shape: Sequence[Dim], geometry: ConvGeometry) -> bool:
    """True where data is shorter than a window, which a stride lets pass in onnxruntime.

    Of what sticks out nothing is counted, if the pool does not count its padding.
    """
    sizes = zip(shape[2:], geometry.pads_begin, geometry.pads_end, geometry.extent, strict=True)
    return any(isinstance(n, int) and n + begin + end < extent for n, begin, end, extent in sizes)


def _fits(shape: Sequence[Dim], geometry: ConvGeometry) -> bool:
    """True where the windows cover the padded data without a rest."""
    sizes = [dim for dim in shape[2:] if isinstance(dim, int)]
    if len(sizes) != geometry.ndim:
        return False
    room = zip(
        sizes, geometry.pads_begin, geometry.pads_end, geometry.extent, geometry.strides,
        strict=True,
    )  # fmt: skip
    return all((size + b + e - extent) % stride == 0 for size, b, e, extent, stride in room)


def _zeros_around(graph: Graph, pad: Op, ndim: int) -> tuple[Sequence[int], Sequence[int]]:
    """Begins and ends per spatial axis of a Pad that puts zeros around spatial axes only."""
    if pad.attributes.get("mode", "constant") != "constant":
        raise NoMatch("Pad before a window: not with zeros")
    if not _fills_zeros(graph, pad):
        raise NoMatch("Pad before a window: not with zeros")
    pads = constant_of(pad, 1, "pads")
    rank = ndim + 2
    axes = constant_ints(pad, 3, "axes") if pad.operand(3) is not None else tuple(range(rank))
    if axes is None or len(pads) != 2 * len(axes):
        raise NoMatch
    begin, end = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        begin[axis], end[axis] = pads[place], pads[place + len(axes)]
    if any((*begin[:2], *end[:2])):
        raise NoMatch("Pad before a window: pads the batch or the channels")
    if min(*begin, *end) < 0:
        raise NoMatch("Pad before a window: crops")
    return begin[2:], end[2:]


def _fills_zeros(graph: Graph, pad: Op) -> bool:
    if graph.header.opset < 11:
        return pad.attributes.get("value", 0.0) == 0
    value = pad.operand(2)
    if value is None:
        return True
    return value.array is not None and not np.any(value.array)


def _padded(
    op: Op, geometry: ConvGeometry, begin: Sequence[int], end: Sequence[int]
) -> dict[str, Attribute]:
    own = ints(op, "kernel_shape", ())
    attributes: dict[str, Attribute] = {**op.attributes}
    attributes.pop("auto_pad", None)
    attributes["pads"] = tuple(a + b for a, b in zip(geometry.pads, (*begin, *end), strict=True))
    if not own:
        attributes["kernel_shape"] = geometry.kernel
    return attributes
