"""Phases of resizes against the coordinates of ONNX sample by sample, and convs behind them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import ConvGeometry, DoesNotCompose
from convc.algebra.resample import (
    IDENTITY,
    PERIODIC,
    PhasedAxis,
    Phases,
    cubic_phases,
    linear_phases,
    mixed,
    nearest_phases,
    phase_places,
    phased_axis,
)

from .naive import Array, close, conv

MODES = ("nearest", "linear", "cubic")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
RNG = np.random.default_rng(0)


# -- by the definitions, one sample at a time ----------------------------------------------------


def place(j: int, factor: int, size: int, coordinates: str) -> float:
    """The specification's formulas: exact in float64 where a place is whole or half way."""
    if coordinates == "asymmetric":
        return j / factor
    if coordinates == "tf_half_pixel_for_nn":
        return (j + 0.5) / factor
    if coordinates == "half_pixel_symmetric":
        adjustment = factor * size / (factor * size)
        center = size / 2
        return center * (1 - adjustment) + (j + 0.5) / factor - 0.5
    if coordinates == "pytorch_half_pixel" and factor * size == 1:
        return 0.0
    return (j + 0.5) / factor - 0.5


def sample(x: Array, where: float, mode: str, rounding: str, a: float) -> float:
    last = len(x) - 1
    if mode == "nearest":
        base = np.floor(where)
        rest = where - base
        up = {
            "floor": False,
            "ceil": rest > 0,
            "round_prefer_floor": rest > 0.5,
            "round_prefer_ceil": rest >= 0.5,
        }[rounding]
        return float(x[int(np.clip(base + up, 0, last))])
    if mode == "linear":
        where = min(max(where, 0.0), float(last))
        low = int(where)
        high = min(low + 1, last)
        return float(x[low] * (1 - (where - low)) + x[high] * (where - low))
    base = int(np.floor(where))
    total = 0.0
    for i in range(base - 1, base + 3):
        d = abs(where - i)
        if d <= 1:
            weight = ((a + 2) * d - (a + 3)) * d * d + 1
        else:
            weight = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        total += weight * float(x[min(max(i, 0), last)])
    return total


def resized(x: Array, factor: int, coordinates: str, *how: Any) -> Array:
    size = len(x)
    places = [place(j, factor, size, coordinates) for j in range(factor * size)]
    return np.array([sample(x, where, *how) for where in places])


def phases_of(mode: str, factor: int, coordinates: str, rounding: str, a: float = -0.75) -> Phases:
    if mode == "nearest":
        return nearest_phases(factor, coordinates, rounding)
    if mode == "linear":
        return linear_phases(factor, coordinates)
    return cubic_phases(factor, coordinates, a)


def edge_padded(x: Array, phases: Phases) -> Array:
    return np.pad(x, (phases.before, phases.after), mode="edge")


def applied(x: Array, phases: Phases) -> Array:
    """The phases as the module's formula has them, on (size,)."""
    padded = edge_padded(x, phases)
    width = phases.taps.shape[1]
    rows = [phases.taps @ padded[q : q + width] for q in range(len(x))]
    return np.concatenate(rows)


@pytest.mark.parametrize("coordinates", PERIODIC)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", range(2, 9))
def test_phases_are_the_resize(factor: int, mode: str, coordinates: str) -> None:
    for rounding in ROUNDINGS if mode == "nearest" else ROUNDINGS[:1]:
        for a in (-0.75, -0.5, 0.3) if mode == "cubic" else (-0.75,):
            phases = phases_of(mode, factor, coordinates, rounding, a)
            assert phases.factor == factor
            assert phases.before >= 0 <= phases.after
            for size in (1, 2, 3, 7):
                x = RNG.standard_normal(size)
                assert close(
                    applied(x, phases), resized(x, factor, coordinates, mode, rounding, a)
                ), (rounding, a, size)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("coordinates", PERIODIC)
@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_no_tap_is_for_nothing(factor: int, coordinates: str, mode: str) -> None:
    """The first and the last column are needed, and a resize keeps a constant."""
    for rounding in ROUNDINGS:
        phases = phases_of(mode, factor, coordinates, rounding)
        assert np.allclose(phases.taps.sum(axis=1), 1.0, rtol=0, atol=1e-14)
        for column, padding in ((0, phases.before), (-1, phases.after)):
            assert padding == 0 or phases.taps[:, column].any()


