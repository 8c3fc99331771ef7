"""The roofline: how fast an op can be at best, and why it is likely to be slower.

S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", Communications of the ACM 52 (2009): an op that computes W operations and
moves Q bytes takes at least max(W / peak, Q / bandwidth) seconds. Which of the two binds is decided
by its arithmetic intensity W / Q.

The reasons are facts of onnxruntime's processor kernels. Its fast convolutions keep channels in
blocks as wide as a vector register (the NCHWc layout), and take constant float32 weights in two
spatial dims, with fewer input channels than a block or a multiple of four, whole blocks in every
group, or one filter a channel (depthwise). Channels are padded up to whole blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np

from convc.conv import group_of
from convc.costs.roofline.blocked import ALIGNMENT, block_of, is_folded, leaves_layout
from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, Op, Value, is_real
from convc.opset import info

OVERHEAD = 5e-6
"""Seconds of work below which calling an op costs as much as what it does."""

SUBNORMAL_KINDS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Kinds that multiply their weights over and over, so that slow numbers among them count."""

NATURES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "moves values in pieces": frozenset(
            [
                "Concat",
                "DepthToSpace",
                "Expand",
                "Gather",
                "GatherElements",
                "GatherND",
                "Pad",
                "ScatterElements",
                "ScatterND",
                "Slice",
                "SpaceToDepth",
                "Split",
                "Tile",
                "Transpose",
                "Where",
            ]
        ),
        "interpolates value by value": frozenset({"Resize", "Upsample"}),
        "reads each window value by value": frozenset({"AveragePool", "LpPool", "MaxPool"}),
        "one step waits for the other": frozenset({"GRU", "LSTM", "RNN"}),
    }
)
"""What some kinds always do that keeps them far from the peak, however they are written."""


class Peaks(Protocol):
    """What a machine does at best; `convc.machine.Machine` is one."""

    @property
    def macs_per_second(self) -> float:
        """Multiply-adds per second."""

    @property
    def bandwidths(self) -> tuple[tuple[int, float], ...]:
        """Pairs (bytes, bytes per second) with rising bytes."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The least seconds an op can take.

    Attributes:
        compute: what its operations take at the machine's peak.
        memory: what its bytes take at the bandwidth for so many.
    """

    compute: float
    memory: float

    @property
    def seconds(self) -> float:
        """The larger of the two."""
        return max(self.compute, self.memory)

    @property
    def side(self) -> Literal["compute", "memory"]:
        """Which of the two binds."""
        return "compute" if self.compute >= self.memory else "memory"


def bound(operations: int, moved: int, machine: Peaks) -> Bound:
    """The roofline of one op.

    Args:
        operations: additions, multiplications and the like; two for each multiply-add. Those on
            padded zeros are to be left out: a kernel may skip them.
        moved: bytes read and written.
        machine: what it runs on.
    """
    compute = operations / (2 * machine.macs_per_second)
    return Bound(compute, moved / bandwidth(moved, machine))


def bandwidth(moved: int, machine: Peaks) -> float:
    """Bytes per second at which ``moved`` bytes are read and written at best.

    That of the next smaller working set measured, or of a larger one where that was even faster:
    so the bound stays one where a cache ends between two of them.
    """
    sizes = [size for size, _ in machine.bandwidths]
    fitting = max((size for size in sizes if size <= moved), default=sizes[0])
    return max(speed for size, speed in machine.bandwidths if size >= fitting)


def reasons(graph: Graph, op: Op, lanes: int = 16, seconds: float | None = None) -> list[str]:
    """Why ``op`` is likely to run far below the machine's peak, in few words each.

    Args:
        graph: the graph of ``op``, at its ``sizes``.
        op: any op; of most there is nothing to say.
        lanes: floats in a vector register: the width of a block.
        seconds: its lower bound, where it is known.
    """
    if op.domain or op.is_boundary or op.kind == CONSTANT:
        return []
    found = [*_subnormal(op), *_of_kind(graph, op, lanes), *_of_any(graph, op, lanes, seconds)]
    return found or _by_nature(graph, op)


def _of_kind(graph: Graph, op: Op, lanes: int) -> Iterator[str]:
    if op.kind == "Conv":
        yield from _conv(graph, op, block_of(lanes))
    elif op.kind == "ConvTranspose":
        yield "transposed conv"
        yield from _rank(op)
        yield from _computed_weights(op)
    elif op.kind == "Resize" and op.attributes.get("mode") == "cubic":
        yield "cubic resize"


