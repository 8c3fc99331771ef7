"""Models with changes of layout in them, drawn by Hypothesis, as serialised ONNX.

Every value is tracked with its shape and with the permutation by which it is read from the layout
that a rewrite would choose, so that models can end with the Transposes that cancel, or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np
from hypothesis import strategies as st
from onnx import NodeProto

from convc.graph import Graph
from convc.ir import Array
from convc.pipeline import Pass
from convc.rewrite import Rule
from passes.commute_linear import layout as _commute_layout
from tests.tiny import FLOAT, graph_of, model, node

Shape = tuple[int, ...]
OPSETS = (9, 11, 13, 17, 18, 21)


@dataclass(frozen=True)
class Layouts(Pass):
    """The rules on their own."""

    name: ClassVar[str] = "layouts"

    def rules(self) -> Sequence[Rule]:
        return _commute_layout.rules()


@dataclass
class Writer:
    """Collects the nodes and weights of a model."""

    opset: int
    rng: np.random.Generator
    nodes: list[NodeProto] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, Shape] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    other_types: set[str] = field(default_factory=set)

    def alike(self, shape: Shape) -> list[str]:
        """The floating values of ``shape``."""
        return [n for n, s in self.shapes.items() if s == shape and n not in self.other_types]

    def fresh(self, shape: Sequence[int]) -> str:
        """A new name for a value of ``shape``."""
        name = f"v{len(self.shapes)}"
        self.shapes[name] = tuple(shape)
        return name

    def feed(self, shape: Sequence[int]) -> str:
        """A new graph input."""
        name = self.fresh(shape)
        self.inputs[name] = tuple(shape)
        return name

    def weight(self, array: Array) -> str:
        """A new constant."""
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(array)
        return name

    def noise(self, shape: Sequence[int]) -> str:
        """A new constant of float32 noise."""
        return self.weight(np.asarray(self.rng.standard_normal(shape), np.float32))

    def ints(self, values: Sequence[int]) -> str:
        """A new constant of integers."""
        return self.weight(np.array(values, np.int64))

    def op(self, kind: str, inputs: str, *shapes: Sequence[int], **attributes: Any) -> str:
        """A node with a result for each of ``shapes``; the name of the first."""
        names = [self.fresh(shape) for shape in shapes]
        self.nodes.append(node(kind, inputs, " ".join(names), **attributes))
        return names[0]

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        """A Transpose."""
        shape = [self.shapes[name][axis] for axis in perm]
        return self.op("Transpose", name, shape, perm=list(perm))

    def graph(self) -> Graph:
        """The graph, with its types inferred."""
        data = model(
            self.nodes,
            self.weights,
            inputs={name: (FLOAT, shape) for name, shape in self.inputs.items()},
            outputs=dict.fromkeys(self.outputs, FLOAT),
            opset=self.opset,
        )
        return graph_of(data)


Draw = st.DrawFn


def undo(perm: Sequence[int]) -> list[int]:
    """The permutation that undoes ``perm``."""
    return [list(perm).index(axis) for axis in range(len(perm))]


@st.composite
def islands(draw: Draw) -> Graph:
    """Transposed inputs, ops on them, and Transposes back of what is left: not all of them match.

    The ops change sizes, ranks and numbers of values, in the forms of the drawn opset.
    """
    writer = Writer(draw(st.sampled_from(OPSETS)), np.random.default_rng(draw(st.integers(0, 999))))
    rank = draw(st.integers(2, 5))
    perm = draw(st.permutations(range(rank)))
    shape = [draw(st.sampled_from([1, 2, 2, 3, 4])) for _ in range(rank)]
    live = [_entry(draw, writer, shape, perm)]
    if draw(st.booleans()):
        live.append(_entry(draw, writer, shape, perm))
    for _ in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(live))
        step = draw(st.sampled_from(STEPS))
        made = step(draw, writer, name)
        if made and all(0 < prod(writer.shapes[new]) < 5000 for new in made):
            keep = name in live and not draw(st.integers(0, 4))
            live = [other for other in live if other != name or keep] + made
    back = undo(perm)
    for name in dict.fromkeys(live):
        ndim = len(writer.shapes[name])
        choice = draw(st.sampled_from(["back", "back", "back", "none", "any"]))
        if choice == "none" or ndim < 2:
            writer.outputs.append(writer.op("Identity", name, writer.shapes[name]))
            continue
        order = back if choice == "back" and ndim == rank else draw(st.permutations(range(ndim)))
        writer.outputs.append(writer.transpose(name, order))
    return writer.graph()


def _entry(draw: Draw, writer: Writer, shape: Sequence[int], perm: Sequence[int]) -> str:
    """An input in the layout that comes out of a Transpose as ``shape`` permuted, or as it is."""
    if draw(st.integers(0, 5)):
        return writer.transpose(writer.feed(shape), perm)
    return writer.feed([shape[axis] for axis in perm])


Step = Callable[[Draw, Writer, str], list[str]]


def unary(draw: Draw, writer: Writer, name: str) -> list[str]:
    kind = draw(st.sampled_from(["Relu", "Neg", "Sigmoid", "LeakyRelu", "Tanh", "Clip"]))
    inputs = name
    if kind == "Clip" and writer.opset >= 11:
        inputs = f"{name} {writer.weight(np.float32(-1))} {writer.weight(np.float32(1))}"
    return [writer.op(kind, inputs, writer.shapes[name])]


def binary(draw: Draw, writer: Writer, name: str) -> list[str]:
    """With a constant that broadcasts, on either side, of any rank up to the value's."""
    shape = writer.shapes[name]
    first = draw(st.integers(0, len(shape)))
    other = writer.noise([draw(st.sampled_from([1, d])) for d in shape[first:]])
    kind = draw(st.sampled_from(["Add", "Mul", "Sub", "Max", "PRelu"]))
    operands = [name, other] if kind in ("PRelu", "Max") or draw(st.booleans()) else [other, name]
    return [writer.op(kind, " ".join(operands), shape)]


