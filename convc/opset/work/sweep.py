"""One axis of a sliding window: which of its positions lie inside, counted without visiting them.

Window o has its tap t at position ``stride·o + dilation·t − begin``. A Conv or a pool reads its
input there (o runs over the outputs); a ConvTranspose writes its uncropped output there (o runs
over the inputs). On a box of axes the counts multiply, for a tap is inside when it is on each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sweep:
    """Windows along one axis.

    Attributes:
        windows: how many there are.
        taps: taps of each.
        stride: positions from one window to the next.
        dilation: positions from one tap to the next.
        begin: positions before the first that is inside.
        size: positions that are inside: 0 to size − 1.
    """

    windows: int
    taps: int
    stride: int
    dilation: int
    begin: int
    size: int

    @property
    def hits(self) -> int:
        """Pairs of a window and a tap that lies inside."""
        return sum(len(self._span(tap)) for tap in range(self.taps))

    @property
    def hit_windows(self) -> int:
        """Windows with at least one tap inside."""
        return _union(self._span(tap) for tap in range(self.taps))

    @property
    def hit_positions(self) -> int:
        """Positions inside on which at least one tap of some window lies."""
        # Positions of one residue modulo the stride are those of consecutive windows.
        classes: defaultdict[int, list[range]] = defaultdict(list)
        for tap in range(self.taps):
            shift, residue = divmod(self.dilation * tap - self.begin, self.stride)
            span = self._span(tap)
            classes[residue].append(range(span.start + shift, span.stop + shift))
        return sum(_union(spans) for spans in classes.values())

    @property
    def uncropped(self) -> Sweep:
        """The same windows where all positions that a tap can lie on are inside."""
        extent = self.dilation * (self.taps - 1) + 1
        size = self.stride * (self.windows - 1) + extent if self.windows > 0 else 0
        return Sweep(self.windows, self.taps, self.stride, self.dilation, 0, size)

    def _span(self, tap: int) -> range:
        """The windows whose ``tap`` lies inside."""
        offset = self.dilation * tap - self.begin
        first = max(0, -(offset // self.stride))
        stop = min(self.windows, (self.size - 1 - offset) // self.stride + 1)
        return range(first, max(first, stop))


def _union(spans: Iterable[range]) -> int:
    """How many integers lie in at least one of the spans."""
    total, end = 0, None
    for span in sorted((s for s in spans if s), key=lambda s: s.start):
        start = span.start if end is None else max(span.start, end)
        total += max(0, span.stop - start)
        end = max(start, span.stop)
    return total
