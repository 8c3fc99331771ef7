"""Counts the peak of activation memory and measures it, each model in a process of its own.

    python -m tests.bench.memory MODEL... [--json FILE]

Linux only. The columns, sizes in KiB:

counted   in the file's order
best      in the best order found
measured  what the process needs where every buffer is freed after its last use (onnxruntime with
          optimisations, arena, patterns and reuse off), and counted / measured
kept      the same with reuse on, the runtime's default: a buffer that will fit a later value of the
          same size is kept for it, however long that takes
order     counted in the order in which the runtime runs the nodes, which need not be the file's
columns   the largest matrix of columns that a transposed conv builds beside its result
unknown   values left out of the count

Linux counts resident pages in batches, so that below some 2 MiB the measurement says little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convc.concrete import resolve_shapes
from convc.costs.memory import activation_memory
from convc.onnx_io import load
from tests.real_models import cut_down, sizes_of

ROOT = Path(__file__).parents[2]
LARGE = str(64 * 1024)
"""From this size on the C library takes memory from the system and gives it back when freed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(f"{'model':38} {'counted':>8} {'best':>8} {'measured':>8} {'ratio':>6} {'kept':>8} "
          f"{'ratio':>6} {'order':>8} {'columns':>8} {'unknown':>8}")  # fmt: skip
    rows = []
    for path in args.models:
        rows.append(row(path))
        print(_line(rows[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def row(path: Path) -> dict[str, Any]:
    """What is counted and measured for one model, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        graph = load(cut_down(path, Path(folder)), sizes_of(path))
    resolve_shapes(graph)
    counted = activation_memory(graph)
    return {
        "model": path.name,
        "best": counted.best_peak,
        "unknown": counted.unknown,
        **measure(path),
    }


def measure(path: Path) -> dict[str, Any]:
    """The measurements of one model, taken by a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.memory_child", str(path)],
        cwd=ROOT, env=child_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{path.name}: {done.stderr.strip()[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def child_environment() -> Mapping[str, str]:
    """Lets the C library give back at once what is freed, so that resident memory shows it."""
    return {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": LARGE,
        "MALLOC_TRIM_THRESHOLD_": LARGE,
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": "1",
    }


def _line(found: Mapping[str, Any]) -> str:
    own = found["own_order"]
    counted = found["counted"]
    return (
        f"{found['model']:38} {_kib(counted)} {_kib(found['best'])} {_kib(found['freed'])} "
        f"{counted / found['freed']:6.3f} {_kib(found['kept'])} {counted / found['kept']:6.3f} "
        f"{_kib(own['peak'])} {_kib(own['columns'])} {found['unknown']:8}"
    )


def _kib(size: int) -> str:
    return f"{round(size / 1024):>8}"


if __name__ == "__main__":
    sys.exit(main())
