"""Smaller copies of a region and its replacement that show every border behaviour there is.

What an output position computes depends on its phase (its place in the period of the strides), on
its distance from the begin of the axis and on that from the end, as far as these are within the
reach of the region's windows, and on nothing else. If an axis is shortened by a multiple of the
period so that twice the reach and a period are left, every combination that occurred still occurs,
at a position of its own: two graphs that agree on the short axis agree on the long one. See
docs/proof.md for the argument, and `convc.proof.tracks` for the ops of which it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.proof.axes import Axis, Plan, unify
from convc.proof.tracks import follow, still

SMALL = 2**14
"""Elements of the largest value up to which there is nothing to gain."""


def shrunk(region: Graph, replacement: Graph) -> tuple[Graph, Graph] | None:
    """The two with smaller fixed sizes; None where that cannot be, or is not worth it.

    Args:
        region: its outputs are the replacement's inputs, then what the replacement's outputs are
            to be equal to.
        replacement: as in a rewrite.
    """
    if max(map(_elements, (region, replacement))) <= SMALL:
        return None
    small, other = region.clone(), replacement.clone()
    plan = Plan()
    known = {value: _tracks(plan, value) for value in small.inputs}
    _follow(plan, small, known)
    given = [known[value] for value in small.outputs]
    inputs = dict(zip(other.inputs, given, strict=False))
    _follow(plan, other, inputs)
    for old, value in zip(given[len(other.inputs) :], other.outputs, strict=True):
        new = inputs[value]
        if len(old) != len(new):
            return None
        plan.note(value, [unify(pair) for pair in zip(old, new, strict=True)])
    sizes = plan.sizes()
    if not sizes:
        return None
    for (value, axis), size in sizes.items():
        _set_size(value, axis, size)
    return small, other


def _tracks(plan: Plan, value: Value) -> Sequence[Axis]:
    """Each axis of an input of a fixed size above 1 on a grid of its own."""
    fixed = still(value)
    sizes = value.shape or ()
    axes = [
        plan.new() if isinstance(size, int) and size > 1 else axis
        for size, axis in zip(sizes, fixed, strict=True)
    ]
    plan.note(value, axes)
    return axes


def _follow(plan: Plan, graph: Graph, known: dict[Value, Sequence[Axis]]) -> None:
    for op in graph.ops():
        if op.is_boundary:
            continue
        if op.array is not None:
            known[op.result] = still(op.result)
            continue
        for value, axes in zip(op.results, follow(graph, op, known), strict=True):
            known[value] = axes
            plan.note(value, axes)


def _elements(graph: Graph) -> int:
    """Elements of the largest value, the open sizes as they are costed."""
    shapes = (graph.concrete_shape(value) for op in graph.ops() for value in op.results)
    return max((prod(shape) for shape in shapes if shape is not None), default=0)


def _set_size(value: Value, axis: int, size: int) -> None:
    assert isinstance(value.type, TensorType)
    assert value.type.shape is not None
    shape = value.type.shape
    value.type = TensorType(value.type.dtype, (*shape[:axis], size, *shape[axis + 1 :]))