def pair(draw: Draw, writer: Writer, name: str) -> list[str]:
    """Two values of one shape, added, or chosen from by a comparison."""
    shape = writer.shapes[name]
    other = draw(st.sampled_from(writer.alike(shape)))
    if draw(st.booleans()):
        return [writer.op("Add", f"{name} {other}", shape)]
    test = writer.op("Less", f"{name} {other}", shape)
    writer.other_types.add(test)
    return [writer.op("Where", f"{test} {other} {name}", shape)]


def softmax(draw: Draw, writer: Writer, name: str) -> list[str]:
    rank = len(writer.shapes[name])
    axis = draw(st.integers(-rank, rank - 1)) if rank else 0
    if not rank:
        return []
    return [writer.op("Softmax", name, writer.shapes[name], axis=axis)]


def concat(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    if not shape:
        return []
    axis = draw(st.integers(0, len(shape) - 1))
    parts = [name, draw(st.sampled_from(writer.alike(shape))), writer.noise(shape)][
        : draw(st.integers(2, 3))
    ]
    total = [d * len(parts) if i == axis else d for i, d in enumerate(shape)]
    sign = draw(st.sampled_from([0, len(shape)]))
    return [writer.op("Concat", " ".join(parts), total, axis=axis - sign)]


def split(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    axes = [axis for axis, d in enumerate(shape) if d > 1]
    if not axes:
        return []
    axis = draw(st.sampled_from(axes))
    sizes = (1, shape[axis] - 1)
    parts = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    if writer.opset < 13:
        first = writer.op("Split", name, *parts, axis=axis, split=list(sizes))
    else:
        first = writer.op("Split", f"{name} {writer.ints(sizes)}", *parts, axis=axis)
    return [first, f"v{int(first[1:]) + 1}"]


def gather(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    if not shape:
        return []
    axis = draw(st.integers(0, len(shape) - 1))
    picked = draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), min_size=1, max_size=3))
    if draw(st.booleans()):
        index, middle = writer.weight(np.int64(picked[0])), ()
    else:
        index, middle = writer.ints(picked), (len(picked),)
    return [
        writer.op(
            "Gather", f"{name} {index}", (*shape[:axis], *middle, *shape[axis + 1 :]), axis=axis
        )
    ]


def cut(draw: Draw, writer: Writer, name: str) -> list[str]:
    """Slice of some axes, by name or of the first ones."""
    shape = writer.shapes[name]
    if not shape:
        return []
    count = draw(st.integers(1, len(shape)))
    axes = draw(st.permutations(range(len(shape))))[:count]
    named = draw(st.booleans())
    if not named:
        axes = range(count)
    starts = [draw(st.integers(0, shape[axis] - 1)) for axis in axes]
    result = list(shape)
    for axis, start in zip(axes, starts, strict=True):
        result[axis] -= start
    ends = [2**31 - 1] * count
    if writer.opset < 10:
        given = {"axes": list(axes)} if named else {}
        return [writer.op("Slice", name, result, starts=starts, ends=ends, **given)]
    dtype = draw(st.sampled_from([np.int32, np.int64]))
    given = [starts, ends, list(axes)] if named else [starts, ends]
    operands = [writer.weight(np.array(values, dtype)) for values in given]
    return [writer.op("Slice", " ".join([name, *operands]), result)]


