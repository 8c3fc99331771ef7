"""Times a folder of models: as they came, after onnxslim, after convc; a table and its JSON.

    python -m tests.bench.latency FOLDER [--threads 1 2] [--budget 60] [--output FILE.md]
        [--objective macs] [--passes TEXT] [--only TEXT]

Every model is optimised by `convc.optimize`, by the clock unless told otherwise, and by onnxslim,
if that is installed; then all are timed in turn with everything onnxruntime has switched on, and
against the original with ``set_denormal_as_zero`` in a process of its own. Nothing else may run
meanwhile.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import convc
from convc.feeds import noise
from convc.machine import processor
from convc.onnx_io import to_bytes
from convc.runtime import Model, RunError, Session, Settings, version
from convc.timing import Ratio, in_own_process, interleave, ratio, run_of
from tests.real_models import cut_down, sizes_of

FULL_HD = {"H": 1080, "W": 1920}
"""At which the image filters are timed."""

LEGEND = """\
Milliseconds of the model as it came, with everything that onnxruntime has switched on, and how many
times as fast the others are: median of the ratios of runs next to each other, and its 95 %
interval. *flag*: against the model as it came with `set_denormal_as_zero`. Error: the largest
difference from float64, as a part of the output's scale, the original's own in brackets. Models
marked † are timed at a smaller fixed size, image filters at 1920×1080."""

NOTES = "<!-- notes -->"
"""Begins what is written by hand below the tables."""

SAME = 0.02
"""Part by which two sessions of one model may differ for good."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--budget", type=float, default=60.0, help="of each optimisation, seconds")
    parser.add_argument("--objective", choices=("latency", "macs", "params"), default="latency")
    parser.add_argument("--passes", help="pipeline text (the objective's default one)")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each comparison")
    parser.add_argument("--output", type=Path, help="the table as Markdown; JSON beside it")
    parser.add_argument("--only", default="", help="models whose name has this in it")
    args = parser.parse_args()
    rows = []
    for threads in args.threads:
        for path in sorted(args.folder.glob("*.onnx")):
            if args.only in path.name:
                row = _row(path, threads, args)
                rows.append(row)
                print(_line(row), flush=True)
                if args.output:
                    args.output.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    text = _page(rows, args) + _notes(args.output)
    print(text)
    if args.output:
        args.output.write_text(text)
    return int(any(not row["good"] or row["speedup"]["high"] < 1 - SAME for row in rows))


def _notes(output: Path | None) -> str:
    """What people have written below the tables of an earlier run: it stays."""
    before = output.read_text() if output is not None and output.exists() else ""
    _, mark, notes = before.partition(NOTES)
    return f"\n{mark}{notes}" if mark else ""


