"""Gradients of the kinds that compute element by element, operands broadcast.

The derivatives are those of the formulas in the ONNX operator specification. Where a derivative
can be had from the result as well as from the operand, the result is kept: the next convolution
keeps it anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from convc.graph import Graph
from convc.ir import Op, Value
from convc.opset.gradients.parts import (
    NOTHING,
    CountedRule,
    Gradient,
    NotKnownError,
    count,
    dropout_ratio,
    gradient,
    summed,
)
from convc.opset.work.counts import Work

OPERAND, RESULT = "operand", "result"


@dataclass(frozen=True, slots=True)
class Derivative:
    """What one element of dX takes, dY's factor included, and which forward value it needs."""

    work: Work
    keeps: str = ""


UNARY: Mapping[str, Derivative] = MappingProxyType(
    {
        # dY where y > 0.
        "Relu": Derivative(Work(comparisons=1), RESULT),
        # dY·y(1 − y)
        "Sigmoid": Derivative(Work(multiplications=2, additions=1), RESULT),
        # dY·(1 − y²)
        "Tanh": Derivative(Work(multiplications=2, additions=1), RESULT),
        # dY·y
        "Exp": Derivative(Work(multiplications=1), RESULT),
        # dY / 2y
        "Sqrt": Derivative(Work(multiplications=1, divisions=1), RESULT),
        # −dY·y²
        "Reciprocal": Derivative(Work(multiplications=2), RESULT),
        # dY / x
        "Log": Derivative(Work(divisions=1), OPERAND),
        # −dY
        "Neg": Derivative(Work(additions=1)),
        # ±dY by the sign of x.
        "Abs": Derivative(Work(comparisons=1), OPERAND),
        "Sin": Derivative(Work(multiplications=1, functions=1), OPERAND),
        "Cos": Derivative(Work(multiplications=1, functions=1), OPERAND),
        # dY·2/√π·exp(−x²)
        "Erf": Derivative(Work(multiplications=3, functions=1), OPERAND),
        # σ(x) = 1 − exp(−y)
        "Softplus": Derivative(Work(multiplications=1, additions=1, functions=1), RESULT),
        # α·dY where 0 < y < 1.
        "HardSigmoid": Derivative(Work(multiplications=1, comparisons=2), RESULT),
        # dY·(x/3 + 1/2) where −3 < x < 3, dY above.
        "HardSwish": Derivative(Work(multiplications=2, additions=1, comparisons=2), OPERAND),
        # dY·(y + γα) where y < 0, γ·dY elsewhere.
        "Selu": Derivative(Work(multiplications=1, additions=1, comparisons=1), RESULT),
        # dY·(t + x·(1 − t²)·σ(x)) with t = tanh(log(1 + e)), σ = e/(1 + e), e = exp(x)
        "Mish": Derivative(Work(multiplications=4, additions=3, divisions=1, functions=3), OPERAND),
        # dY·(1 − |y|)²
        "Softsign": Derivative(Work(multiplications=2, additions=1, comparisons=1), RESULT),
        "Identity": Derivative(NOTHING),
        "Cast": Derivative(NOTHING),
        # Piecewise constant: the gradient is zero.
        "Floor": Derivative(NOTHING),
        "Ceil": Derivative(NOTHING),
        "Round": Derivative(NOTHING),
        "Sign": Derivative(NOTHING),
    }
)


