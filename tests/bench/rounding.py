"""Whole networks against float64, before and after, and the bounds of what was rewritten.

    python -m tests.bench.rounding FOLDER [--only TEXT...] [--cases 5] [--volume 32]
        [--json FILE]

Every model is optimised by count. It and the result run in onnxruntime, optimisations off, on the
inputs that `convc.check` makes up; what is shown is the largest difference from float64,
relative to the output's largest magnitude, over all inputs and outputs. The verdict is that of
`convc.verify`, on all of its inputs. Outputs that the original itself has more than 1 % off are
decided by jumps (a threshold, an argmax): for them the difference is no rounding, and they are left
out of the figures, not of the verdict. The bounds are those of `convc.rounding` for inputs of
magnitude 1: the largest probable one of all applied rewrites, and the largest ratio to the original
region's own. Rewrites of whole regions with nonlinearities have bounds that say little: they are
counted apart, as are those that have none.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import convc
from convc.check import HOPELESS
from convc.errors import ConvcError
from convc.feeds import Case, made_up
from convc.graph import Graph
from convc.ir import Array, is_real
from convc.onnx_io import to_bytes
from convc.opset import is_linear
from convc.pipeline import Context, Pipeline
from convc.reference import EvaluationError, evaluate
from convc.rewrite import Rewrite
from convc.rounding import Sides, compared
from convc.runtime import RunError, Session, Settings
from tests.real_models import cut_down, sizes_of


@dataclass
class Row:
    """One model.

    Attributes:
        ops: before and after.
        rewrites: applied.
        errors: of the original and of the result against float64; None where nothing was judged.
        verdict: of `convc.verify`.
        probable: the largest probable bound of a rewrite of linear ops.
        ratio: the largest ratio of such a bound to the original region's.
        nonlinear: rewrites of regions with nonlinearities.
        without: why rewrites have no bound, counted.
        note: what else there is to say.
    """

    model: str
    ops: tuple[int, int] = (0, 0)
    rewrites: int = 0
    errors: tuple[float, float] | None = None
    verdict: str = ""
    probable: float = 0.0
    ratio: float = 0.0
    nonlinear: int = 0
    without: dict[str, int] = field(default_factory=dict)
    note: str = ""
    seconds: float = 0.0

    def take(self, graph: Graph, rewrite: Rewrite) -> float:
        """Takes in a rewrite that is about to be applied; the residual of no proof."""
        sides = compared(graph, rewrite)
        self.rewrites += 1
        if sides.after is None:
            self.without[sides.reason] = self.without.get(sides.reason, 0) + 1
        elif _is_plain(rewrite):
            self._bound(sides)
        else:
            self.nonlinear += 1
        return 0.0

    def _bound(self, sides: Sides) -> None:
        assert sides.after is not None
        self.probable = max(self.probable, sides.after.probable)
        if sides.before is not None and sides.before.probable > 0:
            self.ratio = max(self.ratio, sides.after.probable / sides.before.probable)

    def line(self) -> str:
        """Of the table."""
        if not self.verdict:
            return f"| {self.model} | {self.note} |"
        before = after = ratio = "–"
        if self.errors is not None:
            before, after = (f"{error:.1e}" for error in self.errors)
            ratio = f"{self.errors[1] / self.errors[0]:.2f}" if self.errors[0] else "–"
        bound = f"{self.probable:.1e}" if self.probable else "–"
        side = f"{self.ratio:.2f}" if self.ratio else "–"
        more = f"{self.nonlinear} / {sum(self.without.values())}"
        model = f"{self.model} ({self.note})" if self.note else self.model
        return (
            f"| {model} | {self.ops[0]} → {self.ops[1]} | {self.rewrites} | {before} "
            f"| {after} | {ratio} | {self.verdict} | {bound} | {side} | {more} |"
        )


HEAD = """| model | ops | rewrites | error before | after | ratio | verdict | largest probable \
| over the region's | nonlinear / no bound |
|---|--:|--:|--:|--:|--:|---|--:|--:|--:|"""


def main() -> int:
    """Prints the table; 1 where a verdict is not good."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[""], help="models with this in their names")
    parser.add_argument("--cases", type=int, default=5, help="inputs that the figures are from")
    parser.add_argument("--volume", type=int, default=32, help="sides that volumes are cut to")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    rows: list[Row] = []
    print(HEAD)
    for path in sorted(options.folder.glob("*.onnx")):
        if not any(text in path.name for text in options.only):
            continue
        rows.append(row_of(path, options.cases, options.volume))
        print(rows[-1].line(), flush=True)
        if options.json:
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    bad = [row for row in rows if row.verdict in ("", "different", "unverified")]
    print(
        f"\n{len(rows)} models, {sum(row.rewrites for row in rows)} rewrites, {len(bad)} not good"
    )
    for row in bad:
        print(f"{row.model}: {row.verdict or row.note}")
    return int(bool(bad))


