from __future__ import annotations

import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType
from passes.simplify import Simplify
from tests.passes.simplify_cases import assert_kept, assert_simplified, graph_of, kinds, simplify

F32 = np.dtype(np.float32)


def test_equal_chains_are_shared_to_their_end() -> None:
    text = """agraph (float[N,3] x) => (float[N,3] y, float[N,3] z) {
        a = Elu(x) b = Elu(x) c = Tanh(a) d = Tanh(b) e = Mul(c, x) f = Mul(x, d)
        y = Neg(e) z = Exp(f)
    }"""
    notes = {"equal Elu: shared": 1, "equal Tanh: shared": 1, "equal Mul: shared": 1}
    assert_simplified(text, 17, notes, ["Elu", "Exp", "Mul", "Neg", "Tanh"])


def test_equal_outputs_keep_both_names() -> None:
    text = "agraph (float[N,3] x) => (float[N,3] y, float[N,3] z) { y = Elu(x) z = Elu(x) }"
    after = assert_simplified(text, 17, {"equal Elu: shared": 1}, ["Elu"])
    assert after.output_names == ("y", "z")


def test_ops_with_several_results_are_shared() -> None:
    text = """agraph (float[4,3] x) => (float[2,3] y, float[2,3] z) {
        a, b = Split<num_outputs=2>(x) c, d = Split<num_outputs=2>(x)
        y = Mul(a, d) z = Sub(b, c)
    }"""
    assert_simplified(text, 18, {"equal Split: shared": 1}, ["Mul", "Split", "Sub"])


@pytest.mark.parametrize(
    ("opset", "body"),
    [
        (17, "a = Elu<alpha=0.5>(x) b = Elu<alpha=0.25>(x) y = Add(a, b)"),
        (17, "a = Elu(x) b = Celu(x) y = Add(a, b)"),
        (17, "a = Sub(x, z) b = Sub(z, x) y = Mul(a, b)"),
        (17, "a = Transpose<perm=[0,1]>(w) b = Transpose<perm=[1,0]>(w) y = Concat<axis=0>(b, x)"),
    ],
)
def test_different_ops_are_not_shared(opset: int, body: str) -> None:
    text = f"agraph (float[3,3] x, float[3,3] z, float[3,3] w) => (float[3,3] y) {{ {body} }}"
    stats, _ = simplify(graph_of(text, opset))
    assert not [note for note in stats.notes if "shared" in note]


def test_mul_of_opset_6_does_not_commute() -> None:
    text = """agraph (float[3] x, float[3] z) => (float[3] y) {
        a = Mul<broadcast=1>(x, z) b = Mul<broadcast=1>(z, x) y = Add(a, b) }"""
    assert_kept(text, 6)


def test_quantised_weights_keep_one_dequantize_each() -> None:
    text = """agraph (float[2,2] x) => (float[2,2] y)
        <uint8[2,2] w = {1,2,3,4}, float s = {0.5}, uint8 z = {2}> {
        a = DequantizeLinear(w, s, z) b = DequantizeLinear(w, s, z)
        c = MatMul(x, a) d = MatMul(c, b) q = QuantizeLinear(d, s, z) r = QuantizeLinear(d, s, z)
        e = DequantizeLinear(q, s, z) f = DequantizeLinear(r, s, z) y = Add(e, f)
    }"""
    assert_kept(text, 17)


def test_branches_are_not_shared_but_what_they_capture_is() -> None:
    branch = """If(c) <
        then_branch = t () => (float[2] u) {{ u = Neg({0}) }},
        else_branch = e () => (float[2] v) {{ v = Exp({1}) }} >"""
    text = f"""agraph (float[2] x, bool c) => (float[2] y) {{
        a = Elu(x) b = Elu(x)
        d = {branch.format("a", "b")}
        f = {branch.format("a", "b")}
        y = Add(d, f)
    }}"""
    after = assert_simplified(text, 17, {"equal Elu: shared": 1}, ["Add", "Elu", "If", "If"])
    for op in after.ops():
        if op.kind == "If":
            assert op.operands[1] is op.operands[2]


