"""An average pool and a 1×1 conv in the cheaper order."""

from __future__ import annotations

from math import prod

from convc.algebra import ConvGeometry
from convc.algebra.pooling import keeps_ones, pooled_size, shares_of_ones
from convc.conv import pool_geometry
from convc.graph import Graph
from convc.ir import Op
from convc.opset import constant_ints
from convc.rewrite import NoMatch, Rewrite, Rule, rule
from passes._chains import fixed, operand, require_small, sizes
from passes.commute_linear.conv import Spatial
from passes.commute_linear.swap import after_conv, assumed, before_conv, spatial_sizes

KINDS = ("AveragePool", "GlobalAveragePool", "ReduceMean")


def rules() -> list[Rule]:
    """One rule for each direction."""
    return [rule(pool_before_conv, *KINDS), rule(pool_after_conv, "Conv")]


def pool_before_conv(graph: Graph, op: Op) -> Rewrite:
    """The pool ``op`` before the 1×1 conv that it follows."""
    return before_conv(graph, op, read_pool)


def pool_after_conv(graph: Graph, op: Op) -> Rewrite:
    """The pool before the 1×1 conv ``op`` behind it."""
    return after_conv(graph, op, KINDS, read_pool)


def read_pool(graph: Graph, op: Op) -> Spatial:
    """An average over windows or whole spatial axes; raises NoMatch where it is something else."""
    data = operand(op)
    size = assumed(spatial_sizes(graph, data))
    if op.kind == "AveragePool":
        return _windows(op, size)
    rank = len(size) + 2
    axes = range(2, rank)
    chosen = set(axes if op.kind == "GlobalAveragePool" else _reduced(op, rank))
    output = tuple(1 if axis in chosen else size[axis - 2] for axis in axes)
    return Spatial(op, data, size, output, work=prod(size))


def _windows(op: Op, size: tuple[int, ...]) -> Spatial:
    data, geometry = operand(op), pool_geometry(op)
    if geometry is None:
        raise NoMatch("the window of the AveragePool depends on a size that is not known")
    ceil_mode = bool(op.attributes.get("ceil_mode", 0))
    include = bool(op.attributes.get("count_include_pad", 0))
    output = pooled_size(geometry, size, ceil_mode=ceil_mode)
    work = prod(output) * prod(geometry.kernel)
    if min(output) < 1:
        raise NoMatch("the AveragePool has no output at its size")
    # A named dim is worth no fixed size: what holds has to hold for every size.
    spatial = sizes(data.shape, geometry.ndim)
    vanishes = any(
        n is None and pooled_size(geometry, (1,) * geometry.ndim, ceil_mode=ceil_mode)[axis] < 1
        for axis, n in enumerate(spatial)
    )
    known = ((n, e) for n, e in zip(spatial, geometry.extent, strict=True) if n is not None)
    if include and any(n < e for n, e in known):
        # By what onnxruntime divides such a window depends on the opset.
        raise NoMatch("the window of the AveragePool is larger than what it pools")
    if keeps_ones(geometry, spatial, ceil_mode=ceil_mode, include_pad=include):
        return Spatial(op, data, size, output, work, may_vanish=vanishes)
    whole = fixed(spatial)
    # Shape inference and onnxruntime's kernel disagree on some windows of ceil_mode and of auto_pad
    # with dilations: a map would fit only one of them.
    certain = fixed(sizes(op.result.shape, geometry.ndim)) == output
    certain &= not ceil_mode or _rounded_up(geometry, size) == output
    if str(op.attributes.get("auto_pad", "")).startswith("SAME") and max(geometry.dilations) > 1:
        certain = False
    if whole is None or not certain:
        unknown = "the AveragePool counts padding, and the size of its result is not known"
        return Spatial(op, data, size, output, work, unknown=unknown, may_vanish=vanishes)
    require_small(prod(output))
    shares = shares_of_ones(geometry, whole, ceil_mode=ceil_mode, include_pad=include)
    return Spatial(op, data, size, output, work, shares)


def _rounded_up(geometry: ConvGeometry, size: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes of ceil_mode as inference has them: with windows that begin in the padding."""
    padded = (
        n + begin + end
        for n, begin, end in zip(size, geometry.pads_begin, geometry.pads_end, strict=True)
    )
    return tuple(
        -(-(n - extent) // stride) + 1
        for n, extent, stride in zip(padded, geometry.extent, geometry.strides, strict=True)
    )


def _reduced(op: Op, rank: int) -> set[int]:
    """The axes of a ReduceMean that keeps them; declines where it takes more than spatial ones."""
    axes = constant_ints(op, 1, "axes")
    if not op.attributes.get("keepdims", 1) or not axes:
        raise NoMatch
    chosen = {axis % rank for axis in axes}
    if min(chosen) < 2:
        raise NoMatch
    return chosen
