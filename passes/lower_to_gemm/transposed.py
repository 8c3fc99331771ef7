"""Strided transposed convs as one product and an interleaving of its phases."""

from __future__ import annotations

import numpy as np

from convc.algebra import TransposeGeometry, to_matrix
from convc.algebra.phases import (
    best_shift,
    common_window,
    shifted,
    stacked_phases,
    surplus,
    taps_of,
)
from convc.conv import ints
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import require_small, sizes
from passes._conv_layers import read_layer, require_output
from passes._interleave import interleaved
from passes.lower_to_gemm.columns import Windows, columns, padded
from passes.lower_to_gemm.forms import finished, label
from passes.lower_to_gemm.product import Matrix, multiplied


def lower_transposed(graph: Graph, op: Op) -> Rewrite:
    """A strided ConvTranspose as a MatMul for all phases of its output, and their interleaving.

    The rows of its matrix that belong to one phase of the output are the matrix of a conv of
    stride 1; see `convc.algebra.phases`.
    """
    if max(ints(op, "strides", (1,))) == 1:
        raise NoMatch
    layer = read_layer(op)
    assert isinstance(layer.geometry, TransposeGeometry)
    ndim, strides = layer.geometry.ndim, layer.geometry.strides
    if layer.data.shape is None:
        raise NoMatch("the rank of what the ConvTranspose takes is unknown")
    size = sizes(layer.data.shape, ndim)
    require_output(layer.geometry, None, size)
    less = best_shift(layer.geometry, common_window)
    whole = shifted(layer.geometry, less)
    require_small(layer.kernel.shape[0] * layer.kernel.shape[1] * taps_of(whole, common_window))
    geometry, kernels = stacked_phases(layer.kernel, whole)
    count, filters = kernels.shape[:2]
    # With groups the phases of one filter have to be neighbours, or they would mix the groups.
    by_filter = geometry.group > 1
    order = np.arange(count * filters).reshape(count, filters)
    rows = (order.T if by_filter else order).reshape(-1)
    kernel = kernels.reshape(-1, *kernels.shape[2:])[rows]
    bias = None if layer.bias is None else np.tile(layer.bias, count)[rows]
    build = Replacement(graph)
    windows = Windows(geometry, size)
    matrix = Matrix(to_matrix(kernel, geometry), bias, geometry.group, layer)
    value = columns(build, build.take(layer.data), windows)
    value = multiplied(build, matrix, value, windows.out)
    value = interleaved(build, value, strides, phases_first=not by_filter)
    value = padded(build, value, [-b for b in less], [-e for e in surplus(whole)])
    return finished(build, op, value, f"{label(layer)} → MatMul for {count} phases")
