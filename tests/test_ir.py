from __future__ import annotations

import numpy as np
import pytest

from convc.graph import Graph
from convc.ir import Header, OpaqueType, TensorType

FLOAT = np.dtype(np.float32)


def test_static_shape_is_there_only_where_every_dim_is_a_number() -> None:
    assert TensorType(FLOAT, (1, 3)).static_shape == (1, 3)
    assert TensorType(FLOAT, ()).static_shape == ()
    assert TensorType(FLOAT, (1, "N")).static_shape is None
    assert TensorType(FLOAT, (1, None)).static_shape is None
    assert TensorType(FLOAT, None).static_shape is None


def test_rank_is_known_with_open_dims_and_unknown_without_a_shape() -> None:
    assert TensorType(FLOAT, ("N", None)).rank == 2
    assert TensorType(FLOAT, ()).rank == 0
    assert TensorType(FLOAT, None).rank is None


def test_a_value_that_is_no_tensor_has_no_shape_and_no_dtype() -> None:
    graph = Graph()
    sequence = graph.add_input("s", OpaqueType(b"\x00"))
    unknown = graph.add("Foo", (sequence,)).result
    assert (sequence.shape, sequence.dtype) == (None, None)
    assert (unknown.shape, unknown.dtype) == (None, None)


def test_only_constants_of_onnx_itself_hold_an_array() -> None:
    graph = Graph()
    weight = graph.add_constant(np.ones(3, np.float32))
    foreign = graph.add("Constant", (), {"value": np.ones(3)}, domain="other").result
    assert weight.array is not None
    assert foreign.array is None


def test_an_operand_beyond_the_list_is_omitted_and_captures_are_no_inputs() -> None:
    graph = Graph()
    x, y = (graph.add_input(n, TensorType(FLOAT, (1,))) for n in "xy")
    op = graph.add("If", (x, y), captures=("inner",))
    assert op.inputs == (x,)
    assert op.operand(0) is x
    assert op.operand(1) is None
    assert op.operands == (x, y)
    plain = graph.add("Clip", (x, None, y))
    assert plain.inputs == (x, None, y)
    assert plain.operand(1) is None


def test_ops_of_other_domains_are_no_boundary_whatever_they_are_called() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(FLOAT, (1,)))
    foreign = graph.add("Output", (graph.add("Input", (x,), domain="d").result,), domain="d")
    graph.set_outputs([foreign.result], ["y"])
    assert x.op.is_boundary
    assert graph.output.is_boundary
    assert not foreign.is_boundary
    assert graph.inputs == (x,)
    copy = graph.clone()
    assert [op.kind for op in copy.ops()] == ["Input", "Input", "Output", "Output"]
    assert graph.erase_dead([x.op]) == []


def test_types_compare_by_what_they_say() -> None:
    assert TensorType(FLOAT, (1, "N")) == TensorType(np.dtype("<f4"), (1, "N"))
    assert TensorType(FLOAT, (1,)) != TensorType(np.dtype(np.float16), (1,))
    assert OpaqueType(b"a") != OpaqueType(b"b")


def test_metadata_is_added_to_a_copy_of_the_header() -> None:
    header = Header(metadata={"a": "1"})
    more = header.with_metadata({"b": "2", "a": "3"})
    assert header.metadata == {"a": "1"}
    assert more.metadata == {"a": "3", "b": "2"}


@pytest.mark.parametrize(("opsets", "version"), [({"": 13, "x": 1}, 13), ({"x": 4}, 1)])
def test_the_header_knows_the_version_of_the_default_operators(
    opsets: dict[str, int], version: int
) -> None:
    assert Header(opsets=opsets).opset == version
