"""Proofs of single rewrites, made by hand: right ones pass, each way of being wrong fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from convc.algebra import ConvGeometry
from convc.conv import conv_geometry
from convc.errors import CannotProveError, ProofError
from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Value
from convc.proof import TOLERANCE, difference, prove
from convc.rewrite import Replacement, Rewrite
from tests.tiny import FLOAT, INT64, graph_of, kernel, model, node

W = kernel(1, 6, 2, 3, 3)
B = kernel(2, 6)
FIXED = (1, 4, 12, 10)
OPEN = ("n", 4, "h", "w")


Pairs = tuple[tuple[int, int], tuple[int, int]]


def geometry(
    kernel: tuple[int, ...] = (3, 3),
    strides: tuple[int, ...] = (1, 1),
    dilations: tuple[int, ...] = (1, 1),
    pads: Pairs = ((1, 1), (1, 1)),
    group: int = 2,
) -> ConvGeometry:
    """``pads`` are begin and end of each axis."""
    begin, end = zip(*pads, strict=True)
    return ConvGeometry(kernel, strides, dilations, begin, end, group)


def conv_graph(shape: tuple[int | str, ...] = FIXED, **attributes: object) -> Graph:
    """A grouped padded conv with a bias."""
    inputs = {"x": (FLOAT, shape)}
    given = {"group": 2, "pads": [1, 1, 1, 1], **attributes}
    return graph_of(model([node("Conv", "x w b", "y", **given)], {"w": W, "b": B}, inputs=inputs))


def find(graph: Graph, kind: str) -> Op:
    return next(op for op in graph.ops() if op.kind == kind)


def value(graph: Graph, name: str) -> Value:
    return next(r for op in graph.ops() for r in op.results if r.name == name)


def another_conv(graph: Graph, weight: Array, bias: Array | None, **changes: object) -> Rewrite:
    """Proposes another conv for the only one of ``graph``."""
    op = find(graph, "Conv")
    made = Replacement(graph)
    assert op.operands[0] is not None
    w = made.graph.add_constant(np.asarray(weight, np.float64), dtype=np.dtype(np.float32))
    b = None
    if bias is not None:
        b = made.graph.add_constant(np.asarray(bias, np.float64), dtype=np.dtype(np.float32))
    shape = geometry(**changes)  # type: ignore[arg-type]
    return made.rewrite({op.result: made.conv(made.take(op.operands[0]), w, b, shape)})


@pytest.mark.parametrize("shape", [FIXED, OPEN], ids=["fixed", "open"])
def test_the_same_conv_is_proved(shape: tuple[int | str, ...]) -> None:
    graph = conv_graph(shape)
    assert prove(graph, another_conv(graph, W, B)) == 0.0
    # As one dense conv: other sums, the same function.
    dense = np.zeros((6, 4, 3, 3))
    dense[:3, :2], dense[3:, 2:] = W[:3], W[3:]
    residual = prove(graph, another_conv(graph, dense, B, group=1))
    assert 0 < residual < TOLERANCE


WRONG: dict[str, tuple[Array, Array | None, dict[str, object]]] = {
    "kernel flipped": (W[..., ::-1, ::-1], B, {}),
    "kernel flipped along one axis": (W[..., ::-1], B, {}),
    "kernel transposed": (W.swapaxes(2, 3), B, {}),
    "one weight": (W.astype(float) + 1e-6 * np.eye(1, W.size, 50).reshape(W.shape), B, {}),
    "bias dropped": (W, None, {}),
    "bias off in one channel": (W, B + 1e-6 * np.eye(6)[2], {}),
    "groups swapped": (W[[3, 4, 5, 0, 1, 2]], B[[3, 4, 5, 0, 1, 2]], {}),
    "weights of another group": (W[[3, 4, 5, 0, 1, 2]], B, {}),
    "channels within the group": (W[:, ::-1], B, {}),
    "pad off by one": (W, B, {"pads": ((2, 0), (1, 1))}),
    "pad of the other axis": (W, B, {"pads": ((1, 1), (0, 2))}),
    "another shape": (W, B, {"pads": ((1, 1), (1, 2))}),
    "another stride": (W, B, {"strides": (2, 1)}),
    "dilated": (W, B, {"dilations": (2, 1), "pads": ((2, 2), (1, 1))}),
    "NaN": (W + np.nan * np.eye(1, W.size, 7).reshape(W.shape), B, {}),
    "infinity": (W, np.where(np.arange(6) == 1, np.inf, B), {}),
    "zero": (0 * W, 0 * B, {}),
    "negated": (-W, -B, {}),
    "scaled": (W.astype(float) * (1 + 1e-8), B.astype(float) * (1 + 1e-8), {}),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("shape", [FIXED, OPEN], ids=["fixed", "open"])
def test_wrong_convs_are_not(wrong: str, shape: tuple[int | str, ...]) -> None:
    weight, bias, changes = WRONG[wrong]
    graph = conv_graph(shape)
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, another_conv(graph, weight, bias, **changes))


def pair(
    shape: tuple[int | str, ...],
    first: dict[str, object],
    second: dict[str, object],
    bias: Array | None = None,
    between: str = "",
) -> Graph:
    nodes = [node("Conv", "x w1 b1" if bias is not None else "x w1", "a", **first)]
    if between:
        nodes.append(node(between, "a", "m"))
    nodes.append(node("Conv", ("m" if between else "a") + " w2", "y", **second))
    weights = {"w1": kernel(3, 5, 1, 3, 3), "w2": kernel(4, 2, 5, 3, 3)}
    if bias is not None:
        weights["b1"] = bias
    return graph_of(model(nodes, weights, inputs={"x": (FLOAT, shape)}))


def composed(graph: Graph, pads: tuple[int, int], stride: int = 1) -> Rewrite:
    """The two convs of `pair` as one, without a thought about the border."""
    outer = find_named(graph, "y")
    inner = find_named(graph, "a")
    w1, w2 = (op.operands[1].array.astype(float) for op in (inner, outer))  # type: ignore[union-attr]
    s1 = conv_geometry(inner).strides[0]  # type: ignore[union-attr]
    size = 3 + s1 * 2
    weight = np.zeros((2, 1, size, size))
    for i, j in np.ndindex(3, 3):
        window = weight[:, :, s1 * i : s1 * i + 3, s1 * j : s1 * j + 3]
        window += np.einsum("kc,cdij->kdij", w2[:, :, i, j], w1)
    made = Replacement(graph)
    total = geometry((size, size), (stride * s1, stride * s1), pads=(pads, pads), group=1)
    w = made.graph.add_constant(weight, dtype=np.dtype(np.float32))
    start = inner.operands[0]
    assert start is not None
    return made.rewrite({outer.result: made.conv(made.take(start), w, None, total)})


def find_named(graph: Graph, name: str) -> Op:
    return value(graph, name).op


GRAY, OPEN_GRAY = (1, 1, 12, 10), ("n", 1, "h", "w")


@pytest.mark.parametrize("shape", [GRAY, OPEN_GRAY], ids=["fixed", "open"])
def test_composition_and_its_border(shape: tuple[int | str, ...]) -> None:
    plain = pair(shape, {}, {})
    assert prove(plain, composed(plain, (0, 0))) < TOLERANCE
    padded_first = pair(shape, {"pads": [1] * 4}, {})
    assert prove(padded_first, composed(padded_first, (1, 1))) < TOLERANCE
    padded_both = pair(shape, {"pads": [1] * 4}, {"pads": [1] * 4})
    with pytest.raises(ProofError, match="differs by"):
        prove(padded_both, composed(padded_both, (2, 2)))
    biased = pair(shape, {"pads": [2] * 4}, {"pads": [1] * 4}, kernel(5, 5))
    with pytest.raises(ProofError, match="differs by"):
        prove(biased, composed(biased, (3, 3)))


def test_right_for_one_residue_only() -> None:
    """With stride 2 and p1_end = e1 - s1 = 1 the ring is zero for even rests of the size only."""
    first, second = {"strides": [2, 2], "pads": [1, 1, 1, 1]}, {"pads": [1] * 4}
    # r = (H + 2 - 3) mod 2: zero for odd H; then the ring at the end is zero, too.
    odd = pair((1, 1, 13, 11), first, second)
    assert prove(odd, composed(odd, (3, 3))) < TOLERANCE
    even = pair((1, 1, 12, 11), first, second)
    with pytest.raises(ProofError, match="differs by"):
        prove(even, composed(even, (3, 3)))
    for usual in (12, 13):
        graph = pair(OPEN_GRAY, first, second)
        graph.sizes.update(h=usual, w=usual)
        with pytest.raises(ProofError, match="differs by"):
            prove(graph, composed(graph, (3, 3)))


def shape_arithmetic(graph: Graph, kind: str, limit: int) -> Rewrite:
    """Adds a little where the height is odd, or below a limit: wrong at these sizes only."""
    op = find(graph, "Relu")
    start = op.operands[0]
    assert start is not None
    made = Replacement(graph)
    x = made.take(start)
    single = TensorType(np.dtype(np.int64), ())
    sizes = made.op("Shape", (x,))
    height = made.op("Gather", (sizes, made.constant(np.array(2))), type_=single)
    number = made.constant(np.array(limit))
    if kind == "Mod":
        flag = made.op("Mod", (height, number), type_=single)
    else:
        below = TensorType(np.dtype(bool), ())
        flag = made.op("Less", (height, number), type_=below)
    scalar = TensorType(np.dtype(np.float32), ())
    offset = made.op("Cast", (flag,), {"to": FLOAT}, type_=scalar)
    return made.rewrite({op.result: made.add(made.op("Relu", (x,)), offset)})


def relu_graph(kinds: Sequence[str] = ("Relu",), shape: tuple[int | str, ...] = OPEN) -> Graph:
    names = ["x", *(f"v{i}" for i in range(len(kinds) - 1)), "y"]
    nodes = [node(k, a, b) for k, a, b in zip(kinds, names, names[1:], strict=False)]
    return graph_of(model(nodes, inputs={"x": (FLOAT, shape)}))


@pytest.mark.parametrize(("kind", "limit"), [("Mod", 2), ("Less", 2), ("Less", 1000)])
def test_wrong_at_other_sizes_only(kind: str, limit: int) -> None:
    graph = relu_graph()
    graph.sizes.update(h=1024, w=1024)
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, shape_arithmetic(graph, kind, limit))


def test_every_residue_and_every_border_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    import convc.proof

    tried: list[tuple[int, ...]] = []
    evaluate = convc.proof.evaluate

    def spy(graph: Graph, feeds: dict[str, Array], *rest: object) -> list[Array]:
        if graph.inputs[0].name in feeds and len(feeds) == 1:
            tried.append(next(iter(feeds.values())).shape)
        return evaluate(graph, feeds, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(convc.proof, "evaluate", spy)
    first, second = {"strides": [2, 2], "dilations": [3, 3]}, {"strides": [2, 2]}
    graph = pair(OPEN_GRAY, first, second)
    graph.sizes.update(h=96, w=64, n=2)
    rewrite = Replacement(graph)
    start = rewrite.take(graph.inputs[0])
    a = rewrite.op(
        "Conv", (start, rewrite.take(value(graph, "w1"))), find_named(graph, "a").attributes
    )
    y = rewrite.op("Conv", (a, rewrite.take(value(graph, "w2"))), find_named(graph, "y").attributes)
    assert prove(graph, rewrite.rewrite({value(graph, "y"): y})) == 0.0
    heights, widths = {s[2] for s in tried}, {s[3] for s in tried}
    assert {96} <= heights
    # Receptive field 7 + 2·2 = 11: below it nothing runs, above it all residues modulo 4.
    for sizes in (heights, widths):
        assert {size % 4 for size in sizes if 11 <= size < 40} == {0, 1, 2, 3}
        assert min(sizes) == 1
    assert any(s[2] % 2 != s[3] % 2 for s in tried)
    assert any(s[2] == s[3] for s in tried)


def test_open_sizes_that_must_be_equal_find_each_other() -> None:
    """Two inputs of an Add whose sizes have different names run only where these are equal."""
    inputs = {"a": (FLOAT, (1, 2, "h", "w")), "b": (FLOAT, (1, 2, "i", "j"))}
    graph = graph_of(model([node("Add", "a b", "y")], inputs=inputs))
    graph.sizes.update(h=7, w=9, i=11, j=13)
    op = find(graph, "Add")
    for kind, right in (("Add", True), ("Sub", False)):
        made = Replacement(graph)
        a, b = (made.take(v) for v in op.operands if v is not None)
        rewrite = made.rewrite({op.result: made.op(kind, (b, a))})
        if right:
            assert prove(graph, rewrite) == 0.0
        else:
            with pytest.raises(ProofError):
                prove(graph, rewrite)


def through(graph: Graph, build: Callable[[Replacement, Value], Value], to: str = "y") -> Rewrite:
    made = Replacement(graph)
    result = build(made, made.take(graph.inputs[0]))
    return made.rewrite({value(graph, to): result})


NONLINEAR = {
    "positive only": lambda _, x: x,
    "negative only": lambda m, x: m.op("Mul", (x, m.constant(np.array(0.0)))),
    "absolute": lambda m, x: m.op("Abs", (x,)),
    "small only": lambda m, x: m.op("Min", (m.op("Relu", (x,)), m.constant(np.array(6.0)))),
    "leaky": lambda m, x: m.op("LeakyRelu", (x,), {"alpha": 1e-7}),
    "smooth": lambda m, x: m.op("Softplus", (x,)),
    "constant": lambda m, x: m.op("Relu", (m.op("Sub", (x, x)),)),
}


@pytest.mark.parametrize("wrong", NONLINEAR)
@pytest.mark.parametrize("shape", [FIXED, OPEN], ids=["fixed", "open"])
def test_wrong_for_some_signs_only(wrong: str, shape: tuple[int | str, ...]) -> None:
    graph = relu_graph(shape=shape)
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, through(graph, NONLINEAR[wrong]))


def test_right_nonlinear_region() -> None:
    graph = relu_graph(("Neg", "Relu", "Neg"))
    smallest = through(graph, lambda m, x: m.op("Min", (x, m.constant(np.array(0.0)))))
    assert prove(graph, smallest) == 0.0


def test_nan_must_stay() -> None:
    graph = relu_graph(("Log",), FIXED)
    assert prove(graph, through(graph, lambda m, x: m.op("Log", (x,)))) == 0.0
    with pytest.raises(ProofError, match="differs by inf"):
        prove(graph, through(graph, lambda m, x: m.op("Log", (m.op("Abs", (x,)),))))


def test_another_dtype_is_seen_though_all_is_float64_here() -> None:
    graph = relu_graph(("Relu",), FIXED)
    half = TensorType(np.dtype(np.float16), FIXED)
    with pytest.raises(ProofError, match="float16"):
        prove(graph, through(graph, lambda m, x: m.op("Relu", (x,), type_=half)))
    whole = TensorType(np.dtype(np.int64), FIXED)
    numbers = through(
        graph, lambda m, x: m.op("Cast", (m.op("Relu", (x,)),), {"to": INT64}, type_=whole)
    )
    with pytest.raises(ProofError, match="int64"):
        prove(graph, numbers)


def test_two_unnamed_inputs_are_two_inputs() -> None:
    """Names repeat inside a graph: 2a is not a + b because both are called nothing."""
    graph = graph_of(
        model([node("Relu", "x", "a"), node("Neg", "x", "b"), node("Add", "a b", "y")])
    )
    a, b, y = (value(graph, name) for name in "aby")
    for name in ("", "same"):
        a.name = b.name = name
        for operands, right in (((0, 1), True), ((0, 0), False), ((1, 1), False)):
            made = Replacement(graph)
            taken = made.take(a), made.take(b)
            result = made.op("Add", [taken[i] for i in operands])
            rewrite = made.rewrite({y: result})
            if right:
                assert prove(graph, rewrite) == 0.0
            else:
                with pytest.raises(ProofError, match="differs by"):
                    prove(graph, rewrite)


def test_a_stated_bound_is_granted_and_not_more() -> None:
    graph = conv_graph()
    rewrite = another_conv(graph, W.astype(float) * (1 + 1e-6), B.astype(float) * (1 + 1e-6))
    with pytest.raises(ProofError):
        prove(graph, rewrite)
    granted = Rewrite(rewrite.outputs, rewrite.inputs, rewrite.after, bound=2e-6)
    assert 0.5e-6 < prove(graph, granted) < 2e-6
    tight = Rewrite(rewrite.outputs, rewrite.inputs, rewrite.after, bound=5e-7)
    with pytest.raises(ProofError):
        prove(graph, tight)


def test_what_cannot_be_evaluated_is_not_proved() -> None:
    graph = graph_of(model([node("Mystery", "x", "y", domain="nowhere")], domains=["nowhere"]))
    with pytest.raises(CannotProveError, match="region cannot be evaluated"):
        prove(graph, through(graph, lambda m, x: m.op("Relu", (x,))))
    plain = relu_graph(("Relu",), FIXED)
    narrow = through(plain, lambda m, x: m.op("Reshape", (x, m.ints([7, 7]))))
    with pytest.raises(ProofError, match="replacement cannot be evaluated"):
        prove(plain, narrow)


def test_what_the_region_reads_besides_is_fed_too() -> None:
    """A shape that is known, whoever computes it: the replacement does not read it."""
    nodes = [node("Shape", "x", "s"), node("Reshape", "h s", "y")]
    graph = graph_of(model(nodes, inputs={"h": (FLOAT, (4, 6)), "x": (FLOAT, (2, 3, 4))}))
    made = Replacement(graph)
    h, sizes = made.take(value(graph, "h")), made.ints([2, 3, 4])
    right = made.rewrite({value(graph, "y"): made.op("Reshape", (h, sizes))})
    assert right.inputs == (value(graph, "h"),)
    assert right.cut == (value(graph, "h"), value(graph, "x"))
    assert prove(graph, right) == 0.0
    wrong = Replacement(graph)
    h, sizes = wrong.take(value(graph, "h")), wrong.ints([3, 2, 4])
    with pytest.raises(ProofError):
        prove(graph, wrong.rewrite({value(graph, "y"): wrong.op("Reshape", (h, sizes))}))


def test_sequences_are_not_proved() -> None:
    graph = graph_of(model([node("SequenceConstruct", "x x", "s"), node("Identity", "s", "y")]))
    made = Replacement(graph)
    same = made.rewrite({value(graph, "y"): made.take(value(graph, "s"))}, frontier=graph.inputs)
    with pytest.raises(CannotProveError, match="sequences"):
        prove(graph, same)


def test_single_numbers_are_proved() -> None:
    """A scalar is no sequence, whichever way a kernel gives it."""
    weights = {"table": np.array([3, 5, 7]), "i": np.array(1)}
    inputs = {"x": (INT64, ())}
    nodes = [node("Gather", "table i", "g"), node("Add", "x g", "y")]
    graph = graph_of(model(nodes, weights, inputs=inputs, outputs={"y": INT64}))
    made = Replacement(graph)
    right = made.rewrite({value(graph, "g"): made.constant(np.array(5))})
    assert prove(graph, right) == 0.0
    wrong = Replacement(graph)
    with pytest.raises(ProofError):
        prove(graph, wrong.rewrite({value(graph, "g"): wrong.constant(np.array(7))}))


def test_inputs_of_unknown_size_are_not_proved() -> None:
    graph = relu_graph(("Relu",), FIXED)
    graph.inputs[0].type = TensorType(np.dtype(np.float32), None)
    with pytest.raises(CannotProveError, match="not known"):
        prove(graph, through(graph, lambda m, x: m.op("Relu", (x,))))


def test_difference() -> None:
    rng = np.random.default_rng(0)
    before = rng.standard_normal((2, 3, 4, 5)) * np.array([1, 1e-3, 1])[:, None, None]
    assert difference(before, before.copy()) == 0.0
    after = before.copy()
    after[0, 1, 2, 3] += 1e-9
    # Relative to the small channel's own scale, not to the tensor's.
    assert difference(before, after) == pytest.approx(1e-9 / np.abs(before[:, 1]).max(), rel=1e-6)
    assert difference(before, before[..., :-1]) == np.inf
    assert difference(before, np.where(before > 2, np.nan, before)) == np.inf
    moved = before.copy(), before.copy()
    moved[0][0, 0, 0, 0] = moved[1][0, 0, 0, 1] = np.nan
    assert difference(*moved) == np.inf
    infinite = before.copy(), before.copy()
    infinite[0][0, 0, 0, 0], infinite[1][0, 0, 0, 0] = np.inf, -np.inf
    assert difference(*infinite) == np.inf
    whole = np.arange(6)
    assert difference(whole, whole) == 0.0
    assert difference(whole, whole + 1) == np.inf
    assert difference(whole, whole.astype(np.int32)) == np.inf
    assert difference(whole, whole.astype(float)) == np.inf
    empty = np.zeros((0, 3))
    assert difference(empty, empty.copy()) == 0.0
    zero = np.zeros((2, 3))
    assert difference(zero, zero - 1e-3) == 1.0
    assert difference(np.array(2.0), np.array(2.0)) == 0.0
