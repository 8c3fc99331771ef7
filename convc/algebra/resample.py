"""Resizing by whole factors as convolution: its phases, and a conv behind it phase by phase.

An axis of size H resized by the factor s has s·H samples; sample ``s·q + r`` is phase r at q. Where
the coordinates are periodic, phase r lies at ``q + c_r`` of the input axis, c_r the same for all q:

    u[s·q + r] = Σ_t taps[r, t] · x[clamp(q + t − before, 0, H − 1)]

The clamp is what every interpolation of ONNX does at the border: `nearest` and `cubic` clamp the
index they read. `linear` clamps the coordinate instead, which is the same: a coordinate beyond the
first or last sample lies, clamped, on that sample, and between it and its copy otherwise. So u is
a convolution of x padded with copies of its edge, by ``before`` and by ``after`` samples.

With one tap for each phase (``before = after = 0``) u repeats each sample s times. Then
``u[j] = x[⌊j / s⌋]`` for j beyond the image too, if both are zero there: the zero padding of a conv
on u is zero padding of x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.errors import DoesNotCompose

HALF = Fraction(1, 2)

PERIODIC = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "asymmetric",
    "tf_half_pixel_for_nn",
)
"""Coordinate modes in which a whole factor gives phases. half_pixel_symmetric and
pytorch_half_pixel differ from half_pixel only where the size times the scale is no whole number,
and where one sample comes out, respectively."""


@dataclass(frozen=True)
class Phases:
    """One axis resized by a whole factor.

    Attributes:
        taps: (factor, width), the weights of the samples that each phase reads.
        before: samples of edge padding in front of the axis; tap t of phase r at q reads sample
            ``q + t − before``.
    """

    taps: Array
    before: int = 0

    @property
    def factor(self) -> int:
        """How many samples come out for one that goes in."""
        return int(self.taps.shape[0])

    @property
    def after(self) -> int:
        """Samples of edge padding behind the axis."""
        return int(self.taps.shape[1]) - 1 - self.before

    @property
    def is_repetition(self) -> bool:
        """True where each sample is repeated, and nothing of the edge is."""
        return bool(self.taps.shape[1] == 1)


IDENTITY = Phases(np.ones((1, 1)))
"""An axis that keeps its size."""


def phase_places(factor: int, coordinates: str) -> list[Fraction]:
    """c_r for each phase r: where it lies relative to its input sample.

    Raises:
        DoesNotCompose: the coordinates are not periodic.
    """
    if coordinates not in PERIODIC:
        raise DoesNotCompose(f"the coordinates of {coordinates} are not periodic")
    shift = 0 if coordinates == "asymmetric" else HALF
    origin = 0 if coordinates in ("asymmetric", "tf_half_pixel_for_nn") else HALF
    return [(r + shift) / Fraction(factor) - origin for r in range(factor)]


def nearest_phases(factor: int, coordinates: str, rounding: str) -> Phases:
    """Phases of a nearest resize; ``rounding`` is ONNX's nearest_mode.

    Rounding commutes with the whole number q, so the shift of a phase is its rounded place. A
    plain repetition are: half_pixel and its kin with either round_prefer mode (a place is never
    half way), asymmetric with floor (for factor 2 with round_prefer_floor too), and
    tf_half_pixel_for_nn with floor. All others read one sample beyond an edge.

    Raises:
        DoesNotCompose: the coordinates are not periodic.
    """
    places = phase_places(factor, coordinates)
    return _phases([{_rounded(place, rounding): 1.0} for place in places])


def linear_phases(factor: int, coordinates: str) -> Phases:
    """Phases of a linear resize: two taps each, one where a sample is met.

    Raises:
        DoesNotCompose: the coordinates are not periodic.
    """
    return _phases([_weights(place, _hat, 1) for place in phase_places(factor, coordinates)])


def cubic_phases(factor: int, coordinates: str, a: float = -0.75) -> Phases:
    """Phases of a cubic resize with cubic_coeff_a ``a``: four taps each, one where a sample is met.

    The weights are Keys' cubic convolution kernel (IEEE ASSP 29, 1981, equation 4).

    Raises:
        DoesNotCompose: the coordinates are not periodic.
    """

    def keys(distance: float) -> float:
        if distance <= 1:
            return (a + 2) * distance**3 - (a + 3) * distance**2 + 1
        return a * (distance**3 - 5 * distance**2 + 8 * distance - 4)

    return _phases([_weights(place, keys, 2) for place in phase_places(factor, coordinates)])


def _rounded(place: Fraction, rounding: str) -> int:
    match rounding:
        case "floor":
            return math.floor(place)
        case "ceil":
            return math.ceil(place)
        case "round_prefer_floor":
            return math.ceil(place - HALF)
        case "round_prefer_ceil":
            return math.floor(place + HALF)
    raise ValueError(f"no way of rounding: {rounding}")


def _hat(distance: float) -> float:
    return 1 - distance


def _weights(place: Fraction, kernel: Callable[[float], float], reach: int) -> dict[int, float]:
    """The weights of the samples less than ``reach`` away from ``place``."""
    first = math.floor(place) - reach + 1
    near = [i for i in range(first, first + 2 * reach) if abs(i - place) < reach]
    if place.denominator == 1:  # every kernel is 1 here and 0 at the other samples
        near = [int(place)]
    return {i: kernel(float(abs(i - place))) for i in near}


def _phases(weights: Sequence[Mapping[int, float]]) -> Phases:
    """Phases from the weights of each, by sample relative to q."""
    first = min(0, *(i for phase in weights for i in phase))
    last = max(0, *(i for phase in weights for i in phase))
    taps = np.zeros((len(weights), last - first + 1))
    for row, phase in zip(taps, weights, strict=True):
        for i, weight in phase.items():
            row[i - first] = weight
    return Phases(taps, -first)


# -- a conv behind the resize -------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What one phase of the conv's output reads on one axis.

    Attributes:
        mix: (taps, k): each tap of the phase as a sum of taps of the conv.
        start: the sample that the first tap reads for the phase's first output, counted from the
            begin of the edge-padded axis.
        dilation: distance of two taps.
    """

    mix: Array
    start: int
    dilation: int = 1


