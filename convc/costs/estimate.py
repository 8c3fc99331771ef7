"""An estimate of the time an op takes in onnxruntime: MACs, corrected by what is known of it.

Fewer MACs is not faster: a grouped convolution with narrow groups runs ten times below the speed of
a dense one. This is a coarse model of one core with wide vectors, only good for comparing two forms
of the same computation; who can ask the clock should. Its figures were read off single ops timed
with onnxruntime 1.31 and 1.32 on x86 with AVX-512; they are no promise for any other machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType

from convc.conv import group_of
from convc.graph import Graph
from convc.ir import Op, Value
from convc.opset import info, macs
from convc.opset.traffic import traffic

PEAK = 80e9
"""MACs per second of a dense convolution whose channels fill the blocks."""
BANDWIDTH = 40e9
"""Bytes per second that simple ops move, between what a cache gives and what memory does."""
CALL = 2e-6
"""Seconds that calling any op takes."""
BLOCK = 16
"""Channels in a block of the runtime's own layout."""

ONE_BLOCK = 0.65
"""Part of the peak that filters of a single block reach: too few sums are under way at a time."""
CONV_1D, CONV_3D = 0.75, 0.55
"""Part of the peak that a convolution reaches which the blocked layout does not take."""
UNALIGNED = 0.65
"""Part of the peak with input channels that fill no blocks."""
NARROW: Mapping[int, float] = MappingProxyType({1: 0.05, 2: 0.08, 4: 0.15, 8: 0.22})
"""Part of the peak by the channels of a group."""
DEPTHWISE = 0.25
"""Part of the peak of one filter a channel; outside the blocked layout `NARROW` holds."""
COLUMNS = 20e9
"""Bytes per second of the column matrix of a transposed convolution."""
COLUMNS_3D = 30e9
"""The same of a convolution over three axes."""

SLOW: Mapping[str, float] = MappingProxyType(
    {
        "Concat": 20e9,
        "DepthToSpace": 8e9,
        "Gather": 8e9,
        "Pad": 10e9,
        "Slice": 12e9,
        "SpaceToDepth": 8e9,
        "Split": 20e9,
        "Transpose": 10e9,
    }
)
"""Bytes per second of the kinds that move data less than straight."""
SHUFFLED = 3.5e9
"""Bytes per second of a Transpose that is more than one axis put elsewhere."""

INTERPOLATED: Mapping[str, float] = MappingProxyType({"linear": 1.5e-9, "cubic": 5e-8})
"""Seconds for each output of a Resize."""

FUSED = frozenset({"Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid"})
"""Kinds that are computed along with the convolution before them."""


def estimate(graph: Graph, op: Op) -> float | None:
    """Seconds of one op at the graph's ``sizes``; None where a size or the kind is not known."""
    known = info(op)
    moved = traffic(graph, op)
    if known is None or known.work is None or moved is None:
        return None
    if known.view or _is_fused(graph, op):
        return 0.0
    bytes_moved = sum(moved)
    if op.kind in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        products = _products(graph, op)
        return None if products is None else CALL + max(products, bytes_moved / BANDWIDTH)
    if op.kind in ("Resize", "Upsample"):
        return CALL + bytes_moved / BANDWIDTH + _interpolated(graph, op)
    if op.kind in ("AveragePool", "MaxPool", "GlobalAveragePool"):
        work = known.work(graph, op)
        return None if work is None else CALL + max(work.operations / PEAK, bytes_moved / BANDWIDTH)
    if op.kind == "Transpose" and _is_shuffle(op):
        return CALL + bytes_moved / SHUFFLED
    return CALL + bytes_moved / SLOW.get(op.kind, BANDWIDTH)


def _is_shuffle(op: Op) -> bool:
    """Whether no single axis put elsewhere makes this Transpose."""
    order = op.attributes.get("perm")
    if not isinstance(order, tuple):
        return False
    rest = [[axis for axis in order if axis != moved] for moved in order]
    return not any(axes == sorted(axes) for axes in rest)


def _products(graph: Graph, op: Op) -> float | None:
    count = macs(graph, op)
    weight = op.operand(1)
    shape = None if weight is None else graph.concrete_shape(weight)
    if count is None or shape is None:
        return None
    if op.kind in ("Gemm", "MatMul") or len(shape) < 3:
        return count / PEAK
    if op.kind == "ConvTranspose":
        columns = _columns(graph, op, shape)
        return None if columns is None else count / PEAK + columns / COLUMNS
    seconds = count / (PEAK * efficiency(shape, group_of(op)))
    if len(shape) == 5 and prod(shape[2:]) > 1:
        columns = _columns(graph, op, shape)
        return None if columns is None else seconds + columns / COLUMNS_3D
    return seconds


def efficiency(shape: tuple[int, ...], group: int) -> float:
    """Part of the peak that a Conv with weights (K, C/group, ...) reaches."""
    outputs, inputs = shape[0], shape[1]
    each = outputs // max(group, 1)
    if group > 1 and inputs == each == 1:
        return DEPTHWISE if len(shape) == 4 else NARROW[1]
    if group > 1:
        width = min(inputs, each)
        narrow = max((n for n in NARROW if n <= width), default=1)
        part = 1.0 if width >= BLOCK else NARROW[narrow]
    else:
        part = filled(outputs)
        part *= UNALIGNED if inputs >= BLOCK and inputs % 4 else 1.0
        part *= inputs / _padded(inputs) if inputs >= BLOCK and inputs % 4 == 0 else 1.0
    if len(shape) == 4:
        return part
    # Outside of the blocked layout nothing is padded.
    rank = CONV_1D if len(shape) == 3 else CONV_3D
    return rank if group == 1 else part * rank


def filled(outputs: int) -> float:
    """Part of the peak that a dense convolution of ``outputs`` filters reaches."""
    return outputs / _padded(outputs) * (ONE_BLOCK if outputs <= BLOCK else 1.0)


def _padded(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK if channels else 1


def _columns(graph: Graph, op: Op, shape: tuple[int, ...]) -> int | None:
    """Bytes of the column matrix, written and read.

    It has a value for each filter tap and input of a transposed convolution, or output of another.
    """
    is_transposed = op.kind == "ConvTranspose"
    value = op.operand(0) if is_transposed else op.result
    at = None if value is None else graph.concrete_shape(value)
    if at is None or value is None or value.dtype is None:
        return None
    taps = shape[1] * group_of(op) * prod(shape[2:])
    return 2 * taps * at[0] * prod(at[2:]) * value.dtype.itemsize


def _interpolated(graph: Graph, op: Op) -> float:
    mode = op.attributes.get("mode", "nearest")
    shape = graph.concrete_shape(op.result) or ()
    return INTERPOLATED.get(str(mode), 0.0) * prod(shape)


def _is_fused(graph: Graph, op: Op) -> bool:
    if op.domain or op.kind not in FUSED:
        return False
    data = op.operand(0)
    return data is not None and data.op.kind == "Conv" and _has_one_use(graph, data)


def _has_one_use(graph: Graph, value: Value) -> bool:
    users = iter(graph.iter_users(value.op))
    next(users, None)
    return next(users, None) is None
