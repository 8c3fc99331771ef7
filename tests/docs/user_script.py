"""A script as a user may write it, with types: ``python -m tests.docs`` has mypy look at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

import convc
from convc.algebra import compose, transforms
from convc.ir import Op
from convc.rewrite import NoMatch, Replacement, Rewrite, Rule, rule
from passes import FoldAffine, FuseConvs


@dataclass(frozen=True)
class DropIdentity(convc.Pass):
    """An Identity goes."""

    name: ClassVar[str] = "drop-identity"

    def rules(self) -> list[Rule]:
        """One rule."""
        return [rule(drop, "Identity")]


def drop(graph: convc.Graph, op: Op) -> Rewrite:
    """Its operand takes the place of its result."""
    data = op.operand(0)
    if data is None or data.op not in graph:
        raise NoMatch("there is no operand")
    build = Replacement(graph)
    return build.rewrite({op.result: build.take(data)})


def faster(path: Path) -> float:
    """Optimises a model, saves it beside the original, and returns how many times fewer MACs."""
    result: convc.Result = convc.optimize(path, objective="macs", sizes={"height": 64, "width": 64})
    if result.verdict is convc.Verdict.DIFFERENT:
        raise SystemExit(result.culprit)
    convc.save(result.graph, path.with_suffix(".faster.onnx"))
    before, after = result.before.macs, result.after.macs
    return before / after if before and after else 1.0


def collapse(path: Path) -> convc.Graph:
    """The passes one by one, with what they did."""
    graph = convc.load(path)
    pipeline = convc.Pipeline([FoldAffine(border="decline"), FuseConvs(), DropIdentity()])
    for report in pipeline.run(graph, convc.Context(objective="params")):
        print(report.text, report.stats.applied, dict(report.stats.declined))
    macs: int = convc.cost(graph).report.macs
    print(macs, [value.shape for value in graph.outputs])
    return graph


def arrays() -> tuple[tuple[int, ...], float]:
    """The algebra alone."""
    kernel, _, geometry = compose(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), pads=(1, 1))
    at, _, _ = transforms(2, 3).arrays()
    return geometry.pads, float(kernel.sum() + at.sum())
