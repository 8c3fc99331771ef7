"""Equal weights and equal subexpressions are shared: value numbering over the whole graph.

Ops are visited in topological order. An op whose kind, attributes and (already shared) operands
are those of an earlier one makes the same values, and its users take those. Left out are ops that
are not deterministic or that convc cannot look into (If, Loop, Scan, random kinds, other domains)
and QuantizeLinear and DequantizeLinear, which a runtime wants one for each user.

Weights are equal when dtype, shape and bytes are. A few bytes of each are compared first, so that
only weights that agree in them are hashed; nothing large is copied.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import blake2b

import numpy as np

from convc.errors import CannotProveError
from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, OUTPUT, Array, Attribute, Op, Opaque
from convc.memory import give_back
from convc.rewrite import NoMatch, Prove, Replacement, Rewrite, Stats
from passes.simplify.common import fed

SAMPLE = 64
"""Elements looked at before a weight is hashed."""

UNSHARED = frozenset(
    {
        INPUT, CONSTANT, OUTPUT,
        "Bernoulli", "DequantizeLinear", "Dropout", "If", "Loop", "Multinomial", "QuantizeLinear",
        "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Scan",
        "SequenceMap",
    }
)  # fmt: skip
COMMUTATIVE = frozenset({"Add", "Mul"})


def share(graph: Graph, prove: Prove | None = None) -> Stats:
    """Shares equal weights and equal subexpressions of ``graph``, in place."""
    stats = Stats()
    _share_weights(graph, stats)
    _share_ops(graph, stats, prove)
    return stats


def _share_weights(graph: Graph, stats: Stats) -> None:
    alike: dict[Hashable, list[Op]] = {}
    for op in graph.ops():
        array = op.array
        if array is not None and array.dtype != np.dtype(object) and array.flags.c_contiguous:
            key = (array.dtype, op.result.dtype, array.shape, _sample(array))
            alike.setdefault(key, []).append(op)
    for ops in alike.values():
        if len(ops) > 1:
            _share_alike(graph, ops, stats)


def _share_alike(graph: Graph, ops: list[Op], stats: Stats) -> None:
    keepers: dict[Hashable, Op] = {}
    for op in ops:
        assert op.array is not None
        keeper = keepers.setdefault(_digest(op.array), op)
        give_back(op.array)
        if keeper is op:
            continue
        graph.replace_uses(op.result, keeper.result)
        graph.erase_dead([op])
        stats.applied += 1
        stats.notes["equal weights: shared"] += 1


def _sample(array: Array) -> bytes:
    flat = array.reshape(-1)
    return flat[:: max(1, flat.size // SAMPLE)].tobytes()


def _digest(array: Array) -> bytes:
    if array.size <= SAMPLE:
        return b""
    return blake2b(array.reshape(-1).view(np.uint8).data).digest()


def _share_ops(graph: Graph, stats: Stats, prove: Prove | None) -> None:
    known: dict[Hashable, Op] = {}
    for op in graph.ops():
        if op.kind in UNSHARED or op.domain or op.captures:
            continue
        key = _key(graph, op)
        if key is None:
            continue
        keeper = known.setdefault(key, op)
        if keeper is op:
            continue
        try:
            if prove is not None:
                stats.note_proof(prove, graph, shared(graph, op, keeper))
        except CannotProveError as error:
            stats.declined[f"not proved: {error}"] += 1
            continue
        note = f"equal {op.kind}: shared"
        if graph.witness is not None:
            graph.witness.merged(op, keeper, note)
        for old, new in zip(op.results, keeper.results, strict=True):
            graph.replace_uses(old, new)
        graph.erase_dead([op])
        stats.applied += 1
        stats.notes[note] += 1


def shared(graph: Graph, op: Op, keeper: Op) -> Rewrite:
    """The proposal that the results of ``keeper`` stand for those of ``op``."""
    built = Replacement(graph)
    pairs = zip(op.results, keeper.results, strict=True)
    results = {old: built.take(new) for old, new in pairs if graph.is_used(old)}
    if not results:
        raise NoMatch
    return built.rewrite(results, frontier=fed(op), note=f"equal {op.kind}: shared")


def _key(graph: Graph, op: Op) -> Hashable | None:
    operands = [id(value) for value in op.operands]
    if op.kind in COMMUTATIVE and graph.header.opset >= 7:
        operands.sort()
    if not op.attributes:
        return op.kind, len(op.results), tuple(operands)
    attributes = [(name, _attribute_key(value)) for name, value in sorted(op.attributes.items())]
    if any(key is None for _, key in attributes):
        return None
    return op.kind, len(op.results), tuple(operands), tuple(attributes)


def _attribute_key(value: Attribute) -> Hashable | None:
    if isinstance(value, Opaque):
        return None
    if isinstance(value, np.ndarray):
        if value.dtype == np.dtype(object) or value.size > SAMPLE:
            return None
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, float):
        return "float", value.hex()
    return type(value).__name__, value
