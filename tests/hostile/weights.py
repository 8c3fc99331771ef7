"""Types and weights that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper

from tests.hostile import seeds
from tests.hostile.parts import conv, net
from tests.onnx_helpers import weight
from tests.tiny import FLOAT, kernel, node


def with_weight(tensor: TensorProto, use: str = "Add") -> ModelProto:
    made = net([node(use, "x w", "y")])
    tensor.name = "w"
    made.graph.initializer.append(tensor)
    return made


def raw(dims: Sequence[int], data: bytes, kind: int = FLOAT) -> TensorProto:
    return TensorProto(dims=dims, raw_data=data, data_type=kind)


def external(location: str, **entries: object) -> ModelProto:
    tensor = TensorProto(dims=[4, 1, 1], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return with_weight(tensor)


def external_in_an_attribute() -> ModelProto:
    """Outside data in places where nobody looks."""
    made = net([node("Odd", "x", "y", domain="nobody")], domains={"nobody": 1})
    tensor = external("../secret.bin").graph.initializer[0]
    entry = AttributeProto(name="t", type=AttributeProto.TENSORS, tensors=[tensor])
    made.graph.node[0].attribute.append(entry)
    return made


def external_in_training_info() -> ModelProto:
    made = conv()
    entry = made.training_info.add()
    entry.initialization.initializer.append(external("../secret.bin").graph.initializer[0])
    return made


def sparse(indices: Any, dims: Sequence[int], count: int = 2) -> ModelProto:
    made = net([node("Add", "x w", "y")])
    values = weight("w", np.ones(count, np.float32))
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, weight("", np.array(indices)), dims)
    )
    return made


def typed_input(change: Callable[[Any], object]) -> ModelProto:
    made = net([node("Identity", "x", "y")])
    change(made.graph.input[0].type)
    return made


def blocks_of_sizes_below_zero() -> ModelProto:
    """onnx 1.23 dies where a Slice of them ends before it begins."""
    nodes = [
        node("DepthToSpace", "x", "d", blocksize=2),
        node("SpaceToDepth", "d", "s", blocksize=2),
        node("Slice", "s from to axes", "y"),
    ]
    ends = {"from": np.array([0]), "to": np.array([2]), "axes": np.array([1])}
    made = net(nodes, ends)
    sizes = [1, -(2**63), 2**31, "w"]
    made.graph.input[0].type.CopyFrom(helper.make_tensor_type_proto(FLOAT, sizes))
    return made


def deep_type(depth: int = 90) -> ModelProto:
    made = net([node("Identity", "x", "y")])
    type_ = made.graph.input[0].type
    for _ in range(depth // 2):
        type_ = type_.sequence_type.elem_type
    type_.tensor_type.elem_type = 1
    return made


def many_dims(count: int = 100_000) -> ModelProto:
    return net([node("Relu", "x", "y")], shape=[1] * count)


def wrong_arity(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> ModelProto:
    return net([node(kind, inputs, outputs, **attributes)], {"k": kernel(1, 4, 4, 3, 3)})


def wrong_type(kind: str, name: str, value: object) -> ModelProto:
    base = {"Conv": "x k", "Transpose": "x", "Concat": "x x", "Softmax": "x"}
    made = net([node(kind, base.get(kind, "x"), "y")], {"k": kernel(1, 4, 4, 3, 3)})
    made.graph.node[0].attribute.append(helper.make_attribute(name, value))
    return made


def if_with(change: Callable[[Any], object]) -> ModelProto:
    made = ModelProto.FromString(seeds.branches())
    change(made.graph.node[0].attribute[0].g)
    return made


def header(change: Callable[[ModelProto], object]) -> ModelProto:
    made = conv()
    change(made)
    return made
