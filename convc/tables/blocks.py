"""The table of ``convc cost --blocks``."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from convc.blocks.table import NEAREST, Blocks, Form
from convc.clock import label
from convc.console import Row, show_rows, table
from convc.ir import Op

NAMES = {"diagonal": "in b groups", "grouped": "+ dense 1×1", "shuffled": "+ shuffled 1×1"}


def show_blocks(console: Console, found: Mapping[Op, Blocks | str]) -> None:
    """A line for each layer and number of blocks: MACs, what is lost, and the time if measured."""
    tables = {op: entry for op, entry in found.items() if isinstance(entry, Blocks)}
    if tables:
        _show_tables(console, tables)
    reasons: dict[str, list[Op]] = {}
    for op, entry in found.items():
        if isinstance(entry, str):
            reasons.setdefault(entry, []).append(op)
    for why, ops in reasons.items():
        more = f" and {len(ops) - 1} more" if len(ops) > 1 else ""
        console.print(Text(f"  no blocks for {ops[0].kind} {label(ops[0])}{more}: {why}", "dim"))


def _show_tables(console: Console, tables: Mapping[Op, Blocks]) -> None:
    timed = any(
        form.speedup is not None
        for entry in tables.values()
        for row in entry.rows
        for form in row.forms.values()
    )
    parts = ("MACs", "lost", "speed-up") if timed else ("MACs", "lost")
    heads = [
        (f"{NAMES[form]}\n" if part == "MACs" else "\n") + part
        for form in NEAREST
        for part in parts
    ]
    made = table("a dense conv in b blocks", "b", *heads)
    rows: list[Row] = []
    for op, entry in tables.items():
        for i, row in enumerate(entry.rows):
            name = f"{op.kind} {label(op)}" if i == 0 else _layer(entry) if i == 1 else ""
            cells = [cell for form in NEAREST for cell in _cells(row.forms.get(form), timed=timed)]
            rows.append((name, str(row.b), *cells))
    show_rows(console, made, rows, 0, str)
    on_data = any(entry.on_data for entry in tables.values())
    console.print(Text(f"  {_lost(on_data=on_data)}"))
    if timed:
        console.print(Text("  speed-up: of the layer alone, with the Gathers that move channels"))


def _lost(*, on_data: bool) -> str:
    error = "lost: the relative L2 error of the layer's response, mean removed,"
    if on_data:
        return f"{error} on the data that all are fitted to"
    return f"{error} to white noise: of its weights alone (--data: on real data)"


def _layer(entry: Blocks) -> str:
    outputs, inputs, *taps = entry.shape
    return f"  {'×'.join(map(str, taps))} {inputs} → {outputs}"


def _cells(form: Form | None, *, timed: bool) -> tuple[str, ...]:
    if form is None:
        return ("",) * (3 if timed else 2)
    counts = (f"×{form.macs_ratio:.3g}", f"{form.loss:.2%}")
    if not timed:
        return counts
    return (*counts, "?" if form.speedup is None else f"×{form.speedup.ratio:.3g}")
