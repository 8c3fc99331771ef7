"""Sums, products with constants, and functions of one operand."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erf, exp, inf, log, pi, sqrt
from types import MappingProxyType

import numpy as np

from convc.ir import Array, Op
from convc.kernels import evaluate
from convc.rounding.layers import number
from convc.rounding.movement import Move, repeated
from convc.rounding.state import (
    NoBoundError,
    Part,
    Parts,
    Sizes,
    Sources,
    State,
    fresh,
    gamma,
    joined,
    merged,
    summed,
    variance,
)

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
FUNCTION_ROUNDINGS = 8
"""Error taken for a transcendental function of the runtime, in units of u of its largest value."""


def aligned(state: State, shape: Sizes) -> State:
    """The value as it is broadcast to a shape of its rank or a higher one."""
    more = len(shape) - state.rank
    ones = (1,) * more

    raised = Move(
        ones + state.shape,
        lambda array, _: array.reshape(ones + array.shape),
        lambda free: (True,) * more + tuple(free),
    )(state)
    after = tuple(new if old == 1 else old for old, new in zip(raised.shape, shape, strict=True))
    return raised if after == raised.shape else repeated(raised.shape, after)(raised)


def added(states: Sequence[State], shape: Sizes, unit: float, source: Hashable) -> State:
    """The sum; subtracting is the same here.

    A runtime that fuses an addition into the product before it may begin with the other terms:
    they are in all the partial sums of that product, which `State.pending` counts.
    """
    rank = len(shape)
    terms = [aligned(state, shape) for state in states]

    def parts(given: Sequence[Parts]) -> dict[Sources, Part]:
        return {
            key: summed([part for _, part in users], rank) for key, users in joined(given).items()
        }

    signal = parts([term.signal for term in terms])
    noise = parts([term.noise for term in terms])
    mean = np.asarray(sum(term.mean for term in terms))
    high = np.asarray(sum(term.high for term in terms))
    error = np.asarray(sum(term.error for term in terms))
    pending = max(term.pending for term in terms)
    steps = len(terms) - 1
    error = error + gamma(steps + pending, unit) * (high + error)
    carried = sum(
        max((other.pending for other in terms if other is not term), default=0.0) * term.square()
        for term in terms
    )
    square = steps * (mean**2 + variance(signal)) + carried
    noise[frozenset({source})] = fresh(square, 1, unit, rank)
    apart = sum(len(term.signal) for term in terms) == len(signal)
    means = sum(bool(term.mean.any()) for term in terms)
    return State(
        shape,
        high,
        error,
        mean,
        np.asarray(sum(term.power for term in terms)),
        all(term.known for term in terms) and apart and means < 2,
        pending + steps,
        signal,
        noise,
    )


def scaled(
    state: State, factor: Array, shape: Sizes, unit: float, source: Hashable, *, roundings: int = 1
) -> State:
    """The value times constants; ``roundings`` of the product and of its factor."""
    state = aligned(state, shape)
    size = np.abs(np.asarray(factor, np.float64))
    size = size.reshape((1,) * (len(shape) - size.ndim) + size.shape)
    noise = {key: part.times(size) for key, part in state.noise.items()}
    noise[frozenset({source})] = fresh(state.square() * size**2, roundings, unit, len(shape))
    inherited, high = size * state.error, size * state.high
    return State(
        shape,
        high,
        inherited + gamma(roundings, unit) * (high + inherited),
        size * state.mean,
        state.power * size**2,
        state.known,
        state.pending,
        {key: part.times(size) for key, part in state.signal.items()},
        noise,
    )


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one operand, or of one and constants.

    Attributes:
        slope: Lipschitz constant.
        zero: magnitude at 0.
        most: largest magnitude, infinite where there is none.
        roundings: of its own, relative to ``most`` or to slope·|x| + zero.
    """

    slope: float
    zero: float = 0.0
    most: float = inf
    roundings: int = 0


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "Abs": Function(1.0),
        "Neg": Function(1.0),
        "Relu": Function(1.0),
        "Sigmoid": Function(0.25, 0.5, 1.0, FUNCTION_ROUNDINGS),
        "Tanh": Function(1.0, 0.0, 1.0, FUNCTION_ROUNDINGS),
        "Erf": Function(2 / sqrt(pi), 0.0, 1.0, FUNCTION_ROUNDINGS),
        "Softsign": Function(1.0, 0.0, 1.0, 3),
        "Softplus": Function(1.0, log(2), inf, FUNCTION_ROUNDINGS),
        "HardSwish": Function(1.5, 0.0, inf, 4),
        # max of d/dx x·Φ(x), at x = √2.
        "Gelu": Function(0.5 * (1 + erf(1)) + exp(-1) / sqrt(pi), 0.0, inf, FUNCTION_ROUNDINGS),
        "Mish": Function(1.0885, 0.0, inf, FUNCTION_ROUNDINGS),
        "Sin": Function(1.0, 0.0, 1.0, FUNCTION_ROUNDINGS),
        "Cos": Function(1.0, 1.0, 1.0, FUNCTION_ROUNDINGS),
    }
)


