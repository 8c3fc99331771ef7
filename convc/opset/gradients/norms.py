"""Gradients of the kinds that normalise: by statistics of the data, or to a sum of one.

Batch normalization is taken in its training form, with the statistics of the batch, as Ioffe &
Szegedy (2015), "Batch Normalization", section 3, differentiate it. With n elements, R means (one
per channel, instance or group), x̂ = (x − μ)·r and r = 1/√(σ² + ε):

    dβ = Σ dY          dγ = Σ dY·x̂          dX = γ·r·(dY − mean(dY) − x̂·mean(dY·x̂))

x is kept, with μ and r for each mean; x̂ is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType

from convc.graph import Graph
from convc.ir import Op
from convc.opset.gradients.parts import (
    CountedRule,
    Gradient,
    NotKnownError,
    count,
    gradient,
    sizes,
    summed,
)
from convc.opset.work.counts import Work


def channelwise(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """BatchNormalization (R = C) and InstanceNormalization (R = N·C): γ is constant in a mean.

    The two sums per mean serve dβ and dγ as well as dX, and are counted with dβ and dγ:

    - Σ dY: n − R additions; Σ dY·x̂: 2n multiplications, 2n − R additions, x̂ among them;
    - their sums over N where R > C: R − C additions each;
    - dX from them: 2n + R multiplications, 2n additions, 2R divisions.
    """
    shape = sizes(graph, op.operand(0))
    elements, channels = prod(shape), shape[1] if len(shape) > 1 else 1
    means = channels if op.kind == "BatchNormalization" else prod(shape[:2])
    means = means if elements else 0
    asked = wanted & {0, 1, 2}
    plain = Work(additions=summed(elements, means))
    scaled = Work(multiplications=2 * elements, additions=2 * elements - means)
    works: dict[int, Work] = {}
    if 2 in asked:
        works[2] = plain + Work(additions=summed(means, channels))
    if 1 in asked:
        works[1] = scaled + Work(additions=summed(means, channels))
    if 0 in asked:
        works[0] = Work(
            multiplications=2 * elements + means, additions=2 * elements, divisions=2 * means
        )
        works[0] += Work() if 2 in asked else plain
        works[0] += Work() if 1 in asked else scaled
    return _normalised(op, works, means, needs_data=bool(asked & {0, 1}))


def elementwise(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """LayerNormalization and GroupNormalization: γ varies within a mean.

    With g = γ·dY the sums are Σ g and Σ g·x̂: dX = r·(g − mean(g) − x̂·mean(g·x̂)) takes 4n
    multiplications, 4n − 2R additions, 2R divisions; x̂ takes n more of each of the first two,
    dγ = Σ dY·x̂ n multiplications and n − |γ| additions, dβ n − |β| additions.
    """
    shape = sizes(graph, op.operand(0))
    elements, means = prod(shape), _means(op, shape)
    if not elements:
        means = 0
    works: dict[int, Work] = {}
    normalised = Work(multiplications=elements, additions=elements)
    if 0 in wanted:
        works[0] = normalised + Work(
            multiplications=4 * elements, additions=4 * elements - 2 * means, divisions=2 * means
        )
    if 1 in wanted:
        additions = summed(elements, count(graph, op.operand(1)))
        works[1] = Work(multiplications=elements, additions=additions)
        works[1] += Work() if 0 in wanted else normalised
    if 2 in wanted:
        works[2] = Work(additions=summed(elements, count(graph, op.operand(2))))
    return _normalised(op, works, means, needs_data=bool(wanted & {0, 1}))


def _means(op: Op, shape: tuple[int, ...]) -> int:
    if op.kind == "GroupNormalization":
        groups = op.attributes.get("num_groups", 1)
        return shape[0] * (groups if isinstance(groups, int) else 1)
    axis = op.attributes.get("axis", -1)
    if not isinstance(axis, int):
        raise NotKnownError
    return prod(shape[:axis])


def _normalised(op: Op, works: dict[int, Work], means: int, *, needs_data: bool) -> Gradient:
    data = op.operand(0)
    if data is None or data.dtype is None:
        raise NotKnownError
    return gradient(
        op,
        works,
        keeps=[data] if needs_data else (),
        keeps_bytes=2 * means * data.dtype.itemsize if needs_data else 0,
    )


def softmax(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Softmax: y·(dY − Σ dY·y), the result kept: with R sums 2n products, 2n − R additions."""
    elements, sums = _rows(graph, op, wanted)
    return gradient(
        op,
        {0: Work(multiplications=2 * elements, additions=2 * elements - sums)},
        keeps=[op.result],
    )


def log_softmax(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """LogSoftmax: dY − exp(y)·Σ dY, the result kept."""
    elements, sums = _rows(graph, op, wanted)
    work = Work(multiplications=elements, additions=2 * elements - sums, functions=elements)
    return gradient(op, {0: work}, keeps=[op.result])


def _rows(graph: Graph, op: Op, wanted: frozenset[int]) -> tuple[int, int]:
    """Elements and sums: one axis since opset 13, all axes from ``axis`` on before."""
    shape = sizes(graph, op.operand(0))
    old = graph.header.opset < 13
    axis = op.attributes.get("axis", 1 if old else -1)
    if wanted != {0} or not isinstance(axis, int):
        raise NotKnownError
    elements = prod(shape)
    if not elements:
        return 0, 0
    if not shape:
        return 1, 1
    if not -len(shape) <= axis < len(shape):
        raise NotKnownError
    return elements, prod(shape[:axis]) if old else elements // shape[axis]


NORMS: Mapping[str, CountedRule] = MappingProxyType(
    {
        "BatchNormalization": channelwise,
        "InstanceNormalization": channelwise,
        "LayerNormalization": elementwise,
        "GroupNormalization": elementwise,
        "Softmax": softmax,
        "LogSoftmax": log_softmax,
    }
)
