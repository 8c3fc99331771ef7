"""Mutants of lower-to-gemm and lower-to-winograd."""

from __future__ import annotations

from typing import Any

import numpy as np

from convc.ir import Array
from tests.mutants.lowering import transposed_strided
from tests.mutants.mutant import Mutant, after, edited
from tests.mutants.samples import Net

# -- lower-to-gemm -------------------------------------------------------------------------------

GEMM = "lower-to-gemm"


def grouped() -> bytes:
    net = Net()
    net.conv("x", net.kernel(6, 2, 3, 3), net.vector(6), group=2, pads=[2, 0, 0, 1])
    return net.model(2, 4, 7, 8)


def patches() -> bytes:
    net = Net()
    net.conv("x", net.kernel(5, 3, 3, 3), net.vector(5), strides=[3, 3])
    return net.model(2, 3, 9, 12)


def whole_image() -> bytes:
    net = Net()
    net.conv("x", net.kernel(5, 3, 4, 6), net.vector(5))
    return net.model(2, 3, 4, 6)


def long_kernel() -> bytes:
    net = Net()
    net.conv("x", net.kernel(2, 2, 1, 18), net.vector(2))
    return net.model(1, 2, 2, 30)


TO_GEMM = [
    Mutant(
        "columns-taps", "the matrix has its taps before its channels",
        GEMM, "convc.algebra.gemm:to_matrix",
        edited("return taps.reshape(count, -1).copy()",
               "return taps.swapaxes(1, 2).reshape(count, -1).copy()"),
        grouped, passes=GEMM,
    ),
    Mutant(
        "columns-sides", "the padding of begin and end is exchanged",
        GEMM, "passes.lower_to_gemm.columns:columns",
        edited("geometry.pads_begin, geometry.pads_end", "geometry.pads_end, geometry.pads_begin"),
        grouped, passes=GEMM,
    ),
    Mutant(
        "columns-groups", "the rows of the groups are interleaved",
        GEMM, "passes.lower_to_gemm.product:_affine",
        edited("matrix.weights.reshape(*rows, matrix.inner)",
               "matrix.weights.reshape(*rows[::-1], matrix.inner).swapaxes(0, 1)"),
        grouped, passes=GEMM,
    ),
    Mutant(
        "columns-bias", "the product has no bias",
        GEMM, "passes.lower_to_gemm.product:_affine",
        edited("return value if bias is None else", "return value if True else"),
        grouped, passes=GEMM,
    ),
    Mutant(
        "columns-stages", "of a long kernel the coarse taps are one sample apart too few",
        GEMM, "passes.lower_to_gemm.columns:_row",
        edited("Tap(axis, t * distance,", "Tap(axis, t * max(distance - 1, 1),"),
        long_kernel, passes=GEMM,
    ),
    Mutant(
        "patches-transposed", "the samples of a tile are read column by column",
        GEMM, "passes.lower_to_gemm.columns:tiles",
        edited("*(axis + 1 for axis in outputs)", "*(axis + 1 for axis in reversed(outputs))"),
        patches, passes=GEMM,
    ),
    Mutant(
        "full-order", "the matrix of a fully connected layer reads the image column by column",
        GEMM, "passes.lower_to_gemm.forms:_connected",
        lambda right: lambda layer, geometry, size: _by_columns(right(layer, geometry, size), size),
        whole_image, passes=GEMM,
    ),
    Mutant(
        "transposed-bias", "the bias of each filter is repeated beside itself and not by phase",
        GEMM, "passes.lower_to_gemm.transposed:lower_transposed",
        edited("np.tile(layer.bias, count)[rows]", "np.repeat(layer.bias, count)[rows]"),
        transposed_strided, passes=GEMM,
    ),
]  # fmt: skip


def _by_columns(matrix: Any, size: tuple[int, ...]) -> Any:
    weights = matrix.weights.reshape(len(matrix.weights), -1, *size)
    matrix.weights.reshape(weights.shape)[...] = weights.swapaxes(-1, -2).reshape(weights.shape)
    return matrix


