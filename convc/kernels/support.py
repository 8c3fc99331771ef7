"""What every kernel shares: its types, its error and the reading of attributes.

Float attributes are stored as float32 in ONNX, and so are their defaults: `0.01` in the
specification means the float32 nearest to it, which `single` gives as a Python float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Inputs = Sequence[Array | None]
Attributes = Mapping[str, Any]
Kernel = Callable[[Inputs, Attributes, int], list[Array]]


class KernelError(ValueError):
    """The inputs or attributes are not ones the operator accepts."""


def single(value: float) -> float:
    """The float32 nearest to `value`, as a Python float."""
    return float(np.float32(value))


def required(inputs: Inputs, index: int, name: str) -> Array:
    """Input number `index`, or KernelError naming it when it was omitted."""
    value = optional(inputs, index)
    if value is None:
        raise KernelError(f"input {name} is missing")
    return value


def optional(inputs: Inputs, index: int) -> Array | None:
    """Input number `index`, None when it was omitted."""
    return inputs[index] if index < len(inputs) else None


def integers(value: Any, name: str) -> tuple[int, ...]:
    """A tuple of Python ints from a 1-D (or scalar) array or a sequence."""
    array = np.atleast_1d(np.asarray(value))
    if array.ndim != 1:
        raise KernelError(f"{name} must be one-dimensional, got shape {array.shape}")
    return tuple(int(entry) for entry in array)


def per_axis(attributes: Attributes, name: str, rank: int, default: int) -> tuple[int, ...]:
    """One int per spatial axis from attribute `name`; `default` everywhere when missing."""
    if attributes.get(name) is None:
        return (default,) * rank
    values = integers(attributes[name], name)
    if len(values) != rank:
        raise KernelError(f"{name} has {len(values)} entries for {rank} spatial axes")
    return values


def normalized_axis(axis: int, rank: int) -> int:
    """`axis` counted from the front; KernelError when it is out of range."""
    if not -rank <= axis < rank:
        raise KernelError(f"axis {axis} is out of range for rank {rank}")
    return axis % rank


def normalized_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """`axes` counted from the front; KernelError when one is out of range or repeated."""
    result = tuple(normalized_axis(axis, rank) for axis in axes)
    if len(set(result)) != len(result):
        raise KernelError(f"axes {tuple(axes)} repeat an axis")
    return result


def choice(attributes: Attributes, name: str, default: str, allowed: Sequence[str]) -> str:
    """String attribute `name`, or KernelError listing what is allowed."""
    value = str(attributes.get(name, default))
    if value not in allowed:
        raise KernelError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
    return value


def broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of `shape` broadcasts to `target` without enlarging it."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def axes_argument(inputs: Inputs, attributes: Attributes, index: int) -> tuple[int, ...] | None:
    """`axes` from the input of newer opsets or the attribute of older ones."""
    value = optional(inputs, index)
    if value is None:
        value = attributes.get("axes")
    return None if value is None else integers(value, "axes")
