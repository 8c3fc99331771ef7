from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType
from convc.onnx_io import to_bytes
from convc.pipeline import Context
from convc.proof import prove
from passes.simplify import Simplify
from tests.helpers import run_onnx
from tests.passes.simplify_cases import assert_kept, assert_simplified, graph_of, kinds, simplify

MIXED = "float[2,3] c = {1.5,-2.5,0.1,3e-5,-7,1e9}"
WHOLE = "int64[2,3] i = {7,-7,3,0,5,-2}, int64[2,3] j = {2,2,-2,3,5,3}"

# Each expression of constants, the dtype of its result, and whether it is exact in any order.
EXPRESSIONS = [
    ("float", "Neg(c)"),
    ("float", "Add(c, c)"),
    ("float", "Mul(c, c)"),
    ("float", "Div(c, c)"),
    ("float", "Sqrt(c)"),
    ("float", "Floor(c)"),
    ("float", "Relu(c)"),
    ("float", "Transpose(c)"),
    ("float", "Concat<axis=1>(c, c)"),
    ("float", "ReduceMax<axes=[1]>(c)"),
    ("float", "Where(k, c, d)"),
    ("float", "Cast<to=1>(i)"),
    ("int64", "Cast<to=7>(d)"),
    ("int32", "Cast<to=6>(i)"),
    ("bool", "Cast<to=9>(d)"),
    ("float16", "Cast<to=10>(d)"),
    ("double", "Cast<to=11>(c)"),
    ("int64", "Add(i, j)"),
    ("int64", "Sub(i, j)"),
    ("int64", "Mul(i, j)"),
    ("int64", "Div(i, j)"),
    ("int64", "Mod(i, j)"),
    ("int64", "Mod<fmod=1>(i, j)"),
    ("int64", "Max(i, j)"),
    ("int64", "ReduceSum(i)"),
    ("int64", "ReduceProd(i)"),
    ("int64", "Gather<axis=1>(i, g)"),
    ("int64", "Slice(i, g, h, g)"),
    ("int64", "Shape(c)"),
    ("int64", "Size(c)"),
    ("int64", "CumSum(i, one)"),
    ("int64", "NonZero(c)"),
    ("int64", "Range(zero, nine, two)"),
    ("int64", "Expand(i, s)"),
    ("int64", "Tile(i, t)"),
    ("int64", "ConstantOfShape<value = int64[1] {4}>(t)"),
    ("float", "ConstantOfShape(t)"),
    ("bool", "Less(i, j)"),
    ("bool", "Not(k)"),
    ("bool", "And(k, k)"),
    ("bool", "Equal(i, j)"),
    ("int64", "ArgMax<axis=1>(c)"),
    ("float", "GatherND(c, n)"),
    ("float", "ScatterND(c, n, u)"),
]


@pytest.mark.parametrize(("dtype", "expression"), EXPRESSIONS, ids=[e[1] for e in EXPRESSIONS])
def test_folds_to_the_bits_that_the_runtime_gives(dtype: str, expression: str) -> None:
    text = (
        f"agraph () => ({dtype} y) <{MIXED}, {WHOLE}, float[2,3] d = {{1.5,-2.5,0.25,0,-7,9}},"
        "bool[2,3] k = {1,0,1,1,0,0}, int64[1] g = {1}, int64[1] h = {2}, int64 one = {1},"
        "int64 zero = {0}, int64 nine = {9}, int64 two = {2}, int64[3] s = {2,1,1},"
        f"int64[2] t = {{2,3}}, int64[1,2] n = {{1,2}}, float[1] u = {{4}}> {{ y = {expression} }}"
    )
    graph = graph_of(text)
    (before,) = run_onnx(to_bytes(graph), {})
    kind = expression.partition("(")[0].partition("<")[0]
    stats, _ = Simplify().run(graph, Context(prove=prove)), graph.verify()
    assert stats.notes[f"{kind}: folded"] == 1
    array = graph.outputs[0].array
    assert array is not None
    assert array.dtype == before.dtype
    assert array.shape == before.shape
    assert array.tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("opset", "split"), [(13, "Split<axis=1>(c)"), (18, "Split<axis=1, num_outputs=3>(c)")]
)
def test_folds_every_result(opset: int, split: str) -> None:
    text = (
        "agraph (float[2] x) => (float[2] y, float[2,1] z)"
        f"<{MIXED}, int64[1] m = {{1}}> {{ a, b, z = {split} d = Squeeze(a, m) y = Add(x, d) }}"
    )
    after = assert_simplified(text, opset, {"Split: folded": 1, "Squeeze: folded": 1}, ["Add"])
    np.testing.assert_array_equal(after.outputs[1].array, np.float32([[0.1], [1e9]]))


