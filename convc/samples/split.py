"""What a model is fitted to and what it is judged on: never the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convc.errors import UsageError
from convc.feeds import Case
from convc.samples.images import spread

FEWEST = 2
"""Samples that each side needs at least."""

NEIGHBOURS = 3
"""Sources of which one is held back."""

FIT, HELD_BACK = 32, 16
"""Samples of each side at most, where they are large."""

FIT_ELEMENTS = 2**21
"""Small samples may be more: as many as hold this many numbers, up to `MOST`. An agreement of
classes is counted in samples, and with 16 of them nothing between 0 and 6 % can be told apart."""

MOST = 1024


@dataclass(frozen=True, slots=True)
class Split:
    """Samples to fit to, and others, from other sources, to judge on."""

    fit: list[Case]
    held_back: list[Case]


def split(cases: Sequence[Case], seed: int) -> Split:
    """Splits samples about 2:1 by their sources, the same way for the same seed.

    All pieces of one source go to the same side. Of every three neighbours one is held back, so
    that data in the order of its classes has them all on both sides. Of more samples than needed
    evenly spread ones are taken: `FIT` and `HELD_BACK`, or more where they are small.

    Raises UsageError where a side would have fewer than `FEWEST` samples.
    """
    sources = _by_source(cases)
    groups = list(sources.values())
    shuffled = [groups[i] for i in _order(len(groups), np.random.default_rng(seed))]
    # A few sources of unlike sizes may split well in one order alone: the largest held back first.
    cut = _cut(shuffled) or _cut(sorted(shuffled, key=len, reverse=True))
    if cut is None:
        raise UsageError(_too_little(len(cases), len(groups)))
    fit_cap, held_cap = _caps(cases)
    held = {i for group in cut for i in group}
    fit = [case for i, case in enumerate(cases) if i not in held]
    held_back = [case for i, case in enumerate(cases) if i in held]
    return Split(spread(fit, fit_cap), spread(held_back, held_cap))


def _by_source(cases: Sequence[Case]) -> dict[object, list[int]]:
    """Indices of the cases by source; a case without one is its own."""
    sources: dict[object, list[int]] = {}
    for i, case in enumerate(cases):
        sources.setdefault(case.source or i, []).append(i)
    return sources


def _order(count: int, rng: np.random.Generator) -> list[int]:
    """Indices in random order, one of each three neighbours before all the others."""
    firsts = {int(i + rng.integers(NEIGHBOURS)) for i in range(0, count, NEIGHBOURS)}
    shuffled = [int(i) for i in rng.permutation(count)]
    return sorted(shuffled, key=lambda i: i not in firsts)


def _cut(groups: Sequence[list[int]]) -> list[list[int]] | None:
    """The first groups: those whose samples are nearest to a third, both sides large enough."""
    sizes = np.cumsum([len(group) for group in groups])
    total = int(sizes[-1]) if len(sizes) else 0
    allowed = [k for k, n in enumerate(sizes, 1) if FEWEST <= n <= total - FEWEST]
    if not allowed:
        return None
    best = min(allowed, key=lambda k: abs(3 * int(sizes[k - 1]) - total))
    return list(groups[:best])


def _caps(cases: Sequence[Case]) -> tuple[int, int]:
    elements = max(1, *(sum(array.size for array in case.feeds.values()) for case in cases))
    fit = min(MOST, max(FIT, FIT_ELEMENTS // elements))
    return fit, max(HELD_BACK, fit // 2)


def _too_little(samples: int, sources: int) -> str:
    given = f"{samples} sample{'' if samples == 1 else 's'}"
    if samples < 2 * FEWEST:
        return f"--data: too little data: {given}; give at least {2 * FEWEST}"
    return (
        f"--data: too little data: {given} of {sources} image{'' if sources == 1 else 's'}, "
        "and one image is not split: give at least 4 images"
    )
