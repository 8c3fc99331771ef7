"""``convc cost --blocks``: exercise 7 on a given layer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import convc
from convc.analysis import Cost
from convc.blocks.clock import LayerClock
from convc.blocks.convs import emit_factors
from convc.blocks.table import NEAREST, Blocks, Form, Row, Speedup, blocks
from convc.costs.report import report
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.onnx_io import save
from convc.rewrite import Replacement, apply
from convc.runtime import RunError
from convc.timing import Ratio
from convc.tuning.region import Trial
from convc.tuning.stopwatch import Measured
from tests.cli_helpers import Capture, call
from tests.helpers import random_feeds, run_onnx
from tests.strategies import finished, new_graph, random_conv

RNG = np.random.default_rng(7)


def layer(outputs: int = 16, inputs: int = 24, *, batch: int = 1, **geometry: int) -> Graph:
    build, x = new_graph((batch, inputs, 12, 14))
    return finished(build, random_conv(build, x, outputs, (3, 3), **geometry))


def conv(graph: Graph) -> Op:
    return next(op for op in graph.ops() if op.kind == "Conv")


def table(graph: Graph) -> Blocks:
    found = blocks(conv(graph))
    assert isinstance(found, Blocks)
    return found


def forms(found: Blocks) -> list[tuple[Row, str, Form]]:
    return [(row, name, form) for row in found.rows for name, form in row.forms.items()]


def replaced(graph: Graph, form: Form) -> Graph:
    """The layer with the form in its place."""
    copy = graph.clone()
    op, build = conv(copy), Replacement(copy)
    bias = np.asarray(op.inputs[2].array, np.float64)
    value = emit_factors(build, op, build.take(op.inputs[0]), form.factors, bias)
    apply(copy, build.rewrite({op.result: value}))
    return copy


def test_exercise_7() -> None:
    """b blocks: b times fewer products; what is lost grows with b and is partly repaired."""
    found = table(layer(64, 64, pads=1))
    assert [row.b for row in found.rows] == [2, 4, 8, 16, 32, 64]
    losses = [row.forms["diagonal"].loss for row in found.rows]
    assert losses == sorted(losses)
    for row in found.rows:
        assert row.forms["diagonal"].macs_ratio * row.b == 1
        assert row.forms["grouped"].macs_ratio == pytest.approx(1 / row.b + 1 / 9)
        assert row.forms["grouped"].loss < row.forms["diagonal"].loss
        assert ("shuffled" in row.forms) == (row.b <= 8)
    for row in found.rows[:3]:
        shuffled = row.forms["shuffled"]
        assert shuffled.macs_ratio == pytest.approx(1 / row.b * (1 + 1 / 9))
        assert row.forms["grouped"].loss < shuffled.loss < row.forms["diagonal"].loss


def test_the_macs_are_those_of_the_form() -> None:
    graph = layer(strides=2)
    before = report(graph).macs
    for _, _, form in forms(table(graph)):
        assert report(replaced(graph, form)).macs == pytest.approx(form.macs_ratio * before)


def test_the_loss_is_that_on_white_noise() -> None:
    """48,000 responses of 16 filters: the mean of so many squares is right to one percent."""
    graph = layer(batch=400)
    feeds = random_feeds(graph, RNG)
    (wanted,) = run_onnx(graph, feeds)
    wanted = wanted - wanted.mean(axis=(0, 2, 3), keepdims=True)
    found = forms(table(graph))
    assert len(found) == 8
    for _, _, form in found:
        (given,) = run_onnx(replaced(graph, form), feeds)
        error = given - given.mean(axis=(0, 2, 3), keepdims=True) - wanted
        measured = np.linalg.norm(error) / np.linalg.norm(wanted)
        assert measured == pytest.approx(form.loss, rel=0.03)


def test_on_data_it_is_that_on_the_data() -> None:
    graph = layer(pads=1)
    smooth = np.cumsum(np.cumsum(RNG.standard_normal((4, 24, 12, 14)), axis=2), axis=3) / 10
    data = [{"x": part[np.newaxis].astype(np.float32)} for part in smooth]
    found = convc.cost(graph, blocks=True, data=data).blocks
    (entry,) = found.values()
    assert isinstance(entry, Blocks)
    assert entry.on_data
    wanted = np.concatenate([run_onnx(graph, feeds)[0] for feeds in data])
    wanted = wanted - wanted.mean(axis=(0, 2, 3), keepdims=True)
    alone = {(row.b, name): form.loss for row, name, form in forms(table(graph))}
    for row, name, form in forms(entry):
        after = replaced(graph, form)
        given = np.concatenate([run_onnx(after, feeds)[0] for feeds in data])
        error = given - given.mean(axis=(0, 2, 3), keepdims=True) - wanted
        measured = np.linalg.norm(error) / np.linalg.norm(wanted)
        # All 672 responses are looked at; float32 in onnxruntime.
        assert measured == pytest.approx(form.loss, rel=1e-3)
        assert form.loss < alone[row.b, name]


class FakeWatch:
    """Says that the after runs in half the time, or not at all."""

    def __init__(self, runs: bool) -> None:
        self.runs = runs
        self.trials: list[Trial] = []

    def region(self, trial: Trial, seconds: float) -> Measured | None:
        assert seconds == 0.5
        self.trials.append(trial)
        return Measured(Ratio(2.0, 1.5, 2.5), 1.0, 0.5) if self.runs else None


def test_every_form_is_timed_against_the_layer_alone() -> None:
    build, x = new_graph((1, 8, "h", "w"), sizes={"h": 9, "w": 7})
    hidden = build.op("Relu", (x,), type_=x.type)
    y = random_conv(build, hidden, 8, (3, 3), pads=1)
    graph = finished(build, build.op("Relu", (y,), type_=y.type))
    watch = FakeWatch(runs=True)
    found = table(graph)
    timed = found.timed(LayerClock(graph, conv(graph), watch, 0.5))  # type: ignore[arg-type]
    assert all(form.speedup == Speedup(2.0, 1.5, 2.5) for _, _, form in forms(timed))
    assert len(watch.trials) == len(forms(found)) == 7
    for trial, (_, _, form) in zip(watch.trials, forms(found), strict=True):
        kinds = [op.kind for op in trial.before.ops() if op.array is None]
        assert kinds == ["Input", "Conv", "Output"]
        assert trial.before.inputs[0].shape == (1, 8, 9, 7)
        expected = trial.before.clone()
        kernel = expected.add_constant(form.factors.kernel().astype(np.float32))
        expected.set_operand(conv(expected), 1, kernel)
        feeds = random_feeds(trial.before, RNG)
        (one,), (other,) = run_onnx(trial.after, feeds), run_onnx(expected, feeds)
        # Sums of 80 products of about 1, in float32.
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)
    silent = found.timed(LayerClock(graph, conv(graph), FakeWatch(runs=False), 0.5))  # type: ignore[arg-type]
    assert all(form.speedup is None for _, _, form in forms(silent))


def without_weights() -> Graph:
    build, x = new_graph((1, 8, 5, 5))
    weight = build.graph.add_input("w", TensorType(np.dtype(np.float32), (8, 8, 3, 3)))
    return finished(build, build.op("Conv", (x, weight), {}))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: layer(16, 16, group=2), "it is in groups already"),
        (without_weights, "its weights are no floating constants"),
        (lambda: layer(15, 16), "no number of blocks divides its channels"),
        (lambda: layer(16, 3), "no number of blocks divides its channels"),
    ],
)
def test_why_there_is_none(make: object, why: str) -> None:
    assert callable(make)
    assert blocks(conv(make())) == why


@pytest.fixture
def path(tmp_path: Path) -> Path:
    build, x = new_graph((1, 4, 12, 10))
    for channels, group in ((8, 1), (16, 1), (16, 16), (12, 1), (5, 1)):
        x = random_conv(build, x, channels, (3, 3), pads=1, group=group)
    target = tmp_path / "net.onnx"
    save(finished(build, x), target)
    return target


def test_the_dearest_are_looked_at(path: Path) -> None:
    found: Cost = convc.cost(path, blocks=True, top=2)
    tables = [op for op, entry in found.blocks.items() if isinstance(entry, Blocks)]
    assert [op.inputs[1].shape[0] for op in tables] == [12, 16]
    reasons = [entry for entry in found.blocks.values() if isinstance(entry, str)]
    assert reasons == ["it is in groups already", "no number of blocks divides its channels"]
    every = convc.cost(path, blocks=True, top=0)
    assert sum(isinstance(entry, Blocks) for entry in every.blocks.values()) == 3
    assert convc.cost(path).blocks == {}


def test_json(path: Path, capsys: Capture) -> None:
    assert call("cost", path, "--blocks", "--top", 1, "--json") == 0
    ops = json.loads(capsys.readouterr().out)["ops"]
    found = [entry["blocks"] for entry in ops if "blocks" in entry]
    assert [entry.get("unknown", "") for entry in found] == [
        "it is in groups already", "", "no number of blocks divides its channels",
    ]  # fmt: skip
    entry = found[1]
    assert entry["loss_on"] == "white noise"
    assert [row["b"] for row in entry["rows"]] == [2, 4]
    for row in entry["rows"]:
        assert set(row) == {"b", *NEAREST}
        assert row["diagonal"]["macs_ratio"] == 1 / row["b"]
        assert 0 < row["diagonal"]["loss"] < 1
        assert row["diagonal"]["speedup"] is None
    assert entry["rows"][1]["shuffled"] is None  # 4 · 4 pairs of blocks, and 12 channels


def test_the_table(path: Path, capsys: Capture) -> None:
    assert call("cost", path, "--blocks", "--top", 0) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    (start,) = (i for i, line in enumerate(lines) if line.startswith(" a dense conv in b blocks"))
    first, second = (line.split() for line in lines[start + 2 : start + 4])
    assert first[0] == "Conv"
    assert first[2:4] == ["2", "×0.5"]
    assert second[:6] == ["3×3", "16", "→", "12", "4", "×0.25"]
    assert any("to white noise: of its weights alone" in line for line in lines)
    assert any(line.endswith(": it is in groups already") for line in lines)
    assert not any("speed-up" in line for line in lines)


def test_the_table_on_data_by_the_clock(path: Path, tmp_path: Path, capsys: Capture) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, x=RNG.standard_normal((1, 4, 12, 10)).astype(np.float32))
    flags = ["--data", data, "--measure", "--threads", 1, "--top", 1]
    assert call("cost", path, "--blocks", *flags) == 0
    out = capsys.readouterr().out
    assert "speed-up" in out
    assert "on the data that all are fitted to" in out
    row = next(line.split() for line in out.splitlines() if "×0.25" in line)
    assert row[7].startswith("×")  # of four groups alone: MACs, lost, speed-up


def test_what_does_not_run_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RunError("no such op")

    monkeypatch.setattr("convc.tuning.watch.Session", refuse)
    graph = layer()
    found = convc.cost(graph, blocks=True, measure=True, threads=1).blocks
    (entry,) = found.values()
    assert isinstance(entry, Blocks)
    assert all(form.speedup is None for _, _, form in forms(entry))
