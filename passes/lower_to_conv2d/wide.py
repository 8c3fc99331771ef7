"""A conv of few filters as one of more filters that computes several neighbouring outputs at once.

The runtime computes its blocks of channels in full, however few filters there are; see
`convc.algebra.wide` for the conv that fills them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from convc.algebra import ConvGeometry
from convc.algebra.wide import widen_geometry, widen_kernel
from convc.conv import conv_geometry
from convc.costs.estimate import BLOCK, filled
from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import constant, fixed, operand, require_small, sizes
from passes._interleave import interleaved
from passes.lower_to_conv2d.depthwise import UNARY
from passes.lower_to_conv2d.resized import times

UNKNOWN = "the size is not known"
INT64 = np.dtype(np.int64)

Direction = Literal["both", "rows", "columns"]


@dataclass(frozen=True)
class Narrow:
    """A Conv over two axes with few filters: ``kernel`` (K, C, k_h, k_w), ``bias`` (K,) or None."""

    op: Op
    data: Value
    kernel: Array
    bias: Array | None
    geometry: ConvGeometry
    outputs: tuple[int | None, ...]

    def work(self, phases: Sequence[int]) -> float:
        """Products for each output and input channel, over the part of the peak they run at."""
        filters = int(self.kernel.shape[0]) * prod(phases)
        taps = prod(widen_geometry(self.geometry, phases).kernel)
        pairs = zip(self.outputs, phases, strict=True)
        blocks = [1 / p if n is None else -(-n // p) / n for n, p in pairs]
        return filters * taps * prod(blocks) / filled(filters)

    def surplus(self, phases: Sequence[int]) -> list[int]:
        """How many outputs the last block of each axis has too many, at most."""
        pairs = zip(self.outputs, phases, strict=True)
        return [p - 1 if n is None else -n % p for n, p in pairs]


def widen(graph: Graph, op: Op, direction: Direction) -> Rewrite:
    """The Conv with as many neighbouring outputs as channels as fill the runtime's block best."""
    layer = _read(op)
    phases = _chosen(layer, direction)
    surplus = layer.surplus(phases)
    _require_cuttable(graph, layer, surplus)
    wide = widen_geometry(layer.geometry, phases, surplus)
    require_small(prod(phases) * prod(layer.kernel.shape[:2]) * prod(wide.kernel))
    build = Replacement(graph)
    data = build.take(layer.data)
    kernel = widen_kernel(layer.kernel, layer.geometry, phases)
    weight = build.weight(kernel.reshape(-1, *kernel.shape[2:]), operand(op, 1))
    bias = None
    if layer.bias is not None:
        bias = build.weight(np.tile(np.float64(layer.bias), prod(phases)), operand(op, 2))
    value = build.conv(data, weight, bias, wide, op.name)
    # Behind the interleaving the runtime would not compute an activation along with the conv.
    followers = _followers(graph, op.result)
    for follower in followers:
        operands = [value, *(None if v is None else build.take(v) for v in follower.inputs[1:])]
        value = build.op(
            follower.kind, operands, follower.attributes, type_=value.type, name=follower.name
        )
    value = interleaved(build, value, phases)
    value = _cut(build, value, data, layer, surplus)
    old = followers[-1].result if followers else op.result
    value.type = old.type or value.type
    label = f"Conv {times(layer.geometry.kernel)} to {layer.kernel.shape[0]}"
    return build.rewrite({old: value}, note=f"{label} → {times(phases)} outputs at once")


def _read(op: Op) -> Narrow:
    data, weight = operand(op), operand(op, 1)
    if weight.shape is None or len(weight.shape) != 4:
        raise NoMatch
    filters = weight.shape[0]
    if not isinstance(filters, int) or not _is_narrow(filters):
        raise NoMatch
    kernel = constant(weight)
    bias = None if op.operand(2) is None else constant(op.operand(2), "the biases")
    geometry = conv_geometry(op)
    if geometry is None:
        raise NoMatch("the geometry depends on an unknown size")
    if geometry.group > 1:
        raise NoMatch("the narrow conv is grouped")
    if min(geometry.pads) < 0:
        raise NoMatch("the conv crops its input")
    outputs = tuple(
        None if size is None else geometry.axis_output(axis, size)
        for axis, size in enumerate(sizes(data.shape, 2))
    )
    if any(size is not None and size < 1 for size in outputs):
        raise NoMatch("the conv has no output at its size")
    return Narrow(op, data, kernel, bias, geometry, outputs)


