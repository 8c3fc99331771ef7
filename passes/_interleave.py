"""Phases put back into the axes: how every form that computes phase by phase ends."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from convc.ir import Attribute, Dim, TensorType, Value
from convc.rewrite import NoMatch, Replacement


def interleaved(
    build: Replacement, value: Value, factors: Sequence[int], *, phases_first: bool = True
) -> Value:
    """(N, Π s·K, *Q) to (N, K, *s·Q): the phases of each axis become neighbours.

    The phase of the last axis runs fastest; in the channels the phases come first, or the filters.
    It is a DepthToSpace where that says it, else Reshape, Transpose and Reshape.

    Declines where more than one spatial size, or the number of channels, would have to be known.
    """
    phases = prod(factors)
    if phases == 1:
        return value
    dims = value.shape or (None,) * (len(factors) + 2)
    channels = dims[1] // phases if isinstance(dims[1], int) else None
    if value.dtype is None or len(dims) != len(factors) + 2:
        raise NoMatch("the type of what is interleaved is not known")
    spatial = [_scaled(build, dim, s) for dim, s in zip(dims[2:], factors, strict=True)]
    type_ = TensorType(value.dtype, (dims[0], channels, *spatial))
    square = len(factors) == 2 and factors[0] == factors[1]
    # Before opset 11 a DepthToSpace has phases first.
    if square and (phases_first or build.opset >= 11):
        attributes: dict[str, Attribute] = {"blocksize": factors[0]}
        if build.opset >= 11:
            attributes["mode"] = "DCR" if phases_first else "CRD"
        return build.op("DepthToSpace", (value,), attributes, type_=type_)
    if channels is None:
        raise NoMatch("the number of channels is not known")
    moved = [axis for axis, factor in enumerate(factors) if factor > 1]
    split = [factors[axis] for axis in moved]
    split = [*split, channels] if phases_first else [channels, *split]
    value = build.reshape(value, [0, *split, *_target(dims[2:])])
    value = build.transpose(value, _order(len(factors), moved, phases_first=phases_first))
    target = build.ints([0, channels, *_target(spatial)])
    return build.op("Reshape", (value, target), type_=type_)


def cropped(build: Replacement, value: Value, begin: Sequence[int], end: Sequence[int]) -> Value:
    """Without the first ``begin`` and the last ``end`` positions of each spatial axis."""
    axes = [axis for axis in range(len(begin)) if begin[axis] or end[axis]]
    if not axes:
        return value
    starts = [begin[axis] for axis in axes]
    # Counted from the end, since the size may not be known; INT_MAX is "to the end".
    ends = [-end[axis] if end[axis] else 2**31 - 1 for axis in axes]
    return build.slice(value, [axis + 2 for axis in axes], starts, ends)


def _order(ndim: int, moved: Sequence[int], *, phases_first: bool) -> list[int]:
    """Batch, filters, and each size with its phase, if it has one, behind it."""
    filters, phase = (1 + len(moved), 1) if phases_first else (1, 2)
    order = [0, filters]
    for axis in range(ndim):
        order.append(2 + len(moved) + axis)
        if axis in moved:
            order.append(phase + moved.index(axis))
    return order


def _target(dims: Sequence[Dim]) -> list[int]:
    """The dims of a Reshape, which can find out one of them."""
    target = [dim if isinstance(dim, int) else -1 for dim in dims]
    if target.count(-1) > 1:
        raise NoMatch("the size is not known")
    return target


def _scaled(build: Replacement, dim: Dim, factor: int) -> Dim:
    if isinstance(dim, int) or factor == 1:
        return dim * factor if isinstance(dim, int) else dim
    size = build.graph.sizes.get(dim) if dim is not None else None
    return build.graph.new_dim(None if size is None else size * factor)
