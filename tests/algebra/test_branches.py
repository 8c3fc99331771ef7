"""Sums and concatenations of convs as one kernel, beside naive loops."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.algebra.branches import (
    Branch,
    after,
    average_branch,
    common_geometry,
    concat_inputs,
    concat_outputs,
    output_key,
    pointwise_geometry,
    scale_branch,
    sum_branches,
)
from tests.algebra.naive import close, conv
from tests.algebra.strategies import conv_geometries, kernel_for, ndims

RNG = np.random.default_rng(0)


def run(branch: Branch, x: np.ndarray) -> np.ndarray:
    return conv(x, branch.kernel, branch.bias, branch.geometry)


def filled(geometry: ConvGeometry, inputs: int, outputs: int, rng: np.random.Generator) -> Branch:
    bias = rng.standard_normal(outputs) if rng.integers(2) else None
    return Branch(kernel_for(geometry, inputs, outputs, rng), bias, geometry)


@st.composite
def branches(draw: st.DrawFn) -> tuple[list[Branch], tuple[int, ...]]:
    """Convs of one stride, any kernel, dilation and pads, negative ones too, and an input size."""
    ndim, count = draw(ndims()), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs, outputs = draw(st.sampled_from([(12, 12), (12, 6), (4, 12), (3, 5)]))
    strides = tuple(draw(st.integers(1, 3)) for _ in range(ndim))
    overhang = tuple(draw(st.integers(-3, 3)) for _ in range(ndim))
    found = []
    for _ in range(count):
        geometry = draw(conv_geometries(ndim))
        ends = tuple(
            o + e - 1 - b
            for o, e, b in zip(overhang, geometry.extent, geometry.pads_begin, strict=True)
        )
        groups = [g for g in (1, 2, 3, 4, 6, 12) if inputs % g == 0 and outputs % g == 0]
        group = draw(st.sampled_from(groups))
        geometry = replace(geometry, strides=strides, pads_end=ends, group=group)
        found.append(filled(geometry, inputs, outputs, rng))
    return found, tuple(draw(st.integers(6, 9 if ndim < 3 else 7)) for _ in range(ndim))


def test_the_sum_of_convs_is_one_conv() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(branches())
    def check(drawn: tuple[list[Branch], tuple[int, ...]]) -> None:
        parts, size = drawn
        x = np.random.default_rng(1).standard_normal((2, parts[0].inputs, *size))
        terms = [run(part, x) for part in parts]
        whole = sum_branches(parts)
        assert close(run(whole, x), sum(terms))
        assert whole.geometry == common_geometry([part.geometry for part in parts])
        for unknown in (size, (None,) * len(size)):
            assert len({output_key(part.geometry, unknown) for part in parts}) == 1
            assert output_key(whole.geometry, unknown) == output_key(parts[0].geometry, unknown)
        seen["groups"] += whole.geometry.group > 1
        seen["fewer groups"] += any(p.geometry.group > whole.geometry.group for p in parts)
        seen["coarse grid"] += max(whole.geometry.dilations) > 1
        seen["strided"] += max(whole.geometry.strides) > 1

    check()
    assert min(seen[k] for k in ("groups", "fewer groups", "coarse grid", "strided")) >= 20, seen


def test_sizes_that_the_stride_rounds_down_agree() -> None:
    wide = ConvGeometry((3,), (2,), (1,), (0,), (1,))
    point = ConvGeometry((1,), (2,), (1,), (0,), (0,))
    assert output_key(wide, (8,)) == output_key(point, (8,)) == ((True, 4),)
    assert output_key(wide, (9,)) != output_key(point, (9,))
    assert output_key(wide, (None,)) != output_key(point, (None,))
    assert common_geometry([point, wide]) == wide
    parts = [filled(wide, 2, 3, RNG), filled(point, 2, 3, RNG)]
    x = RNG.standard_normal((1, 2, 8))
    assert close(run(sum_branches(parts), x), sum(run(part, x) for part in parts))


def test_the_geometry_of_a_block() -> None:
    square = ConvGeometry((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
    row = ConvGeometry((1, 3), (1, 1), (1, 1), (0, 1), (0, 1))
    point = pointwise_geometry(2, 1)
    assert common_geometry([point, row, square]) == square
    assert common_geometry([point, pointwise_geometry(2, 8)]) == point
    wide = ConvGeometry((3, 3), (1, 1), (4, 6), (4, 6), (4, 6))
    spread = ConvGeometry((3, 3), (1, 1), (2, 4), (2, 4), (2, 4))
    # Steps of gcd(4, 2) and gcd(6, 4), from −4 to 4 and from −6 to 6.
    both = ConvGeometry((5, 7), (1, 1), (2, 2), (4, 6), (4, 6))
    assert common_geometry([wide, spread, point]) == both


def test_pads_that_differ_make_the_grid_finer() -> None:
    coarse = ConvGeometry((3,), (1,), (4,), (4,), (4,))
    shifted = ConvGeometry((3,), (1,), (4,), (3,), (5,))
    assert common_geometry([coarse, shifted]).dilations == (1,)
    assert common_geometry([coarse, coarse]).dilations == (4,)


def test_identity_scale_and_average() -> None:
    x = RNG.standard_normal((2, 4, 6, 5))
    scale, shift = RNG.standard_normal(4), RNG.standard_normal(4)
    column = (4, 1, 1)
    assert close(run(scale_branch(np.ones(4), None, 2), x), x)
    expected = x * scale.reshape(column) + shift.reshape(column)
    assert close(run(scale_branch(scale, shift, 2), x), expected)
    assert scale_branch(scale, np.zeros(4), 2).bias is None
    window = ConvGeometry((2, 3), (1, 2), (1, 1), (1, 0), (0, 1))
    padded = np.pad(x, [(0, 0), (0, 0), (1, 0), (0, 1)])
    naive = np.empty((2, 4, *window.output_size((6, 5))))
    for i, j in np.ndindex(*naive.shape[2:]):
        naive[:, :, i, j] = padded[:, :, i : i + 2, 2 * j : 2 * j + 3].mean(axis=(2, 3))
    assert close(run(average_branch(4, window), x), naive)


def test_a_sequence_is_one_branch() -> None:
    first = filled(ConvGeometry((1, 1), (1, 1), (1, 1), (1, 1), (1, 1)), 3, 6, RNG)
    second = filled(ConvGeometry((3, 3), (1, 1), (1, 1), (0, 0), (0, 0), 2), 6, 4, RNG)
    first, second = (replace(b, bias=RNG.standard_normal(b.outputs)) for b in (first, second))
    x = RNG.standard_normal((1, 3, 6, 5))
    both = after(first, second)
    assert both.geometry.pads == (1, 1, 1, 1)
    assert close(run(both, x), run(second, run(first, x)))
    bare = replace(first, bias=None)
    assert close(run(after(bare, second), x), run(second, run(bare, x)))


@pytest.mark.parametrize("biased", [True, False])
def test_concatenations(biased: bool) -> None:
    geometry = ConvGeometry((3, 1), (2, 1), (1, 1), (1, 0), (0, 0))
    x = RNG.standard_normal((2, 6, 7, 5))
    parts = [
        Branch(kernel_for(geometry, 3, k, RNG), RNG.standard_normal(k) * biased, geometry)
        for k in (2, 4)
    ]
    if not biased:
        parts = [replace(part, bias=None) for part in parts]
    parts[0] = replace(parts[0], bias=None)
    whole = concat_outputs(parts)
    joined = np.concatenate([run(part, x[:, :3]) for part in parts], axis=1)
    assert close(run(whole, x[:, :3]), joined)
    assert (whole.bias is None) != biased

    equal = [parts[1], replace(parts[1], kernel=-2 * parts[1].kernel)]
    whole = concat_inputs(equal)
    assert close(run(whole, x), run(equal[0], x[:, :3]) + run(equal[1], x[:, 3:]))
    whole = concat_outputs(equal, parts=2)
    assert whole.geometry.group == 2
    joined = np.concatenate([run(equal[0], x[:, :3]), run(equal[1], x[:, 3:])], axis=1)
    assert close(run(whole, x), joined)


def test_what_cannot_be_added_is_refused() -> None:
    one = filled(ConvGeometry((1,), (1,), (1,), (0,), (0,)), 2, 2, RNG)
    strided = filled(ConvGeometry((1,), (2,), (1,), (0,), (0,)), 2, 2, RNG)
    wider = filled(ConvGeometry((1,), (1,), (1,), (0,), (0,)), 2, 3, RNG)
    with pytest.raises(ValueError, match="one stride"):
        sum_branches([one, strided])
    with pytest.raises(ValueError, match="the same channels"):
        sum_branches([one, wider])
