"""The network that faults are tried on: convs and batch norms, a quarter of a megabyte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, helper

from tests.onnx_helpers import info, model, weight

CHANNELS, LAYERS, SIZE = 64, 2, 8


def write_network(path: Path, seed: int = 0) -> Path:
    """Writes it with weights from a seed; the default passes fold its norms."""
    rng = np.random.default_rng(seed)
    nodes: list[NodeProto] = []
    weights = []
    value = "x"
    for layer in range(LAYERS):
        kernel = rng.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype(np.float32) / 24
        weights.append(weight(f"k{layer}", kernel))
        norm = [f"n{layer}.{part}" for part in range(4)]
        weights += [weight(n, rng.uniform(0.5, 1.5, CHANNELS).astype(np.float32)) for n in norm]
        nodes += [
            helper.make_node("Conv", [value, f"k{layer}"], [f"c{layer}"], pads=[1] * 4),
            helper.make_node("BatchNormalization", [f"c{layer}", *norm], [f"b{layer}"]),
            helper.make_node("Relu", [f"b{layer}"], [f"r{layer}"]),
        ]
        value = f"r{layer}"
    shape = [1, CHANNELS, SIZE, SIZE]
    onnx.save(model(nodes, [info("x", shape)], [info(value, shape)], weights), path)
    return path
