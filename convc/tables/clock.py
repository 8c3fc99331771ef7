"""The tables of ``convc cost --roofline`` and ``--measure``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from convc.clock import Clock, Timing, label
from convc.console import Row, duration, show_rows, table
from convc.profile import Profile

FAR_BELOW = 0.3
"""Part of what the machine can do under which an op is pointed at."""
MATTERS = 0.01
"""Part of the whole time from which an op is worth pointing at."""
MOST_KINDS = 5


def show_clock(console: Console, clock: Clock, top: int) -> None:
    """Where the time goes and what is far below the machine's peak; then op by op."""
    machine = clock.machine
    threads = f"{machine.threads} thread{'s' if machine.threads > 1 else ''}"
    speeds = [speed / 1e9 for _, speed in machine.bandwidths]
    console.print(
        Text(
            f"  {machine.processor}, {threads}, {machine.runtime}: at best "
            f"{machine.macs_per_second / 1e9:.0f} GMAC/s, "
            f"{max(speeds):.0f} GB/s from cache, {speeds[-1]:.0f} GB/s from memory"
        )
    )
    if clock.profile is None:
        console.print(f"  at least {duration(clock.bound_seconds)} in all, op after op")
        _show_bounds(console, clock, top)
        return
    _show_where(console, clock, clock.profile)
    _show_times(console, clock, clock.profile, top)


def _show_where(console: Console, clock: Clock, profile: Profile) -> None:
    whole = profile.total_seconds or 1.0
    kinds: dict[str, float] = {}
    for op, timing in clock.timings.items():
        kinds[op.kind] = kinds.get(op.kind, 0.0) + (timing.seconds or 0.0)
    if profile.layout_seconds:
        kinds["layout changes"] = profile.layout_seconds
    spent = sorted(kinds.items(), key=lambda entry: -entry[1])[:MOST_KINDS]
    console.print(
        f"  a run takes {duration(profile.wall_seconds)}, "
        f"its kernels {duration(profile.total_seconds)}: "
        + ", ".join(f"{kind} {part / whole:.0%}" for kind, part in spent if part / whole >= 0.005)
    )
    far = [t for t in clock.timings.values() if _is_far_below(t, whole)]
    if not far:
        console.print(f"  no op of weight runs below {FAR_BELOW:.0%} of what the machine can do")
        return
    console.print(
        f"  below {FAR_BELOW:.0%} of what the machine can do: {len(far)} ops with "
        f"{sum(map(_spent, far)) / whole:.0%} of the time"
    )
    for reason, timings in sorted(_by_reason(far).items(), key=lambda e: -sum(map(_spent, e[1]))):
        part = sum(map(_spent, timings)) / whole
        first = label(timings[0].ops[0])
        more = f" and {len(timings) - 1} more" if len(timings) > 1 else ""
        console.print(Text(f"    {part:4.0%}  {reason}: {first}{more}"))


def _by_reason(timings: Iterable[Timing]) -> dict[str, list[Timing]]:
    """Each op under its first reason, the one that weighs most."""
    found: dict[str, list[Timing]] = {}
    for timing in sorted(timings, key=_spent, reverse=True):
        found.setdefault(timing.reasons[0] if timing.reasons else "no known reason", []).append(
            timing
        )
    return found


def _is_far_below(timing: Timing, whole: float) -> bool:
    efficiency = timing.efficiency
    return efficiency is not None and efficiency < FAR_BELOW and _spent(timing) >= MATTERS * whole


def _spent(timing: Timing) -> float:
    return (timing.seconds or 0.0) + timing.layout_seconds


def _show_bounds(console: Console, clock: Clock, top: int) -> None:
    made = table("op", "at least", "bound by", "likely to be slower because of")
    made.columns[-1].justify = "left"
    ordered = sorted(
        clock.timings.items(), key=lambda e: -(0.0 if e[1].bound is None else e[1].bound.seconds)
    )
    rows: list[Row] = [
        (
            f"{op.kind} {label(op)}",
            "?" if timing.bound is None else duration(timing.bound.seconds),
            "" if timing.bound is None else timing.bound.side,
            "; ".join(timing.reasons),
        )
        for op, timing in ordered
    ]
    show_rows(console, made, rows, top, lambda _: "")


def _show_times(console: Console, clock: Clock, profile: Profile, top: int) -> None:
    whole = profile.total_seconds or 1.0
    made = table("op", "time", "share", "at least", "reached", "likely reason")
    made.columns[-1].justify = "left"
    ordered = sorted(clock.timings.values(), key=_spent, reverse=True)
    rows: list[Row] = [
        (
            f"{timing.ops[0].kind} {label(timing.ops[0])}" + _fused(timing),
            duration(_spent(timing)),
            f"{_spent(timing) / whole:.1%}",
            "?" if timing.bound is None else duration(timing.bound.seconds),
            "" if timing.efficiency is None else f"{timing.efficiency:.0%}",
            "; ".join(_why(timing)),
        )
        for timing in ordered
    ]

    def rest(shown: int) -> str:
        return f": {sum(map(_spent, ordered[shown:])) / whole:.1%} of the time"

    show_rows(console, made, rows, top, rest)


def _why(timing: Timing) -> Sequence[str]:
    """Reasons where there is something to explain."""
    changed = timing.layout_seconds > 0.2 * _spent(timing)
    layout = [f"{duration(timing.layout_seconds)} of it layout changes"] if changed else []
    efficiency = timing.efficiency
    slow = efficiency is not None and efficiency < 2 * FAR_BELOW
    return [*layout, *(timing.reasons if slow else ())]


def _fused(timing: Timing) -> str:
    kinds = [op.kind for op in timing.ops[1:]]
    shown = "".join(f" +{kind}" for kind in kinds[:2])
    return shown + (f" +{len(kinds) - 2}" if len(kinds) > 2 else "")