@pytest.mark.parametrize("factor", range(2, 10))
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("coordinates", PERIODIC)
def test_which_nearest_resizes_repeat(coordinates: str, rounding: str, factor: int) -> None:
    expected = {
        ("asymmetric", "floor"): True,
        ("asymmetric", "round_prefer_floor"): factor == 2,
        ("tf_half_pixel_for_nn", "floor"): True,
        ("half_pixel", "round_prefer_floor"): True,
        ("half_pixel", "round_prefer_ceil"): True,
    }
    same = coordinates.replace("_symmetric", "").replace("pytorch_", "")
    phases = nearest_phases(factor, coordinates, rounding)
    assert phases.is_repetition == expected.get((same, rounding), False)
    if phases.is_repetition:
        assert (applied(np.arange(5.0), phases) == np.repeat(np.arange(5.0), factor)).all()


def test_known_taps() -> None:
    linear = linear_phases(2, "half_pixel")
    assert linear.taps.tolist() == [[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]]
    assert (linear.before, linear.after) == (1, 1)
    assert linear_phases(3, "half_pixel").taps[1].tolist() == [0.0, 1.0, 0.0]
    assert linear_phases(2, "asymmetric").taps.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    cubic = cubic_phases(2, "asymmetric", -0.75)
    assert cubic.taps.tolist() == [[0, 1, 0, 0], [-0.09375, 0.59375, 0.59375, -0.09375]]
    assert (cubic.before, cubic.after) == (1, 2)
    assert (IDENTITY.factor, IDENTITY.before, IDENTITY.after) == (1, 0, 0)


@pytest.mark.parametrize("coordinates", ["align_corners", "tf_crop_and_resize"])
def test_other_coordinates_are_not_periodic(coordinates: str) -> None:
    reason = f"the coordinates of {coordinates} are not periodic"
    with pytest.raises(DoesNotCompose, match=reason):
        phase_places(2, coordinates)
    with pytest.raises(DoesNotCompose, match=reason):
        nearest_phases(2, coordinates, "floor")


def test_an_unknown_rounding() -> None:
    with pytest.raises(ValueError, match="no way of rounding: upwards"):
        nearest_phases(2, "asymmetric", "upwards")


# -- a conv behind a resize ----------------------------------------------------------------------


def of_conv(k: int, stride: int, dilation: int, pads: tuple[int, int]) -> ConvGeometry:
    return ConvGeometry((k,), (stride,), (dilation,), (pads[0],), (pads[1],))


def by_phases(x: Array, w: Array, phases: Phases, plan: PhasedAxis) -> Array:
    """The convs of a plan on (size,), interleaved and cropped."""
    padded = edge_padded(x, phases)[np.newaxis, np.newaxis]
    parts = []
    for reading, pads in zip(plan.readings, plan.pads, strict=True):
        assert min(pads) >= 0
        assert reading.start == -pads[0]
        kernel = mixed(w.reshape(1, 1, -1), [reading.mix])
        geometry = of_conv(kernel.shape[2], plan.stride, reading.dilation, pads)
        parts.append(conv(padded, kernel, None, geometry)[0, 0])
    assert len({len(part) for part in parts}) == 1
    whole = np.stack(parts, axis=1).reshape(-1)
    return whole[: len(whole) - plan.crop]


