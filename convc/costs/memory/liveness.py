"""Which buffers live when: the memory model behind `convc.costs.memory`, in plain numbers.

A value lives from the op that makes it to its last user. Three things make buffers fewer than
values, and all three were found by tracing what onnxruntime's CPU provider (1.31) allocates when
its arena, memory patterns and optimisations are off:

- a view is its operand's buffer under another shape (`ALIASES`);
- an activation function may write over its operand when nobody else needs it any more
  (`IN_PLACE`); arithmetic with two operands never did, nor did Exp, Sqrt, Neg and
  BatchNormalization;
- the caller holds the inputs and gets the outputs: neither is ever written over or stands for
  another value, inputs live all along and outputs from their op to the end.

What an op needs for itself while it runs (an unfolded image, the values of a body) is not counted.
By default that runtime also keeps a dead buffer for a later value of the same size, however long
that takes; it is not counted either, since it is a choice of speed over memory that can be switched
off. ``python -m tests.bench.memory`` measures all this beside the counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc.graph import Graph
from convc.ir import CONSTANT, Op, Value
from convc.opset.traffic import VIEWS

# onnxruntime moves the data of a Dropout that nobody removed.
ALIASES = VIEWS - {"Dropout"}
"""Kinds whose result is the buffer of their first operand."""

IN_PLACE = frozenset(
    {
        "Cast",
        "Celu",
        "Clip",
        "Elu",
        "HardSigmoid",
        "LeakyRelu",
        "LogSoftmax",
        "Relu",
        "Selu",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Softsign",
        "Tanh",
        "ThresholdedRelu",
    }
)
"""Kinds that may write their result over their first operand, where both have as many bytes."""


@dataclass(frozen=True, slots=True)
class Liveness:
    """The ops that run and the buffers between them, both by number, ops in the file's order.

    Attributes:
        ops: all ops but inputs, constants and the output.
        producers: for each op, the ops it waits for.
        users: for each op, the ops that wait for it.
        makes: for each op, the buffers it makes.
        reads: for each op, the buffers it reads; inputs and weights are none.
        place: for each op, the buffer over which it may write its result, else -1.
        sizes: bytes of each buffer.
        readers: for each buffer, the ops that read it, ascending.
        kept: for each buffer, 1 where it is an output of the graph, else 0.
        values: for each buffer, the value it was made for.
        inputs: the values that are fed and their bytes: the caller holds them during the run.
        unknown: values that count nothing because their size is not known.
    """

    ops: tuple[Op, ...]
    producers: list[list[int]]
    users: list[list[int]]
    makes: list[list[int]]
    reads: list[list[int]]
    place: list[int]
    sizes: list[int]
    readers: list[list[int]]
    kept: list[int]
    values: list[Value]
    inputs: list[tuple[Value, int]]
    unknown: int

    @property
    def held(self) -> int:
        """Bytes of the inputs."""
        return sum(size for _, size in self.inputs)


def liveness(graph: Graph) -> Liveness:
    """Numbers the ops and the buffers of ``graph``."""
    ops = tuple(op for op in graph.ops() if _runs(op))
    number = {op: i for i, op in enumerate(ops)}
    producers = [
        list(dict.fromkeys(number[v.op] for v in op.operands if v is not None and v.op in number))
        for op in ops
    ]
    users: list[list[int]] = [[] for _ in ops]
    for i, waited_for in enumerate(producers):
        for j in waited_for:
            users[j].append(i)

    outputs = frozenset(graph.outputs)
    values, buffer_of = _buffers(ops, outputs)
    known = [graph.nbytes(value) for value in values]
    reads = [
        list(dict.fromkeys(buffer_of[v] for v in op.operands if v is not None and v in buffer_of))
        for op in ops
    ]
    readers: list[list[int]] = [[] for _ in values]
    for i, buffers in enumerate(reads):
        for buffer in buffers:
            readers[buffer].append(i)
    makes: list[list[int]] = [[] for _ in ops]
    for buffer, value in enumerate(values):
        makes[number[value.op]].append(buffer)

    fed = [value for value in graph.inputs if value.op.default is None]
    fed_bytes = [graph.nbytes(value) for value in fed]
    return Liveness(
        ops=ops,
        producers=producers,
        users=users,
        makes=makes,
        reads=reads,
        place=[_place(op, outputs, buffer_of, values, known) for op in ops],
        sizes=[size or 0 for size in known],
        readers=readers,
        kept=[int(value in outputs) for value in values],
        values=values,
        inputs=[(value, size or 0) for value, size in zip(fed, fed_bytes, strict=True)],
        unknown=sum(size is None for size in (*known, *fed_bytes)),
    )


def _runs(op: Op) -> bool:
    return bool(op.domain) or not (op.is_boundary or op.kind == CONSTANT)


def _buffers(ops: Sequence[Op], outputs: frozenset[Value]) -> tuple[list[Value], dict[Value, int]]:
    """The values that buffers are made for, and the buffer of each value that has one."""
    values: list[Value] = []
    buffer_of: dict[Value, int] = {}
    used = {value for op in ops for value in op.operands} | outputs
    for op in ops:
        for value in op.results:
            if not value.name and value not in used:
                continue  # an optional result that the file leaves out
            source = op.operand(0) if value.index == 0 else None
            if source is None or not _is_view(op) or value in outputs:
                buffer_of[value] = len(values)
                values.append(value)
            elif source in buffer_of:
                buffer_of[value] = buffer_of[source]
    return values, buffer_of


def _is_view(op: Op) -> bool:
    return op.kind in ALIASES and not op.domain


def _place(
    op: Op,
    outputs: frozenset[Value],
    buffer_of: Mapping[Value, int],
    values: Sequence[Value],
    sizes: Sequence[int | None],
) -> int:
    """The buffer over which ``op`` may write its result once nobody else reads it, else -1."""
    source = op.operand(0)
    if op.kind not in IN_PLACE or op.domain or op.result in outputs:
        return -1
    if source is None or source not in buffer_of:
        return -1
    old, new = buffer_of[source], buffer_of[op.result]
    return old if values[old] not in outputs and sizes[old] == sizes[new] else -1
