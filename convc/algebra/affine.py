"""A scale and a shift per channel, before or after a linear op, in its weights and bias.

Layouts: ``conv`` is (K, C/group, *k), also a Gemm's transposed matrix (O, I); ``transpose`` is a
ConvTranspose's (C, K/group, *k); ``matmul`` is (I, O). Scales and shifts have one value, or one
per channel. None is zero for a bias or shift.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from convc.algebra.arrays import AnyArray, Array, Sizes, as_float64, channels
from convc.algebra.border import constant_response
from convc.algebra.geometry import Geometry

Layout: TypeAlias = Literal["conv", "transpose", "matmul"]


class Affine(NamedTuple):
    """The map ``x ↦ scale·x + shift``, channel by channel.

    Attributes:
        scale: (C,), float64.
        shift: (C,), float64.
    """

    scale: Array
    shift: Array


def batch_norm_affine(
    scale: AnyArray, bias: AnyArray, mean: AnyArray, var: AnyArray, epsilon: float
) -> Affine:
    """Batch normalization in inference form: ``a = scale / √(var + epsilon)``, ``bias − mean·a``.

    All arguments (C,). The arithmetic is float64 whatever the stored dtype.
    """
    a = as_float64(scale) / np.sqrt(as_float64(var) + epsilon)
    return Affine(a, as_float64(bias) - as_float64(mean) * a)


def compose_affine(first: Affine, second: Affine) -> Affine:
    """``second`` after ``first``, both of shape (C,): ``s2·(s1·x + t1) + t2``."""
    with np.errstate(over="ignore", invalid="ignore"):  # whoever stores the result looks at it
        return Affine(first.scale * second.scale, second.scale * first.shift + second.shift)


def fold_after(
    w: AnyArray,
    b: AnyArray | None,
    scale: AnyArray,
    shift: AnyArray | None = None,
    *,
    layout: Layout = "conv",
    group: int = 1,
) -> tuple[Array, Array]:
    """Weights and bias of ``scale·(op(x) + b) + shift``.

    Args:
        w: in ``layout``.
        b: (K,) or None.
        scale: (K,) or one value.
        shift: (K,), one value, or None.
        layout: of ``w``.
        group: of the op.

    Returns:
        Weights of ``w``'s shape and bias (K,), float64. Exact for every padding and stride.

    Raises:
        ValueError: channel counts do not fit.
    """
    count = _outputs(w, layout, group)
    a = channels(scale, count)
    bias: Array = a * channels(b, count) + channels(shift, count)
    return _scaled(w, a, layout, group, inputs=False), bias


def fold_before(
    w: AnyArray,
    b: AnyArray | None,
    scale: AnyArray,
    shift: AnyArray | None = None,
    *,
    layout: Layout = "conv",
    group: int = 1,
) -> tuple[Array, Array]:
    """Weights and bias of ``op(scale·x + shift) + b`` where every output sees every tap.

    The op's padding is zero after the shift, so with a shift the bias holds only away from the
    border: everywhere if ``border.keeps_constant`` says so, otherwise ``fold_before_map`` takes
    the place of the bias. The weights are right in any case.

    Args:
        w: in ``layout``.
        b: (K,) or None.
        scale: (C,) or one value.
        shift: (C,), one value, or None.
        layout: of ``w``.
        group: of the op.

    Returns:
        Weights of ``w``'s shape and bias (K,), float64.

    Raises:
        ValueError: channel counts do not fit.
    """
    kernel = as_float64(w)
    inputs = _inputs(kernel, layout, group)
    weights = _scaled(kernel, channels(scale, inputs), layout, group, inputs=True)
    sums = _scaled(kernel, channels(shift, inputs), layout, group, inputs=True)
    blocks, axis = _grouped(sums, layout, group)
    response = blocks.sum(axis=(axis, 3)).reshape(-1)
    return weights, channels(b, _outputs(kernel, layout, group)) + response


def fold_before_map(
    w: AnyArray, b: AnyArray | None, shift: AnyArray | None, geometry: Geometry, size: Sizes
) -> Array:
    """What the shift before a Conv or ConvTranspose and the bias add to each output.

    Args:
        w: the unscaled kernel in its op's layout.
        b: (K,) or None.
        shift: (C,), one value, or None.
        geometry: of the op.
        size: spatial input size.

    Returns:
        (1, K, *output size), float64: ``op(scale·x + shift) + b = op'(x) + map``, with op' of the
        weights of ``fold_before`` and no bias.
    """
    return constant_response(w, np.zeros(1) if shift is None else shift, geometry, size, b)


def _scaled(w: AnyArray, factors: Array, layout: Layout, group: int, inputs: bool) -> Array:
    blocks, axis = _grouped(w, layout, group)
    # The channel axis that the factors belong to: ``axis`` holds the inputs, the other the outputs.
    position = axis if inputs else 3 - axis
    shape = [group, 1, 1, 1]
    shape[position] = factors.size // group
    # In float64 without a float64 copy of the weights.
    scaled: Array = np.multiply(blocks, factors.reshape(shape), dtype=np.float64)
    return scaled.reshape(w.shape)


def _grouped(w: AnyArray, layout: Layout, group: int) -> tuple[AnyArray, int]:
    """``w`` as (group, rows, columns, taps), and which of rows (1) and columns (2) are inputs."""
    if w.shape[0] % group:
        raise ValueError(f"{w.shape[0]} channels in {group} groups")
    blocks = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
    return blocks, 2 if layout == "conv" else 1


def _inputs(w: Array, layout: Layout, group: int) -> int:
    return int(w.shape[1] * group if layout == "conv" else w.shape[0])


def _outputs(w: AnyArray, layout: Layout, group: int) -> int:
    return int(w.shape[0] if layout == "conv" else w.shape[1] * group)
