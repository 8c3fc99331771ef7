"""Conv, ConvTranspose, Gemm and MatMul with constant weights, seen alike.

Axes are counted from the end (negative), so that they mean the same for every rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from convc.algebra import swap_layout
from convc.algebra.affine import Layout
from convc.conv import group_of
from convc.ir import Array, Op, Value, is_real
from convc.rewrite import NoMatch, Replacement

KINDS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Linear:
    """One op that is linear in ``data``, with constant weights.

    Attributes:
        op: the op.
        data: the operand that varies; for a MatMul either one.
        weight: the constant one.
        array: what it holds.
        bias: the third operand, None for a MatMul.
        in_axis: axis of ``data`` that is summed over: its input channels.
        out_axis: axis of the result that is its output channels.
        layout: of the weights, as `convc.algebra` names it.
        group: of the op.
    """

    op: Op
    data: Value
    weight: Value
    array: Array
    bias: Value | None
    in_axis: int
    out_axis: int
    layout: Layout
    group: int = 1

    @property
    def kind(self) -> str:
        """The op's kind."""
        return self.op.kind

    @property
    def is_conv(self) -> bool:
        """True for a Conv or ConvTranspose: the ops with a border."""
        return self.kind in ("Conv", "ConvTranspose")

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        shape = to_front(self, self.array).shape
        return int(shape[1] * self.group if self.layout == "conv" else shape[0])

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        shape = to_front(self, self.array).shape
        return int(shape[0] if self.layout == "conv" else shape[1] * self.group)


def read(op: Op) -> Linear:
    """The op as a `Linear`; raises NoMatch where its weights are not constant."""
    if op.domain or op.kind not in KINDS:
        raise NoMatch("")
    data, weight = op.operand(0), op.operand(1)
    if data is None or weight is None:
        raise NoMatch("")
    if op.kind == "MatMul":
        return _read_matmul(op, data, weight)
    if weight.array is None:
        raise NoMatch(f"the weights of the {op.kind} are not constant")
    if not is_real(weight.dtype):
        raise NoMatch("")
    if op.kind == "Gemm":
        if weight.array.ndim != 2:
            raise NoMatch("the Gemm is not valid: its weights are no matrix")
        in_axis = -2 if op.attributes.get("transA") else -1
        layout: Layout = "conv" if op.attributes.get("transB") else "matmul"
        return Linear(op, data, weight, weight.array, op.operand(2), in_axis, -1, layout)
    axis = 1 - weight.array.ndim
    layout = "conv" if op.kind == "Conv" else "transpose"
    group = group_of(op)
    if weight.array.ndim < 3 or weight.array.shape[0] % group:
        raise NoMatch(f"the {op.kind} is not valid")
    linear = Linear(op, data, weight, weight.array, op.operand(2), axis, axis, layout, group)
    bias = None if linear.bias is None else linear.bias.array
    if bias is not None and bias.shape != (linear.outputs,):
        raise NoMatch(f"the {op.kind} is not valid: its biases are not one for each filter")
    return linear


def _read_matmul(op: Op, a: Value, b: Value) -> Linear:
    if (a.array is None) == (b.array is None):
        raise NoMatch("no operand of the MatMul is constant" if a.array is None else "")
    data, weight = (a, b) if a.array is None else (b, a)
    array = weight.array
    assert array is not None
    if not is_real(weight.dtype):
        raise NoMatch("")
    if array.ndim < 2 or data.shape is None or len(data.shape) < 2:
        raise NoMatch("the MatMul is not one of matrices")
    if data is a:
        return Linear(op, data, weight, array, None, -1, -1, "matmul")
    return Linear(op, data, weight, array, None, -2, -2, "conv")


def to_front(linear: Linear, array: Array) -> Array:
    """The weights with the channel axes first: a MatMul's batch axes go to the end."""
    return np.moveaxis(array, (-2, -1), (0, 1)) if linear.kind == "MatMul" else array


def to_back(linear: Linear, array: Array) -> Array:
    """The inverse of `to_front`."""
    return np.moveaxis(array, (0, 1), (-2, -1)) if linear.kind == "MatMul" else array


def to_filters(linear: Linear, array: Array) -> Array:
    """The weights as (filters, weights of each), filters ordered as the output channels are.

    A batched MatMul has as many filters as channels for each matrix of the batch.
    """
    if linear.kind == "ConvTranspose":
        array = swap_layout(array, linear.group)
    if linear.is_conv:
        return array.reshape(array.shape[0], -1)
    rows = array if linear.layout == "conv" else np.swapaxes(array, -2, -1)
    return rows.reshape(-1, rows.shape[-1])


