"""``objective="latency"``: the result is faster than the model it came from, or is that model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

import convc
import convc.api
from convc.digest import graph_digest
from convc.graph import Graph
from convc.ir import Op
from convc.judge import Verdict
from convc.pipeline import Choose, Pipeline
from convc.rewrite import Replacement, Rewrite, Rule, rule
from convc.tuning import Tuner
from convc.tuning.judge import Contender
from convc.tuning.region import Trial
from convc.tuning.stopwatch import Measured
from tests.test_api import chain
from tests.tiny import FLOAT, kernel, model, node, write
from tests.tuning_helpers import PricedWatch, measured

FUSE = "simplify,fold-affine,choose(fuse-convs),simplify"


def convs(graph: Graph) -> float:
    """A price list that knows convs only."""
    return 1.0 + sum(op.kind == "Conv" for op in graph.ops())


class Liar(PricedWatch):
    """Calls every rewrite fast while it is chosen; the last check, against the file, is honest."""

    def region(self, _trial: Trial, _seconds: float) -> Measured | None:
        return measured(2.0, 1.0)

    def whole(self, before: Contender, after: Contender, _seconds: float) -> Measured | None:
        if before.model is None:
            return measured(2.0, 1.0)
        return measured(self.wholes(before.graph), self.wholes(after.graph))


@pytest.fixture(autouse=True)
def fresh_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is remembered from other tests."""
    monkeypatch.setenv("CONVC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def with_watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[PricedWatch], None]:
    """Makes the tuner ask a watch of the test's own."""

    def use(watch: PricedWatch) -> None:
        monkeypatch.setattr(convc.api, "Tuner", partial(Tuner, watch=watch))

    return use


Use = Callable[[PricedWatch], None]


def test_what_pays_is_kept(with_watch: Use, tmp_path: Path) -> None:
    with_watch(PricedWatch(convs, convs))
    path = write(tmp_path / "chain.onnx", chain())
    result = convc.optimize(path, FUSE, objective="latency")
    assert result.after.convs == 1
    assert result.verdict.good
    assert result.measured is not None
    assert result.measured.faster
    assert result.tuning is not None
    assert result.tuning.notes == []


def test_a_lie_about_speed_is_caught_at_the_end(with_watch: Use, tmp_path: Path) -> None:
    def dear(graph: Graph) -> float:
        return 10.0 - convs(graph)

    with_watch(Liar(dear, dear))
    path = write(tmp_path / "chain.onnx", chain())
    result = convc.optimize(path, objective="latency")
    assert graph_digest(result.graph) == graph_digest(convc.load(path))
    assert result.tuning is not None
    assert result.tuning.notes == [
        "no gain is clear (1.00×, 95 %: 0.99 to 1.01): the model stays as it was"
    ]
    assert result.measured is not None
    assert result.measured.ratio.ratio == 1.0
    assert result.verdict is Verdict.IDENTICAL
    assert all(report.stats.applied == 0 for report in result.reports)


def test_choices_are_taken_back_of_a_named_pipeline_too(with_watch: Use, tmp_path: Path) -> None:
    def dear(graph: Graph) -> float:
        return 10.0 - convs(graph)

    with_watch(Liar(dear, dear))
    path = write(tmp_path / "chain.onnx", chain())
    result = convc.optimize(path, FUSE, objective="latency")
    assert result.after.convs == 2
    named = convc.optimize(path, "simplify,fold-affine,fuse-convs", objective="latency")
    assert named.after.convs == 1  # who names a pass gets it


@dataclass(frozen=True)
class ForgetScale(convc.Pass):
    """Wrong on purpose, and faster."""

    name: ClassVar[str] = "forget-scale"

    def rules(self) -> list[Rule]:
        return [rule(forget, "Mul")]


def forget(graph: Graph, op: Op) -> Rewrite:
    made = Replacement(graph)
    data = op.operands[0]
    assert data is not None
    return made.rewrite({op.result: made.op("Identity", (made.take(data),))}, note="forgot")


def scales(graph: Graph) -> float:
    """A price list that knows scales only."""
    return 1.0 + sum(op.kind == "Mul" for op in graph.ops())


def test_a_lie_about_the_function_is_caught_at_the_end(with_watch: Use, tmp_path: Path) -> None:
    with_watch(PricedWatch(scales, scales))
    path = write(tmp_path / "chain.onnx", chain())
    result = convc.optimize(path, Pipeline([Choose((ForgetScale(),))]), objective="latency")
    assert result.verdict is Verdict.DIFFERENT
    assert result.culprit == "choose(forget-scale)"


def test_on_the_real_clock(tmp_path: Path) -> None:
    path = write(tmp_path / "chain.onnx", chain())
    result = convc.optimize(path, objective="latency", budget=5, threads=1)
    assert result.verdict.good
    assert result.measured is not None
    assert result.tuning is not None
    stayed = any(note.startswith("no gain is clear") for note in result.tuning.notes)
    assert stayed is not result.measured.faster
    again = convc.optimize(path, objective="latency", budget=5, threads=1)
    assert again.tuning is not None
    assert again.tuning.timed == 0
    assert graph_digest(again.graph) == graph_digest(result.graph)


def test_a_model_that_cannot_run_is_chosen_by_count(tmp_path: Path) -> None:
    nodes = [node("Neg", "x", "a"), node("Magic", "a", "y", domain="nobody")]
    path = write(tmp_path / "magic.onnx", model(nodes, domains=["nobody"]))
    result = convc.optimize(path, objective="latency")
    assert result.measured is None
    assert result.tuning is not None
    assert any("chosen by count" in note for note in result.tuning.notes)
    assert result.verdict is Verdict.UNVERIFIED


def test_open_sizes_stay_open(with_watch: Use, tmp_path: Path) -> None:
    with_watch(PricedWatch(convs, convs))
    nodes = [node("Conv", "x w", "c"), node("Conv", "c v", "y")]
    weights = {"w": kernel(1, 4, 4, 1, 1), "v": kernel(2, 4, 4, 1, 1)}
    data = model(nodes, weights, inputs={"x": (FLOAT, ("n", 4, "h", "w"))})
    path = write(tmp_path / "open.onnx", data)
    result = convc.optimize(path, FUSE, objective="latency", sizes={"h": 9, "w": 11})
    assert result.after.convs == 1
    assert result.graph.inputs[0].shape == ("n", 4, "h", "w")
    assert result.tuning is not None
    assert result.tuning.notes == ["timed at x: 1×4×9×11"]
