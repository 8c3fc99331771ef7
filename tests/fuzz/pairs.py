"""Pairs of ops that undo, absorb or repeat each other."""

from __future__ import annotations

import numpy as np

from tests.fuzz import elementwise as ew
from tests.fuzz import kernels
from tests.fuzz import layers as ls
from tests.fuzz import layout as lo
from tests.fuzz.layers import need, spatial
from tests.fuzz.net import Net, Val


def pair(net: Net, x: Val) -> Val:
    """One of them, perhaps with something in between."""
    return net.random.choice(PAIRS)(net, x)


def _between(net: Net, x: Val) -> Val:
    """Nothing, or an op that leaves the shape."""
    y = net.random.choice((ew.activation, ew.affine, ew.neutral))(net, x) if net.chance(0.4) else x
    need(y.shape == x.shape)
    return y


def _blocks(net: Net, x: Val) -> Val:
    """SpaceToDepth and DepthToSpace."""
    need(x.rank == 4 and net.dtype != np.float64)
    block = net.random.choice((2, 3))
    mode = net.random.choice((None, "DCR", "CRD")) if net.opset >= 11 else None
    if net.chance(0.5):
        y = _between(net, net.op("SpaceToDepth", x, blocksize=block))
        return net.op("DepthToSpace", y, blocksize=block, mode=mode)
    y = ls.conv(net, x, block * block * 2, kernel=1, plain=1.0, group=1)
    y = _between(net, net.op("DepthToSpace", y, blocksize=block, mode=mode))
    return net.op("SpaceToDepth", y, blocksize=block)


def _flat_product(net: Net, x: Val) -> Val:
    """A Transpose, flattened, before a product with a constant."""
    need(3 <= x.rank <= 4 and np.prod(x.shape[1:]) <= 400)
    order = [0, *range(2, x.rank), 1] if net.chance(0.7) else [0, x.rank - 1, *range(1, x.rank - 1)]
    y = _between(net, net.op("Transpose", x, perm=order))
    y = net.op("Flatten", y) if net.chance(0.5) else net.op("Reshape", y, net.ints([0, -1]))
    return ls.gemm(net, y)


def _reshapes(net: Net, x: Val) -> Val:
    """There and back again."""
    need(x.rank >= 3)
    shape = [x.shape[0], x.shape[1], -1] if net.chance(0.6) else [x.shape[0], -1]
    y = _between(net, net.op("Reshape", x, net.ints(shape)))
    return net.op("Reshape", y, net.ints(x.shape))


def _transposes(net: Net, x: Val) -> Val:
    y = _between(net, lo.transpose(net, x))
    if net.chance(0.5):
        return lo.transpose(net, y)
    order = list(range(x.rank))
    net.random.shuffle(order)
    return net.op("Transpose", y, perm=order)


def _squeezed(net: Net, x: Val) -> Val:
    need(x.rank <= 4)
    axis = net.random.randint(0, x.rank)
    return lo.squeeze(net, _between(net, lo.unsqueeze(net, x, axis)), axis)


def _flattened(net: Net, x: Val) -> Val:
    need(x.rank >= 2)
    y = net.op("Flatten", net.op("Flatten", x))
    return ls.gemm(net, y) if y.shape[1] <= 400 else y


def _bounded(net: Net, x: Val) -> Val:
    """What follows changes nothing: Relu of a Sigmoid, a wider Clip."""
    need(x.is_real)
    y = net.op(net.random.choice(("Relu", "Sigmoid", "Relu")), x)
    if net.chance(0.25):  # bounds that no number exceeds, or none
        most = float(np.finfo(net.dtype).max)
        if net.opset < 11:
            return net.op("Clip", y) if net.chance(0.5) else net.op("Clip", y, max=most)
        ends = [net.constant(np.asarray(end, net.dtype)) for end in (-most, most)]
        return net.op("Clip", y, *ends[: net.random.randint(0, 2)])
    if net.chance(0.5):
        return net.op("Relu", y)
    if net.opset < 11:
        return net.op("Clip", net.op("Clip", y, min=0.0, max=2.0), min=-1.0, max=3.0)
    ends = [net.constant(np.asarray(end, net.dtype)) for end in (0, 2, -1, 3)]
    return net.op("Clip", net.op("Clip", y, *ends[:2]), *ends[2:])


