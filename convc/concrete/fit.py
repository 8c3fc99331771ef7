"""Do the operands of an op fit each other?

The op table's rules take that for granted, as a model that runs is right. A network whose sizes
were changed may not be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from convc.conv import group_of
from convc.ir import Op

Shapes: TypeAlias = Sequence["tuple[int, ...] | None"]

BROADCASTING = 7
"""Since this opset operands broadcast as numpy's do; before, an attribute said how."""


def check_fit(op: Op, shapes: Shapes, opset: int) -> None:
    """Raises ValueError, saying how, where the operands of these shapes do not fit the op.

    Only between operands whose shapes are known; kinds that onnx checks itself are left to it.
    """
    rule = _FIT.get(op.kind)
    if rule is not None and (opset >= BROADCASTING or rule not in (_broadcast, _into_first)):
        rule(op, shapes)


def _at(shapes: Shapes, index: int) -> tuple[int, ...] | None:
    return shapes[index] if index < len(shapes) else None


def _conv(op: Op, shapes: Shapes) -> None:
    data, kernel, bias = (_at(shapes, i) for i in range(3))
    group = group_of(op)
    if data is None or kernel is None:
        return
    if len(data) != len(kernel) or len(data) < 3:
        raise ValueError(f"a kernel of shape {_text(kernel)} for data of shape {_text(data)}")
    if data[1] != kernel[1] * group:
        raise ValueError(f"{data[1]} channels come in, the kernel takes {kernel[1] * group}")
    if kernel[0] % group:
        raise ValueError(f"{kernel[0]} output channels do not divide into {group} groups")
    if bias is not None and bias != kernel[:1]:
        raise ValueError(f"a bias of shape {_text(bias)} for {kernel[0]} channels")


def _conv_transpose(op: Op, shapes: Shapes) -> None:
    data, kernel, bias = (_at(shapes, i) for i in range(3))
    if data is None or kernel is None:
        return
    if len(data) != len(kernel) or len(data) < 3:
        raise ValueError(f"a kernel of shape {_text(kernel)} for data of shape {_text(data)}")
    if data[1] != kernel[0]:
        raise ValueError(f"{data[1]} channels come in, the kernel takes {kernel[0]}")
    if kernel[0] % group_of(op):
        raise ValueError(f"{kernel[0]} channels do not divide into {group_of(op)} groups")
    if bias is not None and bias != (kernel[1] * group_of(op),):
        raise ValueError(f"a bias of shape {_text(bias)} for {kernel[1] * group_of(op)} channels")


def _gemm(op: Op, shapes: Shapes) -> None:
    a, b = _at(shapes, 0), _at(shapes, 1)
    if a is None or b is None or len(a) != 2 or len(b) != 2:
        return
    inner = a[0 if op.attributes.get("transA") else 1], b[1 if op.attributes.get("transB") else 0]
    if inner[0] != inner[1]:
        raise ValueError(f"{inner[0]} features come in, the weights take {inner[1]}")


def _matmul(_op: Op, shapes: Shapes) -> None:
    a, b = _at(shapes, 0), _at(shapes, 1)
    if a and b and a[-1] != b[-2 if len(b) > 1 else 0]:
        raise ValueError(f"{_text(a)} times {_text(b)}")


def _normalisation(_op: Op, shapes: Shapes) -> None:
    data = _at(shapes, 0)
    for vector in shapes[1:]:
        if data is not None and vector is not None and vector != data[1:2]:
            raise ValueError(f"a vector of shape {_text(vector)} for data of shape {_text(data)}")


def _broadcast(_op: Op, shapes: Shapes) -> None:
    known = [shape for shape in shapes if shape is not None]
    try:
        np.broadcast_shapes(*known)
    except ValueError as error:
        told = " and ".join(map(_text, known))
        raise ValueError(f"the shapes {told} do not broadcast") from error


def _into_first(op: Op, shapes: Shapes) -> None:
    data, slope = _at(shapes, 0), _at(shapes, 1)
    if data is None or slope is None:
        return
    _broadcast(op, shapes)
    if np.broadcast_shapes(data, slope) != data:
        raise ValueError(f"slopes of shape {_text(slope)} for data of shape {_text(data)}")


def _concat(op: Op, shapes: Shapes) -> None:
    known = [shape for shape in shapes if shape is not None]
    axis = op.attributes.get("axis", 1)
    if not known or not isinstance(axis, int):
        return
    others = {(*shape[:axis], *shape[axis:][1:]) for shape in known}
    if len(others) > 1 or len({len(shape) for shape in known}) > 1:
        told = " and ".join(map(_text, known))
        raise ValueError(f"the shapes {told} do not join on axis {axis}")


def _scatter(_op: Op, shapes: Shapes) -> None:
    data, indices, updates = (_at(shapes, i) for i in range(3))
    if data is None or indices is None or updates is None:
        return
    wanted = (*indices[:-1], *data[indices[-1] :])
    if updates != wanted:
        raise ValueError(f"updates of shape {_text(updates)} where {_text(wanted)} is wanted")


def _text(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "()"


_FIT: Mapping[str, Callable[[Op, Shapes], None]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Mean", "Pow", "Where"), _broadcast
        ),
        "BatchNormalization": _normalisation,
        "InstanceNormalization": _normalisation,
        "Concat": _concat,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "Gemm": _gemm,
        "MatMul": _matmul,
        "PRelu": _into_first,
        "ScatterND": _scatter,
    }
)
