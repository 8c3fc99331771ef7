"""The words of the text that printer and reader share."""

from __future__ import annotations

import re

# Of the module.
IR_VERSION = "onnx.ir_version"
OPSETS = "onnx.opsets"
SIZES = "onnx.sizes"
MODEL_METADATA = "onnx.model_metadata"
MODEL_SHELL = "onnx.model_shell"
GRAPH_SHELL = "onnx.graph_shell"

# Of arguments and results of the function, which take only names with a dot.
NAME = "onnx.name"
TYPE = "onnx.type"
ARGUMENT_NODE_NAME = "onnx.node_name"

# Of ops.
NODE_NAME = "onnx_node_name"
NAMES = "onnx.names"
DIM_PARAMS = "onnx.dim_params"
DOC = "onnx.doc"
OVERLOAD = "onnx.overload"
CAPTURES = "onnx.captures"
METADATA = "onnx.metadata"
DOMAIN = "domain_name"
FUNCTION = "function_name"

DIALECT = "onnx."
NO_VALUE = "NoValue"
CUSTOM = "Custom"

_ESCAPED = "onnx.attr."
_RESERVED = {NODE_NAME, DOMAIN, FUNCTION}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ILLEGAL_BYTE = re.compile(rb"[^A-Za-z0-9_.]")
_ESCAPED_BYTE = re.compile(r"\$([0-9A-F]{2})|([^$])")


def is_plain(name: str) -> bool:
    """True for names that need no escape anywhere in the text."""
    return _PLAIN.fullmatch(name) is not None


def attribute_key(name: str) -> str:
    """The key under which the attribute of that name stands."""
    return name if is_plain(name) and name not in _RESERVED else escaped_key(name)


def escaped_key(name: str) -> str:
    """A key with a dialect's prefix, legal for whatever name; `attribute_name` undoes it."""
    data = name.encode("utf-8", "surrogatepass")
    return _ESCAPED + _ILLEGAL_BYTE.sub(lambda m: b"$%02X" % m[0][0], data).decode("ascii")


def attribute_name(key: str) -> str | None:
    """The name of the attribute under ``key``; None where the key is none of an attribute.

    Raises ValueError on a broken escape.
    """
    if not key.startswith(DIALECT):
        return key
    if not key.startswith(_ESCAPED):
        return None
    text = key.removeprefix(_ESCAPED)
    parts = list(_ESCAPED_BYTE.finditer(text))
    if sum(len(part[0]) for part in parts) != len(text):
        raise ValueError(f"attribute name {key!r} holds a broken escape")
    data = b"".join(bytes.fromhex(m[1]) if m[1] else m[2].encode() for m in parts)
    return data.decode("utf-8", "surrogatepass")
