"""Reshapes and blocks of space moved until they cancel: proved, run, and fewer than before."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.graph import Graph
from convc.ir import TensorType
from convc.pipeline import Context
from convc.proof import prove
from passes.commute_linear.depth import by_channel
from passes.commute_linear.groups import axis_groups, group_order, inverse, permuted, view_sizes
from passes.commute_linear.reshape import VIEWS, spread
from tests.helpers import check_pass
from tests.layout_strategies import OPSETS, Layouts, Writer, binary, pair, unary
from tests.strategies import finished, new_graph

VIEW_OPSETS = (9, 13, 21)


def count(graph: Graph, *kinds: str) -> int:
    return sum(op.kind in kinds for op in graph.ops())


@st.composite
def views(draw: st.DrawFn) -> Graph:
    """Inputs of a shape, elementwise ops in another, and Reshapes of the results."""
    writer = Writer(
        draw(st.sampled_from(VIEW_OPSETS)), np.random.default_rng(draw(st.integers(0, 99)))
    )
    outer = tuple(draw(st.sampled_from([1, 2, 3, 4])) for _ in range(draw(st.integers(1, 4))))
    inner = draw(
        st.sampled_from([(prod(outer),), (1, *outer), (*outer, 1), (outer[0], prod(outer[1:]))])
    )
    live = [_view(draw, writer, writer.feed(outer), inner) for _ in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(live))
        step = draw(st.sampled_from([unary, binary, pair]))
        keep = not draw(st.integers(0, 4))
        live = [other for other in live if other != name or keep] + step(draw, writer, name)
    for name in dict.fromkeys(live):
        target = outer if draw(st.integers(0, 5)) else (prod(outer),)
        writer.outputs.append(_view(draw, writer, name, target))
    return writer.graph()


def _view(draw: st.DrawFn, writer: Writer, name: str, target: tuple[int, ...]) -> str:
    """A Reshape, Flatten, Squeeze or Unsqueeze, whichever can say it."""
    shape = writer.shapes[name]
    if writer.opset < 13 and draw(st.booleans()):
        if target == (1, *shape):
            return writer.op("Unsqueeze", name, target, axes=[0])
        if (1, *target) == shape:
            return writer.op("Squeeze", name, target, axes=[0])
        if target == (shape[0], prod(shape[1:])):
            return writer.op("Flatten", name, target)
    return writer.op("Reshape", f"{name} {writer.ints(target)}", target)


def test_views() -> None:
    fired = 0

    @settings(max_examples=250)
    @given(views())
    def run(graph: Graph) -> None:
        nonlocal fired
        stats, after = check_pass(Layouts(), graph, np.random.default_rng(0))
        assert count(after, *VIEWS) <= count(graph, *VIEWS)
        fired += sum(n for note, n in stats.notes.items() if note.startswith("Reshape"))

    run()
    assert fired >= 100, fired


def reshaped(build: Any, x: Any, shape: tuple[int, ...], dims: tuple[Any, ...]) -> Any:
    y = build.reshape(x, shape)
    y.type = TensorType(x.dtype, dims)
    return y


def broadcast() -> Graph:
    build, x = new_graph((2, 3, 4))
    z = build.graph.add_input("z", TensorType(np.dtype(np.float32), (4,)))
    y = build.add(reshaped(build, x, (6, 4), (6, 4)), z)
    return finished(build, reshaped(build, y, (2, 3, 4), (2, 3, 4)))


def constant_would_grow() -> Graph:
    build, x = new_graph((24,))
    row = build.constant(np.arange(12, dtype=np.float32))
    y = build.add(reshaped(build, x, (2, 12), (2, 12)), row)
    return finished(build, reshaped(build, y, (24,), (24,)))


def other_users() -> Graph:
    build, x = new_graph((2, 3, 4))
    y = build.op("Relu", (reshaped(build, x, (6, 4), (6, 4)),))
    back = reshaped(build, build.op("Softmax", (y,)), (2, 3, 4), (2, 3, 4))
    return finished(build, back, y)


def not_elementwise() -> Graph:
    build, x = new_graph((2, 3, 4))
    y = build.op("Softmax", (reshaped(build, x, (6, 4), (6, 4)),))
    return finished(build, reshaped(build, y, (2, 3, 4), (2, 3, 4)))


@pytest.mark.parametrize("make", [broadcast, constant_would_grow, other_users, not_elementwise])
def test_reshapes_stay(make: Callable[[], Graph]) -> None:
    graph = make()
    before = count(graph, *VIEWS)
    stats = Layouts().run(graph)
    graph.verify()
    assert not stats.applied
    assert count(graph, *VIEWS) == before


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_open_sizes_are_reshaped_too(dtype: type) -> None:
    build, x = new_graph(("n", 3, 4), dtype=dtype, sizes={"n": 2})
    y = build.op("Relu", (reshaped(build, x, (-1, 12), ("n", 12)),))
    y = build.op("Mul", (y, build.constant(np.array([2], dtype))))
    graph = finished(build, reshaped(build, y, (-1, 3, 4), ("n", 3, 4)))
    stats, after = check_pass(Layouts(), graph, np.random.default_rng(0), ({}, {"n": 5}))
    assert stats.applied == 1
    assert not count(after, *VIEWS)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_blocks_of_other_dtypes_and_open_sizes(dtype: type) -> None:
    build, x = new_graph(("n", 8, "h", 3), dtype=dtype, sizes={"n": 2, "h": 2})
    wide = TensorType(np.dtype(dtype), ("n", 2, "H", 6))
    y = build.op("DepthToSpace", (x,), {"blocksize": 2}, type_=wide)
    y = build.op("Mul", (y, build.constant(np.array([[[1]], [[2]]], dtype))))
    graph = finished(build, build.op("SpaceToDepth", (y,), {"blocksize": 2}, type_=x.type))
    stats = Layouts().run(graph, Context(prove=prove))
    graph.verify()
    assert stats.applied == 1
    assert count(graph, "DepthToSpace", "SpaceToDepth") == 0


@st.composite
def blocks(draw: st.DrawFn) -> Graph:
    """Ops of one value a channel between a DepthToSpace and a SpaceToDepth, in either order."""
    opset = draw(st.sampled_from(OPSETS))
    writer = Writer(opset, np.random.default_rng(draw(st.integers(0, 99))))
    block, channels = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    to_space = draw(st.booleans())
    deep = (draw(st.integers(1, 2)), channels * block**2, 2, 3)
    wide = (deep[0], channels, 2 * block, 3 * block)
    outer, inner = (deep, wide) if to_space else (wide, deep)
    kinds = ("DepthToSpace", "SpaceToDepth")[:: 1 if to_space else -1]

    def said(kind: str) -> dict[str, Any]:
        crd = kind == "DepthToSpace" and opset >= 11 and draw(st.integers(0, 5)) == 0
        return {"blocksize": block, **({"mode": "CRD"} if crd else {})}

    live = [
        writer.op(kinds[0], writer.feed(outer), inner, **said(kinds[0]))
        for _ in range(draw(st.integers(1, 2)))
    ]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(live))
        step = draw(st.sampled_from([unary, per_channel, pair, norm]))
        live = [other for other in live if other != name] + step(draw, writer, name)
    for name in dict.fromkeys(live):
        back = draw(st.integers(0, 6))
        last = writer.op(kinds[1], name, outer, **said(kinds[1])) if back else name
        writer.outputs.append(writer.op("Identity", last, writer.shapes[last]))
    return writer.graph()


def per_channel(draw: st.DrawFn, writer: Writer, name: str) -> list[str]:
    """A constant for each channel: noise, or one that repeats over the blocks, or for each row."""
    shape = writer.shapes[name]
    form = draw(st.sampled_from(["noise", "repeats", "rows"]))
    other = writer.noise((shape[1], 1, 1))
    if form == "rows":
        other = writer.noise((1, shape[2], 1))
    if form == "repeats":
        other = writer.weight(np.full((1, shape[1], 1, 1), 1.5, np.float32))
    return [writer.op(draw(st.sampled_from(["Add", "Mul", "PRelu"])), f"{name} {other}", shape)]


def norm(_draw: st.DrawFn, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    scale, bias, mean = (writer.noise((shape[1],)) for _ in range(3))
    var = writer.weight(np.full(shape[1], 0.7, np.float32))
    return [writer.op("BatchNormalization", f"{name} {scale} {bias} {mean} {var}", shape)]


def test_blocks() -> None:
    fired = 0

    @settings(max_examples=300)
    @given(blocks())
    def run(graph: Graph) -> None:
        nonlocal fired
        stats, after = check_pass(Layouts(), graph, np.random.default_rng(0))
        kinds = ("DepthToSpace", "SpaceToDepth")
        assert count(after, *kinds) <= count(graph, *kinds)
        fired += stats.applied

    run()
    assert fired >= 100, fired


@given(st.permutations(range(4)), st.lists(st.sampled_from([1, 2, 3]), min_size=4, max_size=4))
def test_permutations(order: list[int], dims: list[int]) -> None:
    perm, old = tuple(order), np.arange(prod(dims)).reshape(dims)
    new = old.transpose(inverse(perm))
    assert new.shape == permuted(dims, perm)
    np.testing.assert_array_equal(new.transpose(perm), old)


@given(st.data(), st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=5))
def test_groups_hold_the_same_elements(data: st.DataObject, before: list[int]) -> None:
    after = data.draw(st.permutations(before)) if data.draw(st.booleans()) else [prod(before)]
    groups = axis_groups(before, after)
    assert groups is not None
    assert [i for left, _ in groups for i in left] == list(range(len(before)))
    assert [j for _, right in groups for j in right] == list(range(len(after)))
    for left, right in groups:
        assert prod(before[i] for i in left) == prod(after[j] for j in right)


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((2, 3, 4), (6, 4), [([0, 1], [0]), ([2], [1])]),
        ((6, 4), (2, 3, 4), [([0], [0, 1]), ([1], [2])]),
        (("n", 4, 4), ("n", 16), [([0], [0]), ([1, 2], [1])]),
        (("n", 4, 4), ("m", 16), [([0], [0]), ([1, 2], [1])]),
        (("n", 4, 4), ("m", 8), None),
        ((2, 3), (3, 3), None),
        ((0, 3), (0, 3), None),
        (None, (1,), None),
    ],
)
def test_groups(before: Any, after: Any, groups: Any) -> None:
    assert axis_groups(before, after) == groups


def test_a_permutation_may_tear_groups_apart() -> None:
    groups = axis_groups((2, 3, 4), (6, 4))
    assert groups is not None
    assert group_order(groups, (1, 2, 0), source=True) == [groups[1], groups[0]]
    assert group_order(groups, (1, 0, 2), source=True) is None
    assert group_order(groups, (0, 2, 1), source=True) is None


def test_sizes_of_a_view() -> None:
    assert view_sizes(("n", 2, 3), ("n", 6)) == [0, 6]
    assert view_sizes(("n", 2, "h"), ("h", "n", 2)) is None
    assert view_sizes((2, "h"), ("h", 2)) == [-1, 2]
    assert view_sizes((2, 0), (0, 2)) is None


def test_spread_constants() -> None:
    row = np.arange(3.0)
    np.testing.assert_array_equal(spread(row, (2, 3), (2, 1, 3)), row.reshape(1, 1, 3))
    assert spread(row, (2, 3), (6,)) is None  # it would grow
    assert spread(row, ("n", 3), ("n", 1, 3)) is None
    one = spread(np.ones((1, 1, 1)), ("n", 3), ("n",))
    assert one is not None
    assert one.shape == ()


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_constants_by_channel(mode: str) -> None:
    deep = by_channel(np.arange(3.0).reshape(3, 1, 1), ("DepthToSpace", 2, mode))
    assert deep is not None
    assert deep.shape == (12, 1, 1)
    back = by_channel(deep, ("SpaceToDepth", 2, mode))
    np.testing.assert_array_equal(back, np.arange(3.0).reshape(3, 1, 1))
    assert by_channel(np.arange(12.0).reshape(12, 1, 1), ("SpaceToDepth", 2, mode)) is None
    assert by_channel(np.ones((1, 2, 1)), ("DepthToSpace", 2, mode)) is None
