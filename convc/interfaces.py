"""What a model looks like from outside: names and types of its inputs and outputs."""

from __future__ import annotations

from convc.graph import Graph
from convc.ir import TensorType, Type


def interface_difference(a: Graph, b: Graph) -> str:
    """What tells the models' inputs and outputs apart by name, type or fixed size, or nothing."""
    for what, left, right in (
        ("inputs", [v.name for v in a.inputs], [v.name for v in b.inputs]),
        ("outputs", list(a.output_names), list(b.output_names)),
    ):
        if left != right:
            return f"other {what}: {', '.join(left)} and {', '.join(right)}"
    for x, y in zip(a.inputs, b.inputs, strict=True):
        if not _compatible(x.type, y.type):
            return f"input {x.name!r} is {_show(x.type)} and {_show(y.type)}"
    return ""


def _show(type_: Type) -> str:
    if not isinstance(type_, TensorType):
        return "of no tensor type"
    shape = (
        "of unknown rank" if type_.shape is None else "x".join(str(d or "?") for d in type_.shape)
    )
    return f"{type_.dtype} {shape or 'scalar'}"


def _compatible(a: Type, b: Type) -> bool:
    if not isinstance(a, TensorType) or not isinstance(b, TensorType):
        return type(a) is type(b)
    if a.dtype != b.dtype:
        return False
    if a.shape is None or b.shape is None:
        return True
    return len(a.shape) == len(b.shape) and all(
        x == y or isinstance(x, str | None) or isinstance(y, str | None)
        for x, y in zip(a.shape, b.shape, strict=True)
    )
