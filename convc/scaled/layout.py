"""`convc.scaled.ties` for ops that move values: joining, cutting, reshaping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType

import numpy as np

from convc.ir import Array
from convc.scaled.align import aligned, widest
from convc.scaled.plan import Dims, Site, per_axis
from convc.scaled.sizes import (
    Sum,
    cut,
    fix,
    number,
    numbers,
    resolved,
    size_of,
    times,
    unify,
    unknown,
    varies,
)


def _axis(site: Site, default: int, rank: int) -> int:
    axis = site.op.attributes.get("axis", default)
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise ValueError("axis")
    return axis % rank


def _concat(site: Site) -> Sequence[Dims]:
    operands = [site.joined(i) for i in range(len(site.op.inputs))]
    axis = _axis(site, 1, len(operands[0]))
    for dims in operands[1:]:
        for i, (a, b) in enumerate(zip(operands[0], dims, strict=True)):
            if i != axis:
                unify(a, b)
    # A constant joined on is of its own size.
    for index, dims in enumerate(operands):
        if (site.op, index) in site.plan.weights:
            fix(dims[axis])
    result = list(operands[0])
    result[axis] = tuple(term for dims in operands for term in dims[axis])
    return [tuple(result)]


def _split(site: Site) -> Sequence[Dims]:
    dims = site.dims(0)
    axis = _axis(site, 0, len(dims))
    sizes = [site.result(i)[axis] for i in range(len(site.op.results))]
    parts = cut(dims[axis], sizes)
    if site.opset < SPLIT_BY_OPERAND:
        site.plan.attributes[site.op, "split"] = tuple(parts)
    else:
        site.plan.values[site.op, 1] = tuple(parts)
    return [(*dims[:axis], part, *dims[axis + 1 :]) for part in parts]


SPLIT_BY_OPERAND = 13
"""Since this opset the sizes of a Split are an operand."""


def _slice(site: Site) -> Sequence[Dims]:
    dims, shape = site.dims(0), site.shape(0)
    starts, ends = site.ints(1, "starts"), site.ints(2, "ends")
    if starts is None or ends is None:
        raise ValueError("no bounds")
    axes = site.ints(3, "axes") or tuple(range(len(starts)))
    steps = per_axis(site.ints(4, "steps") or (1,) * len(axes), axes, len(dims))
    first, last = per_axis(starts, axes, len(dims)), per_axis(ends, axes, len(dims))
    result, begins, stops = list(dims), [], []
    for axis in (axis % len(dims) for axis in axes):
        start, stop, step = slice(first[axis], last[axis], steps[axis]).indices(shape[axis])
        whole = range(start, stop, step) == range(shape[axis])
        if not varies(dims[axis]) or (step != 1 and not whole):
            fix(dims[axis])
            result[axis] = number(len(range(start, stop, step)))
            begins.append(number(first[axis]))
            stops.append(number(last[axis]))
            continue
        stop = max(start, stop)
        before, result[axis], _ = cut(dims[axis], (start, stop - start, shape[axis] - stop))
        begins.append(before)
        stops.append((*before, *result[axis]))
    site.say(1, "starts", tuple(begins))
    site.say(2, "ends", tuple(stops))
    return [tuple(result)]


def _gather(site: Site) -> Sequence[Dims]:
    dims = site.dims(0)
    axis = _axis(site, 0, len(dims))
    indices = site.array(1)
    if indices is None or not varies(dims[axis]):
        fix(dims[axis])
        return [(*dims[:axis], *site.dims(1), *dims[axis + 1 :])]
    return [(*dims[:axis], *_chosen(site, dims[axis], indices), *dims[axis + 1 :])]


def _chosen(site: Site, dim: Sum, indices: Array) -> Dims:
    """All channels in another order stay all, neighbours stay neighbours; others are fixed."""
    size = size_of(dim)
    places = indices.reshape(-1) % size
    if indices.ndim == 1 and len(places) and np.array_equal(np.sort(places), np.arange(size)):
        site.plan.weights[site.op, 1] = (dim,)
        return (dim,)
    if (
        indices.ndim == 1
        and len(places)
        and np.array_equal(places, places[0] + np.arange(len(places)))
    ):
        first, count = int(places[0]), len(places)
        before, part, _ = cut(dim, (first, count, size - first - count))
        site.plan.ranges[site.op, 1] = (before, part)
        return (part,)
    fix(dim)
    return numbers(indices.shape)


def _pad(site: Site) -> Sequence[Dims]:
    dims, pads = site.dims(0), site.ints(1, "pads")
    axes = site.ints(3, "axes") or tuple(range(len(dims)))
    if pads is None:
        raise ValueError("no pads")
    result = list(dims)
    begins = per_axis(pads[: len(axes)], axes, len(dims))
    ends = per_axis(pads[len(axes) :], axes, len(dims))
    for axis, begin in begins.items():
        end = ends[axis]
        if min(begin, end) < 0:
            fix(dims[axis])
            result[axis] = number(size_of(dims[axis]) + begin + end)
        elif max(begin, end) > 0:
            result[axis] = (*number(begin), *dims[axis], *number(end))
    return [tuple(result)]


def _transpose(site: Site) -> Sequence[Dims]:
    dims = site.dims(0)
    order = site.op.attributes.get("perm", tuple(reversed(range(len(dims)))))
    assert isinstance(order, tuple)
    return [tuple(dims[i] for i in order)]


def _squeeze(site: Site) -> Sequence[Dims]:
    dims, axes = site.dims(0), site.ints(1, "axes")
    dropped = (
        {axis % len(dims) for axis in axes}
        if axes is not None
        else {i for i, dim in enumerate(dims) if size_of(dim) == 1}
    )
    fix(*(dims[i] for i in dropped))
    return [tuple(dim for i, dim in enumerate(dims) if i not in dropped)]


def _unsqueeze(site: Site) -> Sequence[Dims]:
    dims, axes = site.dims(0), site.ints(1, "axes") or ()
    rank = len(dims) + len(axes)
    added = {axis % rank for axis in axes}
    rest = iter(dims)
    return [tuple(number(1) if i in added else next(rest) for i in range(rank))]


def _reshape(site: Site) -> Sequence[Dims]:
    dims = reshaped(site.dims(0), site.result())
    if site.op.kind == "Reshape":
        site.say(1, "shape", dims)
    return [dims]


def reshaped(dims: Dims, shape: Sequence[int]) -> Dims:
    """The dims under a new shape that holds the same elements; what cannot be followed is fixed."""
    groups = aligned(tuple(map(size_of, dims)), shape)
    if groups is None:
        fix(*dims)
        return numbers(shape)
    result = list(numbers(shape))
    for sources, places in groups:
        regrouped = _regrouped([dims[i] for i in sources], [shape[j] for j in places])
        for place, dim in zip(places, regrouped, strict=True):
            result[place] = dim
    return tuple(result)


def _regrouped(dims: Sequence[Sum], sizes: Sequence[int]) -> Dims:
    if sum(map(varies, dims)) > 1:
        # Only what the caller gave stays.
        fix(*dims)
    varying = [dim for dim in dims if varies(dim)]
    if len(varying) != 1 or not sizes:
        fix(*dims)
        return numbers(sizes)
    whole = times(varying[0], prod(sizes) // size_of(varying[0]))
    grown = _grown(varying[0], sizes)
    result = list(numbers(sizes))
    result[grown] = unknown(sizes[grown])
    if len(sizes) == 1:
        return (whole,)
    if not unify(whole, times(result[grown], prod(sizes) // sizes[grown])):
        return numbers(sizes)
    return tuple(result)


def _grown(dim: Sum, sizes: Sequence[int]) -> int:
    """Which of the axes that a dim is taken apart into grows with it.

    A batch is outermost: an axis of its own size, or else the first of which it can be part.
    """
    u = resolved(dim)[0][1]
    if u is None or not u.given:
        return widest(sizes)
    own = [i for i, size in enumerate(sizes) if size == u.size]
    part = [i for i, size in enumerate(sizes) if size % u.size == 0]
    return (own or part or [widest(sizes)])[0]


def _expand(site: Site) -> Sequence[Dims]:
    dims, shape = site.dims(0), site.result()
    padded = (number(1),) * (len(shape) - len(dims)) + dims
    result: list[Sum] = []
    for dim, size in zip(padded, shape, strict=True):
        if size_of(dim) != size:
            fix(dim)
        kept = size_of(dim) == size and (size != 1 or varies(dim))
        result.append(dim if kept else unknown(size))
    site.say(1, "shape", tuple(result))
    return [tuple(result)]


def _tile(site: Site) -> Sequence[Dims]:
    dims, repeats = site.dims(0), site.ints(1, "repeats")
    if repeats is None:
        raise ValueError("no repeats")
    # Where the network computes how often, its tensor would grow twice.
    site.say(1, "repeats", numbers(repeats))
    return [tuple(times(dim, count) for dim, count in zip(dims, repeats, strict=True))]


def _constant_of_shape(site: Site) -> Sequence[Dims]:
    dims = tuple(map(unknown, site.result()))
    site.say(0, "shape", dims)
    return [dims]


def _resize(site: Site) -> Sequence[Dims]:
    """An axis that is not resampled follows, the others stay."""
    dims, shape = site.dims(0), site.result()
    result = []
    for dim, size in zip(dims, shape, strict=True):
        if size_of(dim) != size:
            fix(dim)
        result.append(dim if size_of(dim) == size else number(size))
    if site.op.kind == "Resize" and site.has(3) and "axes" not in site.op.attributes:
        site.plan.values[site.op, 3] = tuple(result)
    return [tuple(result)]


def _reduce(site: Site) -> Sequence[Dims]:
    dims, axes = site.dims(0), site.ints(1, "axes")
    if not axes:
        if site.op.attributes.get("noop_with_empty_axes"):
            return [dims]
        axes = tuple(range(len(dims)))
    return [_without(dims, axes, keep=bool(site.op.attributes.get("keepdims", 1)))]


def _arg_reduce(site: Site) -> Sequence[Dims]:
    dims = site.dims(0)
    keep = bool(site.op.attributes.get("keepdims", 1))
    return [_without(dims, (_axis(site, 0, len(dims)),), keep=keep)]


def _without(dims: Dims, axes: Sequence[int], *, keep: bool) -> Dims:
    dropped = {axis % len(dims) for axis in axes}
    if keep:
        return tuple(number(1) if i in dropped else dim for i, dim in enumerate(dims))
    return tuple(dim for i, dim in enumerate(dims) if i not in dropped)


def _depth_to_space(site: Site) -> Sequence[Dims]:
    dims, shape = site.dims(0), site.result()
    fix(*dims[2:])
    squared = size_of(dims[1]) // shape[1]
    channels = unknown(shape[1])
    unify(dims[1], times(channels, squared))
    return [(dims[0], channels, *numbers(shape[2:]))]


def _space_to_depth(site: Site) -> Sequence[Dims]:
    dims, shape = site.dims(0), site.result()
    fix(*dims[2:])
    squared = shape[1] // size_of(dims[1])
    return [(dims[0], times(dims[1], squared), *numbers(shape[2:]))]


def _top_k(site: Site) -> Sequence[Dims]:
    dims = list(site.dims(0))
    axis = _axis(site, -1, len(dims))
    fix(dims[axis])
    dims[axis] = number(site.result()[axis])
    return [tuple(dims) for _ in site.op.results]


LAYOUT: Mapping[str, Callable[[Site], Sequence[Dims]]] = MappingProxyType(
    {
        **dict.fromkeys(("ArgMax", "ArgMin"), _arg_reduce),
        **dict.fromkeys(
            ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
             "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
            _reduce,
        ),
        **dict.fromkeys(("Resize", "Upsample"), _resize),
        **dict.fromkeys(("Flatten", "Reshape"), _reshape),
        "Concat": _concat,
        "ConstantOfShape": _constant_of_shape,
        "DepthToSpace": _depth_to_space,
        "Expand": _expand,
        "Gather": _gather,
        "Pad": _pad,
        "Slice": _slice,
        "SpaceToDepth": _space_to_depth,
        "Split": _split,
        "Squeeze": _squeeze,
        "Tile": _tile,
        "TopK": _top_k,
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
    }
)  # fmt: skip
