"""What is known of every value of a region, from its inputs to its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from convc.graph import Graph
from convc.ir import Value, is_real
from convc.rounding import elementwise, layers, movement, pooling, rearranging
from convc.rounding.state import (
    NoBoundError,
    State,
    constant,
    fresh,
    gamma,
    volume,
    white,
)
from convc.rounding.step import Rule, Step, shape_of


def inputs_of(graph: Graph, magnitude: float) -> dict[Value, State | None]:
    """Inputs of this magnitude at most; for the probable bound of this deviation."""
    return {
        value: white(shape_of(graph, value), value, magnitude) if is_real(value.dtype) else None
        for value in graph.inputs
    }


def walked(
    graph: Graph, inputs: Mapping[Value, State | None], *, cut: bool = False
) -> list[State | None]:
    """What is known of the graph's outputs; None for integers. ``cut``: see `runs`.

    Raises NoBoundError where an op is met of which no bound is known.
    """
    known: dict[Value, State | None] = dict(inputs)
    for op in graph.ops():
        if op is graph.output or op.result in known:
            continue
        if op.array is not None:
            real = is_real(op.array.dtype)
            stored = op.result.dtype
            known[op.result] = constant(op.array, stored, op) if real else None
            continue
        states = [None if value is None else known.get(value) for value in op.operands]
        missing = [v for v in op.operands if v is not None and v not in known]
        if missing:
            raise NoBoundError(f"{missing[0].op.kind}: no bound is known for its second result")
        results = _results(Step(graph, op, states, cut))
        known.update(zip(op.results, results, strict=False))
    return [known[value] for value in graph.outputs]


def _results(step: Step) -> Sequence[State | None]:
    op = step.op
    if op.results and all(value.type is None for value in op.results):
        raise NoBoundError(f"{op.kind}: the type of its result is not known")
    if not any(is_real(value.dtype) for value in op.results):
        # Integers do not round; but a number that becomes an integer jumps.
        if all(state is None for state in step.states) or op.kind in ("Shape", "Size"):
            return [None] * len(op.results)
        raise NoBoundError(f"{op.kind}: its result jumps")
    if op.domain or op.captures or op.kind not in RULES:
        raise NoBoundError(f"{op.kind}: no bound is known for it")
    return RULES[op.kind](step)


def _conv(step: Step) -> Sequence[State]:
    return [layers.conv(step.op, step.data, step.shape, step.unit, cut=step.cut)]


def _conv_transpose(step: Step) -> Sequence[State]:
    return [layers.conv_transpose(step.op, step.data, step.shape, step.unit, cut=step.cut)]


def _matmul(step: Step) -> Sequence[State]:
    return [layers.matmul(step.op, step.states, step.shape, step.unit, cut=step.cut)]


def _gemm(step: Step) -> Sequence[State]:
    return [layers.gemm(step.op, step.states, step.shape, step.unit, cut=step.cut)]


def _same(step: Step) -> Sequence[State]:
    return [step.data]


def _function(step: Step) -> Sequence[State]:
    function = elementwise.function_of(step.op)
    if function is None:
        raise NoBoundError(f"{step.op.kind}: its parameters are computed")
    opset = step.graph.header.opset
    return [elementwise.applied(step.op, function, step.data, step.unit, opset)]


def _sum(step: Step) -> Sequence[State]:
    terms = [step.state(i) for i in range(len(step.states))]
    return [elementwise.added(terms, step.shape, step.unit, step.op)]


def _extreme(step: Step) -> Sequence[State]:
    """Max and Min."""
    terms = [step.state(i) for i in range(len(step.states))]
    return [elementwise.extreme(terms, step.shape)]


def _product(step: Step) -> Sequence[State]:
    """Mul and Div by a constant."""
    arrays = [None if value is None else value.array for value in step.op.operands]
    divides = step.op.kind == "Div"
    for data, other in ((0, 1),) if divides else ((0, 1), (1, 0)):
        array = arrays[other]
        if array is None:
            continue
        factor = np.asarray(array, np.float64)
        if divides and not factor.all():
            raise NoBoundError("Div: by zero")
        return [
            elementwise.scaled(
                step.state(data),
                1 / factor if divides else factor,
                step.shape,
                step.unit,
                step.op,
                # The constant may be rounded, and its reciprocal taken.
                roundings=3 if divides else 2,
            )
        ]
    raise NoBoundError(f"{step.op.kind}: both operands are computed")


def _normalization(step: Step) -> Sequence[State]:
    """BatchNormalization with constant statistics."""
    op, state = step.op, step.data
    arrays = [layers.weight_of(op, i)[0].astype(np.float64) for i in range(1, 5)]
    if op.attributes.get("training_mode", 0):
        raise NoBoundError("BatchNormalization: in training form")
    gain, bias, mean, variance = (a.reshape(-1, *(1,) * (state.rank - 2)) for a in arrays)
    epsilon = op.attributes.get("epsilon", 1e-5)
    assert isinstance(epsilon, float)
    factor = gain / np.sqrt(variance + epsilon)
    # On its way to the factor: the sum, the root, the quotient, and the four stored numbers.
    moved = elementwise.scaled(state, factor, step.shape, step.unit, op, roundings=8)
    offset = bias - mean * factor
    terms = np.abs(bias) + np.abs(mean * factor)
    source = (op, "shift")
    shift = replace(
        constant(offset, None, source),
        error=gamma(10, step.unit) * terms,
        noise={frozenset({source}): fresh(terms**2, 10, step.unit, offset.ndim)},
    )
    return [elementwise.added([moved, shift], step.shape, step.unit, (op, "sum"))]


def _average(step: Step) -> Sequence[State]:
    return [pooling.average_pool(step.op, step.data, step.shape, step.unit)]


def _maximum(step: Step) -> Sequence[State]:
    return [pooling.max_pool(step.op, step.data, step.shape)]


def _mean_over_axes(step: Step) -> Sequence[State]:
    """GlobalAveragePool and ReduceMean."""
    state, op = step.data, step.op
    axes = tuple(range(2, state.rank))
    if op.kind == "ReduceMean":
        given = step.ints(1, "axes")
        axes = tuple(axis % state.rank for axis in given or range(state.rank))
    sizes = [state.shape[axis] for axis in axes]
    count = volume(sizes, op.kind)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(state.shape))
    counts = pooling.Counts(count, count, 1, 1.0)
    mean = pooling.averaged(state, kept, axes, counts, unit=step.unit, source=op)
    return [movement.reshaped(kept, step.shape)(mean)]


def _cast(step: Step) -> Sequence[State]:
    """A cast rounds where the new type has fewer digits."""
    one = np.ones(1)
    return [elementwise.scaled(step.data, one, step.shape, step.unit, step.op)]


_FUNCTIONS = (
    *elementwise.FUNCTIONS,
    *("Clip", "LeakyRelu", "PRelu", "Elu", "Celu", "Selu", "HardSigmoid"),
)

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "Add": _sum,
        "AveragePool": _average,
        "BatchNormalization": _normalization,
        "Cast": _cast,
        "Concat": rearranging.concat,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "DepthToSpace": rearranging.depth_to_space,
        "Div": _product,
        "Dropout": _same,
        "Expand": rearranging.repeat,
        "Flatten": rearranging.reshape,
        "Gather": rearranging.gather,
        "Gemm": _gemm,
        "GlobalAveragePool": _mean_over_axes,
        "Identity": _same,
        "MatMul": _matmul,
        "Max": _extreme,
        "MaxPool": _maximum,
        "Min": _extreme,
        "Mul": _product,
        "Pad": rearranging.pad,
        "ReduceMean": _mean_over_axes,
        "Reshape": rearranging.reshape,
        "Resize": rearranging.resize,
        "Slice": rearranging.slice_,
        "SpaceToDepth": rearranging.space_to_depth,
        "Split": rearranging.split,
        "Squeeze": rearranging.reshape,
        "Sub": _sum,
        "Sum": _sum,
        "Tile": rearranging.repeat,
        "Transpose": rearranging.transpose,
        "Unsqueeze": rearranging.reshape,
        "Upsample": rearranging.resize,
        **dict.fromkeys(_FUNCTIONS, _function),
    }
)


def elements(state: State) -> int:
    """How many numbers a value has."""
    found = volume(state.shape, "the result")
    return max(found, 1)