def _subnormal(op: Op) -> Iterator[str]:
    found = sum(_subnormals(value) for value in op.inputs) if op.kind in SUBNORMAL_KINDS else 0
    if found:
        yield f"{found} subnormal weight{'s' if found > 1 else ''}"


def _by_nature(graph: Graph, op: Op) -> list[str]:
    """What ops of this kind always do that keeps them far from the peak."""
    for reason, kinds in NATURES.items():
        if op.kind in kinds:
            return [reason]
    data = op.operand(0)
    if op.kind.startswith("Reduce") and data is not None and data.shape and op.result.shape:
        apart = data.shape[-1] == op.result.shape[-1] != 1
        return ["reduces values that lie apart"] if apart else []
    known = info(op)
    work = None if known is None or known.work is None else known.work(graph, op)
    return ["functions such as exp: many operations each"] if work and work.functions else []


def _of_any(graph: Graph, op: Op, lanes: int, seconds: float | None) -> Iterator[str]:
    if leaves_layout(graph, op, block_of(lanes)):
        mode = op.attributes.get("mode", "")
        name = f"{mode} {op.kind}" if op.kind == "Pad" and mode else op.kind
        yield f"{name} between convs: leaves the blocked layout"
    if seconds is not None and seconds < OVERHEAD:
        yield "small: the call costs as much as the work"


def _conv(graph: Graph, op: Op, block: int) -> Iterator[str]:
    yield from _rank(op)
    yield from _computed_weights(op)
    weight = op.operand(1)
    shape = None if weight is None else graph.concrete_shape(weight)
    if shape is None or len(shape) < 3 or not prod(shape):
        return
    if len(shape) == 4:
        yield from _channels(shape[0], shape[1], group_of(op), block)
    yield from _few_positions(graph, op, prod(shape))


def _rank(op: Op) -> Iterator[str]:
    shapes = (value.shape for value in op.inputs[:2] if value is not None)
    rank = next((len(shape) - 2 for shape in shapes if shape is not None), 2)
    if rank != 2:
        yield f"{rank}-D conv"


def _computed_weights(op: Op) -> Iterator[str]:
    weight = op.operand(1)
    if weight is None or is_folded(weight):
        return
    yield "weights are a graph input" if weight.op.kind == INPUT else "weights are computed"


def _channels(outputs: int, inputs: int, group: int, block: int) -> Iterator[str]:
    """What the channels of a 2-D conv with weights (outputs, inputs per group, ...) cost."""
    outputs_each = outputs // max(group, 1)
    if group > 1 and inputs == 1:
        if outputs_each != 1:
            yield f"depthwise multiplier {outputs_each}"
        elif outputs % block:
            yield _padded(outputs, "channel", block)
        return
    if group > 1:
        narrow = min(inputs, outputs_each)
        if narrow < block:
            yield f"groups of {narrow} channels, below the block of {block}"
        elif inputs % block or outputs_each % block:
            odd = inputs if inputs % block else outputs_each
            yield f"groups of {odd} channels: no multiple of {block}"
        return
    if inputs >= block and inputs % ALIGNMENT:
        yield f"{inputs} input channels: no multiple of {ALIGNMENT}"
    elif inputs >= block and inputs % block:
        yield _padded(inputs, "input channel", block)
    if outputs % block:
        yield _padded(outputs, "output channel", block)


def _padded(count: int, what: str, block: int) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}: computed as {-(-count // block) * block}"


def _few_positions(graph: Graph, op: Op, weights: int) -> Iterator[str]:
    """Where there are fewer activations than weights, reading the weights takes the time."""
    data = op.operand(0)
    before = None if data is None else graph.concrete_shape(data)
    after = graph.concrete_shape(op.result)
    if before is None or after is None or prod(before) + prod(after) >= weights:
        return
    positions = prod(after[2:])
    yield f"{positions} output position{'s' if positions != 1 else ''}: weights dominate"


def _subnormals(value: Value | None) -> int:
    array = None if value is None else value.array
    # float16 is computed in float32, where its subnormals are ordinary numbers.
    if array is None or not is_real(array.dtype) or array.dtype == np.float16:
        return 0
    values = array.astype(np.float32) if array.dtype.kind != "f" else array
    sizes = np.abs(values)
    return int(np.count_nonzero((sizes > 0) & (sizes < np.finfo(values.dtype).tiny)))
