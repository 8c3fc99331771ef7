"""``python -m tests.fuzz``: random networks through convc, judged by float64 and onnxruntime."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from convc import __version__
from tests.fuzz.certify import Answers, Certifier
from tests.fuzz.opinions import opinions
from tests.fuzz.runner import Tally, fuzz
from tests.fuzz.save import save

EXAMPLES = 3
"""Networks named for each group of findings."""


def main() -> int:
    options = _options()
    if options.certify:
        return _second_opinions(options)
    shown = Shown(options)
    tally = fuzz(
        options.seed,
        networks=options.networks,
        seconds=options.seconds,
        workers=options.workers,
        start=options.start,
        progress=shown,
    )
    shown.end()
    if options.coverage:
        _print_coverage(tally)
    for signature, found in sorted(tally.by_signature().items(), key=lambda item: -len(item[1])):
        first = found[0]
        print(f"\n{len(found)} × {signature}")
        print(
            f"  networks {', '.join(str(f.number) for f in found[:EXAMPLES])}: {first.finding.what}"
        )
        print(f"  {first.plan}")
        if options.save:
            print(f"  saved: {save(first, options.save)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(_figures(tally, options.seed, options.start), indent=1))
    print(
        f"seed {options.seed} from {options.start}: {tally.networks} networks "
        f"({tally.redrawn} redrawn), {tally.rewrites} rewrites applied, "
        f"{len(tally.found)} findings, {len(tally.alarms)} false alarms, {tally.seconds:.0f} s"
    )
    return 1 if tally.found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--networks", type=int, help="how many to judge")
    parser.add_argument("--seconds", type=float, help="for how long (default 60)")
    parser.add_argument("--seed", type=int, help="of the networks (default: drawn and printed)")
    parser.add_argument("--start", type=int, default=0, help="number of the first network")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--save", type=Path, help="folder for findings, shrunk to small networks")
    parser.add_argument("--coverage", action="store_true", help="print how often each rule fired")
    parser.add_argument(
        "--certify", nargs="?", const=sys.executable, metavar="PYTHON",
        help="ask onnxsim's certify for a second opinion, in a Python that has it",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    if options.networks is None and options.seconds is None:
        options.seconds = 60.0
    if options.seed is None:
        options.seed = time.time_ns() % 10**9
    return options


def _second_opinions(options: argparse.Namespace) -> int:
    certifier = Certifier(options.certify)
    versions = certifier.available()
    if not versions:
        print(f"skipped: {options.certify} has no onnxsim with z3-solver")
        return 0

    def progress(asked: int, answers: Answers) -> None:
        if asked % 20 == 0 and sys.stderr.isatty():
            print(f"{asked} asked: {dict(answers.said)}", end="\r", file=sys.stderr)

    count = options.networks or 200
    answers = opinions(options.seed, count, certifier, start=options.start, progress=progress)
    for words in answers.disagreed:
        print(words)
    figures = {"onnxsim and z3": versions, **answers.said, "disagreed": len(answers.disagreed)}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    said = ", ".join(f"{count} {word}" for word, count in answers.said.most_common())
    print(f"onnxsim {versions}, seed {options.seed}: {said}; {len(answers.disagreed)} disagreed")
    return 1 if answers.disagreed else 0


class Shown:
    """The progress line; findings as soon as they are made."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.seed = options.seed
        self.next = 0.0
        self.told = 0

    def __call__(self, tally: Tally) -> None:
        for found in tally.found[self.told :]:
            said = f"network {found.number}: {found.finding.kind}: {found.finding.what}"
            print(said, file=sys.stderr, flush=True)
        self.told = len(tally.found)
        if tally.seconds < self.next:
            return
        self.next = tally.seconds + (1.0 if sys.stderr.isatty() else 30.0)
        line = (
            f"seed {self.seed}: {tally.networks} networks, {tally.rewrites} rewrites, "
            f"{len(tally.found)} findings, {tally.seconds:.0f} s"
        )
        print(line, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        if sys.stderr.isatty():
            print(file=sys.stderr)


def _print_coverage(tally: Tally) -> None:
    for name, count in tally.applied.most_common():
        print(f"{count:8d} {name}")
        notes = Counter({note: n for (owner, note), n in tally.notes.items() if owner == name})
        for note, times in notes.most_common():
            print(f"{times:16d} {note}")


def _figures(tally: Tally, seed: int, start: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "start": start,
        "networks": tally.networks,
        "redrawn": tally.redrawn,
        "rewrites": tally.rewrites,
        "seconds": round(tally.seconds, 1),
        "applied": dict(tally.applied.most_common()),
        "notes": {f"{name}: {note}": n for (name, note), n in tally.notes.most_common()},
        "findings": [
            {"number": f.number, "plan": None if f.plan is None else vars(f.plan),
             "kind": f.finding.kind, "what": f.finding.what}
            for f in tally.found
        ],
        "false_alarms": [
            {"number": f.number, "what": f.finding.what} for f in tally.alarms
        ],
        "versions": {
            "convc": __version__, "onnx": onnx.__version__, "onnxruntime": ort.__version__,
            "numpy": np.__version__, "python": sys.version.split()[0],
        },
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
