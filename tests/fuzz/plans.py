"""What convc is asked to do with a network: passes alone, the default pipelines, random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from random import Random
from typing import Any, Literal, get_args, get_origin, get_type_hints

from convc.api import DEFAULT_PIPELINE, TUNED_PIPELINE
from convc.graph import Graph
from convc.options import print_options
from convc.pipeline import Context, Pipeline, find_pass, pass_names
from convc.proof import prove
from convc.rewrite import Prove, Rewrite, Rule, Stats, sweep

NUMBERS: dict[str, Sequence[Any]] = {
    "max_map": (2**20, 16, 0),
    "below": (1e-20, 1e-12),
    "block": (16, 8, 4, 1),
    "width": (16, 8, 4),
    "saves": (1.0, 1.5, 3.0),
    "max_fold": (1024, 16, 0),
}
"""Values of options that are numbers. What makes a pass approximate stays at nothing allowed."""

MOST_CHOSEN = 40
"""Rewrites that chance may choose: some undo each other, and only the clock would end that."""


# To look an installed pass up takes milliseconds, and there are tens in a network's plans.
parsed = cache(Pipeline.parse)
known_pass = cache(find_pass)


@dataclass(frozen=True)
class Plan:
    """One thing to do with a network.

    Attributes:
        passes: the pipeline's text.
        objective: of what counts choose.
        chance: seed of a choice at random among all proposals; None: counts choose.
        proved: every rewrite is proved on its own.
        compared: convc's own comparison is asked as well.
        whole: `convc.optimize` is called, as a user would, instead of the pipeline alone.
    """

    passes: str
    objective: Literal["macs", "params"] = "macs"
    chance: int | None = None
    proved: bool = False
    compared: bool = False
    whole: bool = False

    def context(self) -> Context:
        return Context(
            self.objective,
            prove if self.proved else None,
            None if self.chance is None else Chance(self.chance),
        )


class Chance:
    """Chooses at random among what is legal: it covers what any clock might choose."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._keen = self._random.choice((0.3, 0.7, 0.95))

    def choose(self, graph: Graph, rules: Sequence[Rule], text: str, prover: Prove | None) -> Stats:  # noqa: ARG002
        left = MOST_CHOSEN

        def select(_: Graph, proposals: Sequence[Rewrite]) -> Rewrite | None:
            nonlocal left
            if left == 0 or self._random.random() > self._keen:
                return None
            left -= 1
            return self._random.choice(proposals)

        return sweep(graph, rules, select, prover, within=True)


def draw_plan(random: Random) -> Plan:
    """A plan; every pass alone takes half of them."""
    passes = _names()
    form = random.choices(("alone", "default", "tuned", "chance", "pipeline"), (50, 12, 6, 17, 15))[
        0
    ]
    objective: Literal["macs", "params"] = "params" if random.random() < 0.15 else "macs"
    chance = None
    if form == "alone":
        text = draw_pass(random, random.choice(passes))
    elif form == "default":
        text = DEFAULT_PIPELINE
    elif form in ("tuned", "chance"):
        text = TUNED_PIPELINE
    else:
        drawn = [draw_pass(random, random.choice(passes)) for _ in range(random.randint(2, 6))]
        if random.random() < 0.4:
            cut = random.randrange(len(drawn))
            drawn = [*drawn[:cut], f"choose({','.join(drawn[cut:])})"]
            chance = random.getrandbits(32) if random.random() < 0.5 else None
        text = ",".join(drawn)
    if form == "chance":
        chance = random.getrandbits(32)
    whole = chance is None and random.random() < 0.1
    return Plan(text, objective, chance, random.random() < 0.2, random.random() < 0.25, whole)


@cache
def _names() -> list[str]:
    return pass_names()


def draw_pass(random: Random, name: str) -> str:
    """A pass with its options drawn."""
    made = known_pass(name)
    hints = get_type_hints(made)
    given: dict[str, Any] = {}
    for option in fields(made):
        if random.random() < 0.7:
            continue
        values = _values(hints[option.name], option.name)
        if not values:
            continue
        if get_origin(hints[option.name]) is tuple:
            given[option.name] = tuple(random.sample(values, random.randint(1, len(values))))
        else:
            given[option.name] = random.choice(values)
    if name == "lower-to-winograd" and random.random() < 0.5:
        given["tiles"] = tuple(random.sample((2, 3, 4, 5, 6), random.randint(1, 3)))
    options = print_options(made(**given))
    return f"{name}{{{options}}}" if options else name


def _values(hint: Any, name: str) -> Sequence[Any]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) is tuple and get_origin(get_args(hint)[0]) is Literal:
        return get_args(get_args(hint)[0])
    if hint is bool:
        return (False, True)
    return NUMBERS.get(name, ())
