"""Functions of a model: who calls whom, and how much that comes to."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import FunctionProto, ModelProto, NodeProto, defs

from convc.errors import InvalidModelError
from convc.onnx_io.bodies import captured
from convc.onnx_io.nodes import domain_of, inside, schema_of

DEEPEST_CALLS = 100
"""Functions that call one another in a row: what onnx takes, too."""
MOST_INLINED = 1_000_000
"""Nodes that the functions of a model may make once every call is replaced by its body."""

Key = tuple[str, str, str]
"""Domain, name and overload of a function."""


def functions_of(model: ModelProto) -> dict[Key, FunctionProto]:
    """The functions of a model; raises where two are one, or one takes the place of an operator."""
    found: dict[Key, FunctionProto] = {}
    for function in model.functions:
        key = key_of(function.domain, function.name, function)
        if key in found:
            raise InvalidModelError(f"two functions are called {_called(key)}")
        if not key[0] and schema_of(key[1], defs.onnx_opset_version(), "") is not None:
            raise InvalidModelError(
                f"function {function.name!r} takes the place of ONNX's own operator: rename it"
            )
        _check_names(key, function)
        found[key] = function
    return found


def _check_names(key: Key, function: FunctionProto) -> None:
    """A body knows what it is given and what it makes; nothing of who calls it.

    onnxruntime writes calls out before it looks, so that other names may mean something there.
    """
    known = {*function.input, *(name for node in function.node for name in node.output)}
    for node in function.node:
        missing = [n for n in (*node.input, *captured(node)) if n and n not in known]
        if missing:
            raise InvalidModelError(
                f"function {_called(key)} uses {missing[0]!r}, which it neither is given nor makes"
            )


def key_of(domain: str, name: str, owner: FunctionProto | NodeProto) -> Key:
    """What a function, or a call of it, is known by."""
    return domain_of(domain), name, getattr(owner, "overload", "")


def _called(key: Key) -> str:
    return repr("::".join(part for part in key if part))


def check_calls(functions: Mapping[Key, FunctionProto], model: ModelProto) -> None:
    """No function calls itself, and all calls together make no more nodes than is bearable."""
    size: dict[Key, int] = {}
    depth: dict[Key, int] = {}
    for key in functions:
        _measure(key, functions, size, depth)
    if functions:
        total = sum(size.get(key_of(n.domain, n.op_type, n), 0) for n in inside(model.graph.node))
        _check_inlined(total, "the model")


def _measure(
    root: Key,
    functions: Mapping[Key, FunctionProto],
    size: dict[Key, int],
    depth: dict[Key, int],
) -> None:
    """Nodes and levels of calls of a function and of those that it calls, without recursion."""
    stack = [root]
    open_keys: set[Key] = set()
    while stack:
        key = stack[-1]
        if key in size:
            stack.pop()
            continue
        nodes = list(inside(functions[key].node))
        calls = [k for k in (key_of(n.domain, n.op_type, n) for n in nodes) if k in functions]
        waiting = [k for k in dict.fromkeys(calls) if k not in size]
        if not waiting:
            size[key] = len(nodes) + sum(size[k] for k in calls)
            depth[key] = 1 + max((depth[k] for k in calls), default=0)
            _check_inlined(size[key], f"function {_called(key)}")
            if depth[key] > DEEPEST_CALLS:
                raise InvalidModelError(
                    f"functions call one another more than {DEEPEST_CALLS} deep"
                )
            stack.pop()
            continue
        if key in open_keys:
            raise InvalidModelError(f"function {_called(key)} calls itself")
        open_keys.add(key)
        stack += waiting


def _check_inlined(count: int, what: str) -> None:
    if count > MOST_INLINED:
        raise InvalidModelError(
            f"{what} has more than {MOST_INLINED} nodes once its functions are written out"
        )
