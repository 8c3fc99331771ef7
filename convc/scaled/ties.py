"""Which sizes depend on each other, op by op.

A rule takes a `Site` and gives the dims of the op's results. On the way it unifies what must stay
equal and writes into the plan what has to follow: the shapes of weights, groups, the targets of
reshapes, the bounds of slices. A rule raises ValueError, KeyError or IndexError where the op is not
one it can follow; then all of the op's operands are fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from convc.conv import group_of
from convc.graph import Graph
from convc.ir import Op
from convc.scaled.layout import LAYOUT
from convc.scaled.plan import Dims, Plan, Site
from convc.scaled.sizes import (
    Sum,
    fix,
    number,
    numbers,
    size_of,
    times,
    unify,
    unknown,
    varies,
)

Rule: TypeAlias = Callable[[Site], "Sequence[Dims]"]


def tie(graph: Graph, plan: Plan) -> None:
    """Finds the dims of all values from those of the inputs, which ``plan.dims`` holds already."""
    for op in graph.ops():
        if op.is_boundary:
            continue
        if op.array is not None:
            plan.dims[op.result] = numbers(op.array.shape)
            continue
        found = _apply(plan, op, graph.header.opset)
        if found is None:
            plan.forget(op)
            found = plan.as_is(op)
        plan.dims.update(zip(op.results, found, strict=True))


def _apply(plan: Plan, op: Op, opset: int) -> list[Dims | None] | None:
    """The dims of the results; None where the op is not one that can be followed."""
    rule = RULES.get(op.kind) if not op.domain and not op.captures else None
    if rule is None:
        return None
    try:
        known = list(rule(Site(plan, op, opset)))
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    for value, dims in zip(op.results, known, strict=False):
        if tuple(map(size_of, dims)) != plan.facts[value].shape:
            fix(*dims)
            return None
    # Further results (running means, say) are no part of what is followed.
    return [*known[: len(op.results)], *plan.as_is(op)[len(known) :]]


def _same(site: Site) -> Sequence[Dims]:
    return [site.dims(0) for _ in site.op.results]


def _measure(site: Site) -> Sequence[Dims]:
    """A shape is made of numbers; what it measures may change."""
    return [numbers(site.result())]


def _elementwise(site: Site) -> Sequence[Dims]:
    return [broadcast([site.follower(i) for i in range(len(site.op.inputs))])]


def broadcast(operands: Sequence[Dims]) -> Dims:
    """Ties axes that meet; one of size 1 that meets a larger one stays 1."""
    rank = max(map(len, operands))
    padded = [(number(1),) * (rank - len(dims)) + dims for dims in operands]
    return tuple(_meet(column) for column in zip(*padded, strict=True))


def _meet(column: Sequence[Sum]) -> Sum:
    large = [dim for dim in column if size_of(dim) != 1]
    if large:
        fix(*(dim for dim in column if size_of(dim) == 1))
    # Among ones a number broadcasts still when the others have grown.
    tied = large or [dim for dim in column if varies(dim)] or column[:1]
    for dim in tied[1:]:
        unify(tied[0], dim)
    return tied[0]


def _normalisation(site: Site) -> Sequence[Dims]:
    dims = site.dims(0)
    for index in range(1, len(site.op.inputs)):
        unify(dims[1], site.joined(index)[0])
    return [dims]


def _layer_norm(site: Site) -> Sequence[Dims]:
    dims = site.dims(0)
    for index in range(1, len(site.op.inputs)):
        if site.has(index):
            broadcast([dims, site.follower(index)])
    return [dims]


def _conv(site: Site) -> Sequence[Dims]:
    data, group = site.dims(0), group_of(site.op)
    fix(*data[2:])
    kernel = site.kernel(1, 1, 0)
    channels = size_of(data[1])
    if 1 < group == channels:
        # A filter or more for each channel: the groups are the channels.
        fix(kernel[1])
        outputs = times(data[1], size_of(kernel[0]) // channels)
        site.plan.attributes[site.op, "group"] = (data[1],)
        unify(kernel[0], outputs)
    else:
        unify(data[1], times(kernel[1], group))
        outputs = _in_groups(kernel[0], group)
    _bias(site, outputs)
    return [(data[0], outputs, *numbers(site.result()[2:]))]


def _in_groups(outputs: Sum, group: int) -> Sum:
    """Output channels of which every group makes the same number."""
    if group > 1:
        from_each = size_of(outputs) // group
        share = _like(outputs, from_each)
        unify(outputs, times(share, group))
    return outputs


def _like(dim: Sum, size: int) -> Sum:
    """A new dim of another size that scales as ``dim`` does."""
    factor = next((u.factor for _, u in dim if u is not None), None)
    return number(size) if factor is None else unknown(size, factor)


def _bias(site: Site, outputs: Sum) -> None:
    if site.has(2):
        unify(outputs, site.joined(2)[0])


def _conv_transpose(site: Site) -> Sequence[Dims]:
    data, group = site.dims(0), group_of(site.op)
    fix(*data[2:])
    kernel = site.kernel(1, 0, 1)
    if 1 < group == size_of(data[1]):
        fix(kernel[1])
        site.plan.attributes[site.op, "group"] = (data[1],)
        unify(data[1], kernel[0])
        outputs = times(data[1], size_of(kernel[1]))
    else:
        unify(data[1], _in_groups(kernel[0], group))
        outputs = times(kernel[1], group)
    _bias(site, outputs)
    return [(data[0], outputs, *numbers(site.result()[2:]))]


def _gemm(site: Site) -> Sequence[Dims]:
    a = site.dims(0)
    rows, inner = reversed(a) if site.op.attributes.get("transA") else a
    source = 1 if site.op.attributes.get("transB") else 0
    b = site.kernel(1, source, 1 - source)
    unify(inner, b[source])
    result = (rows, b[1 - source])
    if site.has(2):
        broadcast([result, site.follower(2)])
    return [result]


def _matmul(site: Site) -> Sequence[Dims]:
    a = site.follower(0)
    b = site.kernel(1, -2, -1)
    if min(len(a), len(b)) < 2:
        raise ValueError("a product with a vector")
    unify(a[-1], b[-2])
    if site.op.operands[0] is not None and site.op.operands[0].array is not None:
        fix(*a[:-1])
    return [(*broadcast([a[:-2], b[:-2]]), a[-2], b[-1])]


def _window(site: Site) -> Sequence[Dims]:
    """Pools: the axes behind the second are no channels."""
    dims = site.dims(0)
    fix(*dims[2:])
    return [(*dims[:2], *numbers(site.result()[2:])) for _ in site.op.results]


def _scatter(site: Site) -> Sequence[Dims]:
    """ScatterND: as many updates as indices, each of the data's shape behind the indexed axes."""
    data, indices, updates = site.dims(0), site.joined(1), site.dims(2)
    fix(indices[-1])
    for a, b in zip(indices[:-1], updates, strict=False):
        unify(a, b)
    behind = updates[len(indices) - 1 :]
    for a, b in zip(behind, data[size_of(indices[-1]) :], strict=True):
        unify(a, b)
    return [data]


