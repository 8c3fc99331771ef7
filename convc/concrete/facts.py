"""What is known of one op's results, from what is known of its operands.

A `Fact` has numbers only: sizes and, of small values, the values themselves. Shapes come, in this
order, from the kernels (their windows; or run on a stand-in without memory, where the result is a
view), from the op table's rule, from onnx's inference for one node, and from the values themselves
where all operands are known. The first two follow onnxruntime where it leaves the specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from convc.concrete.fit import check_fit
from convc.conv import ints
from convc.errors import ConvcError
from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, Array, Header, Op, Opaque, TensorType, Type, Value
from convc.kernels import evaluate
from convc.kernels.windows import resolve, resolve_pool
from convc.onnx_io.shapes import UNNAMED
from convc.onnx_io.single import infer_results
from convc.opset import infer_types
from convc.reference import evaluate as evaluate_graph

SMALL = 1024
"""Elements up to which values are followed; those that make shapes have a few."""

VIEWS = frozenset(
    {
        "Expand",
        "Flatten",
        "Identity",
        "Reshape",
        "Shape",
        "Size",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Kinds whose kernels look at the shape of the first operand alone, or return views of it."""

MEASURES = frozenset({"Shape", "Size"})
"""Kinds whose very values are sizes."""

POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})

BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})

GROWING = frozenset({"ConstantOfShape", "EyeLike", "OneHot", "Pad", "Range", "Resize", "Tile"})
"""Kinds that may make much of small operands: evaluated only once the size is known."""

RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)

_FAILURES = (ValueError, TypeError, IndexError, KeyError, ArithmeticError, ConvcError)
"""What rules and kernels raise for attributes and shapes that the operator does not accept."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of one value.

    Attributes:
        shape: in numbers; None: not known.
        dtype: None: not known, or no tensor.
        array: the value itself, where it is small and does not depend on the data.
        reason: why the shape is not known.
    """

    shape: tuple[int, ...] | None = None
    dtype: np.dtype[Any] | None = None
    array: Array | None = None
    reason: str = ""

    @property
    def type(self) -> TensorType | None:
        """The static type."""
        return None if self.dtype is None else TensorType(self.dtype, self.shape)


UNKNOWN = Fact()


def source_fact(graph: Graph, value: Value) -> Fact:
    """What is known of a constant, or of a graph input at the graph's sizes.

    An input with a default is taken to be worth it.
    """
    array = value.op.default if value.array is None else value.array
    shape = graph.concrete_shape(value)
    small = array is not None and array.size <= SMALL
    reason = _missing_dim(graph, value) if shape is None else ""
    return Fact(shape, value.dtype, array if small else None, reason)


def _missing_dim(graph: Graph, value: Value) -> str:
    if value.shape is None:
        return f'the shape of input "{value.name}" is not known'
    for axis, dim in enumerate(value.shape):
        if isinstance(dim, str) and dim not in graph.sizes:
            name = dim.removeprefix(UNNAMED)
            return (
                f'the size of dim "{name}" of input "{value.name}" is not known: --dim {name}=SIZE'
            )
        if dim is None:
            flag = f"--dim {value.name}.{axis}=SIZE"
            return f'the size of axis {axis} of input "{value.name}" is not known: {flag}'
    return ""


def derive(
    header: Header, op: Op, given: Sequence[Fact | None], known: Sequence[Fact]
) -> list[Fact]:
    """What is known of the results of ``op``.

    Args:
        header: the operator sets that the op is of.
        op: no input, constant or output; never raises for what it says.
        given: a fact for each operand, None where it is omitted.
        known: a fact for each result: what is believed of it beforehand.
    """
    try:
        found, reason = _shapes(header, op, given, known), _own_reason(op)
    except _FAILURES as error:
        found, reason = list(known), f"{op.kind}: {str(error).removeprefix(f'{op.kind}: ')}"
    reason = next((f.reason for f in given if f is not None and f.reason), reason)
    return [
        fact if fact.shape is not None else Fact(None, fact.dtype, None, reason) for fact in found
    ]


def _own_reason(op: Op) -> str:
    if op.domain:
        return f"{op.domain}.{op.kind}: an operator that convc does not know"
    if _has_bodies(op):
        return f"{op.kind}: its subgraphs are not looked into"
    return f"{op.kind}: the size depends on the data"


def _has_bodies(op: Op) -> bool:
    return op.kind in BODIES or any(isinstance(v, Opaque) for v in op.attributes.values())


def _shapes(
    header: Header, op: Op, given: Sequence[Fact | None], known: Sequence[Fact]
) -> list[Fact]:
    if op.domain or _has_bodies(op):
        return list(known)
    found = list(known)
    if any(fact.shape is None for fact in found):
        check_fit(op, [None if fact is None else fact.shape for fact in given], header.opset)
        found = _merge(found, _by_kernel(header, op, given))
    elif op.kind in MEASURES:
        return _merge(found, _by_kernel(header, op, given))
    if any(fact.shape is None for fact in found):
        found = _merge(found, _by_rule(op, given))
    if any(fact.shape is None or fact.dtype is None for fact in found):
        found = _merge(found, _by_onnx(header, op, given))
    if _can_evaluate(op, given, found) and all(fact.array is None for fact in found):
        found = _merge(found, _values(header, op, given, found))
    for fact in found:
        if fact.shape is not None and min(fact.shape, default=0) < 0:
            raise ValueError(f"its result would have the shape {fact.shape}")
    return found


