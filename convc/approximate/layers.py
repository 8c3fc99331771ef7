"""Layers as a fit sees them: what they read at a position, what they give, and new weights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from convc.algebra.arrays import Sizes
from convc.algebra.geometry import Geometry, TransposeGeometry
from convc.algebra.taps import swap_layout
from convc.conv import conv_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value, is_real
from convc.rewrite import Exactness, NoMatch, Replacement, Rewrite

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Kinds that are fitted."""


@dataclass(frozen=True)
class Layer:
    """A Conv, ConvTranspose, Gemm or MatMul with constant weights.

    A ConvTranspose is a conv that reads its data with zeros between, each window from its end.

    Attributes:
        op: the op. The name of its result is what it is known by from graph to graph.
        data: the operand that varies.
        kernel: (K, C/g, *taps) in float64; (K, C) of a Gemm or MatMul.
        bias: (K,) in float64, None where there is none.
        geometry: None of a Gemm or MatMul.
    """

    op: Op
    data: Value
    kernel: Array
    bias: Array | None
    geometry: Geometry | None

    @property
    def group(self) -> int:
        """Number of groups."""
        return 1 if self.geometry is None else self.geometry.group

    @property
    def width(self) -> int:
        """Numbers in a patch of one group."""
        return prod(self.kernel.shape[1:])

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return int(self.kernel.shape[0])


def is_layer(op: Op) -> bool:
    """Whether `read_layer` may take the op."""
    return not op.domain and op.kind in LAYERS and len(op.inputs) > 1


def read_layer(op: Op) -> Layer:
    """Reads a layer; raises NoMatch where it is none that can be fitted."""
    if not is_layer(op):
        raise NoMatch
    data, weight, bias = op.operand(0), op.operand(1), op.operand(2)
    array = None if weight is None else weight.array
    if data is None or data.array is not None or array is None or not is_real(array.dtype):
        raise NoMatch("the weights are not constant")
    if bias is not None and bias.array is None:
        raise NoMatch("the biases are not constant")
    kernel = np.asarray(array, np.float64)
    offset = None if bias is None else np.asarray(bias.array, np.float64)
    if op.kind in ("Conv", "ConvTranspose"):
        geometry = conv_geometry(op) if op.kind == "Conv" else transpose_geometry(op)
        if geometry is None:
            raise NoMatch("the geometry depends on an unknown size")
        if isinstance(geometry, TransposeGeometry):
            kernel = swap_layout(kernel, geometry.group)
        return Layer(op, data, kernel, offset, geometry)
    if kernel.ndim != 2 or op.attributes.get("transA", 0):
        raise NoMatch(f"the {op.kind} is no layer")
    if op.kind == "MatMul" or not op.attributes.get("transB", 0):
        kernel = kernel.T
    alpha, beta = (float(op.attributes.get(name, 1.0)) for name in ("alpha", "beta"))  # type: ignore[arg-type]
    if offset is not None:
        offset = np.broadcast_to(beta * offset.reshape(-1), (kernel.shape[0],))
    return Layer(op, data, alpha * kernel, offset, None)


def with_weights(graph: Graph, layer: Layer, kernel: Array, bias: Array) -> Rewrite:
    """The layer with another kernel, of the same shape, and another bias.

    A MatMul has nowhere to put a bias: it is left out there.
    """
    op = layer.op
    build = Replacement(graph)
    data = build.take(layer.data)
    like = op.operand(1)
    assert like is not None
    if op.kind == "MatMul":
        operand = build.weight(kernel.T, like)
        new = build.op("MatMul", (data, operand), type_=op.result.type, name=op.name)
        return build.rewrite({op.result: new}, Exactness.APPROXIMATE, note="fitted")
    offset = build.weight(bias, op.operand(2) or like)
    if isinstance(layer.geometry, TransposeGeometry):
        weight = build.weight(swap_layout(kernel, layer.group), like)
        new = build.conv_transpose(data, weight, offset, layer.geometry, op.name)
    elif layer.geometry is not None:
        new = build.conv(data, build.weight(kernel, like), offset, layer.geometry, op.name)
    else:
        operands = data, build.weight(kernel, like), offset
        new = build.op("Gemm", operands, {"transB": 1}, type_=op.result.type, name=op.name)
    return build.rewrite({op.result: new}, Exactness.APPROXIMATE, note="fitted")