def _is_narrow(filters: int) -> bool:
    """Whether three times as many filters fit into two blocks, or twice as many into three."""
    return 0 < 3 * filters <= 2 * BLOCK or 2 * BLOCK < 2 * filters <= 3 * BLOCK


def _chosen(layer: Narrow, direction: Direction) -> tuple[int, int]:
    """How many rows and columns are computed at once; declines where nothing is gained."""
    if max(layer.kernel.shape[2:]) == 1:
        raise NoMatch  # neighbouring outputs read nothing in common
    pairs = _candidates(layer.kernel.shape[0], direction)
    if layer.outputs == (None, None):
        # Only a DepthToSpace puts them back into two axes of unknown size, and only squares.
        pairs = [pair for pair in pairs if pair[0] == pair[1]]
        if not pairs:
            raise NoMatch(UNKNOWN)
    if not pairs:
        raise NoMatch
    best = min(pairs, key=layer.work)
    if layer.work(best) >= layer.work((1, 1)):
        raise NoMatch("the larger kernel takes more than the filled blocks save")
    return best


def _candidates(filters: int, direction: Direction) -> list[tuple[int, int]]:
    """Rows and columns whose filters fill one block or two, or three instead of twice two."""
    # What is narrow again would only be widened once more.
    most = 2 if filters > BLOCK else 2 * BLOCK // filters
    counts = [n for n in range(2, most + 1) if not _is_narrow(n * filters)]
    if direction == "rows":
        return [(n, 1) for n in counts]
    if direction == "columns":
        return [(1, n) for n in counts]
    pairs = [(p, n // p) for n in counts for p in range(2, n) if n % p == 0]
    # Squares are put back by one DepthToSpace, which is faster than a Transpose of two axes.
    return [pair for pair in pairs if pair[0] == pair[1]] or pairs


def _require_cuttable(graph: Graph, layer: Narrow, surplus: Sequence[int]) -> None:
    """Declines where the number of outputs is not known and cannot be read off the input."""
    if not any(m and n is None for m, n in zip(surplus, layer.outputs, strict=True)):
        return
    if max(layer.geometry.strides) > 1:
        raise NoMatch(UNKNOWN)
    if graph.header.opset < 10:
        raise NoMatch(f"{UNKNOWN}, and before opset 10 the ends of a Slice are fixed")


def _cut(
    build: Replacement, value: Value, data: Value, layer: Narrow, surplus: Sequence[int]
) -> Value:
    """The interleaved outputs without what the last blocks have too many."""
    cut = [axis for axis in range(2) if surplus[axis]]
    if not cut:
        return value
    axes, begins = [axis + 2 for axis in cut], [0] * len(cut)
    known = fixed([layer.outputs[axis] for axis in cut])
    if known is not None:
        return build.slice(value, axes, begins, known)
    # With stride 1 the outputs are as many as the inputs, less what the kernel takes at the ends.
    geometry = layer.geometry
    size = build.op("Shape", (data,), type_=TensorType(INT64, (4,)))
    size = build.slice(size, [0], [axes[0]], [axes[-1] + 1])
    more = [sum(geometry.pads[axis::2]) + 1 - geometry.extent[axis] for axis in cut]
    if any(more):
        size = build.add(size, build.ints(more))
    return build.op("Slice", (value, build.ints(begins), size, build.ints(axes)))


def _followers(graph: Graph, value: Value) -> list[Op]:
    """The elementwise ops behind ``value``, each the only user of the one before."""
    chain: list[Op] = []
    while True:
        uses = graph.uses(value)
        if len(uses) != 1 or not _is_elementwise(*uses[0]):
            return chain
        chain.append(uses[0][0])
        value = chain[-1].result


def _is_elementwise(op: Op, index: int) -> bool:
    if op.domain or op.captures or index or op.kind not in UNARY or len(op.results) != 1:
        return False
    rest = [value.array for value in op.inputs[1:] if value is not None]
    return all(array is not None and array.size <= 1 for array in rest)
