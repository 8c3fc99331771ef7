"""How ops are computed on values whose axes are permuted.

A permutation ``p`` says that axis i of a value is axis ``p[i]`` of its new form, so the value is
``Transpose(new, perm=p)``. Each reader takes an op, one of its varying operands or results, and
that value's permutation, and returns the op on the permuted values: permutations of all of them,
axes renamed in attributes and constant operands, constants transposed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from convc.ir import Array, Attribute, Op, Value
from convc.opset import constant_ints
from passes.commute_linear.groups import (
    Perm,
    axis_groups,
    group_order,
    inverse,
    permuted,
    view_sizes,
)
from passes.commute_linear.kinds import ALONG_ONE, BROADCASTING, REDUCING, UNARY
from passes.commute_linear.region import Placement


def shrunk(perm: Perm, kept: Sequence[int]) -> Perm:
    """The permutation that is left of ``perm`` when only the axes ``kept`` stay."""
    order = sorted(perm[axis] for axis in kept)
    return tuple(order.index(perm[axis]) for axis in kept)


def grown(perm: Perm, kept: Sequence[int], rank: int) -> Perm:
    """A permutation of ``rank`` axes of which ``perm`` is left when only ``kept`` stay.

    The other axes stay where they are, which is one choice of many.
    """
    places = sorted(kept)
    found = dict(zip(kept, (places[new] for new in perm), strict=True))
    return tuple(found.get(axis, axis) for axis in range(rank))


def place_op(op: Op, value: Value, perm: Perm, opset: int) -> Placement | None:
    """``op`` where its operand or result ``value`` is permuted by ``perm``."""
    if op.domain or op.captures or opset < 7:
        return None
    if op.kind in UNARY or op.kind in BROADCASTING:
        return _elementwise(op, perm)
    if op.kind in ALONG_ONE:
        return _along_one(op, perm, opset)
    if op.kind in REDUCING:
        return _reduce(op, value, perm)
    reader = READERS.get(op.kind)
    return None if reader is None else reader(op, value, perm)


def _rank(value: Value | None) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)


def _whole(values: Iterable[Value | None], perm: Perm) -> dict[Value, Perm] | None:
    """``perm`` for each of the values that varies; None where one has another rank."""
    varying = [value for value in values if value is not None and value.array is None]
    if any(_rank(value) != len(perm) for value in varying):
        return None
    return dict.fromkeys(varying, perm)


def _elementwise(op: Op, perm: Perm) -> Placement | None:
    layouts = _whole(op.results, perm)
    if layouts is None:
        return None
    constants: dict[int, Array] = {}
    for index, value in enumerate(op.inputs):
        if value is None:
            continue
        if value.array is not None:
            if value.array.ndim > len(perm):
                return None
            if value.array.size > 1:
                constants[index] = _aligned(value.array, perm)
        elif _rank(value) in (0, len(perm)):
            layouts[value] = perm if _rank(value) else ()
        else:
            return None
    return Placement(layouts, op.attributes, constants)


def _aligned(array: Array, perm: Perm) -> Array:
    """A constant that broadcasts, transposed: its missing axes come first."""
    whole = array.reshape((1,) * (len(perm) - array.ndim) + array.shape)
    return np.ascontiguousarray(whole.transpose(inverse(perm)))


def _axis(op: Op, rank: int, default: int) -> int | None:
    axis = op.attributes.get("axis", default)
    return axis % rank if isinstance(axis, int) and -rank <= axis < rank else None


def _along_one(op: Op, perm: Perm, opset: int) -> Placement | None:
    """Softmax and its like; before opset 13 they ran over all axes from ``axis`` on."""
    layouts, axis = _whole((op.operand(0), op.result), perm), _axis(op, len(perm), -1)
    if opset < 13:
        axis = _axis(op, len(perm), 1)
    if layouts is None or axis is None:
        return None
    shape = op.result.shape
    assert shape is not None
    if opset < 13 and (
        any(d != 1 for d in shape[axis + 1 :])
        or any(d != 1 for d in permuted(shape, perm)[perm[axis] + 1 :])
    ):
        return None
    return Placement(layouts, {**op.attributes, "axis": perm[axis]})


def _reduce(op: Op, value: Value, perm: Perm) -> Placement | None:
    data, rank = op.operand(0), _rank(op.operand(0))
    if data is None or not rank:
        return None
    arg, keep = op.kind.startswith("Arg"), op.attributes.get("keepdims", 1)
    if arg:
        axis = _axis(op, rank, 0)
        axes: tuple[int, ...] | None = None if axis is None else (axis,)
    elif op.operand(1) is None and "axes" not in op.attributes:
        axes = () if op.attributes.get("noop_with_empty_axes") else tuple(range(rank))
    else:
        axes = _axes(op, 1, rank)
    if axes is None or (axes == () and op.operand(1) is not None):
        return None
    kept = [axis for axis in range(rank) if keep or axis not in axes]
    whole = perm if value is data else grown(perm, kept, rank) if len(perm) == len(kept) else None
    if whole is None or len(whole) != rank:
        return None
    layouts = {data: whole, op.result: shrunk(whole, kept)}
    if arg:
        return Placement(layouts, {**op.attributes, "axis": whole[axes[0]]})
    return _renamed(op, layouts, 1, "axes", [whole[axis] for axis in axes])


def _axes(op: Op, index: int, rank: int) -> tuple[int, ...] | None:
    given = constant_ints(op, index, "axes")
    return None if given is None else tuple(axis % rank for axis in given)


def _renamed(
    op: Op, layouts: Mapping[Value, Perm], index: int, name: str, values: Sequence[int]
) -> Placement:
    """The op with other integers in the attribute, or the constant operand, that holds them."""
    if op.operand(index) is None:
        attributes: dict[str, Attribute] = dict(op.attributes)
        if name in attributes:
            attributes[name] = tuple(values)
        return Placement(layouts, attributes)
    return Placement(layouts, op.attributes, {index: np.array(values, np.int64)})


def _concat(op: Op, _value: Value, perm: Perm) -> Placement | None:
    layouts, axis = _whole((*op.inputs, op.result), perm), _axis(op, len(perm), 1)
    if layouts is None or axis is None:
        return None
    arrays = {i: v.array for i, v in enumerate(op.inputs) if v is not None and v.array is not None}
    constants = {i: _aligned(array, perm) for i, array in arrays.items()}
    return Placement(layouts, {**op.attributes, "axis": perm[axis]}, constants)


def _split(op: Op, _value: Value, perm: Perm) -> Placement | None:
    sizes = op.operand(1)
    layouts, axis = _whole((op.operand(0), *op.results), perm), _axis(op, len(perm), 0)
    if layouts is None or axis is None or (sizes is not None and sizes.array is None):
        return None
    return Placement(layouts, {**op.attributes, "axis": perm[axis]})


def _gather(op: Op, value: Value, perm: Perm) -> Placement | None:
    data, indices = op.operand(0), op.operand(1)
    rank = _rank(data)
    if data is None or data.array is not None or indices is None or not rank:
        return None
    axis, array = _axis(op, rank, 0), indices.array
    if axis is None or array is None or array.ndim > 1:
        return None
    kept = [i for i in range(rank) if array.ndim or i != axis]
    whole = perm if value is data else grown(perm, kept, rank) if len(perm) == len(kept) else None
    if whole is None or len(whole) != rank:
        return None
    layouts = {data: whole, op.result: shrunk(whole, kept)}
    return Placement(layouts, {**op.attributes, "axis": whole[axis]})


def _slice(op: Op, _value: Value, perm: Perm) -> Placement | None:
    layouts = _whole((op.operand(0), op.result), perm)
    starts, fixed = constant_ints(op, 1, "starts"), constant_ints(op, 2, "ends")
    if layouts is None or starts is None or fixed is None:
        return None
    axes = _axes(op, 3, len(perm))
    if axes is None and op.operand(3) is not None:
        return None
    mapped = [perm[axis] for axis in (axes or range(len(starts)))]
    first = op.operand(1)
    if first is None:
        return Placement(layouts, {**op.attributes, "axes": tuple(mapped)})
    # All four operands have one dtype, which may be int32.
    return Placement(layouts, op.attributes, {3: np.array(mapped, first.dtype)})


def _pad(op: Op, _value: Value, perm: Perm) -> Placement | None:
    layouts, pads = _whole((op.operand(0), op.result), perm), constant_ints(op, 1, "pads")
    filling = op.operand(2)
    if layouts is None or pads is None or (filling is not None and filling.array is None):
        return None
    if op.operand(3) is not None:
        axes = _axes(op, 3, len(perm))
        if axes is None:
            return None
        return _renamed(op, layouts, 3, "axes", [perm[axis] for axis in axes])
    rank, order = len(perm), inverse(perm)
    if len(pads) != 2 * rank:
        return None
    moved = [pads[axis + side] for side in (0, rank) for axis in order]
    return _renamed(op, layouts, 1, "pads", moved)


def _squeeze(op: Op, value: Value, perm: Perm) -> Placement | None:
    rank, data = _rank(op.operand(0)), op.operand(0)
    if rank is None or data is None:
        return None
    axes = _axes(op, 1, rank)
    if axes is None:
        return None
    kept = [axis for axis in range(rank) if axis not in axes]
    whole = perm if value is data else grown(perm, kept, rank) if len(perm) == len(kept) else None
    if whole is None or len(whole) != rank:
        return None
    layouts = {data: whole, op.result: shrunk(whole, kept)}
    return _renamed(op, layouts, 1, "axes", [whole[axis] for axis in axes])


def _unsqueeze(op: Op, value: Value, perm: Perm) -> Placement | None:
    rank, data = _rank(op.result), op.operand(0)
    if rank is None or data is None:
        return None
    axes = _axes(op, 1, rank)
    if axes is None:
        return None
    kept = [axis for axis in range(rank) if axis not in axes]
    known = len(perm) == (len(kept) if value is data else rank)
    if not known:
        return None
    whole = grown(perm, kept, rank) if value is data else perm
    layouts = {data: shrunk(whole, kept), op.result: whole}
    return _renamed(op, layouts, 1, "axes", sorted(whole[axis] for axis in axes))


def is_by_channel(op: Op) -> bool:
    """True for a normalisation by one value a channel; a BatchNormalization in inference form."""
    return not op.attributes.get("training_mode") and op.attributes.get("spatial", 1) == 1


def _norm(op: Op, _value: Value, perm: Perm) -> Placement | None:
    """The channels stay axis 1, so that the parameters fit; the other axes are alike."""
    layouts = _whole((op.operand(0), op.result), perm)
    if layouts is None or perm[:2] != (0, 1) or not is_by_channel(op):
        return None
    if any(value is None or value.array is None for value in op.inputs[1:]):
        return None
    return Placement(layouts, op.attributes)


def _resize(op: Op, _value: Value, perm: Perm) -> Placement | None:
    """Sizes and scales reordered; runtimes resize the last axes, so these have to be resized."""
    layouts = _whole((op.operand(0), op.result), perm)
    data, result = op.operand(0), op.result
    if layouts is None or data is None or op.operand(0) is None:
        return None
    rank, order = len(perm), inverse(perm)
    assert data.shape is not None
    assert result.shape is not None
    new = zip(permuted(data.shape, perm)[:2], permuted(result.shape, perm)[:2], strict=True)
    if rank != 4 or any(a is None or a != b for a, b in new) or "axes" in op.attributes:
        return None
    attributes: dict[str, Attribute] = dict(op.attributes)
    scales = attributes.get("scales")
    if isinstance(scales, tuple):
        attributes["scales"] = tuple(scales[axis] for axis in order)
    constants: dict[int, Array] = {}
    for index, value in enumerate(op.inputs[1:], start=1):
        if value is None:
            continue
        if value.array is None or value.array.size not in (0, rank, 2 * rank):
            return None
        if value.array.size:
            parts = value.array.reshape(-1, rank)
            constants[index] = np.ascontiguousarray(parts[:, order].reshape(-1))
    return Placement(layouts, attributes, constants)


def _tile(op: Op, _value: Value, perm: Perm) -> Placement | None:
    layouts, given = _whole((op.operand(0), op.result), perm), op.operand(1)
    if layouts is None or given is None or given.array is None or given.array.size != len(perm):
        return None
    moved = given.array.reshape(-1)[list(inverse(perm))]
    return Placement(layouts, op.attributes, {1: np.asarray(moved, np.int64)})


def _reshape(op: Op, value: Value, perm: Perm) -> Placement | None:
    """Where the axes fall into groups of equal product that the permutation keeps together."""
    data, result, target = op.operand(0), op.result, op.operand(1)
    if data is None or target is None or target.array is None:
        return None
    groups = axis_groups(data.shape, result.shape)
    if groups is None:
        return None
    source = value is data
    order = group_order(groups, perm, source=source)
    if order is None or data.shape is None or result.shape is None:
        return None
    other = [axis for group in order for axis in group[1 if source else 0]]
    layout = inverse(tuple(other))
    layouts = {data: perm, result: layout} if source else {data: layout, result: perm}
    sizes = view_sizes(permuted(data.shape, layouts[data]), permuted(result.shape, layouts[result]))
    if sizes is None:
        return None
    attributes = {k: v for k, v in op.attributes.items() if k != "allowzero"}
    return Placement(layouts, attributes, {1: np.array(sizes, np.int64)})


Reader = Callable[[Op, Value, Perm], "Placement | None"]

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "BatchNormalization": _norm,
        "Concat": _concat,
        "Gather": _gather,
        "InstanceNormalization": _norm,
        "Pad": _pad,
        "Reshape": _reshape,
        "Resize": _resize,
        "Slice": _slice,
        "Split": _split,
        "Squeeze": _squeeze,
        "Tile": _tile,
        "Unsqueeze": _unsqueeze,
        "Upsample": _resize,
    }
)
