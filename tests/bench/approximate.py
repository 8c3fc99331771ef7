"""Approximates a folder of models at several errors and times the results; a table and its JSON.

    python -m tests.bench.approximate FOLDER [--max-error safe balanced] [--threads 1]
        [--budget 20] [--data PATH] [--only TEXT...] [--output FILE.json]

Every model goes through `convc.optimize` by the clock. What is shown is its own last comparison
with the original, in turn, with everything onnxruntime has switched on. Nothing else may run
meanwhile. An output file is added to: models that it has are not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter
from typing import Any

import convc
from convc.errors import ConvcError
from tests.real_models import cut_down, sizes_of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--max-error", nargs="+", default=["safe", "balanced"])
    parser.add_argument("--metric", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds, for each of the two")
    parser.add_argument("--data", help="inputs; made up where not given")
    parser.add_argument("--preprocess", default="")
    parser.add_argument("--only", nargs="+", default=[""], help="models with this in their names")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    known = args.output is not None and args.output.exists()
    rows: list[dict[str, Any]] = json.loads(args.output.read_text()) if known else []
    done = {(row["model"], row["max_error"]) for row in rows}
    for path in sorted(args.folder.glob("*.onnx")):
        for allowed in args.max_error:
            wanted = any(text in path.name for text in args.only)
            if not wanted or (path.stem, allowed) in done:
                continue
            rows.append(_row(path, allowed, args))
            print(_line(rows[-1]), flush=True)
            if args.output:
                args.output.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(not row["good"] for row in rows))


def _row(path: Path, allowed: str, args: argparse.Namespace) -> dict[str, Any]:
    start = perf_counter()
    row: dict[str, Any] = {"model": path.stem, "max_error": allowed, "good": False}
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = convc.optimize(
                cut_down(path, Path(folder)), objective="latency", sizes=sizes_of(path),
                threads=args.threads, budget=args.budget, max_error=allowed, metric=args.metric,
                data=args.data, preprocess=args.preprocess,
            )  # fmt: skip
        except ConvcError as error:
            return row | {"error": str(error), "seconds": perf_counter() - start}
    found, measured = result.approximation, result.measured
    assert found is not None
    return row | {
        "good": result.verdict.good,
        "verdict": result.verdict.value,
        "value": found.value if found.forms else 0.0,
        "limit": found.allowed.threshold,
        "data": found.data,
        "forms": found.forms,
        "macs": [result.before.macs, result.after.macs],
        "speedup": None if measured is None else measured.ratio.ratio,
        "interval": None if measured is None else [measured.ratio.low, measured.ratio.high],
        "approximation": None if found.measured is None else found.measured.ratio.ratio,
        "fit_seconds": found.seconds,
        "notes": [*found.notes, *([] if result.tuning is None else result.tuning.notes)],
        "seconds": perf_counter() - start,
        "peak_mib": getrusage(RUSAGE_SELF).ru_maxrss / 1024,
    }


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"| {row['model']} | {row['max_error']} | {row['error']} |"
    speed = "not timed"
    if row["speedup"] is not None:
        low, high = row["interval"]
        speed = f"{row['speedup']:.2f} ({low:.2f}–{high:.2f})"
    macs = "–" if None in row["macs"] else f"{row['macs'][1] / max(row['macs'][0], 1):.2f}"
    forms = len(row["forms"])
    return (
        f"| {row['model']} | {row['max_error']} | {speed} | {row['value']:.4f} | {macs} | {forms} "
        f"| {row['verdict']} | {row['fit_seconds']:.0f} | {row['peak_mib']:.0f} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
