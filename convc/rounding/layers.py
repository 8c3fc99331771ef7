"""Conv, ConvTranspose, MatMul and Gemm, read from the graph as the products they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import gcd, prod

import numpy as np

from convc.algebra.geometry import ConvGeometry, TransposeGeometry
from convc.conv import conv_geometry, transpose_geometry
from convc.ir import Array, Op
from convc.rounding.movement import average, transposed, uniform
from convc.rounding.products import Product, largest_of, multiplied, spectral
from convc.rounding.runs import conv_run, places, product_run
from convc.rounding.state import (
    NoBoundError,
    Sizes,
    State,
    is_rounded,
    lazily,
)


def weight_of(op: Op, index: int) -> tuple[Array, bool]:
    """A constant operand, and whether it is rounded when it is stored."""
    value = op.operand(index)
    if value is None or value.array is None:
        raise NoBoundError(f"{op.kind}: its weights are computed")
    return value.array, value.dtype is not None and is_rounded(value.array, value.dtype)


def number(op: Op, name: str, default: float) -> float:
    """An attribute that is a number."""
    value = op.attributes.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def optional_weight(op: Op, index: int) -> tuple[Array | None, bool]:
    """As `weight_of`; None where the operand is omitted."""
    return (None, False) if op.operand(index) is None else weight_of(op, index)


def conv(op: Op, state: State, shape: Sizes, unit: float, *, cut: bool = False) -> State:
    """Conv."""
    weights, cast = weight_of(op, 1)
    bias, bias_cast = optional_weight(op, 2)
    geometry = conv_geometry(op)
    if geometry is None:
        raise NoBoundError("Conv: its geometry is not known")
    matrix = weights.reshape(geometry.group, -1, weights.shape[1], prod(geometry.kernel))
    axes = range(2, len(shape))
    repeats = prod(_reads(geometry, axis) for axis in range(geometry.ndim))
    apart = tuple(_do_not_overlap(geometry, axis) for axis in range(geometry.ndim))
    product = Product(
        shape=shape,
        weights=matrix,
        gather=lambda array: _by_group(uniform(array, axes), geometry.group, weights.shape[1]),
        scatter=lambda array: array.reshape(len(array), -1, *(1 for _ in axes)),
        free=lambda free: (
            free[0],
            (free[1] and matrix.shape[1] == 1) or len(weights) == 1,
            *(is_free and alone for is_free, alone in zip(free[2:], apart, strict=True)),
        ),
        channels=lambda free: free[1] or weights.shape[1] == 1,
        taps=lambda free: all(f or k == 1 for f, k in zip(free[2:], geometry.kernel, strict=True)),
        norm=lazily(lambda: spectral(matrix) * repeats**0.5),
        inside=_outer(
            [_inside(geometry, i, state.shape[2 + i], shape[2 + i]) for i in range(len(axes))]
        ),
        bias=bias,
        extra=0,
        cast=cast or bias_cast,
        own_weights=(False, True, *(False for _ in axes)),
        run=conv_run(prod(geometry.kernel), places(shape)) if cut else 0,
    )
    return multiplied(product, _without_places(state), unit, op)


def _without_places(state: State) -> State:
    """The data with its power averaged over the places, as its one number there is a mean."""
    return replace(state, power=uniform(state.power, range(2, state.rank), average))


def _by_group(array: Array, groups: int, depth: int) -> Array:
    """(B, C, 1, ...) to (B, G, C/G)."""
    full = np.broadcast_to(array.reshape(array.shape[:2]), (array.shape[0], groups * depth))
    return full.reshape(-1, groups, depth)


def _do_not_overlap(geometry: ConvGeometry, axis: int) -> bool:
    """Whether no two windows along an axis share a place."""
    return geometry.kernel[axis] == 1 or geometry.strides[axis] >= geometry.extent[axis]


def _reads(geometry: ConvGeometry | TransposeGeometry, axis: int) -> int:
    """How many windows along an axis read one place at the most."""
    stride, dilation = geometry.strides[axis], geometry.dilations[axis]
    return -(-geometry.kernel[axis] // (stride // gcd(stride, dilation)))


def _inside(geometry: ConvGeometry, axis: int, size: int | None, outputs: int | None) -> Array:
    """(k,): with which part of the outputs each tap of an axis reads data and no padding."""
    taps = np.arange(geometry.kernel[axis]) * geometry.dilations[axis]
    if not size or not outputs:
        return np.ones(len(taps))
    starts = np.arange(outputs) * geometry.strides[axis] - geometry.pads_begin[axis]
    places = starts[:, np.newaxis] + taps
    return np.asarray(((places >= 0) & (places < size)).mean(axis=0))


def _outer(axes: Sequence[Array]) -> Array:
    """The products of one number from each axis, flat."""
    found = np.ones(1)
    for axis in axes:
        found = np.multiply.outer(found, axis).reshape(-1)
    return found


def conv_transpose(op: Op, state: State, shape: Sizes, unit: float, *, cut: bool = False) -> State:
    """ConvTranspose: each phase of the result is a conv with every s-th tap."""
    weights, cast = weight_of(op, 1)
    bias, bias_cast = optional_weight(op, 2)
    geometry = transpose_geometry(op)
    if geometry is None:
        raise NoBoundError("ConvTranspose: its geometry is not known")
    ndim, groups = geometry.ndim, geometry.group
    depth, rows = weights.shape[0] // groups, weights.shape[1]
    taps = weights.reshape(groups, depth, rows, *geometry.kernel).swapaxes(1, 2)
    flat = taps.reshape(groups, rows, depth, -1)
    inside = _outer([_met(geometry, i, state.shape[2 + i], shape[2 + i]) for i in range(ndim)])
    repeats = prod(_reads(geometry, axis) for axis in range(ndim))
    whole = Product(
        shape=shape,
        weights=flat,
        gather=lambda array: _by_group(uniform(array, range(2, 2 + ndim)), groups, depth),
        scatter=lambda array: array.reshape(len(array), -1, *(1 for _ in range(ndim))),
        free=lambda free: (
            free[0],
            (free[1] and rows == 1) or groups * rows == 1,
            *(f and k == 1 for f, k in zip(free[2:], geometry.kernel, strict=True)),
        ),
        channels=lambda free: free[1] or depth == 1,
        taps=lambda free: all(f or k == 1 for f, k in zip(free[2:], geometry.kernel, strict=True)),
        norm=lazily(lambda: spectral(weights.reshape(groups, depth, -1, 1)) * repeats**0.5),
        inside=inside,
        bias=bias,
        extra=0,
        cast=cast or bias_cast,
        own_weights=(False, True, *(False for _ in range(ndim))),
        run=conv_run(1, places(state.shape)) if cut else 0,
        taps_apart=True,
    )
    data = _without_places(state)
    phases = [
        multiplied(replace(whole, weights=flat[..., kept], inside=inside[kept]), data, unit, op)
        for kept in _phases(geometry)
    ]
    # The power is not the largest of the phases', but the mean over all of them.
    power = multiplied(whole, replace(data, signal={}, noise={}), unit, op).power
    return replace(largest_of(phases), power=power)


def _phases(geometry: TransposeGeometry) -> Iterator[Array]:
    """The taps that fall on the same places of the result, for each residue of the strides."""
    axes = [
        np.arange(k) * d % s
        for k, d, s in zip(geometry.kernel, geometry.dilations, geometry.strides, strict=True)
    ]
    residues = np.stack([grid.reshape(-1) for grid in np.meshgrid(*axes, indexing="ij")])
    for phase in np.unique(residues, axis=1).T:
        yield np.flatnonzero((residues == phase[:, np.newaxis]).all(axis=0))


def _met(geometry: TransposeGeometry, axis: int, size: int | None, outputs: int | None) -> Array:
    """(k,): to which part of the outputs each tap of an axis adds data."""
    taps = np.arange(geometry.kernel[axis]) * geometry.dilations[axis]
    if not size or not outputs:
        return np.full(len(taps), 1 / geometry.strides[axis])
    places = np.arange(size)[:, np.newaxis] * geometry.strides[axis] + taps
    places = places - geometry.pads_begin[axis]
    return np.asarray(((places >= 0) & (places < outputs)).sum(axis=0) / outputs)


def matmul(
    op: Op, states: Sequence[State | None], shape: Sizes, unit: float, *, cut: bool = False
) -> State:
    """MatMul with one constant operand, of two axes or with a batch as the data has it."""
    left = op.operand(0)
    run = product_run(*shape[-2:]) if cut and len(shape) > 1 else 0
    if left is not None and left.array is not None:
        state = _data(op, states, 1)
        weights, cast = weight_of(op, 0)
        # The result of A·X is the transpose of Xᵀ·Aᵀ.
        turn = (*range(state.rank - 2), state.rank - 1, state.rank - 2)
        if weights.ndim < 2 or state.rank < 2:
            raise NoBoundError("MatMul of a vector")
        turned = transposed(state.shape, turn)(state)
        swapped = tuple(shape[axis] for axis in turn) if len(shape) == state.rank else shape
        product = replace(_stacked(op, turned, weights, swapped, cast), run=run)
        return transposed(swapped, turn)(multiplied(product, turned, unit, op))
    state = _data(op, states, 0)
    weights, cast = weight_of(op, 1)
    if weights.ndim < 2 or state.rank < 2:
        raise NoBoundError("MatMul of a vector")
    product = replace(_stacked(op, state, weights.swapaxes(-1, -2), shape, cast), run=run)
    return multiplied(product, state, unit, op)


def _data(op: Op, states: Sequence[State | None], index: int) -> State:
    state = states[index]
    if state is None:
        raise NoBoundError(f"{op.kind}: its data are not real numbers")
    return state


def _stacked(op: Op, state: State, weights: Array, shape: Sizes, cast: bool) -> Product:
    """Data (..., D) times weights (..., M, D)."""
    if len(shape) != state.rank or weights.ndim > state.rank:
        raise NoBoundError(f"{op.kind}: its operands have batches of other rank")
    lead = state.rank - 1
    batch = (1,) * (state.rank - weights.ndim) + weights.shape[:-2]
    matrices = weights.reshape(-1, *weights.shape[-2:], 1)
    stacked = [axis for axis, size in enumerate(batch) if size != 1]
    others = [axis for axis in range(lead) if axis not in stacked]
    order = [*others, *stacked, lead]
    back = tuple(int(i) for i in np.argsort(order))

    # All arrays get the same axes here, so that what comes back is known by its size.
    kept = [max(array.shape[axis] for array in state.arrays()) for axis in others]

    def gather(array: Array) -> Array:
        full = list(array.shape)
        for axis, size in zip(others, kept, strict=True):
            full[axis] = size
        for axis in stacked:
            full[axis] = batch[axis]
        full[lead] = weights.shape[-1]
        turned = np.broadcast_to(array, full).transpose(order)
        return turned.reshape(-1, len(matrices), weights.shape[-1])

    def scatter(array: Array) -> Array:
        alone = kept if len(array) == prod(kept) else [1] * len(kept)
        rows = [*alone, *(batch[axis] for axis in stacked), weights.shape[-2]]
        return array.reshape(rows).transpose(back)

    shared = any(state.shape[axis] == 1 for axis in stacked)
    copies = prod(batch) if shared else 1
    return Product(
        shape=shape,
        weights=matrices,
        gather=gather,
        scatter=scatter,
        free=lambda free: (
            *(f and not (i in stacked and state.shape[i] == 1) for i, f in enumerate(free[:-1])),
            weights.shape[-2] == 1,
        ),
        channels=lambda free: free[-1],
        taps=lambda _: True,
        norm=lazily(lambda: spectral(matrices) * copies**0.5),
        inside=np.ones(1),
        bias=None,
        extra=0,
        cast=cast,
        own_weights=(*(axis in stacked for axis in range(lead)), True),
    )


def gemm(
    op: Op, states: Sequence[State | None], shape: Sizes, unit: float, *, cut: bool = False
) -> State:
    """Gemm of data and a constant matrix."""
    state = _data(op, states, 0)
    matrix, cast = weight_of(op, 1)
    bias, bias_cast = optional_weight(op, 2)
    alpha, beta = number(op, "alpha", 1.0), number(op, "beta", 1.0)
    if op.attributes.get("transA"):
        state = transposed(state.shape, (1, 0))(state)
    rows = np.asarray(matrix if op.attributes.get("transB") else matrix.T)
    if alpha != 1:
        rows = rows.astype(np.float64) * alpha
    if bias is not None:
        if bias.size > 1 and bias.shape[-1] != bias.size:
            raise NoBoundError("Gemm: its bias is not one number per column")
        bias = np.broadcast_to(bias.astype(np.float64).reshape(-1) * beta, (len(rows),))
    run = product_run(*shape) if cut else 0
    scaled = int(alpha != 1) + int(bias is not None and beta != 1)
    product = replace(
        _stacked(op, state, rows, shape, cast or bias_cast),
        bias=bias,
        extra=scaled,
        run=run,
        bias_first=True,
    )
    return multiplied(product, state, unit, op)