def weights(*arrays: np.ndarray) -> Graph:
    """Σᵢ x · wᵢ, so that all weights have to stay apart or be shared."""
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, (1, 40, 40)))
    total = x
    for i, array in enumerate(arrays):
        w = build.constant(array, name=f"w{i}")
        if array.dtype != F32:
            w = build.op("Identity", (w,))
            w = build.op("Cast", (w,), {"to": 1}, type_=TensorType(F32, array.shape))
        total = build.add(total, build.op("Mul", (total, w)))
    graph.set_outputs([total], ["y"])
    return graph


def test_equal_weights_are_shared() -> None:
    large = np.random.default_rng(0).standard_normal((40, 40)).astype(F32)
    near = large.copy()
    near[17, 3] += 1  # not among the elements that are sampled first
    small = np.full((40, 1), 2, F32)
    graph = weights(large, near, large.copy(), small, small.copy(), 1 - small)
    stats, after = simplify(graph)
    assert stats.notes == {"equal weights: shared": 2}
    assert sum(op.array is not None for op in after.ops()) == 4


def test_weights_that_differ_in_shape_or_dtype_are_not_shared() -> None:
    ones = np.ones((1, 40), F32)
    graph = weights(2 * ones, 2 * ones.T)
    assert simplify(graph)[0].applied == 0
    zeros = Graph()
    values = [zeros.add_constant(np.zeros(4, kind)) for kind in (np.float32, np.int32)]
    zeros.set_outputs(values, ["a", "b"])
    assert simplify(zeros)[0].applied == 0


def test_zeros_of_either_sign_are_different_weights() -> None:
    zero = np.zeros((40, 1), F32)
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, (40, 1)))
    quotients = [build.op("Div", (x, build.constant(w))) for w in (zero, -zero)]
    graph.set_outputs(quotients, ["a", "b"])
    assert simplify(graph)[0].applied == 0


def test_a_weight_mapped_from_elsewhere_is_shared_without_a_copy() -> None:
    large = np.random.default_rng(0).standard_normal((40, 40)).astype(F32)
    _, after = simplify(weights(large, large))
    (array,) = (op.array for op in after.ops() if op.array is not None)
    assert np.shares_memory(array, large)


def test_unused_ops_weights_and_their_operands_go() -> None:
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, (2, 3)))
    graph.add_input("unused", TensorType(F32, (2, 3)))
    build.op("Elu", (build.add(x, build.constant(np.ones(3, F32))),))
    graph.set_outputs([build.op("Tanh", (x,))], ["y"])
    stats = Simplify().run(graph)
    assert stats.notes == {"unused: erased": 3}
    assert kinds(graph) == ["Tanh"]
    assert [value.name for value in graph.inputs] == ["x", "unused"]


def test_a_pass_that_changes_nothing_says_so() -> None:
    graph = graph_of("agraph (float[N,3] x) => (float[N,3] y) { y = Elu(x) }")
    version = graph.version
    stats = Simplify().run(graph)
    assert stats.applied == 0
    assert graph.version == version


def test_proposals_change_nothing() -> None:
    graph = graph_of("agraph (float[N,3] x) => (float[N,3] y) { a = Elu(x) y = Identity(a) }")
    version = graph.version
    (proposal,) = Simplify().propose(graph)
    assert proposal.note == "Identity: did nothing"
    assert graph.version == version


def test_prints_its_options() -> None:
    assert str(Simplify()) == "simplify"
    assert str(Simplify(max_fold=5)) == "simplify{max-fold=5}"


def test_one_value_may_have_many_users() -> None:
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, (4,)))
    copies = [build.op("Identity", (x,)) for _ in range(2000)]
    graph.set_outputs(copies, [f"y{i}" for i in range(2000)])
    stats = Simplify().run(graph)
    assert stats.applied == 2000
    assert all(value is x for value in graph.outputs)
