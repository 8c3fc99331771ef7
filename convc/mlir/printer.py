"""From the graph to MLIR text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from convc.errors import InvalidGraphError
from convc.graph import Graph
from convc.ir import INPUT, OUTPUT, Array, Attribute, Op, Opaque, Value
from convc.mlir import names
from convc.mlir.literals import dense_text, raw_bytes, scalar_text, string_text
from convc.mlir.types import dim_params, tensor_text, type_text

_LEGAL = re.compile(r"[A-Za-z_$.\-][A-Za-z0-9_$.\-]*")
_ILLEGAL_CHAR = re.compile(r"[^A-Za-z0-9_$.\-]+")
_NOT_IN_KEY = re.compile(r"[^A-Za-z0-9_.]")


def print_graph(graph: Graph, *, weights: bool = False) -> str:
    """The graph as MLIR text.

    Args:
        graph: what to print: inputs first, then the other ops in topological order.
        weights: add the bytes of the large weights. Without them the text is for reading:
            `parse_graph` refuses it where it has a large weight.

    Raises InvalidGraphError where a dtype or an attribute has no text.
    """
    return "\n".join(_Printer(graph).lines(weights)) + "\n"


class _Printer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ops = [op for op in graph.ops() if not op.is_boundary]
        self.ssa = _Names()
        self.keys = _Names()
        self.types: dict[Value, str] = {}
        self.values: dict[Value, str] = {}
        self.resources: dict[str, Array] = {}

    def lines(self, weights: bool) -> Iterator[str]:
        """The lines of the text; the resources come last, when all are known."""
        yield f"module attributes {self._module_attributes()} {{"
        arguments = ", ".join([self._argument(value) for value in self.graph.inputs])
        outputs = self.graph.outputs
        none = self._none()
        body = [self._op(op, none) for op in self.ops]
        yield f"  func.func @main_graph({arguments}){self._results()} {{"
        if none:
            yield f'    {none} = "onnx.NoValue"() {{value}} : () -> none'
        yield from body
        yield f"    func.return{self._returned(outputs)}"
        yield "  }"
        yield "}"
        if weights and self.resources:
            yield from self._resource_lines()

    def _module_attributes(self) -> str:
        header = self.graph.header
        facts = {
            names.IR_VERSION: f"{header.ir_version} : si64",
            names.OPSETS: _pairs(header.opsets),
        }
        if header.metadata:
            facts[names.MODEL_METADATA] = _pairs(header.metadata)
        if header.model_shell:
            facts[names.MODEL_SHELL] = f'"0x{header.model_shell.hex()}"'
        if header.graph_shell:
            facts[names.GRAPH_SHELL] = f'"0x{header.graph_shell.hex()}"'
        if self.graph.sizes:
            facts[names.SIZES] = _pairs(self.graph.sizes)
        return _dictionary(facts)

    def _argument(self, value: Value) -> str:
        facts = {names.NAME: string_text(value.name)}
        if params := dim_params(value.type):
            facts[names.DIM_PARAMS] = string_text(params)
        facts |= _facts(value.op, names.ARGUMENT_NODE_NAME)
        ssa = self._declare(value)
        for name, attribute in value.op.attributes.items():
            facts[names.escaped_key(name)] = self._attribute(attribute, f"{ssa}.{name}")
        return f"%{ssa}: {self.types[value]} {_dictionary(facts)}"

    def _none(self) -> str:
        if all(value is not None for op in self.ops for value in op.operands):
            return ""
        return f"%{self.ssa.take('none')}"

    def _op(self, op: Op, none: str) -> str:
        results = [self._declare(result) for result in op.results]
        facts: dict[str, str] = {}
        plain = names.is_plain(op.kind) and op.kind not in (names.NO_VALUE, names.CUSTOM)
        kind = op.kind
        if op.domain or not plain or kind in (INPUT, OUTPUT):
            facts = {names.DOMAIN: string_text(op.domain), names.FUNCTION: string_text(kind)}
            kind = names.CUSTOM
        owner = results[0] if results else op.kind
        for name, attribute in op.attributes.items():
            facts[names.attribute_key(name)] = self._attribute(attribute, f"{owner}.{name}")
        facts |= _facts(op, names.NODE_NAME)
        if any(_shown_name(ssa) != v.name for ssa, v in zip(results, op.results, strict=True)):
            facts[names.NAMES] = _strings(result.name for result in op.results)
        params = [dim_params(result.type) for result in op.results]
        if any(params):
            facts[names.DIM_PARAMS] = _strings(params)
        operands = ", ".join(none if v is None else f"%{self.values[v]}" for v in op.operands)
        given = ", ".join("none" if v is None else self.types[v] for v in op.operands)
        made = ", ".join(self.types[result] for result in op.results)
        return (
            f"    {', '.join(f'%{ssa}' for ssa in results)}{' = ' if results else ''}"
            f'"onnx.{kind}"({operands}){" " + _dictionary(facts) if facts else ""}'
            f" : ({given}) -> {made if len(results) == 1 else f'({made})'}"
        )

    def _declare(self, value: Value) -> str:
        ssa = self.ssa.number() if not value.name else self.ssa.take(value.name)
        self.values[value] = ssa
        self.types[value] = type_text(value.type)
        return ssa

    def _results(self) -> str:
        declared = self.graph.output.attributes["types"]
        assert isinstance(declared, tuple)
        results: list[str] = []
        for i, (value, name) in enumerate(
            zip(self.graph.outputs, self.graph.output_names, strict=True)
        ):
            facts = {names.NAME: string_text(name)}
            if declared:
                facts[names.TYPE] = type_text(declared[i])
                if params := dim_params(declared[i]):
                    facts[names.DIM_PARAMS] = string_text(params)
            results.append(f"{self.types[value]} {_dictionary(facts)}")
        return f" -> ({', '.join(results)})" if results else ""

    def _returned(self, outputs: Iterable[Value]) -> str:
        values = list(outputs)
        if not values:
            return ""
        operands = ", ".join(f"%{self.values[value]}" for value in values)
        return f" {operands} : {', '.join(self.types[value] for value in values)}"

    def _attribute(self, value: Attribute | Any, owner: str) -> str:
        if isinstance(value, str):
            return string_text(value)
        if isinstance(value, tuple):
            return f"[{', '.join(self._item(item, owner) for item in value)}]"
        if isinstance(value, int | np.integer):
            return f"{int(value)} : si64"
        return self._item(value, owner)

    def _item(self, value: Any, owner: str) -> str:
        """As a member of an array, where an integer is of MLIR's default type."""
        if isinstance(value, int | np.integer):
            return str(int(value))
        if isinstance(value, float):
            return scalar_text(value)
        if isinstance(value, np.ndarray):
            return self._array(value, owner)
        if isinstance(value, Opaque):
            return f'#onnx.opaque<"0x{value.payload.hex()}">'
        if isinstance(value, str | tuple):
            return self._attribute(value, owner)
        raise InvalidGraphError(f"%{owner} is a {type(value).__name__}, which has no MLIR text")

    def _array(self, array: Array, owner: str) -> str:
        text = dense_text(array)
        if text is not None:
            return text
        key = _NOT_IN_KEY.sub("_", owner.removesuffix(".value"))
        key = self.keys.take(key if not key[:1].isdigit() else f"_{key}")
        self.resources[key] = array
        return f"dense_resource<{key}> : {tensor_text(array.dtype, array.shape)}"

    def _resource_lines(self) -> Iterator[str]:
        yield "\n{-#\n  dialect_resources: {\n    builtin: {"
        last = len(self.resources) - 1
        for i, (key, array) in enumerate(self.resources.items()):
            # MLIR's blobs begin with their alignment.
            alignment = max(4, array.itemsize).to_bytes(4, "little").hex()
            yield f'      {key}: "0x{alignment}{raw_bytes(array).hex()}"{"," if i < last else ""}'
        yield "    }\n  }\n#-}"


