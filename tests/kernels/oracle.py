"""onnxruntime on one node, optimisations off: what the kernels are compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from convc.kernels import evaluate

EPSILON = float(np.finfo(np.float32).eps)
Arrays = Sequence[np.ndarray | None]


def onnxruntime_results(
    kind: str, inputs: Arrays, attributes: Mapping[str, Any], opset: int, count: int = 1
) -> list[np.ndarray] | None:
    """The node's results, None where onnxruntime refuses to load or to run it."""
    feeds = {f"x{i}": v for i, v in enumerate(inputs) if v is not None}
    # Shapes are left open: shape inference could refuse or change what the kernel would do. But for
    # lists of sizes, of which it takes an unknown length for none at all.
    declared = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(v.dtype),
            v.shape if v.ndim == 1 and v.dtype == np.int64 else [None] * v.ndim,
        )
        for name, v in feeds.items()
    ]
    results = [f"y{i}" for i in range(count)]
    names = [f"x{i}" if v is not None else "" for i, v in enumerate(inputs)]
    given = {
        k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v
        for k, v in attributes.items()
    }
    node = helper.make_node(kind, names, results, **given)
    outputs = [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph([node], "node", declared, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(None, feeds))
    except Exception:  # onnxruntime's exception classes share no narrower base
        return None


def promoted(value: np.ndarray | None) -> np.ndarray | None:
    """float64 for floating arrays, others as they are."""
    if value is None or value.dtype.kind != "f":
        return value
    return value.astype(np.float64)


def compare(  # noqa: PLR0917 - a node is kind, inputs, attributes and opset
    counts: Counter[str],
    kind: str,
    inputs: Arrays,
    attributes: Mapping[str, Any],
    opset: int,
    tolerance: Any,
    count: int = 1,
) -> None:
    """Assert that kernel and onnxruntime agree; count it as compared, or as refused.

    `tolerance` is a number or an array for the first result; further ones must be equal.
    """
    expected = onnxruntime_results(kind, inputs, attributes, opset, count)
    if expected is None:
        counts["refused"] += 1
        return
    counts["compared"] += 1
    results = evaluate(kind, [promoted(v) for v in inputs], attributes, opset, count)
    assert results is not None
    assert len(results) == len(expected)
    for index, (result, reference) in enumerate(zip(results, expected, strict=True)):
        assert result.shape == reference.shape
        wanted = promoted(reference)
        assert wanted is not None
        assert result.dtype == wanted.dtype
        same = (result == wanted) | (np.isnan(result) & np.isnan(wanted))
        if index == 0 and wanted.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                same |= np.abs(result - wanted) <= tolerance
        assert same.all(), (result, wanted, attributes)
