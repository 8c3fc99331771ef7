"""Filters of one channel as two smaller ones, one after the other."""

from __future__ import annotations

import numpy as np

from convc.algebra.factor.polynomial import decompose
from convc.ir import Array
from convc.rewrite import NoMatch
from passes.factor_kernels.chain import Chain, composed
from passes.factor_kernels.layer import Layer


def factor_composed(layer: Layer) -> Chain:
    """The layer, (K, 1, h, w), as two convs with one filter for each of its own.

    All filters must be composed of the same shapes; the first that is not ends the search.
    """
    firsts: list[Array] = []
    seconds: list[Array] = []
    for filter_ in layer.kernel[:, 0]:
        factors = decompose(filter_, layer.roundoff).factors
        if not factors:
            raise NoMatch("a filter is no composition of two smaller ones")
        first, second = factors
        if firsts and first.shape != firsts[0].shape:
            raise NoMatch("the filters are compositions of different sizes")
        firsts.append(first)
        seconds.append(second)
    kernels = np.stack(firsts)[:, np.newaxis], np.stack(seconds)[:, np.newaxis]
    plan = composed(layer, kernels[0].shape, kernels[1].shape)
    return Chain(kernels, plan.geometries)
