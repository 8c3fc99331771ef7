"""The geometry of Conv, ConvTranspose and pooling ops, read from their attributes.

All the ways in which ONNX says the same (defaults, ``auto_pad``, ``output_shape``) end here, so
that the passes see numbers only. Where onnxruntime leaves the specification of ``auto_pad``, the
numbers are onnxruntime's: that is what the user's model computes.
"""

from __future__ import annotations

from collections.abc import Sequence

from convc.algebra.geometry import ConvGeometry, TransposeGeometry
from convc.ir import Attribute, Dim, Op, Value


def ints(op: Op, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """A list of integers among the attributes of ``op``."""
    value = op.attributes.get(name)
    return tuple(int(i) for i in value) if isinstance(value, tuple) else tuple(default)


def group_of(op: Op) -> int:
    """The ``group`` attribute, 1 by default."""
    value = op.attributes.get("group", 1)
    return value if isinstance(value, int) else 1


def conv_geometry(op: Op) -> ConvGeometry | None:
    """The geometry of a Conv; None where it is invalid or a size it depends on is unknown."""
    kernel = _kernel(op)
    return None if kernel is None else _window(op, kernel, group_of(op), conv=True)


def pool_geometry(op: Op) -> ConvGeometry | None:
    """The window of a pooling op (``ceil_mode`` is not part of it); None as for a Conv."""
    return _window(op, ints(op, "kernel_shape", ()), 1, conv=False)


def transpose_geometry(op: Op) -> TransposeGeometry | None:
    """The geometry of a ConvTranspose; None where a size it depends on is unknown."""
    kernel = _kernel(op)
    if kernel is None:
        return None
    rank = len(kernel)
    if not _is_of_rank(op.operand(0), rank):
        return None
    ones = (1,) * rank
    strides, dilations = ints(op, "strides", ones), ints(op, "dilations", ones)
    extra = ints(op, "output_padding", (0,) * rank)
    begin, end = _explicit_pads(op, rank)
    mode = op.attributes.get("auto_pad", "NOTSET")
    wanted = ints(op, "output_shape", ())[-rank:]
    if not _are_of_rank(rank, strides, dilations, extra, begin, end, wanted or ones):
        return None
    extent = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    if wanted or mode in ("SAME_UPPER", "SAME_LOWER"):
        sizes = _sizes(op.operand(0), rank) if wanted else [1] * rank
        if None in sizes:
            return None
        known = [size for size in sizes if size is not None]
        target = wanted or tuple(size * s for size, s in zip(known, strides, strict=True))
        total = [
            s * (size - 1) + o + e - t
            for s, size, o, e, t in zip(strides, known, extra, extent, target, strict=True)
        ]
        cropped = [max(t, 0) for t in total]
        begin = [t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in cropped]
        # What output_shape asks for beyond the full extent comes last; SAME does without it.
        end = [(t if wanted else c) - b for t, c, b in zip(total, cropped, begin, strict=True)]
    elif mode == "VALID":
        begin = end = (0,) * rank
    group = group_of(op)
    try:
        return TransposeGeometry(kernel, strides, dilations, tuple(begin), tuple(end), extra, group)
    except ValueError:
        return None


def geometry_attributes(geometry: ConvGeometry) -> dict[str, Attribute]:
    """The attributes that say ``geometry`` on a Conv, all of them explicit."""
    return {
        "dilations": geometry.dilations,
        "group": geometry.group,
        "kernel_shape": geometry.kernel,
        "pads": (*geometry.pads_begin, *geometry.pads_end),
        "strides": geometry.strides,
    }


def transpose_attributes(geometry: TransposeGeometry) -> dict[str, Attribute]:
    """The attributes that say ``geometry`` on a ConvTranspose, all of them explicit."""
    return {
        "dilations": geometry.dilations,
        "group": geometry.group,
        "kernel_shape": geometry.kernel,
        "output_padding": geometry.output_padding,
        "pads": (*geometry.pads_begin, *geometry.pads_end),
        "strides": geometry.strides,
    }


def _kernel(op: Op) -> tuple[int, ...] | None:
    weight = op.operand(1)
    if weight is None or weight.shape is None:
        return ints(op, "kernel_shape", ()) or None
    sizes = tuple(d for d in weight.shape[2:] if isinstance(d, int))
    return sizes if len(sizes) == len(weight.shape) - 2 else None


def _window(op: Op, kernel: tuple[int, ...], group: int, *, conv: bool) -> ConvGeometry | None:
    rank = len(kernel)
    if not _is_of_rank(op.operand(0), rank):
        return None
    ones = (1,) * rank
    strides, dilations = ints(op, "strides", ones), ints(op, "dilations", ones)
    begin, end = _explicit_pads(op, rank)
    mode = op.attributes.get("auto_pad", "NOTSET")
    if not _are_of_rank(rank, strides, dilations, begin, end):
        return None
    if mode == "VALID":
        begin = end = (0,) * rank
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        # Of a pool's window onnxruntime leaves the dilation out.
        spread = dilations if conv else ones
        total = _same_pads(_sizes(op.operand(0), rank), kernel, strides, spread)
        if total is None:
            return None
        begin = [_same_begin(t, upper=mode == "SAME_UPPER", conv=conv) for t in total]
        end = [t - b for t, b in zip(total, begin, strict=True)]
        if spread == dilations:
            # Cropping at the end takes away nothing that a window reads: none is needed. (Where
            # the dilation was left out, windows are larger than that, and one may be lost.)
            end = [max(pad, 0) for pad in end]
    try:
        return ConvGeometry(kernel, strides, dilations, tuple(begin), tuple(end), group)
    except ValueError:
        return None


def _are_of_rank(rank: int, *lists: Sequence[int]) -> bool:
    """Whether attributes have a number for each spatial axis."""
    return all(len(numbers) == rank for numbers in lists)


def _is_of_rank(value: Value | None, rank: int) -> bool:
    """Whether a value may have so many spatial axes: what a file says of it may be wrong."""
    return value is None or value.shape is None or len(value.shape) == rank + 2


def _same_pads(
    sizes: Sequence[int | None],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[int] | None:
    """Total padding for ``ceil(size / stride)`` outputs; with stride 1 no size is needed.

    Negative where the stride exceeds the kernel and skips the last samples.
    """
    total: list[int] = []
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        extent = d * (k - 1) + 1
        if s == 1:
            total.append(extent - 1)
        elif size is None:
            return None
        else:
            total.append((-(-size // s) - 1) * s + extent - size)
    return total


def _same_begin(total: int, *, upper: bool, conv: bool) -> int:
    """The part of ``total`` that comes first.

    How a negative total is shared out is as observed in onnxruntime: halves are rounded towards
    zero, and a conv begins as if one sample less were cropped.
    """
    shared = total + 1 if conv and total < 0 else total
    return int((shared if upper else shared + 1) / 2)


def _sizes(value: Value | None, rank: int) -> list[int | None]:
    """Spatial sizes where they are fixed. A named dim is no fixed size, whatever it is worth."""
    dims: Sequence[Dim] = (None,) * (rank + 2)
    if value is not None and value.shape is not None:
        dims = value.shape
    return [d if isinstance(d, int) else None for d in dims[2:]]


def _explicit_pads(op: Op, rank: int) -> tuple[Sequence[int], Sequence[int]]:
    pads = ints(op, "pads", (0,) * (2 * rank))
    return pads[:rank], pads[rank:]
