"""The tables of ``convc cost``, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from convc.analysis import Cost, WhatIf, ratio
from convc.console import Row, human, shorten, show_rows, table
from convc.costs.report import OpCost, Report
from convc.costs.training import TrainingStep
from convc.tables.blocks import show_blocks
from convc.tables.clock import show_clock
from convc.tables.strips import show_strips

MOST_UNKNOWN = 8


def show_cost(console: Console, title: str, cost: Cost, top: int) -> None:
    """All tables of what was found; ``top`` is the number of ops in each, 0 for all."""
    report, what_if = cost.report, cost.what_if
    at = ", ".join(f"{name}={size}" for name, size in cost.sizes.items())
    console.print(Text(title, "bold") + Text(f" at {at}" if at else ""))
    if what_if is not None:
        console.print("what if: " + ", ".join(what_if.changes))
        lost = what_if.lost(report)
        if lost:
            said = f"  {lost} of {len(report.ops)} ops are not known any more, nor is the ratio"
            console.print(Text(said, "yellow"))
    if cost.clock is not None:
        show_clock(console, cost.clock, top)
    console.print(_totals(report, what_if))
    _show_peak(console, report)
    if what_if is not None:
        _show_ratios(console, report, what_if, top)
    elif cost.clock is None:
        _show_counts(console, report, top)
    if report.training is not None:
        _show_backward(console, report, top)
        _show_training(console, report.training)
    if cost.strips:
        show_strips(console, report, cost.strips, top)
    if cost.blocks:
        show_blocks(console, cost.blocks)
    _show_unknown(console, report, what_if)


def _totals(report: Report, what_if: WhatIf | None) -> Table:
    base = None if what_if is None else what_if.base
    made = table("", *(["total"] if base is None else ["as it is", "what if", ""]))
    before = None if base is None else _figures(base)
    is_partial = what_if is not None and what_if.lost(report) > 0
    for name, now in _figures(report).items():
        if before is None:
            made.add_row(name, human(now))
        elif is_partial:
            made.add_row(name, human(before[name]), f"≥ {human(now)}", "?")
        else:
            made.add_row(name, human(before[name]), human(now), _times(before[name], now))
    return made


def _figures(report: Report) -> dict[str, int]:
    work, memory = report.work, report.memory
    figures = {
        "MACs": report.macs,
        "multiplications": work.multiplications,
        "  without those by padded zeros": work.multiplications - work.padded_multiplications,
        "additions": work.additions,
        "  without those of padded zeros": work.additions - work.padded_additions,
        "comparisons, divisions, functions": work.comparisons + work.divisions + work.functions,
        "weights": report.params,
        "weight bytes": report.weight_bytes,
        "activation bytes, all together": report.activation_bytes,
        "  alive at once, file's order": memory.file_peak,
        "  alive at once, best order found": memory.best_peak,
    }
    step = report.training
    if step is not None:
        figures["backward MACs"] = step.backward_macs
        figures["MACs of a training step"] = step.step_macs
        figures["activation bytes kept for it"] = step.kept_activation_bytes
    return figures


def _show_peak(console: Console, report: Report) -> None:
    memory = report.memory
    if not memory.alive:
        return
    largest = ", ".join(
        f"{shorten(v.name, 24) or '?'} {human(size)}" for v, size in memory.alive[:3]
    )
    more = len(memory.alive) - 3
    tail = f" and {more} more" if more > 0 else ""
    where = memory.at.name or (memory.at.results[0].name if memory.at.results else "the end")
    console.print(Text(f"  most activations are alive at {where}: {largest}{tail}"))


def _by_macs(report: Report) -> list[OpCost]:
    return sorted(report.ops, key=lambda c: (-(c.macs or 0), -(c.moved_bytes or 0)))


def _show_counts(console: Console, report: Report, top: int) -> None:
    made = table("op", "output", "MACs", "share", "weights", "bytes", "ops/byte")
    ops = _by_macs(report)
    rows = [
        (
            f"{cost.kind} {cost.name}",
            _shape(cost),
            _count(cost.macs),
            _share(cost.macs, report.macs),
            human(cost.params) if cost.params else "",
            _count(cost.moved_bytes),
            "" if cost.intensity is None else f"{cost.intensity:.3g}",
        )
        for cost in ops
    ]
    show_rows(console, made, rows, top, _rest(ops, report.macs, lambda c: c.macs or 0, "MACs"))


def _show_ratios(console: Console, report: Report, what_if: WhatIf, top: int) -> None:
    made = table("op", "output", "MACs as it is", "MACs", "", "bytes", "")
    ops, rows = _by_macs(report), []
    for cost in ops:
        before = what_if.pairs.get(cost.op)
        old_macs = None if before is None else before.macs
        old_bytes = None if before is None else before.moved_bytes
        rows.append(
            (
                f"{cost.kind} {cost.name}",
                _shape(cost),
                _count(old_macs),
                _count(cost.macs),
                _times(old_macs, cost.macs),
                _count(cost.moved_bytes),
                _times(old_bytes, cost.moved_bytes),
            )
        )
    show_rows(console, made, rows, top, _rest(ops, report.macs, lambda c: c.macs or 0, "MACs"))


def _show_backward(console: Console, report: Report, top: int) -> None:
    made = table(
        "backward pass", "input gradient", "weight gradient", "bias additions", "kept bytes"
    )
    ops = [cost for cost in report.ops if cost.backward is not None]
    ops.sort(key=lambda cost: (-_backward_macs(cost), -(_kept(cost) or 0)))
    rows: list[Row] = []
    for cost in ops:
        found = None if cost.backward is None else cost.backward.gradient
        label = f"{cost.kind} {cost.name}"
        if found is None:
            rows.append((label, "?", "?", "?", "?"))
            continue
        figures = (found.input_macs, found.weight_macs, found.bias.additions)
        kept = _kept(cost)
        shown = [human(n) if n else "" for n in figures]
        rows.append((label, *shown, "?" if kept is None else human(kept) if kept else ""))
    whole = sum(map(_backward_macs, ops))
    show_rows(console, made, rows, top, _rest(ops, whole, _backward_macs, "backward MACs"))


def _show_training(console: Console, step: TrainingStep) -> None:
    console.print(
        f"  a training step: {human(step.step_macs)} MACs, of them {human(step.forward_macs)} "
        f"forward, {human(step.input_gradient_macs)} for activations, "
        f"{human(step.weight_gradient_macs)} for weights"
        + ("" if step.is_complete else ", more is not known")
    )
    made = table("memory of a step, bytes", "weights", "gradients", "state", "activations", "total")
    for update in step.updates:
        parts = (step.weight_bytes, step.gradient_bytes, update.state_bytes)
        whole = (*parts, step.peak_activation_bytes, update.total_bytes)
        made.add_row(update.name, *map(human, whole))
    console.print(made)
    plans = table("checkpoints", "blocks", "kept bytes", "peak bytes", "MACs again")
    for plan in step.checkpoints:
        counts = (plan.blocks, plan.kept_bytes, plan.peak_bytes, plan.recomputed_macs)
        plans.add_row(plan.name, *map(human, counts))
    console.print(plans)


def _show_unknown(console: Console, report: Report, what_if: WhatIf | None) -> None:
    reasons: dict[str, list[str]] = {}
    for cost in report.unknown:
        reasons.setdefault(cost.unknown, []).append(f"{cost.kind} {cost.name}")
    for entry in () if report.training is None else report.training.unknown:
        cost = report.by_op[entry.op]
        if not cost.unknown:
            reasons.setdefault(entry.reason, []).append(f"backward of {cost.kind} {cost.name}")
    listed = list(reasons.items())
    for why, names in listed[:MOST_UNKNOWN]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        console.print(Text(f"  not known: {shorten(names[0], 40)}{more}: {why}", "yellow"))
    if len(listed) > MOST_UNKNOWN:
        console.print(Text(f"  and {len(listed) - MOST_UNKNOWN} more reasons (--json)", "dim"))
    if listed:
        console.print(Text("  totals are without what is not known", "dim"))
    for note in () if what_if is None else what_if.notes[:MOST_UNKNOWN]:
        if note not in reasons:
            console.print(Text(f"  note: {note}", "yellow"))


def _rest(
    ops: Sequence[OpCost], whole: int, count: Callable[[OpCost], int], what: str
) -> Callable[[int], str]:
    def said(shown: int) -> str:
        return f": {sum(map(count, ops[shown:])) / whole:.1%} of the {what}" if whole else ""

    return said


def _backward_macs(cost: OpCost) -> int:
    return 0 if cost.backward is None else cost.backward.macs or 0


def _kept(cost: OpCost) -> int | None:
    return None if cost.backward is None else cost.backward.kept_bytes


def _shape(cost: OpCost) -> str:
    return "?" if cost.shape is None else "×".join(map(str, cost.shape))


def _count(number: int | None) -> str:
    return "?" if number is None else human(number)


def _share(part: int | None, whole: int) -> str:
    return f"{part / whole:.1%}" if part and whole else ""


def _times(before: int | None, now: int | None) -> str:
    found = ratio(before, now)
    return "" if found is None else f"×{found:.3g}"
