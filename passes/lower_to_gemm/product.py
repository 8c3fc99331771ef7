"""One product of a constant matrix and columns, and back to (N, K, *size)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convc.algebra.arrays import MaybeSizes
from convc.build import Builder
from convc.ir import Array, Attribute, TensorType, Value
from convc.rewrite import Replacement
from passes._conv_layers import Layer


@dataclass(frozen=True)
class Matrix:
    """What multiplies the columns.

    Attributes:
        weights: (K, J), the rows of each of the ``group`` groups on its own J rows of columns.
        bias: (K,) or None.
        group: number of groups.
        layer: the conv whose weights these are: names and dtype of the new ones.
    """

    weights: Array
    bias: Array | None
    group: int
    layer: Layer

    @property
    def inner(self) -> int:
        """Length of the sums: J."""
        return int(self.weights.shape[1])


def multiplied(build: Replacement, matrix: Matrix, columns: Value, out: MaybeSizes) -> Value:
    """(N, K, *out), the product with ``columns``.

    Args:
        build: the replacement.
        matrix: of any number of groups.
        columns: (N, ..., *out), whose axes between are those of C/group·T rows for each group, or
            (N, C, *size) of a conv with one output.
        out: spatial output sizes, None where open.
    """
    # Rows of channels, then taps, as in the kernel: W is a plain Reshape of it with any number of
    # groups. (Taps first would spare one Unsqueeze, which moves nothing, where there are none.)
    groups = () if matrix.group == 1 else (matrix.group,)
    value = columns
    if groups or not _is_flat(columns, matrix.inner):
        value = build.reshape(columns, [0, *groups, matrix.inner, -1])
    value = _affine(build, matrix, groups, value)
    if not groups and len(out) == 1:
        return value
    return _spread(build, value, matrix.weights.shape[0], columns, out)


def dense(build: Replacement, matrix: Matrix, data: Value, ndim: int) -> Value:
    """(N, K, 1, ...), the product of ``matrix``, of one group, with the flattened ``data``."""
    flat = build.op("Flatten", (data,), {"axis": 1})
    bias = matrix.bias
    if bias is None and build.opset < 11:
        bias = np.zeros(matrix.weights.shape[0])  # C became optional with opset 11
    operands = [flat, build.weight(matrix.weights, matrix.layer.weight)]
    if bias is not None:
        operands.append(build.weight(bias, matrix.layer.bias_name))
    value = build.op("Gemm", operands, {"transB": 1})
    return build.reshape(value, [0, matrix.weights.shape[0], *(1,) * ndim])


def _affine(build: Replacement, matrix: Matrix, groups: Sequence[int], columns: Value) -> Value:
    """The product with columns (N, J, P) or (N, group, J, P), and the bias."""
    rows = (*groups, matrix.weights.shape[0] // matrix.group)
    weights = matrix.weights.reshape(*rows, matrix.inner)
    bias = None if matrix.bias is None else matrix.bias.reshape(*rows, 1)
    if bias is not None and build.opset < 7:
        weights, bias = np.concatenate([weights, bias], axis=-1), None
        columns = _with_ones(build, columns, len(rows))
    value = build.op("MatMul", (build.weight(weights, matrix.layer.weight), columns))
    return value if bias is None else build.add(value, build.weight(bias, matrix.layer.bias_name))


def _with_ones(build: Builder, columns: Value, axis: int) -> Value:
    """One more row, of ones, for a bias that is a column of the weights."""
    pads = [0] * (2 * axis + 4)
    pads[-2] = 1
    attributes: dict[str, Attribute] = {"mode": "constant", "pads": tuple(pads), "value": 1.0}
    return build.op("Pad", (columns,), attributes)


def _is_flat(columns: Value, inner: int) -> bool:
    shape = columns.shape
    return shape is not None and len(shape) == 3 and shape[1] == inner


def _spread(build: Builder, value: Value, count: int, columns: Value, out: MaybeSizes) -> Value:
    """``value`` as (N, count, *out), with sizes that are not known those of ``columns``."""
    type_ = _spread_type(columns, count, out)
    if sum(size is None for size in out) < 2:
        target = build.ints([0, count, *(-1 if size is None else size for size in out)])
    else:
        target = build.concat([build.ints([0, count]), _last_sizes(build, columns, len(out))], 0)
    return build.op("Reshape", (value, target), type_=type_)


def _last_sizes(build: Builder, value: Value, ndim: int) -> Value:
    """The last ``ndim`` sizes of a value of any shape, as a vector."""
    int64 = np.dtype(np.int64)
    if build.opset >= 15:
        type_ = TensorType(int64, (ndim,))
        return build.op("Shape", (value,), {"start": -ndim}, type_=type_)
    rank = None if value.shape is None else len(value.shape)
    whole = build.op("Shape", (value,), type_=TensorType(int64, (rank,)))
    return build.slice(whole, [0], [-ndim], [2**31 - 1])


def _spread_type(columns: Value, count: int, out: MaybeSizes) -> TensorType | None:
    shape = columns.shape
    if columns.dtype is None or shape is None:
        return None
    open_sizes = shape[-len(out) :]
    known = [o if o is not None else d for o, d in zip(out, open_sizes, strict=True)]
    return TensorType(columns.dtype, (shape[0], count, *known))
