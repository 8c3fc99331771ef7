"""What the tests of the tuner share: a watch that computes its answers, and rules that compete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from convc.build import Builder
from convc.feeds import Feeds
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.rewrite import Replacement, Rewrite, Rule
from convc.runtime import RunError
from convc.timing import Ratio
from convc.tuning.judge import Contender
from convc.tuning.region import Trial
from convc.tuning.stopwatch import Measured

PRICES: Mapping[str, float] = {"Neg": 3.0, "Mul": 2.0, "Sub": 4.0, "Abs": 1.0, "Relu": 1.0}
"""Seconds of each kind, as the watch below has them."""


def priced(prices: Mapping[str, float] = PRICES) -> Callable[[Graph], float]:
    """A graph's seconds: the sum over its ops."""
    return lambda graph: sum(prices.get(op.kind, 0.0) for op in graph.ops())


@dataclass
class PricedWatch:
    """Says what a price list says: of regions, of whole models; counts how often it was asked."""

    regions: Callable[[Graph], float] = field(default_factory=priced)
    wholes: Callable[[Graph], float] = field(default_factory=priced)
    asked: list[str] = field(default_factory=list)
    run: float = 1e-6

    def region(self, trial: Trial, _seconds: float) -> Measured | None:
        self.asked.append("region")
        return measured(self.regions(trial.before), self.regions(trial.after))

    def whole(self, before: Contender, after: Contender, _seconds: float) -> Measured | None:
        self.asked.append("whole")
        return measured(self.wholes(before.graph), self.wholes(after.graph))

    def once(self, _contender: Contender) -> float:
        return self.run

    def ops(self, graph: Graph, _feeds: Feeds) -> Mapping[Op, float]:
        return {op: PRICES.get(op.kind, 0.0) for op in graph.ops()}


class BrokenWatch(PricedWatch):
    """A runtime that refuses the model."""

    def once(self, _contender: Contender) -> float:
        raise RunError("no such operator: Magic")


def measured(before: float, after: float) -> Measured:
    """An outcome that is certain to one percent."""
    ratio = before / after
    return Measured(Ratio(ratio, 0.99 * ratio, 1.01 * ratio), before, after)


def chain(*kinds: str, shape: tuple[int | str, ...] = (1, 4, 8, 8)) -> Graph:
    """Unary ops one after the other."""
    graph = Graph()
    build = Builder(graph)
    value = graph.add_input("x", TensorType(np.dtype(np.float32), shape))
    for kind in kinds:
        value = build.op(kind, (value,))
    graph.set_outputs((value,), ("y",))
    return graph


def to_mul(graph: Graph, op: Op) -> Rewrite:
    """Neg(x) → Mul(x, −1)."""
    made = Replacement(graph)
    data, result = op.operands[0], op.result
    assert data is not None
    product = made.op("Mul", (made.take(data), made.weight(np.array(-1.0), like=data)))
    return made.rewrite({result: product}, note="Neg → Mul")


def to_sub(graph: Graph, op: Op) -> Rewrite:
    """Neg(x) → Sub(0, x)."""
    made = Replacement(graph)
    data, result = op.operands[0], op.result
    assert data is not None
    difference = made.op("Sub", (made.weight(np.array(0.0), like=data), made.take(data)))
    return made.rewrite({result: difference}, note="Neg → Sub")


MUL = Rule(to_mul, frozenset({"Neg"}), "to_mul")
SUB = Rule(to_sub, frozenset({"Neg"}), "to_sub")


def kinds(graph: Graph) -> list[str]:
    """The kinds of the ops that compute, in order."""
    return [op.kind for op in graph.ops() if not op.is_boundary and op.array is None]
