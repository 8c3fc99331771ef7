"""The tables of ``convc cost --strips``."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from convc.clock import label
from convc.console import human, table
from convc.costs.report import Report
from convc.costs.strips import Strips
from convc.costs.strips.products import ToomCook
from convc.ir import Op

MOST_TABLES = 3
"""Tables shown where not all are asked for; convs of equal geometry share one."""


def show_strips(
    console: Console, report: Report, found: Mapping[Op, Strips | str], top: int
) -> None:
    """One table for each geometry, the costliest first, and where wider strips stop paying."""
    groups: dict[Strips, list[Op]] = {}
    for op, entry in found.items():
        if isinstance(entry, str):
            console.print(Text(f"  no strips for {op.kind} {label(op)}: {entry}", "dim"))
        else:
            groups.setdefault(entry, []).append(op)
    ordered = sorted(groups.items(), key=lambda e: -sum(report.by_op[op].macs or 0 for op in e[1]))
    shown = ordered if not top else ordered[:MOST_TABLES]
    for entry, ops in shown:
        console.print(_strips(entry, ops))
        for limit in entry.limits:
            best = "" if limit.d else "not even "
            console.print(Text(f"    {limit.what}: {best}D = {max(limit.d, 1)}; {limit.why}"))
    if len(ordered) > len(shown):
        rest = sum(len(ops) for _, ops in ordered[len(shown) :])
        console.print(
            Text(
                f"  and {len(ordered) - len(shown)} more kinds, {rest} convs (--top 0: all)", "dim"
            )
        )


def _strips(entry: Strips, ops: list[Op]) -> Table:
    more = f" and {len(ops) - 1} like it" if len(ops) > 1 else ""
    made = table(
        "D", "reads", "weight reads", "window", "F(D,k)", "error", "F(D×D)", "error",
        title=f"{ops[0].kind} {label(ops[0])}{more}: best D {entry.best}, "
        f"{entry.multiplications} multiplications an output and input channel",
    )  # fmt: skip
    for column in made.columns:
        column.no_wrap = True
    for row in entry.rows:
        made.add_row(
            str(row.d),
            f"{row.reads:.3g}",
            f"{row.weight_reads:.3g}",
            human(row.window_bytes),
            *_products(row.one_axis),
            *_products(row.two_axes),
        )
    return made


def _products(found: ToomCook | None) -> tuple[str, str]:
    return (
        ("", "")
        if found is None
        else (f"{found.multiplications:.3g}", f"×{found.error_growth:.3g}")
    )
