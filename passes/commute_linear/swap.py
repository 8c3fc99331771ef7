"""What the rules of pools and of Resizes share: how each is read and put on either side of a conv.

The two differ only in how such an op is read as a `Spatial`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from convc.graph import Graph
from convc.ir import Op, Value
from convc.rewrite import NoMatch, Rewrite
from passes._chains import operand
from passes.commute_linear.conv import (
    LARGE,
    Spatial,
    read_pointwise,
    sizes_at,
    swap_conv_first,
    swap_conv_last,
    walk_back,
)

Reader = Callable[[Graph, Op], Spatial]
"""Reads an op as a `Spatial`; raises NoMatch where it is none."""


def before_conv(graph: Graph, op: Op, read: Reader) -> Rewrite:
    """The spatial ``op`` before the 1×1 conv that it follows."""
    links, path = walk_back(graph, operand(op))
    read_pointwise(path[-1].op)
    return swap_conv_last(graph, read(graph, op), links, path)


def after_conv(graph: Graph, op: Op, kinds: Collection[str], read: Reader) -> Rewrite:
    """The spatial op, one of ``kinds``, behind the 1×1 conv ``op`` that it feeds."""
    links, path = walk_back(graph, operand(op))
    spatial = path[-1].op
    if spatial.domain or spatial.kind not in kinds:
        raise NoMatch
    conv = read_pointwise(op)
    return swap_conv_first(graph, conv, read(graph, spatial), links, path)


def spatial_sizes(graph: Graph, data: Value) -> tuple[int | None, ...]:
    """The sizes of the axes after the channels, one at least, named dims at the graph's."""
    if data.shape is None or len(data.shape) < 3:
        raise NoMatch("the shape is not known")
    return sizes_at(graph, data, len(data.shape))


def assumed(sizes: Sequence[int | None]) -> tuple[int, ...]:
    """``sizes`` with `LARGE` for each that is not known."""
    return tuple(LARGE if n is None else n for n in sizes)
