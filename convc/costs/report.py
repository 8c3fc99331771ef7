"""The cost of every op of a graph and of the whole: what `convc cost` shows.

A count that is not known is None and says why; it is never taken to be zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from convc.costs.memory import Memory, activation_memory
from convc.costs.summary import CONVS
from convc.costs.training import TrainingStep, training_step
from convc.costs.training.flow import OpBackward, backward
from convc.graph import Graph
from convc.ir import CONSTANT, Op, Value, is_real
from convc.opset import Work, info, macs
from convc.opset.traffic import traffic

NO_RULE = "no cost rule for this kind of op"
BODIES = frozenset({"If", "Loop", "Scan"})


@dataclass(frozen=True, slots=True)
class OpCost:
    """What one op costs, at the graph's sizes.

    Attributes:
        op: the op itself.
        shape: of its first result; None where a size is missing.
        work: the operations it computes; None: not known.
        macs: multiply-accumulates in the dense convention; None: not known.
        params: elements of the floating weights that it is the first to use.
        weight_bytes: bytes of all weights that it is the first to use.
        read_bytes: bytes of what it reads, each operand once; None: not known.
        write_bytes: bytes of its results; None: not known.
        unknown: why something is not known; "" where all is.
        backward: its backward pass, where that was asked for.
    """

    op: Op
    shape: tuple[int, ...] | None
    work: Work | None
    macs: int | None
    params: int
    weight_bytes: int
    read_bytes: int | None
    write_bytes: int | None
    unknown: str = ""
    backward: OpBackward | None = None

    @property
    def name(self) -> str:
        """The op's name, or that of its first result that has one."""
        return self.op.name or self.output

    @property
    def output(self) -> str:
        """The name of its first result that has one."""
        return next((value.name for value in self.op.results if value.name), "")

    @property
    def kind(self) -> str:
        """The op's kind, with its domain where that is not ONNX's own."""
        return f"{self.op.domain}.{self.op.kind}" if self.op.domain else self.op.kind

    @property
    def moved_bytes(self) -> int | None:
        """Bytes read and written."""
        if self.read_bytes is None or self.write_bytes is None:
            return None
        return self.read_bytes + self.write_bytes

    @property
    def intensity(self) -> float | None:
        """Arithmetic intensity: operations per byte moved; None where nothing is moved."""
        if self.work is None or not self.moved_bytes:
            return None
        return self.work.operations / self.moved_bytes

    def as_json(self) -> dict[str, Any]:
        """The entry under ``ops`` in ``--json``."""
        work: dict[str, int | None] = (
            dict.fromkeys(asdict(Work())) if self.work is None else asdict(self.work)
        )
        entry = {
            "name": self.name,
            "kind": self.kind,
            "output": self.output,
            "output_shape": None if self.shape is None else list(self.shape),
            "macs": self.macs,
            **work,
            "params": self.params,
            "weight_bytes": self.weight_bytes,
            "read_bytes": self.read_bytes,
            "write_bytes": self.write_bytes,
            "intensity": self.intensity,
            "unknown": self.unknown or None,
        }
        return entry if self.backward is None else entry | self.backward.as_json()


@dataclass(frozen=True, slots=True)
class Report:
    """What a graph costs.

    Attributes:
        graph: the graph, at whose sizes it is counted.
        ops: the cost of each op that is no weight, in the file's order.
        macs: MACs of all ops that are known.
        work: the operations of all ops that are known.
        params: elements of all floating weights.
        weight_bytes: bytes of all weights.
        activation_bytes: bytes of all results, as if none were freed.
        memory: the memory that activations take at once.
        training: one training step, where that was asked for.
    """

    graph: Graph
    ops: tuple[OpCost, ...]
    macs: int
    work: Work
    params: int
    weight_bytes: int
    activation_bytes: int
    memory: Memory
    training: TrainingStep | None = None
    by_op: Mapping[Op, OpCost] = field(default_factory=dict)

    @property
    def unknown(self) -> tuple[OpCost, ...]:
        """The ops of which something is not known."""
        return tuple(cost for cost in self.ops if cost.unknown)

    def memory_json(self) -> dict[str, Any]:
        """The object under ``memory`` in ``--json``."""
        memory = self.memory
        return {
            "file_order_peak_bytes": memory.file_peak,
            "best_order_peak_bytes": memory.best_peak,
            "lower_bound_bytes": memory.lower_bound,
            "peak_at": memory.at.name or (memory.at.results[0].name if memory.at.results else ""),
            "alive_at_peak": [{"value": value.name, "bytes": size} for value, size in memory.alive],
            "unknown_values": memory.unknown,
        }

    def total_json(self) -> dict[str, Any]:
        """The object under ``total`` in ``--json``."""
        total = {
            "ops": len(self.ops),
            "convs": sum(cost.op.kind in CONVS and not cost.op.domain for cost in self.ops),
            "macs": self.macs,
            **asdict(self.work),
            "params": self.params,
            "weight_bytes": self.weight_bytes,
            "read_bytes": sum(cost.read_bytes or 0 for cost in self.ops),
            "write_bytes": sum(cost.write_bytes or 0 for cost in self.ops),
            "activation_bytes": self.activation_bytes,
            "peak_activation_bytes": self.memory.file_peak,
            "peak_activation_bytes_best_order": self.memory.best_peak,
            "unknown_ops": len(self.unknown),
        }
        return total if self.training is None else total | self.training.total_json()


