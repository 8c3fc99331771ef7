"""How the axes of an op's results follow from those of its operands.

Only ops that look the same from every position are followed, but for what they see of a border:
windows that slide, what works on each element alone, shifts, paddings with a constant, an edge or a
mirror image, enlargements by whole numbers. Everything else fixes the axes that it touches: a
Reshape to constant sizes, a mean over all positions, a constant that is as large as the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import zip_longest
from types import MappingProxyType

from convc.conv import conv_geometry, ints, pool_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Op, Value
from convc.opset import constant_ints
from convc.proof.axes import FIXED, ONE, Axis, Track, fix, unify

ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "And", "BitShift", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div", "Dropout",
        "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid",
        "HardSwish", "Identity", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min",
        "Mish", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu",
        "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "Where",
        "Xor",
    }
)  # fmt: skip

BROADCASTS_FROM = 7
"""Opset from which elementwise ops broadcast as numpy does."""

PERIODIC = ("asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn")
"""Coordinates of Resize that do not depend on the size."""

TO_THE_END = 2**31 - 1

Known = Mapping[Value, Sequence[Axis]]
Rule = Callable[[Graph, Op, list[Sequence[Axis]]], "list[Sequence[Axis]] | None"]
"""The axes of the results from those of the operands; None: they cannot be followed."""


def follow(graph: Graph, op: Op, known: Known) -> list[Sequence[Axis]]:
    """The axes of each result of ``op``; those of its operands are fixed where that must be."""
    given = [() if value is None else known[value] for value in op.operands]
    rule = None if op.domain or op.captures else RULES.get(op.kind)
    found = None if rule is None else rule(graph, op, given)
    if found is not None and len(found) == len(op.results) and all(map(_fits, op.results, found)):
        return found
    for axes in given:
        fix(*axes)
    for axes in found or ():
        fix(*axes)
    return [still(value) for value in op.results]


def still(value: Value) -> Sequence[Axis]:
    """The axes of a value that keep their size."""
    return [ONE if size == 1 else FIXED for size in value.shape or ()]


def _fits(value: Value, axes: Sequence[Axis]) -> bool:
    return value.shape is None or len(value.shape) == len(axes)


def _elementwise(graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    if graph.header.opset < BROADCASTS_FROM and len(op.inputs) > 1:
        return None
    if any(value is not None and value.shape is None for value in op.operands):
        return None
    columns = zip_longest(*(reversed(axes) for axes in given), fillvalue=ONE)
    axes = [unify(column) for column in columns][::-1]
    return [axes for _ in op.results]


def _batch_norm(graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    learns = op.attributes.get("training_mode") or graph.header.opset < BROADCASTS_FROM
    if learns or len(op.results) > 1 or not op.attributes.get("spatial", 1) or len(given[0]) < 2:
        return None
    fix(given[0][1])
    return [[given[0][0], FIXED, *given[0][2:]]]


def _conv(_graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    weight = op.operand(1)
    geometry = conv_geometry(op)
    if geometry is None or weight is None or weight.array is None:
        return None
    return _slid(op, given[0], geometry.kernel, geometry.strides, geometry.dilations, keep=False)


def _pool(_graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    geometry = pool_geometry(op)
    if geometry is None or len(op.results) > 1:
        return None
    return _slid(op, given[0], geometry.kernel, geometry.strides, geometry.dilations, keep=True)


def _slid(
    op: Op,
    data: Sequence[Axis],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    keep: bool,
) -> list[Sequence[Axis]] | None:
    """A window over the axes behind the channels; ``keep``: on each channel alone."""
    rank = len(kernel)
    if len(data) != rank + 2:
        return None
    pads = ints(op, "pads", (0,) * 2 * rank)
    made: list[Axis] = []
    for i, axis in enumerate(data[2:]):
        extent = dilations[i] * (kernel[i] - 1) + 1
        # Pads, chosen by auto_pad at most as long as the window; the last window may hang over.
        beyond = max(extent, abs(pads[i]), abs(pads[rank + i])) + strides[i]
        made.append(_moved(axis, extent + beyond, strides[i]))
    if keep:
        return [[data[0], data[1], *made]]
    fix(data[1])
    return [[data[0], FIXED, *made]]


def _moved(axis: Axis, farther: int, factor: Fraction | int) -> Axis:
    """Along a track the next one; an axis of size 1 may grow by its pads, so it counts as fixed."""
    if isinstance(axis, Track):
        return axis.farther(farther).coarser(factor)
    return FIXED


def _transpose_conv(
    _graph: Graph, op: Op, given: list[Sequence[Axis]]
) -> list[Sequence[Axis]] | None:
    weight = op.operand(1)
    geometry = transpose_geometry(op)
    data = given[0]
    if (
        geometry is None
        or weight is None
        or weight.array is None
        or "output_shape" in op.attributes
    ):
        return None
    rank = len(geometry.kernel)
    if len(data) != rank + 2:
        return None
    made: list[Axis] = []
    for i, axis in enumerate(data[2:]):
        stride = geometry.strides[i]
        extent = geometry.dilations[i] * (geometry.kernel[i] - 1) + 1
        cropped = abs(geometry.pads_begin[i]) + abs(geometry.pads_end[i])
        beyond = extent + cropped + geometry.output_padding[i]
        made.append(_moved(axis, -(-beyond // stride) + 1, Fraction(1, stride)))
    fix(data[1])
    return [[data[0], FIXED, *made]]


def _concat(_graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    at = op.attributes.get("axis", 1)
    rank = len(given[0])
    if not isinstance(at, int) or any(len(axes) != rank for axes in given) or not rank:
        return None
    at %= rank
    fix(*(axes[at] for axes in given))
    return [[FIXED if i == at else unify(axes[i] for axes in given) for i in range(rank)]]


def _split(_graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    at = op.attributes.get("axis", 0)
    data = given[0]
    if not isinstance(at, int) or not data:
        return None
    at %= len(data)
    fix(data[at])
    return [[*data[:at], FIXED, *data[at + 1 :]] for _ in op.results]


def _slice(_graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    starts, ends = constant_ints(op, 1, "starts"), constant_ints(op, 2, "ends")
    axes, steps = constant_ints(op, 3, "axes"), constant_ints(op, 4, "steps")
    unknown = (axes is None and op.operand(3)) or (steps is None and op.operand(4))
    data, made = op.operand(0), list(given[0])
    shape = None if data is None else data.shape
    if starts is None or ends is None or unknown or shape is None or len(shape) != len(made):
        return None
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        at = (i if axes is None else axes[i]) % len(made)
        step = 1 if steps is None else steps[i]
        made[at] = _cut(made[at], shape[at], start, end, step)
    return [made]


def _cut(axis: Axis, size: int | str | None, start: int, end: int, step: int) -> Axis:
    """From so far behind the begin to so far before the end; what is cut otherwise is fixed."""
    whole = end >= TO_THE_END or (isinstance(size, int) and end >= size)
    if not isinstance(axis, Track) or start < 0 or step < 1 or not (whole or end < 0):
        fix(axis)
        return FIXED
    return axis.farther(start + (0 if whole else -end) + step).coarser(step)


def _pad(_graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    pads = constant_ints(op, 1, "pads")
    mode = op.attributes.get("mode", "constant")
    if pads is None or mode == "wrap" or op.operand(3) is not None:
        return None
    rank = len(given[0])
    if len(pads) != 2 * rank:
        return None
    made: list[Axis] = []
    for i, axis in enumerate(given[0]):
        begin, end = pads[i], pads[rank + i]
        if not begin and not end:
            made.append(axis)
            continue
        # A mirror image reads as far inside as it reaches outside.
        made.append(_moved(axis, 2 * max(abs(begin), abs(end)) + 1, 1))
    return [made]


def _transpose(_graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    rank = len(given[0])
    order = ints(op, "perm", range(rank)[::-1])
    if sorted(order) != list(range(rank)):
        return None
    return [[given[0][i] for i in order]]


def _matmul(_graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    a, b = op.operand(0), op.operand(1)
    if a is None or b is None or (a.array is None) == (b.array is None):
        return None
    rows, columns = given
    if len(rows) < 2 or len(columns) < 2:
        return None
    if b.array is not None and len(columns) == 2:
        fix(rows[-1])
        return [[*rows[:-1], FIXED]]
    if a.array is not None and len(rows) == 2:
        fix(columns[-2])
        return [[*columns[:-2], FIXED, columns[-1]]]
    return None


def _depth_to_space(
    _graph: Graph, op: Op, given: list[Sequence[Axis]]
) -> list[Sequence[Axis]] | None:
    return _blocks(op, given[0], enlarge=True)


def _space_to_depth(
    _graph: Graph, op: Op, given: list[Sequence[Axis]]
) -> list[Sequence[Axis]] | None:
    return _blocks(op, given[0], enlarge=False)


def _blocks(op: Op, data: Sequence[Axis], *, enlarge: bool) -> list[Sequence[Axis]] | None:
    block = op.attributes.get("blocksize")
    if not isinstance(block, int) or block < 1 or len(data) != 4:
        return None
    factor = Fraction(1, block) if enlarge else Fraction(block)
    fix(data[1])
    return [[data[0], FIXED, *(_moved(axis, 1 if enlarge else block, factor) for axis in data[2:])]]


def _resize(graph: Graph, op: Op, given: list[Sequence[Axis]]) -> list[Sequence[Axis]] | None:
    scales = _scales(graph, op)
    mode = op.attributes.get("mode", "nearest")
    coordinates = op.attributes.get("coordinate_transformation_mode", "half_pixel")
    if scales is None or len(scales) != len(given[0]) or op.attributes.get("antialias"):
        return None
    if coordinates not in PERIODIC or "keep_aspect_ratio_policy" in op.attributes:
        return None
    if "axes" in op.attributes:
        return None  # the scales may come in another order than the axes
    made: list[Axis] = []
    for axis, scale in zip(given[0], scales, strict=True):
        whole = int(scale)
        if scale == 1:
            made.append(axis)
        elif scale != whole or whole < 1 or (mode == "nearest" and whole & (whole - 1)):
            # Coordinates of nearest are float32: thirds of large ones are rounded.
            return None
        else:
            made.append(_moved(axis, 4, Fraction(1, whole)))
    return [made]


def _scales(graph: Graph, op: Op) -> list[float] | None:
    said = op.attributes.get("scales")
    if isinstance(said, tuple):
        return [float(scale) for scale in said]
    at = 2 if op.kind == "Resize" and graph.header.opset >= 11 else 1
    value = op.operand(at)
    if value is None or value.array is None or op.operand(3) is not None:
        return None
    return [float(scale) for scale in value.array.reshape(-1)]


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(ELEMENTWISE, _elementwise),
        "AveragePool": _pool,
        "BatchNormalization": _batch_norm,
        "Concat": _concat,
        "Conv": _conv,
        "ConvTranspose": _transpose_conv,
        "DepthToSpace": _depth_to_space,
        "LpPool": _pool,
        "MatMul": _matmul,
        "MaxPool": _pool,
        "Pad": _pad,
        "Resize": _resize,
        "Slice": _slice,
        "SpaceToDepth": _space_to_depth,
        "Split": _split,
        "Transpose": _transpose,
        "Upsample": _resize,
    }
)
