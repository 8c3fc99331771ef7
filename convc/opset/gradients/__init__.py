"""Gradient rules: what the backward pass of an op computes, and what it needs to be kept.

The rules are in the modules ``convc.opset.gradient_*``, each with the source of its formulas; the
conventions of all are in `convc.opset.gradients.parts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from convc.opset.gradients.elementwise import ELEMENTWISE
from convc.opset.gradients.movement import MOVEMENT
from convc.opset.gradients.norms import NORMS
from convc.opset.gradients.parts import Gradient, GradientRule, guarded
from convc.opset.gradients.products import PRODUCTS
from convc.opset.gradients.recurrent import RECURRENT

__all__ = ["GRADIENTS", "Gradient", "GradientRule"]

GRADIENTS: Mapping[str, GradientRule] = MappingProxyType(
    {
        kind: guarded(rule)
        for rules in (PRODUCTS, ELEMENTWISE, MOVEMENT, NORMS, RECURRENT)
        for kind, rule in rules.items()
    }
)
