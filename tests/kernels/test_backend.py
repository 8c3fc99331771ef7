"""The kernels against onnx's own node tests: every one whose only op has a kernel."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convc.kernels import KERNELS, evaluate

# Tests whose expectation is no float64 answer, by name, with the reason.
TRAINING = "training form, which the kernels refuse"
FRACTIONAL = "align_corners by the fractional output size; onnxruntime uses the whole one"
EXCLUDED: dict[str, str] = {
    "test_batchnorm_epsilon_training_mode": TRAINING,
    "test_batchnorm_example_training_mode": TRAINING,
    "test_celu_bfloat16": "the expectation is rounded to bfloat16",
    "test_resize_downsample_scales_cubic_align_corners": FRACTIONAL,
    "test_resize_downsample_scales_linear_align_corners": FRACTIONAL,
    "test_training_dropout": TRAINING,
    "test_training_dropout_default": TRAINING,
    "test_training_dropout_default_mask": TRAINING,
    "test_training_dropout_mask": TRAINING,
}

# How many of onnx's tests were run when this was written (onnx 1.23.2).
AT_LEAST = 626


def decoded(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of `node` as kernels take them."""
    return {a.name: _plain(onnx.helper.get_attribute_value(a)) for a in node.attribute}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return promoted(numpy_helper.to_array(value))
    return tuple(_plain(v) for v in value) if isinstance(value, (list, tuple)) else value


def promoted(array: Any) -> Any:
    """`array` as float64 when it is of a floating type."""
    floating = np.issubdtype(array.dtype, np.floating) or array.dtype.name == "bfloat16"
    return array.astype(np.float64) if floating else array


@functools.cache
def collected() -> list[tuple[Any, str]]:
    """Every node test with the reason why it is skipped, empty for those that run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return [(case, skip_reason(case)) for case in collect_testcases(None)]


def cases() -> list[Any]:
    return [case for case, reason in collected() if not reason]


def skip_reason(case: Any) -> str:
    """Why `case` is no test of one kernel; empty when it is."""
    nodes = case.model.graph.node
    if len(nodes) != 1:
        return "several nodes"
    if nodes[0].domain or nodes[0].op_type not in KERNELS:
        return "no kernel"
    if not case.data_sets:
        return "no data"
    values = [v for data in case.data_sets for side in data for v in side]
    if not all(isinstance(v, (np.ndarray, np.generic)) for v in values):
        return "sequences"
    if any(v.dtype.kind in "OSU" for v in values):
        return "strings"
    return EXCLUDED.get(case.name, "")


def run(case: Any) -> None:
    node, opset = case.model.graph.node[0], case.model.opset_import[0].version
    for inputs, outputs in case.data_sets:
        named = dict(zip([i.name for i in case.model.graph.input], inputs, strict=True))
        given = [promoted(np.asarray(named[n])) if n else None for n in node.input]
        results = evaluate(node.op_type, given, decoded(node), opset, len(node.output))
        assert results is not None
        produced = dict(zip(node.output, results, strict=True))
        for value, expected in zip(case.model.graph.output, outputs, strict=True):
            result = produced[value.name]
            assert result.shape == np.shape(expected)
            assert result.dtype == promoted(np.asarray(expected)).dtype
            np.testing.assert_allclose(
                result, promoted(np.asarray(expected)), rtol=case.rtol, atol=case.atol
            )


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_node(case: Any) -> None:
    run(case)


def test_enough_nodes_were_tested() -> None:
    skipped = Counter(reason for _, reason in collected())
    print(f"{skipped.pop('')} node tests run; skipped: {dict(skipped)}")
    assert len(cases()) >= AT_LEAST


def test_exclusions_are_needed() -> None:
    names = {case.name for case, reason in collected() if reason in EXCLUDED.values()}
    assert names == set(EXCLUDED)
