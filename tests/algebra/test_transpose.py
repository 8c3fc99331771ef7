"""Compositions with transposed convolutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import (
    ConvGeometry,
    DoesNotCompose,
    TransposeGeometry,
    border_map,
    compose_bias,
    compose_conv_then_transpose,
    compose_transpose_then_conv,
    ring_is_zero,
    swap_layout,
    transpose,
    transpose_as_conv,
)
from tests.algebra.naive import apply, close
from tests.algebra.strategies import (
    Pair,
    conv_transpose_pairs,
    kernel_for,
    ndims,
    sees_nothing,
    transpose_conv_pairs,
    transpose_geometries,
)

Compose = Callable[..., Any]


def sequence_of(pair: Pair) -> np.ndarray[Any, np.dtype[np.float64]]:
    between = apply(pair.x, pair.w1, pair.b1, pair.first)
    return apply(between, pair.w2, pair.b2, pair.second)


def second_in_conv_layout(pair: Pair) -> np.ndarray[Any, np.dtype[np.float64]]:
    if isinstance(pair.second, ConvGeometry):
        return pair.w2
    return swap_layout(pair.w2, pair.second.group)


def check_pair(pair: Pair, compose: Compose, outcomes: Counter[str]) -> None:
    first, second, sequence = pair.first, pair.second, sequence_of(pair)
    arguments = (pair.w1, pair.w2, first, second, pair.size)
    exact, reason = ring_is_zero(first, second, pair.size, first_bias_zero=True)
    try:
        geometry, kernel = compose(*arguments)
    except DoesNotCompose as declined:
        if str(declined) == reason:
            outcomes["border"] += 1
            check_border_is_wrong(pair, compose, sequence)
        else:
            outcomes[str(declined)] += 1
        return
    assert exact
    outcomes[type(geometry).__name__] += 1
    assert kernel.shape[2:] == geometry.kernel
    if isinstance(geometry, TransposeGeometry):
        # What ONNX and its runtimes accept.
        assert min(geometry.pads) >= 0
        assert all(o < s for o, s in zip(geometry.output_padding, geometry.strides, strict=True))
    constant = border_map(pair.w2, pair.b1, pair.b2, first, second, pair.size)
    assert close(apply(pair.x, kernel, None, geometry) + constant, sequence)

    bias = compose_bias(pair.b1, second_in_conv_layout(pair), pair.b2, second.group)
    expected = ring_is_zero(first, second, pair.size, first_bias_zero=pair.b1 is None)[0]
    assert close(apply(pair.x, kernel, bias, geometry), sequence) == expected
    outcomes["constant bias"] += expected and pair.b1 is not None
    outcomes["bias map"] += not expected


def check_border_is_wrong(pair: Pair, compose: Compose, sequence: Any) -> None:
    """The condition declines nothing that would be right."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transpose, "_require_ring", lambda *_: None)
        try:
            geometry, kernel = compose(pair.w1, pair.w2, pair.first, pair.second, pair.size)
        except DoesNotCompose:
            return
    constant = border_map(pair.w2, pair.b1, pair.b2, pair.first, pair.second, pair.size)
    assert sees_nothing(pair) or not close(
        apply(pair.x, kernel, None, geometry) + constant, sequence
    )


def test_conv_then_transpose() -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=1000, deadline=None, derandomize=True)
    @given(conv_transpose_pairs())
    def check(pair: Pair) -> None:
        check_pair(pair, compose_conv_then_transpose, outcomes)

    check()
    for case in (
        "ConvGeometry",
        "TransposeGeometry",
        "border",
        "bias map",
        "constant bias",
        "a strided conv before a strided transposed conv",
    ):
        assert outcomes[case] >= 10, outcomes


def test_transpose_then_conv() -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=1000, deadline=None, derandomize=True)
    @given(transpose_conv_pairs())
    def check(pair: Pair) -> None:
        check_pair(pair, compose_transpose_then_conv, outcomes)

    check()
    for case in (
        "ConvGeometry",
        "TransposeGeometry",
        "border",
        "bias map",
        "constant bias",
        "strides of the transposed conv and the conv do not divide",
    ):
        assert outcomes[case] >= 10, outcomes


