"""From MLIR text to the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

import numpy as np

from convc.errors import InvalidGraphError
from convc.graph import Graph
from convc.ir import (
    CONSTANT,
    INPUT,
    OUTPUT,
    Array,
    Attribute,
    Header,
    Opaque,
    OpaqueType,
    TensorType,
    Type,
    Value,
)
from convc.mlir import names
from convc.mlir.attributes import resource_array
from convc.mlir.lexer import error_at
from convc.mlir.literals import parse_hex
from convc.mlir.parser import parse_document
from convc.mlir.tree import (
    AnyType,
    Document,
    FunctionType,
    Operation,
    Resource,
    Scalar,
    TypeAttribute,
)
from convc.mlir.types import type_text, with_dim_params

T = TypeVar("T")

NONE = Scalar("none")


def parse_graph(text: str) -> Graph:
    """The graph of which `print_graph` is the text.

    Also reads what `mlir-opt` prints of that, in the generic form too; MLIR forgets the names of
    values that have a legal SSA name.

    Raises InvalidModelError, with line and column, where the text is not one of convc's, or the
    weights it names are not in it (it was printed without them).
    """
    document = parse_document(text)
    return _Reader(document).graph()


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.values: dict[str, Value | None] = {}
        self.types: dict[str, AnyType] = {}

    def graph(self) -> Graph:
        module, function = self._top()
        header, sizes = self._header(module)
        graph = Graph(header, sizes)
        body = function.body or []
        if not body or body[-1].name != "func.return":
            self.fail(function, "the function does not end with func.return")
        try:
            self._inputs(graph, function)
            for operation in body[:-1]:
                self._add(graph, operation)
            self._outputs(graph, function, body[-1])
            graph.verify()
        except InvalidGraphError as error:
            self.fail(function, str(error))
        return graph

    def _top(self) -> tuple[Operation, Operation]:
        operations = self.document.operations
        module = Operation("builtin.module", 0)
        if len(operations) == 1 and operations[0].name == "builtin.module":
            module = operations[0]
            operations = module.body or []
        if len(operations) != 1 or operations[0].name != "func.func":
            at = operations[1] if len(operations) > 1 else module
            self.fail(at, "expected a module with one function")
        return module, operations[0]

    def _header(self, module: Operation) -> tuple[Header, dict[str, int]]:
        facts = _Facts(self, module, module.attributes)
        default = Header()
        header = Header(
            ir_version=facts.take(names.IR_VERSION, int, default.ir_version),
            opsets=facts.pairs(names.OPSETS, int, default.opsets),
            metadata=facts.pairs(names.MODEL_METADATA, str, {}),
            model_shell=facts.payload(names.MODEL_SHELL),
            graph_shell=facts.payload(names.GRAPH_SHELL),
        )
        sizes: dict[str, int] = facts.pairs(names.SIZES, int, {})
        for dim, size in sizes.items():
            if size < 0:
                self.fail(module, f"{names.SIZES} gives {dim!r} the size {size}")
        facts.refuse_rest(names.DIALECT)
        return header, sizes

    def _inputs(self, graph: Graph, function: Operation) -> None:
        given = self._attribute_dicts(function, "arg_attrs", len(function.arguments))
        for (ssa, type_), attributes in zip(function.arguments, given, strict=True):
            facts = _Facts(self, function, attributes)
            name = facts.take(names.NAME, str, _name(ssa))
            named = self._named(function, self._value_type(function, type_), facts.dims())
            common = facts.common(names.ARGUMENT_NODE_NAME)
            rest = facts.attributes()
            op = graph.add(INPUT, (), rest, types=(named,), names=(name,), **common)
            self._define(function, ssa, op.result, type_)

    def _add(self, graph: Graph, operation: Operation) -> None:
        if operation.body is not None or not operation.name.startswith(names.DIALECT):
            self.fail(operation, f"{operation.name!r} is no operation of a network")
        operands = self._operands(operation)
        facts = _Facts(self, operation, operation.attributes)
        kind = operation.name.removeprefix(names.DIALECT)
        if kind == names.NO_VALUE:
            self._none(operation)
            return
        domain = ""
        if kind == names.CUSTOM:
            domain = facts.take(names.DOMAIN, str, "")
            kind = facts.take(names.FUNCTION, str, "")
        if not domain and kind in (INPUT, OUTPUT, ""):
            self.fail(operation, f"{kind!r} is no kind of operation")
        types, results = self._result_types(operation), _result_names(operation)
        if len(results) != len(types):
            self.fail(operation, f"{len(results)} results, but {len(types)} types")
        shown = facts.strings(names.NAMES, len(results)) or [_name(ssa) for ssa in results]
        params = facts.strings(names.DIM_PARAMS, len(results)) or [""] * len(results)
        common = facts.common(names.NODE_NAME)
        op = graph.add(
            kind,
            operands,
            facts.attributes(),
            types=[self._named(operation, *pair) for pair in zip(types, params, strict=True)],
            names=shown,
            domain=domain,
            **common,
        )
        if kind == CONSTANT and not domain and len(op.results) != 1:
            self.fail(operation, "a Constant has one result")
        for ssa, value, type_ in zip(results, op.results, types, strict=True):
            self._define(operation, ssa, value, type_)

    def _none(self, operation: Operation) -> None:
        results = _result_names(operation)
        if operation.operands or len(results) != 1 or operation.result_types != (NONE,):
            self.fail(operation, f"{operation.name} makes one result of type none of nothing")
        self._define(operation, results[0], None, NONE)

    def _outputs(self, graph: Graph, function: Operation, last: Operation) -> None:
        values = [value for value in self._operands(last) if value is not None]
        if len(values) != len(last.operands):
            self.fail(last, "an output has no value")
        signature = function.attributes.get("function_type")
        wanted = signature.type if isinstance(signature, TypeAttribute) else None
        if not isinstance(wanted, FunctionType) or wanted.results != last.operand_types:
            self.fail(last, "the types returned are not those of the function's results")
        if wanted.arguments != tuple(type_ for _, type_ in function.arguments):
            self.fail(function, "the types of the arguments are not those of the function")
        shown: list[str] = []
        types: list[Type] = []
        given = self._attribute_dicts(function, "res_attrs", len(values))
        for value, attributes in zip(values, given, strict=True):
            facts = _Facts(self, function, attributes)
            shown.append(facts.take(names.NAME, str, value.name))
            if names.TYPE in facts.entries:
                declared = facts.take(names.TYPE, TypeAttribute, None)
                type_ = self._value_type(function, declared.type)
                types.append(self._named(function, type_, facts.dims()))
            facts.refuse_rest("")
        if types and len(types) != len(values):
            self.fail(function, f"{names.TYPE} is there for some of the results only")
        graph.set_outputs(values, shown, types)

    # -- values and types --------------------------------------------------------------------

    def _operands(self, operation: Operation) -> list[Value | None]:
        if len(operation.operands) != len(operation.operand_types):
            counts = f"{len(operation.operands)} operands, {len(operation.operand_types)} types"
            self.fail(operation, counts)
        for ssa, type_ in zip(operation.operands, operation.operand_types, strict=True):
            if ssa not in self.values:
                self.fail(operation, f"{ssa} is used before anything makes it")
            if self.types[ssa] != type_:
                self.fail(operation, f"{ssa} is of type {_text(self.types[ssa])} where it is made")
        return [self.values[ssa] for ssa in operation.operands]

    def _define(self, at: Operation, ssa: str, value: Value | None, type_: AnyType) -> None:
        if ssa in self.values:
            self.fail(at, f"{ssa} is made twice")
        self.values[ssa] = value
        self.types[ssa] = type_

    def _result_types(self, operation: Operation) -> list[Type]:
        return [self._value_type(operation, type_) for type_ in operation.result_types]

    def _value_type(self, at: Operation, type_: AnyType) -> Type:
        if isinstance(type_, Scalar | FunctionType):
            self.fail(at, f"{_text(type_)} is no type of a value")
        return type_

    def _named(self, at: Operation, type_: Type, params: str) -> Type:
        return self.converted(at, lambda: with_dim_params(type_, params))

    def _attribute_dicts(self, function: Operation, key: str, count: int) -> Sequence[Any]:
        entries = function.attributes.get(key, ({},) * count)
        fits = isinstance(entries, tuple) and all(isinstance(entry, dict) for entry in entries)
        if not fits or len(entries) not in (0, count):
            self.fail(function, f"{key} is not one dictionary for each of {count}")
        return entries or ({},) * count

    # -- attributes --------------------------------------------------------------------------

    def attribute(self, at: Operation, name: str, value: Any) -> Attribute:
        """The attribute itself, its weights read."""
        if isinstance(value, Resource):
            return self._weight(value)
        if isinstance(value, tuple):
            return tuple(self.attribute(at, name, item) for item in value)
        if isinstance(value, int | float | str | np.ndarray | Opaque):
            return value
        return self.fail(at, f"attribute {name!r} is of no kind that ONNX has")

    def _weight(self, resource: Resource) -> Array:
        digits = self.document.resources.get(resource.key)
        if digits is None:
            raise error_at(
                self.document.source,
                resource.at,
                f"the weight {resource.key!r} is not among the text's resources: "
                "print the model with its weights",
            )
        try:
            return resource_array(resource, digits)
        except ValueError as error:
            message = f"weight {resource.key!r}: {error}"
            raise error_at(self.document.source, resource.at, message) from error

    def converted(self, at: Operation, convert: Callable[[], T]) -> T:
        """What ``convert`` returns; its ValueError becomes an error at ``at``."""
        try:
            return convert()
        except ValueError as error:
            return self.fail(at, str(error))

    def fail(self, at: Operation, message: str) -> NoReturn:
        """Raises InvalidModelError with line and column of the operation."""
        raise error_at(self.document.source, at.at, message)


class _Facts:
    """The attributes of an operation, taken one after the other: what convc means by them first."""

    def __init__(self, reader: _Reader, at: Operation, entries: Mapping[str, Any]) -> None:
        self.reader = reader
        self.at = at
        self.entries = dict(entries)

    def take(self, key: str, kind: type, default: Any) -> Any:
        """The value under ``key``."""
        value = self.entries.pop(key, default)
        if value is not default and not isinstance(value, kind):
            self.reader.fail(self.at, f"{key} is no {kind.__name__}")
        return value

    def strings(self, key: str, count: int | None = None) -> list[str]:
        """The strings under ``key``, as many as ``count``; none where it is absent."""
        if key not in self.entries:
            return []
        values = self.take(key, tuple, ())
        if count not in (None, len(values)) or not all(isinstance(v, str) for v in values):
            self.reader.fail(self.at, f"{key} is not one string for each of {count}")
        return list(values)

    def pairs(self, key: str, kind: type, default: Mapping[str, Any]) -> dict[str, Any]:
        """The mapping under ``key``, written as pairs."""
        if key not in self.entries:
            return dict(default)
        pairs = self.take(key, tuple, ())
        for pair in pairs:
            fits = isinstance(pair, tuple) and len(pair) == 2
            if not fits or not isinstance(pair[0], str) or not isinstance(pair[1], kind):
                self.reader.fail(self.at, f"{key} is no list of pairs of str and {kind.__name__}")
        return dict(pairs)

    def payload(self, key: str) -> bytes:
        """The bytes under ``key``."""
        text = self.take(key, str, "0x")
        data: bytes = self.reader.converted(self.at, lambda: parse_hex(text))
        return data

    def dims(self) -> str:
        """The names of one type's dims."""
        text: str = self.take(names.DIM_PARAMS, str, "")
        return text

    def common(self, node_name: str) -> dict[str, Any]:
        """What every op has besides its attributes, by the parameter of `Graph.add`."""
        return {
            "name": self.take(node_name, str, ""),
            "doc": self.take(names.DOC, str, ""),
            "overload": self.take(names.OVERLOAD, str, ""),
            "captures": tuple(self.strings(names.CAPTURES)),
            "metadata": self.pairs(names.METADATA, str, {}),
        }

    def attributes(self) -> dict[str, Attribute]:
        """What is left: the op's own attributes."""
        found: dict[str, Attribute] = {}
        for key, value in self.entries.items():
            name = self.reader.converted(self.at, partial(names.attribute_name, key))
            if name is None or name in found:
                self.reader.fail(self.at, f"attribute {key!r} is unknown, or there twice")
            found[name] = self.reader.attribute(self.at, name, value)
        return found

    def refuse_rest(self, prefix: str) -> None:
        """Fails where there are more that begin with ``prefix``."""
        rest = [key for key in self.entries if key.startswith(prefix)]
        if rest:
            self.reader.fail(self.at, f"attribute {rest[0]!r} is unknown")


def _result_names(operation: Operation) -> list[str]:
    """One SSA name for each result; too few of them where the text gives a wrong number."""
    total = sum(count for _, count in operation.results)
    if total != len(operation.result_types) or any(count < 1 for _, count in operation.results):
        return []
    return [f"{name}#{i}" if i else name for name, count in operation.results for i in range(count)]


def _name(ssa: str) -> str:
    """The name of a value: its SSA name, unless that is a number."""
    name = ssa.removeprefix("%")
    return "" if name.partition("#")[0].isdigit() else name


def _text(type_: AnyType) -> str:
    if isinstance(type_, Scalar):
        return type_.text
    if isinstance(type_, FunctionType):
        return "a function"
    assert type_ is None or isinstance(type_, TensorType | OpaqueType)
    return type_text(type_)
