"""Mutants of fuse-convs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from convc.algebra.border import Ring
from convc.algebra.geometry import ConvGeometry
from convc.algebra.taps import flip
from convc.ir import Array
from tests.mutants.mutant import Function, Mutant, after, edited
from tests.mutants.samples import Net, shared

FUSE = "fuse-convs"
STRIPS = "fuse-convs{border=exact}"


def lopsided() -> bytes:
    """Two convs that compose at every border; pads differ by side and axis, and from the kernel."""
    net = Net()
    x = net.conv("x", net.kernel(6, 3, 3, 3), pads=[3, 2, 2, 3])
    net.conv(x, net.kernel(2, 6, 3, 3), net.vector(2), pads=[1, 0, 0, 1])
    return net.model(1, 3, 8, 9)


def unpadded() -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(8, 2, 3, 3), net.vector(8))
    net.conv(x, net.kernel(2, 8, 2, 3), net.vector(2))
    return net.model(1, 2, 9, 10)


def dilated() -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(6, 2, 2, 2), dilations=[2, 2])
    net.conv(x, net.kernel(2, 6, 2, 2), net.vector(2), dilations=[3, 3])
    return net.model(1, 2, 11, 12)


def strided_then_padded() -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(6, 3, 1, 1), strides=[2, 2])
    net.conv(x, net.kernel(2, 6, 3, 3), net.vector(2), pads=[1, 1, 1, 1])
    return net.model(1, 3, 11, 12)


def biased_then_padded() -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(6, 3, 1, 1), net.vector(6))
    net.conv(x, net.kernel(2, 6, 3, 3), net.vector(2), pads=[1, 1, 1, 1])
    return net.model(1, 3, 8, 9)


def even_only() -> bytes:
    """Two convs that compose at every border where height and width are even, and else not."""
    net = Net()
    x = net.conv("x", net.kernel(4, 1, 3, 3), strides=[2, 2], pads=[2, 2, 1, 1])
    net.conv(x, net.kernel(1, 4, 3, 3), net.vector(1), pads=[1, 1, 1, 1])
    return net.model(1, 1, "height", "width")


def square_gemms() -> bytes:
    net = Net()
    first, second = net.kernel(5, 5), net.kernel(5, 3)
    x = net.op("Gemm", "x", net.constant(first), net.constant(net.vector(5)), transB=1)
    net.op("Gemm", x, net.constant(second), net.constant(net.vector(3)))
    return net.model(4, 5)


def conv_then_transpose() -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4), pads=[2, 2, 2, 2])
    net.conv(x, net.kernel(4, 2, 4, 4), kind="ConvTranspose", strides=[2, 2], pads=[3, 3, 3, 3])
    return net.model(1, 3, 6, 7)


def transposed_kernel(right: Function) -> Function:
    return lambda *args: right(*args).swapaxes(2, 3)


def sides_exchanged(geometry: ConvGeometry) -> ConvGeometry:
    return replace(geometry, pads_begin=geometry.pads_end, pads_end=geometry.pads_begin)


def corner_zero(values: Array) -> Array:
    values = np.array(values)
    values[0, 0, -1, -1] = 0.0
    return values


def last_tap_lost(right: Function) -> Function:
    def wrong(*args: Any) -> Array:
        kernel = np.array(right(*args))
        kernel[-1, -1, -1, -1] = 0.0
        return kernel

    return wrong


MUTANTS = [
    Mutant(
        "fused-flipped", "the composed kernel is flipped", FUSE,
        "convc.algebra.compose:compose_kernels", after(flip), unpadded,
    ),
    Mutant(
        "fused-convolved", "the second kernel is flipped, as a convolution in the strict sense",
        FUSE, "convc.algebra.compose:compose_kernels",
        lambda right: lambda w1, w2, *rest: right(w1, flip(w2), *rest),
        unpadded,
    ),
    Mutant(
        "fused-transposed", "the composed kernel has rows and columns exchanged", FUSE,
        "convc.algebra.compose:compose_kernels", transposed_kernel, lopsided, passes=FUSE,
    ),
    Mutant(
        "fused-sides", "the composed pads have begin and end exchanged", FUSE,
        "convc.algebra.compose:compose_geometry", after(sides_exchanged), lopsided, passes=FUSE,
    ),
    Mutant(
        "fused-pads-off", "one more is padded at the begin, and one less at the end", FUSE,
        "convc.algebra.compose:compose_geometry",
        after(lambda g: replace(g, pads_begin=tuple(p + 1 for p in g.pads_begin),
                                pads_end=tuple(p - 1 for p in g.pads_end))),
        lopsided, passes=FUSE,
    ),
    Mutant(
        "fused-pads-stride", "the second conv's pads are not multiplied by the first one's stride",
        FUSE, "convc.algebra.compose:_composed_pads", edited("p1 + s1 * p2", "p1 + p2"),
        strided_then_padded, passes=FUSE,
    ),
    Mutant(
        "fused-strides", "strides are not multiplied, the larger one is taken", FUSE,
        "convc.algebra.compose:compose_geometry",
        edited("tuple(s1 * s2 for s1, s2 in", "tuple(max(s1, s2) for s1, s2 in"),
        shared("chain_strided"),
    ),
    Mutant(
        "fused-grid", "the dilation of the composition is the least one and not the divisor", FUSE,
        "convc.algebra.taps:common_grid",
        edited("math.gcd(", "min("),
        dilated, passes=FUSE,
    ),
    Mutant(
        "fused-bias-dropped", "the bias of the first conv is dropped", FUSE,
        "convc.algebra.compose:compose_bias", edited("(sums @ values)", "0 * (sums @ values)"),
        unpadded,
    ),
    Mutant(
        "fused-bias-tap", "the bias of the first conv meets one tap of the second instead of all",
        FUSE, "convc.algebra.compose:compose_bias", edited(".sum(axis=2)", "[:, :, -1]"),
        unpadded,
    ),
    Mutant(
        "fused-second-bias", "the bias of the second conv is added twice", FUSE,
        "convc.algebra.compose:compose_bias",
        edited("channels(b2, w2.shape[0]) +", "2 * channels(b2, w2.shape[0]) +"),
        unpadded,
    ),
    Mutant(
        "fused-border", "two padded convs become one as if there were no border", FUSE,
        "convc.algebra.border:ring_condition", after(lambda _: Ring(None, None)),
        shared("chain_padded"), passes=FUSE,
    ),
    Mutant(
        "fused-bias-border", "a bias before a padded conv counts as padded, too", FUSE,
        "passes._conv_chains:fuse_conv",
        edited("bias_lost = ring.bias if first.bias is not None else None", "bias_lost = None"),
        biased_then_padded, passes=FUSE,
    ),
    Mutant(
        "fused-residue", "only one remainder of an open size is looked at: wrong at odd sizes only",
        FUSE, "convc.algebra.border:_standing_for",
        edited("range(apart, apart + period)", "range(apart + apart % 2, apart + apart % 2 + 1)"),
        even_only, passes=FUSE, options={"sizes": {"height": 16, "width": 16}},
    ),
    Mutant(
        "fused-strips", "the first and the last border strip are exchanged", FUSE,
        "passes._conv_chains:_with_strips",
        edited("[*begin, result, *end]", "[*end, result, *begin]"),
        shared("chain_padded"), passes=STRIPS,
    ),
    Mutant(
        "fused-map-runs", "rows of the border map that differ a little count as equal", FUSE,
        "passes._conv_chains:_distinct", edited("> SAME *", "> 0.2 *"),
        biased_then_padded, passes=STRIPS,
    ),
    Mutant(
        "fused-corner", "the border map is wrong in one channel of one corner pixel", FUSE,
        "passes._conv_chains:_constant_part", after(corner_zero),
        biased_then_padded, passes=STRIPS,
    ),
    Mutant(
        "fused-groups", "the channels between convs in groups are taken in the wrong order", FUSE,
        "convc.algebra.taps:_channel_blocks",
        edited("w2.reshape(common, rows, parts1, inner, *w2.shape[2:]).swapaxes(1, 2)", "w2"),
        shared("chain_grouped"), passes=FUSE,
    ),
    Mutant(
        "fused-last-tap", "the last tap of the last filter is lost", FUSE,
        "convc.algebra.compose:compose_kernels", last_tap_lost, unpadded,
    ),
    Mutant(
        "fused-alpha", "alpha of a Gemm is taken to be 1", FUSE,
        "passes._dense_chains:read_dense", edited('alpha = _factor(op, "alpha")', "alpha = 1.0"),
        shared("gemm_chain"),
    ),
    Mutant(
        "fused-beta", "beta of a Gemm is taken to be 1", FUSE,
        "passes._dense_chains:read_dense", edited('_factor(op, "beta") * bias', "bias"),
        shared("gemm_chain"),
    ),
    Mutant(
        "fused-trans-b", "transB of a Gemm with a square matrix is overlooked", FUSE,
        "passes._dense_chains:read_dense", edited('if op.attributes.get("transB"):', "if False:"),
        square_gemms,
    ),
    Mutant(
        "fused-flatten", "what is flattened between conv and Gemm is read column by column", FUSE,
        "convc.algebra.dense:conv_into_gemm",
        edited("count // group, *out)", "count // group, *out).swapaxes(-1, -2)"),
        shared("conv_flatten_gemm"), passes=FUSE,
    ),
    Mutant(
        "fused-transpose-flip", "a conv before a transposed one composes without being flipped",
        FUSE, "convc.algebra.transpose:compose_conv_then_transpose",
        edited("flip(as_float64(w1))", "as_float64(w1)"),
        conv_then_transpose, passes=FUSE,
    ),
    Mutant(
        "fused-transpose-crop", "a conv behind a transposed one reads one position too far",
        FUSE, "convc.algebra.transpose:compose_transpose_then_conv",
        edited("p1 + e2 - 1 - p2", "p1 + e2 - p2"),
        shared("transpose_then_conv"), passes=FUSE,
    ),
]  # fmt: skip
