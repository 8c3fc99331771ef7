"""What-ifs: the same network with another batch, other input sizes, channels or padding.

Every function gives a new graph for costing and leaves the one it was given as it is. Where the
shape of a weight changes, zeros without memory take its place; attributes and constants that say
sizes (groups, the targets of reshapes, bounds of slices) follow. All shapes are found anew from the
inputs on; what does not fit any more is not known, and `Scaled.notes` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from convc.concrete import walk
from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import Value
from convc.scaled.padding import padded_attributes
from convc.scaled.plan import Dims, Plan
from convc.scaled.rebuild import Scaled, rebuild
from convc.scaled.sizes import ONE, Sum, fix, number, numbers, unknown
from convc.scaled.ties import tie

__all__ = ["Scaled", "scale_channels", "scale_padding", "with_batch", "with_input_sizes"]


def scale_channels(graph: Graph, factor: Fraction | float) -> Scaled:
    """All inner channels times ``factor``: those the network's inputs and outputs do not fix.

    The outputs of every Conv, ConvTranspose, Gemm and MatMul with constant weights are scaled where
    no op ties them to a graph input or output, or to an op that convc cannot follow. Of a grouped
    conv the channels of each group are scaled and the number of groups stays; the groups of a
    depthwise conv are its channels. Hidden sizes of recurrent ops stay. Sizes are rounded to the
    nearest, 1 at least, where groups say so within each group.

    Raises UsageError where the factor is not positive.
    """
    exact = _fraction(factor, "--scale-channels")
    if exact <= 0:
        raise UsageError(f"--scale-channels {factor}: the factor must be positive")
    facts = walk(graph)
    plan = Plan(facts, exact)
    for value in graph.inputs:
        shape = facts[value].shape
        plan.dims[value] = None if shape is None else numbers(shape)
    tie(graph, plan)
    for value in graph.outputs:
        fix(*(plan.dims[value] or ()))
    return rebuild(graph, plan)


def scale_padding(graph: Graph, factor: Fraction | float) -> Scaled:
    """The padding of every Conv and pool times ``factor``, rounded to the nearest.

    What ``auto_pad`` gives at the present sizes is taken for padding as well. The padding of a
    ConvTranspose crops its output and stays.

    Raises UsageError where the factor is negative.
    """
    exact = _fraction(factor, "--scale-padding")
    if exact < 0:
        raise UsageError(f"--scale-padding {factor}: the factor must not be negative")
    plan = _plain(graph)
    attributes = {op: padded_attributes(op, plan.facts, exact) for op in graph.ops()}
    return rebuild(graph, plan, {op: changed for op, changed in attributes.items() if changed})


def with_batch(graph: Graph, batch: int) -> Scaled:
    """Every input's batch is ``batch``, also where the file fixes it.

    The batch is the first axis of the inputs of rank 2 and more; it is as large as that of the
    first of them, and what has another size there is no batch. Where an input has its batch
    elsewhere (states of a recurrent network) it follows, as do constants and the sizes that the
    network says of itself.

    Raises UsageError where the batch is negative or no input has one.
    """
    if batch < 0:
        raise UsageError(f"--batch {batch}: the batch must not be negative")
    plan = _plain(graph)
    shapes = {value: plan.facts[value].shape for value in graph.inputs}
    now = next((shape[0] for shape in shapes.values() if shape and len(shape) > 1), None)
    if now is None:
        raise UsageError(f"--batch {batch}: no input has a batch axis (it needs two axes)")
    for value, shape in shapes.items():
        if shape is not None and len(shape) > 1 and shape[0] == now:
            plan.dims[value] = (_given(now, batch), *numbers(shape[1:]))
        elif shape is not None:
            plan.dims[value] = tuple(unknown(n) if n == now else number(n) for n in shape)
    tie(graph, plan)
    return rebuild(graph, plan)


def with_input_sizes(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> Scaled:
    """The inputs of these names get these shapes, also where the file fixes theirs.

    Raises UsageError where the graph has no such input, its rank is another, or a size is negative.
    """
    plan = _plain(graph)
    inputs = {value.name: value for value in graph.inputs}
    for name, shape in shapes.items():
        if name not in inputs:
            raise UsageError(f"no input is named {name!r}; inputs: {', '.join(inputs)}")
        old = plan.facts[inputs[name]].shape
        if old is None or len(old) != len(shape) or min(shape, default=0) < 0:
            told = "unknown" if old is None else f"{len(old)} axes"
            raise UsageError(f"input {name!r} cannot have the shape {shape}: it has {told}")
        plan.dims[inputs[name]] = tuple(
            number(now) if now == size else _given(now, size)
            for now, size in zip(old, shape, strict=True)
        )
    tie(graph, plan)
    return rebuild(graph, plan)


def _plain(graph: Graph) -> Plan:
    """A plan in which nothing changes yet."""
    facts = walk(graph)
    plan = Plan(facts)
    for op in graph.ops():
        for value in op.results:
            plan.dims[value] = _present(plan, value)
    return plan


def _present(plan: Plan, value: Value) -> Dims | None:
    shape = plan.facts[value].shape
    return None if shape is None else numbers(shape)


def _given(now: int, size: int) -> Sum:
    return unknown(now, Fraction(size, now) if now else ONE, given=True)


def _fraction(factor: Fraction | float, flag: str) -> Fraction:
    try:
        return Fraction(factor)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{flag} {factor}: not a number") from error
