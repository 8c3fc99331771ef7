"""Mutants of approximations: wrong is what has a larger error than was allowed."""

from __future__ import annotations

from typing import Any

import numpy as np

from convc.ir import Array
from tests.mutants.mutant import Function, Mutant, edited
from tests.mutants.samples import Net

ALLOWED = {"max_error": 0.3}
MEASURED = "approximations are measured and not proved"


def blurry() -> bytes:
    """Two convs with a Relu between, their kernels nearly sums of three columns times rows."""
    net = Net()
    x, inputs = "x", 3
    for outputs in (16, 16):
        columns, rows = net.kernel(3, inputs, 5), net.kernel(outputs, 3, 5)
        kernel = np.einsum("rct,kru->kctu", columns, rows)
        kernel += 0.02 * net.kernel(outputs, inputs, 5, 5)
        x = net.conv(x, kernel, net.vector(outputs), pads=[2, 2, 2, 2])
        x, inputs = net.op("Relu", x), outputs
    net.conv(x, net.kernel(4, 16, 1, 1), net.vector(4))
    return net.model(1, 3, 12, 13)


def blocks() -> bytes:
    """A conv that is nearly two blocks, before another one."""
    net = Net()
    kernel = 0.02 * net.kernel(16, 16, 3, 3)
    kernel[:8, :8] += net.kernel(8, 8, 3, 3)
    kernel[8:, 8:] += net.kernel(8, 8, 3, 3)
    x = net.op("Sin", net.conv("x", net.kernel(16, 3, 1, 1), net.vector(16)))
    x = net.op("Relu", net.conv(x, kernel, net.vector(16), pads=[1, 1, 1, 1]))
    net.conv(x, net.kernel(4, 16, 1, 1), net.vector(4))
    return net.model(1, 3, 10, 11)


def weak_channels() -> bytes:
    """A layer half of whose channels count for little."""
    net = Net()
    x = net.op("Relu", net.conv("x", net.kernel(32, 3, 3, 3), net.vector(32)))
    kernel = net.kernel(4, 32, 3, 3)
    kernel[:, ::2] *= 0.02
    net.conv(x, kernel, net.vector(4))
    return net.model(1, 3, 10, 11)


def weakest(right: Function) -> Function:
    """Keeps those that should go."""

    def wrong(readers: Any, channels: int, count: int, parts: Any) -> Array:
        kept = right(readers, channels, count, parts)
        return np.setdiff1d(np.arange(channels), kept)[:count]

    return wrong


FACTOR = "factor-kernels{kinds=separable max-error=0.2 block=1}"
SELECT = "select-channels{share=0.5}"
BLOCKS = "block-diagonal{kinds=grouped max-error=0.2}"

MUTANTS = [
    Mutant(
        "near-factors-bias", "the near factors have no bias",
        "factor-kernels", "passes.factor_kernels.chain:rewrite",
        edited("operands if last is None else [*operands, last]", "operands"),
        blurry, passes=FACTOR, options=ALLOWED, unproved=MEASURED,
    ),
    Mutant(
        "near-factors-order", "the near factors are not what they were when their error was taken",
        "factor-kernels", "passes.factor_kernels.chain:rewrite",
        edited("storable(weights, layer.weight)", "storable(weights[::-1], layer.weight)"),
        blurry, passes=FACTOR, options=ALLOWED, unproved=MEASURED,
    ),
    Mutant(
        "near-error", "the error of a near kernel is that of its largest weight alone",
        "factor-kernels", "passes.factor_kernels.weights:distances",
        lambda _right: lambda *_: (0.0, 0.0),
        blurry, passes="factor-kernels{kinds=separable max-error=0.2 rank=1}",
        options={"max_error": 0.1}, unproved=MEASURED,
    ),
    Mutant(
        "select-weakest", "the channels that count least are kept",
        "select-channels", "convc.algebra.selection:select", weakest,
        weak_channels, passes=SELECT, options=ALLOWED, unproved=MEASURED,
    ),
    Mutant(
        "select-columns", "the next layer keeps other columns than the layer before has filters",
        "select-channels", "convc.algebra.channels:restrict",
        edited("w[np.ix_(outputs, inputs)]", "w[np.ix_(outputs, inputs[::-1])]"),
        weak_channels, passes=SELECT, options=ALLOWED, unproved=MEASURED,
    ),
    Mutant(
        "blocks-bias", "the bias of the blocks is in reverse order",
        "block-diagonal", "passes.block_diagonal.factors:emit_factors",
        lambda right: lambda build, op, data, factors, bias: right(
            build, op, data, factors, None if bias is None else bias[::-1]
        ),
        blocks, passes=BLOCKS, options=ALLOWED, unproved=MEASURED,
    ),
    Mutant(
        "search-blind", "the search takes every model for one within the error",
        "approximate", "convc.approximate.judging:Strictest.loss",
        lambda _right: lambda _judges, _graph: 0.0,
        blurry, passes="approximate(factor-kernels)", options={"max_error": 0.005},
        unproved=MEASURED,
    ),
]  # fmt: skip
