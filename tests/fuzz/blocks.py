"""Patterns that the passes look for, as networks have them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.fuzz import elementwise as ew
from tests.fuzz import layers as ls
from tests.fuzz import layout as lo
from tests.fuzz.layers import need, spatial
from tests.fuzz.net import Net, Skip, Val


def chain(net: Net, x: Val) -> Val:
    """Convs with nothing nonlinear between, transposed ones, pads and identities among them."""
    spatial(x)
    for _ in range(net.random.randint(2, 3)):
        kind = net.random.choice((ls.conv, ls.conv, ls.conv, ls.conv_transpose, ls.depthwise))
        x = kind(net, x)
        if net.chance(0.15):
            x = net.random.choice((ew.neutral, lo.pad, ls.batch_norm, lo.draw_slice))(net, x)
    return x


def conv_affine(net: Net, x: Val) -> Val:
    """Norms and constants on both sides of a conv, a transposed conv or a Gemm."""
    if x.rank == 2:
        x = ew.affine(net, x) if net.chance(0.4) else x
        return ew.affine(net, ls.gemm(net, x))
    spatial(x)
    for _ in range(net.random.randint(0, 2)):
        x = net.random.choice((ls.batch_norm, ew.affine, ew.neutral))(net, x)
    x = net.random.choice((ls.conv, ls.conv, ls.conv_transpose, ls.depthwise))(net, x)
    for _ in range(net.random.randint(1, 3)):
        x = net.random.choice((ls.batch_norm, ls.batch_norm, ew.affine, ew.neutral))(net, x)
    return x


def _same(  # noqa: PLR0917 - a conv that keeps sizes has as many
    net: Net, x: Val, out: int, size: int, stride: int, group: int
) -> Val:
    n = len(spatial(x))
    pad = [size // 2] * n
    window = {
        "kernel": [size] * n, "strides": [stride] * n, "dilations": [1] * n, "pads": [*pad, *pad]
    }  # fmt: skip
    return ls.conv(net, x, out, window=window, group=group)


def branches(net: Net, x: Val) -> Val:
    """Sums of convs on one input: RepVGG, ACNet, DBB."""
    n = len(spatial(x))
    r = net.random
    stride = r.choice((1, 1, 2))
    out = x.shape[1] if net.chance(0.6) else ls.draw_channels(net)
    group = r.choice(ls.divisors(int(np.gcd(x.shape[1], out)))) if net.chance(0.3) else 1
    made = [_same(net, x, out, 3, stride, group)]
    for _ in range(r.randint(1, 3)):
        form = r.choice(("point", "three", "line", "identity", "pool", "five", "deep"))
        if form == "identity" and stride == 1 and out == x.shape[1]:
            made.append(ls.batch_norm(net, x) if net.chance(0.6) else x)
        elif form == "line" and n == 2:
            kernel = r.choice(((1, 3), (3, 1)))
            pads = [kernel[0] // 2, kernel[1] // 2] * 2
            window = {"kernel": kernel, "strides": [stride] * 2, "dilations": [1] * 2, "pads": pads}
            made.append(ls.conv(net, x, out, window=window, group=group))
        elif form == "pool" and stride == 1:
            inner = ls.pointwise(net, x, out)
            need(inner.shape[2:] == x.shape[2:])
            made.append(
                net.op("AveragePool", inner, kernel_shape=[3] * n, strides=[1] * n,
                       pads=[1] * (2 * n), count_include_pad=int(net.chance(0.6)))
            )  # fmt: skip
        elif form == "deep":
            made.append(_same(net, _same(net, x, x.shape[1], 1, 1, 1), out, 3, stride, 1))
        else:
            size = {"three": 3, "five": 5}.get(form, 1)
            made.append(_same(net, x, out, size, stride, group))
    if net.chance(0.5):
        made = [ls.batch_norm(net, y) if net.chance(0.7) else y for y in made]
    need(len({y.shape for y in made}) == 1)
    if net.chance(0.15) and net.opset >= 8:
        return net.op("Sum", *made)
    total = made[0]
    for y in made[1:]:
        total = net.op(r.choice(("Add", "Add", "Add", "Sub")), total, y)
    return ew.activation(net, total) if net.chance(0.4) else total


def inception(net: Net, x: Val) -> Val:
    """Branches that are concatenated."""
    spatial(x)
    made = []
    for _ in range(net.random.randint(2, 4)):
        form = net.random.choice(("point", "conv", "deep", "pool", "same"))
        if form == "pool":
            y = ls.pointwise(net, ls.pool(net, x))
        elif form == "deep":
            y = _same(net, ls.pointwise(net, x), ls.draw_channels(net), 3, 1, 1)
        elif form == "same":
            y = _same(net, x, ls.draw_channels(net), 3, 1, 1)
        else:
            y = ls.pointwise(net, x) if form == "point" else ls.conv(net, x, plain=1.0)
        made.append(ew.activation(net, y) if net.chance(0.3) else y)
    need(len({y.shape[2:] for y in made}) == 1)
    y = lo.concat(net, made)
    return ls.conv(net, y) if net.chance(0.4) else y


def siblings(net: Net, x: Val) -> list[Val]:
    """Convs or products of one input whose results go different ways."""
    count = net.random.randint(2, 3)
    if x.rank == 2:
        return [ls.gemm(net, x) for _ in range(count)]
    spatial(x)
    size, stride = net.random.choice((1, 3)), net.random.choice((1, 1, 2))
    made = [_same(net, x, ls.draw_channels(net), size, stride, 1) for _ in range(count)]
    return [ew.activation(net, y) if net.chance(0.4) else y for y in made]


def split_conv_concat(net: Net, x: Val) -> Val:
    """Groups written out."""
    n = len(spatial(x))
    parts = lo.split(net, x)
    out, size = ls.draw_channels(net), net.random.choice((1, 3))
    pads = [size // 2] * (2 * n)
    window = {"kernel": [size] * n, "strides": [1] * n, "dilations": [1] * n, "pads": pads}
    made = [
        ls.conv(net, part, out if net.chance(0.8) else None, window=window, group=1, bias=True)
        for part in parts
    ]
    if net.chance(0.1):
        made.reverse()
    return lo.concat(net, made)


def upsampled(net: Net, x: Val) -> Val:
    """An upsample, then (perhaps behind a Concat or an Add) a conv."""
    spatial(x)
    y = ls.resize(net, x)
    form = net.random.choice(("conv", "conv", "concat", "add", "point"))
    if form == "concat":
        skip = ls.draw_channels(net)
        other = ls.conv(net, y, skip, kernel=1, plain=1.0)
        y = lo.concat(net, [y, other] if net.chance(0.5) else [other, y])
    if form == "add":
        y = net.op("Add", y, ls.conv(net, y, y.shape[1], kernel=1, plain=1.0, group=1))
    return ls.pointwise(net, y) if form == "point" else ls.conv(net, y)


def neck(net: Net, x: Val) -> Val:
    """Down, up again, concatenated with the skip, a 1×1 conv."""
    sizes = spatial(x)
    need(all(s % 2 == 0 for s in sizes))
    down = _same(net, x, ls.draw_channels(net), 3, 2, 1)
    down = ew.activation(net, down) if net.chance(0.5) else down
    if net.chance(0.5):
        n = len(sizes)
        w = net.rng.standard_normal((down.shape[1], 4, *(2,) * n)) / 2
        up = net.op("ConvTranspose", down, net.real(w), strides=[2] * n)
    else:
        up = ls.resize(net, down)
    need(up.shape[2:] == x.shape[2:])
    both = lo.concat(net, [up, x] if net.chance(0.5) else [x, up])
    return ls.pointwise(net, both) if net.chance(0.6) else ls.conv(net, both)


def conv_pool(net: Net, x: Val) -> Val:
    """A conv (mostly 1×1) and what works on positions, in either order."""
    spatial(x)
    moves: list[Callable[[Net, Val], Val]] = [
        ls.pool, ls.global_pool, ls.resize, lo.draw_slice, lo.pad, lo.space_to_depth,
        lo.depth_to_space, lo.transpose, lo.gather,
    ]  # fmt: skip
    move = net.random.choice(moves)
    layer = ls.pointwise if net.chance(0.8) else ls.conv
    return move(net, layer(net, x)) if net.chance(0.6) else layer(net, move(net, x))


def pixel_shuffle(net: Net, x: Val) -> Val:
    need(x.rank == 4)
    block = net.random.choice((2, 2, 3))
    y = ls.conv(net, x, block * block * net.random.randint(1, 3), group=1)
    y = lo.depth_to_space(net, y)
    return ls.conv(net, y) if net.chance(0.5) else y


def residual(net: Net, x: Val) -> Val:
    spatial(x)
    y = _same(net, x, ls.draw_channels(net), 3, 1, 1)
    y = ls.batch_norm(net, y) if net.chance(0.5) else y
    y = _same(net, ew.activation(net, y), x.shape[1], net.random.choice((1, 3)), 1, 1)
    y = net.op("Add", *net.random.sample([x, y], 2))
    return ew.activation(net, y) if net.chance(0.5) else y


def inverted(net: Net, x: Val) -> Val:
    """Expansion, depthwise conv, squeeze and excitation, projection."""
    spatial(x)
    y = ew.activation(net, ls.pointwise(net, x, x.shape[1] * 2))
    y = ls.depthwise(net, y)
    if net.chance(0.6):
        y = squeeze_excite(net, y)
    y = ls.pointwise(net, y)
    return net.op("Add", x, y) if y.shape == x.shape else y


def squeeze_excite(net: Net, x: Val) -> Val:
    y = ls.global_pool(net, x)
    need(y.rank == x.rank)
    y = ew.activation(net, ls.conv(net, y, net.random.choice((2, 4)), kernel=1, plain=1.0))
    y = ls.conv(net, y, x.shape[1], kernel=1, plain=1.0, group=1)
    return net.op("Mul", x, net.op(net.random.choice(("Sigmoid", "HardSigmoid")), y))


def head(net: Net, x: Val) -> Val:
    """Pooling, flattening, products, perhaps a softmax."""
    if x.rank >= 3:
        x = ls.global_pool(net, x) if net.chance(0.5) else x
        if x.rank >= 3:
            need(np.prod(x.shape[1:]) <= 800)
            x = lo.to_rank(net, x, 2)
    for _ in range(net.random.randint(1, 3)):
        x = ls.gemm(net, x)
        if net.chance(0.25):
            x = ew.activation(net, x)
        if net.chance(0.2):
            x = ew.affine(net, x)
    return ew.softmax(net, x) if net.chance(0.3) else x


def attention(net: Net, x: Val) -> Val:
    """Tokens from positions, products over their last axis, perhaps back again."""
    sizes = spatial(x)
    need(np.prod(sizes) <= 100)
    y = net.op("Transpose", net.op("Reshape", x, net.ints([*x.shape[:2], -1])), perm=[0, 2, 1])
    y = ls.matmul(net, y)
    if net.chance(0.5):
        y = ls.matmul(net, y)
    if net.chance(0.4):
        scores = net.op("MatMul", y, net.op("Transpose", y, perm=[0, 2, 1]))
        y = net.op("MatMul", net.op("Softmax", scores, axis=2), y)
    need(y.rank == 3)
    if net.chance(0.5):
        back = net.op("Transpose", y, perm=[0, 2, 1])
        y = net.op("Reshape", back, net.ints([*back.shape[:2], *sizes]))
    return y


def channels_last(net: Net, x: Val) -> Val:
    """What converters from channels-last frameworks leave: Transposes around ops."""
    spatial(x)
    to = [0, *range(2, x.rank), 1]
    back = [0, x.rank - 1, *range(1, x.rank - 1)]
    y = net.op("Transpose", x, perm=to)
    for _ in range(net.random.randint(1, 2)):
        y = net.random.choice((ew.affine, ew.activation, ls.matmul, ew.neutral))(net, y)
    need(y.rank == x.rank)
    y = net.op("Transpose", y, perm=back)
    return ls.conv(net, y) if net.chance(0.4) else y


def dead(net: Net, x: Val) -> Val:
    """Filters that are zero, an activation, the next layer."""
    spatial(x)
    y = ls.conv(net, x, net.random.choice((8, 16, 20)), plain=1.0)
    bias = net.rng.standard_normal(y.shape[1])
    alive = net.rng.random(y.shape[1]) < 0.5
    axes = (1,) * (y.rank - 2)
    y = net.op("Mul", y, net.real(alive.reshape(-1, *axes)))
    y = net.op("Add", y, net.real(bias.reshape(-1, *axes)))
    for _ in range(net.random.randint(0, 2)):
        y = net.random.choice((ew.activation, ls.pool, ls.depthwise, ls.batch_norm))(net, y)
    return ls.conv(net, y)


def padded(net: Net, x: Val) -> Val:
    """A Pad before what has pads of its own."""
    y = lo.pad(net, x)
    return net.random.choice((ls.conv, ls.pool, ls.conv, lo.pad, ls.conv_transpose))(net, y)


def twice(net: Net, x: Val) -> Val:
    """The same subexpression twice, and a sum of the two."""
    first = len(net.nodes)
    y = ls.conv(net, x) if x.rank >= 3 else ls.gemm(net, x)
    if net.nodes[-1].output[0] != y.name or len(net.nodes) - first > 3:
        raise Skip
    copy = type(net.nodes[-1])()
    copy.CopyFrom(net.nodes[-1])
    again = Val(net.name("v"), y.shape, y.dtype)
    copy.name, copy.output[0] = net.name("n"), again.name
    net.nodes.append(copy)
    left = ew.activation(net, y) if net.chance(0.5) else y
    return net.op("Add", left, again)


def same_weights(net: Net, x: Val) -> Val:
    """One layer applied to two values, as siamese and recurrent nets do."""
    spatial(x)
    c = x.shape[1]
    n = x.rank - 2
    w = net.real(net.rng.standard_normal((c, c, *(3,) * n)) / np.sqrt(c * 3**n))
    b = net.real(net.rng.standard_normal(c))
    pads = [1] * (2 * n)
    y = net.op("Conv", x, w, b, pads=pads)
    y = ls.batch_norm(net, y) if net.chance(0.5) else ew.activation(net, y)
    return net.op("Add", x, net.op("Conv", y, w, b if net.chance(0.7) else None, pads=pads))
