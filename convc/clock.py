"""Lower bounds of the time of each op on one machine, beside the times that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convc.costs.report import OpCost, Report
from convc.costs.roofline import Bound, bound, reasons
from convc.ir import Op, Value
from convc.machine import Machine
from convc.profile import FOLDED, Profile


@dataclass(frozen=True, slots=True)
class Timing:
    """One kernel's work: an op with those that the runtime computes along with it.

    Attributes:
        ops: the op itself, then those fused into it.
        bound: the least time they can take; None where a cost is not known.
        seconds: what was measured; None: nothing was.
        layout_seconds: what the runtime took to change the layout for it.
        reasons: why it is likely to run far below the machine's peak.
    """

    ops: tuple[Op, ...]
    bound: Bound | None
    seconds: float | None
    layout_seconds: float
    reasons: tuple[str, ...]

    @property
    def efficiency(self) -> float | None:
        """The least time over the measured one, layout changes included."""
        spent = (self.seconds or 0.0) + self.layout_seconds
        return self.bound.seconds / spent if self.bound is not None and spent else None


@dataclass(frozen=True, slots=True)
class Clock:
    """What the machine could do and, where it was asked, what it did.

    Attributes:
        machine: whose peak and bandwidth were measured.
        timings: by the op that names them, in the file's order.
        profile: onnxruntime's own times; None where they were not asked for.
    """

    machine: Machine
    timings: Mapping[Op, Timing]
    profile: Profile | None

    @property
    def bound_seconds(self) -> float:
        """The sum of all known bounds."""
        return sum(t.bound.seconds for t in self.timings.values() if t.bound is not None)

    def op_json(self, op: Op) -> dict[str, Any]:
        """What the clock adds to the entry of an op in ``--json``."""
        timing = self.timings.get(op)
        found = None if timing is None else timing.bound
        entry = {
            "bound_seconds": None if found is None else found.seconds,
            "bound_by": None if found is None else found.side,
            "reasons": [] if timing is None else list(timing.reasons),
        }
        if self.profile is None:
            return entry
        time = self.profile.times.get(op)
        fused = None if time is None else time.fused_into
        return entry | {
            "seconds": None if time is None else time.seconds,
            "layout_seconds": None if time is None else time.layout_seconds,
            "kernel": None if time is None else time.kernel,
            "fused_into": None if fused is None else label(fused),
            "efficiency": None if timing is None else timing.efficiency,
        }

    def measured_json(self) -> dict[str, Any] | None:
        """The object under ``measured`` in ``--json``; None where nothing was."""
        if self.profile is None:
            return None
        return {
            "kernel_seconds": self.profile.total_seconds,
            "wall_seconds": self.profile.wall_seconds,
            "layout_seconds": self.profile.layout_seconds,
            "bound_seconds": self.bound_seconds,
            "unattributed_seconds": sum(node.seconds for node in self.profile.unattributed),
            "runs": self.profile.runs,
        }


def label(op: Op) -> str:
    """The op's name, or that of its first result that has one."""
    return op.name or next((value.name for value in op.results if value.name), op.kind)


def clock(report: Report, machine: Machine, profile: Profile | None = None) -> Clock:
    """The bound of every op, or of every kernel where ``profile`` says what was fused."""
    groups: dict[Op, list[OpCost]] = {}
    for cost in report.ops:
        groups.setdefault(_main(cost.op, profile), []).append(cost)
    timings: dict[Op, Timing] = {}
    for main, costs in groups.items():
        time = None if profile is None else profile.times.get(main)
        if time is not None and time.kernel == FOLDED:
            continue
        ops = (main, *(cost.op for cost in costs if cost.op is not main))
        least = _bound(report, costs, machine)
        seconds = None if least is None else least.seconds
        why = reasons(report.graph, main, machine.lanes, seconds)
        timings[main] = Timing(
            ops=ops,
            bound=least,
            seconds=None if time is None else time.seconds,
            layout_seconds=0.0 if time is None else time.layout_seconds,
            reasons=tuple(why),
        )
    return Clock(machine, timings, profile)


def _main(op: Op, profile: Profile | None) -> Op:
    while profile is not None and op in profile.times:
        into = profile.times[op].fused_into
        if into is None:
            break
        op = into
    return op


def _bound(report: Report, costs: Sequence[OpCost], machine: Machine) -> Bound | None:
    """The bound of ops computed together: what passes between them is not moved.

    Of ops that compute the same the runtime computes one.
    """
    operations = 0
    for cost in _distinct(costs):
        if cost.work is None or cost.moved_bytes is None:
            return None
        operations += cost.work.operations
        operations -= cost.work.padded_multiplications + cost.work.padded_additions
    return bound(operations, _moved(report, costs), machine)


def _moved(report: Report, costs: Sequence[OpCost]) -> int:
    """Bytes that come from outside of the ops, each value once, and that leave them."""
    if len(costs) == 1:
        return costs[0].moved_bytes or 0
    members = {cost.op for cost in costs}
    computed = _distinct(costs)
    operands = dict.fromkeys(value for cost in computed for value in cost.op.operands)
    fed = [v for v in operands if v is not None and v.op not in members]
    left = [
        value
        for cost in computed
        for value in cost.op.results
        if any(user not in members for user, _ in report.graph.uses(value))
    ]
    # A Slice or Gather takes less than its operand.
    taken = sum(cost.read_bytes or 0 for cost in computed)
    read = min(sum(report.graph.nbytes(value) or 0 for value in fed), taken)
    return read + sum(report.graph.nbytes(value) or 0 for value in left)


def _distinct(costs: Sequence[OpCost]) -> list[OpCost]:
    """One op of each that have the same kind, attributes and operands."""
    found: dict[object, OpCost] = {}
    for cost in costs:
        op = cost.op
        key = (op.domain, op.kind, tuple(map(_identity, op.operands)), repr(dict(op.attributes)))
        found.setdefault(key, cost)
    return list(found.values())


def _identity(value: Value | None) -> object:
    """What two operands have in common where they are equal: the value, or a weight's content."""
    array = None if value is None else value.array
    if array is None or array.dtype.hasobject:
        return value
    return str(array.dtype), array.shape, array.tobytes()
