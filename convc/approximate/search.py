"""The search for the fastest model within an error budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from convc.approximate.fitting import Fitted, Sweep, fit
from convc.approximate.judging import Strictest
from convc.approximate.observing import Observer
from convc.approximate.pricing import Place, Prices
from convc.approximate.solver import solve
from convc.forms import Forms
from convc.graph import Graph
from convc.ir import Op

TRIES, ASKED = 7, 20
"""Models that are fitted in one sweep, and budgets that the solver is asked for, at the most: for
two budgets it may find the same model."""

NEAR = 0.9
"""Part of the limit from which on it counts as used."""

PRICING = 0.4
"""Part of the time that the first prices may take."""

SHARES = (1.0, 0.6)
"""Parts of the limit that the first of two sweeps may use: what it leaves is for the second."""

RESCUED = 1.3
"""Times the limit up to which it is tried whether a model keeps it where its fits know of the
rectifiers: such fits take three times as long."""

TINY = 1e-12

LARGEST = 4.0
"""How much larger the next budget may be."""


@dataclass(frozen=True)
class Found:
    """A model within the limit: what it saves by the solver's count, and its loss."""

    model: Fitted
    saved: float
    loss: float


@dataclass(frozen=True)
class Search:
    """Looks for the fastest model whose loss on held-back inputs keeps a limit.

    Attributes:
        forms: the forms there are.
        observer: gathers moments on the inputs that are fitted to.
        prices: measures forms.
        judge: judges models, on held-back inputs at least.
        times: seconds of the ops of a graph; empty: MACs count.
        has_time: whether to go on.
        say: told what is being done.
        on_found: told of each model that was fitted.
    """

    forms: Forms
    observer: Observer
    prices: Prices
    judge: Strictest
    times: Callable[[Graph], Mapping[Op, float]]
    has_time: Callable[[float], bool]
    say: Callable[[str], None]
    on_found: Callable[[Found], None]

    def run(self, original: Graph, limit: float) -> Iterator[Found]:
        """Candidates within ``limit``, two at most for each of `SHARES`."""
        if limit <= self.judge.least:
            return
        start = Found(Fitted(original), 0.0, self.judge.least)
        places = self._priced(start.model, PRICING)
        for share in SHARES:
            first = self._sweep(start, places, share * limit)
            if first is None:
                continue
            yield first
            if self.has_time(1.0) and first.loss < NEAR * limit:
                again = self._priced(first.model, 1.0)
                second = self._sweep(first, again, limit)
                if second is not None:
                    yield second

    def _priced(self, model: Fitted, share: float) -> list[Place]:
        return self.prices.of(
            model, self.times(model.graph), has_time=lambda: self.has_time(share), say=self.say
        )

    def _sweep(self, start: Found, places: Sequence[Place], limit: float) -> Found | None:
        """The best model that one sweep makes of ``start`` within ``limit``.

        The solver takes errors as independent, and knows nothing of what the layers behind correct:
        its budget is scaled until the measured loss uses the limit and does not exceed it.
        """
        # What a share of decisions cannot show to be less, no model needs to lower.
        least = self.judge.least
        budget, low, high = limit, 0.0, float("inf")
        seen: dict[tuple[tuple[str, str], ...], Found] = {}
        for _ in range(ASKED):
            picks = solve([place.options for place in places], budget)
            sweep = {
                place.layer: pick.name
                for place, pick in zip(places, picks, strict=True)
                if pick is not None
            }
            key = tuple(sorted(sweep.items()))
            if key not in seen:
                if len(seen) == TRIES or not self.has_time(1.0):
                    break
                saved = start.saved + sum(pick.saved for pick in picks if pick is not None)
                seen[key] = self._made(start, sweep, saved)
            found = seen[key]
            used = (found.loss - least) / max(limit - least, TINY)
            if found.loss > limit:
                high = budget
            elif used < NEAR:
                low = budget
            else:
                break
            budget = _next(budget, low, high, 1 / max(used, TINY))
        return self._best(start, seen, limit)

    def _best(
        self, start: Found, seen: Mapping[tuple[tuple[str, str], ...], Found], limit: float
    ) -> Found | None:
        """The model within the limit that saves most.

        One that exceeds it by little may keep it where its fits know of the rectifiers.
        """
        for key, found in sorted(seen.items(), key=lambda item: -item[1].saved):
            if not found.model.applied:
                continue
            if found.loss <= limit:
                return found
            if found.loss <= RESCUED * limit and self.has_time(1.0):
                again = self._made(start, dict(key), found.saved, aware=True)
                if again.loss <= limit:
                    return again
        return None

    def _made(self, start: Found, sweep: Sweep, saved: float, *, aware: bool = False) -> Found:
        model = fit(start.model, sweep, self.forms, self.observer, say=self.say, aware=aware)
        found = Found(model, saved, self.judge.loss(model.graph))
        self.on_found(found)
        return found


def _next(budget: float, low: float, high: float, scale: float) -> float:
    """The budget to ask for next: where the loss would meet the limit, between those known."""
    wanted = budget * min(max(scale, 1 / LARGEST), LARGEST)
    if high == float("inf"):
        return max(wanted, 1.1 * budget)
    if low < wanted < high:
        return wanted
    return (low * high) ** 0.5 if low else wanted
