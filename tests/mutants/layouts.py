"""Mutants of commute-linear, block-diagonal and prune-dead-channels."""

from __future__ import annotations

import numpy as np

from tests.mutants.mutant import Mutant, edited
from tests.mutants.samples import Net, shared
from tests.mutants.simplifying import BOUND

COMMUTE = "commute-linear"


def pooled_with_padding() -> bytes:
    """A 1×1 conv with a bias before an average that counts its padding: 0, and not the bias."""
    net = Net()
    x = net.conv("x", net.kernel(6, 3, 1, 1), net.vector(6))
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    net.op("AveragePool", x, **pool, count_include_pad=1)
    return net.model(1, 3, 8, 10)


def scaled_then_pooled() -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(6, 3, 1, 1), net.vector(6))
    x = net.by_channel("Mul", x, net.vector(6, 0.5, 2))
    net.op("GlobalAveragePool", net.by_channel("Add", x, net.vector(6)))
    return net.model(1, 3, 8, 10)


def reduced() -> bytes:
    """A mean over the rows of what a 1×1 conv makes, on square images."""
    net = Net()
    x = net.conv("x", net.kernel(6, 3, 1, 1), net.vector(6))
    net.op("ReduceMean", x, axes=[3], keepdims=1)
    return net.model(1, 3, 8, 8)


def blocked() -> bytes:
    net = Net()
    x = net.op("DepthToSpace", "x", blocksize=2, mode="DCR")
    x = net.op("Relu", net.by_channel("Mul", x, net.vector(3, 0.5, 2)))
    net.op("SpaceToDepth", x, blocksize=2)
    return net.model(1, 12, 4, 5)


def transposed_flat() -> bytes:
    net = Net()
    x = net.op("Flatten", net.op("Transpose", "x", perm=[0, 2, 3, 1]))
    net.op("Gemm", x, net.constant(net.kernel(60, 4)), net.constant(net.vector(4)))
    return net.model(2, 3, 4, 5)


def upsampled_concat() -> bytes:
    net = Net()
    scales = net.constant(np.float32([1, 1, 2, 2]))
    small = net.op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])
    large = net.op("Resize", net.op("Sin", small), "-", scales, mode="nearest")
    both = net.op("Concat", large, "x", axis=1)
    net.conv(both, net.kernel(2, 6, 1, 1), net.vector(2))
    return net.model(1, 3, 6, 8)


def constant_concat() -> bytes:
    """A constant plane beside the image before a padded conv, as coordinate convs have it."""
    net = Net()
    plane = net.constant(np.full((1, 2, 6, 7), 0.7))
    net.conv(net.op("Concat", "x", plane, axis=1), net.kernel(4, 5, 3, 3), pads=[1, 1, 1, 1])
    return net.model(1, 3, 6, 7)


def broadcast_concat() -> bytes:
    net = Net()
    whole = net.op("Expand", net.op("GlobalAveragePool", "x"), net.constant([1, 3, 6, 7]))
    net.conv(net.op("Concat", "x", whole, axis=1), net.kernel(4, 6, 3, 3), pads=[1, 1, 1, 1])
    return net.model(1, 3, 6, 7)


def strided_pointwise() -> bytes:
    net = Net()
    x = net.op("Relu", net.conv("x", net.kernel(6, 3, 3, 3), net.vector(6), pads=[1, 1, 1, 1]))
    net.conv(x, net.kernel(4, 6, 1, 1), net.vector(4), strides=[2, 2])
    return net.model(1, 3, 9, 11)