class _Names:
    """Names that are legal and given only once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.repeats: dict[str, int] = {}
        self.numbers = 0

    def number(self) -> str:
        """The next number: the name of what has no name."""
        self.numbers += 1
        return str(self.numbers - 1)

    def take(self, wanted: str) -> str:
        """The name itself where it can be had, else one that is like it."""
        stem = wanted if _LEGAL.fullmatch(wanted) else _ILLEGAL_CHAR.sub("_", wanted).strip("_")
        if not stem or stem[0].isdigit():
            stem = f"_{stem}"
        name = stem
        while name in self.taken:
            self.repeats[stem] = self.repeats.get(stem, 0) + 1
            name = f"{stem}_{self.repeats[stem]}"
        self.taken.add(name)
        return name


def _shown_name(ssa: str) -> str:
    return "" if ssa.isdigit() else ssa


def _facts(op: Op, node_name: str) -> dict[str, str]:
    facts: dict[str, str] = {}
    if op.name:
        facts[node_name] = string_text(op.name)
    if op.doc:
        facts[names.DOC] = string_text(op.doc)
    if op.overload:
        facts[names.OVERLOAD] = string_text(op.overload)
    if op.captures:
        facts[names.CAPTURES] = _strings(op.captures)
    if op.metadata:
        facts[names.METADATA] = _pairs(op.metadata)
    return facts


def _dictionary(facts: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{key} = {text}' for key, text in facts.items())}}}"


def _strings(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(string_text, texts))}]"


def _pairs(entries: Mapping[str, str] | Mapping[str, int]) -> str:
    """A mapping in its order, which MLIR's dictionaries do not keep."""
    pairs = (
        f"[{string_text(k)}, {string_text(v) if isinstance(v, str) else int(v)}]"
        for k, v in entries.items()
    )
    return f"[{', '.join(pairs)}]"
