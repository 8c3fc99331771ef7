from __future__ import annotations

import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType
from passes.simplify import Simplify
from tests.passes.simplify_cases import (
    assert_kept,
    assert_simplified,
    graph_of,
    kinds,
    simplify,
)

X = "agraph (float[N,3,8,8] x) => (float[N,3,8,8] y)"
FIXED = "agraph (float[2,3,8,8] x) => (float[2,3,8,8] y)"
INTS = "agraph (int32[2,3] x) => (int32[2,3] y)"

DROPPED = [
    ("identity", 17, X + "{ a = Relu(x) b = Identity(a) y = Elu(b) }", "Identity: did nothing"),
    ("concat", 17, X + "{ a = Elu(x) y = Concat<axis=1>(a) }", "Concat: did nothing"),
    ("sum", 17, X + "{ a = Elu(x) y = Sum(a) }", "Sum: did nothing"),
    ("max", 17, X + "{ a = Elu(x) y = Max(a) }", "Max: did nothing"),
    ("split", 18, FIXED + "{ a = Elu(x) y = Split<num_outputs=1>(a) }", "Split: did nothing"),
    ("dropout", 7, X + "{ a = Elu(x) y = Dropout<ratio=0.5>(a) }", "Dropout: did nothing"),
    ("dropout-12", 17, X + "{ a = Elu(x) y = Dropout(a) }", "Dropout: did nothing"),
    (
        "dropout-mode",
        17,
        X + "<float r = {0.5}, bool t = {0}> { a = Elu(x) y = Dropout(a, r, t) }",
        "Dropout: did nothing",
    ),
    (
        "batch-norm",
        17,
        X + "<float[3] o = {1,1,1}, float[3] z = {0,0,0}, float[3] v = {1,1,1}>"
        "{ a = Elu(x) y = BatchNormalization<epsilon=0.0>(a, o, z, z, v) }",
        "BatchNormalization: did nothing",
    ),
    ("pad", 17, X + "<int64[8] p = {0,0,0,0,0,0,0,0}> { a = Elu(x) y = Pad(a, p) }",
     "Pad: did nothing"),
    ("pad-reflect", 10, X + '{ a = Elu(x) y = Pad<mode="reflect", pads=[0,0,0,0,0,0,0,0]>(a) }',
     "Pad: did nothing"),
    (
        "slice",
        17,
        X + "<int64[2] s = {0,-8}, int64[2] e = {9223372036854775807,8}, int64[2] t = {0,-1}>"
        "{ a = Elu(x) y = Slice(a, s, e, t) }",
        "Slice: did nothing",
    ),
    ("slice-9", 9, X + "{ a = Elu(x) y = Slice<axes=[2], starts=[0], ends=[99]>(a) }",
     "Slice: did nothing"),
    ("reshape", 17, X + "<int64[4] s = {0,-1,8,8}> { a = Elu(x) y = Reshape(a, s) }",
     "Reshape: did nothing"),
    ("reshape-dynamic", 17, X + "<int64[4] s = {-1,3,0,8}> { a = Elu(x) y = Reshape(a, s) }",
     "Reshape: did nothing"),
    ("reshape-own", 17, X + "{ a = Elu(x) s = Shape(a) y = Reshape(a, s) }",
     "Reshape: did nothing"),
    ("transpose", 17, X + "{ a = Elu(x) y = Transpose<perm=[0,1,2,3]>(a) }",
     "Transpose: did nothing"),
    ("cast", 17, X + "{ a = Elu(x) y = Cast<to=1>(a) }", "Cast: did nothing"),
    ("expand", 17, X + "<int64[3] s = {3,1,8}> { a = Elu(x) y = Expand(a, s) }",
     "Expand: did nothing"),
    ("tile", 17, X + "<int64[4] s = {1,1,1,1}> { a = Elu(x) y = Tile(a, s) }",
     "Tile: did nothing"),
    ("add", 17, X + "<float[1,3,1,1] c = {0,0,0}> { a = Elu(x) y = Add(c, a) }",
     "Add by 0: did nothing"),
    ("add-6", 6, X + "<float[3] c = {0,0,0}> { a = Elu(x) y = Add<broadcast=1, axis=1>(a, c) }",
     "Add by 0: did nothing"),
    ("sub", 17, X + "<float c = {0}> { a = Elu(x) y = Sub(a, c) }", "Sub by 0: did nothing"),
    ("mul", 17, X + "<float[1] c = {1}> { a = Elu(x) y = Mul(a, c) }", "Mul by 1: did nothing"),
    ("mul-int", 17, INTS + "<int32 c = {1}> { a = Neg(x) y = Mul(c, a) }",
     "Mul by 1: did nothing"),
    ("div", 17, X + "<float[1] c = {1}> { a = Elu(x) y = Div(a, c) }", "Div by 1: did nothing"),
    ("div-int", 17, INTS + "<int32 c = {1}> { a = Neg(x) y = Div(a, c) }",
     "Div by 1: did nothing"),
    ("pow", 17, X + "<int64 c = {1}> { a = Elu(x) y = Pow(a, c) }", "Pow by 1: did nothing"),
    ("average", 17, X + "{ a = Elu(x) y = AveragePool<kernel_shape=[1,1]>(a) }",
     "AveragePool: did nothing"),
    ("max-pool", 17, X + '{ a = Elu(x) y = MaxPool<kernel_shape=[1,1], auto_pad="VALID">(a) }',
     "MaxPool: did nothing"),
    ("relu-clip", 13, X + "<float l = {0.0}> { a = Elu(x) b = Clip(a, l) y = Relu(b) }",
     "Relu of Clip: did nothing"),
    ("clip", 17, X + "{ a = Elu(x) y = Clip(a) }", "Clip: did nothing"),
    ("clip-10", 10, X + "{ a = Elu(x) y = Clip(a) }", "Clip: did nothing"),
    ("clip-range", 17, X + "<float l = {-3.4028235e38}, float h = {3.4028235e38}>"
     "{ a = Elu(x) y = Clip(a, l, h) }", "Clip: did nothing"),
    ("flatten", 17, "agraph (float[N,3] x) => (float[N,3] y) { a = Elu(x) y = Flatten(a) }",
     "Flatten: did nothing"),
    ("unsqueeze-squeeze", 17, X + "<int64[2] m = {0,-1}, int64[2] n = {5,0}>"
     "{ a = Elu(x) b = Unsqueeze(a, m) y = Squeeze(b, n) }",
     "Squeeze of Unsqueeze: dropped both"),
    ("squeeze-unsqueeze", 12, "agraph (float[N,1,8] x) => (float[N,1,8] y)"
     "{ a = Elu(x) b = Squeeze<axes=[-2]>(a) y = Unsqueeze<axes=[1]>(b) }",
     "Unsqueeze of Squeeze: dropped both"),
    ("squeeze-all", 13, "agraph (float[1,8] x) => (float[1,8] y) <int64[1] m = {0}>"
     "{ a = Elu(x) b = Squeeze(a) y = Unsqueeze(b, m) }",
     "Unsqueeze of Squeeze: dropped both"),
    ("transposes", 17, X + "{ a = Elu(x) b = Transpose<perm=[0,2,3,1]>(a)"
     " y = Transpose<perm=[0,3,1,2]>(b) }", "Transpose of Transpose: dropped both"),
    ("casts", 17, X + "{ a = Elu(x) b = Cast<to=11>(a) y = Cast<to=1>(b) }",
     "Cast of Cast: dropped both"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "text", "note"), [case[1:] for case in DROPPED], ids=[case[0] for case in DROPPED]
)
def test_drops_what_does_nothing(opset: int, text: str, note: str) -> None:
    left = [kind for kind in ("Elu", "Neg") if f" {kind}(" in text]
    left += ["Relu"] * ("Relu(x)" in text) + ["Clip"] * (note == "Relu of Clip: did nothing")
    assert_simplified(text, opset, {note: 1}, left)


