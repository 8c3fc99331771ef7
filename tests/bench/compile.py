"""Times `convc optimize` as a process, and its peak memory, against onnxslim; and how it grows.

    python -m tests.bench.compile [--rounds 5] [--onnxslim COMMAND] [--only TEXT] [--json FILE]

Two tables, both of ``convc optimize MODEL --objective macs --verify off``: the networks of the
onnx package (their topology; their weights are drawn from a seed), in turn with onnxslim, and
graphs of 1,000, 10,000 and 100,000 small ops. Files lie in a temporary folder and are in the page
cache. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

MIB = 2**20
NETWORKS = {"resnet50": 1.5, "densenet121": 1.0, "vgg19": 3.0}
"""How many times faster than onnxslim each has to be."""
OPS = (1_000, 10_000, 100_000)
LONGEST = 60.0
"""Seconds that the largest of these may take."""
WEIGHTS_FACTOR, FIXED_MIB = 1.3, 200.0
"""The peak may be this many times the weights and this much more."""


@dataclass(frozen=True)
class Run:
    """One process: seconds from start to end, and its peak resident memory."""

    seconds: float
    peak_mib: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--onnxslim", default="onnxslim", help="the command that runs it")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    slim = shlex.split(args.onnxslim)
    if shutil.which(slim[0]) is None:
        print(f"{args.onnxslim}: not found, so there is nothing to compare with (--onnxslim)")
        slim = []
    versions = ", ".join(f"{name} {version(name)}" for name in ("convc", "onnx", "numpy"))
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}; {versions}")
    if slim:
        print(_said([*slim, "--version"]))
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *_networks(Path(folder), slim, args.rounds, args.only),
            *_growth(Path(folder), args.rounds, args.only),
        ]
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    return int(not all(row["good"] for row in rows))


def _networks(folder: Path, slim: Sequence[str], rounds: int, only: str) -> list[dict[str, object]]:
    print(f"\n{'network':12} {'weights':>9}  {'convc':>22} {'peak':>9} {'limit':>9}  "
          f"{'onnxslim':>22} {'peak':>9}  faster (wanted)")  # fmt: skip
    rows: list[dict[str, object]] = []
    for name, wanted in NETWORKS.items():
        if only not in name:
            continue
        model, out = folder / f"{name}.onnx", folder / "out.onnx"
        _make(name, model)
        weights = model.stat().st_size / MIB
        commands = [_convc(model, out)]
        if slim:
            commands.append([*slim, str(model), str(folder / "slim.onnx")])
        runs = _interleaved(commands, rounds)
        mine, limit = runs[0], WEIGHTS_FACTOR * weights + FIXED_MIB
        peak = max(run.peak_mib for run in mine)
        text = f"{name:12} {weights:5.0f} MiB  {_spread(mine)} {peak:5.0f} MiB {limit:5.0f} MiB"
        row: dict[str, object] = {"name": name, "weights_mib": weights, "good": peak < limit}
        row["convc"] = [asdict(run) for run in mine]
        if slim:
            other = runs[1]
            ratio = _median(other) / _median(mine)
            other_peak = max(run.peak_mib for run in other)
            text += f"  {_spread(other)} {other_peak:5.0f} MiB  {ratio:.2f} ({wanted})"
            row |= {"onnxslim": [asdict(run) for run in other], "ratio": ratio}
            row["good"] = peak < limit and ratio >= wanted
        print(text, flush=True)
        rows.append(row)
        model.unlink()
    return rows


def _growth(folder: Path, rounds: int, only: str) -> list[dict[str, object]]:
    print(f"\n{'ops':>8}  {'convc':>22} {'peak':>9}  ms an op above an empty graph's time")
    rows: list[dict[str, object]] = []
    empty = 0.0
    for ops in (0, *OPS):
        if only not in str(ops):
            continue
        model = folder / "ops.onnx"
        _make(str(ops), model)
        few = rounds if ops < OPS[-1] else max(1, rounds // 3)
        (runs,) = _interleaved([_convc(model, folder / "out.onnx")], few)
        empty = empty or _median(runs)
        each = f"{(_median(runs) - empty) / ops * 1e3:.3f}" if ops else ""
        peak = max(run.peak_mib for run in runs)
        print(f"{ops:8}  {_spread(runs)} {peak:5.0f} MiB  {each}", flush=True)
        rows.append({"name": f"{ops} ops", "convc": [asdict(run) for run in runs],
                     "good": _median(runs) < LONGEST})  # fmt: skip
    return rows


def _convc(model: Path, out: Path) -> list[str]:
    options = ["--objective", "macs", "--verify", "off", "--quiet", "-o", str(out)]
    return [sys.executable, "-m", "convc", "optimize", str(model), *options]


def _interleaved(commands: Sequence[Sequence[str]], rounds: int) -> list[list[Run]]:
    """Each command once a round, after one round that warms the caches."""
    runs: list[list[Run]] = [[] for _ in commands]
    for number in range(rounds + 1):
        for command, found in zip(commands, runs, strict=True):
            run = _run(command)
            if number:
                found.append(run)
    return runs


def _run(command: Sequence[str]) -> Run:
    """Runs a process. Its peak counts from its parent's size: so nothing large is held here."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {shlex.join(command)}")
    return Run(seconds, usage.ru_maxrss * 1024 / MIB)


def _median(runs: Sequence[Run]) -> float:
    return median(run.seconds for run in runs)


def _spread(runs: Sequence[Run]) -> str:
    seconds = [run.seconds for run in runs]
    return f"{median(seconds):6.2f} s ({min(seconds):5.2f}-{max(seconds):5.2f})"


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _make(name: str, path: Path) -> None:
    """Makes a model in a process of its own."""
    subprocess.run([sys.executable, "-m", "tests.bench.networks", name, str(path)], check=True)


if __name__ == "__main__":
    sys.exit(main())
