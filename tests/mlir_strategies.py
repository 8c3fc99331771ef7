"""Random graphs with everything in them that a text can lose, and a comparison that sees it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from convc.graph import Graph
from convc.ir import Array, Header, Op, Opaque, OpaqueType, TensorType, Type, Value
from convc.mlir.types import DTYPES

# -- comparison ----------------------------------------------------------------------------------


def assert_same(a: Graph, b: Graph, *, value_names: bool = True) -> None:
    """Asserts that two graphs are the same in everything but identity.

    The order of ops other than inputs counts, the order of attributes does not. MLIR's tools
    forget the names of values: these are compared only if ``value_names``.
    """
    assert a.header == b.header
    assert a.sizes == b.sizes
    assert len(a) == len(b)
    ours, theirs = (_positions(graph) for graph in (a, b))
    for one, other in zip(ours.ops, theirs.ops, strict=True):
        assert _facts(one, ours.of) == _facts(other, theirs.of)
        if value_names or one.is_boundary:
            assert [v.name for v in one.results] == [v.name for v in other.results]
    assert [ours.of[v] for v in a.outputs] == [theirs.of[v] for v in b.outputs]
    assert a.output_names == b.output_names
    assert a.output.attributes["types"] == b.output.attributes["types"]


class _positions:  # noqa: N801  # a pair of names, no more
    def __init__(self, graph: Graph) -> None:
        inputs = [value.op for value in graph.inputs]
        self.ops = [*inputs, *(op for op in graph.ops() if not op.is_boundary)]
        self.of: dict[Value | None, tuple[int, int]] = {
            value: (i, value.index) for i, op in enumerate(self.ops) for value in op.results
        }
        self.of[None] = (-1, -1)


def _facts(op: Op, positions: Mapping[Value | None, tuple[int, int]]) -> Any:
    operands = [positions[value] for value in op.operands]
    types = [value.type for value in op.results]
    attributes = {name: bits(value) for name, value in op.attributes.items()}
    metadata = list(op.metadata.items())
    return (
        op.kind, op.domain, op.name, op.doc, op.overload, op.captures, metadata,
        operands, types, attributes,
    )  # fmt: skip


def bits(value: Any) -> Any:
    """An attribute as something that is equal only where every bit is."""
    if isinstance(value, np.ndarray):
        assert not value.flags.writeable
        if value.dtype == np.dtype(object):
            return value.shape, [(type(item), item) for item in value.flat]
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, tuple):
        return tuple(bits(item) for item in value)
    return (float, struct.pack("<d", value)) if isinstance(value, float) else (type(value), value)


# -- strategies ----------------------------------------------------------------------------------

NUMERIC = [dtype for dtype in DTYPES.values() if dtype != np.dtype(object)]
IDENTIFIERS = st.sampled_from(
    ("x", "y", "none", "conv.weight", "a-b", "$", "0", "7", "007", "/conv/out_0", "x_1", "%x", "é",
     "y y", "_y_y", "w:0", 'q"\\', "tensor", "dense", "\n", "\ud800", "?x.0")
)  # fmt: skip
TEXTS = st.one_of(IDENTIFIERS, st.text(max_size=6))
NAMES = st.one_of(st.just(""), TEXTS)
DIM_NAMES = st.one_of(st.sampled_from(("batch", "height", "a,b", "1:c\\", ",", "?x.0", "")), TEXTS)
FLOATS = st.one_of(
    st.floats(width=32),
    st.floats(),
    st.integers(0, 2**32 - 1).map(lambda n: struct.unpack("<f", struct.pack("<I", n))[0]),
    st.integers(0, 2**64 - 1).map(lambda n: struct.unpack("<d", struct.pack("<Q", n))[0]),
)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


@st.composite
def arrays(draw: st.DrawFn, dtype: np.dtype[Any] | None = None) -> Array:
    """Arrays of any dtype, shape and bits, some of them large, some of equal elements."""
    chosen = draw(st.sampled_from(list(DTYPES.values()))) if dtype is None else dtype
    shape = tuple(draw(st.lists(st.sampled_from((0, 1, 1, 2, 3, 4)), max_size=4)))
    count = int(np.prod(shape))
    if chosen == np.dtype(object):
        flat = np.empty(count, object)
        items = st.one_of(TEXTS, st.binary(max_size=4))
        flat[:] = draw(st.lists(items, min_size=count, max_size=count))
    else:
        size = max(count, 1) * chosen.itemsize
        data = draw(st.one_of(st.binary(min_size=size, max_size=size), st.just(bytes(size))))
        flat = _of_bits(data, chosen)[:count]
        if draw(st.booleans()):
            flat = np.repeat(flat[:1], count)
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array


def _of_bits(data: bytes, dtype: np.dtype[Any]) -> Array:
    raw = np.frombuffer(data, np.uint8)
    if dtype == np.dtype(bool):
        return raw % 2 == 1
    if dtype.name in ("int2", "int4", "uint2", "uint4"):
        return (raw % (1 << int(dtype.name[-1]) - 1)).astype(dtype)
    if dtype.name.startswith(("float4", "float6")):  # the other bits of their bytes mean nothing
        return (raw % (1 << int(dtype.name[5]))).view(dtype)
    return raw.view(dtype)


def types() -> st.SearchStrategy[Type]:
    """Types of all kinds."""
    dims = st.one_of(st.integers(0, 300), DIM_NAMES, st.none())
    shapes = st.one_of(st.none(), st.lists(dims, max_size=4).map(tuple))
    tensors = st.builds(TensorType, st.sampled_from(list(DTYPES.values())), shapes)
    opaque = st.builds(OpaqueType, st.binary(max_size=4))
    return st.one_of(tensors, tensors, opaque, st.none())


def attributes() -> st.SearchStrategy[dict[str, Any]]:
    """Attributes of all kinds, under all kinds of names."""
    names = st.one_of(
        st.sampled_from(("axis", "value", "onnx_node_name", "domain_name", "onnx.attr.x", "true")),
        st.sampled_from(("onnx.names", "type", "loc", "i64", "dense", "func.x", "")),
        TEXTS,
    )
    items = st.one_of(INTEGERS, FLOATS, TEXTS)
    values = st.one_of(
        items, st.lists(items, max_size=3).map(tuple), arrays(), st.builds(Opaque, st.binary())
    )
    return st.dictionaries(names, values, max_size=3)


def headers() -> st.SearchStrategy[Header]:
    """Headers; their shells are bytes that nobody looks into."""
    return st.builds(
        Header,
        ir_version=st.integers(1, 12),
        opsets=st.dictionaries(NAMES, st.integers(1, 30), max_size=3),
        metadata=st.dictionaries(TEXTS, TEXTS, max_size=2),
        model_shell=st.binary(max_size=5),
        graph_shell=st.binary(max_size=5),
    )


@st.composite
def graphs(draw: st.DrawFn, max_ops: int = 6) -> Graph:
    """Graphs that obey the IR's invariants, and need not make sense otherwise."""
    sizes = draw(st.dictionaries(DIM_NAMES, st.integers(0, 999), max_size=2))
    graph = Graph(draw(headers()), sizes)
    names = draw(st.lists(TEXTS.filter(bool), max_size=3, unique=True))
    values: list[Value] = []
    for name in names:
        extra = draw(st.one_of(st.just({}), attributes()))
        if draw(st.booleans()):
            extra["default"] = draw(arrays())
        values.append(_add(draw, graph, "Input", (), extra, [(draw(types()), name)]).result)
    for _ in range(draw(st.integers(0, max_ops))):
        if draw(st.integers(0, 2)) == 0:
            array = draw(arrays())
            stored = draw(st.one_of(st.just(array.dtype), st.sampled_from(NUMERIC)))
            values.append(graph.add_constant(array, draw(NAMES), stored, draw(NAMES)))
            continue
        domain = draw(st.sampled_from(("", "", "com.microsoft", "a b")))
        kinds = ("Relu", "Conv", "NoValue", "Custom", "Einsum x", "func.return")
        kind = draw(st.sampled_from((*kinds, "Input", "Constant") if domain else kinds))
        choices = st.one_of(st.none(), st.sampled_from(values)) if values else st.none()
        operands = draw(st.lists(choices, max_size=4))
        results = draw(st.lists(st.tuples(types(), NAMES), max_size=3))
        op = _add(draw, graph, kind, operands, draw(attributes()), results, domain=domain)
        values.extend(op.results)
    if values:
        outputs = draw(st.lists(st.tuples(st.sampled_from(values), TEXTS.filter(bool)), max_size=3))
        declared = draw(st.one_of(st.just([]), st.just([types()] * len(outputs))))
        graph.set_outputs(
            [v for v, _ in outputs], [n for _, n in outputs], [draw(t) for t in declared]
        )
    return graph


def _add(  # noqa: PLR0917  # as `Graph.add`, in its order
    draw: st.DrawFn,
    graph: Graph,
    kind: str,
    operands: Any,
    own: dict[str, Any],
    results: list[tuple[Type, str]],
    *,
    domain: str = "",
) -> Op:
    captures = draw(st.lists(TEXTS, max_size=len(operands)))
    return graph.add(
        kind,
        operands,
        own,
        types=[type_ for type_, _ in results],
        names=[name for _, name in results],
        domain=domain,
        name=draw(NAMES),
        doc=draw(NAMES),
        overload=draw(st.sampled_from(("", "", "v2"))),
        captures=tuple(captures),
        metadata=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
    )
