"""Axes of values on common grids: how far apart positions are, how far borders reach.

An axis that a kernel slides along is a `Track`: its grid, the step between neighbouring positions
in units of the grid, and the reach, the distance from either end of the grid within which a
position may see a border. Axes that must be equally long lie on one grid; grids are joined as in a
union-find, each with its unit in that of the grid it was joined to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import gcd, lcm
from typing import TypeAlias

from convc.ir import Value

LEAST = 8
"""Positions that an axis keeps at least: a few samples of everything that is not linear."""


class Grid:
    """A grid of positions, and all axes that lie on it.

    Attributes:
        fixed: something on it depends on its size in a way that is not followed.
        tracks: each axis on it: the value, the axis's number, its track.
    """

    __slots__ = ("_parent", "_unit", "fixed", "tracks")

    def __init__(self) -> None:
        self._parent: Grid | None = None
        self._unit = Fraction(1)
        self.fixed = False
        self.tracks: list[tuple[Value, int, Track]] = []

    def root(self) -> tuple[Grid, Fraction]:
        """The grid that it was joined to in the end, and its own unit in units of that."""
        grid, unit = self, Fraction(1)
        while grid._parent is not None:
            grid, unit = grid._parent, unit * grid._unit
        return grid, unit

    def join(self, other: Grid, unit: Fraction) -> None:
        """Joins ``other``, a root, whose unit is worth ``unit`` of this root's."""
        other._parent, other._unit = self, unit
        self.fixed |= other.fixed
        self.tracks += other.tracks
        other.tracks = []


@dataclass(frozen=True, slots=True)
class Track:
    """One axis on its grid.

    Attributes:
        grid: on which it lies.
        step: between neighbouring positions, in the grid's units.
        reach: in the grid's units; see the module's docstring.
    """

    grid: Grid
    step: Fraction = Fraction(1)
    reach: Fraction = Fraction(0)

    def settled(self) -> Track:
        """The same in units of the grid's root."""
        grid, unit = self.grid.root()
        return Track(grid, self.step * unit, self.reach * unit)

    def farther(self, positions: int) -> Track:
        """The reach longer by so many of its own positions."""
        return replace(self, reach=self.reach + positions * self.step)

    def coarser(self, factor: Fraction | int) -> Track:
        """Steps that many times as long."""
        return replace(self, step=self.step * factor)


@dataclass(frozen=True, slots=True)
class Still:
    """An axis that keeps its size; ``one``: of size 1, which broadcasts."""

    one: bool = False


Axis: TypeAlias = Track | Still
FIXED, ONE = Still(), Still(one=True)


def fix(*axes: Axis) -> None:
    """Keeps the axes, and all that lie on their grids, as long as they are."""
    for axis in axes:
        if isinstance(axis, Track):
            axis.grid.root()[0].fixed = True


def unify(axes: Iterable[Axis]) -> Axis:
    """The axis of a result along which all ``axes`` run side by side; one of size 1 is repeated."""
    result: Axis = ONE
    for axis in axes:
        result = _pair(result, axis)
    return result


def _pair(a: Axis, b: Axis) -> Axis:
    if ONE in (a, b):
        return b if a == ONE else a
    if isinstance(a, Still) or isinstance(b, Still):
        fix(a, b)
        return FIXED
    a, b = a.settled(), b.settled()
    if a.grid is not b.grid:
        a.grid.join(b.grid, a.step / b.step)
        b = b.settled()
    elif a.step != b.step:
        # Equally long here, by chance: at another size it would not fit.
        fix(a)
        return FIXED
    return replace(a, reach=max(a.reach, b.reach))


@dataclass
class Plan:
    """All axes of the values seen, and the sizes to which they may shrink."""

    grids: list[Grid] = field(default_factory=list)

    def new(self) -> Track:
        """An axis on a grid of its own."""
        self.grids.append(Grid())
        return Track(self.grids[-1])

    @staticmethod
    def note(value: Value, axes: Sequence[Axis]) -> None:
        """Takes in where the axes of a value lie."""
        for number, axis in enumerate(axes):
            if isinstance(axis, Track):
                axis.grid.root()[0].tracks.append((value, number, axis))

    def sizes(self) -> dict[tuple[Value, int], int]:
        """New sizes by value and axis, of all that becomes smaller."""
        found: dict[tuple[Value, int], int] = {}
        for grid in self.grids:
            if grid.root()[0] is grid and not grid.fixed:
                found.update(_shrunk(grid))
        return found


def _shrunk(grid: Grid) -> Iterable[tuple[tuple[Value, int], int]]:
    """Less by a multiple of the period, so that twice the reach and a period are left.

    The period is the least length that is a whole number of steps of every axis.
    """
    tracks = [(value, number, track.settled()) for value, number, track in grid.tracks]
    if not tracks:
        return
    period = _multiple([track.step for _, _, track in tracks])
    reach = max(track.reach for _, _, track in tracks)
    spare: list[Fraction] = []
    for value, number, track in tracks:
        size = None if value.shape is None else value.shape[number]
        if isinstance(size, int):
            kept = max(2 * reach + period, LEAST * track.step)
            spare.append(size * track.step - kept)
    less = min(spare, default=Fraction(0)) // period * period
    if less <= 0:
        return
    for value, number, track in tracks:
        size = None if value.shape is None else value.shape[number]
        if isinstance(size, int):
            yield (value, number), size - int(less / track.step)


def _multiple(steps: Sequence[Fraction]) -> Fraction:
    """The least common multiple of fractions."""
    return Fraction(
        lcm(*(step.numerator for step in steps)), gcd(*(step.denominator for step in steps))
    )
