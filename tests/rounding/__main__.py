"""``python -m tests.rounding``: the bounds of rounding errors on random layers."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from convc import __version__
from tests.rounding.checking import drawn, seen
from tests.rounding.report import FAR, Report
from tests.rounding.steady import CHANNELS, steady

TRIALS = 30
"""Layers of each size whose sums grow steadily."""


def main() -> int:
    """Runs the layers; 1 where a bound does not hold, or is too far from what is seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.rounding", description=__doc__)
    parser.add_argument("--layers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first layer")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    report = Report()
    began = shown = time.monotonic()
    for number in range(options.start, options.start + options.layers):
        report.add(number, seen(drawn(options.seed, number), _data_of(options.seed, number)))
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"{number + 1 - options.start} layers, {report.line()}", file=sys.stderr)
    print(report.table())
    provoked = [steady(channels, TRIALS, options.seed) for channels in CHANNELS]
    print("| 3×3 convs, sums growing steadily | worst bound / worst error: any order | runs |")
    print("|---|--:|--:|")
    for one in provoked:
        print(f"| {one.length} products | {one.any_order:.1f} | {one.runs:.1f} |")
    problems = report.problems()
    for one in provoked:
        if not 1 <= one.runs <= one.any_order <= FAR:
            problems.append(f"{one.length} products: the worst-case bounds are off: {one}")
    for problem in problems:
        print(problem)
    seconds = time.monotonic() - began
    print(f"seed {options.seed}: {options.layers} layers, {report.line()}, {seconds:.0f} s")
    if options.json:
        figures = {
            "seed": options.seed,
            "layers": options.layers,
            "convc": __version__,
            "onnx": onnx.__version__,
            "onnxruntime": ort.__version__,
            **report.figures(),
            "steady": [asdict(one) for one in provoked],
        }
        options.json.write_text(json.dumps(figures, indent=1))
    return 1 if problems else 0


def _data_of(seed: int, number: int) -> np.random.Generator:
    """The generator of a layer's data."""
    return np.random.default_rng([seed, number, 1])


if __name__ == "__main__":
    sys.exit(main())
