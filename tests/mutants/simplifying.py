"""Mutants of simplify and flush-subnormals."""

from __future__ import annotations

import numpy as np

from tests.mutants.mutant import Mutant, edited
from tests.mutants.samples import Net

NO_REWRITE = "weights are shared by no rewrite"
VALUES = "proofs feed no numbers that large"
BOUND = "the bound that a rewrite of class rounding states is believed"

# -- simplify ------------------------------------------------------------------------------------


def softmax_of_a_constant() -> bytes:
    net = Net()
    net.op("MatMul", "x", net.op("Softmax", net.constant(net.kernel(4, 4)), axis=0))
    return net.model(2, 4)


def leaky_twice() -> bytes:
    net = Net()
    parts = [net.op("LeakyRelu", "x", alpha=alpha) for alpha in (0.1, 0.3)]
    net.op("Concat", *parts, axis=1)
    return net.model(1, 3, 4, 5)


def subtracted_both_ways() -> bytes:
    net = Net()
    other = net.op("Sin", "x")
    net.op("Concat", net.op("Sub", "x", other), net.op("Sub", other, "x"), axis=1)
    return net.model(1, 3, 4, 5)


def nearly_equal_weights() -> bytes:
    net = Net()
    weight = net.kernel(8, 4, 3, 3)
    other = weight.copy()
    other[-1, -1, 1, 1] += 1.0
    net.op("Mul", net.conv("x", weight), net.conv("x", other))
    return net.model(1, 4, 6, 7)


def shifted_by_a_pad() -> bytes:
    net = Net()
    net.op("Sin", net.op("Pad", "x", net.constant([0, 0, 0, 1, 0, 0, 0, -1])))
    return net.model(1, 3, 4, 5)


def sliced_and_pooled() -> bytes:
    net = Net()
    ends = [net.constant([bound]) for bound in (0, 6, 3)]
    net.op("GlobalAveragePool", net.op("Slice", "x", *ends))
    return net.model(1, 3, 5, 7)


def transposed_twice() -> bytes:
    net = Net()
    net.op("Transpose", net.op("Transpose", "x", perm=[0, 2, 3, 1]), perm=[0, 2, 1, 3])
    return net.model(1, 4, 4, 4)


def clipped() -> bytes:
    net = Net()
    net.op("Clip", "x", *(net.constant(np.float32(bound)) for bound in (-60, 60)))
    return net.model(1, 3, 4, 5)


def rectified_leaky() -> bytes:
    net = Net()
    net.op("Relu", net.op("LeakyRelu", "x", alpha=0.2))
    return net.model(1, 3, 4, 5)


def negated_by_a_sub() -> bytes:
    net = Net()
    net.op("Sin", net.op("Sub", net.constant(np.float32(0)), "x"))
    return net.model(1, 3, 4, 5)


def centred() -> bytes:
    """A BatchNormalization that only takes its means away."""
    net = Net()
    ones, zeros, mean = np.ones(3), np.zeros(3), net.vector(3)
    values = [net.constant(array) for array in (ones, zeros, mean, ones)]
    net.op("Relu", net.op("BatchNormalization", "x", *values, epsilon=0.0))
    return net.model(1, 3, 4, 5)


def same_upper() -> bytes:
    net = Net()
    net.conv("x", net.kernel(4, 3, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2])
    return net.model(1, 3, 8, 10)


def padded_conv() -> bytes:
    net = Net()
    net.conv(net.op("Pad", "x", net.constant([0, 0, 1, 0, 0, 0, 0, 2])), net.kernel(4, 3, 3, 3))
    return net.model(1, 3, 8, 9)


def padded_average() -> bytes:
    net = Net()
    padded = net.op("Pad", "x", net.constant([0, 0, 1, 1, 0, 0, 1, 1]))
    net.op("AveragePool", padded, kernel_shape=[3, 3])
    return net.model(1, 3, 8, 9)


def padded_maximum() -> bytes:
    net = Net()
    padded = net.op("Pad", "x", net.constant([0, 0, 1, 1, 0, 0, 1, 1]))
    net.op("MaxPool", padded, kernel_shape=[2, 2], strides=[2, 2])
    return net.model(1, 3, 8, 8)


def truncated() -> bytes:
    net = Net()
    net.op("Cast", net.op("Cast", "x", to=6), to=1)
    return net.model(1, 3, 4, 5)


def constant_cast() -> bytes:
    net = Net()
    whole = net.op("Cast", net.constant(np.array([0.2, 1.7, 2.5])), to=7)
    net.op("Gather", "x", whole, axis=1)
    return net.model(1, 4, 4, 5)


