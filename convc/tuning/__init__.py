"""Choosing rewrites by the clock: a sieve over places, then a judge over the whole model.

`Tuner` is what ``choose(...)`` asks under ``--objective latency``. Proposals are grouped by what
their surroundings look like (`surroundings`), timed once for each look (`sieve`), and those that
do not lose are tried on the whole model at all places of one look at once (`judge`), the largest
expected gain first. What is decided is a list of steps (`steps`) that any process can do again, and
is remembered with the times (`store`).
"""

from __future__ import annotations

from convc.tuning.final import confirm
from convc.tuning.stopwatch import Measured
from convc.tuning.store import Store
from convc.tuning.tuner import BUDGET, Tuner
from convc.tuning.tuning import Tuning
from convc.tuning.watch import remembering

__all__ = ["BUDGET", "Measured", "Store", "Tuner", "Tuning", "confirm", "remembering"]
