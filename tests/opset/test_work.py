"""Work counted by hand: every number here is derived in the line that states it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convc.opset import macs
from convc.opset.work import Work
from tests.opset.counted import Operand, one_op, work_of


def conv(data: Operand, kernel: Operand, result: Any, bias: bool = False, **more: Any) -> Work:
    channels = None if kernel is None else tuple(kernel)[:1]
    work = work_of("Conv", [data, kernel, channels if bias else None], result, more)
    assert work is not None
    return work


def test_exercise_2() -> None:
    """Input (3, 10, 8), kernel (4, 3, 3, 3), padding (1, 2), stride (2, 1)."""
    shape, kernel, result = (1, 3, 10, 8), (4, 3, 3, 3), (1, 4, 5, 10)
    # h = (10 + 2·1 − 3)//2 + 1 = 5, w = (8 + 2·2 − 3)//1 + 1 = 10; 3·3·3 = 27 products an output.
    outputs = 4 * 5 * 10
    # Rows 3 taps high start at −1, 1, 3, 5, 7: the first has 2 taps inside, the others 3.
    # Columns start at −2 ... 7: 1, 2, 3 six times, 2, 1 taps inside.
    real = 4 * 3 * (2 + 4 * 3) * (1 + 2 + 6 * 3 + 2 + 1)
    found = conv(shape, kernel, result, pads=(1, 2, 1, 2), strides=(2, 1))
    assert found == Work(
        multiplications=outputs * 27,
        additions=outputs * 26,
        padded_multiplications=outputs * 27 - real,
        # Every output has a real product, so one addition less than products for each of them.
        padded_additions=outputs * 26 - (real - outputs),
    )
    biased = conv(shape, kernel, result, bias=True, pads=(1, 2, 1, 2), strides=(2, 1))
    assert biased.additions == outputs * 27
    assert biased.padded_additions == outputs * 27 - real
    assert biased.operations == outputs * 54


def test_exercise_3_channels() -> None:
    """Both channels doubled: four times the products, and with a bias of everything."""
    small = conv((1, 8, 9, 9), (16, 8, 3, 3), (1, 16, 9, 9), bias=True, pads=(1,) * 4)
    large = conv((1, 16, 9, 9), (32, 16, 3, 3), (1, 32, 9, 9), bias=True, pads=(1,) * 4)
    assert large == small.times(4)
    # Without: 4·(8·9)·16 − 16·2 = per position 144·32 − 32 additions, from 72·16 − 16.
    small = conv((1, 8, 9, 9), (16, 8, 3, 3), (1, 16, 9, 9), pads=(1,) * 4)
    large = conv((1, 16, 9, 9), (32, 16, 3, 3), (1, 32, 9, 9), pads=(1,) * 4)
    assert large.multiplications == 4 * small.multiplications
    assert (small.additions, large.additions) == (81 * 16 * 71, 81 * 32 * 143)
    # Depthwise, and where only one side doubles: twice.
    deep = conv((1, 8, 9, 9), (8, 1, 3, 3), (1, 8, 9, 9), pads=(1,) * 4, group=8)
    deeper = conv((1, 16, 9, 9), (16, 1, 3, 3), (1, 16, 9, 9), pads=(1,) * 4, group=16)
    assert deeper == deep.times(2)
    first = conv((1, 3, 9, 9), (16, 3, 3, 3), (1, 16, 9, 9), pads=(1,) * 4)
    assert conv((1, 3, 9, 9), (32, 3, 3, 3), (1, 32, 9, 9), pads=(1,) * 4) == first.times(2)


def test_exercise_3_padding() -> None:
    """Padding 1 doubled to 2: 8 by 8 outputs grow to 10 by 10, real products by (24/22)²."""
    kept = conv((1, 2, 8, 8), (5, 2, 3, 3), (1, 5, 8, 8), pads=(1,) * 4)
    grown = conv((1, 2, 8, 8), (5, 2, 3, 3), (1, 5, 10, 10), pads=(2,) * 4)
    assert kept.multiplications == 5 * 64 * 18
    assert grown.multiplications == 5 * 100 * 18
    # Per axis 8 windows of 3 taps of which 2 see padding; then each input meets each of the taps.
    assert kept.multiplications - kept.padded_multiplications == 5 * 2 * 22**2
    assert grown.multiplications - grown.padded_multiplications == 5 * 2 * 24**2


def test_a_window_wholly_in_the_padding_sums_nothing() -> None:
    """Of 4 + 2·3 positions 10 − 1 + 1 outputs of a 1×1 kernel, 4 see the input."""
    found = conv((1, 2, 4), (3, 2, 1), (1, 3, 10), bias=True, pads=(3, 3))
    assert found == Work(
        multiplications=3 * 10 * 2,
        additions=3 * 10 * 2,
        padded_multiplications=3 * 6 * 2,
        padded_additions=3 * 6 * 2,
    )


def test_a_transposed_conv() -> None:
    """(2, 3, 3) with 2×5 filters of 3×3, stride 2: 7 by 7 uncropped, 5 by 5 with pads of 1."""
    operands: list[Operand] = [(1, 2, 3, 3), (2, 5, 3, 3), (5,)]
    options = {"strides": (2, 2), "pads": (1, 1, 1, 1)}
    # Per axis 3 inputs of 3 taps; the taps at either end are cropped: 9 − 2.
    products, real = 2 * 5 * 9 * 9, 2 * 5 * 7 * 7
    assert work_of("ConvTranspose", operands, (1, 5, 5, 5), options) == Work(
        products, products, padded_multiplications=products - real, padded_additions=products - real
    )
    # Without a bias one addition less for each position: 7·7 of them, 5·5 after the crop.
    assert work_of("ConvTranspose", operands[:2], (1, 5, 5, 5), options) == Work(
        products,
        products - 5 * 49,
        padded_multiplications=products - real,
        padded_additions=products - 5 * 49 - (real - 5 * 25),
    )


def test_a_stride_beyond_the_kernel_leaves_gaps() -> None:
    """3 inputs, 1 tap, stride 3: positions 0, 3, 6 of 7 have a product, no two of them meet."""
    found = work_of("ConvTranspose", [(1, 1, 3), (1, 1, 1), (1,)], (1, 1, 7), {"strides": (3,)})
    assert found == Work(multiplications=3, additions=3)
    found = work_of("ConvTranspose", [(1, 1, 3), (1, 1, 1)], (1, 1, 7), {"strides": (3,)})
    assert found == Work(multiplications=3)


def test_pools() -> None:
    # 5 wide, windows of 3 by 2 from −1: 2, 3, 2 samples, an axis; 3 by 3 windows.
    options = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    data, result = (2, 3, 5, 5), (2, 3, 3, 3)
    samples = 2 * 3 * (2 + 3 + 2) ** 2
    assert work_of("MaxPool", [data], result, options) == Work(comparisons=samples - 54)
    average = Work(additions=samples - 54, divisions=54)
    assert work_of("AveragePool", [data], result, options) == average
    padded = {**options, "count_include_pad": 1}
    assert work_of("AveragePool", [data], result, padded) == average
    # 5 wide without pads, windows of 2 by 2, rounded up: 2, 2, 1 samples.
    ceiled = {"kernel_shape": (2,), "strides": (2,), "ceil_mode": 1}
    assert work_of("MaxPool", [(1, 1, 5)], (1, 1, 3), ceiled) == Work(comparisons=1 + 1 + 0)
    # |x|³ is a comparison and a power; 5 samples, 2 windows of 3 and 2, two roots.
    cubes = {"kernel_shape": (3,), "strides": (2,), "p": 3, "pads": (0, 0), "ceil_mode": 1}
    assert work_of("LpPool", [(1, 1, 4)], (1, 1, 2), cubes) == Work(
        additions=2 + 1, comparisons=5, functions=5 + 2
    )


def test_global_pools() -> None:
    data, result = (2, 3, 4, 5), (2, 3, 1, 1)
    assert work_of("GlobalAveragePool", [data], result) == Work(additions=6 * 19, divisions=6)
    assert work_of("GlobalMaxPool", [data], result) == Work(comparisons=6 * 19)
    assert work_of("GlobalLpPool", [data], result, {"p": 1}) == Work(
        additions=6 * 19, comparisons=120
    )


def test_products() -> None:
    # 4 by 6 outputs of 5 products.
    for trans in (0, 1):
        a = (5, 4) if trans else (4, 5)
        found = work_of("Gemm", [a, (5, 6), (6,)], (4, 6), {"transA": trans})
        assert found == Work(multiplications=24 * 5, additions=24 * 4 + 24)
    scaled = {"alpha": 0.5, "beta": 2.0}
    assert work_of("Gemm", [(4, 5), (5, 6), (6,)], (4, 6), scaled) == Work(
        multiplications=24 * 5 + 24 + 6, additions=24 * 4 + 24
    )
    assert work_of("Gemm", [(4, 5), (5, 6), (6,)], (4, 6), {"beta": 0.0}) == Work(120, 96)
    assert work_of("Gemm", [(4, 5), (5, 6)], (4, 6)) == Work(120, 96)
    # Batches broadcast; vectors lose their axis.
    assert work_of("MatMul", [(2, 1, 4, 5), (3, 5, 6)], (2, 3, 4, 6)) == Work(144 * 5, 144 * 4)
    assert work_of("MatMul", [(5,), (5, 6)], (6,)) == Work(6 * 5, 6 * 4)
    assert work_of("MatMul", [(4, 5), (5,)], (4,)) == Work(4 * 5, 4 * 4)
    assert work_of("MatMul", [(5,), (5,)], ()) == Work(5, 4)
    # Sums of nothing are nothing.
    assert work_of("MatMul", [(4, 0), (0, 6)], (4, 6)) == Work()
    assert work_of("Gemm", [(4, 0), (0, 6), (6,)], (4, 6)) == Work()


@pytest.mark.parametrize(
    ("kind", "gates", "element"),
    [
        # tanh
        ("RNN", 1, Work(functions=1)),
        # Two sigmoids (exp, +1, 1/·) and a tanh; r∘h, (1 − z)∘h̃ + z∘h.
        ("GRU", 3, Work(multiplications=3, additions=2 + 2, divisions=2, functions=3)),
        # Three sigmoids, two tanh; f∘c + i∘c̃, o∘tanh(c).
        ("LSTM", 4, Work(multiplications=3, additions=3 + 1, divisions=3, functions=5)),
    ],
)
def test_recurrent_layers(kind: str, gates: int, element: Work) -> None:
    """7 steps of 2 vectors of 5 in both directions into 3 units."""
    weights: list[Operand] = [(2, gates * 3, 5), (2, gates * 3, 3)]
    biased: list[Operand] = [(7, 2, 5), *weights, (2, gates * 6)]
    result = (7, 2, 2, 3)
    units = 7 * 2 * 2 * 3
    # A gate sums 5 + 3 products, with two biases: 7 + 2 additions.
    dense = Work(multiplications=units * gates * 8, additions=units * gates * 9)
    assert work_of(kind, biased, result) == dense + element.times(units)
    bare = Work(multiplications=units * gates * 8, additions=units * gates * 7)
    assert work_of(kind, [(7, 2, 5), *weights], result) == bare + element.times(units)
    graph, op = one_op(kind, biased, result)
    assert macs(graph, op) == units * gates * 8
    graph, op = one_op(kind, [(2, 7, 5), *weights], (2, 7, 2, 3), {"layout": 1})
    assert macs(graph, op) == units * gates * 8
    # Clipping compares each gate twice.
    clipped = Work(comparisons=units * gates * 2)
    assert work_of(kind, biased, result, {"clip": 3.0}) == dense + element.times(units) + clipped


def test_recurrent_layers_with_more() -> None:
    operands: list[Operand] = [(7, 2, 5), (1, 12, 5), (1, 12, 3), None, None, None, None, (1, 9)]
    plain, peep = work_of("LSTM", operands[:3], None), work_of("LSTM", operands, None)
    assert plain is not None
    # Three gates see the cell state: a product and a sum each.
    assert peep == plain + Work(multiplications=3, additions=3).times(7 * 2 * 3)
    relu = work_of("RNN", [(7, 2, 5), (1, 3, 5), (1, 3, 3)], None, {"activations": ("Relu",)})
    assert relu == Work(multiplications=8, additions=7, comparisons=1).times(7 * 2 * 3)
    assert work_of("LSTM", operands, None, {"input_forget": 1}) is None
    assert work_of("RNN", operands[:3], None, {"activations": ("Gelu",)}) is None
    assert work_of("RNN", operands[:3], None, {"activations": ("Relu", "Tanh")}) is None


ELEMENT = {
    "Relu": Work(comparisons=1),  # max(0, x)
    "LeakyRelu": Work(1, comparisons=1),  # x < 0 ? αx : x
    "PRelu": Work(1, comparisons=1),
    "ThresholdedRelu": Work(comparisons=1),
    "Elu": Work(1, 1, comparisons=1, functions=1),  # α(exp x − 1)
    "Selu": Work(2, 1, comparisons=1, functions=1),  # γα(exp x − 1)
    "Celu": Work(1, 2, 1, 2, 1),  # max(0, x) + min(0, α(exp(x/α) − 1))
    "Sigmoid": Work(0, 1, 1, 0, 1),  # 1/(1 + exp −x)
    "HardSigmoid": Work(1, 1, 0, 2),  # max(0, min(1, αx + β))
    "HardSwish": Work(2, 1, 0, 2),  # x · the same
    "Swish": Work(1, 1, 1, 0, 1),  # x · sigmoid x
    "Mish": Work(1, 1, functions=3),  # x · tanh(log(1 + exp x))
    "Softplus": Work(0, 1, functions=2),  # log(1 + exp x)
    "Softsign": Work(0, 1, 1, 1),  # x/(1 + |x|)
    "Gelu": Work(3, 1, functions=1),  # (x·½) · (1 + erf(x·(1/√2)))
    "Tanh": Work(functions=1),
    "Erf": Work(functions=1),
    "Exp": Work(functions=1),
    "Log": Work(functions=1),
    "Sqrt": Work(functions=1),
    "Floor": Work(functions=1),
    "Ceil": Work(functions=1),
    "Round": Work(functions=1),
    "Abs": Work(comparisons=1),
    "Sign": Work(comparisons=2),
    "Neg": Work(0, 1),
    "Reciprocal": Work(divisions=1),
    "Not": Work(comparisons=1),
    "IsNaN": Work(comparisons=1),
    "Shrink": Work(0, 1, 0, 2),
    "BatchNormalization": Work(1, 1),
    "Identity": Work(),
    "Cast": Work(),
    "Dropout": Work(),
}


@pytest.mark.parametrize("kind", ELEMENT)
def test_elementwise(kind: str) -> None:
    assert work_of(kind, [(2, 3, 4)], (2, 3, 4)) == ELEMENT[kind].times(24)
    assert work_of(kind, [()], ()) == ELEMENT[kind]
    assert work_of(kind, [(2, 0, 4)], (2, 0, 4)) == Work()


def test_elementwise_of_several() -> None:
    pair: list[Operand] = [(3, 1), (4,)]
    for kind in ("Add", "Sub"):
        assert work_of(kind, pair, (3, 4)) == Work(additions=12)
    assert work_of("Mul", pair, (3, 4)) == Work(multiplications=12)
    assert work_of("Div", pair, (3, 4)) == Work(divisions=12)
    assert work_of("Mod", pair, (3, 4)) == Work(divisions=12)
    assert work_of("Pow", pair, (3, 4)) == Work(functions=12)
    for kind in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor"):
        assert work_of(kind, pair, (3, 4)) == Work(comparisons=12)
    triple: list[Operand] = [(3, 4), (3, 4), (3, 4)]
    assert work_of("Where", triple, (3, 4)) == Work(comparisons=12)
    assert work_of("Max", triple, (3, 4)) == Work(comparisons=24)
    assert work_of("Sum", triple, (3, 4)) == Work(additions=24)
    assert work_of("Mean", triple, (3, 4)) == Work(additions=24, divisions=12)
    assert work_of("Sum", triple[:1], (3, 4)) == Work()
    # start + i·delta
    assert work_of("Range", [(), (), ()], (5,)) == Work(multiplications=5, additions=5)


def test_options_of_elementwise_ops() -> None:
    assert work_of("Clip", [(6,), (), ()], (6,)) == Work(comparisons=12)
    assert work_of("Clip", [(6,), None, ()], (6,)) == Work(comparisons=6)
    assert work_of("Clip", [(6,)], (6,), {"min": 0.0, "max": 6.0}, opset=6) == Work(comparisons=12)
    assert work_of("Clip", [(6,)], (6,)) == Work()
    # x·½ · (1 + tanh(√(2/π) · (x + 0.044715·x·x·x)))
    assert work_of("Gelu", [(6,)], (6,), {"approximate": "tanh"}) == Work(36, 12, functions=6)
    assert work_of("BatchNormalization", [(6,)], (6,), {"training_mode": 1}) is None
    train, infer = np.array(True), np.array(False)
    assert work_of("Dropout", [(6,), None, train], (6,)) is None
    assert work_of("Dropout", [(6,), None, infer], (6,)) == Work()
    # x/s, round, + z, at least, at most; a zero point of 0 is not added.
    for zero, added in ((np.uint8(3), 6), (np.uint8(0), 0)):
        operands: list[Operand] = [(6,), (), np.array(zero)]
        assert work_of("QuantizeLinear", operands, (6,)) == Work(0, added, 6, 12, 6)
        assert work_of("DequantizeLinear", operands, (6,)) == Work(6, added)
    scattered: list[Operand] = [(6,), (2, 1), (2,)]
    assert work_of("ScatterND", scattered, (6,)) == Work()
    assert work_of("ScatterND", scattered, (6,), {"reduction": "add"}) == Work(additions=2)
    assert work_of("ScatterElements", scattered, (6,), {"reduction": "max"}) == Work(comparisons=2)


def test_resize() -> None:
    data, result = (1, 3, 4, 5), (1, 3, 8, 10)
    sized: list[Operand] = [data, None, (4,)]
    assert work_of("Resize", sized, result) == Work()
    # Bilinear: 4 products and 3 sums an output, along one axis 2 and 1; bicubic 16 and 15.
    for mode, shape, taps in (
        ("linear", result, 4), ("linear", (1, 3, 8, 5), 2), ("cubic", result, 16),
    ):  # fmt: skip
        count = 3 * shape[2] * shape[3]
        found = work_of("Resize", sized, shape, {"mode": mode})
        assert found == Work(multiplications=taps * count, additions=(taps - 1) * count)
    assert work_of("Resize", sized, data, {"mode": "cubic"}) == Work()
    assert work_of("Upsample", [data, (4,)], result, {"mode": "linear"}) == Work(960, 720)
    assert work_of("Resize", sized, result, {"mode": "linear", "antialias": 1}) is None
    crop = {"coordinate_transformation_mode": "tf_crop_and_resize"}
    assert work_of("Resize", sized, result, crop) is None


def test_moves_compute_nothing() -> None:
    for kind in ("Transpose", "Concat", "Slice", "Gather", "Pad", "Expand", "Shape", "Tile"):
        assert work_of(kind, [(2, 3)], None) == Work()


def test_empty_batches_and_sizes_that_are_missing() -> None:
    assert conv((0, 3, 8, 8), (4, 3, 3, 3), (0, 4, 6, 6), bias=True) == Work()
    assert conv((1, 0, 8, 8), (4, 0, 3, 3), (1, 4, 6, 6), bias=True) == Work()
    assert conv((1, 3, 0), (4, 3, 1), (1, 4, 0)) == Work()
    operands: list[Operand] = [(1, 3, "h", 8), (4, 3, 3, 3)]
    result = (1, 4, "g", 6)
    known = {"h": 8, "g": 6}
    assert work_of("Conv", operands, result, sizes=known) == conv(
        (1, 3, 8, 8), (4, 3, 3, 3), (1, 4, 6, 6)
    )
    for sizes in ({}, {"h": 8}, {"g": 6}):
        assert work_of("Conv", operands, result, sizes=sizes) is None
    assert work_of("Relu", [None], None) is None
    assert work_of("MatMul", [(None, 5), (5, 6)], (None, 6)) is None
    assert work_of("GRU", [(None, 2, 5), (1, 9, 5), (1, 9, 3)], None) is None


def test_counts_do_not_overflow() -> None:
    big = 2**40
    found = conv((big, 3, 8, 8), (4, 3, 3, 3), (big, 4, 6, 6))
    assert found.multiplications == 2**40 * 4 * 36 * 27
