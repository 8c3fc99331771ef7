"""One training step as a list of moments, and the memory that it takes by liveness.

Each op runs forward in the file's order, then backward in reverse. A buffer lives from the first
moment that touches it to the last:

- a forward value from its op to its last user, or to the last backward op that keeps it;
- the gradient of a value from the backward of its last user to that of its producer;
- masks, indices and statistics from the forward to the backward of their op.

Views share the memory of their source, and so do their gradients. Every other value has memory of
its own: nothing is computed in place, and what an op needs while it runs is not counted. Inputs
count until they are read for the last time. Weights and their gradients are there all the time and
are counted elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from convc.costs.training.flow import OpBackward
from convc.graph import Graph
from convc.ir import Op, Value
from convc.opset.gradients.parts import source

Numbers = Sequence[int]


@dataclass(frozen=True, slots=True)
class Tape:
    """What each op reads, makes and keeps; ops by their place in the order, buffers by number.

    Of n values, those up to n are the buffers of the values themselves, the next n those of their
    gradients; then come, for each op, what it keeps besides.

    Attributes:
        ops: all but constants, in the file's order, the output last.
        reads: the values that each op reads.
        makes: the values that it makes, views left out.
        keeps: the values that its backward pass reads.
        extra: bytes that it keeps besides.
        forward: the buffers that its forward pass touches.
        backward: the buffers that its backward pass touches; none where it has none. That of the
            output is the loss.
        sizes: bytes of each buffer.
        held: values that are there in any case: inputs and outputs of the graph.
        unsized: values left out because their size is not known.
    """

    ops: Sequence[Op]
    reads: Sequence[Numbers]
    makes: Sequence[Numbers]
    keeps: Sequence[Numbers]
    extra: Numbers
    forward: Sequence[Numbers]
    backward: Sequence[Numbers]
    sizes: Numbers
    held: frozenset[int]
    unsized: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """The memory of one training step, in bytes.

    Attributes:
        kept: kept from the forward pass for the backward pass.
        peak: the most that values and gradients take at once.
        again: the ops that ran a second time, by number.
    """

    kept: int
    peak: int
    again: Numbers


def record(graph: Graph, found: Mapping[Op, OpBackward]) -> Tape:
    """Writes down one training step; ``found`` is what `backward` says of the graph."""
    ops = [op for op in graph.ops() if op is not graph.output and op.array is None]
    ops.append(graph.output)
    numbers: dict[Value, int] = {}

    def number(values: Iterable[Value | None]) -> Numbers:
        sources = dict.fromkeys(source(value) for value in values if value is not None)
        return [numbers.setdefault(value, len(numbers)) for value in sources if value.array is None]

    steps = [found.get(op) for op in ops]
    known = [None if step is None else step.gradient for step in steps]
    reads = [number(op.operands) for op in ops]
    makes = [number(value for value in op.results if source(value) is value) for op in ops]
    keeps = [() if gradient is None else number(gradient.keeps) for gradient in known]
    flowing = [() if step is None else number((*step.received, *step.given)) for step in steps]
    received = {value for step in found.values() for value in step.received}
    flowing[-1] = number(value for value in graph.outputs if value in received)
    held = frozenset(number((*graph.inputs, *graph.outputs)))
    sizes = [graph.nbytes(value) for value in numbers]
    extra = [0 if gradient is None else gradient.keeps_bytes for gradient in known]
    count = len(sizes)
    besides = [[2 * count + op] if size else [] for op, size in enumerate(extra)]
    return Tape(
        ops,
        reads,
        makes,
        keeps,
        extra,
        [[*r, *m, *b] for r, m, b in zip(reads, makes, besides, strict=True)],
        [
            [*k, *(value + count for value in f), *b]
            for k, f, b in zip(keeps, flowing, besides, strict=True)
        ],
        [*(size or 0 for size in sizes * 2), *extra],
        held,
        tuple(value for value, size in zip(numbers, sizes, strict=True) if size is None),
    )


def play(tape: Tape, cuts: Sequence[tuple[int, int]] = ()) -> Played:
    """Runs one training step.

    Args:
        tape: the step.
        cuts: for each checkpoint the op after which it is, and the value that is kept there; all
            else that was made before the last one is computed again.
    """
    stored = tape.held.union(value for _, value in cuts)
    ends = [0, *(op + 1 for op, _ in cuts), len(tape.ops)]
    moments = list(tape.forward)
    moments += filter(None, reversed(tape.backward[ends[-2] :]))
    again: list[int] = []
    for start, end in reversed(list(pairwise(ends[:-1]))):
        rerun, made = _rerun(tape, range(start, end), stored)
        moments += (_copies(tape, tape.forward[op], made) for op in rerun)
        back = filter(None, reversed(tape.backward[start:end]))
        moments += (_copies(tape, buffers, made) for buffers in back)
        again += rerun
    # A copy of a buffer, made again, is a buffer of its own.
    sizes = [*tape.sizes, *tape.sizes]
    first, last = [-1] * len(sizes), [-1] * len(sizes)
    for moment, buffers in enumerate(moments):
        for buffer in buffers:
            last[buffer] = moment
    for moment in reversed(range(len(moments))):
        for buffer in moments[moment]:
            first[buffer] = moment
    alive = [0] * (len(moments) + 1)
    kept, loss = 0, len(tape.ops)
    for size, begin, end in zip(sizes, first, last, strict=True):
        if size and begin >= 0:
            alive[begin] += size
            alive[end + 1] -= size
            kept += size if begin < loss <= end else 0
    return Played(kept, max(accumulate(alive)), again)


def _copies(tape: Tape, buffers: Numbers, made: frozenset[int]) -> Numbers:
    offset = len(tape.sizes)
    return [buffer + offset if buffer in made else buffer for buffer in buffers]


def _rerun(tape: Tape, block: range, stored: frozenset[int]) -> tuple[list[int], frozenset[int]]:
    """The ops of a block that lead to what its backward pass reads, and the buffers made again."""
    needed = {value for op in block for value in tape.keeps[op]} - stored
    besides = len(tape.sizes) - len(tape.ops)
    ops: list[int] = []
    for op in reversed(block):
        # A view makes nothing, and costs nothing to have again.
        if tape.extra[op] or not needed.isdisjoint(tape.makes[op]):
            ops.append(op)
            needed.update(value for value in tape.reads[op] if value not in stored)
    return ops[::-1], frozenset(needed).union(besides + op for op in ops if tape.extra[op])
