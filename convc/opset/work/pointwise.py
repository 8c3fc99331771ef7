"""Work of the kinds that compute each element on its own, and of those that only move elements.

What an element costs is read off the formula of the ONNX operator specification, under these
conventions: a change of sign inside a formula is free (`Neg` alone is one subtraction); |x|, a
logical operation and a select count as one comparison each; a transcendental function and a
rounding to an integer count as one function each, whatever a processor makes of them; constants
(1/√2, ln 2) are ready. A branch that an element may not take (LeakyRelu, Elu) is counted for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from convc.graph import Graph
from convc.ir import Op
from convc.opset.work.counts import Work, WorkRule, elements

COMPARED = Work(comparisons=1)
EVALUATED = Work(functions=1)
SIGMOID = Work(additions=1, divisions=1, functions=1)
SCALED = Work(multiplications=1)

ELEMENTS: Mapping[str, Work] = MappingProxyType(
    {
        "Abs": COMPARED,
        "And": COMPARED,
        "Celu": Work(multiplications=1, additions=2, divisions=1, comparisons=2, functions=1),
        "Elu": Work(multiplications=1, additions=1, comparisons=1, functions=1),
        "Equal": COMPARED,
        "Greater": COMPARED,
        "GreaterOrEqual": COMPARED,
        "HardSigmoid": Work(multiplications=1, additions=1, comparisons=2),
        "HardSwish": Work(multiplications=2, additions=1, comparisons=2),
        "IsInf": COMPARED,
        "IsNaN": COMPARED,
        "LeakyRelu": Work(multiplications=1, comparisons=1),
        "Less": COMPARED,
        "LessOrEqual": COMPARED,
        "Mish": Work(multiplications=1, additions=1, functions=3),
        "Mod": Work(divisions=1),
        "Neg": Work(additions=1),
        "Not": COMPARED,
        "Or": COMPARED,
        "PRelu": Work(multiplications=1, comparisons=1),
        "Pow": EVALUATED,
        "Range": Work(multiplications=1, additions=1),
        "Reciprocal": Work(divisions=1),
        "Relu": COMPARED,
        "Selu": Work(multiplications=2, additions=1, comparisons=1, functions=1),
        "Shrink": Work(additions=1, comparisons=2),
        "Sigmoid": SIGMOID,
        "Sign": Work(comparisons=2),
        "Softplus": Work(additions=1, functions=2),
        "Softsign": Work(additions=1, divisions=1, comparisons=1),
        "ThresholdedRelu": COMPARED,
        "Where": COMPARED,
        "Xor": COMPARED,
    }
)
"""What one element of the result costs."""

FUNCTIONS = frozenset(
    {
        "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp",
        "Floor", "Log", "Round", "Sin", "Sinh", "Sqrt", "Tan", "Tanh",
    }
)  # fmt: skip
"""Kinds that are one function per element."""

VARIADIC: Mapping[str, Work] = MappingProxyType(
    {
        "Add": Work(additions=1),
        "Div": Work(divisions=1),
        "Max": COMPARED,
        "Min": COMPARED,
        "Mul": SCALED,
        "Sub": Work(additions=1),
        "Sum": Work(additions=1),
    }
)
"""What one element of the result costs for each operand after the first."""

MOVES = frozenset(
    {
        "Cast", "CastLike", "Concat", "ConstantOfShape", "DepthToSpace", "Expand", "EyeLike",
        "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "OneHot", "Pad", "Reshape",
        "ReverseSequence", "Scatter", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze",
        "Tile", "Transpose", "Trilu", "Unsqueeze",
    }
)  # fmt: skip
"""Kinds that move, copy or fill elements and compute nothing with them."""

SCATTERED: Mapping[str, Work] = MappingProxyType(
    {
        "none": Work(),
        "add": Work(additions=1),
        "mul": SCALED,
        "max": COMPARED,
        "min": COMPARED,
    }
)
"""What one update costs, by ``reduction``."""


def _each(graph: Graph, op: Op, *, work: Work) -> Work | None:
    count = elements(graph, op.result)
    return None if count is None else work.times(count)


def _move(_graph: Graph, _op: Op) -> Work:
    return Work()


def _variadic(graph: Graph, op: Op) -> Work | None:
    more = len([value for value in op.inputs if value is not None]) - 1
    return _each(graph, op, work=VARIADIC[op.kind].times(max(0, more)))


def _mean(graph: Graph, op: Op) -> Work | None:
    more = len(op.inputs) - 1
    return _each(graph, op, work=Work(additions=max(0, more), divisions=1))


def _clip(graph: Graph, op: Op) -> Work | None:
    """One comparison for each bound that is given, as attribute or as operand."""
    bounds = [
        name in op.attributes or op.operand(i) is not None
        for i, name in enumerate(("min", "max"), start=1)
    ]
    return _each(graph, op, work=COMPARED.times(sum(bounds)))


def _gelu(graph: Graph, op: Op) -> Work | None:
    """``x/2 · (1 + erf(x/√2))``, or ``x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x·x·x)))``."""
    if op.attributes.get("approximate", "none") == "tanh":
        return _each(graph, op, work=Work(multiplications=6, additions=2, functions=1))
    return _each(graph, op, work=Work(multiplications=3, additions=1, functions=1))


def _swish(graph: Graph, op: Op) -> Work | None:
    factors = 1 if op.attributes.get("alpha", 1.0) == 1.0 else 2
    return _each(graph, op, work=SIGMOID + SCALED.times(factors))


def _dropout(_graph: Graph, op: Op) -> Work | None:
    """Nothing at inference; not known where a mask is drawn, or may be."""
    training = op.operand(2)
    if training is None or (training.array is not None and not training.array.any()):
        return Work()
    return None


def _scatter(graph: Graph, op: Op) -> Work | None:
    count = elements(graph, op.operand(2))
    reduction = op.attributes.get("reduction", "none")
    work = SCATTERED.get(reduction) if isinstance(reduction, str) else None
    return None if count is None or work is None else work.times(count)


def _normalise(graph: Graph, op: Op) -> Work | None:
    """BatchNormalization at inference, scale and shift folded: one product and one sum each.

    The fold, a few operations per channel, is made once and not counted.
    """
    if op.attributes.get("training_mode"):
        return None
    return _each(graph, op, work=Work(multiplications=1, additions=1))


def _quantize(graph: Graph, op: Op) -> Work | None:
    """Divide, round, add the zero point, saturate on both sides."""
    shift = _shift(op)
    return _each(graph, op, work=Work(additions=shift, divisions=1, comparisons=2, functions=1))


def _dequantize(graph: Graph, op: Op) -> Work | None:
    return _each(graph, op, work=Work(multiplications=1, additions=_shift(op)))


def _shift(op: Op) -> int:
    """1 where there is a zero point that is not known to be 0."""
    zero = op.operand(2)
    return int(zero is not None and (zero.array is None or bool(np.any(zero.array))))


POINTWISE: Mapping[str, WorkRule] = MappingProxyType(
    {
        **{kind: partial(_each, work=work) for kind, work in ELEMENTS.items()},
        **{kind: partial(_each, work=EVALUATED) for kind in FUNCTIONS},
        **dict.fromkeys(VARIADIC, _variadic),
        **dict.fromkeys(MOVES, _move),
        "BatchNormalization": _normalise,
        "Clip": _clip,
        "DequantizeLinear": _dequantize,
        "Dropout": _dropout,
        "Gelu": _gelu,
        "Mean": _mean,
        "QuantizeLinear": _quantize,
        "ScatterElements": _scatter,
        "ScatterND": _scatter,
        "Swish": _swish,
    }
)
