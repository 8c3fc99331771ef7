"""What onnxruntime cannot judge: forms of old opsets, refusals, NaN and float64 accuracy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from convc.kernels import KERNELS, KernelError, conv, evaluate


def only(kind: str, inputs: list[Any], attributes: dict[str, Any], opset: int) -> np.ndarray:
    results = evaluate(kind, inputs, attributes, opset, 1)
    assert results is not None
    (result,) = results
    return result


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_unknown_kinds_are_left_to_the_caller() -> None:
    assert evaluate("NonMaxSuppression", [], {}, 11) is None
    assert "LSTM" not in KERNELS


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("Add", np.add),
        ("Sub", np.subtract),
        ("Mul", np.multiply),
        ("Div", np.divide),
        ("Pow", np.power),
        ("Less", np.less),
    ],
)
def test_broadcast_of_opset_6_is_aligned_by_axis(kind: str, function: Any) -> None:
    a, b = np.abs(normal(2, 3, 4)) + 1, np.abs(normal(3, seed=1)) + 1
    aligned = only(kind, [a, b], {"broadcast": 1, "axis": 1}, 6)
    np.testing.assert_array_equal(aligned, function(a, b[:, None]))
    last = only(kind, [a, b[:1]], {"broadcast": 1}, 6)
    np.testing.assert_array_equal(last, function(a, b[:1]))
    with pytest.raises(KernelError, match="without broadcast"):
        only(kind, [a, b], {}, 6)


def test_prelu_of_opset_6_has_a_slope_per_channel() -> None:
    x, slope = normal(2, 3, 3), normal(3, seed=1)
    expected = np.where(x < 0, x * slope[:, None], x)
    np.testing.assert_array_equal(only("PRelu", [x, slope], {}, 6), expected)


def test_batch_normalization_with_statistics_per_activation() -> None:
    x = normal(2, 3, 4)
    parameters = [np.abs(normal(3, 4, seed=s)) + 0.1 for s in range(1, 5)]
    scale, bias, mean, variance = parameters
    expected = scale * (x - mean) / np.sqrt(variance + np.float32(1e-5)) + bias
    result = only("BatchNormalization", [x, *parameters], {"spatial": 0}, 7)
    np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-13)


def test_group_normalization_of_opset_18_scales_groups() -> None:
    x, scale, bias = normal(2, 6, 5), normal(2, seed=1), normal(2, seed=2)
    old = only("GroupNormalization", [x, scale, bias], {"num_groups": 2}, 18)
    per_channel = [np.repeat(scale, 3), np.repeat(bias, 3)]
    new = only("GroupNormalization", [x, *per_channel], {"num_groups": 2}, 21)
    np.testing.assert_array_equal(old, new)


def test_even_split_before_opset_18_needs_the_number_of_results() -> None:
    x = normal(6, 2)
    results = evaluate("Split", [x], {}, 11, 3)
    assert results is not None
    assert [part.shape for part in results] == [(2, 2)] * 3
    with pytest.raises(KernelError, match="num_outputs"):
        evaluate("Split", [x], {}, 11)


def test_statistics_of_training_are_no_results() -> None:
    inputs = [normal(2, 3), *[np.ones(3)] * 4]
    with pytest.raises(KernelError, match="5 results wanted, 1 known"):
        evaluate("BatchNormalization", inputs, {}, 9, 5)


def test_dropped_axes_of_composite_reductions_keep_their_elementwise_part() -> None:
    x = normal(2, 3)
    attributes = {"noop_with_empty_axes": 1}
    np.testing.assert_array_equal(only("ReduceSumSquare", [x], attributes, 18), x * x)
    np.testing.assert_array_equal(only("ReduceSum", [x], attributes, 18), x)


def test_a_nan_is_the_maximum_of_its_windows() -> None:
    x = np.array([[[1.0, np.nan, 3.0, 4.0, -np.inf, -np.inf]]])
    attributes = {"kernel_shape": (2,)}
    alone = only("MaxPool", [x], attributes, 12)
    results = evaluate("MaxPool", [x], attributes, 12)
    assert results is not None
    expected = np.array([[[np.nan, np.nan, 4.0, 4.0, -np.inf]]])
    np.testing.assert_array_equal(alone, expected)
    np.testing.assert_array_equal(results[0], expected)
    np.testing.assert_array_equal(results[1], [[[1, 1, 3, 3, 4]]])


def test_indices_of_padded_minus_infinity_lie_inside() -> None:
    x = np.full((1, 1, 3), -np.inf)
    results = evaluate("MaxPool", [x], {"kernel_shape": (2,), "pads": (1, 1)}, 12)
    assert results is not None
    np.testing.assert_array_equal(results[1], [[[0, 0, 1, 2]]])


def test_infinity_passes_a_conv_only_where_its_window_meets_it() -> None:
    x = np.zeros((1, 1, 6))
    x[0, 0, 2] = np.inf
    result = only("Conv", [x, np.ones((1, 1, 3))], {"pads": (1, 1)}, 11)
    np.testing.assert_array_equal(np.isinf(result[0, 0]), [0, 1, 1, 1, 0, 0])
    assert not np.isnan(result).any()


def test_error_function_to_float64() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), [1e-300, 0.46875, 4.0, 6.0]])
    expected = np.array([math.erf(v) for v in x])
    result = only("Erf", [x], {}, 13)
    np.testing.assert_allclose(result, expected, rtol=4 * np.finfo(float).eps, atol=0)


@pytest.mark.parametrize(
    ("kind", "x"), [("Sigmoid", 800.0), ("Softplus", 800.0), ("Elu", 800.0), ("Selu", 800.0)]
)
def test_large_arguments_do_not_overflow(kind: str, x: float) -> None:
    assert np.isfinite(only(kind, [np.array([x, -x])], {}, 11)).all()


def test_scratch_of_a_conv_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    matmul = np.matmul

    def watched(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        nonlocal largest
        product: np.ndarray = matmul(a, b)
        largest = max(largest, b.size + product.size)
        return product

    monkeypatch.setattr(np, "matmul", watched)
    only("Conv", [normal(1, 2, 40, 50), normal(300, 2, 3, 3)], {}, 11)
    assert 0 < largest <= conv.SCRATCH_ENTRIES
    monkeypatch.setattr(conv, "SCRATCH_ENTRIES", 10_000)
    largest = 0
    only("Conv", [normal(1, 2, 40, 50), normal(300, 2, 3, 3)], {}, 11)
    assert 0 < largest <= 10_000


X = np.zeros((1, 2, 4, 4))
W = np.zeros((2, 2, 3, 3))
REFUSED: list[tuple[str, list[Any], dict[str, Any], int]] = [
    ("Conv", [X], {}, 11),
    ("Conv", [X, W], {"group": 2}, 11),
    ("Conv", [X, W], {"strides": (1,)}, 11),
    ("Conv", [X, W], {"strides": (0, 1)}, 11),
    ("Conv", [X, W], {"pads": (1, 1)}, 11),
    ("Conv", [X, W], {"kernel_shape": (1, 3)}, 11),
    ("Conv", [X, W], {"dilations": (3, 3)}, 11),
    ("Conv", [X, W], {"auto_pad": "SAME"}, 11),
    ("Conv", [X, W, np.zeros(3)], {}, 11),
    ("ConvTranspose", [X, W], {"group": 3}, 11),
    ("ConvTranspose", [X, W], {"pads": (4, 4, 4, 4)}, 11),
    ("MaxPool", [X], {}, 11),
    ("MaxPool", [X], {"kernel_shape": (7, 7)}, 11),
    ("AveragePool", [X], {"kernel_shape": (2,)}, 11),
    ("LpPool", [X], {"kernel_shape": (2, 2), "p": 0}, 11),
    ("BatchNormalization", [X, *[np.ones(3)] * 4], {}, 11),
    ("BatchNormalization", [X, *[np.ones(2)] * 4], {"training_mode": 1}, 14),
    ("GroupNormalization", [X, np.ones(2), np.ones(2)], {"num_groups": 3}, 21),
    ("LRN", [X], {}, 13),
    ("Gemm", [X, X], {}, 13),
    ("Gemm", [np.ones((2, 3)), np.ones((2, 3))], {}, 13),
    ("Gemm", [np.ones((2, 3)), np.ones((3, 2)), np.ones((3, 1))], {}, 13),
    ("MatMul", [np.ones((2, 3)), np.ones((2, 3))], {}, 13),
    ("Add", [np.ones(2), np.ones(3)], {}, 13),
    ("PRelu", [np.ones(2), np.ones((2, 2))], {}, 13),
    ("Pad", [X, np.array([1, 1])], {}, 13),
    ("Pad", [X, np.zeros(8, int)], {"mode": "mirror"}, 13),
    ("Pad", [X, np.array([0, 0, 0, -3, 0, 0, 0, -3])], {}, 13),
    ("Resize", [X, None, None, None], {}, 13),
    ("Resize", [X, None, np.array([1.0, 2.0])], {}, 13),
    ("Resize", [X, None, np.array([1.0, 1.0, 0.0, 1.0])], {}, 13),
    ("Resize", [X, None, np.ones(4)], {"coordinate_transformation_mode": "tf_crop_and_resize"}, 13),
    ("Resize", [X, None, np.ones(4)], {"mode": "area"}, 13),
    ("Upsample", [X], {}, 7),
    ("Reshape", [X, np.array([5, -1])], {}, 13),
    ("Reshape", [X, np.array([-1, -1])], {}, 13),
    ("Transpose", [X], {"perm": (0, 1, 2, 2)}, 13),
    ("Squeeze", [X, np.array([1])], {}, 13),
    ("Unsqueeze", [X], {}, 13),
    ("Expand", [X, np.array([3, 4])], {}, 13),
    ("Tile", [X, np.array([2])], {}, 13),
    ("Concat", [X, np.ones((1, 2))], {"axis": 0}, 13),
    ("Split", [X, np.array([3, 2])], {"axis": 2}, 13),
    ("Slice", [X, np.array([0]), np.array([1]), None, np.array([0])], {}, 13),
    ("Gather", [X, np.array([4])], {"axis": 2}, 13),
    ("DepthToSpace", [X], {"blocksize": 2}, 13),
    ("SpaceToDepth", [X], {"blocksize": 3}, 13),
    ("Softmax", [X], {"axis": 4}, 13),
    ("ReduceSum", [X, np.array([1, -3])], {}, 13),
    ("Range", [np.array(0), np.array(3), np.array(0)], {}, 13),
    ("Clip", [X, np.ones(2)], {}, 13),
    ("Celu", [X], {"alpha": 0.0}, 13),
    ("Dropout", [X, np.array(0.5), np.array(True)], {}, 13),
]


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "opset"),
    REFUSED,
    ids=[f"{kind}-{number}" for number, (kind, *_) in enumerate(REFUSED)],
)
def test_refused(kind: str, inputs: list[Any], attributes: dict[str, Any], opset: int) -> None:
    with pytest.raises(KernelError):
        evaluate(kind, inputs, attributes, opset)
