"""More or fewer channels, against hand counts and onnxruntime."""

from __future__ import annotations

from fractions import Fraction

import pytest

from convc.scaled import (
    scale_channels,
    scale_padding,
    with_batch,
)
from tests.scaled_helpers import (
    CHAIN,
    SAME,
    assert_runs,
    graph,
    ints,
    ratios,
    shapes,
)
from tests.tiny import kernel, node


def test_doubled_channels() -> None:
    made = scale_channels(CHAIN, 2)
    assert ratios(CHAIN, made) == {"a": 2, "c": 4, "d": 2, "y": 2}
    found = shapes(made)
    assert found["a"] == (1, 12, 12, 10)
    assert found["f"] == (1, 16, 12, 10)
    assert found["x"] == (1, 4, 12, 10)
    assert found["y"] == (1, 5, 12, 10)
    assert (found["slope"], found["depthwise"]) == ((16, 1, 1), (16, 1, 3, 3))
    assert made.notes == []
    assert_runs(made.graph)


def test_the_original_is_not_changed() -> None:
    before = (CHAIN.version, shapes(CHAIN))
    scale_channels(CHAIN, 3)
    scale_padding(CHAIN, 3)
    with_batch(CHAIN, 3)
    assert (CHAIN.version, shapes(CHAIN)) == before


def test_new_weights_take_no_memory() -> None:
    made = scale_channels(CHAIN, 1000)
    array = made.ops[next(op for op in CHAIN.ops() if op.results and op.result.name == "inner")]
    assert array.array is not None
    assert array.array.shape == (8000, 6000, 3, 3)
    assert set(array.array.strides) == {0}


@pytest.mark.parametrize(
    ("factor", "wanted"), [(0.5, (3, 4)), (Fraction(1, 3), (2, 3)), (0.001, (1, 1)), (1.5, (9, 12))]
)
def test_sizes_are_rounded_and_one_at_least(
    factor: float | Fraction, wanted: tuple[int, int]
) -> None:
    made = scale_channels(CHAIN, factor)
    found = shapes(made)
    assert (found["a"], found["c"]) == ((1, wanted[0], 12, 10), (1, wanted[1], 12, 10))
    assert_runs(made.graph)


def test_groups_stay_and_their_channels_scale() -> None:
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("Conv", "a grouped", "b", group=3),
            node("Conv", "b last", "y"),
        ],
        {
            "first": kernel(0, 9, 4, 1, 1),
            "grouped": kernel(1, 15, 3, 1, 1),
            "last": kernel(2, 2, 15, 1, 1),
        },
    )
    made = scale_channels(before, 2)
    assert ratios(before, made) == {"a": 2, "b": 4, "y": 2}
    assert shapes(made)["grouped"] == (30, 6, 1, 1)
    # Half of 3 channels in a group is 1.5, of 5 it is 2.5: rounded within the group.
    halved = scale_channels(before, 0.5)
    assert shapes(halved)["grouped"] == (9, 2, 1, 1)
    assert_runs(made.graph)
    assert_runs(halved.graph)


def test_depthwise_with_two_filters_a_channel() -> None:
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("Conv", "a depthwise", "b", group=6),
            node("Conv", "b last", "y"),
        ],
        {
            "first": kernel(0, 6, 4, 1, 1),
            "depthwise": kernel(1, 12, 1, 3, 3),
            "last": kernel(2, 2, 12, 1, 1),
        },
    )
    made = scale_channels(before, 2)
    assert ratios(before, made) == {"a": 2, "b": 2, "y": 2}
    assert_runs(made.graph)


def test_a_sum_with_the_input_keeps_its_channels() -> None:
    before = graph(
        [
            node("Conv", "x wide", "a", **SAME),
            node("Conv", "a narrow", "b", **SAME),
            node("Add", "b x", "y"),
        ],
        {"wide": kernel(0, 7, 4, 3, 3), "narrow": kernel(1, 4, 7, 3, 3)},
    )
    made = scale_channels(before, 2)
    assert ratios(before, made) == {"a": 2, "b": 2}
    assert shapes(made)["b"] == (1, 4, 12, 10)
    assert_runs(made.graph)


def test_a_sum_of_two_convs_scales_both() -> None:
    before = graph(
        [
            node("Conv", "x one", "a"),
            node("Conv", "x two", "b"),
            node("Add", "a b", "c"),
            node("Conv", "c last", "y"),
        ],
        {
            "one": kernel(0, 6, 4, 1, 1),
            "two": kernel(1, 6, 4, 1, 1),
            "last": kernel(2, 2, 6, 1, 1),
        },
    )
    made = scale_channels(before, 3)
    assert ratios(before, made) == {"a": 3, "b": 3, "y": 3}


