"""Strategies for random graphs: recipes, so that one graph can be built in many ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import strategies as st

from convc.graph import Graph
from convc.ir import Array, Attribute, Op, TensorType

SHAPE = (2, 4)
FLOAT = TensorType(np.dtype(np.float32), SHAPE)

UNARY = ("Relu", "Neg", "Abs", "Sigmoid")
BINARY = ("Add", "Sub", "Mul", "Max")

Operand = tuple[int, int] | None
"""Position of a step in the recipe and index of its result; None: omitted."""


@dataclass(frozen=True)
class Step:
    """One op of a recipe. A step with an array is a Constant, kind "Input" an input."""

    kind: str
    operands: tuple[Operand, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    array: Array | None = None
    results: int = 1
    type: TensorType = FLOAT


@dataclass(frozen=True)
class Recipe:
    """Ops with operands before users, and which results are the outputs."""

    steps: tuple[Step, ...]
    outputs: tuple[tuple[int, int], ...]

    def build(
        self,
        order: Sequence[int] | None = None,
        name: Callable[[int, int], str] = lambda step, result: f"v{step}.{result}",
    ) -> Graph:
        """The graph, its ops added in ``order`` and its values named by ``name``."""
        graph = Graph()
        made: dict[int, Op] = {}
        for i in range(len(self.steps)) if order is None else order:
            made[i] = self._add(graph, i, made, name)
        values = [made[i].results[j] for i, j in self.outputs]
        graph.set_outputs(values, [f"out {name(i, k)}" for k, (i, _) in enumerate(self.outputs)])
        return graph

    def _add(
        self, graph: Graph, i: int, made: Mapping[int, Op], name: Callable[[int, int], str]
    ) -> Op:
        step = self.steps[i]
        if step.array is not None:
            return graph.add_constant(step.array, name(i, 0)).op
        if step.kind == "Input":
            return graph.add_input(name(i, 0), step.type).op
        operands = [None if o is None else made[o[0]].results[o[1]] for o in step.operands]
        return graph.add(
            step.kind,
            operands,
            step.attributes,
            types=(step.type,) * step.results,
            names=[name(i, j) for j in range(step.results)],
            name=name(i, 99),
        )

    def with_step(self, i: int, **changes: object) -> Recipe:
        """A copy with one step changed."""
        steps = list(self.steps)
        steps[i] = replace(steps[i], **changes)  # type: ignore[arg-type]
        return replace(self, steps=tuple(steps))


@st.composite
def recipes(draw: st.DrawFn, max_ops: int = 12) -> Recipe:
    """Graphs of inputs, weights, unary, binary and multi-result ops that onnxruntime runs."""
    steps = [Step("Input") for _ in range(draw(st.integers(1, 3)))]
    halves: list[bool] = [False] * len(steps)  # a Split's results have another shape
    for _ in range(draw(st.integers(0, 3))):
        numbers = draw(st.lists(st.integers(-8, 8), min_size=8, max_size=8))
        steps.append(Step("Constant", array=np.array(numbers, np.float32).reshape(SHAPE)))
        halves.append(False)
    for _ in range(draw(st.integers(1, max_ops))):
        step, half = _draw_op(draw, steps, halves)
        steps.append(step)
        halves.append(half)
    ends = [(i, j) for i, step in enumerate(steps) for j in range(step.results)]
    outputs = draw(st.lists(st.sampled_from(ends), min_size=1, max_size=4))
    return Recipe(tuple(steps), tuple(outputs))


def _draw_op(draw: st.DrawFn, steps: Sequence[Step], halves: Sequence[bool]) -> tuple[Step, bool]:
    kind = draw(st.sampled_from((*UNARY, *BINARY, "Split", "Clip", "LeakyRelu")))
    first = draw(st.integers(0, len(steps) - 1))
    half = halves[first]
    operand = (first, draw(st.integers(0, steps[first].results - 1)))
    if kind == "Split" and not half:
        small = TensorType(FLOAT.dtype, (2, 2))
        return Step("Split", (operand,), {"axis": 1}, results=2, type=small), True
    type_ = steps[first].type
    if kind in BINARY:
        same = [i for i, h in enumerate(halves) if h == half]
        second = draw(st.sampled_from(same))
        other = (second, draw(st.integers(0, steps[second].results - 1)))
        return Step(kind, (operand, other), type=type_), half
    if kind == "Clip":
        return Step("Clip", (operand, None), type=type_), half
    if kind == "LeakyRelu":
        alpha = draw(st.sampled_from((0.1, 0.2)))
        return Step("LeakyRelu", (operand,), {"alpha": alpha}, type=type_), half
    return Step(kind if kind in UNARY else "Relu", (operand,), type=type_), half


@st.composite
def orders(draw: st.DrawFn, recipe: Recipe) -> list[int]:
    """Orders in which a recipe's ops can be added, with the inputs in their own order."""
    waiting = list(range(len(recipe.steps)))
    order: list[int] = []
    while waiting:
        inputs = [i for i in waiting if recipe.steps[i].kind == "Input"]
        ready = [
            i
            for i in waiting
            if (recipe.steps[i].kind != "Input" or i == inputs[0])
            and all(o is None or o[0] in order for o in recipe.steps[i].operands)
        ]
        chosen = draw(st.sampled_from(ready))
        waiting.remove(chosen)
        order.append(chosen)
    return order