def test_folds_chains_of_sizes_step_by_step() -> None:
    text = """agraph (float[N,3,8,6] x) => (float[N,3,16,9] y)
        <int64[1] at = {2}, int64[1] to = {4}, float[2] f = {2.0, 1.5}, int64[2] nc = {1,1},
         float none = {}> {
        s = Shape(x)
        d = Slice(s, at, to)
        e = Cast<to=1>(d)
        g = Mul(e, f)
        h = Floor(g)
        i = Cast<to=7>(h)
        k = Cast<to=1>(i)
        l = Div(k, e)
        m = Constant<value = float[2] {1.0, 1.0}>()
        scales = Concat<axis=0>(m, l)
        y = Resize(x, , scales)
    }""".replace(",\n         float none = {}", "")
    after = assert_simplified(
        text,
        17,
        {"Slice: folded": 1, "Cast: folded": 3, "Mul: folded": 1, "Floor: folded": 1,
         "Div: folded": 1, "Concat: folded": 1},
        ["Resize"],
    )  # fmt: skip
    (resize,) = (op for op in after.ops() if op.kind == "Resize")
    assert resize.result.shape is not None
    assert resize.result.shape[1:] == (3, 16, 9)


def test_folds_the_known_dims_of_a_shape() -> None:
    text = """agraph (float[N,3,8,6] x) => (int64 a, int64[2] b, int64[1] c, int64[4] d)
        <int64 one = {1}, int64[2] two = {-1,2}, int64[1] from = {1}, int64[1] to = {2}> {
        s = Shape(x)
        a = Gather(s, one)
        b = Gather(s, two)
        c = Slice(s, from, to)
        d = Shape(x)
    }"""
    notes = {"Gather: folded": 2, "Slice: folded": 1, "equal Shape: shared": 1}
    stats, after = simplify(graph_of(text))
    assert {k: stats.notes[k] for k in ("Gather: folded", "Slice: folded")} == {
        k: notes[k] for k in ("Gather: folded", "Slice: folded")
    }
    assert [value.array.tolist() for value in after.outputs[:3] if value.array is not None] == [
        3,
        [6, 8],
        [3],
    ]
    assert kinds(after) == ["Shape"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agraph (float[N,3,8] x) => (int64[2] y) { y = Shape<start=1>(x) }", [3, 8]),
        ("agraph (float[2,3,N] x) => (int64[2] y) { y = Shape<end=-1>(x) }", [2, 3]),
        ("agraph (float[2,3,4] x) => (int64 y) { y = Size(x) }", 24),
        ("agraph (float x) => (int64 y) { y = Size(x) }", 1),
        ("agraph (float[2,0] x) => (int64 y) { y = Size(x) }", 0),
    ],
)
def test_folds_shape_and_size(text: str, expected: object) -> None:
    _, after = simplify(graph_of(text))
    array = after.outputs[0].array
    assert array is not None
    assert array.tolist() == expected


GROWS = "{}: folding it would grow the weights beyond max-fold"


@pytest.mark.parametrize(
    ("opset", "text", "reason"),
    [
        (17, "agraph (float[N,3] x) => (int64[2] y) { y = Shape(x) }", ""),
        (17, "agraph (float[N,3] x) => (int64 y) { y = Size(x) }", ""),
        (17, "agraph (float[N,3] x) => (int64 y) <int64 o = {0}> { s = Shape(x) y = Gather(s, o) }",
         ""),
        (17, "agraph (float[2,3] x, int64 o) => (float[3] y) { y = Gather(x, o) }", ""),
        (17, "agraph () => (float[200,200] y) <int64[2] s = {200,200}> { y = ConstantOfShape(s) }",
         GROWS.format("ConstantOfShape")),
        (17, "agraph () => (float[200,200] y) <float[1,1] c = {1}, int64[2] s = {200,200}>"
         "{ y = Expand(c, s) }", GROWS.format("Expand")),
        (17, "agraph () => (float[200,200] y) <float[1,1] c = {1}, int64[2] s = {200,200}>"
         "{ y = Tile(c, s) }", GROWS.format("Tile")),
        (17, "agraph () => (int64[a] y) <int64 z = {0}, int64 n = {20000}, int64 o = {1}>"
         "{ y = Range(z, n, o) }", GROWS.format("Range")),
        (17, "agraph () => (float[2,3] y) <uint8[2,3] c = {1,2,3,4,5,6}, float s = {0.5},"
         "uint8 z = {3}> { y = DequantizeLinear(c, s, z) }", ""),
        (17, "agraph () => (uint8[2] y) <float[2] c = {1,2}, float s = {0.5}, uint8 z = {3}>"
         "{ y = QuantizeLinear(c, s, z) }", ""),
        (17, "agraph () => (int32[2] y) <float[2] c = {1,3e9}> { y = Cast<to=6>(c) }",
         "Cast: a constant is beyond the range of its target"),
        (17, "agraph () => (uint8[1] y) <float[1] c = {-1}> { y = Cast<to=2>(c) }",
         "Cast: a constant is beyond the range of its target"),
        (17, "agraph () => (float[1] y) <int64[1] c = {9223372036854775807}> { y = Cast<to=1>(c) }",
         "Cast: rounding twice could differ"),
    ],
)  # fmt: skip
def test_does_not_fold(opset: int, text: str, reason: str) -> None:
    assert_kept(text, opset, reason)