def unary(derivative: Derivative) -> CountedRule:
    """A rule for a kind with one operand."""

    def rule(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
        return _unary(graph, op, wanted, derivative)

    return rule


def _unary(graph: Graph, op: Op, wanted: frozenset[int], derivative: Derivative) -> Gradient:
    if wanted != {0}:
        raise NotKnownError
    kept = {OPERAND: op.operand(0), RESULT: op.result}.get(derivative.keeps)
    work = derivative.work
    works = {} if work is NOTHING else {0: work.times(count(graph, op.result))}
    return gradient(op, works, keeps=[kept])


def _alpha(op: Op, default: float) -> float:
    value = op.attributes.get("alpha", default)
    return float(value) if isinstance(value, int | float) else default


def leaky_relu(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """LeakyRelu: dY or α·dY by the sign of the result, which is the operand's while α > 0."""
    keeps = RESULT if _alpha(op, 0.01) > 0 else OPERAND
    work = Work(multiplications=1, comparisons=1)
    return _unary(graph, op, wanted, Derivative(work, keeps))


def elu(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Elu: dY·(y + α) where y < 0, dY elsewhere."""
    keeps = RESULT if _alpha(op, 1.0) > 0 else OPERAND
    work = Work(multiplications=1, additions=1, comparisons=1)
    return _unary(graph, op, wanted, Derivative(work, keeps))


def gelu(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Gelu: dY·(Φ(x) + x·φ(x)), or the derivative of its tanh form.

    Φ = (1 + erf(x/√2))/2, φ = exp(−x²/2)/√2π; with t = tanh(u), u = √(2/π)·x·(1 + c·x²):
    (1 + t + x·(1 − t²)·√(2/π)·(1 + 3c·x²))/2.
    """
    if op.attributes.get("approximate", "none") == "tanh":
        work = Work(multiplications=11, additions=5, functions=1)
    else:
        work = Work(multiplications=7, additions=2, functions=2)
    return _unary(graph, op, wanted, Derivative(work, OPERAND))


def dropout(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Dropout in training: dY times the mask's scale; a byte of mask is kept per element."""
    if dropout_ratio(op) == 0:
        return Gradient()
    elements = count(graph, op.result)
    work = Work(multiplications=elements) if 0 in wanted else NOTHING
    return gradient(op, {0: work}, keeps_bytes=elements)


# -- more than one operand -------------------------------------------------------------------------


def _broadcast(
    graph: Graph, op: Op, wanted: frozenset[int], work_of: Callable[[int], Work]
) -> dict[int, Work]:
    """Per result element ``work_of(place)``, then the sum over the broadcast axes."""
    elements = count(graph, op.result)
    works: dict[int, Work] = {}
    for place in sorted(wanted):
        sums = Work(additions=summed(elements, count(graph, op.operand(place))))
        works[place] = work_of(place).times(elements) + sums
    return works


def addition(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Add, Sub, Sum: dY itself, summed over broadcast axes; nothing is kept."""
    return gradient(op, _broadcast(graph, op, wanted, lambda _: NOTHING))


def mean(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Mean of k operands: dY/k, computed once, summed over broadcast axes."""
    works = _broadcast(graph, op, wanted, lambda _: NOTHING)
    works[min(wanted)] += Work(divisions=count(graph, op.result))
    return gradient(op, works)


def multiplication(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Mul: dY times the other operand, which is kept."""
    works = _broadcast(graph, op, wanted, lambda _: Work(multiplications=1))
    return gradient(op, works, keeps=[op.operand(1 - place) for place in wanted])


def division(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Div, y = a/b: q = dY/b is a's gradient, −q·y is b's; q is computed once."""
    works = _broadcast(
        graph, op, wanted, lambda place: Work(multiplications=1) if place else NOTHING
    )
    works[min(wanted)] += Work(divisions=count(graph, op.result))
    return gradient(op, works, keeps=[op.operand(1), op.result if 1 in wanted else None])


def power(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Pow, y = x^p: dY·p·x^(p−1), and dY·y·log x for the exponent.

    A square's derivative dY·2x needs no power. A constant p gives p − 1 without an addition.
    """
    exponent = op.operand(1)
    fixed = None if exponent is None else exponent.array
    if fixed is not None and bool((fixed == 2).all()):
        base = Work(multiplications=2)
    else:
        base = Work(multiplications=2, functions=1, additions=0 if fixed is not None else 1)
    other = Work(multiplications=2, functions=1)
    works = _broadcast(graph, op, wanted, lambda place: other if place else base)
    kept: list[Value | None] = [op.operand(0)]
    kept += [exponent] if 0 in wanted else []
    kept += [op.result] if 1 in wanted else []
    return gradient(op, works, keeps=kept)


def extremum(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Max and Min of k operands: dY goes to one of them, which takes k − 1 comparisons to find."""
    operands = op.inputs
    works = _broadcast(graph, op, wanted, lambda _: NOTHING)
    works[min(wanted)] += Work(comparisons=(len(operands) - 1) * count(graph, op.result))
    return gradient(op, works, keeps=operands)


def clip(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Clip: dY where the result lies strictly between the bounds, a comparison with each.

    A bound that is no constant gets the sum of the dY of all that it cuts off.
    """
    operands = [op.operand(place) for place in range(3)]
    fixed = sum(name in op.attributes for name in ("min", "max"))
    bounds = fixed + sum(operand is not None for operand in operands[1:])
    works = _broadcast(graph, op, wanted, lambda _: NOTHING)
    works[min(wanted)] += Work(comparisons=bounds * count(graph, op.result))
    return gradient(op, works, keeps=[op.result, *operands[1:]])


def where(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Where: dY or zero by the condition, which is kept."""
    works = _broadcast(graph, op, wanted, lambda _: Work(comparisons=1))
    return gradient(op, works, keeps=[op.operand(0)])


def prelu(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """PRelu: dY or s·dY by the sign of x; the slope's gradient sums dY·x where x < 0."""
    works = _broadcast(graph, op, wanted, lambda _: Work(multiplications=1, comparisons=1))
    return gradient(op, works, keeps=[op.operand(0), op.operand(1) if 0 in wanted else None])


ELEMENTWISE: Mapping[str, CountedRule] = MappingProxyType(
    {
        **{kind: unary(derivative) for kind, derivative in UNARY.items()},
        "LeakyRelu": leaky_relu,
        "Elu": elu,
        "Clip": clip,
        "Gelu": gelu,
        "Dropout": dropout,
        "Add": addition,
        "Sub": addition,
        "Sum": addition,
        "Mean": mean,
        "Mul": multiplication,
        "Div": division,
        "Pow": power,
        "Max": extremum,
        "Min": extremum,
        "Where": where,
        "PRelu": prelu,
    }
)