@pytest.mark.parametrize("kind", ["Relu", "Sigmoid", "Abs", "Exp", "Softplus"])
def test_relu_of_what_is_never_negative(kind: str) -> None:
    text = X + f"{{ a = {kind}(x) y = Relu(a) }}"
    assert_simplified(text, 17, {f"Relu of {kind}: did nothing": 1}, [kind])


MERGED = [
    ("transposes", 17, "agraph (float[N,3,8,5] x) => (float[8,5,3,N] y)"
     "{ a = Transpose<perm=[0,2,3,1]>(x) y = Transpose<perm=[1,2,3,0]>(a) }",
     "Transpose of Transpose: merged", ["Transpose"]),
    ("transposes-default", 17, "agraph (float[2,3,4] x) => (float[3,4,2] y)"
     "{ a = Transpose(x) y = Transpose<perm=[1,0,2]>(a) }",
     "Transpose of Transpose: merged", ["Transpose"]),
    ("reshapes", 17, "agraph (float[N,3,8] x) => (float[a,b] y)"
     "<int64[2] s = {-1,4}, int64[2] t = {-1,12}>"
     "{ a = Reshape(x, s) y = Reshape(a, t) }", "Reshape of Reshape: merged", ["Reshape"]),
    ("reshape-copies-known", 17, "agraph (float[2,3,8] x) => (float[6,2,4] y)"
     "<int64[2] s = {6,8}, int64[3] t = {0,2,-1}>"
     "{ a = Reshape(x, s) y = Reshape(a, t) }", "Reshape of Reshape: merged", ["Reshape"]),
    ("reshape-copies-one-open", 17, "agraph (float[N,3,8] x) => (float[N,12,2] y)"
     "<int64[2] s = {0,24}, int64[3] t = {0,12,2}>"
     "{ a = Reshape(x, s) y = Reshape(a, t) }", "Reshape of Reshape: merged", ["Reshape"]),
    ("reshape-of-flatten", 17, "agraph (float[N,3,8] x) => (float[N,12,2] y)"
     "<int64[3] t = {-1,12,2}>"
     "{ a = Flatten(x) y = Reshape(a, t) }", "Reshape of Flatten: merged", ["Reshape"]),
    ("casts", 17, "agraph (int8[N,3] x) => (double[N,3] y)"
     "{ a = Cast<to=1>(x) y = Cast<to=11>(a) }", "Cast of Cast: merged", ["Cast"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "text", "note", "left"), [case[1:] for case in MERGED], ids=[c[0] for c in MERGED]
)
def test_merges_pairs(opset: int, text: str, note: str, left: list[str]) -> None:
    assert_simplified(text, opset, {note: 1}, left)


KEPT = [
    ("mask-used", 10, "agraph (float[2,3] x) => (float[2,3] y, bool[2,3] m)"
     "{ y, m = Dropout(x) }", "Dropout: a further result is used"),
    ("batch-norm-epsilon", 17, X + "<float[3] o = {1,1,1}, float[3] z = {0,0,0}>"
     "{ y = BatchNormalization(x, o, z, z, o) }", ""),
    ("batch-norm-shift", 17, X + "<float[3] o = {1,1,1}, float[3] z = {0,0,0},"
     "float[3] b = {0,0,0.5}> { y = BatchNormalization<epsilon=0.0>(x, o, b, z, o) }", ""),
    ("batch-norm-mean", 17, X + "<float[3] o = {1,1,1}, float[3] z = {0,0,0},"
     "float[3] b = {0,0,0.5}> { y = BatchNormalization<epsilon=0.0>(x, o, z, b, o) }", ""),
    ("pad", 17, "agraph (float[2,3] x) => (float[2,3] y) <int64[4] p = {0,1,0,-1}>"
     "{ y = Pad(x, p) }", ""),
    ("slice-start", 17, X + "<int64[1] s = {1}, int64[1] e = {99}, int64[1] t = {2}>"
     "{ a = Slice(x, s, e, t) b = Concat<axis=2>(a, a) y = Elu(b) }", ""),
    ("slice-step", 17, FIXED + "<int64[1] s = {7}, int64[1] e = {-99}, int64[1] t = {2},"
     "int64[1] k = {-1}> { y = Slice(x, s, e, t, k) }", ""),
    ("slice-open", 17, X + "<int64[1] s = {0}, int64[1] e = {999}, int64[1] t = {0}>"
     "{ y = Slice(x, s, e, t) }", ""),
    ("reshape-open", 17, "agraph (float[N,M] x) => (float[a,b] y) <int64[2] s = {-1,4}>"
     "{ y = Reshape(x, s) }", ""),
    ("transpose", 17, FIXED + "{ y = Transpose<perm=[0,1,3,2]>(x) }", ""),
    ("cast", 17, "agraph (float[2] x) => (double[2] y) { y = Cast<to=11>(x) }", ""),
    ("expand-wider", 17, "agraph (float[1,3] x) => (float[5,3] y) <int64[2] s = {5,1}>"
     "{ y = Expand(x, s) }", ""),
    ("expand-rank", 17, "agraph (float[2,3] x) => (float[1,2,3] y) <int64[3] s = {1,1,1}>"
     "{ y = Expand(x, s) }", ""),
    ("tile", 17, "agraph (float[2,3] x) => (float[2,6] y) <int64[2] s = {1,2}>"
     "{ y = Tile(x, s) }", ""),
    ("add-widens", 17, "agraph (float[N,1] x) => (float[N,3] y) <float[3] c = {0,0,0}>"
     "{ y = Add(x, c) }", ""),
    ("add-rank", 17, "agraph (float[3] x) => (float[1,3] y) <float[1,1] c = {0}>"
     "{ y = Add(x, c) }", ""),
    ("add-open", 17, "agraph (float[N] x) => (float[a] y) <float[3] c = {0,0,0}>"
     "{ y = Add(x, c) }", ""),
    ("add-other", 17, X + "<float[1,3,1,1] c = {0,0,1e-30}> { y = Add(x, c) }", ""),
    ("sub-from", 17, X + "<float c = {0}> { y = Sub(c, x) }", ""),
    ("div-into", 17, X + "<float c = {1}> { y = Div(c, x) }", ""),
    ("pow-of", 17, X + "<float c = {1}> { y = Pow(c, x) }", ""),
    ("mul-zero", 17, X + "<float c = {0}> { y = Mul(x, c) }", ""),
    ("average", 17, X + "{ y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) }", ""),
    ("pool-stride", 17, "agraph (float[N,3,8,8] x) => (float[N,3,4,4] y)"
     "{ y = MaxPool<kernel_shape=[1,1], strides=[2,2]>(x) }", ""),
    ("pool-indices", 17, "agraph (float[1,3,8,8] x) => (float[1,3,8,8] y, int64[1,3,8,8] i)"
     "{ y, i = MaxPool<kernel_shape=[1,1]>(x) }", "MaxPool: a further result is used"),
    ("relu-elu", 17, X + "{ a = Elu(x) y = Relu(a) }", ""),
    ("relu-clip", 17, X + "<float l = {-1.0}> { a = Clip(x, l) y = Relu(a) }", ""),
    ("clip-max", 17, X + "<float h = {6.0}> { e = Elu(x) y = Clip(e, , h) }", ""),
    ("clip-10", 10, X + "{ y = Clip<min=0.0>(x) }", ""),
    ("clip-open", 17, "agraph (float[3] x, float l) => (float[3] y) { y = Clip(x, l) }", ""),
    ("flatten", 17, "agraph (float[2,3] x) => (float[1,6] y) { y = Flatten<axis=0>(x) }", ""),
    ("squeezes", 17, "agraph (float[1,3,1] x) => (float[3,1,1] y) <int64[1] m = {0},"
     "int64[1] n = {1}> { a = Squeeze(x, m) y = Unsqueeze(a, n) }", ""),
    ("casts-lossy", 17, "agraph (float[9] x) => (float[9] y)"
     "{ a = Cast<to=10>(x) y = Cast<to=1>(a) }", ""),
    ("casts-int", 17, "agraph (int32[9] x) => (double[9] y)"
     "{ a = Cast<to=1>(x) y = Cast<to=11>(a) }", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "text", "reason"), [case[1:] for case in KEPT], ids=[case[0] for case in KEPT]
)
def test_keeps_what_does_something(opset: int, text: str, reason: str) -> None:
    assert_kept(text, opset, reason)


def test_declines_a_reshape_that_copies_dims_that_vary() -> None:
    text = (
        "agraph (float[N,M,8] x) => (float[M,N,2,4] y) <int64[1] s = {3}, int64[4] t = {0,0,2,4}>"
        "{ a = Transpose<perm=[1,0,2]>(x) b = Unsqueeze(a, s) y = Reshape(b, t) }"
    )
    assert_kept(text, 17, "Reshape of Reshape: the second copies a dim that varies")


def test_a_value_with_several_users_and_as_output() -> None:
    text = (
        "agraph (float[N,3] x) => (float[N,3] a, float[N,3] y, float[N,3] z)"
        "{ a = Relu(x) b = Identity(a) y = Relu(b) z = Elu(b) }"
    )
    after = assert_simplified(
        text, 17, {"Identity: did nothing": 1, "Relu of Relu: did nothing": 1}, ["Elu", "Relu"]
    )
    assert after.output_names == ("a", "y", "z")
    assert after.outputs[0] is after.outputs[1]


def test_outputs_that_become_inputs_or_constants() -> None:
    text = (
        "agraph (float[2,3] x) => (float[2,3] y, int64[2] z, float[2,3] w)"
        "{ y = Identity(x) z = Shape(x) w = Relu(x) }"
    )
    after = assert_simplified(text, 17, {"Identity: did nothing": 1, "Shape: folded": 1}, ["Relu"])
    assert after.outputs[0] is after.inputs[0]
    assert after.outputs[1].array is not None


@pytest.mark.parametrize("dtype", ["float16", "double", "int32"])
def test_other_dtypes(dtype: str) -> None:
    one = 0x3C00 if dtype == "float16" else 1  # onnx's text form gives the bits of a float16
    head = f"agraph ({dtype}[N,3] x) => ({dtype}[N,3] y) <{dtype} c = {{{one}}}, {dtype} d = {{0}}>"
    text = head + ("{ a = Mul(x, c) b = Add(a, d) z = Identity(b) y = Neg(z) }")
    notes = dict.fromkeys(
        ["Mul by 1: did nothing", "Add by 0: did nothing", "Identity: did nothing"], 1
    )
    assert_simplified(text, 17, notes, ["Neg"])


def test_batch_norm_that_is_one_only_as_stored_states_its_bound() -> None:
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(np.dtype(np.float32), (2, 3, 4)))
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    variance = np.float32(1) - np.float32(1e-5) * one
    weights = [build.constant(a) for a in (one, zero, zero, variance)]
    y = build.op("BatchNormalization", (x, *weights), {"epsilon": 1e-5})
    graph.set_outputs([build.op("Elu", (y,))], ["y"])
    (proposal,) = Simplify().propose(graph)
    assert 0 < proposal.bound <= 2.0**-24
    stats, after = simplify(graph, same_bits=False)
    assert stats.notes == {"BatchNormalization: did nothing": 1}
    assert kinds(after) == ["Elu"]


