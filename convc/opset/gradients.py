"""Gradient rules: what the backward pass of an op computes, and what it needs to be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from convc.graph import Graph
from convc.ir import Op, Value
from convc.opset.work import Work

NOTHING = Work()


@dataclass(frozen=True, slots=True)
class Gradient:
    """The backward pass of one op.

    Attributes:
        input: work for the gradients of the activations among its operands.
        weight: work for the gradients of its weights.
        bias: work for the gradient of its bias.
        input_macs: MACs among ``input``, in the dense convention.
        weight_macs: MACs among ``weight``, in the dense convention.
        keeps: values of the forward pass (operands or results) that it reads.
        keeps_bytes: what it keeps besides: masks, indices, statistics.
    """

    input: Work = NOTHING
    weight: Work = NOTHING
    bias: Work = NOTHING
    input_macs: int = 0
    weight_macs: int = 0
    keeps: tuple[Value, ...] = ()
    keeps_bytes: int = 0


GradientRule: TypeAlias = Callable[[Graph, Op, frozenset[int]], "Gradient | None"]
"""The backward pass of an op that is asked for the gradients of the operands at these places.

None where a size is missing.
"""

GRADIENTS: Mapping[str, GradientRule] = MappingProxyType({})
