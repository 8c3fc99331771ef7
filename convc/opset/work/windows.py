"""Work of the kinds that slide a window: convolutions, transposed convolutions, pools, resizing.

Formulas are those of the ONNX operator specification, each output (or, of a transposed
convolution, each product) counted once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType

from convc.algebra.geometry import ConvGeometry, Geometry
from convc.conv import conv_geometry, group_of, pool_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Op
from convc.opset.work.counts import Work, WorkRule, at_sizes, shape_of
from convc.opset.work.sweep import Sweep

INTERPOLATION_TAPS: Mapping[str, int] = MappingProxyType({"nearest": 1, "linear": 2, "cubic": 4})
"""Samples per axis that one output of a Resize is made of."""


def conv_sweeps(graph: Graph, op: Op) -> tuple[Sweep, ...] | None:
    """The windows of a Conv over its input, per spatial axis; None where a size is missing."""
    return _sweeps(graph, op, conv_geometry(at_sizes(graph, op)))


def pool_sweeps(graph: Graph, op: Op) -> tuple[Sweep, ...] | None:
    """The windows of a pool, per spatial axis; None where a size is missing.

    There are as many as the result has positions, whatever ``ceil_mode`` makes of that.
    """
    return _sweeps(graph, op, pool_geometry(at_sizes(graph, op)))


def transpose_sweeps(graph: Graph, op: Op) -> tuple[Sweep, ...] | None:
    """Where the inputs of a ConvTranspose write, per spatial axis; inside is what is not cropped.

    None where a size is missing.
    """
    shape, result = shape_of(graph, op), graph.concrete_shape(op.result)
    geometry = transpose_geometry(at_sizes(graph, op))
    if shape is None or result is None or geometry is None:
        return None
    if len(result) != len(shape):
        return None  # shape inference takes a spatial output_shape for a whole one
    return _axes(shape[2:], geometry, result[2:])


def _sweeps(graph: Graph, op: Op, geometry: ConvGeometry | None) -> tuple[Sweep, ...] | None:
    shape, result = shape_of(graph, op), graph.concrete_shape(op.result)
    if shape is None or result is None or geometry is None or len(result) != len(shape):
        return None
    return _axes(result[2:], geometry, shape[2:])


def _axes(windows: Sequence[int], geometry: Geometry, size: Sequence[int]) -> tuple[Sweep, ...]:
    axes = zip(
        windows,
        geometry.kernel,
        geometry.strides,
        geometry.dilations,
        geometry.pads_begin,
        size,
        strict=True,
    )
    return tuple(Sweep(*axis) for axis in axes)


def _sums(dense: tuple[int, int], real: tuple[int, int], *, bias: bool) -> Work:
    """Sums of products, each (products in all, sums with at least one product).

    A sum of m products takes m − 1 additions, and one more where it is added to a bias; a sum of
    none takes none.
    """
    (products, sums), (real_products, real_sums) = dense, real
    additions = products if bias else products - sums
    real_additions = real_products if bias else real_products - real_sums
    return Work(
        multiplications=products,
        additions=additions,
        padded_multiplications=products - real_products,
        padded_additions=additions - real_additions,
    )


def _conv(graph: Graph, op: Op) -> Work | None:
    """Per output ``C/g · Πk`` products and their sum; padded ones read beyond the input."""
    kernel, result = shape_of(graph, op, 1), graph.concrete_shape(op.result)
    sweeps = conv_sweeps(graph, op)
    if kernel is None or result is None or sweeps is None or not _fits(graph, op, kernel):
        return None
    terms, outer = kernel[1], result[0] * result[1]
    dense = prod(result) * prod(kernel[1:]), prod(result) * bool(terms)
    real = (
        outer * terms * prod(sweep.hits for sweep in sweeps),
        outer * prod(sweep.hit_windows for sweep in sweeps) * bool(terms),
    )
    return _sums(dense, real, bias=op.operand(2) is not None)


def _fits(graph: Graph, op: Op, kernel: tuple[int, ...]) -> bool:
    """False for a Conv whose kernel takes other channels than come in: no runtime runs it."""
    shape = shape_of(graph, op)
    return shape is not None and len(shape) > 1 and shape[1] == kernel[1] * group_of(op)


def _conv_transpose(graph: Graph, op: Op) -> Work | None:
    """Each input times each tap of its ``K/g`` filters, added where it falls.

    Dense is all of that on the uncropped output, padded is what is cropped away: products that
    fall outside, and the sums (and biases) of positions outside. A position that no product
    reaches, in a gap of the stride, takes no additions: its value is 0 or the bias.
    """
    shape, kernel = shape_of(graph, op), shape_of(graph, op, 1)
    result, sweeps = graph.concrete_shape(op.result), transpose_sweeps(graph, op)
    if shape is None or kernel is None or result is None or sweeps is None:
        return None
    outer = result[0] * result[1]
    channels = bool(shape[1])
    whole = [sweep.uncropped for sweep in sweeps]
    terms = shape[0] * shape[1] * kernel[1]
    dense = prod(shape) * prod(kernel[1:]), outer * prod(s.hit_positions for s in whole) * channels
    real = (
        terms * prod(sweep.hits for sweep in sweeps),
        outer * prod(sweep.hit_positions for sweep in sweeps) * channels,
    )
    return _sums(dense, real, bias=op.operand(2) is not None)


def _pooled(graph: Graph, op: Op) -> tuple[int, int, int] | None:
    """Samples inside the windows of a pool, windows with at least one, windows."""
    result, sweeps = graph.concrete_shape(op.result), pool_sweeps(graph, op)
    if result is None or sweeps is None:
        return None
    outer = result[0] * result[1]
    samples = outer * prod(sweep.hits for sweep in sweeps)
    return samples, outer * prod(sweep.hit_windows for sweep in sweeps), prod(result)


def _all_pooled(graph: Graph, op: Op) -> tuple[int, int, int] | None:
    """As `_pooled`, of a global pool."""
    shape = shape_of(graph, op)
    if shape is None:
        return None
    outer = prod(shape[:2])
    return prod(shape), outer * bool(prod(shape[2:])), outer


def _max(counts: tuple[int, int, int] | None) -> Work | None:
    return None if counts is None else Work(comparisons=counts[0] - counts[1])


def _average(counts: tuple[int, int, int] | None) -> Work | None:
    """Padding is left out of the sums; ``count_include_pad`` only changes the divisor."""
    if counts is None:
        return None
    return Work(additions=counts[0] - counts[1], divisions=counts[2])


def _norm(counts: tuple[int, int, int] | None, op: Op) -> Work | None:
    """``(Σ|x|^p)^(1/p)``: |x| is a comparison, x² a product, other powers and roots functions."""
    if counts is None:
        return None
    samples, hit, windows = counts
    sums, order = Work(additions=samples - hit), op.attributes.get("p", 2)
    if order == 1:
        return sums + Work(comparisons=samples)
    if order == 2:
        return sums + Work(multiplications=samples, functions=windows)
    return sums + Work(comparisons=samples, functions=samples + windows)


def interpolation_taps(op: Op) -> int | None:
    """Samples per resized axis that an output of a Resize or Upsample is made of.

    None where that depends on more than the mode: with ``antialias`` and with a crop.
    """
    if op.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return None
    mode = op.attributes.get("mode", "nearest")
    taps = INTERPOLATION_TAPS.get(mode) if isinstance(mode, str) else None
    return None if taps != 1 and op.attributes.get("antialias") else taps


def resized_axes(shape: Sequence[int], result: Sequence[int]) -> list[int]:
    """The axes whose size changes; the others are copied."""
    return [axis for axis, (n, m) in enumerate(zip(shape, result, strict=True)) if n != m]


def _resize(graph: Graph, op: Op) -> Work | None:
    """Per output one weighted sum over all of its taps: of a bilinear 2-D one 4 products, 3 sums.

    The weights themselves are made once per axis and not counted.
    """
    shape, result = shape_of(graph, op), graph.concrete_shape(op.result)
    taps = interpolation_taps(op)
    if shape is None or result is None or taps is None:
        return None
    terms = taps ** len(resized_axes(shape, result))
    if terms == 1:
        return Work()
    return Work(multiplications=terms, additions=terms - 1).times(prod(result))


WINDOWS: Mapping[str, WorkRule] = MappingProxyType(
    {
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "AveragePool": lambda graph, op: _average(_pooled(graph, op)),
        "MaxPool": lambda graph, op: _max(_pooled(graph, op)),
        "LpPool": lambda graph, op: _norm(_pooled(graph, op), op),
        "GlobalAveragePool": lambda graph, op: _average(_all_pooled(graph, op)),
        "GlobalMaxPool": lambda graph, op: _max(_all_pooled(graph, op)),
        "GlobalLpPool": lambda graph, op: _norm(_all_pooled(graph, op), op),
        "Resize": _resize,
        "Upsample": _resize,
    }
)
