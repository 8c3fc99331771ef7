"""The small models that mutants are planted under: each shows a pass one thing to rewrite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from onnx import NodeProto

from convc.ir import Array
from tests.tiny import FLOAT, model, node

MODELS = Path(__file__).parents[2] / "models"

Sample: TypeAlias = Callable[[], "bytes | Path"]
"""Makes a serialised model, or names a file."""


def shared(name: str) -> Sample:
    """One of the models of the project."""
    return lambda: MODELS / f"{name}.onnx"


class Net:
    """A model written node by node: each method adds one and returns the name of its result."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, Array] = {}

    def op(self, kind: str, *operands: str, **attributes: Any) -> str:
        """Any op; ``-`` for an operand that is left out."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(node(kind, " ".join(operands), name, **attributes))
        return name

    def constant(self, array: Any) -> str:
        name = f"w{len(self.weights)}"
        array = np.asarray(array)
        floating = array.dtype.kind == "f"
        self.weights[name] = array.astype(np.float32 if floating else np.int64)
        return name

    def kernel(self, *shape: int) -> Array:
        """Signed weights that keep the variance of their input."""
        return self.random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))

    def vector(self, count: int, low: float = -1.0, high: float = 1.0) -> Array:
        return self.random.uniform(low, high, count)

    def conv(
        self, x: str, weight: Any, bias: Any = None, kind: str = "Conv", **attributes: Any
    ) -> str:
        more = [] if bias is None else [self.constant(bias)]
        return self.op(kind, x, self.constant(weight), *more, **attributes)

    def norm(self, x: str, count: int, **attributes: Any) -> str:
        """A BatchNormalization whose four vectors have nothing in common."""
        vectors = (
            self.vector(count, 0.5, 2),
            self.vector(count),
            self.vector(count),
            self.vector(count, 0.1, 2),
        )
        return self.op("BatchNormalization", x, *map(self.constant, vectors), **attributes)

    def by_channel(self, kind: str, x: str, values: Array, ndim: int = 2) -> str:
        """A Mul, Add, Sub or Div by one constant for each channel."""
        return self.op(kind, x, self.constant(values.reshape(-1, *(1,) * ndim)))

    def model(self, *shape: int | str, dtype: int = FLOAT) -> bytes:
        """The model from ``x``, of that shape and dtype, to the last result."""
        inputs, outputs = {"x": (dtype, shape)}, {self.nodes[-1].output[0]: FLOAT}
        return model(self.nodes, self.weights, inputs=inputs, outputs=outputs)
