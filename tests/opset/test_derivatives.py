"""The derivatives behind the elementwise gradient rules, on numbers that count what is done.

Each formula gets dY and what the rule keeps, nothing else. Its value must be that of a central
difference, its operations those that the rule counts; branches count as the longest of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pytest

from convc.graph import Graph
from convc.ir import TensorType
from convc.opset import OPS, Work

ROOT = math.sqrt(2 / math.pi)
CUBE = 0.044715
SCALE, SHIFT = 1.0507009873554805, 1.6732632423543772


class Number:
    """A number that writes down what is done to it; a change of sign is free."""

    def __init__(self, value: float, done: list[Work]) -> None:
        self.value, self.done = value, done

    def _made(self, value: float, **work: int) -> Number:
        self.done.append(Work(**work))
        return Number(value, self.done)

    def __neg__(self) -> Number:
        return Number(-self.value, self.done)

    def __add__(self, other: Number | float) -> Number:
        return self._made(self.value + plain(other), additions=1)

    def __sub__(self, other: Number | float) -> Number:
        return self._made(self.value - plain(other), additions=1)

    def __rsub__(self, other: float) -> Number:
        return self._made(other - self.value, additions=1)

    def __mul__(self, other: Number | float) -> Number:
        return self._made(self.value * plain(other), multiplications=1)

    def __truediv__(self, other: Number) -> Number:
        return self._made(self.value / other.value, divisions=1)

    def __lt__(self, other: float) -> bool:
        self.done.append(Work(comparisons=1))
        return self.value < other

    def call(self, function: Callable[[float], float]) -> Number:
        return self._made(function(self.value), functions=1)

    __radd__, __rmul__ = __add__, __mul__


def plain(number: Number | float) -> float:
    return number.value if isinstance(number, Number) else number


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def hard_swish(dy: Number, x: Number) -> Number:
    if x < -3:
        return Number(0, x.done)
    if x < 3:
        return dy * (x * (1 / 3) + 0.5)
    return dy


def hard_sigmoid(dy: Number, y: Number) -> Number:
    below, above = y < 1e-12, not y < 1 - 1e-12
    return Number(0, y.done) if below or above else dy * 0.2


def clip(dy: Number, y: Number) -> Number:
    below, above = y < -1 + 1e-12, not y < 2 - 1e-12
    return Number(0, y.done) if below or above else dy


def gelu(dy: Number, x: Number) -> Number:
    below = (1 + (x * math.sqrt(0.5)).call(math.erf)) * 0.5
    density = (x * x * -0.5).call(math.exp) * x * (1 / math.sqrt(2 * math.pi))
    return dy * (below + density)


def gelu_tanh(dy: Number, x: Number) -> Number:
    square = x * x * CUBE
    t = ((1 + square) * x * ROOT).call(math.tanh)
    inner = (1 + 3 * square) * ROOT
    return dy * ((1 + t + (1 - t * t) * inner * x) * 0.5)


def mish(dy: Number, x: Number) -> Number:
    e = x.call(math.exp)
    one = 1 + e
    t = one.call(math.log).call(math.tanh)
    return dy * (t + (1 - t * t) * x * (e / one))


def softsign(dy: Number, y: Number) -> Number:
    rest = 1 + y if y < 0 else 1 - y
    return dy * (rest * rest)


@dataclass(frozen=True)
class Case:
    """A kind, its function, and its derivative from dY and what is kept."""

    kind: str
    function: Callable[[float], float]
    derivative: Callable[[Number, Number], Number]
    points: tuple[float, ...] = (-4.5, -1.3, -0.4, 0.3, 0.9, 2.6, 4.1)
    attributes: tuple[tuple[str, Any], ...] = ()


POSITIVE = (0.2, 1.0, 3.5)
CASES = [
    Case("Relu", lambda x: max(x, 0), lambda d, y: Number(0, y.done) if y < 1e-12 else d),
    Case("Sigmoid", lambda x: 1 / (1 + math.exp(-x)), lambda d, y: d * (y * (1 - y))),
    Case("Tanh", math.tanh, lambda d, y: d * (1 - y * y)),
    Case("Exp", math.exp, lambda d, y: d * y),
    Case("Sqrt", math.sqrt, lambda d, y: d / (2 * y), POSITIVE),
    Case("Reciprocal", lambda x: 1 / x, lambda d, y: -(d * (y * y)), (-2.0, -0.3, 0.4, 3.0)),
    Case("Log", math.log, lambda d, x: d / x, POSITIVE),
    Case("Abs", abs, lambda d, x: -d if x < 0 else d),
    Case("Sin", math.sin, lambda d, x: d * x.call(math.cos)),
    Case("Cos", math.cos, lambda d, x: -(d * x.call(math.sin))),
    Case("Erf", math.erf, lambda d, x: d * (-(x * x)).call(math.exp) * math.sqrt(4 / math.pi)),
    Case("Softplus", softplus, lambda d, y: d * (1 - (-y).call(math.exp))),
    Case("Softsign", lambda x: x / (1 + abs(x)), softsign),
    Case("HardSigmoid", lambda x: min(max(0.2 * x + 0.5, 0), 1), hard_sigmoid),
    Case("HardSwish", lambda x: x * min(max(x / 6 + 0.5, 0), 1), hard_swish),
    Case("Elu", lambda x: x if x > 0 else math.expm1(x),
         lambda d, y: d * (y + 1) if y < 0 else d),
    Case("Selu", lambda x: SCALE * (x if x > 0 else SHIFT * math.expm1(x)),
         lambda d, y: d * (y + SCALE * SHIFT) if y < 0 else d * SCALE),
    Case("LeakyRelu", lambda x: x if x > 0 else 0.1 * x, lambda d, y: d * 0.1 if y < 0 else d,
         attributes=(("alpha", 0.1),)),
    Case("Clip", lambda x: min(max(x, -1), 2), clip, attributes=(("min", -1.0), ("max", 2.0))),
    Case("Mish", lambda x: x * math.tanh(softplus(x)), mish),
    Case("Gelu", lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2))), gelu),
    Case("Gelu", lambda x: x / 2 * (1 + math.tanh(ROOT * (x + CUBE * x**3))), gelu_tanh,
         attributes=(("approximate", "tanh"),)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kind}{dict(c.attributes) or ''}")
def test_derivative(case: Case) -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(np.dtype(np.float32), (1,)))
    type_ = TensorType(np.dtype(np.float32), (1,))
    op = graph.add(case.kind, (x,), dict(case.attributes), types=[type_])
    rule = OPS[case.kind].gradient
    assert rule is not None
    found = rule(graph, op, frozenset({0}))
    assert found is not None
    longest = Work()
    for point in case.points:
        kept = case.function(point) if found.keeps == (op.result,) else point
        done: list[Work] = []
        value = case.derivative(Number(0.7, done), Number(kept, done)).value
        step = 1e-5
        slope = (case.function(point + step) - case.function(point - step)) / (2 * step)
        # The difference errs by step²/6 times a third derivative, below 1000 at these points
        # (740 for 1/x at −0.3), and by rounding, 1e-16 times the largest value over the step.
        assert value == pytest.approx(0.7 * slope, abs=2e-8)
        total = sum(done, Work())
        longest = Work(*(max(a, b) for a, b in zip(astuple(longest), astuple(total), strict=True)))
    assert longest == found.input