def slope_behind(graph: Graph, op: Op) -> float | Array | None:
    """The slope below 0 of the rectifier that alone reads a layer: 0 of a Relu, (K,) of a PRelu."""
    uses = graph.uses(op.result)
    if len(uses) != 1 or uses[0][0].domain:
        return None
    user = uses[0][0]
    if user.kind == "Relu":
        return 0.0
    if user.kind == "LeakyRelu":
        alpha = user.attributes.get("alpha", 0.01)
        return float(alpha) if isinstance(alpha, int | float) else None
    slope = user.operand(1)
    if user.kind != "PRelu" or slope is None or slope.array is None:
        return None
    slopes = np.asarray(slope.array, np.float64).reshape(-1)
    weight = op.operand(1)
    channels = weight.shape[0] if op.kind == "Conv" and weight is not None and weight.shape else 0
    return slopes if slopes.size in (1, channels) else None


def places(layer: Layer, shape: tuple[int, ...]) -> int:
    """How many positions a response of that shape has: rows of a product, pixels of a conv."""
    return prod(shape) // max(layer.outputs, 1)


def responses(layer: Layer, array: Array, where: Array) -> Array:
    """(n, K): a response at the positions ``where``, numbered over the batch and all axes.

    Args:
        layer: whose response it is.
        array: (N, K, *size), or (..., K) of a Gemm or MatMul.
        where: (n,), positions as `places` counts them.
    """
    if layer.geometry is None:
        return array.reshape(-1, array.shape[-1])[where]
    flat = array.reshape(*array.shape[:2], -1)
    size = flat.shape[2]
    return flat[where // size, :, where % size]


def patches(layer: Layer, array: Array, shape: tuple[int, ...], where: Array) -> Array:
    """(g, n, D): what the layer reads at positions of its response.

    Args:
        layer: that reads.
        array: its data.
        shape: of its response.
        where: (n,), positions as `places` counts them.
    """
    if layer.geometry is None:
        return array.reshape(-1, array.shape[-1])[where][np.newaxis]
    geometry = layer.geometry
    taps = np.array(list(product(*map(range, geometry.kernel)))) * geometry.dilations
    if isinstance(geometry, TransposeGeometry):
        padded, strides = _spread(array, geometry), (1,) * geometry.ndim
        taps = taps[::-1]
    else:
        padded, strides = _padded(array, geometry.pads_begin, geometry.pads_end), geometry.strides
    sizes, out = padded.shape[2:], shape[2:]
    number = prod(out)
    # Positions of the taps in the padded data, (n, taps).
    corner = np.stack(np.unravel_index(where % number, out), axis=1) * strides
    steps = np.array([prod(sizes[axis + 1 :]) for axis in range(len(sizes))])
    flat = (corner @ steps)[:, np.newaxis] + taps @ steps
    data = padded.reshape(*padded.shape[:2], -1)
    read = data[(where // number)[:, np.newaxis], :, flat]  # (n, taps, C)
    grouped = read.reshape(len(where), len(taps), geometry.group, -1)
    return grouped.transpose(2, 0, 3, 1).reshape(geometry.group, len(where), -1)


def _padded(array: Array, begin: Sizes, end: Sizes) -> Array:
    if min((*begin, *end)) < 0:
        raise NoMatch("the conv crops its data")
    return np.pad(array, [(0, 0), (0, 0), *zip(begin, end, strict=True)])


def _spread(array: Array, geometry: TransposeGeometry) -> Array:
    """The data of a ConvTranspose as its windows read it: zeros between, and around."""
    sizes = [s * (size - 1) + 1 for s, size in zip(geometry.strides, array.shape[2:], strict=True)]
    spread = np.zeros((*array.shape[:2], *sizes), array.dtype)
    spread[:, :, *(slice(None, None, stride) for stride in geometry.strides)] = array
    # The first output reads the whole window that ends at the first input, less what is cropped.
    begin = [e - 1 - p for e, p in zip(geometry.extent, geometry.pads_begin, strict=True)]
    end = [e - 1 - p for e, p in zip(geometry.extent, geometry.crop_end, strict=True)]
    if min(begin) < 0:
        raise NoMatch("the transposed conv crops more than a window")
    kept = [slice(None, min(p, 0) or None) for p in end]
    return _padded(spread[:, :, *kept], tuple(begin), tuple(max(p, 0) for p in end))