COMMUTING = [
    Mutant(
        "pool-bias", "a bias before an average that counts its padding moves behind it as it is",
        COMMUTE, "passes.commute_linear.conv:_offset",
        lambda _right: lambda *_: None,
        pooled_with_padding,
    ),
    Mutant(
        "pool-include-pad", "count_include_pad is overlooked where a bias passes an average",
        COMMUTE, "convc.algebra.pooling:_axis_shares",
        edited("padded if include_pad else real", "real"),
        pooled_with_padding,
    ),
    Mutant(
        "pool-links", "the scale and the shift behind the conv change places",
        COMMUTE, "passes.commute_linear.conv:swap_conv_last",
        edited("for link in links:", "for link in links[::-1]:"),
        scaled_then_pooled, passes=COMMUTE,
    ),
    Mutant(
        "layout-inverse", "a permutation stands for its inverse",
        COMMUTE, "passes.commute_linear.groups:inverse",
        lambda _right: lambda perm: perm,
        shared("nhwc_island"),
    ),
    Mutant(
        "blocks-mode", "constants are repeated for CRD where the block is DCR",
        COMMUTE, "passes.commute_linear.depth:by_channel",
        edited('np.tile(values, count) if mode == "DCR" else np.repeat(values, count)',
               "np.repeat(values, count)"),
        blocked, passes=COMMUTE,
    ),
    Mutant(
        "flat-rows", "the rows of a matrix keep their order though the image before it turned",
        COMMUTE, "passes.commute_linear.product:_reordered",
        lambda _right: lambda rows, _joined, _order: rows,
        transposed_flat, passes=COMMUTE,
    ),
    Mutant(
        "concat-columns", "each part of a Concat meets the first columns of the kernel",
        COMMUTE, "passes.commute_linear.concat:_Site.columns",
        edited("part.channels.start : part.channels.stop", ": len(part.channels)"),
        upsampled_concat, passes=COMMUTE,
    ),
    Mutant(
        "concat-bias-twice", "each of the convs that are added has the bias",
        COMMUTE, "passes.commute_linear.concat:_sum",
        edited("None if i else bias", "bias"),
        upsampled_concat, passes=COMMUTE,
    ),
    Mutant(
        "concat-constant-border", "a constant part of a Concat is a bias, at the border as well",
        COMMUTE, "passes.commute_linear.concat:_constants",
        edited("<= SAME * np.abs(values).max()", "< np.inf",
               "values[:1, :, *(slice(1) for _ in values.shape[2:])]", "values[:1, :, 3:4, 3:4]"),
        constant_concat,
    ),
    Mutant(
        "concat-broadcast-border", "a part that is broadcast counts as padded, too",
        COMMUTE, "passes.commute_linear.concat:_sort",
        edited("if any(geometry.pads):", "if False:"),
        broadcast_concat,
    ),
    Mutant(
        "stride-not-taken", "the stride moves to the conv before, and stays where it was, too",
        COMMUTE, "passes.commute_linear.strides:_with_less",
        edited("_scaled(op, [(1, f) for f in factors])", "dict(op.attributes)"),
        strided_pointwise,
    ),
]  # fmt: skip

# -- block-diagonal ------------------------------------------------------------------------------

BLOCKS = "block-diagonal"

BLOCKING = [
    Mutant(
        "regroup-order", "the blocks of a wider group are in reverse order",
        BLOCKS, "convc.algebra.blocks:regroup",
        edited("wide[:, index, :, index] =", "wide[:, index, :, index[::-1]] ="),
        shared("narrow_groups"), passes=BLOCKS,
    ),
    Mutant(
        "hidden-back", "the outputs are sorted once more where they should be put back",
        BLOCKS, "passes.block_diagonal.hidden:_given",
        edited("places[np.argsort(order[places])]", "order"),
        shared("block_diagonal_hidden"), passes=BLOCKS,
    ),
    Mutant(
        "hidden-bias", "the bias keeps its order though the filters change theirs",
        BLOCKS, "passes.block_diagonal.hidden:_placed",
        edited("vector[rows]", "vector.reshape(rows.shape)"),
        shared("block_diagonal_hidden"), passes=BLOCKS,
    ),
    Mutant(
        "hidden-inputs", "the inputs are sorted by the inverse order",
        BLOCKS, "passes.block_diagonal.hidden:_read",
        edited("build.take(data), order, op", "build.take(data), np.argsort(order), op"),
        shared("block_diagonal_hidden"), passes=BLOCKS,
    ),
]  # fmt: skip

# -- prune-dead-channels -------------------------------------------------------------------------

PRUNE = "prune-dead-channels"


def dead_with_bias(kernel: int, pad: int, between: str = "Relu") -> bytes:
    """Filters that are zero but have a bias, before a conv."""
    net = Net()
    filters, bias = net.kernel(6, 3, 3, 3), net.vector(6, 0.3, 1)
    filters[1::2] = 0
    x = net.op(between, net.conv("x", filters, bias))
    net.conv(x, net.kernel(4, 6, kernel, kernel), net.vector(4), pads=[pad] * 4)
    return net.model(1, 3, 8, 9)


def dead_before_pointwise() -> bytes:
    return dead_with_bias(1, 0)


