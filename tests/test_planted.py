"""The structure that models/README.md promises of the models with planted kernels is there.

Rounding to float32 moves a kernel K by at most 2^-24 ‖K‖ in the Frobenius norm, so that each
singular value that should be 0 is at most that (Weyl).
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convc.ir import Array
from models.network import Network
from tests.conftest import ROOT

ROUNDOFF = 2.0**-24


def kernel(name: str) -> Array:
    """The weight called "model/node" in float64."""
    model, _, node = name.partition("/")
    weights = onnx.load(ROOT / "models" / f"{model}.onnx").graph.initializer
    (found,) = [weight for weight in weights if weight.name == f"{node}.weight"]
    return numpy_helper.to_array(found).astype(np.float64)


def rank(matrix: Array) -> int:
    """How many singular values rounding to float32 cannot explain."""
    values = np.linalg.svd(matrix, compute_uv=False)
    return int(np.sum(values > ROUNDOFF * np.linalg.norm(matrix)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gaussian_chain_11/blur0", 1),
        ("gaussian_chain_11/blur1", 1),
        ("gaussian_chain_15/blur0", 1),
        ("gaussian_chain_15/blur1", 1),
        ("gaussian_chain_edges/blur1", 1),
        ("gaussian_chain_edges/edges", 2),
        ("separable_sums/difference", 2),
        ("separable_sums/gabors", 2),
        ("composed_kernel/composed", 5),
    ],
)
def test_spatial_rank(name: str, expected: int) -> None:
    planes = kernel(name)[:, 0]
    assert [rank(plane) for plane in planes] == [expected] * len(planes)
    # Not more than to stored precision: the float32 numbers themselves are no such product.
    if expected < len(planes[0]):
        assert np.linalg.matrix_rank(planes[0], tol=1e-16) > expected


def test_gabor_pair_shares_rows_and_columns() -> None:
    even, odd = kernel("separable_sums/gabors")[:2, 0]
    assert rank(np.hstack([even, odd])) == 2
    assert rank(np.vstack([even, odd])) == 2
    assert abs(np.sum(even * odd)) < 0.01 * np.linalg.norm(even) * np.linalg.norm(odd)


@pytest.mark.parametrize(
    ("name", "outputs", "inputs"),
    [
        ("low_rank_channels/outputs", 8, 32),
        ("low_rank_channels/inputs", 32, 8),
        ("tucker_planted/planted", 16, 16),
    ],
)
def test_channel_ranks(name: str, outputs: int, inputs: int) -> None:
    weight = kernel(name)
    by_output = weight.reshape(len(weight), -1)
    by_input = weight.swapaxes(0, 1).reshape(weight.shape[1], -1)
    assert (rank(by_output), rank(by_input)) == (outputs, inputs)


def test_composed_kernel_is_the_product_of_its_factors() -> None:
    net = Network("composed_kernel")
    first, second = (np.pad(net.kernel(3, 3), (0, 2)) for _ in range(2))
    # As polynomials in two variables: without wrap-around the transforms multiply.
    product = np.fft.ifft2(np.fft.fft2(first) * np.fft.fft2(second)).real
    error = np.linalg.norm(kernel("composed_kernel/composed")[0, 0] - product)
    assert error <= ROUNDOFF * np.linalg.norm(product)
