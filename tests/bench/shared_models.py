"""Optimises a folder of models and times each result against its original.

    python -m tests.bench.shared_models FOLDER [--threads 1] [--json FILE] [--only TEXT]

For every model: the verdict of `convc.optimize`, and the latency of the original (as shipped, and
with the runtime's ``set_denormal_as_zero`` in a process of its own) against the result's, timed in
turn with everything onnxruntime has switched on. Nothing else may run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import convc
from convc.feeds import noise
from convc.onnx_io import to_bytes
from convc.runtime import Session, Settings, version
from convc.timing import Ratio, in_own_process, interleave, ratio, run_of
from tests.real_models import cut_down, sizes_of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20.0, help="a model's timing, at the most")
    parser.add_argument("--passes", help="pipeline text (the default one)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="models whose name has this in it")
    args = parser.parse_args()
    print(f"onnxruntime {version()}, {args.threads} threads, {_processor()}")
    print(f"{'model':42} {'verdict':17} {'error/own':>19}  {'faster':>24}  with denormals as zero")
    rows = []
    for path in sorted(args.folder.glob("*.onnx")):
        if args.only in path.name:
            rows.append(_row(path, args))
    speedups = [row["speedup"]["ratio"] for row in rows if "speedup" in row]
    if speedups:
        print(f"geometric mean {geometric_mean(speedups):.3f} over {len(speedups)} models")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    return int(any(not row["good"] or _slower(row) for row in rows))


def _row(path: Path, args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = cut_down(path, Path(folder))
        result = convc.optimize(path, args.passes, sizes=sizes_of(path))
        comparison = result.comparison
        assert comparison is not None
        graph = result.graph
        settings = Settings(threads=args.threads)
        flushed = Settings(threads=args.threads, denormal_as_zero=True)
        optimised = to_bytes(graph)
        feeds = noise(graph)
        with ExitStack() as stack:
            runs = [run_of(Session(path, settings), feeds)]
            runs.append(run_of(Session(optimised, settings), feeds))
            runs.append(stack.enter_context(in_own_process(path, flushed, feeds)))
            times = interleave(runs, rounds=args.rounds, seconds=args.seconds)
    plain, against_flag = ratio(times[0], times[1]), ratio(times[2], times[1])
    error = f"{comparison.error:.1e}/{comparison.original_error:.1e}"
    verdict = comparison.verdict.value
    print(f"{path.name:42} {verdict:17} {error:>19}  {_show(plain):>24}  {_show(against_flag)}")
    sys.stdout.flush()
    return {
        "model": path.name,
        "verify": comparison.as_json(),
        "good": comparison.verdict.good,
        "latency_ms": [median(spent) * 1e3 for spent in times],
        "speedup": _as_json(plain),
        "speedup_over_denormal_as_zero": _as_json(against_flag),
        "applied": {report.text: report.stats.applied for report in result.reports},
        "before": result.before.as_json(),
        "after": result.after.as_json(),
    }


def _slower(row: dict[str, Any]) -> bool:
    """The interval of the ratio lies below 1, by more than two models timed in turn differ."""
    return bool(row["speedup"]["high"] < 0.98)


def _show(found: Ratio) -> str:
    return f"{found.ratio:6.2f} ({found.low:.2f} to {found.high:.2f})"


def _as_json(found: Ratio) -> dict[str, float]:
    return {"ratio": found.ratio, "low": found.low, "high": found.high}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
