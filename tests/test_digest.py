from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import convc.digest
from convc.digest import graph_digest, op_digests
from convc.graph import Graph
from convc.ir import Array, Attribute, Header, Opaque, OpaqueType, TensorType, Type
from tests.graph_strategies import BINARY, FLOAT, SHAPE, UNARY, Recipe, orders, recipes

F32 = np.dtype(np.float32)


@given(st.data())
def test_names_and_the_order_of_adding_do_not_count(data: st.DataObject) -> None:
    recipe = data.draw(recipes())
    plain = recipe.build()
    other = recipe.build(data.draw(orders(recipe)), name=lambda i, j: f"other name {-i} {j}")
    assert graph_digest(plain) == graph_digest(other)
    mine, theirs = op_digests(plain), op_digests(other)
    assert sorted(mine.values()) == sorted(theirs.values())
    assert mine[plain.output] == theirs[other.output]


@given(recipes())
def test_a_clone_has_the_same_digest(recipe: Recipe) -> None:
    graph = recipe.build()
    assert graph_digest(graph.clone()) == graph_digest(graph)


@given(st.data())
def test_every_single_change_shows(data: st.DataObject) -> None:
    recipe = data.draw(recipes())
    i = data.draw(st.integers(0, len(recipe.steps) - 1))
    step = recipe.steps[i]
    if step.array is not None:
        array = step.array.copy()
        place = data.draw(st.integers(0, array.size - 1))
        array.view(np.uint8).reshape(-1)[data.draw(st.integers(0, array.nbytes - 1))] ^= 1
        assert place < array.size
        changed = recipe.with_step(i, array=array)
    elif step.kind == "Input":
        changed = recipe.with_step(i, type=TensorType(F32, (*SHAPE, 1)))
    elif step.kind in BINARY:
        swapped = tuple(reversed(step.operands))
        # Swapping equals is no change, by value number as well as by position.
        assume(op_key(recipe, swapped[0]) != op_key(recipe, swapped[1]))
        kind = next(k for k in BINARY if k != step.kind)
        changed = data.draw(
            st.sampled_from((recipe.with_step(i, operands=swapped), recipe.with_step(i, kind=kind)))
        )
    elif step.kind in UNARY:
        changed = recipe.with_step(i, kind=next(k for k in UNARY if k != step.kind))
    elif step.kind == "Clip":
        changed = recipe.with_step(i, operands=step.operands[:1])
    else:
        changed = recipe.with_step(i, attributes={**step.attributes, "extra": 0})
    assert graph_digest(changed.build()) != graph_digest(recipe.build())


def op_key(recipe: Recipe, operand: tuple[int, int] | None) -> tuple[bytes, int]:
    assert operand is not None
    graph = recipe.build()
    digests = op_digests(graph)
    op = next(op for op in graph.ops() if op.results and op.results[0].name == f"v{operand[0]}.0")
    return digests[op], operand[1]


@given(recipes())
def test_the_order_of_outputs_counts(recipe: Recipe) -> None:
    graph = recipe.build()
    digests = op_digests(graph)
    keys = [(digests[v.op], v.index) for v in graph.outputs]
    assume(keys != keys[::-1])
    other = recipe.build()
    other.set_outputs(other.outputs[::-1], other.output_names)
    assert graph_digest(other) != graph_digest(graph)


def with_attribute(value: Attribute) -> str:
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    graph.set_outputs([graph.add("Foo", (x,), {"a": value}, types=(FLOAT,)).result], ["y"])
    return graph_digest(graph)


def test_attributes_that_look_alike_are_told_apart() -> None:
    values: list[Attribute] = [
        1, 1.0, "1", (1,), (1.0,), ("1",), ((1,),), (), (1, 1), ("a", "b"), ("ab",), ("a,b",), "",
        np.array(1), np.array([1]), np.array([1], np.int32), np.array([1.0]), np.array([[1]]),
        np.array(["1"], object), np.array(["1", ""], object), Opaque(b"1"), Opaque(b""),
        0.0, -0.0, np.array(0.0), np.array(-0.0),
    ]  # fmt: skip
    assert len({with_attribute(value) for value in values}) == len(values)


def with_weight(array: Array, dtype: np.dtype[np.float32] | None = None) -> str:
    graph = Graph()
    graph.set_outputs([graph.add_constant(array, "w", dtype)], ["y"])
    return graph_digest(graph)


def test_weights_count_by_shape_dtype_and_every_byte() -> None:
    array = np.arange(12, dtype=np.float32)
    digests = {
        with_weight(array),
        with_weight(array.reshape(3, 4)),
        with_weight(array.reshape(4, 3)),
        with_weight(array.view(np.int32)),
        with_weight(array.astype(np.float64)),
        with_weight(array.astype(np.float64), F32),
        with_weight(array[:11]),
        with_weight(np.zeros(0, np.float32)),
        with_weight(np.zeros((0, 3), np.float32)),
        with_weight(np.zeros(0, np.int32)),
    }
    assert len(digests) == 10


def test_how_a_weight_lies_in_memory_does_not_count() -> None:
    rng = np.random.default_rng(0)
    array = rng.standard_normal((3, 50, 1000)).astype(np.float32)
    assert array.size > 2 * convc.digest.CHUNK
    turned = np.asfortranarray(array)
    strided = np.repeat(array, 2, axis=1)[:, ::2]
    assert not strided.flags.c_contiguous
    assert with_weight(array) == with_weight(turned) == with_weight(strided)
    assert with_weight(array) != with_weight(array.swapaxes(0, 1))


