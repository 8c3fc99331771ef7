"""Runs a model that may be larger than 2 GB, or compares what two runs gave.

    python -m tests.bench.big_child MODEL.onnx RESULT.npy
    python -m tests.bench.big_child A.npy B.npy

The first checks the file with onnx.checker and keeps the output for one fixed input; the second
prints the largest difference relative to the largest value of A. A process of its own for each
model: two at once need not fit into memory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(first: Path, second: Path) -> None:
    """Runs ``first`` where it is a model, else compares."""
    if first.suffix == ".npy":
        a, b = np.load(first), np.load(second)
        print(float(np.abs(a - b).max() / np.abs(a).max()))
        return
    import onnx  # what compares needs neither
    import onnxruntime

    onnx.checker.check_model(str(first))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    # Copies of the weights in another layout would double the memory.
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = onnxruntime.InferenceSession(first, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    x = np.random.default_rng(1).standard_normal(entry.shape).astype(np.float32)
    (y,) = session.run(None, {entry.name: x})
    np.save(second, y)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
