"""A network with gigabytes of weights, written piece by piece: never more than one weight is held.

    python -m tests.bench.heavy PATH [--gigabytes 2.5] [--files 1] [--mix changed|folded|copied]

One protobuf ends at 2 GiB, so the weights lie beside the model, in one file or in several, as
ONNX's external data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from convc.onnx_io.exporter import LARGE

MIXES = ("changed", "folded", "copied")
WIDTH, INNER, HIDDEN = 1024, 4096, 4096
"""Channels between the blocks, within their linear part, and of the dense layers."""
FEATURES, SIZE = 128, 14
"""Channels and height of what the first dense layer takes: as many as VGG's has."""
CLASSES = 1000
DEAD = 8
"""Every how manyth filter is zero."""
GIGABYTE = 10**9

Floats = NDArray[np.float32]


class Writer:
    """Writes weights to their files, one after the other, and keeps only where they are."""

    def __init__(self, path: Path, files: int, seed: int = 0) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self.size = 0
        self._rng = np.random.default_rng(seed)
        self._files = [path.with_name(f"{path.stem}.{i}.bin") for i in range(files)]
        for file in self._files:
            file.unlink(missing_ok=True)

    def put(self, array: Floats) -> str:
        """The name of a new weight; the files take turns."""
        tensor = TensorProto(name=f"w{len(self.weights)}", data_type=TensorProto.FLOAT)
        tensor.dims.extend(array.shape)
        if array.nbytes < LARGE:
            tensor.raw_data = array.tobytes()
        else:
            file = self._files[len(self.weights) % len(self._files)]
            with file.open("ab") as out:
                place = {"location": file.name, "offset": out.tell(), "length": array.nbytes}
                out.write(array.data)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
        self.weights.append(tensor)
        self.size += array.nbytes
        return tensor.name

    def kernel(self, *shape: int, dead: bool = False) -> str:
        """A weight that keeps the variance of what it is applied to; ``dead``: some rows are 0."""
        array = self._rng.random(shape, np.float32)
        array -= 0.5
        array *= np.sqrt(12 / np.prod(shape[1:]))
        if dead:
            array[::DEAD] = 0
        return self.put(array)

    def vector(self, size: int, low: float, high: float) -> str:
        """A weight for each channel."""
        return self.put(self._rng.uniform(low, high, size).astype(np.float32))

    def node(self, kind: str, *operands: str, **attributes: object) -> str:
        """The name of the result of a new node."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, operands, [name], name, **attributes))
        return name

    def norm(self, value: str, channels: int) -> str:
        """A batch norm; where ``value`` is zero it is not, but for what its ReLU lets through."""
        ranges = ((1.0, 1.5), (-0.2, 0.2), (-0.1, 0.1), (0.8, 1.2))
        return self.node(
            "BatchNormalization", value, *(self.vector(channels, *each) for each in ranges)
        )


def write(path: Path, size: int, files: int = 1, mix: str = "changed", seed: int = 0) -> int:
    """Writes the network; returns the bytes of its weights, which are ``size`` or little more.

    Args:
        path: the model's file; its data files lie beside it.
        size: bytes of weights to reach.
        files: number of data files, which take turns.
        mix: what the passes find. ``changed``: batch norms to fold, two linear layers of which one
            is left, dead filters; every weight is computed anew. ``folded``: only norms, so every
            weight is computed anew and none gets smaller. ``copied``: nothing.
        seed: of the weights.
    """
    writer = Writer(path, files, seed)
    dense_in = FEATURES * SIZE * SIZE
    dense = 4 * (dense_in * HIDDEN + HIDDEN * HIDDEN + HIDDEN * CLASSES)
    value = writer.node("Conv", "x", writer.kernel(WIDTH, 3, 3, 3), pads=[1, 1, 1, 1])
    while writer.size < size - dense:
        value = _block(writer, value, mix)
    value = writer.node("Conv", value, writer.kernel(FEATURES, WIDTH, 1, 1))
    value = writer.node("Flatten", value)
    for inputs in (dense_in, HIDDEN):
        value = writer.node("Gemm", value, writer.kernel(HIDDEN, inputs), transB=1)
        value = writer.node("Relu", value if mix == "copied" else writer.norm(value, HIDDEN))
    value = writer.node("Gemm", value, writer.kernel(CLASSES, HIDDEN), transB=1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIZE, SIZE])
    y = helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, CLASSES])
    graph = helper.make_graph(writer.nodes, "heavy", [x], [y], writer.weights)
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    )
    return writer.size


def _block(writer: Writer, value: str, mix: str) -> str:
    """A 3×3 conv, and two 1×1 with a wide value between them."""
    dead = mix == "changed"
    kernel = writer.kernel(WIDTH, WIDTH, 3, 3, dead=dead)
    value = writer.node("Conv", value, kernel, pads=[1, 1, 1, 1])
    value = writer.node("Relu", value if mix == "copied" else writer.norm(value, WIDTH))
    for outputs, inputs in ((INNER, WIDTH), (WIDTH, INNER)):
        value = writer.node("Conv", value, writer.kernel(outputs, inputs, 1, 1))
        if mix == "folded":
            value = writer.norm(value, outputs)
        if mix != "changed":
            value = writer.node("Relu", value)
    return writer.node("Relu", value) if mix == "changed" else value


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--gigabytes", type=float, default=2.5)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--mix", choices=MIXES, default="changed")
    args = parser.parse_args(argv)
    print(write(args.path, round(args.gigabytes * GIGABYTE), args.files, args.mix))
    return 0


if __name__ == "__main__":
    sys.exit(main())
