"""Adds ops to a graph, with their types inferred and in the form that its opset asks for.

The one place that knows how the *emitted* ops changed from opset to opset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convc.algebra.geometry import ConvGeometry, TransposeGeometry
from convc.conv import geometry_attributes, transpose_attributes
from convc.graph import Graph
from convc.ir import Array, Attribute, Type, Value
from convc.opset import infer_types


class Builder:
    """Adds ops to ``graph``. Every method returns the new op's first result."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return self.graph.header.opset

    def op(
        self,
        kind: str,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Attribute] | None = None,
        *,
        type_: Type = None,
        name: str = "",
    ) -> Value:
        """Adds any op with one result; its type is ``type_`` or inferred where a rule is known."""
        op = self.graph.add(kind, operands, attributes, names=(name,), name=name)
        op.result.type = type_ or infer_types(self.graph, op)[0]
        return op.result

    def constant(self, array: Array, dtype: np.dtype[Any] | None = None, name: str = "") -> Value:
        """Adds a weight; see `Graph.add_constant`."""
        return self.graph.add_constant(array, name, dtype)

    def ints(self, values: Sequence[int], name: str = "") -> Value:
        """Adds a vector of 64-bit integers (sizes, axes, pads)."""
        return self.graph.add_constant(np.array(values, np.int64), name)

    def conv(
        self,
        data: Value,
        weight: Value,
        bias: Value | None,
        geometry: ConvGeometry,
        name: str = "",
    ) -> Value:
        """Adds a Conv; data (N, C, *size), weight (K, C/group, *kernel), bias (K,) or None."""
        operands = [data, weight] if bias is None else [data, weight, bias]
        return self.op("Conv", operands, geometry_attributes(geometry), name=name)

    def conv_transpose(
        self,
        data: Value,
        weight: Value,
        bias: Value | None,
        geometry: TransposeGeometry,
        name: str = "",
    ) -> Value:
        """Adds a ConvTranspose; data (N, C, *size), weight (C, K/group, *kernel), bias (K,)."""
        operands = [data, weight] if bias is None else [data, weight, bias]
        return self.op("ConvTranspose", operands, transpose_attributes(geometry), name=name)

    def add(self, a: Value, b: Value, name: str = "") -> Value:
        """Adds an Add with numpy's broadcasting (opset 7 and later)."""
        return self.op("Add", (a, b), name=name)

    def concat(self, values: Sequence[Value], axis: int, name: str = "") -> Value:
        """Adds a Concat; one value is returned as it is."""
        if len(values) == 1:
            return values[0]
        return self.op("Concat", values, {"axis": axis}, name=name)

    def slice(
        self,
        data: Value,
        axes: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        name: str = "",
    ) -> Value:
        """Adds a Slice with step 1."""
        if self.opset < 10:
            attributes = {"axes": tuple(axes), "starts": tuple(starts), "ends": tuple(ends)}
            return self.op("Slice", (data,), attributes, name=name)
        operands = [data, self.ints(starts), self.ints(ends), self.ints(axes)]
        return self.op("Slice", operands, name=name)

    def pad(self, data: Value, pads: Sequence[int], name: str = "") -> Value:
        """Adds a Pad with zeros; ``pads`` holds all begins, then all ends."""
        if self.opset < 11:
            attributes: dict[str, Attribute] = {"mode": "constant", "pads": tuple(pads)}
            return self.op("Pad", (data,), attributes, name=name)
        return self.op("Pad", (data, self.ints(pads)), {"mode": "constant"}, name=name)

    def reshape(self, data: Value, shape: Sequence[int], name: str = "") -> Value:
        """Adds a Reshape; 0 copies a dim, -1 is what is left."""
        return self.op("Reshape", (data, self.ints(shape)), name=name)

    def transpose(self, data: Value, order: Sequence[int], name: str = "") -> Value:
        """Adds a Transpose."""
        return self.op("Transpose", (data,), {"perm": tuple(order)}, name=name)