@settings(max_examples=150, deadline=None)
@given(
    ndims().flatmap(lambda n: transpose_geometries(n, 2, max_stride=1)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
)
def test_stride_one_transpose_is_a_conv(geometry: TransposeGeometry, seed: int, more: int) -> None:
    rng = np.random.default_rng(seed)
    size = tuple(
        next(n for n in range(1, 99) if geometry.axis_output(axis, n) > 0) + more
        for axis in range(geometry.ndim)
    )
    x, w = rng.standard_normal((2, 4, *size)), kernel_for(geometry, 4, 6, rng)
    conv, kernel = transpose_as_conv(w, geometry)
    assert close(apply(x, kernel, None, conv), apply(x, w, None, geometry))


def one_axis(k: int, s: int, begin: int = 0, end: int = 0, extra: int = 0) -> TransposeGeometry:
    return TransposeGeometry((k,), (s,), (1,), (begin,), (end,), (extra,))


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (ConvGeometry((3,), (2,), (1,), (1,), (1,)), one_axis(4, 2), "a strided conv before"),
        (
            ConvGeometry((3,), (1,), (1,), (1,), (1,)),
            one_axis(4, 2),
            "axis 0 begin: first padding 1 < 2, second crops 0",
        ),
        (
            ConvGeometry((3,), (1,), (1,), (2,), (1,)),
            one_axis(4, 2, 0, 2, 1),
            "axis 0 end: first padding 1 < 2, second crops 1",
        ),
    ],
)
def test_conv_then_transpose_declines(
    first: ConvGeometry, second: TransposeGeometry, reason: str
) -> None:
    with pytest.raises(DoesNotCompose, match=reason):
        compose_conv_then_transpose(np.ones((1, 1, 3)), np.ones((1, 1, 4)), first, second)


def test_pointwise_then_transpose_composes_for_any_size() -> None:
    pointwise = ConvGeometry((1, 1), (1, 1), (1, 1), (0, 0), (0, 0))
    up = TransposeGeometry((4, 4), (2, 2), (1, 1), (1, 1), (1, 1), (0, 0))
    rng = np.random.default_rng(0)
    w1, w2 = rng.standard_normal((8, 3, 1, 1)), rng.standard_normal((8, 2, 4, 4))
    geometry, kernel = compose_conv_then_transpose(w1, w2, pointwise, up)
    assert geometry == up
    assert close(kernel, np.einsum("mc,mkij->ckij", w1[:, :, 0, 0], w2))


def test_crop_of_the_first_meets_padding_of_the_second() -> None:
    w1, w2 = np.ones((1, 1, 4)), np.ones((1, 1, 3))
    padded = ConvGeometry((3,), (1,), (1,), (1,), (1,))
    geometry, _ = compose_transpose_then_conv(w1, w2, one_axis(4, 2), padded)
    assert geometry == one_axis(6, 2, 1, 1)
    with pytest.raises(DoesNotCompose, match="axis 0 begin: the first crops 1, the second pads 1"):
        compose_transpose_then_conv(w1, w2, one_axis(4, 2, 1, 1), padded)
    with pytest.raises(DoesNotCompose, match="axis 0 end: the first crops 1, the second pads 1"):
        compose_transpose_then_conv(w1, w2, one_axis(4, 2, 0, 1), padded)


def test_up_then_down_by_the_same_stride_is_a_conv_of_stride_one() -> None:
    down = ConvGeometry((2,), (2,), (1,), (0,), (0,))
    w1, w2 = np.array([[[1.0, 2, 3, 4]]]), np.array([[[1.0, 10]]])
    geometry, kernel = compose_transpose_then_conv(w1, w2, one_axis(4, 2, 1, 1), down)
    assert isinstance(geometry, ConvGeometry)
    assert geometry.strides == (1,)
    x = np.arange(1.0, 6.0).reshape(1, 1, 5)
    between = apply(x, w1, None, one_axis(4, 2, 1, 1))
    assert close(apply(x, kernel, None, geometry), apply(between, w2, None, down))


def test_a_conv_that_reads_only_gaps_is_declined() -> None:
    first, second = one_axis(1, 2), ConvGeometry((1,), (2,), (1,), (1,), (0,))
    with pytest.raises(DoesNotCompose, match="leaves empty"):
        compose_transpose_then_conv(np.ones((1, 1, 1)), np.ones((1, 1, 1)), first, second)
