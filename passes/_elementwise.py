"""Mul, Add, Sub, Div and BatchNormalization read as ``x ↦ scale·x + shift``, alone and in chains.

Scales and shifts are float64 arrays that line up with the *last* axes of ``x`` and are never
larger than it, so that composing two is numpy's broadcasting, whatever they vary along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from convc.algebra import Affine, batch_norm_affine, compose_affine
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, Attribute, Dim, Op, Value, is_real
from convc.rewrite import NoMatch

KINDS = ("Mul", "Add", "Sub", "Div", "BatchNormalization")


@dataclass(frozen=True, slots=True)
class Elementwise:
    """One op that computes ``scale·data + shift``; ``dtype`` is that of its constants."""

    op: Op
    data: Value
    affine: Affine
    dtype: np.dtype[Any]


def read(graph: Graph, op: Op) -> Elementwise:
    """The op as a scale and a shift; raises NoMatch where it is none."""
    if op.domain or op.kind not in KINDS:
        raise NoMatch("")
    if op.kind == "BatchNormalization":
        return _read_norm(graph, op)
    a, b = op.operand(0), op.operand(1)
    if a is None or b is None or (a.array is None) == (b.array is None):
        raise NoMatch("")
    data, constant = (a, b) if a.array is None else (b, a)
    assert constant.array is not None
    assert constant.dtype is not None
    if not is_real(constant.dtype):
        raise NoMatch("")
    array = np.asarray(constant.array, np.float64)
    if graph.header.opset < 7:
        array = _aligned_by_attribute(op, array, constant_first=constant is a)
    if not np.isfinite(array).all():
        raise NoMatch(f"the constant of the {op.kind} is not finite")
    _require_fit(op, array, _dims(data))
    affine = _binary(op.kind, array, constant_first=constant is a)
    return Elementwise(op, data, affine, constant.dtype)


def next_link(graph: Graph, value: Value) -> Elementwise | None:
    """The scale or shift that is all that ``value`` goes into, None where there is none."""
    use = graph.only_use(value)
    if use is None:
        return None
    try:
        return read(graph, use[0])
    except NoMatch:
        return None


def following(graph: Graph, value: Value, most: int) -> list[Elementwise]:
    """The chain of scales and shifts that is all that ``value`` goes into, in order.

    Of a longer one the first ``most``: it may be as long as the graph is large.
    """
    chain: list[Elementwise] = []
    link = next_link(graph, value)
    while link is not None and len(chain) < most:
        chain.append(link)
        link = next_link(graph, link.op.result)
    return chain


def preceding(graph: Graph, last: Elementwise, most: int) -> list[Elementwise]:
    """The chain that ends with ``last``, in order; what is between has no other users.

    Of a longer one the last ``most``.
    """
    chain = [last]
    while len(chain) < most:
        data = chain[-1].data
        if graph.only_use(data) is None:
            break
        try:
            chain.append(read(graph, data.op))
        except NoMatch:
            break
    return chain[::-1]


def composed(chain: Sequence[Elementwise]) -> Affine:
    """The chain as one scale and shift; raises NoMatch where its constants would grow."""
    whole = reduce(compose_affine, (link.affine for link in chain))
    largest = max(array.size for link in chain for array in link.affine)
    if max(part.size for part in whole) > largest:
        raise NoMatch("the constants vary along different axes: together they would grow")
    return whole


def emit(build: Builder, data: Value, affine: Affine, like: Value, dtype: np.dtype[Any]) -> Value:
    """Adds a Mul and an Add, or the one that is needed; ``like`` gives the type and the name."""
    value = data
    if (affine.scale != 1).any():
        value = emit_op(build, "Mul", value, affine.scale, like=like, dtype=dtype)
    if affine.shift.any():
        value = emit_op(build, "Add", value, affine.shift, like=like, dtype=dtype)
    return value


def emit_op(
    build: Builder, kind: str, data: Value, array: Array, *, like: Value, dtype: np.dtype[Any]
) -> Value:
    """Adds ``kind`` of data and a constant, in the form that the opset asks for."""
    array = np.asarray(array)
    require_finite(array, dtype)
    attributes: dict[str, Attribute] = {}
    if build.opset < 7:
        array, attributes = _by_attribute(array, like.shape or array.shape)
    constant = build.constant(array, dtype, f"{like.name}_{'scale' if kind == 'Mul' else 'shift'}")
    return build.op(
        kind, (data, constant), attributes, type_=like.type, name=f"{like.name}_{kind.lower()}"
    )


def require_finite(array: Array, dtype: np.dtype[Any]) -> None:
    """Declines where ``dtype`` cannot hold the values."""
    with np.errstate(over="ignore"):
        stored = array.astype(dtype).astype(np.float64)
    if not np.isfinite(stored).all():
        raise NoMatch(f"the composed constants overflow {dtype}")


def _binary(kind: str, array: Array, *, constant_first: bool) -> Affine:
    zero, one = np.zeros(()), np.ones(())
    if kind == "Mul":
        return Affine(array, zero)
    if kind == "Add":
        return Affine(one, array)
    if kind == "Sub":
        return Affine(-one, array) if constant_first else Affine(one, -array)
    if constant_first:
        raise NoMatch("a constant divided by a value is not affine")
    if not array.all():
        raise NoMatch("the Div divides by zero")
    return Affine(1 / array, zero)


def _read_norm(graph: Graph, op: Op) -> Elementwise:
    opset = graph.header.opset
    # Before opset 7 a flag says so; before 14 the mode is told by the number of outputs.
    if op.attributes.get("training_mode") or (opset < 7 and op.attributes.get("is_test") != 1):
        raise NoMatch("the BatchNormalization is in training form")
    if any(graph.is_used(result) for result in op.results[1:]):
        raise NoMatch("the BatchNormalization's statistics are used: it is in training form")
    data, values = op.operand(0), [op.operand(i) for i in range(1, 5)]
    arrays = [value.array for value in values if value is not None and value.array is not None]
    dims = None if data is None else _dims(data)
    if data is None or len(arrays) != 4:
        raise NoMatch("the parameters of the BatchNormalization are not constant")
    if dims is None or len(dims) < 2:
        raise NoMatch("the rank of what the BatchNormalization takes is unknown")
    epsilon = op.attributes.get("epsilon", float(np.float32(1e-5)))
    assert isinstance(epsilon, (int, float))
    scale, bias, mean, var = (np.asarray(array, np.float64) for array in arrays)
    if not scale.shape == bias.shape == mean.shape == var.shape:
        raise NoMatch("the BatchNormalization is not valid: its vectors differ in length")
    if not (var + epsilon > 0).all():
        raise NoMatch("a variance of the BatchNormalization is not positive")
    affine = batch_norm_affine(scale, bias, mean, var, epsilon)
    if not all(np.isfinite(part).all() for part in affine):
        raise NoMatch("a parameter of the BatchNormalization is not finite")
    if opset >= 9 or op.attributes.get("spatial", 1):
        affine = Affine(*(part.reshape(-1, *(1,) * (len(dims) - 2)) for part in affine))
    _require_fit(op, affine.scale, dims)
    assert arrays[0].dtype is not None
    return Elementwise(op, data, affine, data.dtype or arrays[0].dtype)


def _dims(value: Value) -> tuple[Dim, ...] | None:
    """The shape; for a conv of unknown input at least the rank and the channels."""
    if value.shape is not None:
        return value.shape
    weight = value.op.operand(1) if value.op.kind in ("Conv", "ConvTranspose") else None
    if weight is None or weight.array is None or weight.array.ndim < 2 or value.op.domain:
        return None
    group = value.op.attributes.get("group", 1)
    assert isinstance(group, int)
    shape = weight.array.shape
    outputs = shape[0] if value.op.kind == "Conv" else shape[1] * group
    return (None, outputs, *(None for _ in shape[2:]))


def _require_fit(op: Op, array: Array, dims: tuple[Dim, ...] | None) -> None:
    """Declines where the result could have another shape than the data."""
    if dims is None:
        if array.ndim:
            raise NoMatch(f"the rank of what the {op.kind} takes is unknown")
        return
    if array.ndim > len(dims):
        raise NoMatch(f"the constant of the {op.kind} has more axes than the value")
    for size, dim in zip(array.shape[::-1], dims[::-1], strict=False):
        if size not in (1, dim):
            raise NoMatch(f"the constant of the {op.kind} may be larger than the value")


def _aligned_by_attribute(op: Op, array: Array, *, constant_first: bool) -> Array:
    """Before opset 7 the second operand broadcasts, if told to, from a given axis of the first."""
    if not op.attributes.get("broadcast"):
        return array
    if constant_first:
        raise NoMatch("")
    axis = op.attributes.get("axis")
    data = op.operand(0)
    if axis is None or data is None:
        return array
    dims = _dims(data)
    if dims is None:
        raise NoMatch(f"the rank of what the {op.kind} takes is unknown")
    assert isinstance(axis, int)
    trailing = len(dims) - axis % len(dims) - array.ndim
    return array.reshape(*array.shape, *(1,) * max(trailing, 0))


def _by_attribute(array: Array, dims: tuple[Dim, ...]) -> tuple[Array, dict[str, Attribute]]:
    """The opset 6 form: the block of axes that vary, and at which axis of ``dims`` it starts."""
    sized = [axis for axis, size in enumerate(array.shape) if size != 1]
    if not sized:
        return array.reshape(1), {"broadcast": 1}
    core = array.shape[sized[0] : sized[-1] + 1]
    axis = len(dims) - array.ndim + sized[0]
    if core != dims[axis : axis + len(core)]:
        raise NoMatch("opset 6 cannot say along which axes the composed constant varies")
    return array.reshape(core), {"broadcast": 1, "axis": axis}


def mentions(chain: Sequence[Elementwise]) -> str:
    """The kinds of the ops of a chain, for notes."""
    return "+".join(link.op.kind for link in chain)