def dead_before_padding() -> bytes:
    return dead_with_bias(3, 1)


def multiples(between: str) -> bytes:
    """Filters that are multiples of others, biases and all."""
    net = Net()
    filters, bias = net.kernel(6, 3, 3, 3), net.vector(6)
    filters[3:], bias[3:] = 2 * filters[:3], 2 * bias[:3]
    net.conv(net.op(between, net.conv("x", filters, bias)), net.kernel(4, 6, 3, 3), net.vector(4))
    return net.model(1, 3, 8, 9)


def dead_pooled() -> bytes:
    net = Net()
    filters, bias = net.kernel(6, 3, 3, 3), net.vector(6, 0.3, 1)
    filters[1::2] = 0
    x = net.op("Relu", net.conv("x", filters, bias))
    pool = {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    net.conv(net.op("AveragePool", x, **pool), net.kernel(4, 6, 1, 1), net.vector(4))
    return net.model(1, 3, 8, 9)


def dead_with_slopes() -> bytes:
    """Dead filters between a conv and its slopes: the slopes of those that stay have to stay."""
    net = Net()
    filters, bias = net.kernel(6, 3, 3, 3), net.vector(6)
    filters[::2] = 0
    slopes = net.constant(net.vector(6).reshape(6, 1, 1))
    x = net.op("PRelu", net.conv("x", filters, bias), slopes)
    net.conv(x, net.kernel(4, 6, 1, 1), net.vector(4))
    return net.model(1, 3, 8, 9)


PRUNING = [
    Mutant(
        "dead-constant", "the constant of a dead channel does not go into the next bias",
        PRUNE, "passes._regions.build:_without",
        edited("if merged.constant.any():", "if False:"),
        dead_before_pointwise,
    ),
    Mutant(
        "dead-border", "the constant of a dead channel goes into the bias behind a padding",
        PRUNE, "passes._regions.layers:keeps",
        lambda _right: lambda _linear: (True, ""),
        dead_before_padding,
    ),
    Mutant(
        "dead-unactivated", "the constant passes the activation as it is",
        PRUNE, "passes._regions.flow:_apply",
        lambda _right: lambda _graph, _op, arrays, _count: arrays[0],
        lambda: dead_with_bias(1, 0, "Sigmoid"),
    ),
    Mutant(
        "dead-pool", "a constant passes an average that counts its padding as it is",
        PRUNE, "passes._regions.flow:_passes",
        edited("return zero if padded or", "return zero if"),
        dead_pooled,
    ),
    Mutant(
        "twin-ratio", "of two channels that are multiples the ratio is taken to be 1",
        PRUNE, "passes._regions.plan:merge",
        edited("float(state.factor[c] / state.factor[other])", "1.0"),
        lambda: multiples("Relu"),
    ),
    Mutant(
        "twin-sigmoid", "a Sigmoid hands multiples through",
        PRUNE, "passes._regions.flow:_signature",
        edited("return columns, np.ones(len(m))", "return signatures, m"),
        lambda: multiples("Sigmoid"),
    ),
    Mutant(
        "kept-bias", "the filters that stay get the first of the biases",
        PRUNE, "passes._regions.build:_layer",
        edited("bias = bias[outputs]", "bias = bias[: len(outputs)]"),
        dead_before_pointwise,
    ),
    Mutant(
        "kept-slopes", "the channels that stay get the first of the slopes",
        PRUNE, "passes._regions.build:_operand",
        edited("np.take(array, stays, axis)", "np.take(array, range(len(stays)), axis)"),
        dead_with_slopes,
    ),
    Mutant(
        "kept-inputs", "the next conv keeps the right columns in reverse order",
        PRUNE, "convc.algebra.channels:restrict",
        edited("w[np.ix_(outputs, inputs)]", "w[np.ix_(outputs, inputs[::-1])]"),
        dead_before_pointwise,
    ),
    Mutant(
        "negligible", "filters without the layer's largest weights count as negligible",
        PRUNE, "convc.algebra.channels:negligible",
        edited("np.less_equal(ratio, roundoff), ratio",
               "np.less_equal(magnitude.max(axis=1), 0.9 * largest), ratio"),
        shared("subnormal_weights"), passes=PRUNE, unproved=BOUND,
    ),
]  # fmt: skip

MUTANTS = [*COMMUTING, *BLOCKING, *PRUNING]