def function_of(op: Op) -> Function | None:
    """The function that an op applies to each number, None where none is known."""
    if op.kind == "Clip":
        return Function(1.0, _clipped_zero(op))
    if op.kind == "LeakyRelu":
        return Function(max(1.0, abs(number(op, "alpha", 0.01))), roundings=1)
    if op.kind == "PRelu":
        slope = op.operand(1)
        if slope is None or slope.array is None:
            return None
        return Function(max(1.0, float(np.abs(slope.array).max(initial=0.0))), roundings=2)
    if op.kind in ("Elu", "Celu"):
        alpha = abs(number(op, "alpha", 1.0))
        most = max(1.0, alpha) if op.kind == "Elu" else 1.0
        return Function(most, roundings=FUNCTION_ROUNDINGS)
    if op.kind == "Selu":
        gamma_ = number(op, "gamma", 1.0507010221481323)
        alpha = number(op, "alpha", 1.6732631921768188)
        return Function(abs(gamma_) * max(1.0, abs(alpha)), roundings=FUNCTION_ROUNDINGS)
    if op.kind == "HardSigmoid":
        slope_, zero = number(op, "alpha", 0.2), number(op, "beta", 0.5)
        return Function(abs(slope_), min(max(zero, 0.0), 1.0), 1.0, 4)
    return FUNCTIONS.get(op.kind)


def _clipped_zero(op: Op) -> float:
    """|Clip(0)|."""
    bounds: list[float] = []
    for index, name, default in ((1, "min", -inf), (2, "max", inf)):
        value = op.operand(index)
        if value is None:
            bounds.append(number(op, name, default))
        elif value.array is None or value.array.size != 1:
            raise NoBoundError("Clip: its bounds are computed")
        else:
            bounds.append(float(value.array.reshape(())))
    return abs(min(max(0.0, bounds[0]), bounds[1]))


def applied(op: Op, function: Function, state: State, unit: float, opset: int) -> State:
    """The function of a value.

    Its deviation is at most the slope times the value's; so is the root of the largest eigenvalue
    of its covariance, where the value is Gaussian: the covariance is a sum of Schur products of the
    value's with correlation matrices, none of which has larger eigenvalues.
    """
    high = np.minimum(function.slope * state.high + function.zero, function.most)
    scale = high if function.most < inf else function.slope * state.high + function.zero
    inherited = function.slope * state.error
    error = inherited + gamma(function.roundings, unit) * (scale + inherited)
    rms = np.sqrt(state.square())
    mean = np.minimum(function.slope * rms + function.zero, function.most)
    signal: dict[Sources, Part] = {}
    if state.signal:
        # Functions of one value are correlated with each other.
        signal[frozenset[Hashable]().union(*state.signal)] = merged(state.signal, state.rank).times(
            function.slope
        )
    noise = {key: part.times(function.slope) for key, part in state.noise.items()}
    if function.roundings:
        noise[frozenset({op})] = fresh(np.square(mean), function.roundings, unit, state.rank)
    return State(
        state.shape,
        high,
        np.minimum(error, 2 * function.most),
        mean,
        _power(op, state.power, opset),
        False,
        0.0,
        signal,
        noise,
    )


def _power(op: Op, power: Array, opset: int) -> Array:
    """The mean square of the function of a Gaussian of mean 0, by quadrature."""
    if op.kind == "PRelu":
        # Half of it is multiplied, by the smallest slope at the least.
        slope = op.operands[1].array if op.operands[1] is not None else None
        return power * (1 + (0.0 if slope is None else float(np.abs(slope).min()) ** 2)) / 2
    values = np.multiply.outer(np.sqrt(power), NODES)
    constants = [None if v is None else v.array for v in op.operands[1:]]
    results = evaluate(op.kind, [values, *constants], op.attributes, opset, 1)
    if results is None:
        raise NoBoundError(f"{op.kind}: no bound is known for it")
    return np.asarray(results[0] ** 2 @ (WEIGHTS / WEIGHTS.sum()))


def extreme(states: Sequence[State], shape: Sizes) -> State:
    """The largest or the smallest of several values, place by place: no rounding of its own."""
    rank = len(shape)
    terms = [aligned(state, shape) for state in states]
    every = frozenset[Hashable]().union(*(sources for term in terms for sources in term.signal))
    std = most([np.sqrt(variance(term.signal)) for term in terms])
    std = std.reshape((1,) * (rank - std.ndim) + std.shape)
    noise: dict[Sources, Part] = {}
    for sources, users in joined([term.noise for term in terms]).items():
        found = summed([part for _, part in users], rank)
        noise[sources] = replace(found, std=most([part.std for _, part in users]))
    return State(
        shape,
        most([term.high for term in terms]),
        most([term.error for term in terms]),
        np.asarray(np.sqrt(sum(term.square() for term in terms))),
        # Half of the places at the least, where they are symmetric about each other.
        most([term.power for term in terms]) / 2,
        False,
        0.0,
        {every: Part(std, (False,) * rank, lambda: inf)} if every else {},
        noise,
    )


def most(arrays: Sequence[Array]) -> Array:
    """The largest of several arrays, place by place."""
    return np.asarray(np.max(np.broadcast_arrays(*arrays), axis=0))
