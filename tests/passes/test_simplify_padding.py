from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Dim, TensorType, Value
from convc.onnx_io import to_bytes
from convc.runtime import Session, Settings
from passes.simplify import Simplify
from tests.passes.simplify_cases import assert_kept, assert_simplified, graph_of, kinds, simplify

F32 = np.dtype(np.float32)


def windowed(
    kind: str,
    size: int,
    kernel: int,
    attributes: dict[str, object],
    *,
    name: Dim = None,
) -> tuple[Graph, Value]:
    """One op with a window over one asymmetric 2-D input; an open first spatial dim if named."""
    graph = Graph()
    build = Builder(graph)
    if isinstance(name, str):
        graph.sizes[name] = size
    x = graph.add_input("x", TensorType(F32, (2, 3, name or size, size + 1)))
    operands = [x]
    if kind.startswith("Conv"):
        rng = np.random.default_rng(kernel)
        shape = (3, 4) if kind == "ConvTranspose" else (4, 3)
        operands.append(build.constant(rng.standard_normal((*shape, kernel, 3)).astype(F32)))
    y = build.op(kind, operands, {"kernel_shape": (kernel, 3), **attributes})  # type: ignore[dict-item]
    graph.set_outputs([y], ["y"])
    return graph, y


KINDS = ("Conv", "ConvTranspose", "AveragePool", "MaxPool")
MODES = ("SAME_UPPER", "SAME_LOWER", "VALID")


@pytest.mark.parametrize(("kind", "mode"), list(product(KINDS, MODES)))
def test_auto_pad_becomes_explicit(kind: str, mode: str) -> None:
    fired = 0
    for size, kernel, stride, dilation in product((7, 8, 9), (2, 3, 4), (1, 2, 3), (1, 2)):
        # onnxruntime has no pools and no SAME Conv with dilation.
        if dilation > 1 and (kind.endswith("Pool") or (kind == "Conv" and mode != "VALID")):
            continue
        if kind.endswith("Pool") and stride > kernel:
            continue
        dilations = {} if kind.endswith("Pool") else {"dilations": (dilation, 1)}
        attributes = {"auto_pad": mode, "strides": (stride, 1), **dilations}
        graph, _ = windowed(kind, size, kernel, attributes)
        stats, after = simplify(graph)
        if stats.declined:
            assert dict(stats.declined) == {"ConvTranspose: auto_pad would crop": 1}
            continue
        assert stats.notes == {f"{kind}: auto_pad made explicit": 1}
        (op,) = (op for op in after.ops() if op.kind == kind)
        assert "auto_pad" not in op.attributes
        fired += 1
    assert fired >= 20


@pytest.mark.parametrize("kind", KINDS)
def test_auto_pad_with_open_sizes(kind: str) -> None:
    graph, _ = windowed(kind, 8, 3, {"auto_pad": "SAME_UPPER", "strides": (2, 1)}, name="h")
    stats, after = simplify(graph)
    if kind == "ConvTranspose":  # its pads do not depend on the size
        assert stats.notes == {"ConvTranspose: auto_pad made explicit": 1}
        return
    assert stats.applied == 0
    assert dict(stats.declined) == {f"{kind}: auto_pad depends on a size that varies": 1}
    graph, _ = windowed(kind, 8, 3, {"auto_pad": "SAME_UPPER"}, name="h")
    stats, after = simplify(graph)
    assert stats.notes == {f"{kind}: auto_pad made explicit": 1}
    assert kinds(after) == [kind]


@pytest.mark.parametrize(
    ("kind", "attributes", "reason"),
    [
        ("MaxPool", {"ceil_mode": 1}, "MaxPool: auto_pad with ceil_mode"),
        (
            "ConvTranspose",
            {"output_shape": (16, 18), "strides": (2, 2)},
            "ConvTranspose: auto_pad with output_shape",
        ),
    ],
)
def test_auto_pad_declines(kind: str, attributes: dict[str, object], reason: str) -> None:
    graph, _ = windowed(kind, 8, 3, {"auto_pad": "SAME_UPPER", **attributes})
    stats, _ = simplify(graph)
    assert stats.applied == 0
    assert dict(stats.declined) == {reason: 1}