def test_the_body_of_an_if_keeps_what_it_captures() -> None:
    text = """agraph (float[2,3] x, bool c) => (float[2,3] y) {
        a = Relu(x)
        b = Identity(a)
        one = Constant<value = float {1}>()
        d = Mul(b, one)
        y = If(c) <
            then_branch = t () => (float[2,3] u) { u = Elu(d) },
            else_branch = e () => (float[2,3] v) { v = Neg(b) }
        >
    }"""
    after = assert_simplified(
        text,
        17,
        {"Identity: did nothing": 1, "Mul by 1: did nothing": 1},
        ["If", "Relu"],
    )
    branch = next(op for op in after.ops() if op.kind == "If")
    assert {value.op.kind for value in branch.operands[1:]} == {"Relu"}


@pytest.mark.parametrize("source", ["x", "w"])
def test_dropout_in_training_form_stays(source: str) -> None:
    graph = graph_of(
        "agraph (float[4] x) => (float[4] y, float[4] z) <float[4] w = {1,2,3,4}, float r = {0.5},"
        f"bool t = {{1}}> {{ y = Dropout({source}, r, t) z = Dropout({source}, r, t) }}"
    )
    stats = Simplify().run(graph)
    assert set(stats.notes) <= {"unused: erased"}
    assert dict(stats.declined) == {"Dropout: in training form": 2}
