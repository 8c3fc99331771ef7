"""The few numbers that `convc optimize` shows before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from convc.costs.memory import peak_activation_bytes
from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, OUTPUT, is_real
from convc.opset import macs

CONVS = frozenset({"Conv", "ConvTranspose"})


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model costs, at the graph's ``sizes``.

    Attributes:
        ops: nodes, weights not counted.
        convs: convolutions and transposed convolutions among them.
        macs: multiply-accumulates of convs and matrix products, padded zeros counted as products;
            ops whose sizes are not known are left out and counted in ``unknown``.
        params: elements of all floating weights.
        weight_bytes: bytes of all weights.
        peak_activation_bytes: the most that live activations take at once, in the file's order;
            values whose size is not known are left out.
        unknown: ops that multiply, of unknown size.
    """

    ops: int
    convs: int
    macs: int
    params: int
    weight_bytes: int
    peak_activation_bytes: int
    unknown: int

    def as_json(self) -> dict[str, Any]:
        """The object under ``before`` and ``after`` in ``--json``; nothing is timed here."""
        return {**asdict(self), "latency_ms": None}


def summarise(graph: Graph) -> Summary:
    """Counts what ``graph`` costs."""
    nodes = [op for op in graph.ops() if op.kind not in (INPUT, CONSTANT, OUTPUT) or op.domain]
    arrays = {id(op.array): op.array for op in graph.ops() if op.array is not None}.values()
    costs = [macs(graph, op) for op in nodes]
    return Summary(
        ops=len(nodes),
        convs=sum(op.kind in CONVS and not op.domain for op in nodes),
        macs=sum(cost for cost in costs if cost is not None),
        params=sum(array.size for array in arrays if is_real(array.dtype)),
        weight_bytes=sum(array.nbytes for array in arrays),
        peak_activation_bytes=peak_activation_bytes(graph),
        unknown=sum(cost is None for cost in costs),
    )
