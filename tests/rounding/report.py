"""Counts and ratios over many layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import comb
from statistics import median
from typing import Any

from convc.algebra.winograd_error import CONFIDENCE
from tests.rounding.checking import Seen
from tests.rounding.drawing import MODEL

FAR = 100.0
"""How far a probable bound may be from the worst seen on layers of one kind and common size."""
CHANCE = 1e-3
"""With which probability more exceedances than the limit would be seen, were each as likely as
the confidence says."""
BASES = {"any_order": "any order", "runs": "runs"}
"""How sums are taken to be made."""
LENGTHS = (1, 4, 16, 64, 256, 1024, 4096)


def limit(trials: int, probability: float = 1 - CONFIDENCE, chance: float = CHANCE) -> int:
    """The number of events that more than are seen with at most this chance."""
    total = 0.0
    for count in range(trials + 1):
        total += comb(trials, count) * probability**count * (1 - probability) ** (trials - count)
        if 1 - total <= chance:
            return count
    return trials


@dataclass
class Report:
    """What was seen, by kind, by size, and by the length of the sums."""

    seen: list[tuple[int, Seen]] = field(default_factory=list)

    def add(self, number: int, found: Sequence[Seen]) -> None:
        """Takes in one layer."""
        self.seen += [(number, one) for one in found]

    def model(self) -> list[tuple[int, Seen]]:
        """The runs on data that the probable bound speaks of."""
        return [(number, one) for number, one in self.seen if one.data in MODEL]

    def trials(self) -> int:
        """Layers that the probable bound was tried on."""
        return len({number for number, _ in self.model()})

    def exceeding(self, basis: str) -> set[int]:
        """Layers whose probable bound was exceeded."""
        return {n for n, one in self.model() if getattr(one, basis).exceeded(one.error)}

    def broken(self, basis: str) -> list[tuple[int, Seen]]:
        """Where the worst-case bound does not hold."""
        return [(n, one) for n, one in self.seen if not getattr(one, basis).holds(one.error)]

    def line(self) -> str:
        """The counts in one line."""
        worst = [f"{len(self.broken(basis))} ({name})" for basis, name in BASES.items()]
        likely = [f"{len(self.exceeding(basis))} ({name})" for basis, name in BASES.items()]
        return (
            f"{len(self.seen)} runs; worst-case bound exceeded in {', '.join(worst)}; "
            f"probable bound exceeded on {', '.join(likely)} of {self.trials()} layers "
            f"(limit {limit(self.trials())})"
        )

    def problems(self) -> list[str]:
        """What must not be."""
        found: list[str] = []
        for basis, name in BASES.items():
            found += [
                f"layer {number}: worst-case bound ({name}) exceeded: {one}"
                for number, one in self.broken(basis)
            ]
            over = sorted(self.exceeding(basis))
            if len(over) > limit(self.trials()):
                found.append(f"probable bound ({name}) exceeded on layers {over[:10]} ...")
        for name, group in self.common().items():
            least = min(ratios(group, "runs", "probable"))
            if least > FAR:
                found.append(f"{name}: the probable bound is {least:.0f} times the worst seen")
        return found

    def common(self) -> dict[str, list[Seen]]:
        """Runs of layers of common size, by kind and number of channels."""
        groups: dict[tuple[str, int], list[Seen]] = defaultdict(list)
        for _, one in self.model():
            if one.common and one.error > 0:
                groups[one.kind, one.common].append(one)
        return {f"{kind}, {size} channels": groups[kind, size] for kind, size in sorted(groups)}

    def kinds(self) -> dict[str, list[Seen]]:
        """Runs on data that the probable bound speaks of, by kind."""
        groups: dict[str, list[Seen]] = defaultdict(list)
        for _, one in self.model():
            if one.error > 0:
                groups[one.kind].append(one)
        return dict(groups)

    def lengths(self) -> dict[str, list[Seen]]:
        """All runs by the length of their longest sum: at least the key, below the next."""
        groups: dict[int, list[Seen]] = defaultdict(list)
        for _, one in self.seen:
            if one.error > 0:
                groups[max(least for least in LENGTHS if least <= one.length)].append(one)
        return {str(least): groups[least] for least in sorted(groups)}

    def table(self) -> str:
        """Markdown: how far the bounds are from what was seen."""
        rows: list[str] = []
        for title, bound, groups in (
            ("layers", "probable", {**self.kinds(), **self.common()}),
            ("products in a sum, at least", "worst", self.lengths()),
        ):
            rows.append(f"| {title} | runs | {bound} bound / error: least, median, most |")
            rows.append("|---|--:|--:|")
            for name, group in groups.items():
                cells = [
                    f"{min(found):.1f}, {median(found):.1f}, {max(found):.0f} ({basis})"
                    for key, basis in BASES.items()
                    for found in [ratios(group, key, bound)]
                ]
                rows.append(f"| {name} | {len(group)} | {'; '.join(cells)} |")
            rows.append("")
        return "\n".join(rows)

    def figures(self) -> dict[str, Any]:
        """The same as numbers."""
        return {
            "runs": len(self.seen),
            "worst_exceeded": {basis: len(self.broken(basis)) for basis in BASES},
            "probable_layers": self.trials(),
            "probable_exceeded": {basis: len(self.exceeding(basis)) for basis in BASES},
            "probable_limit": limit(self.trials()),
            "kinds": {name: _figures(group, "probable") for name, group in self.kinds().items()},
            "common": {name: _figures(group, "probable") for name, group in self.common().items()},
            "lengths": {name: _figures(group, "worst") for name, group in self.lengths().items()},
        }


def ratios(group: Iterable[Seen], basis: str, bound: str) -> list[float]:
    """A bound over each error."""
    return [getattr(getattr(one, basis), bound) / one.error for one in group]


def _figures(group: Sequence[Seen], bound: str) -> dict[str, Any]:
    found = {basis: ratios(group, basis, bound) for basis in BASES}
    sides = [one.ratio for one in group if one.ratio > 0]
    return {
        "runs": len(group),
        "least": {basis: min(numbers) for basis, numbers in found.items()},
        "median": {basis: median(numbers) for basis, numbers in found.items()},
        "most": {basis: max(numbers) for basis, numbers in found.items()},
        "after_over_before": median(sides) if sides else None,
    }
