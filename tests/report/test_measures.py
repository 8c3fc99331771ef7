"""The data behind the report's figures, against convc's own cost figures and by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from convc.analysis import Cost, cost
from convc.api import Result
from convc.approximate import Approximation, parse_allowance
from convc.clock import Clock, clock
from convc.costs.summary import summarise
from convc.graph import Graph
from convc.ir import Op
from convc.machine import Machine
from convc.pipeline import Pipeline
from convc.profile import OpTime, Profile
from convc.report import measures
from convc.report.measures.layers import Amount, Load
from convc.report.measures.names import op_name
from convc.timing import Ratio
from convc.tuning import Tuning
from convc.tuning.stopwatch import Measured
from tests.conftest import sample_models
from tests.tiny import FLOAT, graph_of, kernel, model, node

STEPS = ((2**10, 9e9), (2**14, 1e10), (2**17, 5e9), (2**20, 2e9))
MACHINE = Machine("made up", 2, "none", 5e9, STEPS, None, None, None, 16, 32)


def costed(data: bytes) -> Cost:
    return cost(graph_of(data))


def chain(*nodes: Any, **options: Any) -> Cost:
    weights = {"w": kernel(1, 4, 4, 3, 3), "v": kernel(2, 4, 4, 1, 1)}
    return costed(model(nodes, weights, **options))


@pytest.fixture(scope="module")
def samples() -> dict[str, Cost]:
    return {path.stem: cost(path) for path in sample_models()}


# -- memory --------------------------------------------------------------------------------------


def test_the_timeline_has_the_peak_of_the_model(samples: dict[str, Cost]) -> None:
    assert len(samples) > 30
    for name, found in samples.items():
        timeline = measures.timeline(found.report)
        peak = summarise(found.report.graph).peak_activation_bytes
        assert max(timeline.alive) == timeline.peak == peak > 0, name
        assert len(timeline.alive) == len(timeline.names) == len(found.ops), name
        assert timeline.alive[timeline.peak_index] == peak
        assert sum(size for _, size in timeline.largest) == peak
        assert timeline.peak_name == op_name(found.report.memory.at)


def test_the_timeline_by_hand() -> None:
    # 1×4×12×10 floats are 1,920 bytes; the conv gives 1×4×10×8, 1,280 bytes.
    found = chain(node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Neg", "r", "y"))
    timeline = measures.timeline(found.report)
    # The ReLU writes over its operand; Neg makes the output.
    assert timeline.alive == (1920 + 1280, 1920 + 1280, 1920 + 1280 + 1280)
    assert timeline.names == ("Conv c", "Relu r", "Neg y")
    assert timeline.peak_index == 2
    assert timeline.unknown == 0


def test_a_model_without_ops_holds_its_inputs() -> None:
    graph = graph_of(model([node("Relu", "x", "y")]))
    graph.set_outputs(graph.inputs, ("y",))
    graph.erase_dead([op for op in graph.ops() if op.kind == "Relu"])
    timeline = measures.timeline(cost(graph).report)
    assert timeline.alive == (1920,)
    assert timeline.peak_name == "the inputs"


def unknown_sizes() -> Cost:
    """A model of two ops whose sizes nobody knows."""
    nodes = [node("NonZero", "x", "n"), node("Abs", "n", "y")]
    return costed(model(nodes, inputs={"x": (FLOAT, ("a", "b"))}, outputs={"y": 7}))


def test_values_of_unknown_size_are_counted() -> None:
    timeline = measures.timeline(unknown_sizes().report)
    assert timeline.unknown == 2
    assert len(timeline.alive) == 2


# -- roofline ------------------------------------------------------------------------------------


def test_unmeasured_ops_lie_at_their_bounds(samples: dict[str, Cost]) -> None:
    for name, found in samples.items():
        put = clock(found.report, MACHINE)
        roofline = measures.roofline(put)
        expected = {}
        for entry in found.ops:
            if entry.work is None or not entry.moved_bytes:
                continue
            padded = entry.work.padded_multiplications + entry.work.padded_additions
            if entry.work.operations > padded:
                expected[entry.output] = (entry.work.operations - padded, entry.moved_bytes)
        assert len(roofline.marks) == len(expected), name
        assert roofline.left_out == len(found.ops) - len(expected)
        assert not roofline.measured
        seconds = [mark.seconds for mark in roofline.marks]
        assert seconds == sorted(seconds, reverse=True)
        sizes = sorted((round(mark.operations), mark.moved) for mark in roofline.marks)
        assert sizes == sorted(expected.values()), name
        for mark in roofline.marks:
            assert mark.speed <= min(roofline.peak, roofline.fastest * mark.intensity) * (1 + 1e-9)
            low = min(roofline.peak, roofline.slowest * mark.intensity)
            assert mark.speed >= low * (1 - 1e-9)


def test_the_roofs_are_the_machines() -> None:
    roofline = measures.roofline(clock(chain(node("Conv", "x w", "y")).report, MACHINE))
    assert roofline.peak == 2 * MACHINE.macs_per_second
    assert (roofline.fastest, roofline.slowest) == (1e10, 2e9)
    assert (roofline.processor, roofline.threads) == ("made up", 2)


def profiled(found: Cost, times: dict[Op, OpTime]) -> Clock:
    total = sum((t.seconds or 0) + t.layout_seconds for t in times.values())
    return clock(found.report, MACHINE, Profile(times, total, total, (), 3))


def test_measured_times_include_layout_changes_and_what_is_fused() -> None:
    found = chain(node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Neg", "r", "y"))
    conv, relu, neg = (entry.op for entry in found.ops)
    times = {
        conv: OpTime(3e-6, 1e-6, None, "Conv"),
        relu: OpTime(None, 0.0, conv, "Conv"),
        neg: OpTime(0.0, 0.0, None, "Neg"),
    }
    roofline = measures.roofline(profiled(found, times))
    (mark,) = roofline.marks
    assert roofline.measured
    # Below what the clock of the profile tells apart, there is no speed.
    assert roofline.left_out == 1
    assert mark.label == "Conv c"
    assert mark.seconds == 4e-6
    assert round(mark.operations) == sum(e.work.operations for e in found.ops[:2] if e.work)
    assert mark.moved == 1920 + 4 * 144 + 1280
    assert mark.speed == pytest.approx(mark.operations / 4e-6)


def test_ops_that_move_nothing_or_are_unknown_have_no_place() -> None:
    nodes = [node("Flatten", "x", "f"), node("Mystery", "f", "y", "own")]
    roofline = measures.roofline(clock(chain(*nodes, domains=["own"]).report, MACHINE))
    assert roofline.marks == ()
    assert roofline.left_out == 2


def test_names_say_the_kind_once() -> None:
    nodes = [node("Relu", "x", "a"), node("Relu", "a", "Relu_7"), node("Relu", "Relu_7", "y")]
    nodes[0].name, nodes[2].name = "first", "relu"
    names = [op_name(entry.op) for entry in chain(*nodes).ops]
    assert names == ["Relu first", "Relu_7", "relu"]
    # Names are strangers' words: no control characters, no million letters.
    nodes[0].name = "a\x00\n\u202e\x1b[1m" + 10**6 * "b"
    (wild, *_) = (op_name(entry.op) for entry in chain(*nodes).ops)
    assert wild.isprintable()
    assert len(wild) == 80


# -- layers --------------------------------------------------------------------------------------


def totals(rows: tuple[measures.Layer, ...]) -> tuple[Load, Load]:
    return sum((row.before for row in rows), Load()), sum((row.after for row in rows), Load())


def test_rows_have_every_op_once(samples: dict[str, Cost]) -> None:
    for name in ("sesr_m5_x2", "conv_norm_relu", "repvgg_block", "redundant_ops"):
        before = samples[name]
        graph = before.report.graph.clone()
        Pipeline.parse("simplify,fold-affine,choose(fuse-convs,merge-branches)").run(graph)
        after = cost(graph)
        rows = measures.layers(before, after)
        for found, load in zip((before, after), totals(rows), strict=True):
            assert load.macs == Amount(found.report.macs, 0, len(found.ops))
            assert load.moved.value == sum(entry.moved_bytes or 0 for entry in found.ops)
            assert load.seconds.missing == load.seconds.count
        assert [row.weight for row in rows] == sorted((r.weight for r in rows), reverse=True)
        assert len(rows) <= len(before.ops) + len(after.ops)


def test_links_say_what_belongs_together() -> None:
    before = chain(node("Conv", "x w", "c"), node("Conv", "c v", "d"), node("Relu", "d", "y"))
    after = chain(node("Conv", "x w", "k"), node("Relu", "k", "y"))
    old, new = [entry.op for entry in before.ops], [entry.op for entry in after.ops]
    rows = measures.layers(before, after, [(old[:2], new[:1])])
    merged = next(row for row in rows if row.after.macs.value)
    assert merged.label == "Conv k"
    assert merged.before.macs.value == before.report.macs
    assert merged.before.macs.count == 2
    # What no link names stands alone, on its own side.
    assert [(row.before.macs.count, row.after.macs.count) for row in rows] == [
        (2, 1),
        (1, 0),
        (0, 1),
    ]
    # An op that two links name counts once.
    doubled = measures.layers(before, after, [(old[:2], new[:1]), (old[:1], new[1:])])
    assert totals(doubled)[0].macs.count == 3


def test_times_of_fused_ops_count_once() -> None:
    found = chain(node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Neg", "r", "y"))
    conv, relu, neg = (entry.op for entry in found.ops)
    times = {
        conv: OpTime(3e-6, 1e-6, None, "Conv"),
        relu: OpTime(None, 0.0, conv, "Conv"),
        neg: OpTime(5e-6, 0.0, None, "Neg"),
    }
    rows = measures.layers(replace(found, clock=profiled(found, times)))
    assert [row.label for row in rows] == ["Neg y", "Conv c", "Relu r"]
    assert totals(rows)[0].seconds == Amount(9e-6, 0, 3)
    assert totals(rows)[1] == Load()


def test_what_is_not_known_is_said() -> None:
    (row,) = measures.layers(chain(node("Mystery", "x", "y", "own"), domains=["own"]))
    assert row.before.macs == Amount(0, 1, 1)
    assert not row.before.macs.known
    assert Amount().known


def test_the_tail_sums_up_the_rest() -> None:
    rows = tuple(
        measures.Layer(f"op {i}", Load(Amount(i, 0, 1)), Load(Amount(2 * i, 1, 1)))
        for i in range(10, 0, -1)
    )
    shown, rest = measures.tail(rows, 3)
    assert rest is not None
    assert shown == rows[:3]
    assert rest.label == "7 more"
    assert rest.before.macs == Amount(28, 0, 7)
    assert rest.after.macs == Amount(56, 7, 7)
    # A sum of one op would only hide its name.
    assert measures.tail(rows, 9) == (rows, None)
    assert measures.tail((), 3) == ((), None)


# -- error against gain --------------------------------------------------------------------------


def approximated(metric: str = "", **fields: Any) -> Result:
    allowed = parse_allowance("0.01" if not metric else "40", metric)
    assert allowed is not None
    summary = summarise(Graph())
    tried = [(0.002, 0.02), (0.001, 0.004), (0.003, math.inf), (0.0005, 0.008), (0.001, 0.004)]
    made: dict[str, Any] = {"tried": tried, "loss": 0.004, "forms": [("conv", "rank 2")]}
    found = Approximation(allowed, **(made | fields))
    return Result(Graph(), Pipeline([]), [], summary, summary, None, approximation=found)


def test_the_points_of_one_search() -> None:
    measured = Measured(Ratio(1.5, 1.4, 1.6), 3.0, 2.0)
    timed = replace(approximated(measured=measured), tuning=Tuning())
    found = measures.tradeoff(timed)
    assert found is not None
    assert [(p.gain, p.value) for p in found.points] == [(0.5, 0.008), (1.0, 0.004), (2.0, 0.02)]
    assert [p.on_front for p in found.points] == [False, True, True]
    assert found.chosen == found.points[1]
    assert (found.left_out, found.speedup, found.gain) == (1, 1.5, "saved time, ms")
    counted = measures.tradeoff(approximated(forms=[], loss=0.0))
    assert counted is not None
    assert counted.chosen is None
    assert counted.gain == "saved MACs"
    assert measures.tradeoff(replace(timed, approximation=None)) is None


def test_a_psnr_is_shown_as_such() -> None:
    found = measures.tradeoff(approximated("psnr", tried=[(1.0, 0.01), (2.0, 0.0)], loss=0.01))
    assert found is not None
    # No error at all is an infinite PSNR, which has no place.
    assert [round(p.value, 9) for p in found.points] == [40.0]
    assert found.left_out == 1
