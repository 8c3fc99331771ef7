"""Rules of the ops that move numbers: how each is read from the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convc.conv import ints
from convc.ir import Array
from convc.rounding import elementwise, movement
from convc.rounding.state import NoBoundError, State
from convc.rounding.step import Step, shape_of


def transpose(step: Step) -> Sequence[State]:
    """Transpose."""
    rank = step.data.rank
    order = ints(step.op, "perm", tuple(range(rank))[::-1])
    return [movement.transposed(step.data.shape, order)(step.data)]


def reshape(step: Step) -> Sequence[State]:
    """Reshape, Flatten, Squeeze and Unsqueeze: by the shapes alone."""
    return [movement.reshaped(step.data.shape, step.shape)(step.data)]


def concat(step: Step) -> Sequence[State]:
    """Concat."""
    states = [step.state(i) for i in range(len(step.states))]
    axis = step.op.attributes.get("axis", 1)
    assert isinstance(axis, int)
    return [movement.concatenated(states, step.shape, axis % len(step.shape))]


def slice_(step: Step) -> Sequence[State]:
    """Slice at constant places."""
    state, op = step.data, step.op
    starts, ends = step.ints(1, "starts"), step.ints(2, "ends")
    if starts is None or ends is None:
        raise NoBoundError("Slice: its places are computed")
    axes = step.ints(3, "axes") or tuple(range(len(starts)))
    steps = step.ints(4, "steps") or (1,) * len(starts)
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        place = axis % state.rank
        size = state.shape[place]
        if size is None:
            state = movement.cropped(state.shape, place, shape_of(step.graph, op.result)[place])(
                state
            )
            continue
        places = np.arange(size)[slice(start, end if end >= -size else None, stride)]
        if end < -size and stride > 0:
            places = places[:0]
        state = movement.taken(state.shape, place, places)(state)
    return [state]


def split(step: Step) -> Sequence[State]:
    """Split."""
    state, op = step.data, step.op
    axis = op.attributes.get("axis", 0)
    assert isinstance(axis, int)
    axis %= state.rank
    found: list[State] = []
    first = 0
    for result in op.results:
        size = shape_of(step.graph, result)[axis]
        if size is None:
            raise NoBoundError("Split: a size is not known")
        found.append(movement.taken(state.shape, axis, np.arange(first, first + size))(state))
        first += size
    return found


def gather(step: Step) -> Sequence[State]:
    """Gather of constant places."""
    state, op = step.data, step.op
    places = op.operands[1].array if op.operands[1] is not None else None
    axis = op.attributes.get("axis", 0)
    assert isinstance(axis, int)
    axis %= state.rank
    size = state.shape[axis]
    if places is None or size is None:
        raise NoBoundError("Gather: its places are computed")
    flat = np.asarray(places).reshape(-1) % size
    moved = movement.taken(state.shape, axis, flat)(state)
    return [movement.reshaped(moved.shape, step.shape)(moved)]


def pad(step: Step) -> Sequence[State]:
    """Pad by zeros or by copies."""
    state, op = step.data, step.op
    pads = step.ints(1, "pads")
    if pads is None:
        pads = ints(op, "paddings", ()) or None
    if pads is None:
        raise NoBoundError("Pad: its sizes are computed")
    value = op.operand(2)
    fill: Array | None = np.asarray(op.attributes.get("value", 0.0))
    if value is not None:
        fill = value.array
    if fill is None or fill.any():
        raise NoBoundError("Pad: with another number than zero")
    rank = state.rank
    axes = step.ints(3, "axes") or tuple(range(rank))
    begin, end = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        begin[axis % rank], end[axis % rank] = pads[i], pads[i + len(axes)]
    mode = op.attributes.get("mode", "constant")
    return [movement.padded(state.shape, step.shape, begin, end, str(mode))(state)]


def depth_to_space(step: Step) -> Sequence[State]:
    """DepthToSpace."""
    block = step.op.attributes["blocksize"]
    assert isinstance(block, int)
    depth_first = step.op.attributes.get("mode", "DCR") == "DCR"
    move = movement.depth_to_space(step.shape, block, depth_first=depth_first)
    return [move(step.data)]


def space_to_depth(step: Step) -> Sequence[State]:
    """SpaceToDepth."""
    block = step.op.attributes["blocksize"]
    assert isinstance(block, int)
    return [movement.space_to_depth(step.shape, block)(step.data)]


def resize(step: Step) -> Sequence[State]:
    """Resize and Upsample by nearest neighbours, to multiples of the sizes."""
    state, shape = step.data, step.shape
    if step.op.attributes.get("mode", "nearest") != "nearest":
        raise NoBoundError(f"{step.op.kind}: the runtime's weights are not known")
    for old, new in zip(state.shape, shape, strict=True):
        if old is None or new is None or new % old:
            raise NoBoundError(f"{step.op.kind}: not to a multiple of the size")
    return [movement.repeated(state.shape, shape)(state)]


def repeat(step: Step) -> Sequence[State]:
    """Expand and Tile."""
    shape = step.shape
    if step.op.kind == "Tile" or len(shape) == step.data.rank:
        return [movement.repeated(step.data.shape, shape)(step.data)]
    return [elementwise.aligned(step.data, shape)]
