"""What running a model may take, from what its file says: a small file may ask for terabytes.

Sizes that are known before are counted; a model that could not fit into the memory that is free is
not run at all. What only shows while it runs (a Loop that never ends, or keeps all it makes) is
stopped by `convc.runtime.Session` at the limits that are found here.
"""

from __future__ import annotations

from math import inf, prod
from typing import TYPE_CHECKING

from convc.costs.memory import peak_activation_bytes
from convc.graph import Graph
from convc.ir import Op
from convc.memory import free_memory
from convc.opset import macs
from convc.runtime import Limits

if TYPE_CHECKING:
    from convc.concrete import Fact

SECONDS, MACS_PER_SECOND, BYTES_PER_SECOND = 3.0, 1e8, 1e7
"""What a run that may be endless is given, and the slowest machine that is waited for besides."""
BYTES = 2**30
"""Bytes that any run may take besides its activations."""
COPIES = 6
"""How many times the activations are there while two models are compared: those of two sessions,
and of the float64 evaluator, whose numbers are twice as wide and whose kernels unroll windows."""

SESSIONS = 2
"""Sessions that are there at once, each with the working memory of one op."""

GROWING = frozenset(
    {
        "ConstantOfShape", "ConvTranspose", "Expand", "EyeLike", "OneHot", "Pad", "Range", "Resize",
        "Tile", "Upsample",
    }
)  # fmt: skip
"""Kinds that make much of little, whatever shape the file declares for it."""

FAR = 256
"""Padding beyond which a window makes much of little, too."""

BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def limits_of(graph: Graph) -> Limits:
    """What one run of the graph may take at its sizes; those it computes itself are found."""
    room, work = _needs(graph)
    seconds = inf
    if may_be_endless(graph):
        seconds = SECONDS + work / MACS_PER_SECOND + room / (COPIES * BYTES_PER_SECOND)
    return Limits(seconds, BYTES + room)


def may_be_endless(graph: Graph) -> bool:
    """Whether nothing but a run shows how long the graph takes."""
    return any(op.kind in BODIES or op.domain for op in graph.ops())


def too_large(graph: Graph) -> str:
    """Why the graph is not run at its sizes: how much memory that takes; "" where it fits."""
    room, _ = _needs(graph)
    free = free_memory()
    if free is None or room <= free:
        return ""
    return (
        f"running it takes about {_gigabytes(room)}, and {_gigabytes(free)} are free: "
        "give smaller sizes with --dim, or another machine"
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"


def _needs(graph: Graph) -> tuple[int, int]:
    """Bytes that comparing it with another takes at the most, and MACs, at the graph's sizes."""
    values = (value for op in graph.ops() for value in op.results)
    if any(graph.concrete_shape(value) is None for value in values):
        from convc.concrete import resolve_shapes  # noqa: PLC0415  # slow, and seldom needed

        graph = graph.clone()
        resolve_shapes(graph)
    peak = max(peak_activation_bytes(graph), _largest(graph))
    room = COPIES * peak + SESSIONS * _columns(graph)
    return room, sum(macs(graph, op) or 0 for op in graph.ops())


def _columns(graph: Graph) -> int:
    """Bytes of the widest matrix that a ConvTranspose makes of one image.

    It has a row for each weight of a filter and a column for each sample, and is no value of the
    graph: where weights are computed it may be larger than all of these by any factor.
    """
    sizes = [0]
    for op in graph.ops():
        if op.kind != "ConvTranspose" or op.domain or None in op.operands[:2]:
            continue
        data, weight = (graph.concrete_shape(v) if v else None for v in op.operands[:2])
        dtype = op.result.dtype
        if data is not None and weight is not None and dtype is not None:
            sizes.append(prod(data[2:]) * prod(weight[1:]) * dtype.itemsize)
    return max(sizes)


def _largest(graph: Graph) -> int:
    """Bytes of the largest value as its operands make it, whatever the file declares."""
    if not any(op.kind in GROWING or _is_padded_far(op) for op in graph.ops()):
        return 0
    from convc.concrete import walk  # noqa: PLC0415  # slow, and seldom needed

    facts = walk(graph, trust=False).values()
    return max((_bytes_of(fact) for fact in facts), default=0)


def _is_padded_far(op: Op) -> bool:
    pads = op.attributes.get("pads")
    return isinstance(pads, tuple) and any(isinstance(n, int) and n > FAR for n in pads)


def _bytes_of(fact: Fact) -> int:
    """Bytes of a value of which this is known; none where it is not."""
    if fact.shape is None or fact.dtype is None:
        return 0
    return prod(fact.shape) * fact.dtype.itemsize