def test_concat_of_scaled_and_fixed_channels() -> None:
    """4 channels of the input stay, 6 become 12: 16 come in where 10 did."""
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("Concat", "x a", "b", axis=1),
            node("Conv", "b middle", "c"),
            node("Add", "c b", "d"),
            node("Slice", "d from to axis", "e"),
            node("Conv", "e last", "y"),
        ],
        {
            "first": kernel(0, 6, 4, 1, 1),
            "middle": kernel(1, 10, 10, 1, 1),
            "from": ints(4),
            "to": ints(10),
            "axis": ints(1),
            "last": kernel(2, 2, 6, 1, 1),
        },
    )
    made = scale_channels(before, 2)
    found = shapes(made)
    assert (found["b"], found["d"], found["e"]) == (
        (1, 16, 12, 10),
        (1, 16, 12, 10),
        (1, 12, 12, 10),
    )
    assert ratios(before, made) == {"a": 2, "c": Fraction(16 * 16, 100), "y": 2}
    assert_runs(made.graph)


def test_squeeze_and_excite() -> None:
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("GlobalAveragePool", "a", "pool"),
            node("Flatten", "pool", "flat"),
            node("Gemm", "flat down c4", "down_", transB=1),
            node("Relu", "down_", "relu"),
            node("MatMul", "relu up", "up_"),
            node("Sigmoid", "up_", "gate"),
            node("Reshape", "gate shape", "gates"),
            node("Mul", "a gates", "scaled"),
            node("Conv", "scaled last", "y"),
        ],
        {
            "first": kernel(0, 8, 4, 1, 1),
            "down": kernel(1, 2, 8),
            "c4": kernel(2, 2),
            "up": kernel(3, 2, 8),
            "shape": ints(1, 8, 1, 1),
            "last": kernel(4, 3, 8, 1, 1),
        },
    )
    made = scale_channels(before, 2)
    assert ratios(before, made) == {"a": 2, "down_": 4, "up_": 4, "y": 2}
    assert shapes(made)["gates"] == (1, 16, 1, 1)
    assert_runs(made.graph)


def test_channel_shuffle_and_split() -> None:
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("Reshape", "a grouped", "b"),
            node("Transpose", "b", "c", perm=[0, 2, 1, 3, 4]),
            node("Reshape", "c flat", "d"),
            node("Split", "d sizes", "e f", axis=1),
            node("Conv", "e one", "g"),
            node("Concat", "g f", "h", axis=1),
            node("Conv", "h last", "y"),
        ],
        {
            "first": kernel(0, 12, 4, 1, 1),
            "grouped": ints(1, 2, 6, 12, 10),
            "flat": ints(1, 12, 12, 10),
            "sizes": ints(6, 6),
            "one": kernel(1, 6, 6, 1, 1),
            "last": kernel(2, 3, 12, 1, 1),
        },
    )
    made = scale_channels(before, 2)
    assert ratios(before, made) == {"a": 2, "g": 4, "y": 2}
    assert (shapes(made)["b"], shapes(made)["f"]) == ((1, 2, 12, 12, 10), (1, 12, 12, 10))
    assert_runs(made.graph)


def test_pixel_shuffle_and_channels_last() -> None:
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("DepthToSpace", "a", "b", blocksize=2),
            node("SpaceToDepth", "b", "c", blocksize=2),
            node("Transpose", "c", "d", perm=[0, 2, 3, 1]),
            node("Mul", "d factors", "e"),
            node("Gather", "e order", "f", axis=3),
            node("MatMul", "f last", "y"),
        ],
        {
            "first": kernel(0, 8, 4, 1, 1),
            "factors": kernel(1, 8),
            "order": ints(*reversed(range(8))),
            "last": kernel(2, 8, 3),
        },
    )
    made = scale_channels(before, 2)
    assert (shapes(made)["b"], shapes(made)["f"]) == ((1, 4, 24, 20), (1, 12, 10, 16))
    assert ratios(before, made) == {"a": 2, "y": 2}
    assert_runs(made.graph)


def test_flattened_features_follow() -> None:
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("Reshape", "a flat", "b"),
            node("Gemm", "b last", "y"),
        ],
        {"first": kernel(0, 3, 4, 1, 1), "flat": ints(1, -1), "last": kernel(1, 360, 7)},
    )
    made = scale_channels(before, 2)
    assert ratios(before, made) == {"a": 2, "y": 2}
    assert shapes(made)["last"] == (720, 7)
    assert_runs(made.graph)


def test_grouped_transposed_convs() -> None:
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("ConvTranspose", "a grouped", "b", group=2, strides=[2, 2]),
            node("ConvTranspose", "b depthwise", "c", group=6),
            node("ConvTranspose", "c last", "y"),
        ],
        {
            "first": kernel(0, 4, 4, 1, 1),
            "grouped": kernel(1, 4, 3, 2, 2),
            "depthwise": kernel(2, 6, 1, 3, 3),
            "last": kernel(3, 6, 5, 1, 1),
        },
    )
    made = scale_channels(before, 2)
    assert ratios(before, made) == {"a": 2, "b": 4, "c": 2, "y": 2}
    assert_runs(made.graph)


def test_what_cannot_be_followed_is_fixed() -> None:
    """A Gather of single channels by number keeps them, and what they are tied to."""
    before = graph(
        [
            node("Conv", "x first", "a"),
            node("Gather", "a some", "b", axis=1),
            node("Conv", "b last", "y"),
        ],
        {"first": kernel(0, 8, 4, 1, 1), "some": ints(0, 2, 5), "last": kernel(1, 3, 3, 1, 1)},
    )
    made = scale_channels(before, 2)
    assert ratios(before, made) == {"a": 1, "y": 1}