@pytest.mark.parametrize("kind", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_never_folds_or_shares_what_is_random(kind: str) -> None:
    text = f"agraph () => (float[4] y) <float[4] c = {{0,1,0,1}}> {{ a = {kind}(c) b = {kind}(c)"
    stats = Simplify().run(graph := graph_of(text + " y = Add(a, b) }"))
    assert stats.applied == 0
    assert kinds(graph) == sorted(["Add", kind, kind])


def test_max_fold_is_an_option() -> None:
    text = (
        "agraph (float[20] x) => (float[20] y) <int64[1] s = {20}>"
        "{ a = ConstantOfShape(s) y = Add(x, a) }"
    )
    stats, after = simplify(graph_of(text), max_fold=19)
    assert dict(stats.declined) == {GROWS.format("ConstantOfShape"): 1}
    assert kinds(after) == ["Add", "ConstantOfShape"]
    _, after = simplify(graph_of(text), max_fold=20)
    assert kinds(after) == []  # and adding zeros does nothing


def test_a_large_weight_may_be_moved_but_is_not_copied() -> None:
    graph = Graph()
    build = Builder(graph)
    weight = np.random.default_rng(0).standard_normal((300, 200)).astype(np.float32)
    x = graph.add_input("x", TensorType(weight.dtype, (5, 300)))
    w = build.transpose(build.reshape(build.constant(weight), (200, 300)), (1, 0))
    graph.set_outputs([build.op("MatMul", (x, w))], ["y"])
    # The runtime packs constant weights, and then sums in another order.
    stats, after = simplify(graph, same_bits=False)
    assert stats.notes["Reshape: folded"] == 1
    (product,) = (op for op in after.ops() if op.kind == "MatMul")
    assert product.operands[1] is not None
    array = product.operands[1].array
    assert array is not None
    assert np.shares_memory(array, weight)


def test_bfloat16_is_rounded_once() -> None:
    graph = Graph()
    build = Builder(graph)
    dtype = np.dtype(ml_dtypes.bfloat16)
    a, b = (build.constant(np.array([v], np.float64).astype(dtype)) for v in (1.0, 2.0**-9))
    x = graph.add_input("x", TensorType(dtype, (1,)))
    graph.set_outputs([build.op("Concat", (x, build.add(a, b)), {"axis": 0})], ["y"])
    Simplify().run(graph)
    (concat,) = (op for op in graph.ops() if op.kind == "Concat")
    assert concat.operands[1] is not None
    folded = concat.operands[1].array
    assert folded is not None
    assert folded.dtype == dtype
    assert folded.astype(np.float64).tolist() == [1.0]  # halfway between 1 and 1 + 2⁻⁷·½: to even


def test_opset_6_broadcasts_as_it_says() -> None:
    text = (
        "agraph (float[2,3,4] x) => (float[2,3,4] y) <float[2,3,4] z = {1,1,1,1,1,1,1,1,1,1,1,1,"
        "1,1,1,1,1,1,1,1,1,1,1,1}, float[3] c = {1,2,3}>"
        "{ a = Mul<broadcast=1, axis=1>(z, c) y = Mul(x, a) }"
    )
    after = assert_simplified(text, 6, {"Mul: folded": 1}, ["Mul"])
    (mul,) = (op for op in after.ops() if op.kind == "Mul")
    assert mul.operands[1] is not None
    assert mul.operands[1].array is not None
    assert mul.operands[1].array[:, :, 0].tolist() == [[1, 2, 3], [1, 2, 3]]


def test_ops_of_other_domains_are_left_alone() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(np.dtype(np.float32), (2,)))
    ops = [graph.add("Identity", (x,), domain="com.example", types=(x.type,)) for _ in range(2)]
    constant = graph.add_constant(np.ones(2, np.float32))
    ops.append(graph.add("Relu", (constant,), domain="com.example", types=(x.type,)))
    graph.set_outputs([op.result for op in ops], ["a", "b", "c"])
    assert Simplify().run(graph).applied == 0
