"""A rewrite as a record: the names and digests of its region, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from math import isfinite

from convc.certificate.records import Record, Region, Rounding
from convc.digest import SIZE, graph_digest
from convc.graph import Graph
from convc.ir import Op, Value
from convc.onnx_io import functions_only
from convc.rewrite import Exactness, Rewrite
from convc.rounding import bounds


def model_digest(graph: Graph) -> str:
    """The digest of a graph, whatever else its file says of itself.

    As `convc.digest.graph_digest`, but of the model's shell only its local functions count: the
    digest of its own certificate is in its metadata.
    """
    functions = functions_only(graph.header)
    if not functions and not any(op.domain for op in graph.ops()):
        return graph_digest(graph)
    copy = graph.clone()
    copy.header = replace(graph.header, model_shell=functions)
    digest = graph_digest(copy)
    # They may be called where the graph shows no such op: from inside a subgraph.
    return blake2b(digest.encode() + functions, digest_size=SIZE).hexdigest()


def region_of(graph: Graph, rewrite: Rewrite) -> Graph:
    """The ops that the proof evaluates: from its cut to the rewrite's inputs, then its outputs."""
    return graph.extract(rewrite.cut, (*rewrite.inputs, *rewrite.outputs))


def stored(rewrite: Rewrite) -> Graph:
    """The replacement with its weights as they will be stored; its inputs in the same order."""
    after = rewrite.after
    copy = Graph(after.header, after.sizes)
    inputs = [copy.add_input(value.name, value.type) for value in after.inputs]
    copy.set_outputs(copy.inline(after, inputs), after.output_names)
    return copy


def record_of(
    graph: Graph, rewrite: Rewrite, region: Graph, replacement: Graph, residual: float
) -> Record:
    """The record of a proved rewrite.

    Args:
        graph: on which it was proposed.
        rewrite: what was proved.
        region: see `region_of`.
        replacement: see `stored`.
        residual: of the proof.
    """
    approximate = rewrite.exactness is Exactness.APPROXIMATE
    outputs = _names(rewrite.outputs)
    return Record(
        note=rewrite.note,
        exactness=rewrite.exactness.value,
        before=Region(_names(rewrite.cut), outputs, _ops(region), model_digest(region)),
        after=Region(_names(rewrite.inputs), outputs, _ops(replacement), model_digest(replacement)),
        residual=None if approximate else float(residual),
        allowed=float(rewrite.bound),
        rounding=_rounding(graph, rewrite),
    )


def _rounding(graph: Graph, rewrite: Rewrite) -> Rounding | None:
    """The bounds for the stored dtype, where they are known and finite."""
    found = bounds(graph, rewrite)
    if found is None or not (isfinite(found.worst) and isfinite(found.probable)):
        return None
    return Rounding(float(found.worst), float(found.probable), float(found.confidence))


def _names(values: Sequence[Value]) -> tuple[str, ...]:
    return tuple(value.name for value in values)


def _ops(graph: Graph) -> tuple[str, ...]:
    ops = (op for op in graph.ops() if not op.is_boundary and op.array is None)
    return tuple(_label(op) for op in ops)


def _label(op: Op) -> str:
    kind = f"{op.domain}.{op.kind}" if op.domain else op.kind
    return f"{kind} {op.name or op.results[0].name}".strip()
