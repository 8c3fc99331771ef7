"""Convolutions as matrices, against the naive loops."""

from __future__ import annotations

import doctest
from collections import Counter
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import ConvGeometry, TransposeGeometry, geometry_of, to_columns, to_matrix
from convc.algebra import gemm as module
from convc.algebra.gemm import covers
from convc.algebra.geometry import Geometry
from tests.algebra import naive
from tests.algebra.strategies import conv_geometries, kernel_for, ndims, transpose_geometries

Array = np.ndarray


@st.composite
def convs(draw: st.DrawFn, *, transposed: bool = False) -> tuple[Geometry, Array, Array]:
    """A geometry, its kernel and an input, over the whole attribute space."""
    ndim, group = draw(ndims()), draw(st.sampled_from([1, 1, 2, 3]))
    make = transpose_geometries if transposed else conv_geometries
    geometry: Geometry = draw(make(ndim, group))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs, outputs = (group * draw(st.integers(1, 2)) for _ in range(2))
    room = st.integers(0, 3 if ndim < 3 else 1)
    crop = [-min(p, 0) for p in geometry.pads_begin] if not transposed else [0] * ndim
    size = []
    for axis in range(ndim):
        least = 1 + crop[axis] + (max(0, -geometry.pads_end[axis]) if not transposed else 0)
        while geometry.axis_output(axis, least) < 1:
            least += 1
        size.append(least + draw(room))
    x = rng.standard_normal((draw(st.integers(1, 2)), inputs, *size))
    return geometry, kernel_for(geometry, inputs, outputs, rng), x


def test_toeplitz_matrix_times_flattened_input() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=250, deadline=None)
    @given(convs())
    def check(case: tuple[ConvGeometry, Array, Array]) -> None:
        geometry, w, x = case
        matrix = to_matrix(w, geometry, x.shape[2:])
        y = naive.conv(x, w, None, geometry)
        assert matrix.shape == (prod(y.shape[1:]), prod(x.shape[1:]))
        for sample, result in zip(x, y, strict=True):
            assert naive.close(matrix @ sample.reshape(-1), result.reshape(-1))
        assert set(np.unique(matrix)) <= {0.0, *w.reshape(-1)}, "a copy of the weights"
        found[f"{geometry.ndim}-D"] += 1
        found["grouped"] += geometry.group > 1

    check()
    assert min(found[f"{n}-D"] for n in (1, 2, 3)) >= 20, found
    assert found["grouped"] >= 80, found


def test_transposed_conv_has_the_transposed_matrix() -> None:
    @settings(max_examples=120, deadline=None)
    @given(convs(transposed=True))
    def check(case: tuple[TransposeGeometry, Array, Array]) -> None:
        geometry, w, x = case
        matrix = to_matrix(w, geometry, x.shape[2:])
        y = naive.transpose(x, w, None, geometry)
        for sample, result in zip(x, y, strict=True):
            assert naive.close(matrix @ sample.reshape(-1), result.reshape(-1))

    check()


def test_output_padding_beyond_the_stride() -> None:
    geometry = TransposeGeometry((2,), (1,), (3,), (1,), (0,), (2,))
    w, x = np.array([[[1.0, 2.0]]]), np.array([[[1.0, 5.0, 7.0]]])
    matrix = to_matrix(w, geometry, (3,))
    y = naive.transpose(x, w, None, geometry)
    assert naive.close(matrix @ x.reshape(-1), y.reshape(-1))


def test_flattened_kernel_times_columns() -> None:
    @settings(max_examples=200, deadline=None)
    @given(convs())
    def check(case: tuple[ConvGeometry, Array, Array]) -> None:
        geometry, w, x = case
        group = geometry.group
        kernel, columns = to_matrix(w, geometry), to_columns(x, geometry)
        assert kernel.shape == (w.shape[0], prod(w.shape[1:]))
        assert columns.shape[1] == x.shape[1] * prod(geometry.kernel)
        parts = [
            rows @ block
            for rows, block in zip(
                np.split(kernel, group), np.split(columns, group, axis=1), strict=True
            )
        ]
        y = naive.conv(x, w, None, geometry)
        assert naive.close(np.concatenate(parts, axis=1).reshape(y.shape), y)

    check()