def report(
    graph: Graph, *, training: bool = False, missing: Mapping[Value, str] | None = None
) -> Report:
    """Counts what ``graph`` costs at its sizes.

    Args:
        graph: the graph; a value without a size makes the ops that touch it unknown.
        training: count the backward pass and one training step, too.
        missing: why a value has no size, where that is known.
    """
    gradients = backward(graph) if training else {}
    costs = op_costs(graph, missing, gradients)
    lost = [cost.op for cost in costs if cost.work is None]
    arrays = {id(op.array): op.array for op in graph.ops() if op.array is not None}.values()
    return Report(
        graph=graph,
        ops=tuple(costs),
        macs=sum(cost.macs or 0 for cost in costs),
        work=sum((cost.work for cost in costs if cost.work is not None), Work()),
        params=sum(array.size for array in arrays if is_real(array.dtype)),
        weight_bytes=sum(array.nbytes for array in arrays),
        activation_bytes=sum(cost.write_bytes or 0 for cost in costs),
        memory=activation_memory(graph),
        training=training_step(graph, gradients, lost) if training else None,
        by_op={cost.op: cost for cost in costs},
    )


def op_costs(
    graph: Graph,
    missing: Mapping[Value, str] | None = None,
    gradients: Mapping[Op, OpBackward] | None = None,
) -> list[OpCost]:
    """The cost of each op that is no weight, in the file's order; arguments as for `report`."""
    seen: set[int] = set()
    return [
        _op_cost(graph, op, seen, missing or {}, (gradients or {}).get(op))
        for op in graph.ops()
        if not op.is_boundary and op.array is None
    ]


def _op_cost(
    graph: Graph,
    op: Op,
    seen: set[int],
    missing: Mapping[Value, str],
    gradient: OpBackward | None,
) -> OpCost:
    known = info(op)
    work = None if known is None or known.work is None else known.work(graph, op)
    moved = traffic(graph, op)
    params = weight_bytes = 0
    for value in op.operands:
        # A weight that several ops share is counted where it is used first.
        if value is not None and value.array is not None and id(value.array) not in seen:
            seen.add(id(value.array))
            weight_bytes += value.array.nbytes
            params += value.array.size if is_real(value.array.dtype) else 0
    return OpCost(
        op=op,
        shape=_shape(graph, op),
        work=work,
        macs=None if work is None else macs(graph, op),
        params=params,
        weight_bytes=weight_bytes,
        read_bytes=None if moved is None else moved[0],
        write_bytes=None if moved is None else moved[1],
        unknown="" if work is not None and moved is not None else _why(graph, op, missing),
        backward=gradient,
    )


def _shape(graph: Graph, op: Op) -> tuple[int, ...] | None:
    """The shape of the first result that has a name; where none has, of the first."""
    named = next((value for value in op.results if value.name), None)
    value = named or (op.results[0] if op.results else None)
    return None if value is None else graph.concrete_shape(value)


def _why(graph: Graph, op: Op, missing: Mapping[Value, str]) -> str:
    """Why the cost of ``op`` is not known, as near to the cause as that is known."""
    if op.kind in BODIES and not op.domain:
        return "its subgraphs are not looked into"
    known = info(op)
    if known is None or known.work is None:
        return NO_RULE
    for value in (*op.operands, *op.results):
        if value is None or value.op.kind == CONSTANT or graph.concrete_shape(value) is not None:
            continue
        return missing.get(value) or f"the size of {value.name or 'a value'!r} is not known"
    return "its sizes do not fit each other, or an operand that it depends on is not constant"
