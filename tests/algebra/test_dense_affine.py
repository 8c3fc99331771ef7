"""Fully connected layers, and scales and shifts per channel."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import (
    Affine,
    ConvGeometry,
    batch_norm_affine,
    compose_affine,
    compose_gemm,
    conv_into_gemm,
    fold_after,
    fold_before,
    fold_before_map,
    keeps_constant,
)
from convc.algebra.affine import Layout
from convc.algebra.geometry import Geometry
from tests.algebra.naive import apply, close, conv
from tests.algebra.strategies import (
    conv_geometries,
    kernel_for,
    ndims,
    transpose_geometries,
)

SEEDS = st.integers(0, 2**32 - 1)
GROUPS = st.sampled_from([1, 2, 6])


def per_channel(values: np.ndarray, ndim: int) -> np.ndarray:
    return values.reshape(-1, *(1,) * ndim)


def some_size(geometry: Geometry, more: int) -> tuple[int, ...]:
    return tuple(
        next(n for n in range(1, 99) if geometry.axis_output(axis, n) > 0) + more
        for axis in range(geometry.ndim)
    )


@st.composite
def layers(draw: st.DrawFn) -> tuple[Geometry, Layout]:
    ndim, group = draw(ndims()), draw(GROUPS)
    if draw(st.booleans()):
        return draw(conv_geometries(ndim, group)), "conv"
    return draw(transpose_geometries(ndim, group)), "transpose"


def test_affine_before_and_after_convs() -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(layers(), SEEDS, st.integers(0, 3), st.booleans(), st.booleans())
    def check(
        layer: tuple[Geometry, Layout], seed: int, more: int, has_bias: bool, scalar: bool
    ) -> None:
        (geometry, layout), rng = layer, np.random.default_rng(seed)
        ndim, group, size = geometry.ndim, geometry.group, some_size(geometry, more)
        x, w = rng.standard_normal((2, 6, *size)), kernel_for(geometry, 6, 12, rng)
        b = rng.standard_normal(12) if has_bias else None

        scale, shift = (rng.standard_normal(1 if scalar else 12) for _ in range(2))
        expected = per_channel(scale, ndim) * apply(x, w, b, geometry) + per_channel(shift, ndim)
        folded = fold_after(w, b, scale, shift, layout=layout, group=group)
        assert close(apply(x, *folded, geometry), expected)

        scale, shift = (rng.standard_normal(1 if scalar else 6) for _ in range(2))
        shifted = per_channel(scale, ndim) * x + per_channel(shift, ndim)
        expected = apply(shifted, w, b, geometry)
        weights, bias = fold_before(w, b, scale, shift, layout=layout, group=group)
        interior = keeps_constant(geometry, size)[0]
        assert close(apply(x, weights, bias, geometry), expected) == interior
        constant = fold_before_map(w, b, shift, geometry, size)
        assert close(apply(x, weights, None, geometry) + constant, expected)
        unshifted = fold_before(w, b, scale, layout=layout, group=group)
        expected = apply(per_channel(scale, ndim) * x, w, b, geometry)
        assert close(apply(x, *unshifted, geometry), expected)
        outcomes[f"{layout}, {'interior' if interior else 'border'}"] += 1

    check()
    for layout in ("conv", "transpose"):
        assert min(outcomes[f"{layout}, {part}"] for part in ("interior", "border")) >= 5


def test_affine_around_a_matrix() -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((4, 5)), rng.standard_normal((5, 3)), rng.standard_normal(3)
    before = Affine(rng.standard_normal(5), rng.standard_normal(5))
    after = Affine(rng.standard_normal(3), rng.standard_normal(3))
    expected = after.scale * ((before.scale * x + before.shift) @ w + b) + after.shift
    folded = fold_after(*fold_before(w, b, *before, layout="matmul"), *after, layout="matmul")
    assert close(x @ folded[0] + folded[1], expected)
    # A Gemm's transposed matrix has the layout of a conv's kernel without taps.
    turned = fold_after(*fold_before(w.T, b, *before), *after)
    assert close(turned[0], folded[0].T)
    assert close(turned[1], folded[1])


def test_batch_norm_and_chains() -> None:
    rng = np.random.default_rng(1)
    scale, bias, mean = rng.standard_normal((3, 8))
    var, epsilon = rng.random(8) + 0.1, 1e-3
    x = rng.standard_normal((5, 8))
    first = batch_norm_affine(scale, bias, mean, var, epsilon)
    expected = scale * (x - mean) / np.sqrt(var + epsilon) + bias
    assert close(first.scale * x + first.shift, expected)
    second = Affine(rng.standard_normal(8), rng.standard_normal(8))
    chain = compose_affine(first, second)
    assert close(chain.scale * x + chain.shift, second.scale * expected + second.shift)


@pytest.mark.parametrize(("count", "side"), [(5, fold_after), (4, fold_before)])
def test_wrong_number_of_channels_is_refused(count: int, side: type) -> None:
    with pytest.raises(ValueError, match=f"{count} values for"):
        side(np.ones((4, 3, 3, 3)), None, np.ones(count))


def test_two_matrices() -> None:
    rng = np.random.default_rng(2)
    x, w1, w2 = (rng.standard_normal(shape) for shape in ((4, 5), (5, 6), (6, 3)))
    b1, b2 = rng.standard_normal(6), rng.standard_normal(3)
    for first, second in ((b1, b2), (b1, None), (None, b2), (None, None), (b1[:1], b2[:1])):
        w, b = compose_gemm(w1, first, w2, second)
        hidden = x @ w1 + (0 if first is None else first)
        assert close(x @ w + b, hidden @ w2 + (0 if second is None else second))
    with pytest.raises(ValueError, match="no product"):
        compose_gemm(w1, None, w1, None)


@settings(max_examples=200, deadline=None)
@given(
    ndims().flatmap(lambda n: GROUPS.flatmap(lambda g: conv_geometries(n, g))),
    SEEDS,
    st.integers(0, 4),
    st.booleans(),
)
def test_conv_into_gemm(geometry: ConvGeometry, seed: int, more: int, has_bias: bool) -> None:
    rng, size = np.random.default_rng(seed), some_size(geometry, more)
    x, w = rng.standard_normal((2, 6, *size)), kernel_for(geometry, 6, 12, rng)
    b, offset = (rng.standard_normal(n) if has_bias else None for n in (12, 3))
    flat = conv(x, w, b, geometry).reshape(2, -1)
    matrix = rng.standard_normal((flat.shape[1], 3))
    expected = flat @ matrix + (0 if offset is None else offset)
    kernel, bias = conv_into_gemm(w, b, geometry, size, matrix, offset)
    assert kernel.shape == (3, 6, *size)
    assert close(x.reshape(2, -1) @ kernel.reshape(3, -1).T + bias, expected)


def test_conv_into_gemm_refuses_another_matrix() -> None:
    geometry = ConvGeometry((3,), (1,), (1,), (1,), (1,))
    with pytest.raises(ValueError, match=r"matrix of \(7, 2\) after 4 channels of \(5,\)"):
        conv_into_gemm(np.ones((4, 1, 3)), None, geometry, (5,), np.ones((7, 2)), None)