def test_pad_into_conv_with_and_without_pads_of_its_own() -> None:
    for begin, end, own, mode in product((0, 2), (1, 3), (0, 1), ("NOTSET", "VALID")):
        graph = Graph()
        build = Builder(graph)
        graph.sizes["h"] = 8
        x = graph.add_input("x", TensorType(F32, (2, 3, "h", 9)))
        padded = build.pad(x, (0, 0, begin, 1, 0, 0, end, 0))
        weight = build.constant(np.random.default_rng(1).standard_normal((4, 3, 3, 2)).astype(F32))
        pads = {"auto_pad": mode} if mode == "VALID" else {"pads": (own, 0, 0, own)}
        y = build.op("Conv", (padded, weight), {**pads, "strides": (2, 1)})
        graph.set_outputs([y], ["y"])
        stats, after = simplify(graph)
        assert stats.notes["Pad before Conv: folded"] == 1
        (conv,) = (op for op in after.ops() if op.kind == "Conv")
        more = 0 if mode == "VALID" else own
        assert conv.attributes["pads"] == (begin + more, 1, end, more)
        assert kinds(after) == ["Conv"]


CONV = (
    "agraph (float[2,3,8,8] x) => (float[2,4,a,b] y) <float[4,3,1,1] w = {1,2,3,4,5,6,7,8,9,1,2,3}"
)
PADDED = "Pad before {}: folded"
POOL = "agraph (float[2,3,8,9] x) => (float[2,3,a,b] y) <int64[8] p = {0,0,1,0,0,0,1,1}"

