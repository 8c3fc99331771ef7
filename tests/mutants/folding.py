"""Mutants of fold-affine."""

from __future__ import annotations

from typing import Any

import numpy as np

from convc.ir import Array
from tests.mutants.mutant import Function, Mutant, edited
from tests.mutants.samples import Net, shared


def normed(epsilon: float = 1e-5) -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(6, 3, 3, 3), net.vector(6), pads=[1, 1, 1, 1])
    vectors = (net.vector(6, 0.5, 2), net.vector(6), net.vector(6, 0.3, 2), net.vector(6, 0.3, 2))
    x = net.op("BatchNormalization", x, *map(net.constant, vectors), epsilon=epsilon)
    net.op("Relu", x)
    return net.model(1, 3, 6, 7)


def normed_loosely() -> bytes:
    return normed(1e-2)


def affine_after() -> bytes:
    """What a chain of each kind makes of a conv in two groups."""
    net = Net()
    x = net.conv("x", net.kernel(6, 2, 3, 3), net.vector(6), group=2)
    x = net.by_channel("Mul", x, net.vector(6, 0.5, 2))
    x = net.by_channel("Add", x, net.vector(6))
    net.by_channel("Div", x, net.vector(6, 0.5, 2))
    return net.model(1, 4, 6, 7)


def subtracted_from() -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4))
    net.op("Relu", net.op("Sub", net.constant(net.vector(4).reshape(4, 1, 1)), x))
    return net.model(1, 3, 6, 7)


def shifted_before_gemm() -> bytes:
    net = Net()
    x = net.op("Add", "x", net.constant(net.vector(5)))
    net.op("Gemm", x, *map(net.constant, (net.kernel(5, 4), net.vector(4))), alpha=0.5)
    return net.model(3, 5)


def scaled_after_gemm() -> bytes:
    net = Net()
    x = net.op("Gemm", "x", *map(net.constant, (net.kernel(5, 4), net.vector(4))), beta=2.0)
    net.op("Mul", x, net.constant(net.vector(4, 0.5, 2)))
    return net.model(3, 5)


def scaled_transpose() -> bytes:
    net = Net()
    x = net.conv("x", net.kernel(4, 4, 3, 3), net.vector(4), kind="ConvTranspose", strides=[2, 2])
    net.by_channel("Mul", x, net.vector(4, -2, 2))
    return net.model(1, 4, 5, 6)


def square_norm_conv() -> bytes:
    net = Net()
    net.conv(net.norm("x", 3), net.kernel(4, 3, 3, 3), net.vector(4), pads=[1, 0, 0, 1])
    return net.model(1, 3, 7, 7)


def shared_weights() -> bytes:
    net = Net()
    weight = net.constant(net.kernel(3, 3, 3, 3))
    first = net.op("Conv", "x", weight)
    net.op("Conv", net.by_channel("Mul", first, net.vector(3, 0.5, 2)), weight)
    return net.model(1, 3, 8, 9)


def deep() -> bytes:
    """Four layers of one channel each, so that what rounds in the weights shows."""
    net = Net()
    net.by_channel("Mul", net.conv("x", np.full((2, 1, 1, 1), 0.3)), np.array([1.1, 0.7]))
    return net.model(1, 1, 6, 7)


def in_place(right: Function) -> Function:
    """Writes the new weights where the old ones are."""

    def wrong(*args: Any, weights: Array, **rest: Any) -> Any:
        weight = args[1].weight
        array = weights.astype(weight.dtype)
        array.flags.writeable = False
        weight.op.attributes = {"value": array}
        return right(*args, weights=weights, **rest)

    return wrong


def in_memory(right: Function) -> Function:
    """Writes the new weights into the array that holds the old ones."""

    def wrong(*args: Any, weights: Array, **rest: Any) -> Any:
        args[1].weight.array[...] = weights
        return right(*args, weights=weights, **rest)

    return wrong


def stored_as_half(right: Function) -> Function:
    def wrong(*args: Any, weights: Array, **rest: Any) -> Any:
        return right(*args, weights=weights.astype(np.float16).astype(np.float64), **rest)

    return wrong


def last_channel(right: Function) -> Function:
    def wrong(*args: Any, weights: Array, **rest: Any) -> Any:
        weights = np.array(weights)
        weights[-1] *= 1.001
        return right(*args, weights=weights, **rest)

    return wrong