def pad(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    if not shape:
        return []
    rank = len(shape)
    mode = draw(st.sampled_from(["constant", "edge"]))
    pads = [draw(st.sampled_from([0, 0, 1, 2])) for _ in range(2 * rank)]
    if writer.opset >= 18 and draw(st.booleans()):
        axes = draw(st.permutations(range(rank)))[: draw(st.integers(1, rank))]
        kept = [pads[axis + side] for side in (0, rank) for axis in axes]
        pads = [p if axis % rank in axes else 0 for axis, p in enumerate(pads)]
        operands = f"{name} {writer.ints(kept)} {writer.weight(np.float32(2))} {writer.ints(axes)}"
    elif writer.opset >= 11:
        operands = f"{name} {writer.ints(pads)}"
    result = [d + pads[i] + pads[i + rank] for i, d in enumerate(shape)]
    if writer.opset < 11:
        return [writer.op("Pad", name, result, mode=mode, pads=pads)]
    return [writer.op("Pad", operands, result, mode=mode)]


def reduce(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    if not shape:
        return []
    kind = draw(st.sampled_from(["ReduceMean", "ReduceSum", "ReduceMax"]))
    axes = draw(st.permutations(range(len(shape))))[: draw(st.integers(1, len(shape)))]
    keep = draw(st.integers(0, 1))
    result = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
    newer = writer.opset >= (13 if kind == "ReduceSum" else 18)
    if newer:
        return [writer.op(kind, f"{name} {writer.ints(axes)}", result, keepdims=keep)]
    return [writer.op(kind, name, result, axes=axes, keepdims=keep)]


def arg(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    if not shape:
        return []
    axis, keep = draw(st.integers(0, len(shape) - 1)), draw(st.integers(0, 1))
    result = [1 if i == axis else d for i, d in enumerate(shape) if keep or i != axis]
    index = writer.op("ArgMax", name, result, axis=axis, keepdims=keep)
    writer.other_types.add(index)
    return [writer.op("Cast", index, result, to=FLOAT)]


def unsqueeze(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = list(writer.shapes[name])
    axis = draw(st.integers(0, len(shape)))
    result = [*shape[:axis], 1, *shape[axis:]]
    return _with_axes(writer, "Unsqueeze", name, [axis], result)


def squeeze(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    ones = [axis for axis, d in enumerate(shape) if d == 1]
    if not ones:
        return []
    axes = ones[: draw(st.integers(1, len(ones)))]
    result = [d for axis, d in enumerate(shape) if axis not in axes]
    return _with_axes(writer, "Squeeze", name, axes, result)


def _with_axes(
    writer: Writer, kind: str, name: str, axes: Sequence[int], result: Sequence[int]
) -> list[str]:
    if writer.opset < 13:
        return [writer.op(kind, name, result, axes=list(axes))]
    return [writer.op(kind, f"{name} {writer.ints(axes)}", result)]


def reshape(draw: Draw, writer: Writer, name: str) -> list[str]:
    """Two neighbouring axes joined, an axis taken apart, or something else altogether."""
    shape = list(writer.shapes[name])
    if not shape:
        return []
    axis = draw(st.integers(0, len(shape) - 1))
    form = draw(st.sampled_from(["join", "part", "any"]))
    if form == "join":
        target = [*shape[:axis], prod(shape[axis : axis + 2]), *shape[axis + 2 :]]
    elif form == "part" and shape[axis] % 2 == 0:
        target = [*shape[:axis], 2, shape[axis] // 2, *shape[axis + 1 :]]
    else:
        target = sorted(shape)
    said = list(target)
    if draw(st.booleans()):
        said[draw(st.integers(0, len(said) - 1))] = -1
    return [writer.op("Reshape", f"{name} {writer.ints(said)}", target)]


def tile(draw: Draw, writer: Writer, name: str) -> list[str]:
    shape = writer.shapes[name]
    if not shape:
        return []
    repeats = [draw(st.sampled_from([1, 1, 2])) for _ in shape]
    result = [d * r for d, r in zip(shape, repeats, strict=True)]
    return [writer.op("Tile", f"{name} {writer.ints(repeats)}", result)]


def resize(draw: Draw, writer: Writer, name: str) -> list[str]:
    """Nearest, of any two axes of four, by scales or by sizes."""
    shape = writer.shapes[name]
    if len(shape) != 4 or writer.opset < 11:
        return []
    grown = draw(st.permutations(range(4)))[:2]
    scales = [2 if axis in grown else 1 for axis in range(4)]
    result = [d * s for d, s in zip(shape, scales, strict=True)]
    empty = writer.weight(np.zeros(0, np.float32))
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    if draw(st.booleans()):
        factors = writer.weight(np.array(scales, np.float32))
        return [writer.op("Resize", f"{name} {empty} {factors}", result, **how)]
    return [writer.op("Resize", f"{name} {empty} {empty} {writer.ints(result)}", result, **how)]


STEPS: Sequence[Step] = (
    unary, binary, pair, softmax, concat, split, gather, cut, pad, reduce, arg, unsqueeze, squeeze,
    reshape, tile, resize,
)  # fmt: skip
