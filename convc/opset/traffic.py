"""Traffic: the bytes an op reads and writes, if what it needs is read once and written once.

That is the least any implementation moves between the op and memory, not what one really does:
windows that overlap are read again, from the cache at best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from convc.graph import Graph
from convc.ir import Op, Opaque, Value
from convc.opset.shapes import constant_ints
from convc.opset.work.counts import shape_of
from convc.opset.work.sweep import Sweep
from convc.opset.work.windows import conv_sweeps, interpolation_taps, pool_sweeps, resized_axes

TrafficRule: TypeAlias = Callable[[Graph, Op], "int | None"]
"""Bytes an op reads, where that is not all of its operands; None where a size is missing."""

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
"""Kinds whose result is their first operand under another shape: runtimes move nothing."""


def traffic(graph: Graph, op: Op) -> tuple[int, int] | None:
    """Bytes read and bytes written by ``op`` at the graph's ``sizes``.

    An operand that is used twice is read once, omitted operands and results are nothing, a view
    is (0, 0). None where a size is missing, where elements have no size of their own (strings,
    sequences), for ops that run a body, and for kinds of other domains.
    """
    if op.domain or any(isinstance(value, Opaque) for value in op.attributes.values()):
        return None
    if op.kind in VIEWS:
        return 0, 0
    rule = TRAFFIC.get(op.kind)
    read = _total(graph, op.operands) if rule is None else rule(graph, op)
    written = _total(graph, (v for v in op.results if v.name or graph.is_used(v)))
    return None if read is None or written is None else (read, written)


def _total(graph: Graph, values: Iterable[Value | None]) -> int | None:
    """Bytes of the distinct values."""
    sizes = [graph.nbytes(value) for value in dict.fromkeys(values) if value is not None]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _item(value: Value | None) -> int | None:
    """Bytes of an element; None for strings and what is no tensor."""
    if value is None or value.dtype is None or value.dtype == np.dtype(object):
        return None
    return value.dtype.itemsize


def _partly(graph: Graph, op: Op, count: int | None) -> int | None:
    """``count`` elements of the first operand, but no more than it has, and all of the others."""
    data, item = op.operand(0), _item(op.operand(0))
    whole = None if data is None else graph.nbytes(data)
    rest = _total(graph, (value for value in op.operands[1:] if value is not data))
    if count is None or item is None or whole is None or rest is None:
        return None
    return min(count * item, whole) + rest


def _picked(graph: Graph, op: Op) -> int | None:
    """One element for each of the result."""
    shape = graph.concrete_shape(op.result)
    return _partly(graph, op, None if shape is None else prod(shape))


def _windowed(graph: Graph, op: Op, sweeps: tuple[Sweep, ...] | None) -> int | None:
    """What lies under at least one tap: a stride beyond the kernel leaves gaps."""
    shape = shape_of(graph, op)
    if shape is None or sweeps is None:
        return None
    return _partly(graph, op, prod(shape[:2]) * prod(sweep.hit_positions for sweep in sweeps))


def _conv(graph: Graph, op: Op) -> int | None:
    return _windowed(graph, op, conv_sweeps(graph, op))


def _pool(graph: Graph, op: Op) -> int | None:
    return _windowed(graph, op, pool_sweeps(graph, op))


def _resize(graph: Graph, op: Op) -> int | None:
    """On each resized axis at most as many samples as the outputs have taps: shrinking skips."""
    shape, result = shape_of(graph, op), graph.concrete_shape(op.result)
    taps = interpolation_taps(op)
    if shape is None or result is None:
        return None
    if taps is None:
        return _partly(graph, op, prod(shape))
    changed = resized_axes(shape, result)
    read = [min(n, taps * result[i]) if i in changed else n for i, n in enumerate(shape)]
    return _partly(graph, op, prod(read))


def _pad(graph: Graph, op: Op) -> int | None:
    """All but what negative pads crop; all where it is not known what they crop."""
    shape, pads = shape_of(graph, op), constant_ints(op, 1, "pads")
    if shape is None or pads is None or op.operand(3) is not None or len(pads) != 2 * len(shape):
        return _total(graph, op.operands)
    ends = zip(shape, pads[: len(shape)], pads[len(shape) :], strict=True)
    return _partly(graph, op, prod(max(0, n + min(0, b) + min(0, e)) for n, b, e in ends))


def _nothing(_graph: Graph, _op: Op) -> int:
    """The shape is all that is needed."""
    return 0


TRAFFIC: Mapping[str, TrafficRule] = MappingProxyType(
    {
        "AveragePool": _pool,
        "Conv": _conv,
        "EyeLike": _nothing,
        "Gather": _picked,
        "GatherElements": _picked,
        "GatherND": _picked,
        "LpPool": _pool,
        "MaxPool": _pool,
        "Pad": _pad,
        "Resize": _resize,
        "Shape": _nothing,
        "Size": _nothing,
        "Slice": _picked,
        "Upsample": _resize,
    }
)
