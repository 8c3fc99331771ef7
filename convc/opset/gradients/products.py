"""Gradients of the kinds that multiply weights and activations.

With dY the gradient of the result, each product of the forward pass is used once more in either
gradient: dX is W's transpose applied to dY, dW the correlation of x with dY, so both have the MACs
of the forward pass (Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning",
chapter 4; Goodfellow, Bengio & Courville 2016, "Deep Learning", section 9.5). With groups that is
C/g channels for each filter, in dW, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from types import MappingProxyType

from convc.graph import Graph
from convc.ir import Op
from convc.opset.gradients.parts import (
    CountedRule,
    Gradient,
    NotKnownError,
    count,
    gradient,
    sizes,
    summed,
)
from convc.opset.work.counts import Work
from convc.opset.work.sweep import Sweep
from convc.opset.work.windows import conv_sweeps, transpose_sweeps


def products(dense: tuple[int, int], real: tuple[int, int]) -> Work:
    """Products summed up: (products, sums with a product among them) with and without padding."""
    additions, real_additions = summed(*dense), summed(*real)
    return Work(
        multiplications=dense[0],
        additions=additions,
        padded_multiplications=dense[0] - real[0],
        padded_additions=additions - real_additions,
    )


@dataclass(frozen=True, slots=True)
class Axis:
    """What is counted on one axis of a convolution; on all axes the counts multiply.

    Attributes:
        hits: pairs of a window and a tap that lies inside.
        windows: windows with a tap inside.
        positions: positions inside with a tap on them.
        padded_positions: positions with a tap on them, those in the padding, too.
        taps: taps that lie inside in at least one window.
    """

    hits: int
    windows: int
    positions: int
    padded_positions: int
    taps: int


# Networks repeat a few geometries over and over.
@lru_cache(maxsize=1024)
def axis(sweep: Sweep) -> Axis:
    """Counts one axis."""
    begins = (sweep.begin - sweep.dilation * tap for tap in range(sweep.taps))
    single = (Sweep(sweep.windows, 1, sweep.stride, 1, begin, sweep.size) for begin in begins)
    return Axis(
        sweep.hits,
        sweep.hit_windows,
        sweep.hit_positions,
        sweep.uncropped.hit_positions,
        sum(tap.hits > 0 for tap in single),
    )


def conv(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Conv: N·K·out·(C/g)·k MACs for dX and for dW each, N·K·out − K additions for the bias.

    dX is a transposed convolution: its products with padding are those that fall outside the
    input. A sum of t products takes t − 1 additions; positions without a product take none.
    """
    data, kernel = sizes(graph, op.operand(0)), sizes(graph, op.operand(1))
    result = sizes(graph, op.result)
    sweeps = conv_sweeps(graph, op)
    if sweeps is None:
        raise NotKnownError
    macs = prod(result) * prod(kernel[1:])
    axes = [axis(sweep) for sweep in sweeps]
    inside = result[0] * prod(kernel[:2]) * prod(a.hits for a in axes)
    works: dict[int, Work] = {}
    if 0 in wanted:
        maps = prod(data[:2]) if kernel[0] else 0
        touched = maps * prod(a.positions for a in axes)
        padded = maps * prod(a.padded_positions for a in axes)
        works[0] = products((macs, padded), (inside, touched))
    if 1 in wanted:
        works[1] = _weight_work(kernel, macs, inside, axes)
    if 2 in wanted:
        works[2] = Work(additions=summed(prod(result), result[1]))
    return _kept(op, wanted, works, macs)


def conv_transpose(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """ConvTranspose: N·C·in·(K/g)·k MACs for dX (a convolution of dY) and for dW each.

    Products with padding are those with a dY that the forward pass cropped away.
    """
    data, kernel = sizes(graph, op.operand(0)), sizes(graph, op.operand(1))
    result = sizes(graph, op.result)
    sweeps = transpose_sweeps(graph, op)
    if sweeps is None:
        raise NotKnownError
    macs = prod(data) * prod(kernel[1:])
    axes = [axis(sweep) for sweep in sweeps]
    inside = data[0] * prod(kernel[:2]) * prod(a.hits for a in axes)
    works: dict[int, Work] = {}
    if 0 in wanted:
        maps = prod(data[:2]) if kernel[1] else 0
        touched = maps * prod(a.windows for a in axes)
        works[0] = products((macs, maps * prod(data[2:])), (inside, touched))
    if 1 in wanted:
        works[1] = _weight_work(kernel, macs, inside, axes)
    if 2 in wanted:
        works[2] = Work(additions=summed(prod(result), result[1]))
    return _kept(op, wanted, works, macs)


def _weight_work(kernel: Sequence[int], macs: int, inside: int, axes: Sequence[Axis]) -> Work:
    used = prod(kernel[:2]) * prod(a.taps for a in axes)
    return products((macs, prod(kernel)), (inside, used))


def _kept(op: Op, wanted: frozenset[int], works: dict[int, Work], macs: int) -> Gradient:
    """A product in which each of the first two operands needs the other one for its gradient."""
    return gradient(
        op,
        works,
        macs={place: macs for place in (0, 1) if place in wanted},
        keeps=[op.operand(1 - place) for place in (0, 1) if place in wanted],
    )


def gemm(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Gemm: the n·m·k MACs of the forward pass for either factor; C's gradient sums over rows.

    alpha and beta, where they are not 1, take one more multiplication per element of a gradient.
    """
    left, result = sizes(graph, op.operand(0)), sizes(graph, op.result)
    macs = prod(result) * left[0 if op.attributes.get("transA") else 1]
    works = _factors(graph, op, wanted, macs, scaled=op.attributes.get("alpha", 1) != 1)
    if 2 in wanted:
        bias = count(graph, op.operand(2))
        scaled = op.attributes.get("beta", 1) != 1
        works[2] = Work(multiplications=bias if scaled else 0, additions=summed(prod(result), bias))
    return _kept(op, wanted, works, macs)


def matmul(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """MatMul of any rank: the forward MACs for either factor, broadcast batches summed up."""
    left, result = sizes(graph, op.operand(0)), sizes(graph, op.result)
    if not left:
        raise NotKnownError
    macs = prod(result) * left[-1]
    return _kept(op, wanted, _factors(graph, op, wanted, macs, scaled=False), macs)


def _factors(
    graph: Graph, op: Op, wanted: frozenset[int], macs: int, *, scaled: bool
) -> dict[int, Work]:
    works: dict[int, Work] = {}
    for place in sorted(wanted & {0, 1}):
        elements = count(graph, op.operand(place))
        works[place] = Work(
            multiplications=macs + (elements if scaled else 0), additions=summed(macs, elements)
        )
    return works


PRODUCTS: Mapping[str, CountedRule] = MappingProxyType(
    {"Conv": conv, "ConvTranspose": conv_transpose, "Gemm": gemm, "MatMul": matmul}
)
