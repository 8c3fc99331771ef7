"""Big files: gigabytes of weights, and very many ops.

    python -m tests.bench.big weights [--gigabytes 2.5] [--only TEXT] [--folder DIR] [--json FILE]
    python -m tests.bench.big ops [--ops 1000 10000 100000] [--only TEXT] [--commands NAME...]

``weights`` writes networks of that size (`tests.bench.heavy`), sends each through ``convc optimize
--objective macs --verify off`` in a process of its own, and holds the peak of its memory to 1.3
times the weights and 200 MiB. The result has to pass onnx.checker, to run in onnxruntime, and to
give what the original gives; that takes about as much memory as the weights again, and three times
their size on the disk.

``ops`` sends graphs of very many small ops (`tests.bench.many_ops`) through the same, and through
``convc cost`` and ``convc print``: ten times the ops may take twelve times the processor time,
the time of an empty graph not counted.

Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.child import Used, run

ROOT = Path(__file__).parents[2]
MIB, GIGABYTE = 2**20, 10**9
WEIGHTS_FACTOR, FIXED = 1.3, 200 * MIB
"""The peak may be this many times the weights and this much more."""
GROWTH = 1.2
"""Processor time may grow this many times as fast as the number of ops."""
TOLERANCE = 1e-4
"""Of the largest output: what `convc verify` allows by default."""
OPTIMIZE = ("optimize", "--objective", "macs", "--verify", "off")


@dataclass(frozen=True)
class Case:
    """One network of many weights: its mix (see `tests.bench.heavy`), data files, and options."""

    mix: str
    files: int
    options: tuple[str, ...] = ()


CASES = (
    Case("changed", 3, ("--external-data",)),
    Case("folded", 1),
    Case("copied", 2),
)
KINDS = (
    "residual", "chain", "open_chain", "linear_chain", "affine_chain", "shared_weight", "fan_out",
    "fan_affine", "fan_sum", "add_ladder", "concat_ladder", "many_outputs", "identities",
    "constants", "twins",
)  # fmt: skip
"""Of `tests.bench.many_ops`; not imported, so that this process stays small."""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    names = ("convc", "onnx", "onnxruntime", "numpy", "networkx")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; {versions}")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        make = _weights if args.what == "weights" else _ops
        rows = list(make(Path(folder), args))
    findings = [f"{row['name']}: {finding}" for row in rows for finding in row["findings"]]
    for finding in findings:
        print(f"FINDING {finding}")
    print(f"{len(rows)} rows, {len(findings)} findings")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    return int(bool(findings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    weights = commands.add_parser("weights", help="gigabytes of weights")
    weights.add_argument("--gigabytes", type=float, default=2.5, help="of weights (10⁹ bytes)")
    ops = commands.add_parser("ops", help="very many ops")
    ops.add_argument("--ops", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    ops.add_argument("--commands", nargs="+", default=["optimize", "cost", "print"])
    for one in (weights, ops):
        one.add_argument("--only", default="", help="rows whose name has this in it")
        one.add_argument("--folder", type=Path, help="where the files go (default: the temporary)")
        one.add_argument("--json", type=Path)
    return parser


# -- gigabytes of weights ----------------------------------------------------------------------


def _weights(folder: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    print(f"\n{'network':10} {'weights':>10} {'result':>10} {'peak':>10} {'limit':>10} "
          f"{'own':>10} {'mapped':>10} {'cpu':>7}  outputs differ by")  # fmt: skip
    for case in CASES:
        if args.only not in case.mix:
            continue
        inside = folder / case.mix
        inside.mkdir()
        row = _heavy(inside, case, round(args.gigabytes * GIGABYTE))
        print(
            f"{case.mix:10} {_mb(row['weights'])} {_mb(row['result'])} {_mb(row['resident'])} "
            f"{_mb(row['limit'])} {_mb(row['own'])} {_mb(row['mapped'])} {row['processor']:6.1f}s  "
            f"{row['difference']:.1e}",
            flush=True,
        )
        yield row
        for file in sorted(inside.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()


def _heavy(folder: Path, case: Case, size: int) -> dict[str, Any]:
    """One network through ``convc optimize``, its result checked."""
    source, target = folder / "net.onnx", folder / "out" / "net.onnx"
    target.parent.mkdir()
    weights = int(_said("tests.bench.heavy", str(source), "--gigabytes", repr(size / GIGABYTE),
                        "--files", str(case.files), "--mix", case.mix))  # fmt: skip
    used = _convc([*OPTIMIZE, "--quiet", *case.options, str(source), "-o", str(target)], folder)
    limit = round(WEIGHTS_FACTOR * weights + FIXED)
    findings = []
    if used.resident > limit:
        findings.append(f"the peak, {used.resident} bytes, is above {limit}")
    written = sorted(file.name for file in target.parent.iterdir())
    data = [name for name in written if name.endswith(".data")]
    if written != sorted([target.name, *data]) or len(data) != 1:
        findings.append(f"the result lies in {written}, not in a model and its data file")
    outputs = []
    for model in (source, target):
        outputs.append(folder / f"{len(outputs)}.npy")
        _said("tests.bench.big_child", str(model), str(outputs[-1]))
    difference = float(_said("tests.bench.big_child", *map(str, outputs)))
    if not difference <= TOLERANCE:
        findings.append(f"the outputs differ by {difference:.1e} of the largest")
    result = sum(file.stat().st_size for file in target.parent.iterdir())
    return {
        "name": case.mix, "weights": weights, "result": result, "limit": limit,
        "difference": difference, **asdict(used), "findings": findings,
    }  # fmt: skip


def _said(module: str, *arguments: str) -> str:
    """What a module prints, run as a process of its own; its errors go to the terminal."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


