"""Operators that change the shape or make values from shapes; results may be views."""

from __future__ import annotations

import math

import numpy as np

from .support import (
    Array,
    Attributes,
    Inputs,
    KernelError,
    axes_argument,
    choice,
    integers,
    normalized_axes,
    normalized_axis,
    optional,
    required,
)

UNBOUNDED = (2**31 - 1, 2**63 - 1)


def reshape(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Reshape: 0 copies the input's size (unless allowzero), one -1 takes what is left."""
    x = required(inputs, 0, "data")
    target = list(integers(required(inputs, 1, "shape"), "shape"))
    if not attributes.get("allowzero", 0):
        for axis, size in enumerate(target):
            if size == 0 and axis >= x.ndim:
                raise KernelError(f"shape {target} copies axis {axis} of {x.shape}")
            target[axis] = x.shape[axis] if size == 0 else size
    if target.count(-1) == 1 and 0 not in target:
        target[target.index(-1)] = x.size // abs(math.prod(target))
    if min(target, default=0) < 0 or math.prod(target) != x.size:
        raise KernelError(f"{x.shape} does not reshape to {target}")
    return [x.reshape(target)]


def flatten(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Flatten to a matrix: axes before `axis` are its rows, the others its columns."""
    x = required(inputs, 0, "input")
    axis = int(attributes.get("axis", 1))
    first = x.ndim if axis == x.ndim else normalized_axis(axis, x.ndim)
    return [x.reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:]))]


def transpose(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Transpose by `perm`; without it the axes in reverse order."""
    x = required(inputs, 0, "data")
    if attributes.get("perm") is None:
        return [x.transpose()]
    order = integers(attributes["perm"], "perm")
    if sorted(order) != list(range(x.ndim)):
        raise KernelError(f"perm {order} is no permutation of {x.ndim} axes")
    return [x.transpose(order)]


def squeeze(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Squeeze: drop the named axes of size one, all of them without `axes`."""
    x, axes = required(inputs, 0, "data"), axes_argument(inputs, attributes, 1)
    if axes is None:
        return [np.squeeze(x)]
    chosen = normalized_axes(axes, x.ndim)
    if any(x.shape[axis] != 1 for axis in chosen):
        raise KernelError(f"axes {axes} of {x.shape} are not all of size one")
    return [np.squeeze(x, axis=chosen)]


def unsqueeze(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Unsqueeze: new axes of size one at the named places of the result."""
    x, axes = required(inputs, 0, "data"), axes_argument(inputs, attributes, 1)
    if axes is None:
        raise KernelError("axes are missing")
    return [np.expand_dims(x, normalized_axes(axes, x.ndim + len(axes)))]


def expand(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Expand: broadcast with `shape`, in both directions."""
    x, shape = required(inputs, 0, "input"), integers(required(inputs, 1, "shape"), "shape")
    try:
        return [np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))]
    except ValueError as error:
        raise KernelError(f"{x.shape} does not expand to {shape}") from error


def tile(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Tile: each axis repeated as often as `repeats` says."""
    x, repeats = required(inputs, 0, "input"), integers(required(inputs, 1, "repeats"), "repeats")
    if len(repeats) != x.ndim:
        raise KernelError(f"{len(repeats)} repeats for {x.ndim} axes")
    return [np.tile(x, repeats)]


def concat(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Concat along `axis`."""
    values = [required(inputs, i, f"number {i}") for i in range(len(inputs))]
    if attributes.get("axis") is None or not values:
        raise KernelError("axis or inputs are missing")
    axis = normalized_axis(int(attributes["axis"]), values[0].ndim)
    try:
        return [np.concatenate(values, axis=axis)]
    except ValueError as error:
        shapes = [value.shape for value in values]
        raise KernelError(f"shapes {shapes} do not concatenate on axis {axis}") from error


def split(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Split along `axis` by the sizes of the input or attribute `split`.

    Without sizes into `num_outputs` parts, the last one smaller where they do not divide;
    before opset 18, when that is no attribute of the operator, the caller supplies it.
    """
    x = required(inputs, 0, "input")
    axis = normalized_axis(int(attributes.get("axis", 0)), x.ndim)
    sizes = optional(inputs, 1)
    if sizes is None:
        sizes = attributes.get("split")
    parts = _even_parts(x.shape[axis], attributes) if sizes is None else integers(sizes, "split")
    if min(parts, default=0) < 0 or sum(parts) != x.shape[axis]:
        raise KernelError(f"split {parts} of an axis of {x.shape[axis]}")
    return np.split(x, np.cumsum(parts)[:-1], axis=axis)


def _even_parts(size: int, attributes: Attributes) -> tuple[int, ...]:
    count = int(attributes.get("num_outputs") or 0)
    if count < 1:
        raise KernelError("neither split sizes nor num_outputs are given")
    part = -(-size // count)
    return tuple(min(part, max(size - part * i, 0)) for i in range(count))


def slice_(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Slice by starts, ends, axes and steps: attributes before opset 10, inputs after.

    Where steps go back, a start before the first entry is the first entry. An end of INT_MAX
    takes all down to it, as in onnxruntime; by the specification it would take nothing.
    """
    x = required(inputs, 0, "data")
    names = ("starts", "ends", "axes", "steps")
    given = [attributes.get(name) for name in names]
    if opset >= 10:
        given = [optional(inputs, index) for index in range(1, 5)]
    starts, ends, axes, steps = (
        None if value is None else integers(value, name)
        for name, value in zip(names, given, strict=True)
    )
    if starts is None or ends is None:
        raise KernelError("starts or ends are missing")
    chosen = normalized_axes(range(len(starts)) if axes is None else axes, x.ndim)
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(chosen) == len(steps) or 0 in steps:
        raise KernelError(f"starts {starts}, ends {ends}, axes {axes}, steps {steps}")
    region = [slice(None)] * x.ndim
    for axis, start, end, step in zip(chosen, starts, ends, steps, strict=True):
        if step > 0:
            region[axis] = slice(start, end, step)
        else:
            first = max(start if start >= 0 else start + x.shape[axis], 0)
            region[axis] = slice(first, None if end in UNBOUNDED else end, step)
    return [x[tuple(region)]]


def gather(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Gather whole slices of `axis` by index; negative indices count from its end."""
    x, indices = required(inputs, 0, "data"), required(inputs, 1, "indices")
    axis = normalized_axis(int(attributes.get("axis", 0)), x.ndim)
    size = x.shape[axis]
    if indices.size and (indices.min() < -size or indices.max() >= size):
        raise KernelError(f"an index is out of range for an axis of {size}")
    return [np.take(x, indices, axis=axis)]


def depth_to_space(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """DepthToSpace of (N, C, H, W): channels are (b, b, C') in mode DCR, (C', b, b) in CRD."""
    x, b = _planes_and_block(inputs, attributes)
    n, c, h, w = x.shape
    if c % (b * b):
        raise KernelError(f"{c} channels are no multiple of {b * b}")
    if choice(attributes, "mode", "DCR", ("DCR", "CRD")) == "DCR":
        parts = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return [parts.reshape(n, c // (b * b), h * b, w * b)]


def space_to_depth(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """SpaceToDepth of (N, C, H, W): the inverse of DepthToSpace in mode DCR.

    Mode CRD, an attribute from opset 28 on, inverts DepthToSpace in mode CRD.
    """
    x, b = _planes_and_block(inputs, attributes)
    n, c, h, w = x.shape
    if h % b or w % b:
        raise KernelError(f"size {h}x{w} is no multiple of {b}")
    parts = x.reshape(n, c, h // b, b, w // b, b)
    dcr = choice(attributes, "mode", "DCR", ("DCR", "CRD")) == "DCR"
    order = (0, 3, 5, 1, 2, 4) if dcr else (0, 1, 3, 5, 2, 4)
    return [parts.transpose(order).reshape(n, c * b * b, h // b, w // b)]


def _planes_and_block(inputs: Inputs, attributes: Attributes) -> tuple[Array, int]:
    x, block = required(inputs, 0, "input"), int(attributes.get("blocksize", 0))
    if x.ndim != 4 or block < 1:
        raise KernelError(f"blocksize {block} on shape {x.shape}")
    return x, block


def shape(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Shape as int64, from axis `start` up to axis `end`."""
    sizes = required(inputs, 0, "data").shape
    start, end = int(attributes.get("start", 0)), attributes.get("end")
    return [np.array(sizes[start : None if end is None else int(end)], dtype=np.int64)]


def size(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Size: the number of entries, an int64 scalar."""
    return [np.array(required(inputs, 0, "data").size, dtype=np.int64)]


def constant_of_shape(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """ConstantOfShape: `value` everywhere, 0.0 without it; floating values as float64."""
    sizes = integers(required(inputs, 0, "input"), "shape")
    value = np.asarray(attributes.get("value", 0.0))
    if value.size != 1 or min(sizes, default=0) < 0:
        raise KernelError(f"value of shape {value.shape} for shape {sizes}")
    kind = np.float64 if value.dtype.kind == "f" else value.dtype
    return [np.full(sizes, value.reshape(()), dtype=kind)]


def range_(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Range: start + i delta for i below ceil((limit - start) / delta)."""
    start, limit, delta = (
        required(inputs, i, name).reshape(()) for i, name in enumerate(("start", "limit", "delta"))
    )
    if delta == 0:
        raise KernelError("delta is 0")
    count = max(math.ceil((limit.item() - start.item()) / delta.item()), 0)
    steps = np.arange(count).astype(start.dtype)
    return [np.asarray(start + steps * delta, dtype=start.dtype)]
