"""A small hand for writing ONNX models: seeded weights, named nodes, inferred output shapes.

A value is known by the name of the node that makes it, and a node's weights by the node's name
and their role ("first.weight"). The model is checked in full when it is finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, shape_inference

OPSET = 17
IR_VERSION = 8

SAME3 = [1, 1, 1, 1]
DYNAMIC = ("batch", "height", "width")

Array = npt.NDArray[Any]
Dims = Sequence[int | str]


class Network:
    """One ONNX graph in the making; the weights depend on its name alone."""

    def __init__(self, name: str, dtype: npt.DTypeLike = np.float32) -> None:
        self.name = name
        self.dtype = np.dtype(dtype)
        self.random = np.random.default_rng(list(name.encode()))
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, *dims: int | str, name: str = "input") -> str:
        """A graph input; a dimension given by name is dynamic."""
        self.inputs.append(self._value(name, dims))
        return name

    def output(self, value: str, dims: Dims | None = None, name: str = "output") -> None:
        """Make a value a graph output called `name`; its shape is inferred unless given."""
        for node in self.nodes:
            node.input[:] = [name if operand == value else operand for operand in node.input]
            node.output[:] = [name if result == value else result for result in node.output]
        self.outputs.append(self._value(name, dims))

    def kernel(self, *shape: int) -> Array:
        """Signed weights (K, C/group, ...) that keep the variance of independent inputs."""
        limit = np.sqrt(3 / np.prod(shape[1:]))
        return self.random.uniform(-limit, limit, shape)

    def vector(self, size: int, low: float = -0.5, high: float = 0.5) -> Array:
        """Values in [low, high], for biases and per-channel factors."""
        return self.random.uniform(low, high, size)

    def constant(self, name: str, array: Array) -> str:
        """An initialiser; floating point is stored in the network's dtype, integers as they are."""
        stored = array.astype(self.dtype) if np.issubdtype(array.dtype, np.floating) else array
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(stored), name))
        return name

    def node(self, kind: str, name: str, operands: Sequence[str], **attributes: Any) -> str:
        """A node with one result, which bears its name."""
        self.nodes.append(helper.make_node(kind, operands, [name], name=name, **attributes))
        return name

    def conv(
        self,
        name: str,
        x: str,
        weight: Array,
        bias: Array | None = None,
        *,
        kind: str = "Conv",
        **attributes: Any,
    ) -> str:
        """A Conv or a ConvTranspose, `kind`, with its weights, kernel_shape stated."""
        operands = [x, self.constant(f"{name}.weight", weight)]
        if bias is not None:
            operands.append(self.constant(f"{name}.bias", bias))
        return self.node(kind, name, operands, kernel_shape=weight.shape[2:], **attributes)

    def norm(self, name: str, x: str, channels: int) -> str:
        """BatchNormalization with statistics that matter: no zero mean, unit variance or scale."""
        scale = self.vector(channels, 0.5, 1.5) * np.where(np.arange(channels) % 5 == 3, -1, 1)
        roles = {
            "scale": scale,
            "bias": self.vector(channels),
            "mean": self.vector(channels),
            "variance": self.vector(channels, 0.2, 3),
        }
        operands = [self.constant(f"{name}.{role}", array) for role, array in roles.items()]
        return self.node("BatchNormalization", name, [x, *operands], epsilon=1e-3)

    def per_channel(self, kind: str, name: str, x: str, values: Array, rank: int = 4) -> str:
        """Mul, Add, Sub or Div of (N, C, ...) with one value a channel."""
        operand = self.constant(f"{name}.operand", values.reshape(-1, *[1] * (rank - 2)))
        return self.node(kind, name, [x, operand])

    def model(self, doc_string: str) -> onnx.ModelProto:
        """The finished model, shapes inferred and checked in full."""
        graph = helper.make_graph(
            self.nodes, self.name, self.inputs, self.outputs, self.weights, doc_string
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        model.producer_name = "convc.models"
        inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        for output, shaped in zip(model.graph.output, inferred.graph.output, strict=True):
            output.CopyFrom(shaped)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _value(self, name: str, dims: Dims | None) -> onnx.ValueInfoProto:
        element = helper.np_dtype_to_tensor_dtype(self.dtype)
        return helper.make_tensor_value_info(name, element, dims)
