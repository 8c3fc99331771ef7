"""The bytes of activations that are alive while each op runs."""

from __future__ import annotations

from dataclasses import dataclass

from convc.costs.report import Report
from convc.report.measures.names import op_name, shown


@dataclass(frozen=True, slots=True)
class Timeline:
    """The memory of activations along one run, in the file's order.

    Attributes:
        alive: bytes alive while each op runs, its operands and results together; the inputs alone
            where no op runs. Never empty, and its maximum is the model's peak.
        names: kind and name of these ops.
        largest: name and bytes of what is alive at the peak, largest first.
        unknown: values that count nothing because their size is not known.
    """

    alive: tuple[int, ...]
    names: tuple[str, ...]
    largest: tuple[tuple[str, int], ...]
    unknown: int

    @property
    def peak(self) -> int:
        """The most bytes alive at once."""
        return max(self.alive)

    @property
    def peak_index(self) -> int:
        """The number, from 0, of the op at which the peak is first reached."""
        return self.alive.index(self.peak)

    @property
    def peak_name(self) -> str:
        """The name of that op."""
        return self.names[self.peak_index]


def timeline(report: Report) -> Timeline:
    """The timeline of a model whose costs were counted."""
    memory = report.memory
    steps = zip(report.graph.ops(), memory.timeline, strict=True)
    running = {op: size for op, size in steps if op in report.by_op}
    return Timeline(
        alive=tuple(running.values()) or (memory.file_peak,),
        names=tuple(map(op_name, running)) or ("the inputs",),
        largest=tuple((shown(v.name) or op_name(v.op), size) for v, size in memory.alive),
        unknown=memory.unknown,
    )
