"""``python -m tests.report.bench``: how long the page of a large model takes to write and to open.

Opened in a headless Chromium, several times; the best is printed, which is what the page costs on a
machine that does nothing else. The aim is 2 s for 1,000 ops.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from convc.api import optimize
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.report.history import computing
from convc.report.write import Means, write_compared
from convc.runtime import Settings
from tests.report.browser import chromium, missing, open_page

IMAGE = TensorType(np.dtype(np.float32), (1, 8, 16, 16))
TIMES = 5


def residual_network(ops: int) -> Graph:
    """At least so many ops: blocks of a 3×3 with its norm beside a 1×1, every other one skipped."""
    graph, random = Graph(), np.random.default_rng(0)

    def weight(*shape: int) -> Value:
        return graph.add_constant(random.normal(size=shape).astype(np.float32) / 8, "w")

    def op(kind: str, *operands: Value) -> Value:
        name = f"{kind.lower()}_{len(graph)}"
        attributes = {}
        if kind == "Conv":
            kernel = operands[1].shape[2:]  # type: ignore[index]
            attributes = {"kernel_shape": kernel, "pads": tuple(int(k) // 2 for k in kernel) * 2}
        return graph.add(kind, operands, attributes, types=(IMAGE,), names=(name,)).result

    value = graph.add_input("x", IMAGE)
    for number in range(-(-ops // 6)):
        norm = [weight(8), weight(8), weight(8), graph.add_constant(np.ones(8, np.float32), "one")]
        wide = op("BatchNormalization", op("Conv", value, weight(8, 8, 3, 3)), *norm)
        relu = op("Relu", op("Add", wide, op("Conv", value, weight(8, 8, 1, 1))))
        value = op("Add", relu, value) if number % 2 else op("Neg", relu)
    graph.set_outputs([value], ["y"])
    return graph


def main(sizes: list[int]) -> None:
    """Prints, for each number of ops, seconds to write the page and to open it, and its size."""
    reason = missing()
    if reason:
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder) / "profile") as driver:
        for ops in sizes:
            result = optimize(residual_network(ops), objective="macs", verify="off", history=True)
            assert result.history is not None
            path = Path(folder) / f"{ops}.html"
            start = perf_counter()
            write_compared(path, f"{ops} ops", result, Means(Settings()))
            written = perf_counter() - start
            opened = []
            for _ in range(TIMES):
                start = perf_counter()
                open_page(driver, path)
                opened.append(perf_counter() - start)
            counts = (
                len(computing(graph.ops()))
                for graph in (result.history.original, result.history.result)
            )
            print(
                f"{' → '.join(map(str, counts))} ops: written in {written:.2f} s, "
                f"{path.stat().st_size / 1e6:.2f} MB, opened in {min(opened):.2f} s"
            )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100, 1000, 5000])
