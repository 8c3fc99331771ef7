"""What convc knows of each op kind: whether it is linear, its shapes, its work, its gradient.

One table, `OPS`, whose columns are the modules of this package. A kind that is not in it passes
through untouched: its result types come from the importer, it is never taken to be linear, and its
costs are not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from convc.graph import Graph
from convc.ir import Op, TensorType, Type
from convc.opset.gradients import GRADIENTS, Gradient, GradientRule
from convc.opset.linear import LINEAR, is_linear
from convc.opset.products import MACS, MacsRule
from convc.opset.shapes import SHAPES, ShapeRule, constant_ints
from convc.opset.traffic import TRAFFIC, VIEWS, TrafficRule
from convc.opset.work import WORK, Work, WorkRule

__all__ = [
    "OPS",
    "Gradient",
    "OpInfo",
    "Work",
    "constant_ints",
    "infer_types",
    "info",
    "is_linear",
    "macs",
]


@dataclass(frozen=True, slots=True)
class OpInfo:
    """What is known of one op kind; None where that is nothing.

    Attributes:
        linear: True when the op is a linear (affine) map of its first operand, the others fixed.
        shape: rule for the shape of the first result.
        macs: rule for the MACs in the dense convention (padded zeros count); None: it has none.
        work: rule for all that it computes.
        gradient: rule for what its backward pass computes and keeps.
        traffic: rule for the bytes it reads; None: all of its operands.
        view: True when its result is its first operand under another shape: nothing is moved.
    """

    linear: bool = False
    shape: ShapeRule | None = None
    macs: MacsRule | None = None
    work: WorkRule | None = None
    gradient: GradientRule | None = None
    traffic: TrafficRule | None = None
    view: bool = False


OPS: Mapping[str, OpInfo] = MappingProxyType(
    {
        kind: OpInfo(
            linear=kind in LINEAR,
            shape=SHAPES.get(kind),
            macs=MACS.get(kind),
            work=WORK.get(kind),
            gradient=GRADIENTS.get(kind),
            traffic=TRAFFIC.get(kind),
            view=kind in VIEWS,
        )
        for kind in sorted({*LINEAR, *SHAPES, *MACS, *WORK, *GRADIENTS, *TRAFFIC, *VIEWS})
    }
)


def info(op: Op) -> OpInfo | None:
    """What is known of the kind of ``op``; None for kinds of other domains and unknown ones."""
    return OPS.get(op.kind) if not op.domain else None


def infer_types(graph: Graph, op: Op) -> tuple[Type, ...]:
    """Types of the results of ``op``: the shape by its rule, the dtype that of its first operand.

    A kind without a rule gives None for each result.
    """
    known = info(op)
    first = op.operand(0)
    element = None if first is None else first.dtype
    if known is None or known.shape is None or element is None:
        return tuple(None for _ in op.results)
    shape = known.shape(graph, op)
    type_ = TensorType(element, None if shape is None else tuple(shape))
    return (type_, *(None for _ in op.results[1:]))


def macs(graph: Graph, op: Op) -> int | None:
    """MACs of one op at the graph's ``sizes``: 0 if it has none, None if a size is missing."""
    known = info(op)
    if known is None or known.macs is None:
        return 0
    return known.macs(graph, op)