SIMPLIFY = [
    Mutant(
        "fold-axis", "a constant Softmax is folded along the last axis, whatever its axis",
        "simplify", "passes.simplify.folding:_compute",
        edited("moved, op.attributes, opset", "moved, {**op.attributes, 'axis': -1}, opset"),
        softmax_of_a_constant,
    ),
    Mutant(
        "share-attributes", "ops count as equal subexpressions though their attributes differ",
        "simplify", "passes.simplify.sharing:_key",
        edited("tuple(operands), tuple(attributes)", "tuple(operands), len(attributes)"),
        leaky_twice,
    ),
    Mutant(
        "share-order", "a − b and b − a count as equal subexpressions",
        "simplify", "passes.simplify.sharing:_key",
        edited("if op.kind in COMMUTATIVE and", "if"),
        subtracted_both_ways,
    ),
    Mutant(
        "share-samples", "weights count as equal where only a sample of them was compared",
        "simplify", "passes.simplify.sharing:_digest",
        edited("if array.size <= SAMPLE:", "if array.size:"),
        nearly_equal_weights, unproved=NO_REWRITE,
    ),
    Mutant(
        "pad-sum", "a Pad that adds a column on one side and crops one on the other does nothing",
        "simplify", "passes.simplify.identities:drop_pad",
        edited('if any(constant_of(op, 1, "pads")):', 'if sum(constant_of(op, 1, "pads")):'),
        shifted_by_a_pad,
    ),
    Mutant(
        "slice-end", "a Slice that leaves out the last column counts as one that takes all",
        "simplify", "passes.simplify.identities:_takes_all",
        edited("end >= dim", "end >= dim - 1"),
        sliced_and_pooled,
    ),
    Mutant(
        "transpose-order", "two permutations are composed in the wrong order",
        "simplify", "passes.simplify.pairs:merge_transposes",
        edited("first[axis] for axis in second", "second[axis] for axis in first"),
        transposed_twice,
    ),
    Mutant(
        "clip-range", "a Clip with bounds beyond ±50 is dropped: wrong for large values only",
        "simplify", "passes.simplify.identities:_range_of",
        lambda _right: lambda _dtype: (-50.0, 50.0),
        clipped, unproved=VALUES,
    ),
    Mutant(
        "relu-of-leaky", "a Relu behind a LeakyRelu is dropped: wrong for negative values only",
        "simplify", "passes.simplify.identities:is_nonnegative",
        edited("return maker.kind in NONNEGATIVE", "return 'Relu' in maker.kind"),
        rectified_leaky,
    ),
    Mutant(
        "zero-minus", "0 − x counts as x − 0",
        "simplify", "passes.simplify.identities:drop_neutral",
        edited("if op.kind not in COMMUTATIVE or graph", "if graph"),
        negated_by_a_sub,
    ),
    Mutant(
        "norm-mean", "a BatchNormalization of scale 1 is dropped though it has means",
        "simplify", "passes.simplify.identities:drop_batch_norm",
        edited("bias.any() or mean.any()", "bias.any()"),
        centred, passes="simplify",
    ),
    Mutant(
        "same-lower", "auto_pad SAME_UPPER is made explicit as SAME_LOWER",
        "simplify", "convc.conv:_same_begin",
        edited("shared if upper else shared + 1", "shared + 1 if upper else shared"),
        same_upper,
    ),
    Mutant(
        "pad-sides", "a Pad is folded into a Conv with its begin and end exchanged",
        "simplify", "passes.simplify.padding:_zeros_around",
        edited("pads[place], pads[place + len(axes)]", "pads[place + len(axes)], pads[place]"),
        padded_conv,
    ),
    Mutant(
        "pad-average", "a Pad is folded into an AveragePool that does not count it",
        "simplify", "passes.simplify.padding:pad_into_average",
        edited('"count_include_pad": 1', '"count_include_pad": 0'),
        padded_average,
    ),
    Mutant(
        "pad-maximum", "a Pad with zeros is folded into a MaxPool of values that may be negative",
        "simplify", "passes.simplify.padding:pad_into_max",
        edited("if not is_nonnegative(graph, data):", "if False:"),
        padded_maximum,
    ),
    Mutant(
        "cast-lossless", "a Cast to integers and back counts as one that loses nothing",
        "simplify", "passes.simplify.pairs:is_lossless",
        lambda _right: lambda _start, _end: True,
        truncated,
    ),
    Mutant(
        "cast-rounds", "a constant is rounded by a Cast to integers that truncates it",
        "simplify", "passes.simplify.folding:_cast",
        edited("return wide.astype(dtype)", "return np.round(wide).astype(dtype)"),
        constant_cast,
    ),
]  # fmt: skip

# -- flush-subnormals ----------------------------------------------------------------------------


def tiny_weights() -> bytes:
    """One subnormal weight in the first filter, and a few that are small but count."""
    net = Net()
    kernel = net.kernel(4, 3, 3, 3)
    kernel[0, 0, 0, 0] = 1e-40
    kernel[:, 1, :, :] = np.where(np.abs(kernel[:, 1]) < 0.2, 9e-3, kernel[:, 1])
    net.op("Relu", net.conv("x", kernel, net.vector(4)))
    return net.model(1, 3, 6, 7)


FLUSH = [
    Mutant(
        "flush-threshold", "weights below 1e-2 count as subnormal and as negligible",
        "flush-subnormals", "passes.flush_subnormals:_flushed",
        edited("magnitude < threshold", "magnitude < 1e-2",
               "moved * SPREAD <= roundoff * largest", "small > 0"),
        tiny_weights, unproved=BOUND,
    ),
    Mutant(
        "flush-bias", "the bias is set to zero along with the weights",
        "flush-subnormals", "passes.flush_subnormals:flush",
        edited("else flushed[:, -1]", "else 0.0 * flushed[:, -1]"),
        tiny_weights,
    ),
    Mutant(
        "flush-filter", "a filter goes as a whole where one of its weights is negligible",
        "flush-subnormals", "passes.flush_subnormals:_flushed",
        edited("np.where(negligible & (small > 0), 0.0, values)",
               "np.where((negligible & (small > 0)).any(axis=1, keepdims=True), 0.0, values)"),
        tiny_weights,
    ),
]  # fmt: skip

MUTANTS = [*SIMPLIFY, *FLUSH]