# -- very many ops -----------------------------------------------------------------------------


def _ops(folder: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    print(f"\n{'command':9} {'graph':15} {'ops':>8} {'cpu':>9} {'peak':>10}  ms an op above an "
          "empty graph; times as long per op as at the size before")  # fmt: skip
    model = folder / "ops.onnx"
    for command in args.commands:
        empty = _counted(command, "chain", 0, model)
        for kind in KINDS:
            if args.only in kind:
                yield _row(command, kind, args.ops, model, empty.processor)


def _row(
    command: str, kind: str, sizes: Sequence[int], model: Path, empty: float
) -> dict[str, Any]:
    """One kind of graph at each size."""
    findings, runs = [], []
    for ops in sorted(sizes):
        used = _counted(command, kind, ops, model)
        runs.append({"ops": ops, **asdict(used)})
        each = (used.processor - empty) / ops
        ratio = ""
        if len(runs) > 1:
            before = runs[-2]
            growth = each / max((before["processor"] - empty) / before["ops"], 1e-9)
            ratio = f"{growth:.2f}"
            # Small graphs take no longer than the start-up varies: they say nothing.
            if growth > GROWTH and before["ops"] >= 10_000:
                findings.append(f"{command}: an op takes {growth:.2f} times as long at {ops} ops")
        print(f"{command:9} {kind:15} {ops:8} {used.processor:8.2f}s {_mb(used.resident)}  "
              f"{1e3 * each:.3f} {ratio}", flush=True)  # fmt: skip
    return {"name": f"{command} {kind}", "runs": runs, "findings": findings}


def _counted(command: str, kind: str, ops: int, model: Path) -> Used:
    _said("tests.bench.many_ops", kind, str(ops), str(model))
    arguments = {
        "optimize": [*OPTIMIZE, "--quiet", str(model), "-o", str(model.with_name("out.onnx"))],
        "cost": ["cost", "--quiet", "--json", str(model)],
        "print": ["print", str(model), "-o", str(model.with_name("out.mlir"))],
    }
    return _convc(arguments[command], model.parent)


def _convc(arguments: Sequence[str], folder: Path) -> Used:
    """Runs convc; anything but success ends the whole."""
    used = run([sys.executable, "-m", "convc", *arguments], folder / "log")
    if used.code:
        raise SystemExit(f"convc {' '.join(arguments)}: exit code {used.code}\n{used.errors}")
    return used


def _mb(size: float) -> str:
    return f"{size / 1e6:7.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