def row_of(path: Path, cases: int, volume: int) -> Row:
    """Optimises one model and compares it with float64."""
    row, start = Row(path.stem), perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        source = cut_down(path, Path(folder), volume)
        row.note = f"cut to {volume}" if source != path else ""
        try:
            _measure(row, source, cases)
        except (ConvcError, RunError) as error:
            row.note = str(error)
    row.seconds = perf_counter() - start
    return row


def _measure(row: Row, source: Path, cases: int) -> None:
    result = convc.optimize(source, objective="macs", sizes=sizes_of(source))
    row.verdict = result.verdict.value
    original = convc.load(source, sizes_of(source))
    row.ops = _count(original), _count(result.graph)
    Pipeline.parse(str(result.pipeline)).run(original.clone(), Context("macs", row.take))
    sessions = [
        Session(model, Settings(optimised=False, threads=1))
        for model in (to_bytes(original), to_bytes(result.graph))
    ]
    found = [_errors(original, c, sessions) for c in made_up(original, original.sizes, 0)[:cases]]
    judged = [errors for errors in found if errors]
    if judged:
        row.errors = max(a for a, _ in judged), max(b for _, b in judged)


def _errors(graph: Graph, case: Case, sessions: list[Session]) -> tuple[float, float] | None:
    """Of both models on one set of inputs; nothing where the original or float64 does not run."""
    try:
        results = [session.run(case.feeds) for session in sessions]
        exact = evaluate(graph, case.feeds)
    except (RunError, EvaluationError):
        return None
    pairs = [
        [_relative(result, truth) for result in found]
        for *found, truth in zip(*results, exact, strict=True)
    ]
    judged = [pair for pair in pairs if pair[0] < HOPELESS]
    if not judged:
        return None
    return max(pair[0] for pair in judged), max(pair[1] for pair in judged)


def _relative(result: Any, exact: Array) -> float:
    """Largest difference, relative to the largest magnitude; 0 for what is no real number."""
    if not isinstance(result, np.ndarray) or not is_real(result.dtype):
        return 0.0
    if result.shape != exact.shape:
        return float("inf")
    finite = np.isfinite(exact)
    scale = np.abs(exact[finite]).max(initial=0.0)
    error = np.abs(result.astype(np.float64)[finite] - exact[finite]).max(initial=0.0)
    return float(error / scale) if scale else float(error)


def _is_plain(rewrite: Rewrite) -> bool:
    """Whether nothing but linear ops stands between constants, and at the end one function."""
    after = rewrite.after
    last = {value.op for value in after.outputs}
    inner = [op for op in after.ops() if not op.is_boundary and op.array is None]
    return all(is_linear(op) or op in last or _moves(op) for op in inner)


def _moves(op: Any) -> bool:
    return op.kind in ("DepthToSpace", "SpaceToDepth", "Resize", "Split", "Squeeze", "Unsqueeze")


def _count(graph: Graph) -> int:
    return sum(not op.is_boundary and op.array is None for op in graph.ops())


if __name__ == "__main__":
    raise SystemExit(main())