def test_phases_of_a_conv_over_all_attributes() -> None:
    found: Counter[str] = Counter()

    kinds = st.tuples(*map(st.sampled_from, (MODES, PERIODIC, ROUNDINGS)))
    convs = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4))
    paddings = st.tuples(st.integers(0, 7), st.integers(0, 7))
    sizes = st.tuples(st.integers(1, 6), st.integers(1, 9))

    @settings(max_examples=1500)
    @given(kinds, convs, paddings, sizes, st.tuples(st.booleans(), st.booleans()))
    def check(
        kind: tuple[str, str, str],
        window: tuple[int, int, int],
        pads: tuple[int, int],
        sizes: tuple[int, int],
        ways: tuple[bool, bool],
    ) -> None:
        (mode, coordinates, rounding), (k, stride, dilation) = kind, window
        (factor, size), (aligned, known) = sizes, ways
        phases = IDENTITY
        if factor > 1:
            phases = phases_of(mode, factor, coordinates, rounding)
        if not phases.is_repetition:
            pads = (0, 0)
        geometry = of_conv(k, stride, dilation, pads)
        x, w = RNG.standard_normal(size), RNG.standard_normal(k)
        if geometry.axis_output(0, factor * size) < 1:
            return
        given_size = size if known or factor % stride else None
        plan = phased_axis(
            phases,
            k,
            stride=stride,
            dilation=dilation,
            pads=pads,
            size=given_size,
            aligned=aligned,
        )
        u = applied(x, phases)[np.newaxis, np.newaxis]
        expected = conv(u, w.reshape(1, 1, -1), None, geometry)[0, 0]
        assert close(by_phases(x, w, phases, plan), expected)
        assert plan.count == factor // np.gcd(factor, stride)
        if aligned:
            assert len({(r.start, r.dilation, r.mix.shape) for r in plan.readings}) == 1
            assert len(set(plan.pads)) == 1
        found["repetition" if phases.is_repetition else "other"] += 1
        found["open"] += given_size is None
        found["cropped"] += bool(plan.crop)
        found["strided phases"] += plan.stride > 1 < plan.count
        found["dilated"] += any(r.dilation > 1 for r in plan.readings)

    check()
    assert found["repetition"] >= 300, found
    assert found["other"] >= 300, found
    assert min(found["open"], found["cropped"], found["strided phases"]) >= 50, found
    assert found["dilated"] >= 50, found


def test_four_phases_of_a_3x3_have_two_by_two_taps() -> None:
    plan = phased_axis(nearest_phases(2, "asymmetric", "floor"), 3, pads=(1, 1))
    assert [reading.mix.tolist() for reading in plan.readings] == [
        [[1, 0, 0], [0, 1, 1]],
        [[1, 1, 0], [0, 0, 1]],
    ]
    assert plan.pads == ((1, 0), (0, 1))
    assert (plan.stride, plan.crop, plan.count, plan.taps) == (1, 0, 2, 4)


def test_a_stride_that_is_the_factor_leaves_one_conv() -> None:
    plan = phased_axis(nearest_phases(2, "asymmetric", "floor"), 3, stride=2, pads=(1, 1))
    assert [reading.mix.tolist() for reading in plan.readings] == [[[1, 0, 0], [0, 1, 1]]]
    assert (plan.count, plan.stride, plan.crop) == (1, 1, 0)


def test_a_dilation_of_an_axis_that_keeps_its_size_stays() -> None:
    plan = phased_axis(IDENTITY, 3, dilation=4, pads=(4, 4))
    assert [(r.dilation, r.mix.tolist()) for r in plan.readings] == [(4, np.eye(3).tolist())]


def test_padding_of_what_is_continued_is_declined() -> None:
    with pytest.raises(DoesNotCompose, match="the conv pads with zeros what the resize continues"):
        phased_axis(linear_phases(2, "half_pixel"), 3, pads=(0, 1), size=5)


def test_a_stride_beside_the_factor_needs_the_size() -> None:
    phases = nearest_phases(2, "asymmetric", "floor")
    with pytest.raises(DoesNotCompose, match="the size is not known"):
        phased_axis(phases, 3, stride=3)
    assert phased_axis(phases, 3, stride=3, size=5).stride == 3


def test_no_output() -> None:
    phases = nearest_phases(2, "asymmetric", "floor")
    with pytest.raises(DoesNotCompose, match="the conv has no output at its size"):
        phased_axis(phases, 5, size=2)
    assert phased_axis(phases, 4, size=2).count == 2


def test_mixed_is_the_product_over_the_axes() -> None:
    w, mixes = RNG.standard_normal((4, 2, 3, 2)), [RNG.standard_normal((5, 3)), np.eye(2)[::-1]]
    expected = np.einsum("ai,bj,kcij->kcab", *mixes, w)
    assert close(mixed(w, mixes), expected)
