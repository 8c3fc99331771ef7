"""The graph: who adds, changes and erases ops, and in which order they are visited."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import count, islice
from math import prod
from typing import Any

import networkx as nx
import numpy as np

from convc.errors import InvalidGraphError
from convc.invariants import verify
from convc.ir import (
    CONSTANT,
    INPUT,
    NO_METADATA,
    OUTPUT,
    Array,
    Attribute,
    Dim,
    Header,
    Op,
    TensorType,
    Type,
    Value,
)
from convc.orders import Plain, needed, topological
from convc.places import Places
from convc.witness import Witness


class Graph:
    """A network. See `convc.ir` for what its nodes and edges are.

    ``sizes`` gives each named dim the size at which it is costed and proved.
    ``version`` grows with every change, so whether a pass changed anything is measured.
    ``witness`` is told of the rewrites that are applied; copies of the graph have none.
    """

    def __init__(self, header: Header | None = None, sizes: Mapping[str, int] | None = None):
        self.header = header or Header()
        self.sizes: MutableMapping[str, int] = dict(sizes or {})
        self.version = 0
        self.witness: Witness | None = None
        self._digraph = Plain()
        self._places = Places()
        self._inputs: list[Op] = []
        self._order: tuple[int, tuple[Op, ...]] = (-1, ())
        self._dims = count()
        self.output = self.add(OUTPUT, (), {"names": (), "types": ()}, types=())

    @classmethod
    def beside(cls, graph: Graph) -> Graph:
        """An empty graph for what may replace a part of ``graph``.

        It sees the sizes of ``graph`` and adds its own to none but itself. They are not copied:
        there may be as many as there are ops.
        """
        part = cls(graph.header)
        part.sizes = ChainMap({}, graph.sizes)
        return part

    def __len__(self) -> int:
        return len(self._digraph)

    def __contains__(self, op: Op) -> bool:
        return op in self._digraph

    @property
    def networkx(self) -> nx.DiGraph:
        """The networkx graph itself, frozen: for networkx's algorithms, not for changes."""
        return self._digraph.copy(as_view=True)

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are fed."""
        return tuple(op.result for op in self._inputs)

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The values that are the graph's results (None never occurs here)."""
        return tuple(value for value in self.output.operands if value is not None)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the results in the file; a value's own name may differ."""
        names = self.output.attributes["names"]
        assert isinstance(names, tuple)
        return names

    @property
    def output_types(self) -> tuple[Type, ...]:
        """The types of the results as declared in the file, else as the values have them."""
        return self._declared or tuple(value.type for value in self.outputs)

    @property
    def _declared(self) -> tuple[Type, ...]:
        types = self.output.attributes["types"]
        assert isinstance(types, tuple)
        return types

    # -- the three mutators ------------------------------------------------------------------

    def add(
        self,
        kind: str,
        operands: Sequence[Value | None] = (),
        attributes: Mapping[str, Attribute] | None = None,
        *,
        types: Sequence[Type] = (None,),
        names: Sequence[str] = (),
        domain: str = "",
        name: str = "",
        doc: str = "",
        overload: str = "",
        captures: tuple[str, ...] = (),
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> Op:
        """Adds an op with one result for each of ``types`` and returns it.

        Raises InvalidGraphError, with nothing added, where an operand is not of this graph.
        """
        for operand in operands:
            self._require(operand)
        op = Op(
            kind,
            tuple(operands),
            attributes or {},
            domain=domain,
            name=name,
            doc=doc,
            overload=overload,
            captures=captures,
            metadata=metadata,
        )
        op.results = tuple(
            Value(op, i, type_, names[i] if i < len(names) else "") for i, type_ in enumerate(types)
        )
        self._digraph.add_node(op)
        for operand in op.operands:
            if operand is not None:
                self._digraph.add_edge(operand.op, op)
        if kind == INPUT and not domain:
            self._inputs.append(op)
        self.version += 1
        return op

    def add_like(
        self,
        op: Op,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Attribute] | None = None,
        types: Sequence[Type] | None = None,
    ) -> Op:
        """Adds an op that is all that ``op`` is, but for its operands and what else is given."""
        return self.add(
            op.kind,
            operands,
            op.attributes if attributes is None else attributes,
            types=[result.type for result in op.results] if types is None else types,
            names=[result.name for result in op.results],
            domain=op.domain,
            name=op.name,
            doc=op.doc,
            overload=op.overload,
            captures=op.captures,
            metadata=op.metadata,
        )

    def set_operand(self, op: Op, index: int, value: Value | None) -> None:
        """Makes ``value`` the operand of ``op`` at ``index``."""
        self._require_op(op)
        self._require(value)
        old = op.operands[index]
        if old is value:
            return
        self._places.change(op, index, value)
        operands = list(op.operands)
        operands[index] = value
        op.operands = tuple(operands)
        if old is not None and not self._places.uses_any(op, old.op):
            self._digraph.remove_edge(old.op, op)
        if value is not None:
            self._digraph.add_edge(value.op, op)
        self.version += 1

    def erase(self, op: Op) -> None:
        """Removes an op that nobody uses; raises InvalidGraphError when somebody does."""
        if op is self.output:
            raise InvalidGraphError("the Output op cannot be erased")
        self._require_op(op)
        users = list(self._digraph.successors(op))
        if users:
            raise InvalidGraphError(f"{op!r} is still used by {users[0]!r}")
        if op.kind == INPUT and not op.domain:
            self._inputs.remove(op)
        self._places.forget(op)
        self._digraph.remove_node(op)
        self.version += 1

    def set_metadata(self, op: Op, metadata: Mapping[str, str]) -> None:
        """Makes ``metadata`` what the file says of ``op`` besides what it computes."""
        self._require_op(op)
        op.metadata = metadata
        self.version += 1

    def _require(self, value: Value | None) -> None:
        if value is not None and value.op not in self._digraph:
            raise InvalidGraphError(f"{value!r} does not belong to this graph")

    def _require_op(self, op: Op) -> None:
        if op not in self._digraph:
            raise InvalidGraphError(f"{op!r} does not belong to this graph")

    # -- built on them -----------------------------------------------------------------------

    def add_input(
        self, name: str, type_: Type, doc: str = "", default: Array | None = None
    ) -> Value:
        """Adds a graph input; ``default`` is what it is worth where nothing is fed."""
        attributes = {} if default is None else {"default": _read_only(default)}
        return self.add(INPUT, (), attributes, types=(type_,), names=(name,), doc=doc).result

    def add_constant(
        self, array: Array, name: str = "", dtype: np.dtype[Any] | None = None, doc: str = ""
    ) -> Value:
        """Adds a weight.

        Args:
            array: any shape; shared, not copied, and read-only from here on.
            name: name for people.
            dtype: the dtype to store it in, where ``array`` is kept in float64 until proved.
            doc: doc string kept from the file.
        """
        type_ = TensorType(np.dtype(dtype or array.dtype), tuple(array.shape))
        attributes = {"value": _read_only(array)}
        return self.add(CONSTANT, (), attributes, types=(type_,), names=(name,), doc=doc).result

    def set_outputs(
        self, values: Sequence[Value], names: Sequence[str], types: Sequence[Type] = ()
    ) -> None:
        """Makes ``values`` the results of the graph, under ``names``.

        ``types`` are what the file declares, where that is not what the values say of themselves.
        """
        if len(values) != len(names) or (types and len(types) != len(names)):
            raise InvalidGraphError(f"{len(values)} outputs but {len(names)} names")
        attributes = {"names": tuple(names), "types": tuple(types)}
        output = self.add(OUTPUT, values, attributes, types=())
        self._places.forget(self.output)
        self._digraph.remove_node(self.output)
        self.output = output

    def uses(self, value: Value) -> list[tuple[Op, int]]:
        """Who uses ``value`` and at which operand; a copy, so the graph may change meanwhile."""
        self._require(value)
        return list(self._iter_uses(value))

    def only_use(self, value: Value) -> tuple[Op, int] | None:
        """Who uses ``value``, and at which operand, where that is one use alone."""
        self._require(value)
        found = list(islice(self._iter_uses(value), 2))
        return found[0] if len(found) == 1 else None

    def is_used(self, value: Value) -> bool:
        """Whether anybody uses ``value``."""
        self._require(value)
        return next(self._iter_uses(value), None) is not None

    def is_shared(self, value: Value) -> bool:
        """Whether ``value`` is used more than once."""
        self._require(value)
        return len(list(islice(self._iter_uses(value), 2))) > 1

    def _iter_uses(self, value: Value) -> Iterator[tuple[Op, int]]:
        """As `uses`, one by one: a value may have as many users as there are ops."""
        for user in self._digraph.adj[value.op]:
            for place in self._places.of(value, user):
                yield user, place

    def iter_users(self, op: Op) -> Iterator[Op]:
        """As `users`, one by one; the graph must not change meanwhile."""
        return iter(self._digraph.adj[op])

    def users(self, op: Op) -> list[Op]:
        """The ops that use any result of ``op``."""
        return list(self._digraph.successors(op))

    def producers(self, op: Op) -> list[Op]:
        """The ops whose results ``op`` uses."""
        return list(self._digraph.predecessors(op))

    def replace_uses(self, old: Value, new: Value) -> None:
        """Makes every user of ``old`` use ``new``."""
        self._require(new)
        for user, index in self.uses(old):
            self.set_operand(user, index, new)

    def erase_dead(self, candidates: Iterable[Op]) -> list[Op]:
        """Erases those of ``candidates`` that nobody uses, and what only they used."""
        erased: list[Op] = []
        stack = list(candidates)
        while stack:
            op = stack.pop()
            if op not in self or not self.is_dead(op):
                continue
            producers = self.producers(op)
            self.erase(op)
            erased.append(op)
            stack.extend(producers)
        return erased

    def is_dead(self, op: Op) -> bool:
        """True when nobody uses the op and it is neither an input nor the output."""
        return not op.is_boundary and not self._digraph.adj[op]

    def ops(self) -> tuple[Op, ...]:
        """A snapshot in topological order, as near to the order of adding as that allows."""
        version, order = self._order
        if version != self.version:
            order = tuple(topological(self._digraph))
            self._order = (self.version, order)
        return order

    def new_dim(self, size: int | None) -> Dim:
        """A fresh name for a size that varies, worth ``size`` where the graph is costed."""
        if size is None:
            return None
        name = f"?{next(self._dims)}"
        while name in self.sizes:
            name = f"?{next(self._dims)}"
        self.sizes[name] = size
        return name

    def concrete_shape(self, value: Value) -> tuple[int, ...] | None:
        """The shape with the named dims at their ``sizes``; None where a dim is unknown."""
        if value.shape is None:
            return None
        dims = tuple(self.sizes.get(d) if isinstance(d, str) else d for d in value.shape)
        known = tuple(d for d in dims if d is not None)
        return known if len(known) == len(dims) else None

    def nbytes(self, value: Value) -> int | None:
        """Bytes of a value at the graph's ``sizes``; None where they are not known."""
        shape = self.concrete_shape(value)
        if shape is None or value.dtype is None or value.dtype.hasobject:
            return None
        return prod(shape) * value.dtype.itemsize

    def clone(self) -> Graph:
        """A copy that shares the weights."""
        return self.extract(
            self.inputs, self.outputs, self.output_names, self._declared, keep_dead=True
        )

    def extract(
        self,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        output_names: Sequence[str] | None = None,
        output_types: Sequence[Type] = (),
        *,
        keep_dead: bool = False,
        copies: dict[Value, Value] | None = None,
    ) -> Graph:
        """The part of the graph that computes ``outputs`` from ``inputs``, as a graph of its own.

        A dict ``copies`` is filled with the part's value for each value of this graph.

        Raises InvalidGraphError where that part needs a graph input that is not in ``inputs``.
        """
        part = Graph(self.header, self.sizes)
        part._dims = self._dims
        copies = {} if copies is None else copies
        for value in inputs:
            if value.op.is_boundary:
                _copy_op(part, value.op, copies)
            else:
                copies[value] = part.add_input(value.name, value.type)
        order = self.ops() if keep_dead else needed(inputs, outputs)
        for op in order:
            if op is self.output or (op.results and all(value in copies for value in op.results)):
                continue
            if op.is_boundary:
                raise InvalidGraphError(f"{op.result!r} is needed but not an input of the part")
            _copy_op(part, op, copies)
        names = output_names or [value.name for value in outputs]
        part.set_outputs([copies[value] for value in outputs], names, output_types)
        return part

    def inline(self, part: Graph, operands: Sequence[Value]) -> tuple[Value, ...]:
        """Copies ``part`` into this graph, its inputs bound to ``operands``; returns its outputs.

        Constants kept in float64 until proved are cast here, once, to the dtype of their type.
        """
        copies = dict(zip(part.inputs, operands, strict=True))
        new = part.sizes.maps[0] if isinstance(part.sizes, ChainMap) else part.sizes
        self.sizes.update({k: v for k, v in new.items() if k not in self.sizes})
        for op in part.ops():
            if op.is_boundary:
                continue
            if op.array is not None and op.result.dtype != op.array.dtype:
                cast = op.array.astype(op.result.dtype)
                copies[op.result] = self.add_constant(cast, op.result.name, doc=op.doc)
                continue
            _copy_op(self, op, copies)
        return tuple(copies[value] for value in part.outputs)

    def verify(self) -> None:
        """Raises InvalidGraphError, naming the op, where an invariant is broken."""
        verify(self)


def _read_only(array: Array) -> Array:
    view = np.asarray(array).view()  # numpy makes a bare number of arithmetic without axes
    view.flags.writeable = False
    return view


def _copy_op(target: Graph, op: Op, copies: dict[Value, Value]) -> None:
    operands = [None if value is None else copies[value] for value in op.operands]
    copy = target.add_like(op, operands)
    for old, new in zip(op.results, copy.results, strict=True):
        copies.setdefault(old, new)
