"""Why proposals were not made or not taken, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from convc.ir import Op


class Declined(Counter[str]):
    """Reasons, counted.

    Attributes:
        places: for each reason the ops that it was found at, each with the pass that was asked; of
            places that look alike maybe the first alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, list[tuple[Op, str]]] = {}

    def at(self, reason: str, ops: Sequence[Op], count: int, origin: str) -> None:
        """Counts a reason, and keeps where it holds and which pass gave it."""
        self[reason] += count
        self.places.setdefault(reason, []).extend((op, origin) for op in ops)