def _merge(old: Sequence[Fact], new: Sequence[Fact]) -> list[Fact]:
    """The old facts, completed by the new ones."""
    if not new:
        return list(old)
    return [
        Fact(
            b.shape if a.shape is None else a.shape,
            b.dtype if a.dtype is None else a.dtype,
            b.array if a.array is None else a.array,
        )
        for a, b in zip(old, new, strict=True)
    ]


def _by_kernel(header: Header, op: Op, given: Sequence[Fact | None]) -> list[Fact]:
    """Shapes from the kernels: from their windows, or run on an operand that takes no memory."""
    first = given[0] if given else None
    if first is None or first.shape is None or first.dtype is None:
        return []
    if op.kind == "Conv" and len(given) > 1 and given[1] is not None and given[1].shape:
        weights = given[1].shape
        window = resolve(op.attributes, first.shape[2:], weights[2:])
        return [Fact((first.shape[0], weights[0], *window.output), first.dtype)]
    if op.kind in POOLS:
        window = resolve_pool(op.attributes, first.shape[2:], ints(op, "kernel_shape", ()))
        shape = (*first.shape[:2], *window.output)
        dtypes = (first.dtype, np.dtype(np.int64))
        return [Fact(shape, dtype) for dtype in dtypes[: len(op.results)]]
    others = [None if fact is None else fact.array for fact in given[1:]]
    if op.kind not in VIEWS or any(
        array is None and fact is not None for array, fact in zip(others, given[1:], strict=True)
    ):
        return []
    stand_in = np.broadcast_to(np.zeros((), first.dtype), first.shape)
    results = evaluate(op.kind, [stand_in, *others], op.attributes, header.opset, len(op.results))
    if op.kind in MEASURES:
        return [Fact(a.shape, a.dtype, a) for a in results or ()]
    return [Fact(a.shape, a.dtype) for a in results or ()]


def _by_rule(op: Op, given: Sequence[Fact | None]) -> list[Fact]:
    """Shapes by the op table, asked about a copy of the op whose operands are numbers."""
    copy = Op(op.kind, tuple(map(_stand_in, given)), op.attributes)
    copy.results = op.results
    # Rules look up named dims in the graph: here are none.
    return [_of_type(type_) for type_ in infer_types(Graph(), copy)]


def _stand_in(fact: Fact | None) -> Value | None:
    if fact is None:
        return None
    kind = INPUT if fact.array is None else CONSTANT
    attributes = {} if fact.array is None else {"value": fact.array}
    return Value(Op(kind, (), attributes), 0, fact.type, "")


def _by_onnx(header: Header, op: Op, given: Sequence[Fact | None]) -> list[Fact]:
    types = [None if fact is None else fact.type for fact in given]
    arrays = [None if fact is None else fact.array for fact in given]
    return [_of_type(type_) for type_ in infer_results(header, op, types, arrays)]


def _of_type(type_: Type) -> Fact:
    if not isinstance(type_, TensorType):
        return UNKNOWN
    return Fact(type_.static_shape, type_.dtype)


def _can_evaluate(op: Op, given: Sequence[Fact | None], found: Sequence[Fact]) -> bool:
    """Whether the results are made of known values alone, and are small."""
    if op.kind in RANDOM or any(fact is not None and fact.array is None for fact in given):
        return False
    if any(fact.shape is None for fact in found):
        return op.kind not in GROWING
    return all(fact.shape is not None and prod(fact.shape) <= SMALL for fact in found)


def _values(
    header: Header, op: Op, given: Sequence[Fact | None], found: Sequence[Fact]
) -> list[Fact]:
    """The values of the results, of the element types the operator gives; none where it fails.

    Evaluated in float64 and rounded to the element type, which for one operation of float32 is the
    same as float32 arithmetic: a size must not come out one larger.
    """
    graph = Graph(header)
    operands = [
        None if fact is None or fact.array is None else graph.add_constant(fact.array)
        for fact in given
    ]
    copy = graph.add(op.kind, operands, op.attributes, types=[None] * len(op.results))
    try:
        results = evaluate_graph(graph, {}, copy.results)
    except ConvcError:
        return []
    return [_value(array, fact.dtype) for array, fact in zip(results, found, strict=True)]


def _value(result: object, dtype: np.dtype[Any] | None) -> Fact:
    if not isinstance(result, np.ndarray | np.generic):
        return UNKNOWN
    array = np.asarray(result)
    if dtype is None:
        return UNKNOWN
    if array.dtype.kind == "f":
        with np.errstate(all="ignore"):
            array = array.astype(dtype)
    return Fact(array.shape, array.dtype, array if array.size <= SMALL else None)
