"""Convs as products: each form is a rule."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from convc.algebra import ConvGeometry, to_matrix
from convc.algebra.gemm import covers
from convc.algebra.geometry import Geometry
from convc.conv import conv_geometry, ints, transpose_geometry
from convc.graph import Graph
from convc.ir import Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import fixed, operand, sizes
from passes._conv_layers import Layer, read_layer, require_output
from passes.lower_to_gemm.columns import Windows, columns, tiles
from passes.lower_to_gemm.product import Matrix, dense, multiplied


def lower_full(graph: Graph, op: Op) -> Rewrite:
    """A conv whose one output reads all of its input as Flatten and Gemm."""
    if not _has_one_output(op):
        raise NoMatch
    layer, windows = _read(op)
    geometry, size = windows.geometry, fixed(windows.size)
    if size is None or not covers(geometry, size):
        raise NoMatch
    build = Replacement(graph)
    data, matrix = build.take(layer.data), _connected(layer, geometry, size)
    if geometry.group > 1 or build.opset < 7:
        result = multiplied(build, matrix, data, windows.out)
        return finished(build, op, result, f"{label(layer)} of full extent → MatMul")
    result = dense(build, matrix, data, geometry.ndim)
    return finished(build, op, result, f"{label(layer)} of full extent → Gemm")


def lower_pointwise(graph: Graph, op: Op) -> Rewrite:
    """A conv of one tap as a MatMul with its input."""
    if _taps(op) != 1:
        raise NoMatch
    return _by_windows(graph, op, "MatMul")


def lower_patches(graph: Graph, op: Op) -> Rewrite:
    """A conv whose stride is its kernel as a MatMul with the tiles of its input."""
    if not _is_patchify(op):
        raise NoMatch
    layer, windows = _read(op)
    size = fixed(windows.size)
    if size is None:
        raise NoMatch("the size is not known")
    build = Replacement(graph)
    value = tiles(build, build.take(layer.data), windows.geometry, size)
    return _product(build, layer, windows, value, "tiles and MatMul")


def lower_columns(graph: Graph, op: Op) -> Rewrite:
    """Any conv of more than one tap as a MatMul with the columns of im2col."""
    if _taps(op) == 1:
        raise NoMatch
    return _by_windows(graph, op, "columns and MatMul")


def finished(build: Replacement, op: Op, result: Value, note: str) -> Rewrite:
    """The proposal that ``result`` is what ``op`` makes."""
    result.type = op.result.type or result.type
    result.op.name = op.name
    return build.rewrite({op.result: result}, note=note)


def label(layer: Layer) -> str:
    """The conv for people: Conv 3×3."""
    return f"{layer.op.kind} {layer.label}"


def _read(op: Op) -> tuple[Layer, Windows]:
    """A conv, or transposed conv of stride 1; declines any other."""
    if op.kind == "ConvTranspose" and max(ints(op, "strides", (1,))) > 1:
        raise NoMatch
    layer = read_layer(op)
    geometry = layer.geometry
    assert isinstance(geometry, ConvGeometry)
    size = sizes(layer.data.shape, geometry.ndim)
    require_output(geometry, None, size)
    return layer, Windows(geometry, size)


def _by_windows(graph: Graph, op: Op, form: str) -> Rewrite:
    layer, windows = _read(op)
    build = Replacement(graph)
    value = columns(build, build.take(layer.data), windows)
    return _product(build, layer, windows, value, form)


def _product(
    build: Replacement, layer: Layer, windows: Windows, value: Value, form: str
) -> Rewrite:
    geometry = windows.geometry
    matrix = Matrix(to_matrix(layer.kernel, geometry), layer.bias, geometry.group, layer)
    result = multiplied(build, matrix, value, windows.out)
    return finished(build, layer.op, result, f"{label(layer)} → {form}")


def _connected(layer: Layer, geometry: ConvGeometry, size: tuple[int, ...]) -> Matrix:
    """The Toeplitz matrix of one output position, group by group."""
    single = replace(geometry, group=1)
    blocks = np.split(layer.kernel, geometry.group)
    weights = np.concatenate([to_matrix(block, single, size) for block in blocks])
    return Matrix(weights, layer.bias, geometry.group, layer)


# What decides whether a form fits is looked at before the weights, which may be many.


def _taps(op: Op) -> int:
    """Taps of the kernel, 0 where its size is not known."""
    shape = operand(op, 1).shape
    return 0 if shape is None else prod(d if isinstance(d, int) else 0 for d in shape[2:])


def _geometry(op: Op) -> Geometry | None:
    return conv_geometry(op) if op.kind == "Conv" else transpose_geometry(op)


def _has_one_output(op: Op) -> bool:
    geometry = _geometry(op)
    size = None if geometry is None else fixed(sizes(operand(op).shape, geometry.ndim))
    if geometry is None or size is None:
        return False
    return all(geometry.axis_output(axis, entry) == 1 for axis, entry in enumerate(size))


def _is_patchify(op: Op) -> bool:
    geometry = _geometry(op)
    if geometry is None or geometry.strides != geometry.kernel or max(geometry.kernel) == 1:
        return False
    return all(d == 1 or k == 1 for k, d in zip(geometry.kernel, geometry.dilations, strict=True))
