"""The ring condition against the design's closed form and by brute force; strips; maps."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import (
    ConvGeometry,
    DoesNotCompose,
    TransposeGeometry,
    border_strips,
    constant_response,
    fold_before,
    keeps_constant,
    ring_condition,
    ring_is_zero,
    split_crop,
)
from convc.algebra.affine import Layout
from convc.algebra.border import reached, seen
from convc.algebra.geometry import Geometry
from tests.algebra.naive import apply, apply_with_strips, close, conv
from tests.algebra.strategies import (
    Pair,
    conv_geometries,
    conv_pairs,
    conv_transpose_pairs,
    kernel_for,
    ndims,
    on_axis,
    smallest_size,
    transpose_conv_pairs,
    transpose_geometries,
)


def one_axis(k: int, s: int = 1, d: int = 1, begin: int = 0, end: int = 0) -> ConvGeometry:
    return ConvGeometry((k,), (s,), (d,), (begin,), (end,))


def test_closed_form_of_the_design_for_an_undilated_second_conv_of_stride_one() -> None:
    answers: Counter[bool] = Counter()
    cases = itertools.product(
        (1, 2, 3), (1, 2, 3), (1, 2), (-1, 0, 1, 2, 3), (-1, 0, 1, 2, 3), (0, 2), (0, 1)
    )
    for k1, s1, d1, begin1, end1, begin2, end2 in cases:
        first, second = one_axis(k1, s1, d1, begin1, end1), one_axis(2, 1, 1, begin2, end2)
        extent = d1 * (k1 - 1) + 1
        start = max(20, smallest_size(first, second, 0))
        expected_for_all = True
        for size in range(start, start + s1):
            left = (size + begin1 + end1 - extent) % s1
            expected = (begin2 == 0 or begin1 >= extent - s1) and (
                end2 == 0 or end1 >= extent - s1 + left
            )
            assert ring_is_zero(first, second, (size,), True)[0] == expected
            expected_for_all &= expected
        assert ring_is_zero(first, second, None, True)[0] == expected_for_all
        answers[expected_for_all] += 1
    assert min(answers[True], answers[False]) > 300


ANY_PAIR = st.one_of(conv_pairs(), conv_transpose_pairs(), transpose_conv_pairs())


@settings(max_examples=200, deadline=None)
@given(ANY_PAIR)
def test_a_dynamic_size_stands_for_every_size(pair: Pair) -> None:
    for axis in range(pair.first.ndim):
        first, second = on_axis(pair.first, axis), on_axis(pair.second, axis)
        least = smallest_size(first, second, 0)
        every = [ring_is_zero(first, second, (size,), True)[0] for size in range(least, least + 60)]
        assert ring_is_zero(first, second, None, True)[0] == all(every)


@settings(max_examples=300, deadline=None)
@given(ANY_PAIR, st.integers(60, 200))
def test_a_large_size_has_the_strays_of_the_whole_line(pair: Pair, size: int) -> None:
    for axis in range(pair.first.ndim):
        first, second = on_axis(pair.first, axis), on_axis(pair.second, axis)
        between = first.axis_output(0, size)
        outputs = second.axis_output(0, between)
        paths = np.intersect1d(reached(first, 0, size), seen(second, 0, outputs))
        strays = bool(((paths < 0) | (paths >= between)).any())
        assert (ring_condition(first, second, (size,)).input is not None) == strays


BEGIN_SHORT = "axis 0 begin: first padding 1 < 2, second padding 1 > 0"
END_SHORT = "axis 0 end: first padding 1 < 2, second padding 1 > 0"
BOTH = one_axis(3, begin=1, end=1)
STRIDED = one_axis(3, s=2, begin=1, end=1)


@pytest.mark.parametrize(
    ("first", "second", "size", "expected"),
    [
        (BOTH, one_axis(3, begin=1), None, BEGIN_SHORT),
        (one_axis(3, begin=2, end=1), BOTH, None, END_SHORT),
        (BOTH, one_axis(3), None, ""),
        (BOTH, one_axis(3, begin=-1, end=-2), None, ""),
        # A stride of two leaves one input over at even sizes only.
        (STRIDED, one_axis(3, begin=1), None, ""),
        (STRIDED, BOTH, 9, ""),
        (STRIDED, BOTH, 8, END_SHORT),
        (STRIDED, BOTH, None, END_SHORT),
        # The second reads at -2 and 0 only: the position -1 that would be wrong is skipped.
        (BOTH, one_axis(1, 2, 1, 2), None, ""),
        # A cropped input shows beyond the first conv's output even for a single tap.
        (
            one_axis(1, begin=-1),
            one_axis(1, begin=1),
            None,
            "axis 0 begin: first padding -1 < 0, second padding 1 > 0",
        ),
    ],
)
def test_reasons_name_axis_side_and_condition(
    first: ConvGeometry, second: ConvGeometry, size: int | None, expected: str
) -> None:
    zero, reason = ring_is_zero(first, second, (size,), first_bias_zero=True)
    assert zero == (expected == "")
    assert reason == expected


def test_both_causes_are_told_apart() -> None:
    wide, narrow = one_axis(3, begin=2, end=2), one_axis(3, begin=1, end=1)
    only_bias = ring_condition(wide, narrow)
    assert only_bias.input is None
    assert only_bias.bias == "first bias meets the border: axis 0 begin: padding 1 > 0"
    assert ring_is_zero(wide, narrow, None, first_bias_zero=True) == (True, "")
    assert ring_is_zero(wide, narrow, None, first_bias_zero=False) == (False, only_bias.bias)
    both = ring_condition(narrow, narrow)
    assert both.input is not None
    assert both.bias is not None
    unread = ring_condition(wide, one_axis(2, 2, 1, 0, 1), (4,))
    assert unread.bias is None


def test_axes_and_sizes_must_match() -> None:
    two = ConvGeometry((1, 1), (1, 1), (1, 1), (0, 0), (0, 0))
    with pytest.raises(ValueError, match="spatial axes"):
        ring_condition(one_axis(1), two)
    with pytest.raises(ValueError, match="needs 2 values"):
        ring_condition(two, two, (3,))
    with pytest.raises(ValueError, match="too small"):
        ring_condition(one_axis(3), one_axis(3), (4,))


def test_strips_equal_the_sequence() -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=500, deadline=None, derandomize=True)
    @given(conv_pairs(min_pad=-1, room=16))
    def check(pair: Pair) -> None:
        first, second = pair.first, pair.second
        assert isinstance(first, ConvGeometry)
        assert isinstance(second, ConvGeometry)
        try:
            strips = border_strips(first, second, pair.size, pair.b1 is None)
        except DoesNotCompose:
            outcomes["no interior"] += 1
            return
        sequence = conv(conv(pair.x, pair.w1, pair.b1, first), pair.w2, pair.b2, second)
        result = apply_with_strips(
            pair.x, (pair.w1, pair.w2), (pair.b1, pair.b2), (first, second), strips
        )
        assert close(result, sequence)
        some = any(part is not None for part in (*strips.begin, *strips.end))
        if ring_is_zero(first, second, pair.size, pair.b1 is None)[0]:
            assert not some
        outcomes["strips" if some else "none"] += 1
        outcomes[f"strips {first.ndim}-D"] += some
        outcomes["both sides"] += any(
            None not in pair for pair in zip(strips.begin, strips.end, strict=True)
        )

    check()
    for case in ("strips", "none", "strips 1-D", "strips 2-D", "strips 3-D", "both sides"):
        assert outcomes[case] >= 15, outcomes


def test_strips_of_a_padded_pair_are_one_pixel_wide() -> None:
    one = ConvGeometry((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
    strips = border_strips(one, one, (10, 12), first_bias_zero=True)
    assert strips.interior.outputs == ((1, 9), (1, 11))
    assert strips.interior.inputs == ((0, 10), (0, 12))
    assert strips.interior.convs[0].pads == (1, 1, 1, 1)
    top, bottom = strips.begin[0], strips.end[0]
    left, right = strips.begin[1], strips.end[1]
    assert top is not None
    assert bottom is not None
    assert left is not None
    assert right is not None
    assert top.outputs == ((0, 1), (0, 12))
    assert top.inputs == ((0, 3), (0, 12))
    assert top.convs[0].pads == (1, 1, 0, 1)
    assert top.convs[1].pads == (1, 1, 0, 1)
    assert bottom.inputs == ((7, 10), (0, 12))
    assert left.outputs == ((1, 9), (0, 1))
    assert right.outputs == ((1, 9), (11, 12))
    assert right.inputs == ((0, 10), (9, 12))


def test_no_interior_is_declined() -> None:
    one = one_axis(3, begin=1, end=1)
    with pytest.raises(DoesNotCompose, match="axis 0: no interior at size 2"):
        border_strips(one, one, (2,))


def test_constant_input_keeps_constant_exactly_when_it_says_so() -> None:
    answers: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(
        ndims().flatmap(lambda n: st.one_of(conv_geometries(n, 2), transpose_geometries(n, 2))),
        st.integers(0, 2**32 - 1),
        st.integers(0, 6),
    )
    def check(geometry: Geometry, seed: int, more: int) -> None:
        rng = np.random.default_rng(seed)
        size = tuple(
            next(n for n in range(1, 99) if geometry.axis_output(axis, n) > 0) + more
            for axis in range(geometry.ndim)
        )
        w = kernel_for(geometry, 4, 6, rng)
        values, bias = rng.standard_normal(4), rng.standard_normal(6)
        image = np.broadcast_to(values.reshape(1, 4, *(1,) * geometry.ndim), (1, 4, *size))
        expected = apply(image, w, bias, geometry)
        response = constant_response(w, values, geometry, size, bias)
        assert close(response, expected)
        keeps, reason = keeps_constant(geometry, size)
        assert keeps == (reason == "")
        layout: Layout = "conv" if isinstance(geometry, ConvGeometry) else "transpose"
        inner = fold_before(w, bias, np.ones(1), values, layout=layout, group=geometry.group)[1]
        whole = np.broadcast_to(inner.reshape(6, *(1,) * geometry.ndim), expected.shape)
        assert close(response, whole) == keeps
        if keeps_constant(geometry)[0]:
            assert keeps
        answers[type(geometry).__name__ + str(keeps)] += 1

    check()
    for kind in ("ConvGeometry", "TransposeGeometry"):
        assert min(answers[f"{kind}True"], answers[f"{kind}False"]) >= 5, answers


def test_negative_pads_are_a_slice() -> None:
    rng = np.random.default_rng(5)
    geometry = ConvGeometry((3, 2), (2, 1), (1, 2), (-2, 1), (1, -1))
    begin, end, rest = split_crop(geometry)
    x, w = rng.standard_normal((1, 2, 9, 8)), rng.standard_normal((3, 2, 3, 2))
    sliced = x[:, :, begin[0] : 9 - end[0], begin[1] : 8 - end[1]]
    assert min(rest.pads) >= 0
    assert close(conv(x, w, None, geometry), conv(sliced, w, None, rest))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": ()}, "at least one spatial axis"),
        ({"strides": (1,)}, "strides needs 2 values"),
        ({"pads_end": (1, 1, 1)}, "pads_end needs 2 values"),
        ({"dilations": (1, 0)}, r"dilations \(1, 0\) must be positive"),
        ({"kernel": (3, 0)}, r"kernel \(3, 0\) must be positive"),
        ({"group": 0}, "group 0 must be positive"),
        ({"output_padding": (1,)}, "output_padding needs 2 values"),
        ({"output_padding": (-1, 0)}, "must not be negative"),
    ],
)
def test_wrong_geometries_are_refused(changes: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {
        "kernel": (3, 3),
        "strides": (1, 1),
        "dilations": (1, 1),
        "pads_begin": (0, 0),
        "pads_end": (0, 0),
        "output_padding": (0, 0),
    }
    with pytest.raises(ValueError, match=message):
        TransposeGeometry(**{**fields, **changes})  # type: ignore[arg-type]


def test_output_sizes() -> None:
    conv_geometry = ConvGeometry((3, 2), (2, 1), (1, 3), (1, 0), (1, -1))
    assert conv_geometry.extent == (3, 4)
    assert conv_geometry.ndim == 2
    assert conv_geometry.output_size((8, 9)) == (4, 5)
    with pytest.raises(ValueError, match="too small"):
        conv_geometry.output_size((8, 4))
    with pytest.raises(ValueError, match="needs 2 values"):
        conv_geometry.output_size((8,))
    transposed = TransposeGeometry((4,), (2,), (1,), (1,), (1,), (1,))
    assert transposed.output_size((5,)) == (11,)


def test_strips_are_not_looked_for_on_an_endless_axis() -> None:
    """Each output is looked at: a size from a hostile file would take terabytes."""
    padded = ConvGeometry((3,), (1,), (1,), (1,), (1,))
    with pytest.raises(DoesNotCompose, match="more than are looked at"):
        border_strips(padded, padded, (2**40,))
    assert border_strips(padded, padded, (2**10,)).interior.outputs == ((1, 2**10 - 1),)