@dataclass(frozen=True)
class PhasedAxis:
    """A resize and a conv on one axis, as convs whose outputs are interleaved.

    Output ``n·q + i`` is output q of the i-th of n convs.

    Attributes:
        readings: of each of the n convs, its taps from ``start = −pads_begin`` on.
        pads: zeros at begin and end of the edge-padded axis, for each of them. Never negative.
        stride: of all of them.
        crop: outputs at the end, once interleaved, that are too many.
    """

    readings: tuple[Reading, ...]
    pads: tuple[tuple[int, int], ...]
    stride: int
    crop: int

    @property
    def count(self) -> int:
        """Number of convs."""
        return len(self.readings)

    @property
    def taps(self) -> int:
        """Taps of all convs together."""
        return sum(reading.mix.shape[0] for reading in self.readings)


def phased_axis(
    phases: Phases,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    pads: tuple[int, int] = (0, 0),
    size: int | None = None,
    aligned: bool = False,
) -> PhasedAxis:
    """One axis of a resize by s and a conv of stride σ, dilation d and pads p, p' behind it.

    Output o reads ``u[σ·o + d·t − p]``. With ``n = s / gcd(s, σ)`` the outputs ``o = n·q + i`` of
    one i read ``u[s·(M·q + c_t) + r_t]``, where ``M = σ·n/s`` and ``σ·i + d·t − p = s·c_t + r_t``:
    a conv of stride M on x, whose taps are the conv's taps that fall on the same sample, added.

    Args:
        phases: of the resize.
        kernel: number of taps k of the conv.
        stride: σ.
        dilation: d.
        pads: p and p', zeros around the resized axis.
        size: H, None where it is dynamic. Nothing depends on it where σ divides s.
        aligned: give all convs the same taps and pads, filled up with zeros.

    Raises:
        DoesNotCompose: the conv pads what is no plain repetition, an unknown size is needed, or
            nothing comes out.
    """
    s = phases.factor
    if pads != (0, 0) and not phases.is_repetition:
        raise DoesNotCompose("the conv pads with zeros what the resize continues")
    if size is None and s % stride:
        raise DoesNotCompose("the size is not known")
    count = s // math.gcd(s, stride)
    step = stride * count // s
    # Where the size is not known nothing depends on it: any that is large enough will do.
    known = size if size is not None else kernel * dilation + sum(map(abs, pads))
    outputs = (s * known + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1
    if outputs < 1:
        raise DoesNotCompose("the conv has no output at its size")
    each = -(-outputs // count)
    readings = [_reading(phases, stride * i - pads[0], kernel, dilation) for i in range(count)]
    if aligned:
        readings = _aligned(readings)
    padded = known + phases.before + phases.after
    fitted = [_fitted(reading, step, padded, each) for reading in readings]
    return PhasedAxis(
        readings=tuple(reading for reading, _ in fitted),
        pads=tuple(pair for _, pair in fitted),
        stride=step,
        crop=count * each - outputs,
    )


def mixed(w: AnyArray, mixes: Sequence[Array]) -> Array:
    """The kernel of one phase.

    Args:
        w: (K, C/group, *k), of the conv.
        mixes: per axis the `Reading.mix` of the phase, (taps, k).

    Returns:
        (K, C/group, *taps), float64.
    """
    kernel = as_float64(w)
    for axis, mix in enumerate(mixes, start=2):
        kernel = np.moveaxis(np.tensordot(mix, kernel, axes=(1, axis)), 0, axis)
    return kernel


def _reading(phases: Phases, first: int, kernel: int, dilation: int) -> Reading:
    """The taps of an output whose first tap lies at sample ``first`` of the resized axis."""
    rows: dict[int, Array] = {}
    for t in range(kernel):
        sample, phase = divmod(first + dilation * t, phases.factor)
        for place in np.flatnonzero(phases.taps[phase]):
            row = rows.setdefault(sample + int(place), np.zeros(kernel))
            row[t] = phases.taps[phase, place]
    return _on_grid(rows, min(rows), _distance(rows), kernel)


def _distance(places: Iterable[int]) -> int:
    """Distance of the coarsest grid that holds all places."""
    ordered = sorted(places)
    return math.gcd(*(place - ordered[0] for place in ordered)) or 1


def _on_grid(rows: Mapping[int, Array], start: int, distance: int, kernel: int) -> Reading:
    mix = np.zeros(((max(rows) - start) // distance + 1, kernel))
    for place, row in rows.items():
        mix[(place - start) // distance] = row
    return Reading(mix, start, distance)


def _aligned(readings: Sequence[Reading]) -> list[Reading]:
    """The same with one grid of taps for all, zeros where a phase has none."""
    places = [
        {reading.start + reading.dilation * t: row for t, row in enumerate(reading.mix)}
        for reading in readings
    ]
    everywhere = sorted({place for rows in places for place in rows})
    kernel = readings[0].mix.shape[1]
    none = {place: np.zeros(kernel) for place in everywhere}
    distance = _distance(everywhere)
    return [_on_grid({**none, **rows}, everywhere[0], distance, kernel) for rows in places]


def _fitted(
    reading: Reading, stride: int, size: int, outputs: int
) -> tuple[Reading, tuple[int, int]]:
    """The reading with pads that give ``outputs`` outputs; taps of zero where one is negative."""
    front = max(0, -(-reading.start // reading.dilation))
    start = reading.start - front * reading.dilation
    taps = front + reading.mix.shape[0]
    end = stride * (outputs - 1) + start + reading.dilation * (taps - 1) - (size - 1)
    # Up to a stride less one, what is beyond the last output is not enough for one more.
    behind = max(0, -((end + stride - 1) // reading.dilation))
    mix = np.pad(reading.mix, ((front, behind), (0, 0)))
    pads = (-start, max(0, end + behind * reading.dilation))
    return replace(reading, mix=mix, start=start), pads