def _row(path: Path, threads: int, args: argparse.Namespace) -> dict[str, Any]:
    sizes = FULL_HD if path.name.startswith("filter_") else sizes_of(path)
    settings = Settings(threads=threads)
    flushed = Settings(threads=threads, denormal_as_zero=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        source = cut_down(path, Path(folder))
        result = convc.optimize(
            source, args.passes, objective=args.objective, sizes=sizes, threads=threads,
            budget=args.budget,
        )  # fmt: skip
        assert result.comparison is not None
        feeds = noise(result.graph)
        models: dict[str, Model | None] = {
            "original": source, "convc": to_bytes(result.graph), "onnxslim": _slim(source),
        }  # fmt: skip
        runs = {}
        for name, model in models.items():
            run = None if model is None else _run(model, settings, feeds)
            if run is not None:
                runs[name] = run
        runs["flag"] = stack.enter_context(in_own_process(source, flushed, feeds))
        spent = interleave(list(runs.values()), rounds=args.rounds, seconds=args.seconds)
    times = dict(zip(runs, spent, strict=True))
    return {
        "model": path.stem,
        "cut": source != path,
        "threads": threads,
        "verdict": result.verdict.value,
        "good": result.verdict.good,
        "error": result.comparison.error,
        "original_error": result.comparison.original_error,
        "latency_ms": {name: median(seconds) * 1e3 for name, seconds in times.items()},
        "speedup": _json(ratio(times["original"], times["convc"])),
        "speedup_over_flag": _json(ratio(times["flag"], times["convc"])),
        "onnxslim": (
            _json(ratio(times["original"], times["onnxslim"])) if "onnxslim" in times else None
        ),
        "applied": _applied(result),
        "notes": [] if result.tuning is None else result.tuning.notes,
    }


def _run(model: Model, settings: Settings, feeds: Any) -> Any:
    """A model that has run once; None where it does not (onnxslim breaks some)."""
    try:
        session = Session(model, settings)
        session.run(feeds)
    except RunError:
        return None
    return run_of(session, feeds)


def _slim(path: Path) -> bytes | None:
    """The model after onnxslim; None where it is not installed or fails."""
    try:
        import onnx
        import onnxslim

        slimmed = onnxslim.slim(onnx.load(path))
        return None if slimmed is None else bytes(slimmed.SerializeToString())
    except Exception as error:  # it may raise anything: the column stays empty, and it is said why
        print(f"{path.name}: onnxslim: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def _applied(result: convc.Result) -> dict[str, int]:
    notes: dict[str, int] = {}
    for report in result.reports:
        if report.text.startswith("choose"):
            for note, count in report.stats.notes.items():
                notes[note] = notes.get(note, 0) + count
    return notes


def _json(found: Ratio) -> dict[str, float]:
    return {"ratio": found.ratio, "low": found.low, "high": found.high}


def _line(row: dict[str, Any]) -> str:
    fast = row["speedup"]
    return (
        f"{row['model']:42} {row['threads']} {row['latency_ms']['original']:9.2f} ms "
        f"{fast['ratio']:6.2f} ({fast['low']:.2f} to {fast['high']:.2f}) {row['verdict']}"
    )


def _page(rows: Sequence[dict[str, Any]], args: argparse.Namespace) -> str:
    lines = [
        "# Benchmarks",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}: {processor()}, onnxruntime {version()}, "
        f"onnx {installed('onnx')}, numpy {installed('numpy')}, onnxslim {_installed('onnxslim')}, "
        f"Python {platform.python_version()}. Made by `python -m tests.bench.latency FOLDER "
        f"--threads {' '.join(map(str, args.threads))} --budget {args.budget:g}`.",
        "",
        *LEGEND.splitlines(),
    ]
    for threads in args.threads:
        chosen = [row for row in rows if row["threads"] == threads]
        if chosen:
            lines += ["", f"## {threads} thread{'s' if threads > 1 else ''}", "", *_table(chosen)]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    head = ["model", "ms", "onnxslim", "convc", "flag", "verdict", "error", "what was chosen"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    networks = [row for row in rows if not row["model"].startswith("filter_")]
    for name, some in (("networks", networks), ("all", rows)):
        if some:
            slim = [row["onnxslim"]["ratio"] for row in some if row["onnxslim"]]
            mean = geometric_mean([row["speedup"]["ratio"] for row in some])
            flag = geometric_mean([row["speedup_over_flag"]["ratio"] for row in some])
            theirs = f"{geometric_mean(slim):.3f} ({len(slim)})" if slim else ""
            lines.append(
                f"| **geometric mean, {name} ({len(some)})** | | {theirs} | **{mean:.3f}** "
                f"| {flag:.3f} | | | |"
            )
    return lines


def _cells(row: dict[str, Any]) -> list[str]:
    fast, slim = row["speedup"], row["onnxslim"]
    chosen = "; ".join(
        f"{note} ({count})" if count > 1 else note for note, count in row["applied"].items()
    )
    return [
        f"`{row['model']}`{' †' if row['cut'] else ''}",
        f"{row['latency_ms']['original']:.2f}",
        f"{slim['ratio']:.2f}" if slim else "fails",
        f"**{fast['ratio']:.2f}** ({fast['low']:.2f}–{fast['high']:.2f})",
        f"{row['speedup_over_flag']['ratio']:.2f}",
        row["verdict"],
        f"{row['error']:.1e} ({row['original_error']:.1e})",
        chosen.replace("|", "/") or "as it was",
    ]


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
