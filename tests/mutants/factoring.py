"""Mutants of factor-kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.mutants.mutant import Function, Mutant, edited
from tests.mutants.samples import Net, shared

FACTOR = "factor-kernels"


def separable() -> bytes:
    """Depthwise kernels that are a column times a row; pads differ by side."""
    net = Net()
    columns, rows = net.kernel(4, 1, 7, 1), net.kernel(4, 1, 1, 7)
    net.conv("x", columns * rows, net.vector(4), group=4, pads=[3, 2, 1, 4])
    return net.model(1, 4, 32, 33)


def last_factor_off(right: Function) -> Function:
    def wrong(layer: Any, chain: Any, *rest: Any, **more: Any) -> Any:
        *others, last = chain.kernels
        last = np.array(last)
        last[0] *= 1.01
        return right(layer, replace(chain, kernels=(*others, last)), *rest, **more)

    return wrong


MUTANTS = [
    Mutant(
        "factor-bias", "the chain of factors has no bias", FACTOR,
        "passes.factor_kernels.chain:rewrite",
        edited("operands if last is None else [*operands, last]", "operands"),
        separable,
    ),
    Mutant(
        "factor-sides", "the factors' pads have begin and end exchanged", FACTOR,
        "passes.factor_kernels.chain:_part",
        edited("pads_begin=pick(geometry.pads_begin, 0)", "pads_begin=pick(geometry.pads_end, 0)",
               "pads_end=pick(geometry.pads_end, 0)", "pads_end=pick(geometry.pads_begin, 0)"),
        separable,
    ),
    Mutant(
        "factor-flipped", "the first factor is flipped", FACTOR,
        "passes.factor_kernels.chain:rewrite",
        edited("storable(weights, layer.weight)",
               "storable(weights[:, :, ::-1, ::-1], layer.weight)"),
        separable,
    ),
    Mutant(
        "factor-order", "the filters of the last factor are in reverse order", FACTOR,
        "passes.factor_kernels.chain:rewrite",
        edited("storable(kernel, layer.weight)", "storable(kernel[::-1], layer.weight)"),
        separable,
    ),
    Mutant(
        "factor-filter-off", "one filter of the last factor is 1 % too large", FACTOR,
        "passes.factor_kernels.chain:rewrite", last_factor_off,
        shared("separable_sums"), passes=FACTOR,
    ),
    Mutant(
        "factor-low-rank", "channels of low rank: the last of them is lost", FACTOR,
        "passes.factor_kernels.chain:rewrite",
        edited("storable(weights, layer.weight)",
               "storable(weights * (np.arange(len(weights)) < len(weights) - 1)"
               ".reshape(-1, 1, 1, 1), layer.weight)"),
        shared("low_rank_channels"), passes="factor-kernels{kinds=low-rank-out}",
    ),
]  # fmt: skip
