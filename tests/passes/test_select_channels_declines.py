"""Each condition of select-channels, broken alone; and what it does without data."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import convc
from convc.algebra.moments import Moments
from convc.build import Builder
from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import Op, Value
from convc.pipeline import Choose, Context, Pipeline
from convc.reference import evaluate
from convc.rewrite import NoMatch, Rewrite, apply
from passes.select_channels import SelectChannels, selecting
from tests.conftest import real_models
from tests.helpers import random_feeds, run_onnx
from tests.passes.select_cases import (
    F32,
    check,
    conv,
    filters,
    named,
    observing_weights,
    propose,
    relu,
)
from tests.prune_strategies import Case, networks
from tests.real_models import sizes_of
from tests.strategies import finished, new_graph

RNG = np.random.default_rng(4)


def start() -> tuple[Builder, Value, Value]:
    """A builder, its input and twelve channels made by the layer a."""
    build, x = new_graph((2, 12, 6, 6))
    return build, x, conv(build, RNG, x, 12, "a")


def declines(graph: Graph, count: int = 8) -> str:
    with pytest.raises(NoMatch) as caught:
        propose(graph, "a", count, observing_weights(graph))
    return caught.value.reason


def graph_output() -> Graph:
    build, _, a = start()
    y = relu(build, a)
    return finished(build, conv(build, RNG, y, 2, "b"), y)


def mixed() -> Graph:
    build, _, a = start()
    y = build.op("Softmax", (a,), {"axis": 1}, type_=a.type)
    return finished(build, conv(build, RNG, y, 2, "b"))


def tied_to_the_input() -> Graph:
    build, x, a = start()
    return finished(build, conv(build, RNG, build.add(a, x), 2, "b"))


def tied_to_each_other() -> Graph:
    build, _, a = start()
    turned = build.op("Gather", (a, build.ints([1, 0, *range(2, 12)])), {"axis": 1}, type_=a.type)
    return finished(build, conv(build, RNG, build.add(a, turned), 2, "b"))


def unread() -> Graph:
    build, x, _ = start()
    return finished(build, conv(build, RNG, x, 2, "b"))


def times_zero() -> Graph:
    build, _, a = start()
    y = build.op("Flatten", (build.op("GlobalAveragePool", (a,)),))
    w = build.constant(RNG.random((12, 3), F32))
    return finished(build, build.op("Gemm", (y, w), {"alpha": 0.0}, name="b"))


def uneven_groups() -> Graph:
    build, x, a = start()
    y = build.concat((a, conv(build, RNG, x, 4, "other")), 1)
    return finished(build, conv(build, RNG, y, 4, "b", group=2))


def groups_of_others() -> Graph:
    build, x, a = start()
    y = build.concat((a, conv(build, RNG, x, 12, "other")), 1)
    return finished(build, conv(build, RNG, y, 4, "b", group=4))


def read_twice() -> Graph:
    build, _, a = start()
    some = build.slice(a, [1], [0], [4])
    return finished(build, conv(build, RNG, build.concat((a, some), 1), 4, "b"))


def nothing_left() -> Graph:
    build, _, a = start()
    y = conv(build, RNG, build.slice(a, [1], [0], [8]), 4, "b")
    z = conv(build, RNG, build.slice(a, [1], [8], [12]), 4, "c")
    op = named(build.graph, "c")
    build.graph.set_operand(op, 1, build.constant(np.zeros((4, 4, 3, 3), F32)))
    return finished(build, build.add(y, z))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (graph_output, "the channels are all needed: it is a graph output"),
        (mixed, "the channels are all needed: a Softmax needs it"),
        (tied_to_the_input, "the channels are all needed: it is tied to a graph input"),
        (tied_to_each_other, "channels of the layer are tied to each other"),
        (unread, "no layer reads the channels"),
        (times_zero, "a Gemm that reads the channels multiplies them by 0"),
        (uneven_groups, "the groups of the layers are not the same"),
        (groups_of_others, "the groups have different numbers of channels left"),
        (read_twice, "the channels are not read equally often"),
        (nothing_left, "a value would have no channel left"),
    ],
)
def test_it_declines(make: Callable[[], Graph], reason: str) -> None:
    graph = make()
    before = graph.version
    assert declines(graph) == reason
    assert graph.version == before


def plain() -> Graph:
    build, _, a = start()
    return finished(build, conv(build, RNG, relu(build, a), 2, "b"))


def test_a_reader_that_cannot_be_observed() -> None:
    build, _, a = start()
    w = build.constant(RNG.random((12, 3, 2, 2), F32))
    graph = finished(build, build.op("ConvTranspose", (a, w), name="b"))

    def unseen(_: Op) -> NoReturn:
        raise NoMatch("")

    def unseen_because(_: Op) -> NoReturn:
        raise NoMatch("no data")

    for observe, reason in (
        (unseen, "a ConvTranspose that reads the channels cannot be observed"),
        (unseen_because, "no data"),
        (
            lambda _: observing_weights(plain())(named(plain(), "b")),
            "a ConvTranspose that reads the channels was another one when observed",
        ),
    ):
        with pytest.raises(NoMatch) as caught:
            propose(graph, "a", 8, observe)
        assert caught.value.reason == reason


def test_moments_that_are_none() -> None:
    graph = plain()
    x = np.random.default_rng(0).standard_normal((108, 108))

    def not_finite(op: Op) -> Moments:
        return replace(observing_weights(graph)(op), mean_y=np.ones(2), yy=np.array([np.nan, 1]))

    def negative(op: Op) -> Moments:
        return replace(observing_weights(graph)(op), xx=x[np.newaxis] + x.T)

    for observe, reason in (
        (not_finite, "moments or kernel are not finite"),
        (negative, "what the layers read is too dependent to choose by"),
    ):
        with pytest.raises(NoMatch) as caught:
            propose(graph, "a", 8, observe)
        assert caught.value.reason == reason


def test_a_reader_may_be_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "LARGEST", 107)
    assert declines(plain()) == "a Conv reads 108 numbers at once"
    monkeypatch.setattr(selecting, "LARGEST", 108)
    propose(plain(), "a", 8, observing_weights(plain()))


def test_a_form_of_another_time() -> None:
    graph = plain()
    (form, *_) = SelectChannels(4).approximations(graph, named(graph, "a"))
    apply(graph, propose(graph, "a", 4, observing_weights(graph)))
    assert form.name == "select 8"
    with pytest.raises(NoMatch, match=r"^the layer has 4 channels$"):
        form.function(graph, named(graph, "a"), observing_weights(graph))


def test_what_is_no_layer_has_no_forms() -> None:
    graph = plain()
    for op in graph.ops():
        if op.kind != "Conv":
            assert SelectChannels(4).approximations(graph, op) == ()


# -- without data -----------------------------------------------------------------------------


def residual(channels: int = 16) -> Graph:
    build, x = new_graph((1, 3, 8, 8))
    a = conv(build, RNG, x, channels, "a")
    b = conv(build, RNG, relu(build, a), channels, "b")
    c = conv(build, RNG, relu(build, b), channels, "c")
    total = relu(build, build.add(a, c))
    return finished(build, conv(build, RNG, total, 4, "d"))


def widths(graph: Graph) -> list[int]:
    return [len(filters(graph, name)) for name in "abcd"]


def test_a_share_is_selected_once_from_each_layer() -> None:
    graph = residual()
    pass_ = SelectChannels(4, share=0.5)
    feeds = random_feeds(graph, RNG)
    shapes = [array.shape for array in run_onnx(graph, feeds)]
    assert [rewrite.note for rewrite in pass_.propose(graph)] == ["16 → 8 channels"] * 2
    assert widths(graph) == [16, 16, 16, 4]

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("an approximate rewrite is not proved")

    for wanted in (8, 4):
        stats = pass_.run(graph, Context(prove=refuse))
        graph.verify()
        assert widths(graph) == [wanted, wanted, wanted, 4]
        assert stats.applied == 2
        assert stats.notes == Counter({f"{2 * wanted} → {wanted} channels": 2})
        assert stats.declined == Counter({"the channels are all needed: it is a graph output": 1})
        assert [array.shape for array in run_onnx(graph, feeds)] == shapes


def test_the_largest_weights_stay() -> None:
    build, x = new_graph((1, 3, 8, 8))
    y = relu(build, conv(build, RNG, x, 12, "a"))
    graph = finished(build, conv(build, RNG, y, 4, "b"), conv(build, RNG, y, 4, "c"))
    energy = sum(
        np.square(w.astype(np.float64)).sum(axis=(0, 2, 3)) / np.square(w.astype(np.float64)).sum()
        for w in (filters(graph, "b"), filters(graph, "c"))
    )
    (rewrite,) = SelectChannels(4, share=0.5).propose(graph)
    np.testing.assert_array_equal(rewrite.kept["a"], np.sort(np.argsort(energy)[-8:]))
    after = graph.clone()
    SelectChannels(4, share=0.5).run(after)
    check(graph, after, rewrite, random_feeds(graph, RNG))
    kept = list(rewrite.kept["a"])
    np.testing.assert_array_equal(filters(after, "b"), filters(graph, "b")[:, kept])


def test_without_a_share_nothing_is_selected() -> None:
    graph = residual()
    before = graph.version
    assert SelectChannels().run(graph).applied == 0
    assert SelectChannels().propose(graph) == []
    assert Choose((SelectChannels(4, share=0.5),)).run(graph).applied == 0
    assert graph.version == before


def test_counts_are_rounded_up() -> None:
    for channels, block, left in ((24, 16, 16), (24, 8, 16), (40, 16, 32), (16, 16, 8), (12, 1, 6)):
        graph = residual(channels)
        SelectChannels(block, share=0.5).run(graph)
        assert widths(graph) == [left, left, left, 4]
    graph = residual(20)
    stats = SelectChannels(16, share=0.9).run(graph)
    assert stats.declined["counts are multiples of 16: all 20 stay"] == 2


def test_a_share_that_the_groups_cannot_have() -> None:
    build, x = new_graph((1, 3, 8, 8))
    y = relu(build, conv(build, RNG, x, 12, "a"))
    graph = finished(build, conv(build, RNG, y, 4, "b", group=4))
    stats = SelectChannels(1, share=0.5).run(graph)
    assert stats.declined["6 channels are not 4 equal groups"] == 1


def test_its_text() -> None:
    text = "select-channels{block=8 share=0.5}"
    assert str(Pipeline.parse(text)) == text
    for option, reason in (
        ("share=0", "share is above 0 and at most 1, not 0.0"),
        ("share=1.5", "share is above 0 and at most 1, not 1.5"),
        ("block=0", "block is at least 1, not 0"),
    ):
        with pytest.raises(UsageError, match=reason):
            Pipeline.parse(f"select-channels{{{option}}}")


# -- whatever the network ---------------------------------------------------------------------


def test_networks() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(networks())
    def run(case: Case) -> None:
        rng = np.random.default_rng(0)
        feeds = random_feeds(case.graph, rng)
        outputs = evaluate(case.graph, feeds)
        after = case.graph.clone()
        stats = SelectChannels(1, share=0.5).run(after)
        after.verify()
        one = case.graph.clone()
        proposals, copies = _proposals(case.graph), _proposals(one)
        if proposals:
            assert proposals[0].kept == copies[0].kept
            apply(one, copies[0])
            one.verify()
            found["forms"] += 1
            found.update(set(case.used))
        found["share"] += stats.applied > 0
        for graph in (after, one):
            for old, new in zip(outputs, evaluate(graph, feeds), strict=True):
                assert old.shape == new.shape

    run()
    assert found["share"] >= 50, found
    assert found["forms"] >= 40, found
    for shape in ("residual", "concat", "loop", "two readers"):
        assert found[shape] >= 3, (shape, found)


def _proposals(graph: Graph) -> list[Rewrite]:
    """What the form of the least count makes of each layer that takes it."""
    found = []
    for op in graph.ops():
        for form in SelectChannels(1).approximations(graph, op)[-1:]:
            with contextlib.suppress(NoMatch):
                found.append(form.function(graph, op, observing_weights(graph)))
    return found


@pytest.mark.skipif(not real_models(), reason="no folder of real models (set CONVC_SHARED)")
@pytest.mark.parametrize("stem", ["sr_espcn_cvtools", "seg_unet_sedgen", "det_yunet_n_320"])
def test_real_models(stem: str) -> None:
    (path,) = [path for path in real_models() if path.stem == stem]
    graph = convc.load(path)
    graph.sizes.update(sizes_of(path))
    feeds = random_feeds(graph, RNG)
    shapes = [array.shape for array in run_onnx(graph, feeds)]
    stats = SelectChannels(share=0.5).run(graph)
    graph.verify()
    assert stats.applied >= 3
    assert [array.shape for array in run_onnx(graph, feeds)] == shapes
