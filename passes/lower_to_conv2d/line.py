"""The layout of regions over one axis: (N, C, L) as (N, C, 1, L)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, Attribute, Op, TensorType, Type, Value, is_real
from convc.rewrite import Replacement
from passes.lower_to_conv2d.depthwise import UNARY

CONVS = frozenset({"Conv", "ConvTranspose"})
WINDOWS = frozenset({"MaxPool", "AveragePool", "LpPool"})
WHOLE = frozenset({"GlobalAveragePool", "GlobalMaxPool", "InstanceNormalization", "Log"})
BINARY = frozenset({"Add", "Sub", "Mul", "Div", "PRelu", "Max", "Min", "Pow", "Sum"})

ONES = ("kernel_shape", "strides", "dilations", "output_shape")
"""Attributes that are 1 along the new axis."""


@dataclass(frozen=True)
class LineLayout:
    """One more axis of size 1 before the last; see `passes.lower_to_conv2d.regions.Layout`."""

    graph: Graph

    def refusal(self, op: Op) -> str | None:
        """None where ``op`` can be computed over two axes."""
        if op.domain or op.captures or not op.results:
            return ""
        if any(self.graph.uses(value) for value in op.results[1:]):
            return ""
        if not _is_line(op.result) or not all(_is_line(value) for value in self.carried(op)):
            return "the rank of a value of the 1-D region is not known"
        rest = op.inputs[1:]
        if op.kind in CONVS:
            return _unless_constant(rest)
        if op.kind in UNARY or op.kind in WINDOWS or op.kind in WHOLE:
            return _unless_constant(rest)
        if op.kind == "BatchNormalization":
            if op.attributes.get("training_mode") or op.attributes.get("spatial", 1) != 1:
                return ""
            return _unless_constant(rest)
        if op.kind in BINARY:
            # Before opset 7 an operand broadcasts by attributes.
            return None if self.graph.header.opset >= 7 and self.carried(op) else ""
        if op.kind == "Concat":
            return None if all(value.array is None for value in self.carried(op)) else ""
        return ""

    def carried(self, op: Op) -> Sequence[Value]:
        """All operands of sums and concats that vary, the first one of other ops."""
        if op.kind == "Concat":
            return [value for value in op.inputs if value is not None]
        if op.kind in BINARY:
            return [value for value in op.inputs if value is not None and value.array is None]
        return [value for value in op.inputs[:1] if value is not None]

    def enter(self, build: Replacement, old: Value, value: Value) -> Value:
        """By Unsqueeze."""
        return _with_axes(build, "Unsqueeze", value, _lifted(old.type))

    def leave(self, build: Replacement, old: Value, value: Value) -> Value:
        """By Squeeze."""
        return _with_axes(build, "Squeeze", value, old.type)

    def emit(self, build: Replacement, op: Op, operands: Sequence[Value]) -> Value:
        """The op with its attributes and constants for one more axis."""
        carried = dict(zip(self.carried(op), operands, strict=True))
        values: list[Value | None] = []
        for i, value in enumerate(op.inputs):
            if value is None or value in carried:
                values.append(None if value is None else carried[value])
            elif value.array is not None and (op.kind in BINARY or (op.kind in CONVS and i == 1)):
                array = _with_axis(value.array)
                values.append(build.constant(array, value.dtype, value.name))
            else:
                values.append(build.take(value))
        return build.op(op.kind, values, _attributes(op), type_=_lifted(op.result.type))


def _attributes(op: Op) -> dict[str, Attribute]:
    attributes = dict(op.attributes)
    for name, value in op.attributes.items():
        if not isinstance(value, tuple):
            continue
        if name in ONES:
            attributes[name] = (1, *value)
        elif name == "pads":
            attributes[name] = (0, value[0], 0, value[1])
        elif name == "output_padding":
            attributes[name] = (0, *value)
    axis = op.attributes.get("axis")
    if op.kind == "Concat" and isinstance(axis, int):
        attributes["axis"] = axis % 3 + (axis % 3 == 2)
    return attributes


def _with_axis(array: Array) -> Array:
    """A constant that lines up with (N, C, 1, L) as it did with (N, C, L)."""
    return array if array.ndim < 2 else np.expand_dims(array, -2)


def _with_axes(build: Builder, kind: str, value: Value, type_: Type) -> Value:
    """Squeeze or Unsqueeze of axis 2, by attribute or operand as the opset asks for."""
    if build.opset < 13:
        return build.op(kind, (value,), {"axes": (2,)}, type_=type_)
    return build.op(kind, (value, build.ints([2])), type_=type_)


def _lifted(type_: Type) -> Type:
    if not isinstance(type_, TensorType) or type_.shape is None:
        return None
    return TensorType(type_.dtype, (*type_.shape[:2], 1, *type_.shape[2:]))


def _is_line(value: Value) -> bool:
    return value.shape is not None and len(value.shape) == 3 and is_real(value.dtype)


def _unless_constant(values: Sequence[Value | None]) -> str | None:
    fixed = all(value is None or value.array is not None for value in values)
    return None if fixed else "the weights are not constant"