# -- lower-to-winograd ---------------------------------------------------------------------------
WINOGRAD = "lower-to-winograd"


def winograd(form: str) -> str:
    return f"{WINOGRAD}{{forms={form} tiles=4}}"


def square_conv() -> bytes:
    """A 3×3 conv whose outputs are no whole number of tiles."""
    net = Net()
    net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4), pads=[1, 1, 1, 1])
    return net.model(1, 3, 9, 10)


def whole_tiles() -> bytes:
    net = Net()
    net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4), pads=[1, 1, 1, 1])
    return net.model(1, 3, 8, 8)


def strided_conv() -> bytes:
    net = Net()
    net.conv("x", net.kernel(4, 3, 5, 5), net.vector(4), strides=[2, 2], pads=[2, 2, 2, 2])
    return net.model(1, 3, 17, 18)


def many_images() -> bytes:
    net = Net()
    net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4), pads=[1, 1, 1, 1])
    return net.model("batch", 3, 9, 10)


def one_coefficient(index: int) -> Any:
    """One entry of one of the three matrices, 1 % too large."""

    def change(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        arrays[index][0, 0] *= 1.01
        return arrays

    return after(change)


def tile_transposed(matrix: Array) -> Array:
    side = int(np.sqrt(len(matrix)))
    return matrix.reshape(side, side, -1).swapaxes(0, 1).reshape(matrix.shape)


TO_WINOGRAD = [
    Mutant(
        "winograd-at", "one coefficient of the output transform is 1 % too large",
        WINOGRAD, "convc.algebra.toom_cook:Transforms.arrays", one_coefficient(0),
        square_conv, passes=winograd("planes"),
    ),
    Mutant(
        "winograd-g", "one coefficient of the kernel transform is 1 % too large",
        WINOGRAD, "convc.algebra.toom_cook:Transforms.arrays", one_coefficient(1),
        square_conv, passes=winograd("tiles"),
    ),
    Mutant(
        "winograd-bt", "one coefficient of the input transform is 1 % too large",
        WINOGRAD, "convc.algebra.toom_cook:Transforms.arrays", one_coefficient(2),
        square_conv, passes=winograd("rows"),
    ),
    Mutant(
        "winograd-transposed", "the outputs of a tile have rows and columns exchanged",
        WINOGRAD, "passes.lower_to_winograd.tiling:Tiling.matrix", after(tile_transposed),
        whole_tiles, passes=winograd("planes"),
    ),
    Mutant(
        "winograd-surplus", "what the last tile has too much is cut off at the first",
        WINOGRAD, "passes.lower_to_winograd.tiling:cut_surplus",
        edited("[0] * len(cut), ends)", "[covered[a] - tiling.outputs[a] for a in cut], "
               "[covered[a] for a in cut])"),
        square_conv, passes=winograd("planes"),
    ),
    Mutant(
        "winograd-bias", "the bias is added to every product",
        WINOGRAD, "convc.algebra.winograd:products_of_one",
        after(np.ones_like),
        square_conv, passes=winograd("planes"),
    ),
    Mutant(
        "winograd-filters", "the kernel is transposed before it is transformed",
        WINOGRAD, "convc.algebra.winograd:transformed_filters",
        lambda right: lambda kernel, axes: right(kernel.swapaxes(2, 3), axes),
        square_conv, passes=winograd("tiles-last"),
    ),
    Mutant(
        "winograd-phases", "the phases of a strided kernel are in reverse order",
        WINOGRAD, "convc.algebra.winograd:AxisTile.weights",
        edited("spread[phase, :, phase :: self.stride]",
               "spread[self.phases - 1 - phase, :, phase :: self.stride]"),
        strided_conv, passes=winograd("tiles"),
    ),
    Mutant(
        "winograd-batch", "the number of images is taken to be one: wrong for a batch only",
        WINOGRAD, "passes.lower_to_winograd.tiling:Tiling.batch",
        lambda _right: lambda _tiling: 1,
        many_images, passes=winograd("planes"),
    ),
]  # fmt: skip

MUTANTS = [*TO_GEMM, *TO_WINOGRAD]