def test_both_forms_one_by_one() -> None:
    """Entry for entry, by loops over every index."""
    rng = np.random.default_rng(4)
    w = rng.standard_normal((4, 2, 2, 3))
    geometry = ConvGeometry((2, 3), (2, 1), (1, 2), (1, 0), (0, 2), 2)
    size = (4, 5)
    out = geometry.output_size(size)
    toeplitz = np.zeros((4, *out, 4, *size))
    x = rng.standard_normal((1, 4, *size))
    columns = np.zeros((4, 2, 3, *out))
    for k, c in np.ndindex(4, 2):
        channel = k // 2 * 2 + c
        for t, u in np.ndindex(2, 3):
            for o, q in np.ndindex(*out):
                i, j = 2 * o + t - 1, q + 2 * u
                if 0 <= i < 4 and 0 <= j < 5:
                    toeplitz[k, o, q, channel, i, j] = w[k, c, t, u]
                    columns[channel, t, u, o, q] = x[0, channel, i, j]
    np.testing.assert_array_equal(
        to_matrix(w, geometry, size), toeplitz.reshape(4 * prod(out), 4 * prod(size))
    )
    np.testing.assert_array_equal(to_matrix(w, geometry), w.reshape(4, 12))
    np.testing.assert_array_equal(to_columns(x, geometry)[0], columns.reshape(24, prod(out)))


def test_one_axis_is_constant_along_its_diagonals() -> None:
    w = np.array([[[1.0, 2.0, 3.0]]])
    matrix = to_matrix(w, geometry_of(w), (6,))
    assert matrix.tolist() == [[0] * i + [1, 2, 3] + [0] * (3 - i) for i in range(4)]


def test_the_matrix_of_a_transposed_conv_without_a_size() -> None:
    rng = np.random.default_rng(1)
    w = rng.standard_normal((3, 2, 2, 2))
    geometry = TransposeGeometry((2, 2), (2, 2), (1, 1), (0, 0), (0, 0), (0, 0))
    x = rng.standard_normal((1, 3, 4, 5))
    # Two by two at stride two: nothing overlaps, so what each input adds is all of the output.
    parts = (to_matrix(w, geometry) @ x.reshape(3, 20)).reshape(2, 2, 2, 4, 5)
    y = parts.transpose(0, 3, 1, 4, 2).reshape(1, 2, 8, 10)
    assert naive.close(y, naive.transpose(x, w, None, geometry))


def test_the_result_is_a_copy() -> None:
    w = np.ones((1, 1, 2, 2))
    to_matrix(w, geometry_of(w))[0, 0] = 5.0
    assert (w == 1).all()


def test_full_extent() -> None:
    def of(kernel: int, size: int, pads: int = 0, strides: int = 1, dilations: int = 1) -> bool:
        return covers(geometry_of(np.ones((1, 1, kernel)), strides, pads, dilations), (size,))

    assert of(3, 3)
    assert of(3, 1, pads=1)
    assert of(4, 2, pads=1)
    assert of(3, 1, pads=2, dilations=2)
    assert not of(3, 4)
    assert not of(3, 2, pads=1), "two outputs"
    assert not of(1, 2, strides=2), "one output that reads one sample of two"
    assert not of(2, 3, dilations=2), "one output that leaves a sample out"
    assert not of(2, 1, pads=1, strides=2, dilations=2), "one output that reads padding alone"


def test_bad_arguments() -> None:
    w = np.ones((2, 1, 3, 3))
    with pytest.raises(ValueError, match="no output"):
        to_matrix(w, geometry_of(w), (2, 5))
    with pytest.raises(ValueError, match="no output"):
        to_columns(np.ones((1, 1, 2, 5)), geometry_of(w))
    with pytest.raises(ValueError, match="for a geometry of"):
        to_matrix(np.ones((2, 1, 3)), geometry_of(w))


def test_the_example_in_the_docstring() -> None:
    result = doctest.testmod(module)
    assert result.attempted >= 8
    assert result.failed == 0
