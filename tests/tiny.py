"""Small ONNX models written by hand, for tests of the compiler itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from convc.check import Comparison, Subject, compare
from convc.feeds import Case
from convc.graph import Graph
from convc.ir import Array
from convc.onnx_io import from_bytes

FLOAT, HALF, DOUBLE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE
INT64, INT32, BOOL, STRING = (
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
    TensorProto.STRING,
)
IMAGE = (1, 4, 12, 10)


def node(kind: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> NodeProto:
    """A node; operands and results separated by spaces, ``-`` for an omitted one."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, outputs.split(), domain=domain, **attributes)


def model(
    nodes: Sequence[NodeProto],
    weights: Mapping[str, Array] | None = None,
    *,
    inputs: Mapping[str, tuple[int, Sequence[int | str | None] | None]] | None = None,
    outputs: Mapping[str, int] | None = None,
    opset: int = 17,
    domains: Iterable[str] = (),
    functions: Sequence[FunctionProto] = (),
) -> bytes:
    """A serialised model from ``x`` (1, 4, 12, 10) to ``y`` unless told otherwise."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [
            helper.make_tensor_value_info(name, type_, shape)
            for name, (type_, shape) in (inputs or {"x": (FLOAT, IMAGE)}).items()
        ],
        [
            helper.make_tensor_value_info(name, type_, None)
            for name, type_ in (outputs or {"y": FLOAT}).items()
        ],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    made = helper.make_model(graph, opset_imports=imports, ir_version=8, functions=list(functions))
    data: bytes = made.SerializeToString()
    return data


def write(path: Path, data: bytes) -> Path:
    """Writes a serialised model and returns the path."""
    path.write_bytes(data)
    return path


def subject(data: bytes, sizes: Mapping[str, int] | None = None) -> Subject:
    """A model as `compare` takes it."""
    return Subject(data, from_bytes(data, sizes))


def compared(a: bytes, b: bytes, data: Sequence[Case] = (), **options: Any) -> Comparison:
    """`compare` on serialised models."""
    return compare(subject(a), subject(b), data=data, **options)


def graph_of(data: bytes) -> Graph:
    """The graph of a serialised model."""
    return from_bytes(data)


def kernel(seed: int, *shape: int) -> Array:
    """Signed float32 weights that keep the variance of their input."""
    rng = np.random.default_rng(seed)
    fan = np.prod(shape[1:]) if len(shape) > 1 else 4
    return np.asarray(rng.standard_normal(shape) / np.sqrt(fan), np.float32)