MUTANTS = [
    Mutant(
        "norm-stale-epsilon", "the epsilon of a BatchNormalization is taken to be the default",
        "fold-affine", "passes._elementwise:_read_norm",
        edited('epsilon = op.attributes.get("epsilon", float(np.float32(1e-5)))', "epsilon = 1e-5"),
        normed_loosely,
    ),
    Mutant(
        "norm-epsilon-outside", "epsilon is added to the root of the variance and not under it",
        "fold-affine", "convc.algebra.affine:batch_norm_affine",
        edited("np.sqrt(as_float64(var) + epsilon)", "(np.sqrt(as_float64(var)) + epsilon)"),
        normed_loosely,
    ),
    Mutant(
        "norm-mean-variance", "mean and variance are exchanged",
        "fold-affine", "passes._elementwise:_read_norm",
        edited("scale, bias, mean, var = (np", "scale, bias, var, mean = (np"),
        normed,
    ),
    Mutant(
        "norm-standard-deviation", "the variance is taken for a standard deviation",
        "fold-affine", "convc.algebra.affine:batch_norm_affine",
        edited("np.sqrt(as_float64(var) + epsilon)", "(as_float64(var) + epsilon)"),
        normed,
    ),
    Mutant(
        "bias-not-scaled", "the bias of the conv is not scaled",
        "fold-affine", "passes.fold_affine:_after",
        edited("bias, limit = scale * old,", "bias, limit = 0 * scale + old,"),
        affine_after,
    ),
    Mutant(
        "bias-twice", "the bias of the conv is added twice",
        "fold-affine", "passes.fold_affine:_after",
        edited("bias, limit = scale * old,", "bias, limit = 2 * scale * old,"),
        affine_after,
    ),
    Mutant(
        "shift-dropped", "the shift behind the conv is dropped",
        "fold-affine", "passes.fold_affine:_after",
        edited("bias = bias + shift", "bias = bias + 0 * shift"),
        affine_after,
    ),
    Mutant(
        "shift-not-scaled", "a scale behind a shift does not scale the shift",
        "fold-affine", "convc.algebra.affine:compose_affine",
        edited("second.scale * first.shift + second.shift", "first.shift + second.shift"),
        affine_after,
    ),
    Mutant(
        "sub-sign", "c − x is folded as x − c",
        "fold-affine", "passes._elementwise:_binary",
        edited("Affine(-one, array) if constant_first else Affine(one, -array)",
               "Affine(one, -array)"),
        subtracted_from,
    ),
    Mutant(
        "div-as-mul", "a Div is folded as a Mul",
        "fold-affine", "passes._elementwise:_binary",
        edited("Affine(1 / array, zero)", "Affine(array, zero)"),
        affine_after,
    ),
    Mutant(
        "groups-interleaved", "the factors of the groups are taken in interleaved order",
        "fold-affine", "convc.algebra.affine:_scaled",
        edited("factors.reshape(shape)", "factors.reshape(-1, group).T.reshape(shape)"),
        affine_after,
    ),
    Mutant(
        "border-ignored", "a shift before a padded conv goes into its bias, as if nothing padded",
        "fold-affine", "passes.fold_affine:_before",
        edited("if keeps_constant(geometry, _spatial(linear.data, geometry.ndim))[0]:", "if True:"),
        shared("norm_conv"),
    ),
    Mutant(
        "border-pads", "the border map begins with the padding of the end",
        "fold-affine", "convc.algebra.border:_taps_seen",
        edited("geometry.strides[axis], geometry.pads_begin[axis]",
               "geometry.strides[axis], geometry.pads_end[axis]"),
        shared("norm_conv"), passes="fold-affine{border=map}",
    ),
    Mutant(
        "border-transposed", "the border map has rows and columns exchanged",
        "fold-affine", "convc.algebra.affine:fold_before_map",
        lambda right: lambda *args: right(*args).swapaxes(2, 3),
        square_norm_conv, passes="fold-affine{border=map}",
    ),
    Mutant(
        "gemm-alpha", "alpha of a Gemm does not multiply the shift before it",
        "fold-affine", "passes.fold_affine:_before",
        edited("alpha * response", "response"),
        shifted_before_gemm,
    ),
    Mutant(
        "gemm-beta", "beta of a Gemm is taken to be 1",
        "fold-affine", "passes._linear:_beta",
        lambda _right: lambda _linear: 1.0,
        scaled_after_gemm,
    ),
    Mutant(
        "transpose-layout", "a ConvTranspose's inputs are scaled in the place of its outputs",
        "fold-affine", "convc.algebra.affine:_grouped",
        edited('2 if layout == "conv" else 1', "2"),
        scaled_transpose,
    ),
    Mutant(
        "shared-in-place", "weights that another conv has, too, are changed for both",
        "fold-affine", "passes._linear:rebuild", in_place,
        shared_weights, passes="fold-affine{copy-shared=true}",
    ),
    Mutant(
        "written-in-memory", "the array that holds the weights is written to",
        "fold-affine", "passes._linear:rebuild", in_memory,
        shared("conv_norm_relu"), unproved="it fails before: weights are read-only",
    ),
    Mutant(
        "weights-as-half", "weights pass through float16 on their way",
        "fold-affine", "passes._linear:rebuild", stored_as_half,
        deep,
    ),
    Mutant(
        "last-filter", "the last filter is 1e-3 too large",
        "fold-affine", "passes._linear:rebuild", last_channel,
        shared("conv_norm_relu"),
    ),
]  # fmt: skip
