"""The memory that activations need, by liveness, in the file's order and in a better one.

What counts as a buffer and for how long is written down in `convc.costs.memory.liveness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convc.costs.memory.liveness import Liveness, liveness
from convc.costs.memory.orders import best_order, lower_bound, steps
from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, Op, Value


@dataclass(frozen=True, slots=True)
class Memory:
    """What the activations of one forward run need, in bytes, at the graph's ``sizes``.

    Attributes:
        file_peak: the most that is alive at once in the file's order.
        best_peak: the same in ``best_order``; never more than ``file_peak``.
        best_order: all ops of the graph, in the best order found; the file's own where no other
            has a lower peak.
        lower_bound: no order needs less: the inputs with the largest op's operands and results, or
            with all outputs.
        at: the op of the file's order that runs when ``file_peak`` is first reached; the graph's
            ``Output`` where no op needs more than what is fed.
        alive: the values alive there and their bytes, largest first; the bytes add up to
            ``file_peak``. One value stands for all that share its buffer.
        timeline: bytes alive while each op of ``graph.ops()`` runs.
        unknown: values that count nothing because their size is not known.
    """

    file_peak: int
    best_peak: int
    best_order: tuple[Op, ...]
    lower_bound: int
    at: Op
    alive: tuple[tuple[Value, int], ...]
    timeline: tuple[int, ...]
    unknown: int


def peak_activation_bytes(graph: Graph, order: Sequence[Op] | None = None) -> int:
    """The most bytes that are alive at once while ``graph`` runs once, in the file's order.

    That is what a runtime needs for activations if it frees each value after its last use: the
    inputs, which the caller holds throughout, the outputs from the op that makes them to the end,
    and every other value up to its last user, an op's operands and results together. Views are no
    values of their own, and an activation function writes over its operand where that is not needed
    any more. Weights do not count, nor does what an op takes for itself while it runs. Values of
    unknown size count nothing (`activation_memory` says how many there are).

    Args:
        graph: whose activations, at its ``sizes``.
        order: ops in the order in which they run, operands before users; boundaries and constants
            may be left out. None: the file's.

    Raises ValueError where ``order`` leaves out an op, repeats one or has one before its operands.
    """
    live = liveness(graph)
    numbers = range(len(live.ops)) if order is None else _numbers(live, order)
    return max(steps(live, numbers).during, default=live.held)


def activation_memory(graph: Graph) -> Memory:
    """The memory of the activations of ``graph``, with the best order found.

    Orders tried are those of `convc.costs.memory.orders`.
    """
    live = liveness(graph)
    found = steps(live, range(len(live.ops)))
    peak = max(found.during, default=live.held)
    where = found.during.index(peak) if live.ops else 0
    order = best_order(live)
    best = max(steps(live, order).during, default=live.held)
    return Memory(
        file_peak=peak,
        best_peak=best,
        best_order=_whole(graph, live, order) if best < peak else graph.ops(),
        lower_bound=lower_bound(live),
        at=live.ops[where] if live.ops else graph.output,
        alive=_alive(live, where),
        timeline=_timeline(graph, live, found.during, found.after),
        unknown=live.unknown,
    )


def _numbers(live: Liveness, order: Sequence[Op]) -> list[int]:
    number = {op: i for i, op in enumerate(live.ops)}
    found = [number[op] for op in order if op in number]
    position = {op: i for i, op in enumerate(found)}
    if len(position) < len(live.ops) or len(found) > len(position):
        raise ValueError("an order must have every op once")
    for op, waited_for in enumerate(live.producers):
        if any(position[other] > position[op] for other in waited_for):
            raise ValueError(f"{live.ops[op]!r} comes before its operands")
    return found


def _whole(graph: Graph, live: Liveness, order: Sequence[int]) -> tuple[Op, ...]:
    sources = [op for op in graph.ops() if op.kind in (INPUT, CONSTANT) and not op.domain]
    return (*sources, *(live.ops[i] for i in order), graph.output)


def _alive(live: Liveness, where: int) -> tuple[tuple[Value, int], ...]:
    """The values alive while op ``where``, where the peak is first reached, runs.

    That op writes over no operand: it would add nothing to what was alive before it.
    """
    found = list(live.inputs)
    for op, buffers in enumerate(live.makes[: where + 1]):
        for buffer in buffers:
            last = live.readers[buffer][-1] if live.readers[buffer] else op
            if live.kept[buffer] or last >= where:
                found.append((live.values[buffer], live.sizes[buffer]))
    return tuple(sorted(found, key=lambda entry: -entry[1]))


def _timeline(
    graph: Graph, live: Liveness, during: Sequence[int], after: Sequence[int]
) -> tuple[int, ...]:
    """``during`` for the ops that run; the others find what the op before them left."""
    runs = iter(zip(live.ops, during, after, strict=True))
    waiting = next(runs, None)
    now, found = live.held, []
    for op in graph.ops():
        if waiting is None or op is not waiting[0]:
            found.append(now)
            continue
        found.append(waiting[1])
        now = waiting[2]
        waiting = next(runs, None)
    return tuple(found)
