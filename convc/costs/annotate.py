"""Costs as metadata of the ops: they stand in the exported file and in the MLIR text."""

from __future__ import annotations

from convc.costs.report import OpCost, op_costs
from convc.graph import Graph
from convc.ir import Op

PREFIX = "convc.cost."
SIZES = PREFIX + "sizes"
"""The model's own entry: the sizes of the open dims at which the costs of its ops were counted."""


def annotate(graph: Graph) -> int:
    """Writes the cost of every op into its metadata; returns how many were not yet right.

    Sizes that the network computes for itself are filled in on the way.

    Keys begin with `PREFIX`: macs, multiplications, additions, params, read_bytes, write_bytes,
    or, where it is not known, unknown with the reason. The model itself gets `SIZES`.
    """
    # What a size takes to be found needs onnx, and most graphs are never annotated.
    from convc.concrete import resolve_shapes  # noqa: PLC0415

    missing = {entry.value: entry.reason for entry in resolve_shapes(graph)}
    changed = 0
    graph.header = graph.header.with_metadata({SIZES: _sizes(graph)})
    for cost in op_costs(graph, missing):
        entries = {**_others(cost.op), **_entries(cost)}
        if entries != cost.op.metadata:
            graph.set_metadata(cost.op, entries)
            changed += 1
    return changed


def is_annotated(graph: Graph) -> bool:
    """True where costs stand in the graph or in the file it comes from: they are to be kept right.

    A pass may have replaced all ops that had them, and a file is read without the model's entry.
    """
    if SIZES in graph.header.metadata:
        return True
    return any(key.startswith(PREFIX) for op in graph.ops() for key in op.metadata)


def _sizes(graph: Graph) -> str:
    dims = dict.fromkeys(dim for value in graph.inputs for dim in value.shape or ())
    named = [(str(dim), graph.sizes.get(str(dim))) for dim in dims if isinstance(dim, str)]
    return " ".join(f"{dim.lstrip('?')}={size}" for dim, size in named) or "all fixed"


def _entries(cost: OpCost) -> dict[str, str]:
    if cost.unknown or cost.work is None:
        return {PREFIX + "unknown": cost.unknown}
    facts = {
        "macs": cost.macs,
        "multiplications": cost.work.multiplications,
        "additions": cost.work.additions,
        "params": cost.params,
        "read_bytes": cost.read_bytes,
        "write_bytes": cost.write_bytes,
    }
    return {PREFIX + key: str(value) for key, value in facts.items()}


def _others(op: Op) -> dict[str, str]:
    return {k: v for k, v in op.metadata.items() if not k.startswith(PREFIX)}