def test_small_floats_and_strings_are_hashed() -> None:
    import ml_dtypes

    one = np.ones(4, ml_dtypes.bfloat16)
    assert with_weight(one) != with_weight(one * 2)
    assert with_weight(one) != with_weight(np.ones(4, np.float16))
    words = np.array([b"ab", b"c"], object)
    assert with_weight(words) != with_weight(np.array([b"a", b"bc"], object))


def test_a_weight_is_read_once_and_never_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.ones((64, 1024), np.float32)
    graph = Graph()
    values = [graph.add_constant(array, f"w{i}") for i in range(5)]
    graph.set_outputs(values, [f"y{i}" for i in range(5)])
    seen = []
    real = convc.digest._bytes_of

    def spy(asked: Array) -> list[Array]:
        seen.append(list(real(asked)))
        return seen[-1]

    monkeypatch.setattr(convc.digest, "_bytes_of", spy)
    digests = op_digests(graph)
    assert len(seen) == 1
    assert all(np.shares_memory(part, array) for part in seen[0])
    assert len({digests[v.op] for v in values}) == 1


def with_input(
    *types: Type, default: Array | None = None, sizes: dict[str, int] | None = None
) -> str:
    graph = Graph(sizes=sizes)
    values = [graph.add_input(f"x{i}", type_, default=default) for i, type_ in enumerate(types)]
    graph.set_outputs([graph.add("Foo", values).result], ["y"])
    return graph_digest(graph)


def test_inputs_count_by_type_and_default() -> None:
    digests = {
        with_input(None),
        with_input(OpaqueType(b"a")),
        with_input(OpaqueType(b"b")),
        with_input(TensorType(F32, None)),
        with_input(TensorType(F32, ())),
        with_input(TensorType(F32, (1,))),
        with_input(TensorType(F32, (None,))),
        with_input(TensorType(F32, ("N",))),
        with_input(TensorType(F32, ("N",)), sizes={"N": 1}),
        with_input(TensorType(F32, ("N",)), sizes={"N": 2}),
        with_input(TensorType(np.dtype(np.float16), (1,))),
        with_input(TensorType(F32, (1,)), default=np.zeros(1, np.float32)),
        with_input(TensorType(F32, (1,)), default=np.ones(1, np.float32)),
    }
    assert len(digests) == 13


def test_names_of_dims_do_not_count_but_which_are_the_same_does() -> None:
    def pair(first: str, second: str) -> str:
        return with_input(
            TensorType(F32, (first,)), TensorType(F32, (second,)), sizes={first: 3, second: 3}
        )

    assert pair("N", "N") == pair("batch", "batch")
    assert pair("N", "M") == pair("b", "a")
    assert pair("N", "N") != pair("N", "M")


def test_inputs_are_told_by_position() -> None:
    def difference(flip: bool) -> str:
        graph = Graph()
        x, y = graph.add_input("x", FLOAT), graph.add_input("y", FLOAT)
        operands = (y, x) if flip else (x, y)
        graph.set_outputs([graph.add("Sub", operands, types=(FLOAT,)).result], ["z"])
        return graph_digest(graph)

    assert difference(True) != difference(False)


def test_which_result_is_used_and_how_many_there_are_count() -> None:
    def split(index: int, results: int) -> str:
        graph = Graph()
        x = graph.add_input("x", FLOAT)
        op = graph.add("Split", (x,), types=(FLOAT,) * results)
        graph.set_outputs([op.results[index]], ["y"])
        return graph_digest(graph)

    assert len({split(0, 2), split(1, 2), split(0, 3)}) == 3


def test_sharing_counts_for_the_graph_but_equal_ops_have_one_digest() -> None:
    def twice(shared: bool) -> Graph:
        graph = Graph()
        x = graph.add_input("x", FLOAT)
        a = graph.add("Relu", (x,), types=(FLOAT,)).result
        b = a if shared else graph.add("Relu", (x,), types=(FLOAT,)).result
        graph.set_outputs([graph.add("Add", (a, b), types=(FLOAT,)).result], ["y"])
        return graph

    one, two = twice(shared=True), twice(shared=False)
    assert graph_digest(one) != graph_digest(two)
    digests = op_digests(two)
    a, b = (op for op in two.ops() if op.kind == "Relu")
    assert digests[a] == digests[b]
    assert op_digests(one)[one.output] == digests[two.output]


def test_opset_domain_overload_and_functions_count() -> None:
    def made(domain: str = "", overload: str = "", opset: int = 17, shell: bytes = b"") -> str:
        header = Header(opsets={"": opset}, model_shell=shell)
        graph = Graph(header)
        x = graph.add_input("x", FLOAT)
        op = graph.add("Foo", (x,), types=(FLOAT,), domain=domain, overload=overload)
        graph.set_outputs([op.result], ["y"])
        return graph_digest(graph)

    digests = {made(), made("d"), made("d", "o"), made(opset=18), made("d", shell=b"function")}
    assert len(digests) == 5
    assert made(shell=b"producer") == made()


def test_attributes_that_cannot_be_hashed_are_refused() -> None:
    with pytest.raises(TypeError, match="object is no attribute"):
        with_attribute(object())  # type: ignore[arg-type]


def test_a_digest_is_hexadecimal_and_the_same_in_every_process() -> None:
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    graph.set_outputs([graph.add("Relu", (x,), types=(FLOAT,)).result], ["y"])
    digest = graph_digest(graph)
    assert len(bytes.fromhex(digest)) == convc.digest.SIZE
    assert digest == "9d29a1932203ff6f0a9867419a9a77d3f43a3eea"


def test_fifty_thousand_ops_deep() -> None:
    graph = Graph()
    value = graph.add_input("x", FLOAT)
    for _ in range(50_000):
        value = graph.add("Relu", (value,), types=(FLOAT,)).result
    graph.set_outputs([value], ["y"])
    assert len(set(op_digests(graph).values())) == 50_002
