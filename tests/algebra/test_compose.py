"""Conv after conv: geometry, kernel, bias, and the first exercise."""

from __future__ import annotations

import doctest
import itertools
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

import convc.algebra
from convc.algebra import (
    ConvGeometry,
    border_map,
    border_strips,
    compose,
    compose_bias,
    compose_geometry,
    compose_kernels,
    geometry_of,
    ring_condition,
    ring_is_zero,
)
from tests.algebra.naive import apply_with_strips, close, conv
from tests.algebra.strategies import Pair, conv_pairs, sees_nothing


def test_composition_is_exact_where_the_ring_is_zero_and_wrong_where_it_is_not() -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=700, deadline=None, derandomize=True)
    @given(conv_pairs())
    def check(pair: Pair) -> None:
        first, second = pair.first, pair.second
        assert isinstance(first, ConvGeometry)
        assert isinstance(second, ConvGeometry)
        sequence = conv(conv(pair.x, pair.w1, pair.b1, first), pair.w2, pair.b2, second)
        geometry = compose_geometry(first, second)
        kernel = compose_kernels(pair.w1, pair.w2, first, second)
        bias = compose_bias(pair.b1, pair.w2, pair.b2, second.group)
        composed = conv(pair.x, kernel, bias, geometry)
        assert kernel.shape[2:] == geometry.kernel
        assert geometry.output_size(pair.size) == sequence.shape[2:]

        zero, reason = ring_is_zero(first, second, pair.size, pair.b1 is None)
        if sees_nothing(pair):
            outcomes["sees nothing"] += 1
            return
        assert close(composed, sequence) == zero, reason
        assert zero == (reason == "")

        ring = ring_condition(first, second, pair.size)
        with_map = conv(pair.x, kernel, None, geometry) + border_map(
            pair.w2, pair.b1, pair.b2, first, second, pair.size
        )
        assert close(with_map, sequence) == (ring.input is None)
        outcomes[f"{'zero' if zero else 'ring'}, bias {pair.b1 is not None}"] += 1
        outcomes[f"{first.ndim}-D"] += 1
        outcomes["map helps"] += not zero and ring.input is None
        outcomes["grouped"] += geometry.group > 1
        outcomes["unlike groups"] += 1 < first.group != second.group > 1

    check()
    for case in ("zero, bias False", "zero, bias True", "ring, bias False", "ring, bias True"):
        assert outcomes[case] >= 30, outcomes
    for case in ("1-D", "2-D", "3-D", "grouped", "unlike groups", "map helps"):
        assert outcomes[case] >= 20, outcomes


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((3, 1, 1), (3, 1, 1), (5, 1, 1)),
        ((3, 2, 1), (3, 1, 1), (7, 2, 1)),
        ((3, 2, 1), (3, 2, 1), (7, 4, 1)),
        ((3, 2, 2), (3, 1, 1), (5, 2, 2)),
        ((3, 1, 2), (3, 1, 2), (5, 1, 2)),
        ((3, 1, 2), (3, 1, 3), (11, 1, 1)),
        ((1, 2, 3), (3, 1, 1), (3, 2, 2)),
        ((3, 1, 3), (1, 2, 1), (3, 2, 3)),
        ((1, 2, 3), (1, 2, 3), (1, 4, 1)),
        ((3, 3, 4), (2, 1, 2), (8, 3, 2)),
    ],
)
def test_kernel_stride_and_dilation(
    first: tuple[int, int, int], second: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    def geometry(k: int, s: int, d: int, begin: int, end: int) -> ConvGeometry:
        return ConvGeometry((k,), (s,), (d,), (begin,), (end,))

    composed = compose_geometry(geometry(*first, 1, 2), geometry(*second, 3, -1))
    assert (*composed.kernel, *composed.strides, *composed.dilations) == expected
    assert composed.pads == (1 + first[1] * 3, 2 - first[1])


@pytest.mark.parametrize(
    ("groups", "expected"), [((1, 1), 1), ((2, 4), 2), ((4, 6), 2), ((2, 3), 1), ((12, 12), 12)]
)
def test_groups_are_the_greatest_common_divisor(groups: tuple[int, int], expected: int) -> None:
    rng = np.random.default_rng(0)
    w1 = rng.standard_normal((12, 12 // groups[0], 3))
    w2 = rng.standard_normal((12, 12 // groups[1], 2))
    kernel, _, geometry = compose(w1, w2, groups=groups)
    assert geometry.group == expected
    assert kernel.shape == (12, 12 // expected, 4)
    # No finer cut would do: some weight lies outside of its blocks.
    for finer in (g for g in range(expected + 1, 13) if 12 % g == 0 and g % expected == 0):
        parts = finer // expected
        blocks = kernel.reshape(expected, parts, 12 // finer, parts, 12 // finer, 4)
        apart = [blocks[:, i, :, j] for i, j in itertools.permutations(range(parts), 2)]
        assert any(np.any(block != 0) for block in apart)


def test_depthwise_pair_is_never_made_dense() -> None:
    count = 1024
    w = np.ones((count, 1, 3, 3))
    tracemalloc.start()
    kernel, _, geometry = compose(w, w, groups=(count, count))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kernel.shape == (count, 1, 5, 5)
    assert geometry.group == count
    # Dense would be 1024 · 1024 · 25 doubles, 200 MiB; the result has 0.2 MiB.
    assert peak < 2 * 2**20
    assert np.array_equal(kernel[7, 0, 2], [3, 6, 9, 6, 3])


def test_depthwise_then_pointwise_is_one_outer_product_per_channel() -> None:
    rng = np.random.default_rng(1)
    depthwise, pointwise = rng.standard_normal((64, 1, 3, 3)), rng.standard_normal((32, 64, 1, 1))
    kernel, _, geometry = compose(depthwise, pointwise, groups=(64, 1))
    assert geometry.group == 1
    assert close(kernel, pointwise * depthwise.reshape(1, 64, 3, 3))


def test_bare_arrays_with_all_keywords() -> None:
    rng = np.random.default_rng(4)
    w1, w2 = rng.standard_normal((4, 2, 3, 2)), rng.standard_normal((6, 2, 2, 3))
    b1, b2 = rng.standard_normal(4), rng.standard_normal(6)
    first = ConvGeometry((3, 2), (2, 1), (1, 2), (3, 1), (2, 0), 1)
    second = ConvGeometry((2, 3), (1, 3), (2, 2), (0, 0), (0, 0), 2)
    kernel, bias, geometry = compose(
        w1,
        w2,
        b1,
        b2,
        strides=((2, 1), (1, 3)),
        pads=((3, 1, 2, 0), 0),
        dilations=((1, 2), 2),
        groups=(1, 2),
    )
    assert geometry == compose_geometry(first, second)
    x = rng.standard_normal((2, 2, 9, 11))
    sequence = conv(conv(x, w1, b1, first), w2, b2, second)
    assert close(conv(x, kernel, bias, geometry), sequence)
    assert geometry_of(w1, pads=(1, 2)).pads == (1, 2, 1, 2)


def test_bias_is_none_only_without_biases() -> None:
    w = np.ones((1, 1, 3))
    assert compose(w, w)[1] is None
    for biases in ((np.ones(1), None), (None, np.ones(1)), (np.ones(1), np.ones(1))):
        expected = 3 * (biases[0] is not None) + (biases[1] is not None)
        bias = compose(w, w, *biases)[1]
        assert bias is not None
        assert bias.tolist() == [expected]


def test_first_notebook_cell() -> None:
    x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    k1 = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).reshape(1, 1, 3, 3)
    k2 = np.array([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]).reshape(1, 1, 3, 3)
    one = geometry_of(k1, pads=1)
    sequence = conv(conv(x, k1, None, one), k2, None, one)
    assert sequence[0, 0].tolist() == [[48, 16, -32], [24, 0, -24], [-48, -16, 32]]

    kernel, _, geometry = compose(k1, k2, pads=(1, 1))
    assert kernel.shape == (1, 1, 5, 5)
    assert geometry.pads == (2, 2, 2, 2)
    composed = conv(x, kernel, None, geometry)
    assert not close(composed, sequence)
    strips = border_strips(one, one, (3, 3), first_bias_zero=True)
    assert strips.interior.outputs == ((1, 2), (1, 2))
    assert composed[0, 0, 1, 1] == sequence[0, 0, 1, 1]
    exact = apply_with_strips(x, (k1, k2), (None, None), (one, one), strips)
    assert close(exact, sequence)


def test_padded_three_by_three_twice_is_a_five_by_five_away_from_the_border() -> None:
    rng = np.random.default_rng(2)
    x, k1, k2 = (rng.standard_normal((1, 1, *size)) for size in ((9, 8), (3, 3), (3, 3)))
    one = geometry_of(k1, pads=1)
    sequence = conv(conv(x, k1, None, one), k2, None, one)
    kernel, _, geometry = compose(k1, k2, pads=(1, 1))
    composed = conv(x, kernel, None, geometry)
    same = np.abs(composed - sequence)[0, 0] < 1e-11
    inside = np.zeros((9, 8), dtype=bool)
    inside[1:-1, 1:-1] = True
    assert np.array_equal(same, inside)
    # With the padding of both before the first, there is no border to get wrong.
    assert ring_is_zero(geometry_of(k1, pads=2), geometry_of(k2))[0]


def test_second_notebook_cell_is_right_for_ones_only() -> None:
    k = np.eye(2).reshape(1, 1, 2, 2)
    kernel, _, geometry = compose(k, k)
    assert kernel[0, 0].tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 1]]
    claimed = np.eye(3).reshape(1, 1, 3, 3) * 4 / 3
    two = geometry_of(k)
    for x, claim_holds in (
        (np.ones((1, 1, 8, 8)), True),
        (np.random.default_rng(3).standard_normal((1, 1, 8, 8)), False),
    ):
        sequence = conv(conv(x, k, None, two), k, None, two)
        assert close(conv(x, kernel, None, geometry), sequence)
        assert close(conv(x, claimed, None, geometry), sequence) == claim_holds


def test_integer_and_half_precision_kernels_are_composed_in_float64() -> None:
    half = np.full((1, 1, 2), 60000, dtype=np.float16)
    kernel, _, _ = compose(half, half)
    assert kernel.dtype == np.float64
    assert kernel[0, 0].tolist() == [6e4**2, 2 * 6e4**2, 6e4**2]
    whole = np.array([[[1, -1]]])
    assert compose(whole, whole)[0].tolist() == [[[1, -2, 1]]]


def test_examples_in_the_documentation() -> None:
    result = doctest.testmod(convc.algebra)
    assert result.attempted >= 5
    assert result.failed == 0


@pytest.mark.parametrize(
    ("w1", "w2", "groups", "message"),
    [
        ((4, 3, 3), (2, 5, 3), (1, 1), "takes 5 channels, the first gives 4"),
        ((4, 3, 3), (2, 4, 3, 3), (1, 1), "spatial axes"),
        ((4, 3, 3), (3, 2, 3), (1, 2), "output channels in 2 groups"),
        ((4, 3), (4, 3), (1, 1), "at least one spatial axis"),
    ],
)
def test_kernels_that_do_not_fit_are_refused(
    w1: tuple[int, ...], w2: tuple[int, ...], groups: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compose(np.ones(w1), np.ones(w2), groups=groups)