def _whole(net: Net, x: Val) -> Val:
    """A Slice of all, an Expand to the same shape, a pool of one, a norm of nothing."""
    need(x.rank >= 3 and x.is_real)
    form = net.random.choice(("slice", "expand", "pool", "norm"))
    if form == "slice":
        return lo.slice_of(net, x, [1, 2], [0, 0], [2**31 - 1, x.shape[2]])
    if form == "expand":
        need(net.opset >= 8)
        return net.op("Expand", x, net.ints([1, *x.shape[1:]]))
    need(net.dtype != np.float64)
    if form == "pool":
        return net.op("MaxPool", x, kernel_shape=[1] * (x.rank - 2))
    one, zero = np.ones(x.shape[1]), np.zeros(x.shape[1])
    epsilon = net.random.choice((0.0, 1e-9, 1e-5))
    variance = net.constant((one - net.random.choice((0.0, epsilon))).astype(net.dtype))
    operands = [net.real(one), net.real(zero), net.real(zero), variance]
    return net.op("BatchNormalization", x, *operands, epsilon=epsilon)


def _padded_pool(net: Net, x: Val) -> Val:
    """A Pad before a pool that has no pads, or some."""
    sizes = spatial(x)
    need(net.dtype != np.float64)
    ends = [0, 0, *(net.random.choice((0, 1, 1)) for _ in sizes)]
    pads = [*ends, *(ends if net.chance(0.6) else [0, 0, *(1 for _ in sizes)])]
    number = net.random.choice((0.0, 0.0, 0.0, -np.inf, -1e4))
    largest = number == 0.0 and net.chance(0.5)
    x = net.op("Relu", x) if largest else x  # only then zeros around change no maximum
    if net.opset < 11:
        y = net.op("Pad", x, pads=pads, value=number)
    else:
        y = net.op("Pad", x, net.ints(pads), net.constant(np.asarray(number, net.dtype)))
    given = {"kernel_shape": [3] * len(sizes), "strides": [net.random.choice((1, 2))] * len(sizes)}
    if net.chance(0.3):
        given["pads"] = [1] * (2 * len(sizes))
    if number == 0.0 and not largest:
        return net.op("AveragePool", y, **given, count_include_pad=int(net.chance(0.5)))
    return net.op("MaxPool", y, **given)


def _hidden_blocks(net: Net, x: Val) -> Val:
    """Two blocks of sixteen channels behind a permutation."""
    spatial(x)
    y = ls.conv(net, x, 32, kernel=1, plain=1.0, group=1)
    w = kernels.kernel(net.rng, (32, 32, *(1,) * (x.rank - 2)))
    side = np.arange(32) % 2
    mask = side[net.rng.permutation(32)][:, None] == side[net.rng.permutation(32)][None, :]
    w = w * mask.reshape(32, 32, *(1,) * (x.rank - 2))
    b = net.real(kernels.bias(net.rng, 32)) if net.chance(0.5) else None
    return net.op("Conv", y, net.real(w), b)


def _slices(net: Net, x: Val) -> Val:
    """A conv of which only every other place, or some channels, are read."""
    y = ls.conv(net, x, plain=0.8)
    need(net.opset >= 10)
    if net.chance(0.5):
        axes = list(range(2, y.rank))
        steps = [2] * len(axes)
        return lo.slice_of(net, y, axes, [0] * len(axes), [2**31 - 1] * len(axes), steps)
    return lo.slice_of(net, y, [1], [0], [max(1, y.shape[1] // 2)])


PAIRS = (
    _blocks, _flat_product, _reshapes, _transposes, _squeezed, _flattened, _bounded, _whole, _whole,
    _padded_pool, _padded_pool, _hidden_blocks, _slices,
)  # fmt: skip
