"""The other operators against onnxruntime: pad, shapes, normalisation, products, reductions.

Operators that only move data must agree exactly. Tolerances of the others are a number of
float32 roundings times the largest magnitude that enters a sum.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .oracle import EPSILON, compare

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True, database=None)
INTEGERS = np.int64


def signed(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def int64s(values: Any) -> np.ndarray:
    return np.array(values, dtype=INTEGERS)


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 99)


def test_pad() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(shapes, st.sampled_from([7, 11, 13, 18, 19, 21]), st.data(), seeds)
    def check(shape: tuple[int, ...], opset: int, data: Any, seed: int) -> None:
        modes = ["constant", "reflect", "edge"] + (["wrap"] if opset >= 19 else [])
        mode = data.draw(st.sampled_from(modes))
        rank = len(shape)
        lowest = 0 if mode == "wrap" else -2
        both = data.draw(st.lists(st.integers(lowest, 3), min_size=2 * rank, max_size=2 * rank))
        x = signed(seed, shape)
        if opset < 11:
            compare(counts, "Pad", [x], {"mode": mode, "pads": both, "value": 1.5}, opset, 0)
            return
        value = data.draw(st.sampled_from([None, np.array(2.5, dtype=np.float32)]))
        inputs: list[np.ndarray | None] = [x, int64s(both), value]
        if opset >= 18 and data.draw(st.booleans()):
            chosen = data.draw(st.permutations(range(rank)))[: data.draw(st.integers(1, rank))]
            pads = [both[a] for a in chosen] + [both[rank + a] for a in chosen]
            inputs = [x, int64s(pads), value, int64s(chosen)]
        compare(counts, "Pad", inputs, {"mode": mode}, opset, 0)

    check()
    print(counts)
    assert counts["compared"] >= 75, counts


def test_slice() -> None:
    counts: Counter[str] = Counter()
    positions = st.integers(-7, 7) | st.sampled_from([2**31 - 1, -(2**31), 2**63 - 1, -(2**63)])

    @EXAMPLES
    @given(shapes, st.sampled_from([7, 10, 11, 13]), st.data(), seeds)
    def check(shape: tuple[int, ...], opset: int, data: Any, seed: int) -> None:
        axes = data.draw(st.permutations(range(len(shape))))
        axes = axes[: data.draw(st.integers(1, len(shape)))]
        starts, ends = ([data.draw(positions) for _ in axes] for _ in range(2))
        x = signed(seed, shape)
        if opset < 10:
            attributes = {"starts": starts, "ends": ends, "axes": axes}
            compare(counts, "Slice", [x], attributes, opset, 0)
            return
        steps = [data.draw(st.sampled_from([1, 2, 3, -1, -2])) for _ in axes]
        inputs = [x, *(int64s(v) for v in (starts, ends, axes, steps))]
        compare(counts, "Slice", inputs, {}, opset, 0)

    check()
    print(counts)
    assert counts["compared"] >= 100, counts


def test_split() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(shapes, st.sampled_from([7, 11, 13, 18]), st.data(), seeds)
    def check(shape: tuple[int, ...], opset: int, data: Any, seed: int) -> None:
        axis = data.draw(st.integers(0, len(shape) - 1))
        x, size = signed(seed, shape), shape[axis]
        cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=3)))
        parts = np.diff([0, *cuts, size]).tolist()
        form = data.draw(st.sampled_from(["sizes", "even"]))
        attributes: dict[str, Any] = {"axis": axis}
        inputs = [x]
        if form == "sizes" and opset < 13:
            attributes["split"] = parts
        elif form == "sizes":
            inputs = [x, int64s(parts)]
        elif opset >= 18:
            attributes["num_outputs"] = len(parts)
        compare(counts, "Split", inputs, attributes, opset, 0, len(parts))

    check()
    print(counts)
    assert counts["compared"] >= 75, counts


def test_reshape_and_transpose() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(shapes, st.data(), seeds)
    def check(shape: tuple[int, ...], data: Any, seed: int) -> None:
        x = signed(seed, shape)
        target = list(data.draw(st.permutations(shape)))
        for place, choice in enumerate(data.draw(st.permutations([-1, 0, 0, 7]))[: len(target)]):
            target[place] = target[place] if choice == 7 else choice
        allowzero = data.draw(st.integers(0, 1))
        compare(counts, "Reshape", [x, int64s(target)], {"allowzero": allowzero}, 14, 0)
        order = data.draw(st.permutations(range(len(shape))))
        compare(counts, "Transpose", [x], {"perm": order}, 13, 0)
        compare(counts, "Transpose", [x], {}, 13, 0)
        axis = data.draw(st.integers(-len(shape), len(shape)))
        compare(counts, "Flatten", [x], {"axis": axis}, 13, 0)
        new = data.draw(st.lists(st.integers(-4, 3), min_size=1, max_size=2, unique=True))
        compare(counts, "Unsqueeze", [x, int64s(new)], {}, 13, 0)
        compare(counts, "Unsqueeze", [x], {"axes": new}, 11, 0)
        compare(counts, "Squeeze", [x], {}, 11, 0)
        ones = [axis for axis, size in enumerate(shape) if size == 1]
        if ones:
            compare(counts, "Squeeze", [x], {"axes": ones}, 11, 0)
        compare(counts, "Squeeze", [x, int64s(ones)], {}, 13, 0)
        compare(
            counts,
            "Tile",
            [x, int64s(data.draw(st.permutations([1, 2, 3, 2]))[: x.ndim])],
            {},
            13,
            0,
        )
        compare(counts, "Expand", [x, int64s([2, *([1] * x.ndim)])], {}, 13, 0)
        compare(counts, "Shape", [x], {"start": axis, "end": -1}, 15, 0)

    check()
    print(counts)
    assert counts["compared"] >= 1000, counts


def test_blocks_of_channels() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), seeds)
    def check(block: int, channels: int, height: int, width: int, seed: int) -> None:
        x = signed(seed, (2, channels * block * block, height, width))
        for mode in ("DCR", "CRD"):
            attributes = {"blocksize": block, "mode": mode}
            compare(counts, "DepthToSpace", [x], attributes, 13, 0)
        x = signed(seed, (2, channels, height * block, width * block))
        compare(counts, "SpaceToDepth", [x], {"blocksize": block}, 13, 0)

    check()
    assert counts["compared"] >= 300, counts


def test_batch_normalization() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(
        st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple),
        st.sampled_from([7, 9, 14, 15]),
        st.sampled_from([None, 1e-3]),
        seeds,
    )
    def check(shape: tuple[int, ...], opset: int, epsilon: float | None, seed: int) -> None:
        x = signed(seed, shape)
        scale, bias, mean = (signed(seed + i, shape[1:2]) for i in (1, 2, 3))
        variance = np.abs(signed(seed + 4, shape[1:2])) + np.float32(0.01)
        attributes = {} if epsilon is None else {"epsilon": epsilon}
        # Scale over deviation, its product with the input, and the shift, each rounded twice.
        gain = np.abs(scale / np.sqrt(variance)).max()
        tolerance = 8 * EPSILON * (gain * (np.abs(x).max() + np.abs(mean).max()) + 4)
        inputs = [x, scale, bias, mean, variance]
        compare(counts, "BatchNormalization", inputs, attributes, opset, tolerance)

    check()
    assert counts["compared"] >= 140, counts


def test_other_normalizations() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(st.integers(1, 3), st.integers(1, 6), st.integers(2, 5), st.integers(1, 7), seeds)
    def check(groups: int, inner: int, side: int, size: int, seed: int) -> None:
        channels = groups * inner
        x = signed(seed, (2, channels, side, side))
        scale, bias = signed(seed + 1, (channels,)), signed(seed + 2, (channels,))
        # The variance may be small beside epsilon^0 only by chance: its root divides the error.
        spread = min(x.reshape(2, groups, -1).std(axis=2).min(), x.std(axis=(2, 3)).min())
        tolerance = 64 * EPSILON * 5 * 5 * (1 + 1 / max(spread, 1e-3)) ** 2
        compare(counts, "InstanceNormalization", [x, scale, bias], {}, 22, tolerance)
        attributes = {"num_groups": groups}
        compare(counts, "GroupNormalization", [x, scale, bias], attributes, 21, tolerance)
        window: dict[str, Any] = {"size": size, "alpha": 0.5, "beta": 0.6, "bias": 1.5}
        compare(counts, "LRN", [x], window, 13, 64 * EPSILON * 5)
        row = signed(seed, (4, 16))
        weights = [signed(seed + 3, (16,)), signed(seed + 4, (16,))]
        compare(counts, "LayerNormalization", [row, *weights], {}, 17, 64 * EPSILON * 25)

    check()
    print(counts)
    assert counts["compared"] >= 400, counts


def test_products() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(
        st.tuples(*[st.integers(1, 6)] * 3),
        st.tuples(st.booleans(), st.booleans()),
        st.sampled_from([0.0, 1.0, 0.5]),
        st.sampled_from(["none", "row", "column", "scalar", "whole"]),
        st.sampled_from([7, 9, 11, 13]),
        seeds,
    )
    def check(  # noqa: PLR0917 - as many as Hypothesis draws
        size: tuple[int, int, int],
        turned: tuple[bool, bool],
        beta: float,
        form: str,
        opset: int,
        seed: int,
    ) -> None:
        m, k, n = size
        a = signed(seed, (k, m) if turned[0] else (m, k))
        b = signed(seed + 1, (n, k) if turned[1] else (k, n))
        c_shape = {"row": (n,), "column": (m, 1), "scalar": (1,), "whole": (m, n)}.get(form)
        c = None if c_shape is None else signed(seed + 2, c_shape)
        attributes = {"transA": int(turned[0]), "transB": int(turned[1]), "alpha": 0.75}
        tolerance = (k + 4) * EPSILON * (k + 1) * 16
        inputs = [a, b] if c is None else [a, b, c]
        compare(counts, "Gemm", inputs, {**attributes, "beta": beta}, opset, tolerance)
        left, right = signed(seed, (2, 1, m, k)), signed(seed + 1, (3, k, n))
        compare(counts, "MatMul", [left, right], {}, opset, tolerance)
        compare(counts, "MatMul", [left[0, 0, 0], right], {}, opset, tolerance)

    check()
    print(counts)
    assert counts["compared"] >= 400, counts


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
@pytest.mark.parametrize("opset", [10, 13, 19, 21])
def test_dequantize_linear(opset: int, dtype: type) -> None:
    """One scale, one for each index of an axis, one for each block of an axis."""
    counts: Counter[str] = Counter()
    rng = np.random.default_rng(opset)
    x = rng.integers(0, 100, (3, 6, 2)).astype(dtype)
    for axis, shape in ((None, ()), (0, (3,)), (1, (6,)), (-1, (2,)), (1, (3, 3, 2))):
        scale = rng.uniform(0.01, 2, shape).astype(np.float32)
        zero = rng.integers(0, 1 if dtype is np.int32 else 50, shape).astype(dtype)
        given = {} if axis is None else {"axis": axis}
        given |= {"block_size": 2} if len(shape) > 1 else {}
        for inputs in ([x, scale], [x, scale, zero]):
            compare(counts, "DequantizeLinear", inputs, given, opset, EPSILON * 200)
    # Axes came with opset 13, blocks with 21.
    assert counts["compared"] >= {10: 2, 13: 8, 19: 8, 21: 8 if dtype is np.int32 else 10}[opset]


SMOOTH = ["Sigmoid", "Tanh", "Softplus", "Softsign", "Exp", "Erf", "Sin", "Cos", "Mish", "Gelu"]
PIECES = ["Relu", "LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish"]
STEPS = ["Floor", "Ceil", "Round", "Sign", "Abs", "Neg", "Reciprocal", "Sqrt", "Log", "Identity"]


@pytest.mark.parametrize("kind", SMOOTH + PIECES + STEPS)
def test_unary(kind: str) -> None:
    special = [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 80.0, -80.0, np.inf, np.nan]
    x = np.concatenate([np.array(special), np.linspace(-6, 6, 97)]).astype(np.float32)
    counts: Counter[str] = Counter()
    # exp multiplies the relative rounding of its argument by the argument.
    size = np.nan_to_num(np.abs(x).astype(np.float64), posinf=1)
    scale = np.exp(size) * 80 if kind == "Exp" else np.maximum(size, 2)
    compare(counts, kind, [x], {}, 22, 16 * EPSILON * scale)
    assert counts["compared"] == 1


@pytest.mark.parametrize("kind", ["LeakyRelu", "Elu", "Celu", "HardSigmoid", "Selu"])
def test_unary_attributes(kind: str) -> None:
    counts: Counter[str] = Counter()
    x = np.linspace(-4, 4, 65).astype(np.float32)
    attributes = {"alpha": 0.3}
    if kind in ("HardSigmoid", "Selu"):
        attributes["beta" if kind == "HardSigmoid" else "gamma"] = 0.7
    compare(counts, kind, [x], attributes, 16, 16 * EPSILON * 4)
    assert counts["compared"] == 1


@pytest.mark.parametrize(
    "kind", ["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean", "PRelu"]
)
def test_binary(kind: str) -> None:
    counts: Counter[str] = Counter()
    a, b = signed(1, (2, 3, 4)), signed(2, (3, 1))
    a = np.abs(a) if kind == "Pow" else a
    b[np.abs(b) < 0.1] = 0.5
    scale = np.abs(a) ** b if kind == "Pow" else 1 + np.abs(a) * (1 + np.abs(b) + 1 / np.abs(b))
    compare(counts, kind, [a, b], {}, 13, 16 * EPSILON * scale)
    numbers = int64s([-7, 7, -7, 6, 0]), int64s([2, -2, -2, 3, 5])
    if kind in ("Add", "Sub", "Mul", "Div", "Min", "Max"):
        compare(counts, kind, list(numbers), {}, 13, 0)
    if kind == "Pow":
        compare(counts, kind, [int64s([2, -3, 5]), int64s([5, 3, 0])], {}, 13, 0)
        compare(counts, kind, [int64s([2, 3]), np.array([0.5, 2.0], np.float32)], {}, 13, 0)
    assert counts["compared"] >= 1
    assert not counts["refused"]


@pytest.mark.parametrize(
    "kind", ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor"]
)
def test_comparison(kind: str) -> None:
    a, b = int64s([[1, 2, 3]]), int64s([[2], [3]])
    if kind in ("And", "Or", "Xor"):
        a, b = a > 1, b > 2
    counts: Counter[str] = Counter()
    compare(counts, kind, [a, b], {}, 16, 0)
    assert counts["compared"] == 1


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [7, 11, 13])
def test_softmax(kind: str, opset: int) -> None:
    counts: Counter[str] = Counter()
    x = signed(3, (2, 3, 4, 2)) * 8
    x[0, 0, 0] = -np.inf
    for attributes in [{}, *({"axis": axis} for axis in (0, 1, 2, 3))]:
        compare(counts, kind, [x], attributes, opset, 64 * EPSILON * 40)
    assert counts["compared"] == 5


REDUCTIONS = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp"]


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_reductions(kind: str) -> None:
    counts: Counter[str] = Counter()

    @settings(EXAMPLES, max_examples=40)
    @given(shapes, st.sampled_from([11, 13, 18]), st.data(), seeds)
    def check(shape: tuple[int, ...], opset: int, data: Any, seed: int) -> None:
        x = signed(seed, shape)
        axes = data.draw(st.permutations(range(len(shape))))
        axes = axes[: data.draw(st.integers(0, len(shape)))]
        attributes: dict[str, Any] = {"keepdims": data.draw(st.integers(0, 1))}
        inputs = [x]
        if opset >= (13 if kind == "Sum" else 18):
            attributes["noop_with_empty_axes"] = data.draw(st.integers(0, 1))
            inputs = [x, int64s(axes)]
        elif axes:
            attributes["axes"] = axes
        size = np.abs(x).astype(np.float64)
        magnitude = np.prod(1 + size) if kind == "Prod" else np.sum(size * size + size)
        tolerance = (x.size + 16) * EPSILON * (1 + magnitude)
        compare(counts, f"Reduce{kind}", inputs, attributes, opset, tolerance)

    check()
    assert counts["compared"] >= 30, counts


@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
def test_positions(kind: str) -> None:
    counts: Counter[str] = Counter()
    x = np.round(signed(4, (3, 5, 4)))
    for last in (0, 1):
        for axis in (0, 1, -1):
            for keepdims in (0, 1):
                attributes = {"select_last_index": last, "axis": axis, "keepdims": keepdims}
                compare(counts, kind, [x], attributes, 13, 0)
    assert counts["compared"] == 12


def test_clip_in_both_forms() -> None:
    counts: Counter[str] = Counter()
    x = np.array([-np.inf, -2, -0.5, 0, 1, 3, np.inf, np.nan], dtype=np.float32)
    low, high = np.array(-1, dtype=np.float32), np.array(2, dtype=np.float32)
    for attributes in ({}, {"min": -1.0}, {"max": 2.0}, {"min": -1.0, "max": 2.0}):
        compare(counts, "Clip", [x], attributes, 6, 0)
    for bounds in ([low], [None, high], [low, high], [high, low]):
        compare(counts, "Clip", [x, *bounds], {}, 13, 0)
    compare(counts, "Clip", [int64s([-3, 0, 9]), int64s(-1), int64s(5)], {}, 13, 0)
    assert counts["compared"] == 9


def test_gather_concat_where_range() -> None:
    counts: Counter[str] = Counter()
    x, y = signed(1, (3, 4)), signed(2, (3, 4))
    compare(counts, "Gather", [x, int64s([[0, -1], [1, -3]])], {}, 13, 0)
    compare(counts, "Gather", [x, int64s([2, -4])], {"axis": 1}, 13, 0)
    compare(counts, "Gather", [x, int64s(-1)], {"axis": -1}, 13, 0)
    compare(counts, "Concat", [x, y, x], {"axis": -1}, 13, 0)
    compare(counts, "Where", [np.array([[True], [False], [True]]), x, y[:1]], {}, 16, 0)
    compare(counts, "Range", [int64s(3), int64s(-8), int64s(-3)], {}, 11, 0)
    values = [np.array(v, dtype=np.float32) for v in (0.5, 3.1, 0.5)]
    compare(counts, "Range", values, {}, 11, EPSILON * 4)
    compare(counts, "ConstantOfShape", [int64s([2, 3])], {}, 11, 0)
    compare(counts, "ConstantOfShape", [int64s([])], {"value": int64s([7])}, 11, 0)
    compare(counts, "GlobalLpPool", [signed(1, (1, 2, 3, 3))], {"p": 3}, 13, 32 * EPSILON * 8)
    compare(counts, "GlobalMaxPool", [signed(1, (1, 2, 3, 3))], {}, 13, 0)
    compare(counts, "GlobalAveragePool", [signed(1, (1, 2, 3))], {}, 13, 32 * EPSILON)
    compare(counts, "Size", [x], {}, 13, 0)
    compare(counts, "Dropout", [x], {}, 13, 0, 2)
    assert counts["compared"] == 14, counts
