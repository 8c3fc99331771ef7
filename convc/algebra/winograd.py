"""A conv by Toom–Cook on each axis: the matrices of a whole tile, and the transformed filters.

A tile of outputs is m positions on each axis, computed from n products there where the sum over
the taps has m·k (see `convc.algebra.toom_cook`). For a conv of C channels, with the Kronecker
products of the axes' matrices and a tile's inputs d_c as a vector,

    y_k = Aᵀ · Σ_c [(G·g_kc) ∘ (Bᵀ·d_c)],

and the sum over c, for all k and all tiles at once, is one matrix product for each row of Bᵀ.

**Strides.** A conv of stride s reads its input by phases: tap ``p + s·j`` of the kernel meets
input ``s·(o + j) + p``. Each of the ``min(s, r)`` phases p is a conv of stride 1 with
``⌈r/s⌉`` taps, and their outputs add up: they count as more channels. Bᵀ of phase p is spread: it
reads inputs ``p + s·j`` of the tile, and tiles are s·m apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np

from convc.algebra.arrays import Array
from convc.algebra.points import best_points
from convc.algebra.toom_cook import Transforms, transforms


@dataclass(frozen=True, slots=True)
class AxisTile:
    """One axis of a tile: m outputs of a kernel of ``taps`` taps and a stride, dilation 1."""

    transforms: Transforms
    taps: int
    stride: int

    @property
    def m(self) -> int:
        """Outputs of a tile."""
        return self.transforms.m

    @property
    def n(self) -> int:
        """Products of a tile, for each phase."""
        return self.transforms.n

    @property
    def phases(self) -> int:
        """Phases of the stride that have taps."""
        return min(self.stride, self.taps)

    @property
    def reach(self) -> int:
        """Inputs that a tile reads, those between included: ``s(n − 1) + phases``."""
        return self.stride * (self.n - 1) + self.phases

    @property
    def step(self) -> int:
        """Inputs from one tile to the next: ``s·m``."""
        return self.stride * self.m

    def data(self) -> Array:
        """(phases, n, reach): Bᵀ for each phase, on the inputs of a tile."""
        _, _, bt = self.transforms.arrays()
        spread = np.zeros((self.phases, self.n, self.reach))
        for phase in range(self.phases):
            spread[phase, :, phase :: self.stride][:, : self.n] = bt
        return spread

    def weights(self) -> Array:
        """(phases, n, taps): G for each phase, on the taps of the kernel."""
        _, g, _ = self.transforms.arrays()
        spread = np.zeros((self.phases, self.n, self.taps))
        for phase in range(self.phases):
            of_phase = spread[phase, :, phase :: self.stride]
            of_phase[...] = g[:, : of_phase.shape[1]]
        return spread

    def outputs(self) -> Array:
        """(m, n): Aᵀ."""
        return self.transforms.arrays()[0]

    def tiles(self, outputs: int) -> int:
        """Tiles that cover ``outputs`` positions; the last one may reach beyond."""
        return -(-outputs // self.m)


def axis_tile(m: int, taps: int, stride: int = 1) -> AxisTile:
    """F(m, ⌈taps/stride⌉) with the best points; one output is computed as the sum it is.

    Raises:
        ValueError: m, taps or stride below 1, or more points than are known.
    """
    if stride < 1:
        raise ValueError(f"stride {stride} must be positive")
    k = -(-taps // stride)
    if m == 1:
        return AxisTile(_sum(k), taps, stride)
    return AxisTile(transforms(m, k, best_points(max(m + k - 2, 0))), taps, stride)


def _sum(k: int) -> Transforms:
    """F(1, k) without transforms: no points could do better."""
    one = tuple(tuple(Fraction(int(i == j)) for j in range(k)) for i in range(k))
    return Transforms(m=1, k=k, points=(), at=((Fraction(1),) * k,), g=one, bt=one)


def kron(arrays: Sequence[Array]) -> Array:
    """The Kronecker product of arrays of one rank, axis by axis; the last one runs fastest."""
    whole = np.asarray(arrays[0], np.float64)
    for array in arrays[1:]:
        whole = np.asarray(np.kron(whole, array), np.float64)
    return whole


def products_per_output(axes: Sequence[AxisTile]) -> Fraction:
    """Products for one output and channel: ``Π n·phases/m``, where the sum has ``Π taps``."""
    return prod((Fraction(axis.n * axis.phases, axis.m) for axis in axes), start=Fraction(1))


def data_kernels(axes: Sequence[AxisTile]) -> Array:
    """The tile's Bᵀ as kernels (phases, products, *reach) of a conv with strides `AxisTile.step`.

    Over several axes phases and products are in the order of the axes, the last one fastest.
    """
    whole = kron([axis.data() for axis in axes])
    return whole.reshape(*whole.shape[:2], *(axis.reach for axis in axes))


def transformed_filters(kernel: Array, axes: Sequence[AxisTile]) -> Array:
    """G·g for each pair of channels: (K, C, *taps) to (products, K, C, phases), in float64."""
    weights = kron([axis.weights() for axis in axes])
    outputs, inputs = kernel.shape[:2]
    phases, products, taps = weights.shape
    flat = weights.reshape(-1, taps) @ kernel.reshape(-1, taps).astype(np.float64).T
    whole = flat.reshape(phases, products, outputs, inputs)
    return np.ascontiguousarray(whole.transpose(1, 2, 3, 0))


def output_matrix(axes: Sequence[AxisTile]) -> Array:
    """The tile's Aᵀ: (outputs, products), both in the order of the axes, the last one fastest."""
    return kron([axis.outputs() for axis in axes])


def products_of_one(axes: Sequence[AxisTile]) -> Array:
    """(products,): what Aᵀ makes ones of, so that a bias can be added to the products.

    They are the products of an input of ones with a kernel whose first tap is one: ``G_i0·Σ_j
    Bᵀ_ij`` on each axis.
    """
    ones = []
    for axis in axes:
        _, g, bt = axis.transforms.arrays()
        ones.append(g[:, 0] * bt.sum(axis=1))
    return kron(ones)