def _recurrent(site: Site) -> Sequence[Dims]:
    """The batch may change, the hidden size stays."""
    if site.op.attributes.get("layout"):
        raise ValueError("batch first")
    data = site.dims(0)
    fix(data[2])
    if site.has(4):
        unify(data[1], site.joined(4)[0])
    for index in (5, 6):
        if site.has(index):
            directions, batch, hidden = site.joined(index)
            fix(directions, hidden)
            unify(data[1], batch)
    y, *states = [site.result(i) for i in range(len(site.op.results))]
    result = (data[0], number(y[1]), data[1], number(y[3]))
    return [result, *((number(s[0]), data[1], number(s[2])) for s in states)]


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(
            ("Abs", "BitwiseNot", "Cast", "Ceil", "Celu", "Clip", "Cos", "CumSum", "Dropout",
             "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Hardmax",
             "Identity", "IsInf", "IsNaN", "LRN", "LeakyRelu", "Log", "LogSoftmax",
             "LpNormalization", "MeanVarianceNormalization", "Mish", "Neg", "Not", "Reciprocal",
             "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softmax", "Softplus", "Softsign",
             "Sqrt", "Tan", "Tanh", "ThresholdedRelu"),
            _same,
        ),
        **dict.fromkeys(
            ("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
             "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where",
             "Xor"),
            _elementwise,
        ),
        **dict.fromkeys(
            ("AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool",
             "MaxPool"),
            _window,
        ),
        **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
        "BatchNormalization": _normalisation,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "Gemm": _gemm,
        "InstanceNormalization": _normalisation,
        "LayerNormalization": _layer_norm,
        "MatMul": _matmul,
        "ScatterND": _scatter,
        "Shape": _measure,
        "Size": _measure,
        **LAYOUT,
    }
)  # fmt: skip
