"""Measures what one process needs for a model's activations; a process of its own for each model.

    python -m tests.bench.memory_child MODEL

Prints one JSON object. The model is run as it is written: onnxruntime's optimisations, arena and
memory patterns off, one thread, the open dims fixed at the graph's sizes. What is measured is the
growth of resident memory from before a run to its highest point, the inputs added to it (they are
there before the run and stay). Memory that is freed has to go back to the system at once: start
this with the environment of `tests.bench.memory.child_environment`.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import onnx
import onnxruntime

from convc.concrete import resolve_shapes
from convc.costs.memory import peak_activation_bytes
from convc.feeds import noise
from convc.graph import Graph
from convc.ir import Array, Op
from convc.onnx_io import from_bytes
from tests.real_models import cut_down, sizes_of

RUNS = 3
RESET_PEAK = "5"
"""What Linux wants written into ``clear_refs`` to start VmHWM anew."""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1])
        data = prepared(cut_down(path, Path(folder)), sizes_of(path))
        graph = from_bytes(data)
        resolve_shapes(graph)
        feeds = noise(graph)
        found: dict[str, Any] = {
            "counted": peak_activation_bytes(graph),
            # Buffers freed after their last use, and the runtime's default: kept for later values.
            "freed": measured(data, feeds, reuse=False),
            "kept": measured(data, feeds, reuse=True),
            "own_order": own_order(data, graph, feeds, Path(folder)),
        }
    print(json.dumps(found))
    return 0


def prepared(path: Path, sizes: Mapping[str, int]) -> bytes:
    """The model with a name for every node and its open dims fixed.

    The runtime plans before it sees an input: of two results of open size it cannot know that one
    fits into the other's place.
    """
    data = path.read_bytes()
    graph = from_bytes(data, sizes)
    model = onnx.load_from_string(data)
    for i, node in enumerate(model.graph.node):
        node.name = f"node{i}"
    shapes = {value.name: graph.concrete_shape(value) for value in graph.inputs}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, shapes.get(value.name) or (), strict=False):
            dim.dim_value = size
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    named: bytes = model.SerializeToString()
    return named


def session(data: bytes, *, reuse: bool, profile: str = "") -> Any:
    """A session that does nothing behind the model's back."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.enable_mem_reuse = reuse
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def measured(data: bytes, feeds: Mapping[str, Array], *, reuse: bool) -> int:
    """Bytes of the inputs and what a run adds to resident memory at its highest point."""
    runner = session(data, reuse=reuse)
    runner.run(None, dict(feeds))  # the first run sets up what stays
    grown = []
    for _ in range(RUNS):
        gc.collect()
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
        before = status("VmRSS")
        results = runner.run(None, dict(feeds))
        grown.append(status("VmHWM") - before)
        del results
    return int(median(grown)) + sum(array.nbytes for array in feeds.values())


def status(key: str) -> int:
    """A size from the process's own status, in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, key
    return int(found[1]) * 1024


def own_order(
    data: bytes, graph: Graph, feeds: Mapping[str, Array], folder: Path
) -> dict[str, int]:
    """What is counted in the order in which the runtime runs the nodes, and its largest columns.

    What nobody needs the runtime leaves out, and so does this.
    """
    runner = session(data, reuse=False, profile=str(folder / "profile"))
    runner.run(None, dict(feeds))
    events = json.loads(Path(runner.end_profiling()).read_text())
    names = [e["name"].removesuffix("_kernel_time") for e in events if e.get("cat") == "Node"]
    graph.erase_dead(graph.ops())
    by_name = {op.name: op for op in graph.ops()}
    order: dict[Op, None] = {}
    for name in names:
        if name in by_name:
            _append(by_name[name], order)
    return {
        "peak": peak_activation_bytes(graph, list(order)),
        "columns": max((columns(graph, op) for op in order), default=0),
    }


def _append(op: Op, order: dict[Op, None]) -> None:
    """Adds ``op``, before it those of its producers that the runtime left out (idle casts)."""
    for value in op.operands:
        if value is not None and value.op not in order:
            _append(value.op, order)
    order[op] = None


def columns(graph: Graph, op: Op) -> int:
    """Bytes of the matrix from which onnxruntime's transposed conv adds up its result."""
    if op.kind != "ConvTranspose" or op.domain:
        return 0
    image, kernel = op.operands[:2]
    if image is None or kernel is None:
        return 0
    kernel_shape, image_shape = graph.concrete_shape(kernel), graph.concrete_shape(image)
    if kernel_shape is None or image_shape is None:
        return 0
    return 4 * prod(kernel_shape[1:]) * prod(image_shape[2:])


if __name__ == "__main__":
    sys.exit(main())
