"""Ops that move numbers about: pads, slices, splits, transposes, reshapes, shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tests.fuzz.elementwise import scalar
from tests.fuzz.layers import divisors, need, spatial
from tests.fuzz.net import Net, Val


def pad(net: Net, x: Val) -> Val:
    """A Pad: constant, reflect or edge; negative ends, channels and batch here and there."""
    need(x.is_real and x.rank >= 2)
    r, n = net.random, x.rank
    mode = r.choice(("constant", "constant", "constant", "reflect", "edge"))
    least = -1 if mode == "constant" and net.chance(0.2) else 0
    first = 2 if x.rank >= 3 and net.chance(0.85) else 1
    pads = [0] * (2 * n)
    for axis in range(first, n):
        for end in (axis, axis + n):
            pads[end] = r.choice((0, 0, 1, 1, 2, least))
        if mode == "reflect":
            need(x.shape[axis] > max(pads[axis], pads[axis + n]))
        need(x.shape[axis] + min(0, pads[axis]) + min(0, pads[axis + n]) > 0)
    number = r.choice((None, 0.0, 0.0, 0.5, -1.0)) if mode == "constant" else None
    said = None if mode == "constant" and net.chance(0.3) else mode
    if net.opset < 11:
        return net.op("Pad", x, pads=pads, mode=said, value=number)
    fill = None if number is None else net.constant(np.asarray(number, net.dtype))
    if net.opset >= 18 and net.chance(0.2):
        axes = [axis for axis in range(n) if pads[axis] or pads[axis + n]]
        need(axes)
        some = net.ints([pads[a] for a in axes] + [pads[a + n] for a in axes])
        return net.op("Pad", x, some, fill, net.ints(axes), mode=said)
    return net.op("Pad", x, net.ints(pads), fill, mode=said)


def slice_of(  # noqa: PLR0917 - the operands of a Slice
    net: Net,
    x: Val,
    axes: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    steps: Sequence[int] | None = None,
) -> Val:
    """A Slice in the form of the opset."""
    if net.opset < 10:
        need(steps is None or set(steps) == {1})
        return net.op("Slice", x, axes=list(axes), starts=list(starts), ends=list(ends))
    operands = [net.ints(list(starts)), net.ints(list(ends)), net.ints(list(axes))]
    return net.op("Slice", x, *operands, None if steps is None else net.ints(list(steps)))


def draw_slice(net: Net, x: Val) -> Val:
    """A Slice along one or two axes, with steps, from either end."""
    need(x.rank >= 2)
    r = net.random
    axes = sorted(r.sample(range(1, x.rank), r.randint(1, min(2, x.rank - 1))))
    starts, ends, steps = [], [], []
    for axis in axes:
        size = x.shape[axis]
        step = r.choice((1, 1, 2, 2, 3, -1)) if net.opset >= 10 else 1
        start = r.randint(0, max(0, size // 3))
        end = r.choice((size, 2**31 - 1, -1, max(1, size - r.randint(0, 2))))
        if step < 0:
            start, end = r.choice((size - 1, -1, 2**31 - 1)), r.choice((-(2**31), 0))
        starts.append(start)
        ends.append(end)
        steps.append(step)
    plain = all(step == 1 for step in steps) and net.chance(0.5)
    said = [axis - x.rank if net.chance(0.2) else axis for axis in axes]
    return slice_of(net, x, said, starts, ends, None if plain else steps)


def split(net: Net, x: Val, axis: int = 1, sizes: list[int] | None = None) -> list[Val]:
    """A Split into equal parts or parts of drawn sizes."""
    need(x.rank > axis)
    size = x.shape[axis]
    if sizes is None:
        parts = [d for d in divisors(size) if 1 < d <= 4]
        need(size >= 2)
        if parts and net.chance(0.6):
            sizes = [size // (count := net.random.choice(parts))] * count
        else:
            cut = net.random.randint(1, size - 1)
            sizes = [cut, size - cut]
    said = axis - x.rank if net.chance(0.1) else axis
    equal = len(set(sizes)) == 1
    if net.opset < 13:
        given = None if equal and net.chance(0.5) else sizes
        return net.add("Split", [x], results=len(sizes), axis=said, split=given)
    if equal and net.chance(0.5):
        count = len(sizes) if net.opset >= 18 else None
        return net.add("Split", [x], results=len(sizes), axis=said, num_outputs=count)
    return net.add("Split", [x, net.ints(sizes)], results=len(sizes), axis=said)


def concat(net: Net, parts: Sequence[Val], axis: int = 1) -> Val:
    need(len({p.dtype for p in parts}) == 1)
    return net.add("Concat", parts, axis=axis)[0]


def concat_with(net: Net, x: Val, others: list[Val]) -> Val:
    """Concat with what has the same other sizes, or with itself."""
    need(x.rank >= 2)
    rest = (x.shape[0], *x.shape[2:])
    fitting = [v for v in others if v.rank == x.rank and (v.shape[0], *v.shape[2:]) == rest]
    fitting = [v for v in fitting if v.dtype == x.dtype] or [x]
    count = net.random.randint(1, 2)
    parts = [x, *net.random.choices(fitting, k=count)]
    net.random.shuffle(parts)
    return concat(net, parts)


def transpose(net: Net, x: Val) -> Val:
    need(x.rank >= 2)
    order = list(range(x.rank))
    form = net.random.choice(("last", "last", "first", "any", "reverse", "swap"))
    if form == "last":
        order = [0, *range(2, x.rank), 1]
    elif form == "first":
        order = [0, x.rank - 1, *range(1, x.rank - 1)]
    elif form == "any":
        net.random.shuffle(order)
    elif form == "reverse":
        return net.op("Transpose", x)
    else:
        order[-1], order[-2] = order[-2], order[-1]
    return net.op("Transpose", x, perm=order)


def reshape(net: Net, x: Val) -> Val:
    """Flatten, Squeeze, Unsqueeze or Reshape with zeros and -1."""
    need(x.rank >= 1)
    r = net.random
    form = r.choice(("flatten", "spatial", "split", "pair", "unsqueeze", "squeeze", "rows"))
    if form == "flatten":
        if net.chance(0.5):
            return net.op("Flatten", x, axis=r.choice((None, 1, min(2, x.rank))))
        return net.op("Reshape", x, net.ints([x.shape[0] if net.chance(0.5) else 0, -1]))
    if form == "spatial":
        need(x.rank >= 3)
        return net.op("Reshape", x, net.ints([0, 0, -1]))
    if form == "split":
        need(x.rank >= 3 and x.shape[1] > 1)
        part = r.choice(divisors(x.shape[1]))
        return net.op("Reshape", x, net.ints([0, part, x.shape[1] // part, *x.shape[2:]]))
    if form == "pair":
        flat = net.op("Reshape", x, net.ints([x.shape[0], -1]))
        return net.op("Reshape", flat, net.ints(x.shape))
    if form == "unsqueeze":
        need(x.rank <= 4)
        return unsqueeze(net, x, r.randint(0, x.rank))
    if form == "squeeze":
        ones = [axis for axis in range(x.rank) if x.shape[axis] == 1]
        need(ones and x.rank >= 3)
        return squeeze(net, x, r.choice(ones))
    return net.op("Reshape", x, net.ints([-1, x.shape[-1]]))


def unsqueeze(net: Net, x: Val, axis: int) -> Val:
    if net.opset >= 13:
        return net.op("Unsqueeze", x, net.ints([axis]))
    return net.op("Unsqueeze", x, axes=[axis])


def squeeze(net: Net, x: Val, *axes: int) -> Val:
    if net.opset >= 13:
        return net.op("Squeeze", x, net.ints(list(axes)))
    return net.op("Squeeze", x, axes=list(axes))


def depth_to_space(net: Net, x: Val) -> Val:
    """DepthToSpace, or what older exporters write instead of it."""
    need(x.rank == 4 and net.dtype != np.float64)
    block = net.random.choice([b for b in (2, 3, 4) if x.shape[1] % (b * b) == 0] or [0])
    need(block)
    if net.chance(0.25):
        n, c, h, w = x.shape
        c //= block * block
        parts = net.op("Reshape", x, net.ints([n, c, block, block, h, w]))
        moved = net.op("Transpose", parts, perm=[0, 1, 4, 2, 5, 3])
        return net.op("Reshape", moved, net.ints([n, c, h * block, w * block]))
    mode = net.random.choice((None, "DCR", "CRD")) if net.opset >= 11 else None
    return net.op("DepthToSpace", x, blocksize=block, mode=mode)


def space_to_depth(net: Net, x: Val) -> Val:
    sizes = spatial(x)
    need(x.rank == 4 and net.dtype != np.float64)
    blocks = [b for b in (2, 3) if all(s % b == 0 for s in sizes)]
    need(blocks)
    return net.op("SpaceToDepth", x, blocksize=net.random.choice(blocks))


def shuffle(net: Net, x: Val) -> Val:
    """A channel shuffle."""
    spatial(x)
    parts = [d for d in divisors(x.shape[1]) if 1 < d < x.shape[1]]
    need(parts and x.rank == 4)
    count = net.random.choice(parts)
    n, c, *rest = x.shape
    apart = net.op("Reshape", x, net.ints([n, count, c // count, *rest]))
    moved = net.op("Transpose", apart, perm=[0, 2, 1, 3, 4])
    return net.op("Reshape", moved, net.ints([n, c, *rest]))


def gather(net: Net, x: Val) -> Val:
    """Channels (or positions) picked, permuted, repeated."""
    need(x.rank >= 2)
    axis = net.random.choice((1, 1, 1, x.rank - 1))
    size = x.shape[axis]
    count = net.random.randint(1, size + 1)
    picked: Any = net.rng.integers(0, size, count)
    if net.chance(0.4):
        picked = net.rng.permutation(size)
    if net.opset >= 11 and net.chance(0.2):
        picked = picked - size
    return net.op("Gather", x, net.ints(picked), axis=axis)


def tile(net: Net, x: Val) -> Val:
    """Tile or Expand, along an axis of size one where there is one."""
    need(x.rank >= 2)
    ones = [axis for axis in range(1, x.rank) if x.shape[axis] == 1]
    if ones and net.opset >= 8 and net.chance(0.6):
        shape = list(x.shape)
        shape[net.random.choice(ones)] = net.random.choice((2, 3))
        return net.op("Expand", x, net.ints(shape))
    repeats = [1] * x.rank
    repeats[net.random.randrange(1, x.rank)] = 2
    return net.op("Tile", x, net.ints(repeats))


def to_rank(net: Net, x: Val, rank: int) -> Val:
    """The value with as many axes, by one Reshape or what leads there otherwise."""
    if x.rank == rank:
        return x
    if rank == 2:
        return (
            net.op("Flatten", x)
            if net.chance(0.6)
            else net.op("Reshape", x, net.ints([x.shape[0], -1]))
        )
    need(x.rank >= 2)
    if x.rank < rank:
        return net.op("Reshape", x, net.ints([*x.shape, *(1,) * (rank - x.rank)]))
    kept = x.shape[: rank - 1]
    return net.op("Reshape", x, net.ints([*kept, prod(x.shape[rank - 1 :])]))


def window_of(net: Net, x: Val) -> Val:
    """Expanded constants added: what a positional encoding looks like."""
    need(x.is_real and x.rank >= 2 and net.opset >= 8)
    grid = net.op("Expand", scalar(net, 0.5), net.ints(x.shape))
    return net.op("Add", x, grid)
