"""What the tests of import and export share: models by hand, and runs compared bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from convc.ir import Array
from convc.onnx_io import from_bytes, to_bytes

FLOAT = TensorProto.FLOAT


def info(name: str, shape: Sequence[int | str | None] | None, kind: int = FLOAT) -> ValueInfoProto:
    """An entry of the interface."""
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name: str, array: Any) -> TensorProto:
    """An initialiser."""
    return numpy_helper.from_array(np.asarray(array), name)


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
    *,
    opset: int = 17,
    ir: int = 8,
    domains: Mapping[str, int] | None = None,
    **more: Any,
) -> ModelProto:
    """A model; ``domains`` are the operator sets besides ONNX's own."""
    graph = helper.make_graph(nodes, "net", inputs, outputs, initializer=list(weights))
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(name, version) for name, version in (domains or {}).items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir, **more)


def session(source: bytes | str | Path) -> ort.InferenceSession:
    """A session with optimisations off, one thread."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    data = source if isinstance(source, bytes) else str(source)
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(source: bytes | str | Path, feeds: Mapping[str, Any]) -> list[Any]:
    """All outputs in onnxruntime."""
    return list(session(source).run(None, dict(feeds)))


def assert_same(before: Sequence[Any], after: Sequence[Any]) -> None:
    """Bit-identical: dtypes, shapes and bytes; lists (sequences) item by item."""
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        if isinstance(old, list):
            assert_same(old, new)
            continue
        assert (old.dtype, old.shape) == (new.dtype, new.shape)
        if old.dtype == np.dtype(object):
            assert old.tolist() == new.tolist()
        else:
            assert old.tobytes() == new.tobytes()


def assert_same_interface(before: ModelProto, after: ModelProto) -> None:
    """The same inputs (weights left out) and outputs: names, types, dims, docs."""
    weights = {t.name for t in before.graph.initializer}
    weights |= {t.values.name for t in before.graph.sparse_initializer}
    old = [value for value in before.graph.input if value.name not in weights]
    assert [v.SerializeToString() for v in after.graph.input] == [
        v.SerializeToString() for v in old
    ]
    assert [v.SerializeToString() for v in after.graph.output] == [
        v.SerializeToString() for v in before.graph.output
    ]


def round_trip(before: ModelProto, feeds: Mapping[str, Array] | None = None) -> ModelProto:
    """In and out again: interface and, where ``feeds`` are given, outputs are the same."""
    data = before.SerializeToString()
    graph = from_bytes(data)
    graph.verify()
    written = to_bytes(graph)
    after = ModelProto.FromString(written)
    assert_same_interface(before, after)
    if feeds is not None:
        assert_same(run(data, feeds), run(written, feeds))
    return after


def checked(made: ModelProto) -> ModelProto:
    """A model that onnx's checker accepts: what a test feeds has to be valid itself."""
    onnx.checker.check_model(made, full_check=True)
    return made