def from_filters(linear: Linear, filters: Array) -> Array:
    """The inverse of `to_filters`."""
    shape = linear.array.shape
    if linear.kind == "ConvTranspose":
        swapped = (shape[1] * linear.group, shape[0] // linear.group, *shape[2:])
        return swap_layout(filters.reshape(swapped), linear.group)
    if linear.is_conv or linear.layout == "conv":
        return filters.reshape(shape)
    return np.swapaxes(filters.reshape(*shape[:-2], shape[-1], shape[-2]), -2, -1)


def along(vector: Array, axis: int) -> Array:
    """A vector (C,) or one value, lined up with ``axis`` of a tensor."""
    return vector.reshape(-1, *(1,) * (-axis - 1))


def per_channel(array: Array, axis: int, count: int) -> Array | None:
    """The values of ``array`` along ``axis``, (count,) or (1,); None where others vary too."""
    if any(size != 1 and i - array.ndim != axis for i, size in enumerate(array.shape)):
        return None
    return array.reshape(-1) if array.size in (1, count) else None


def bias_of(linear: Linear) -> Array:
    """What the op adds to its product, float64, lined up with the last axes of the result."""
    if linear.bias is None or _beta(linear) == 0:
        return np.zeros(())
    if linear.bias.array is None:
        raise NoMatch(f"the bias of the {linear.kind} is not constant")
    array = np.asarray(linear.bias.array, np.float64)
    return along(array, linear.out_axis) if linear.is_conv else _beta(linear) * array


def takes(linear: Linear, total: Array, limit: int) -> bool:
    """True when the op's bias can hold ``total``, in a Gemm up to ``limit`` values."""
    if linear.kind == "MatMul":
        return not total.any()
    if linear.kind == "Gemm":
        return total.size <= max(linear.outputs, limit)
    return per_channel(total, linear.out_axis, linear.outputs) is not None


def precision(linear: Linear) -> ml_dtypes.finfo:
    """What the dtype of the weights can hold."""
    dtype = linear.weight.dtype
    assert dtype is not None
    return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]  # it has stubs without types


def require_stored(linear: Linear, weights: Array, bias: Array) -> None:
    """Declines where the stored dtype cannot hold the new weights or the new bias.

    One overflowing value is enough; and so is a filter that was held to full precision and whose
    largest value would be subnormal. Single subnormal weights lose less than rounding does.
    """
    dtype = linear.weight.dtype
    assert dtype is not None
    new = _largest(to_filters(linear, weights))
    with np.errstate(over="ignore"):
        # Rounding is monotonic: where the largest magnitude does not overflow, none does.
        stored = [part.astype(dtype).astype(np.float64) for part in (new, bias)]
    if not all(np.isfinite(part).all() for part in stored):
        raise NoMatch(f"the folded weights overflow {dtype}")
    tiny = float(precision(linear).tiny)
    old = _largest(to_filters(linear, linear.array))
    held = per_channel(bias, linear.out_axis, linear.outputs)
    if held is not None and new.size == linear.outputs:
        new = np.maximum(new, np.abs(held))
    if ((new > 0) & (new < tiny) & (old >= tiny)).any():
        raise NoMatch(f"the folded weights of a filter are subnormal in {dtype}")


def _largest(filters: Array) -> Array:
    """The largest magnitude of each filter, float64; NaN where it holds one. Copies nothing."""
    high, low = filters.max(axis=1, initial=0), filters.min(axis=1, initial=0)
    largest: Array = np.maximum(high.astype(np.float64), -low.astype(np.float64))
    return largest


def rebuild(
    build: Replacement,
    linear: Linear,
    data: Value,
    *,
    weights: Array,
    bias: Array | None,
) -> Value:
    """Adds the op with new weights and bias (as `takes` allows it), all else as it was.

    A bias of None keeps the op's own, constant or not.
    """
    dtype = linear.weight.dtype
    weight = build.constant(weights, dtype, linear.weight.name)
    attributes = dict(linear.op.attributes)
    first = linear.op.operand(0) is linear.data
    operands = [data, weight] if first else [weight, data]
    if bias is None and linear.bias is not None:
        operands.append(build.take(linear.bias))
    if bias is not None and linear.kind == "Gemm":
        attributes["beta"] = 1.0
        if build.opset < 7:
            attributes["broadcast"] = 1
    # Before opset 11 a Gemm must have its third operand.
    needed = linear.kind == "Gemm" and build.opset < 11
    if bias is not None and (bias.any() or needed):
        if linear.is_conv:
            bias = np.broadcast_to(bias.reshape(-1), (linear.outputs,))
        bias = np.asarray(bias)
        old = f"{linear.weight.name}_bias" if linear.bias is None else linear.bias.name
        operands.append(build.constant(bias, dtype, old))
    type_ = linear.op.result.type
    name = linear.op.name or linear.op.result.name
    return build.op(linear.kind, operands, attributes, type_=type_, name=name)


def _beta(linear: Linear) -> float:
    beta = linear.op.attributes.get("beta", 1.0)
    assert isinstance(beta, (int, float))
    return float(beta) if linear.kind == "Gemm" else 1.0