FOLDED = [
    ("opset-10", 10, CONV + "> { a = Pad<pads=[0,0,1,0,0,0,0,2]>(x) y = Conv(a, w) }",
     "Conv", ["Conv"]),
    ("average", 17, POOL + "> { a = Pad(x, p) y = AveragePool<kernel_shape=[3,2]>(a) }",
     "AveragePool", ["AveragePool"]),
    ("average-counts", 17, POOL + "> { a = Pad(x, p) y = AveragePool<kernel_shape=[3,2],"
     "pads=[1,1,0,0], count_include_pad=1>(a) }", "AveragePool", ["AveragePool"]),
    ("average-stride", 17, POOL + "> { a = Pad(x, p) y = AveragePool<kernel_shape=[3,3],"
     "strides=[2,2]>(a) }", "AveragePool", ["AveragePool"]),
    ("average-ceil-fits", 19, POOL + "> { a = Pad(x, p) y = AveragePool<kernel_shape=[4,2],"
     "strides=[2,2], ceil_mode=1>(a) }", "AveragePool", ["AveragePool"]),
    ("max", 17, POOL + "> { r = Relu(x) a = Pad(r, p) y = MaxPool<kernel_shape=[3,2],"
     "pads=[1,1,0,0], strides=[2,1]>(a) }", "MaxPool", ["MaxPool", "Relu"]),
    ("max-sigmoid", 17, POOL + "> { r = Sigmoid(x) a = Pad(r, p)"
     " y = MaxPool<kernel_shape=[2,2]>(a) }",
     "MaxPool", ["MaxPool", "Sigmoid"]),
    ("max-clip", 17, POOL + ", float l = {0.5}> { r = Clip(x, l) a = Pad(r, p)"
     " y = MaxPool<kernel_shape=[2,2]>(a) }", "MaxPool", ["Clip", "MaxPool"]),
    ("max-dilated", 17, POOL + "> { r = Relu(x) a = Pad(r, p) y = MaxPool<kernel_shape=[2,2],"
     "dilations=[3,2]>(a) }", "MaxPool", ["MaxPool", "Relu"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "text", "kind", "left"), [case[1:] for case in FOLDED], ids=[c[0] for c in FOLDED]
)
def test_pad_is_folded(opset: int, text: str, kind: str, left: list[str]) -> None:
    assert_simplified(text, opset, {PADDED.format(kind): 1}, left)


ALL_AXES = "Pad: said for all axes"


def test_pad_of_some_axes_becomes_one_of_all() -> None:
    text = CONV + (
        ", int64[2] p = {1,2}, float v = {0}, int64[1] t = {-1}>"
        "{ a = Pad(x, p, v, t) y = Conv(a, w) }"
    )
    assert_simplified(text, 18, {ALL_AXES: 1, PADDED.format("Conv"): 1}, ["Conv"])
    reflected = (
        "agraph (float[2,3,8,8] x) => (float[2,3,a,b] y) <int64[4] p = {1,0,2,3}, "
        'int64[2] t = {3,-2}> { y = Pad<mode="reflect">(x, p, , t) }'
    )
    after = assert_simplified(reflected, 18, {ALL_AXES: 1}, ["Pad"])
    (pad,) = (op for op in after.ops() if op.kind == "Pad")
    assert len(pad.operands) == 2
    assert pad.operand(1).array.tolist() == [0, 0, 0, 1, 0, 0, 3, 2]


def test_onnxruntime_moves_transposes_past_the_new_pad() -> None:
    """It takes the pads for those of all axes, be it that axes are named."""
    text = (
        "agraph (float[1,3,4,5,6] x) => (float[a,b,c,d,e] y) <int64[6] p = {2,2,0,0,2,2}, "
        "int64[3] t = {2,3,4}, float v = {0}> { a = Transpose<perm=[0,2,1,3,4]>(x) "
        "b = Pad(a, p, v, t) y = Transpose<perm=[0,2,1,3,4]>(b) }"
    )
    graph = graph_of(text, 18)
    x = {"x": np.random.default_rng(0).standard_normal((1, 3, 4, 5, 6)).astype(np.float32)}
    (expected,) = Session(to_bytes(graph), Settings(optimised=False, threads=1)).run(x)
    _, after = simplify(graph)
    (got,) = Session(to_bytes(after), Settings(threads=1)).run(x)
    np.testing.assert_array_equal(got, expected)


def test_pad_with_another_user_stays_for_that_one() -> None:
    text = (
        CONV.replace("=> (", "=> (float[2,3,c,d] a, ")
        + ", int64[8] p = {0,0,1,0,0,0,0,2}> { a = Pad(x, p) y = Conv(a, w) }"
    )
    assert_simplified(text, 17, {"Pad before Conv: folded": 1}, ["Conv", "Pad"])


WINDOW = "Pad before a window: "
UNFOLDED = [
    ("reflect", 17, CONV + ", int64[8] p = {0,0,1,0,0,0,0,2}>"
     '{ a = Pad<mode="reflect">(x, p) y = Conv(a, w) }', WINDOW + "not with zeros"),
    ("value", 17, CONV + ", int64[8] p = {0,0,1,0,0,0,0,2}, float v = {1}>"
     "{ a = Pad(x, p, v) y = Conv(a, w) }", WINDOW + "not with zeros"),
    ("value-10", 10, CONV + "> { a = Pad<pads=[0,0,1,0,0,0,0,2], value=1.0>(x) y = Conv(a, w) }",
     WINDOW + "not with zeros"),
    ("open-value", 17, CONV.replace("8] x)", "8] x, float v)") + ", int64[8] p = {0,0,1,0,0,0,0,2}>"
     "{ a = Pad(x, p, v) y = Conv(a, w) }", WINDOW + "not with zeros"),
    ("channels", 17, CONV.replace("[2,3,8,8]", "[2,2,8,8]") + ", int64[8] p = {0,1,0,0,0,0,0,0}>"
     "{ a = Pad(x, p) y = Conv(a, w) }", WINDOW + "pads the batch or the channels"),
    ("crops", 17, CONV + ", int64[8] p = {0,0,1,0,0,0,-1,0}> { a = Pad(x, p) y = Conv(a, w) }",
     WINDOW + "crops"),
    ("not-counted", 17, POOL + "> { a = Pad(x, p) y = AveragePool<kernel_shape=[3,2],"
     "pads=[1,1,0,0]>(a) }", "Pad before AveragePool: its own pads are not counted, the Pad's are"),
    ("average-dilated", 19, POOL + "> { a = Pad(x, p) y = AveragePool<kernel_shape=[3,2],"
     "dilations=[2,1]>(a) }", "Pad before AveragePool: dilated"),
    ("average-ceil", 19, POOL + "> { a = Pad(x, p) y = AveragePool<kernel_shape=[4,3],"
     "strides=[3,3], ceil_mode=1>(a) }", "Pad before AveragePool: ceil_mode"),
    ("average-larger", 17, POOL.replace("[2,3,8,9]", "[2,3,1,9]") + "> { a = Pad(x, p)"
     " y = AveragePool<kernel_shape=[4,2], strides=[3,1]>(a) }",
     "Pad before AveragePool: a window is larger than the padded data"),
    ("narrow", 17, POOL + "> { a = Pad(x, p) y = AveragePool<kernel_shape=[1,2]>(a) }",
     "Pad before AveragePool: a window would see only padding"),
    ("max-signed", 17, POOL + "> { a = Pad(x, p) y = MaxPool<kernel_shape=[3,2]>(a) }",
     "Pad before MaxPool: what is padded with zeros may be negative"),
    ("max-clip", 17, POOL + ", float l = {-0.5}> { r = Clip(x, l) a = Pad(r, p)"
     " y = MaxPool<kernel_shape=[3,2]>(a) }",
     "Pad before MaxPool: what is padded with zeros may be negative"),
    ("max-narrow", 17, POOL + "> { r = Relu(x) a = Pad(r, p) y = MaxPool<kernel_shape=[1,2]>(a) }",
     "Pad before MaxPool: a window would see only padding"),
    ("max-ceil", 17, POOL + "> { r = Relu(x) a = Pad(r, p) y = MaxPool<kernel_shape=[4,3],"
     "strides=[3,3], ceil_mode=1>(a) }", "Pad before MaxPool: ceil_mode"),
    ("max-indices", 17, POOL.replace("b] y)", "b] y, int64[2,3,c,d] i)")
     + "> { r = Relu(x) a = Pad(r, p)"
     " y, i = MaxPool<kernel_shape=[3,2]>(a) }", "Pad before MaxPool: its indices are used"),
    ("max-dilated", 17, POOL.replace("[2,3,8,9]", "[2,3,2,9]") + "> { r = Relu(x) a = Pad(r, p)"
     " y = MaxPool<kernel_shape=[2,2], dilations=[3,1]>(a) }",
     "Pad before MaxPool: a dilated window may see only padding"),
    ("max-dilated-open", 17, POOL.replace("[2,3,8,9]", "[2,3,H,9]")
     + "> { r = Relu(x) a = Pad(r, p)"
     " y = MaxPool<kernel_shape=[2,2], dilations=[3,1]>(a) }",
     "Pad before MaxPool: a dilated window may see only padding"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "text", "reason"), [c[1:] for c in UNFOLDED], ids=[c[0] for c in UNFOLDED]
)
def test_pad_is_not_folded(opset: int, text: str, reason: str) -> None:
    assert_kept(text, opset, reason)


def test_pad_before_auto_pad_of_an_open_size_stays() -> None:
    graph = Graph()
    build = Builder(graph)
    graph.sizes["h"] = 8
    x = graph.add_input("x", TensorType(F32, (2, 3, "h", 9)))
    weight = build.constant(np.ones((4, 3, 3, 3), F32))
    attributes = {"auto_pad": "SAME_UPPER", "strides": (2, 2)}
    y = build.op("Conv", (build.pad(x, (0, 0, 1, 1, 0, 0, 1, 1)), weight), attributes)
    graph.set_outputs([y], ["y"])
    stats, after = simplify(graph)
    assert stats.applied == 0
    assert kinds(after) == ["Conv", "Pad"]
    assert set(stats.declined) == {
        "Conv: auto_pad depends on a size that varies",
        "Pad before Conv: the Conv's auto_pad depends on a size that varies",
    }


def test_pads_that_are_fed_are_left_alone() -> None:
    graph = graph_of(
        CONV.replace("8] x)", "8] x, int64[8] p)") + "> { a = Pad(x, p) y = Conv(a, w) }"
    )
    assert Simplify().propose(graph) == []


def random_pool(kind: str, rng: np.random.Generator) -> Graph:
    """A Pad of zeros before a pool, both drawn from their whole attribute space."""
    kernel = rng.integers(1, 5, 2)
    own = [int(rng.integers(0, k)) if rng.random() < 0.5 else 0 for k in (*kernel, *kernel)]
    more = [int(n) for n in rng.integers(0, 3, 4)]
    attributes = {
        "kernel_shape": tuple(int(k) for k in kernel),
        "strides": tuple(int(s) for s in rng.integers(1, 4, 2)),
        "pads": tuple(own),
        "ceil_mode": int(rng.integers(0, 2)),
    }
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(rng.integers(0, 2))
    else:
        attributes["dilations"] = tuple(int(d) for d in rng.integers(1, 4, 2))
    graph = Graph()
    build = Builder(graph)
    height: Dim = "h" if rng.random() < 0.3 else 10
    graph.sizes["h"] = 10
    data = graph.add_input("x", TensorType(F32, (1, 2, height, 11)))
    if kind == "MaxPool":
        data = build.op("Relu", (build.op("Sub", (data, build.constant(np.full(1, 2, F32)))),))
    padded = build.pad(data, (0, 0, *more[:2], 0, 0, *more[2:]))
    graph.set_outputs([build.op(kind, (padded,), attributes)], ["y"])
    return graph


@pytest.mark.parametrize("kind", ["AveragePool", "MaxPool"])
def test_pad_before_random_pools(kind: str) -> None:
    rng = np.random.default_rng(5)
    fired = 0
    for _ in range(500):
        stats, _ = simplify(random_pool(kind, rng), same_bits=kind == "MaxPool")
        fired += stats.notes[PADDED.format(kind)]
    assert fired >= 40
