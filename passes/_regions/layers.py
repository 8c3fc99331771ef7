"""The filters of a layer: which are zero, which are multiples of each other, which it reads."""

from __future__ import annotations

import numpy as np

from convc.algebra import keeps_constant, swap_layout
from convc.algebra.channels import Indices, Mask, directions, distinct, may_be_parallel, read_by
from convc.conv import conv_geometry, transpose_geometry
from convc.ir import Array
from passes import _linear as linears
from passes._chains import sizes
from passes._linear import Linear


def blocks(linear: Linear) -> Array:
    """A view of the weights: (G, K/G, C/G, T), by group, filter, input channel and tap."""
    array = linears.to_front(linear, linear.array)
    a, b = array.shape[0] // linear.group, array.shape[1]
    grouped = array.reshape(linear.group, a, b, -1)
    return grouped if linear.layout == "conv" else grouped.swapaxes(1, 2)


def canonical(linear: Linear) -> Array:
    """The weights as (K, C/group, *taps)."""
    if linear.kind == "ConvTranspose":
        return swap_layout(linear.array, linear.group)
    return linear.array if linear.layout == "conv" else linear.array.T


def bias_vector(linear: Linear) -> Array:
    """(K,): the op's bias, beta included."""
    return np.broadcast_to(linears.bias_of(linear).reshape(-1), (linear.outputs,)).copy()


def alpha(linear: Linear) -> float:
    """What a Gemm multiplies its product by; 1 for other ops."""
    value = linear.op.attributes.get("alpha", 1.0)
    assert isinstance(value, (int, float))
    return float(value) if linear.kind == "Gemm" else 1.0


def dead(linear: Linear) -> Mask:
    """(K,): the filters that are zero."""
    if alpha(linear) == 0:
        return np.ones(linear.outputs, bool)
    return np.logical_not(read_by(blocks(linear).swapaxes(1, 2)).reshape(-1))


def multiples(linear: Linear, dead: Mask) -> tuple[Indices, Array]:
    """Which filters, their biases included, are multiples of each other, and by which factors.

    Returns:
        (K,) ids, equal for multiples; (K,) factors, whose ratios those of multiples are. Each of
        those that are ``dead`` has an id of its own.
    """
    ids, scale = np.arange(len(dead)), np.ones(len(dead))
    near = np.flatnonzero(may_be_parallel(blocks(linear)) & ~dead)
    if near.size:
        filters = linears.to_filters(linear, linear.array)[near]
        # Where filters and biases are multiples, those times a Gemm's alpha are, and by the same.
        rows, scale[near] = directions(filters, bias_vector(linear)[near])
        group = near // (len(dead) // linear.group)
        ids[near] = len(dead) + distinct([group, rows])
    return ids, scale


def keeps(linear: Linear) -> tuple[bool, str]:
    """Whether a constant input channel adds the same at every output, and why not."""
    if not linear.is_conv:
        return True, ""
    op = linear.op
    geometry = conv_geometry(op) if op.kind == "Conv" else transpose_geometry(op)
    if geometry is None:
        return False, "the geometry depends on an unknown size"
    return keeps_constant(geometry, sizes(linear.data.shape, geometry.ndim))
