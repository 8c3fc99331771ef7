"""What-ifs against hand counts, and against what onnxruntime makes of the scaled network."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.concrete import resolve_shapes
from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.onnx_io import load
from convc.scaled import (
    Scaled,
    scale_channels,
    scale_padding,
    sizes,
    with_batch,
    with_input_sizes,
)
from convc.scaled.align import aligned
from convc.sizes import load_runnable
from tests.conftest import real_models, sample_models
from tests.real_models import cut_down, sizes_of
from tests.scaled_helpers import (
    CHAIN,
    NO_MODELS,
    SAME,
    assert_runs,
    assert_same_shapes,
    graph,
    ints,
    ratios,
    shapes,
)
from tests.tiny import FLOAT, graph_of, kernel, model, node


def test_doubled_padding() -> None:
    """A 3 by 3 kernel padded with 2 instead of 1 makes (12+2)·(10+2) outputs of 12·10."""
    before = graph([node("Conv", "x w", "y", **SAME)], {"w": kernel(0, 2, 4, 3, 3)})
    made = scale_padding(before, 2)
    assert shapes(made)["y"] == (1, 2, 14, 12)
    assert ratios(before, made) == {"y": Fraction(14 * 12, 12 * 10)}
    assert shapes(scale_padding(before, 0))["y"] == (1, 2, 10, 8)
    assert shapes(scale_padding(before, 1.5))["y"] == (1, 2, 14, 12)
    assert_runs(made.graph)


def test_padding_that_auto_pad_computes() -> None:
    """With stride 2, SAME pads 13 by 11 with 1 on every side: doubled there are 8 by 7 windows."""
    before = graph(
        [
            node("Conv", "x w", "a", auto_pad="SAME_UPPER", strides=[2, 2]),
            node("MaxPool", "a", "y", auto_pad="SAME_LOWER", kernel_shape=[3, 3]),
        ],
        {"w": kernel(0, 2, 4, 3, 3)},
        (1, 4, 13, 11),
    )
    made = scale_padding(before, 2)
    assert shapes(before)["a"] == (1, 2, 7, 6)
    assert shapes(made)["a"] == (1, 2, 8, 7)
    assert shapes(made)["y"] == (1, 2, 10, 9)
    assert_runs(made.graph)


def test_weights_follow_a_larger_picture() -> None:
    before = graph(
        [
            node("Conv", "x w", "a", **SAME),
            node("Reshape", "a flat", "b"),
            node("Gemm", "b last", "y"),
        ],
        {"w": kernel(0, 2, 4, 3, 3), "flat": ints(1, 240), "last": kernel(1, 240, 7)},
    )
    made = scale_padding(before, 2)
    assert shapes(made)["last"] == (2 * 14 * 12, 7)
    assert shapes(made)["y"] == (1, 7)
    assert_runs(made.graph)


def test_a_picture_taken_apart_again_keeps_its_aspect() -> None:
    """12 by 10 outputs become 18 by 15 where pixels were joined in one axis, too."""
    before = graph(
        [node("Reshape", "x flat", "a"), node("Relu", "a", "b"), node("Reshape", "b back", "y")],
        {"flat": ints(1, 4, 120), "back": ints(1, 2, 2, 12, 10)},
    )
    made = with_input_sizes(before, {"x": (1, 4, 18, 15)})
    assert shapes(made)["a"] == (1, 4, 270)
    assert shapes(made)["y"] == (1, 2, 2, 18, 15)
    assert_runs(made.graph)


def test_sums_that_no_longer_fit_are_said() -> None:
    before = graph(
        [node("Conv", "x w", "a", **SAME), node("Add", "a x", "b"), node("Relu", "b", "y")],
        {"w": kernel(0, 4, 4, 3, 3)},
    )
    made = scale_padding(before, 2)
    assert made.notes == ["Add: the shapes 1×4×14×12 and 1×4×12×10 do not broadcast"]
    assert (shapes(made)["a"], shapes(made)["b"], shapes(made)["y"]) == ((1, 4, 14, 12), None, None)


def part(size: int) -> sizes.Sum:
    return sizes.unknown(size, Fraction(2))


def test_sums_are_cut_where_they_meet() -> None:
    """16 + 32 beside 24 + 24: three cuts, at 16, 24 and 48."""
    a, b, c, d = part(16), part(32), part(24), part(24)
    assert sizes.unify((*a, *b), (*c, *d))
    sizes.fix(c)
    assert [sizes.scaled(dim) for dim in (a, b, c, d)] == [16, 8 + 48, 24, 48]


def test_multiples_meet_in_the_smallest_common_one() -> None:
    """4 groups of 3 are 6 groups of 2: 12 groups of 1."""
    a, b = part(3), part(2)
    assert sizes.unify(sizes.times(a, 4), sizes.times(b, 6))
    assert (sizes.scaled(a), sizes.scaled(b)) == (6, 4)
    assert len(sizes.resolved(sizes.times(a, 4))) == 1


def test_what_cannot_be_cut_is_fixed() -> None:
    """Multiples of 2 cannot end at 3."""
    a, b = part(3), part(3)
    assert not sizes.unify(sizes.times(a, 2), (*sizes.number(3), *b))
    assert (sizes.scaled(a), sizes.scaled(b)) == (3, 3)


def test_what_was_given_cannot_be_fixed() -> None:
    a, b = sizes.unknown(1, Fraction(5), given=True), sizes.unknown(1)
    sizes.fix(a)
    assert sizes.unify(b, a)
    assert not sizes.unify(sizes.number(1), a)
    assert (sizes.scaled(a), sizes.scaled(b)) == (5, 5)


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((2, 3, 4), (6, 4), [((0, 1), (0,)), ((2,), (1,))]),
        ((1, 6, 5), (1, 2, 3, 5), [((0,), (0,)), ((1,), (1, 2)), ((2,), (3,))]),
        ((6, 4), (4, 6), [((0, 1), (0, 1))]),
        ((3, 1, 1), (3,), [((0,), (0,)), ((1,), ()), ((2,), ())]),
        ((3, 0), (0,), None),
        ((3,), (4,), None),
    ],
)
def test_axes_that_hold_the_same(
    before: tuple[int, ...], after: tuple[int, ...], groups: list[Any] | None
) -> None:
    assert aligned(before, after) == groups


BATCHED = graph(
    [
        node("Conv", "x first", "a"),
        node("Reshape", "a grouped", "b"),
        node("Transpose", "b", "c", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "c flat", "d"),
        node("Concat", "d places", "e", axis=1),
        node("Expand", "one wide", "f"),
        node("Concat", "e f", "g", axis=1),
        node("Reshape", "g rows", "h"),
        node("Reshape", "h back", "y"),
    ],
    {
        "first": kernel(0, 6, 4, 1, 1),
        "grouped": ints(1, 2, 3, 12, 10),
        "flat": ints(1, 6, 12, 10),
        "places": kernel(1, 1, 2, 12, 10),
        "one": kernel(2, 1, 1, 1, 1),
        "wide": ints(1, 1, 12, 10),
        "rows": ints(9, 120),
        "back": ints(1, 9, 120),
    },
)


def test_batch_that_the_file_fixes() -> None:
    made = with_batch(BATCHED, 3)
    found = shapes(made)
    assert made.notes == []
    assert (found["b"], found["places"]) == ((3, 2, 3, 12, 10), (3, 2, 12, 10))
    assert (found["g"], found["h"], found["y"]) == ((3, 9, 12, 10), (27, 120), (3, 9, 120))
    assert ratios(BATCHED, made) == {"a": 3}
    assert_runs(made.graph)


def test_an_empty_batch_costs_nothing() -> None:
    made = with_batch(CHAIN, 0)
    assert set(ratios(CHAIN, made).values()) == {0}
    assert shapes(made)["y"] == (0, 5, 12, 10)


def test_states_with_the_batch_elsewhere() -> None:
    before = graph_of(
        model(
            [node("GRU", "x w r - - h", "y out", hidden_size=3)],
            {"w": kernel(0, 1, 9, 4), "r": kernel(1, 1, 9, 3)},
            inputs={"x": (FLOAT, (2, 2, 4)), "h": (FLOAT, (1, 2, 3))},
            outputs={"y": FLOAT, "out": FLOAT},
        )
    )
    made = with_input_sizes(before, {"x": (2, 5, 4), "h": (1, 5, 3)})
    assert (shapes(made)["y"], shapes(made)["out"]) == ((2, 1, 5, 3), (1, 5, 3))
    assert_runs(made.graph)


def test_other_input_sizes() -> None:
    made = with_input_sizes(CHAIN, {"x": (2, 4, 24, 20)})
    assert set(ratios(CHAIN, made).values()) == {8}
    assert shapes(made)["y"] == (2, 5, 24, 20)
    assert_runs(made.graph)


@pytest.mark.parametrize("factor", [0, -1, -0.5, float("nan"), float("inf")])
def test_factors_of_channels_are_positive(factor: float) -> None:
    with pytest.raises(UsageError, match="--scale-channels"):
        scale_channels(CHAIN, factor)


@pytest.mark.parametrize("factor", [-1, -0.5, float("nan")])
def test_factors_of_padding_are_not_negative(factor: float) -> None:
    with pytest.raises(UsageError, match="--scale-padding"):
        scale_padding(CHAIN, factor)


def test_bad_batches_and_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="--batch -1"):
        with_batch(CHAIN, -1)
    vector = graph([node("Relu", "x", "y")], shape=(7,))
    with pytest.raises(UsageError, match="no input has a batch axis"):
        with_batch(vector, 2)
    with pytest.raises(UsageError, match="no input is named 'z'"):
        with_input_sizes(CHAIN, {"z": (1,)})
    with pytest.raises(UsageError, match="4 axes"):
        with_input_sizes(CHAIN, {"x": (1, 4)})


def test_ten_thousand_ops() -> None:
    made = Graph()
    value = made.add_input("x", TensorType(np.dtype(np.float32), (1, 8, 16, 16)))
    weights = made.add_constant(kernel(0, 8, 8, 3, 3))
    for _ in range(3_333):
        conv = made.add("Conv", [value, weights], {"pads": (1, 1, 1, 1)})
        relu = made.add("Relu", [conv.result])
        value = made.add("Add", [relu.result, value]).result
    made.set_outputs([value], ["y"])
    start = time.perf_counter()
    scale_channels(made, 2)
    # 1 s on the machine this was written on.
    assert time.perf_counter() - start < 20


def base_batch(before: Graph) -> int | None:
    found = [before.concrete_shape(value) for value in before.inputs]
    return next((shape[0] for shape in found if shape and len(shape) > 1), None)


def what_ifs(before: Graph) -> list[Scaled]:
    made = [scale_channels(before, 2), scale_channels(before, 0.5), scale_padding(before, 2)]
    return made if base_batch(before) is None else [*made, with_batch(before, 2)]


def assert_nothing_changes(before: Graph) -> None:
    batch = base_batch(before)
    assert_same_shapes(before, scale_channels(before, 1))
    assert_same_shapes(before, scale_padding(before, 1))
    if batch is not None:
        assert_same_shapes(before, with_batch(before, batch))


def unknown(made: Graph) -> int:
    return sum(made.concrete_shape(value) is None for op in made.ops() for value in op.results)


@pytest.mark.parametrize("path", sample_models(), ids=lambda path: path.stem)
def test_sample_models(path: Path) -> None:
    before = load(path)
    assert_nothing_changes(before)
    for made in what_ifs(before):
        assert bool(made.notes) == bool(unknown(made.graph))
        if not made.notes:
            assert_runs(made.graph)


HAS_BODIES = ("audio_silero",)
# Of the ones in the shape of its recurrent states nothing tells which is the batch.
AMBIGUOUS = ("audio_gtcrn",)
# Twice the channels of a volume take a minute to run.
SLOW = ("conv3d",)


@pytest.mark.skipif(not real_models(), reason=NO_MODELS)
@pytest.mark.parametrize("path", real_models(), ids=lambda path: path.stem)
def test_real_models(path: Path, tmp_path: Path) -> None:
    path = cut_down(path, tmp_path, size=24)
    before = load_runnable(path, sizes_of(path))
    resolve_shapes(before)
    assert_nothing_changes(before)
    doubled, halved, padded, *batched = what_ifs(before)
    assert bool(padded.notes) == (unknown(padded.graph) > unknown(before))
    for made in (doubled, halved, *batched):
        if path.stem.startswith(HAS_BODIES):
            assert set(made.notes) <= {"If: its subgraphs are not looked into"}
            continue
        if path.stem.startswith(AMBIGUOUS) and made in batched:
            assert all(note.startswith("ScatterND: updates") for note in made.notes)
            continue
        assert made.notes == []
        assert unknown(made.graph) == 0
        if not path.stem.startswith(SLOW):
            assert_runs(made.graph)


def test_ops_are_mapped() -> None:
    made = scale_channels(CHAIN, 2)
    old: Op
    for old in CHAIN.ops():
        assert made.ops[old] in made.graph
        assert made.ops[old].name == old.name
