"""Outputs that jump: flips that rounding makes are accepted, wrong models are not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto

from convc.check import Comparison
from convc.ir import Array
from convc.judge import Verdict
from tests.tiny import BOOL, FLOAT, INT64, compared, kernel, model, node

SHAPE = (1, 8, 24, 24)
ONE_BY_ONE = kernel(1, 6, 8, 1, 1)
# Channels that differ from each other by rounding only: whoever compares them flips.
TIED = ONE_BY_ONE[:1] * np.float32(1 + 2e-7 * kernel(3, 6, 8, 1, 1))


def front(weight: Array, split: bool) -> tuple[list[NodeProto], dict[str, Array]]:
    """``c`` = 1×1 conv of ``x``, in one piece or as a sum of two in another order."""
    if not split:
        return [node("Conv", "x w", "c")], {"w": weight}
    low, high = weight.copy(), weight.copy()
    low[:, ::2], high[:, 1::2] = 0, 0
    nodes = [node("Conv", "x wl", "p"), node("Conv", "x wh", "q"), node("Add", "p q", "c")]
    return nodes, {"wl": low, "wh": high}


def back(kind: str, after: float = 1.0, jump: float = 0.0) -> tuple[list[NodeProto], dict]:
    """A jump on ``c`` and something behind it; ``jump`` and ``after`` spoil the one, the other."""
    k = {"k": np.array(after, np.float32)}
    if kind == "ArgMax":
        nodes = [
            node("ArgMax", "c", "i", axis=1, keepdims=0),
            node("Cast", "i", "f", to=FLOAT),
            node("Mul", "f k", "y"),
        ]
        if jump:
            nodes[:1] = [node("Neg", "c", "n"), node("ArgMax", "n", "i", axis=1, keepdims=0)]
        return nodes, k
    if kind == "Where":
        nodes = [
            node("Greater", "c t", "above"),
            node("Mul", "c k", "m"),
            node("Where", "above m low", "y"),
        ]
        return nodes, {**k, "t": np.float32(jump), "low": np.float32(-3)}
    if kind == "TopK":
        nodes = [
            node("Flatten", "c", "r"),
            node("TopK", "r count", "v i", largest=0 if jump else 1),
            node("Cast", "i", "f", to=FLOAT),
            node("Mul", "f k", "y"),
        ]
        return nodes, {**k, "count": np.array([40])}
    if kind == "Cast":
        nodes = [
            node("Mul", "c ten", "m"),
            node("Cast", "m", "i", to=INT64),
            node("Cast", "i", "f", to=FLOAT),
            node("Add", "f k", "y"),
        ]
        return nodes, {"k": np.float32(after - 1), "ten": np.float32(10 + jump)}
    assert kind == "Floor"
    nodes = [node("Mul", "c ten", "m"), node("Floor", "m", "f"), node("Mul", "f k", "y")]
    return nodes, {**k, "ten": np.float32(10 + jump)}


def network(
    kind: str, *, split: bool = False, weight: Array = TIED, after: float = 1, jump: float = 0
) -> bytes:
    head, weights = front(weight, split)
    tail, more = back(kind, after, jump)
    inputs = {"x": (FLOAT, SHAPE)}
    return model([*head, *tail], {**weights, **more}, inputs=inputs)


KINDS = ["ArgMax", "Where", "TopK", "Cast", "Floor"]


@pytest.mark.parametrize("kind", ["ArgMax", "TopK"])
def test_flips_of_rounding_are_accepted(kind: str) -> None:
    result = compared(network(kind), network(kind, split=True))
    assert result.verdict is Verdict.EQUAL
    assert any("jumps where rounding decides" in note for note in result.notes)
    assert not result.bit_identical


def repeated(nodes: list[NodeProto], weights: dict, split: bool) -> bytes:
    """Behind a front end whose last channels lie on the jump: inputs meet their own negatives."""
    double = np.concatenate([ONE_BY_ONE, ONE_BY_ONE[::-1]], axis=1)
    # (x, x) · (w, -w) is 0 up to the order of summation.
    double[3:, 8:] = -double[3:, :8]
    head = [node("Concat", "x x", "xx", axis=1)]
    more, made = front(double, split)
    for made_node in more:
        made_node.input[0] = made_node.input[0].replace("x", "xx")
    return model([*head, *more, *nodes], {**made, **weights}, inputs={"x": (FLOAT, SHAPE)})


@pytest.mark.parametrize("kind", ["Where", "Cast", "Floor"])
def test_thresholds_met_by_rounding_are_accepted(kind: str) -> None:
    nodes, weights = back(kind)
    if kind == "Cast":  # truncation jumps at 1, not at 0
        nodes[:1] = [node("Mul", "c ten", "d"), node("Add", "d one", "m")]
        weights["one"] = np.float32(1)
    same = repeated(nodes, weights, split=True)
    result = compared(repeated(nodes, weights, split=False), same)
    assert result.verdict.good
    assert any("jumps where rounding decides" in note for note in result.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_before_the_jump(kind: str) -> None:
    right = network(kind, weight=ONE_BY_ONE)
    wrong = network(kind, weight=ONE_BY_ONE * np.float32(1.01), split=True)
    if kind in ("ArgMax", "TopK"):  # both only look at the order
        wrong = network(kind, weight=ONE_BY_ONE[::-1].copy(), split=True)
    assert compared(right, wrong).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [ONE_BY_ONE, TIED], ids=["clear", "tied"])
def test_wrong_behind_the_jump(kind: str, weight: Array) -> None:
    right = network(kind, weight=weight)
    wrong = network(kind, weight=weight, split=True, after=1.01)
    assert compared(right, wrong).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [ONE_BY_ONE, TIED], ids=["clear", "tied"])
def test_another_jump(kind: str, weight: Array) -> None:
    """The jump itself is wrong: another axis, another threshold, the smallest for the largest."""
    right = network(kind, weight=weight)
    wrong = network(kind, weight=weight, split=True, jump=0.3)
    assert compared(right, wrong).verdict is Verdict.DIFFERENT


def test_a_jump_on_another_value_is_another_jump() -> None:
    """Same kinds, same names, but the threshold looks at another channel order."""
    head, weights = front(ONE_BY_ONE, split=False)
    tail, more = back("Where")
    turn = node("Gather", "c order", "turned", axis=1)
    wrong_tail = [node("Greater", "turned t", "above"), *tail[1:]]
    inputs = {"x": (FLOAT, SHAPE)}
    right = model([*head, *tail], {**weights, **more}, inputs=inputs)
    more = {**more, "order": np.array([1, 0, 2, 3, 4, 5])}
    wrong = model([*head, turn, *wrong_tail], {**weights, **more}, inputs=inputs)
    assert compared(right, wrong).verdict is Verdict.DIFFERENT


def test_a_lost_jump_is_not_accepted() -> None:
    head, weights = front(TIED, split=True)
    tail, more = back("ArgMax")
    tail[0].output[0] = tail[1].input[0] = "renamed"
    wrong = model([*head, *tail], {**weights, **more}, inputs={"x": (FLOAT, SHAPE)})
    assert not compared(network("ArgMax"), wrong).verdict.good


def test_an_identity_before_the_jump_may_go() -> None:
    """Operands are paired by position: a rewrite may take the name of one away."""
    nodes, weights = back("ArgMax")
    nodes[0].input[0] = "same"
    head, kernels = front(TIED, split=False)
    head.append(node("Identity", "c", "same"))
    right = model([*head, *nodes], {**kernels, **weights}, inputs={"x": (FLOAT, SHAPE)})
    result = compared(right, network("ArgMax", split=True))
    assert result.verdict is Verdict.EQUAL
    assert result.notes


def detector(split: bool, scale: float = 1.0, threshold: float = 0.3) -> bytes:
    """Boxes and scores from one conv, then NonMaxSuppression and a Gather of what it keeps."""
    head, weights = front(np.concatenate([TIED[:4], TIED[:1]]), split)
    nodes = [
        *head,
        node("Reshape", "c flat", "rows"),
        node("Split", "rows parts", "corner scores", axis=1),
        node("Transpose", "corner", "boxes", perm=[0, 2, 1]),
        node("NonMaxSuppression", "boxes scores most overlap least", "kept"),
        node("Gather", "kept two", "index", axis=1),
        node("Gather", "scores index", "found", axis=2),
        node("Mul", "found k", "y"),
    ]
    weights |= {
        "flat": np.array([1, 5, -1]), "parts": np.array([4, 1]), "two": np.array(2),
        "most": np.array([20]), "overlap": np.float32([0.5]), "least": np.float32([threshold]),
        "k": np.float32(scale),
    }  # fmt: skip
    return model(nodes, weights, inputs={"x": (FLOAT, SHAPE)})


def test_non_max_suppression() -> None:
    """Scores that tie are kept in the order in which rounding puts them."""
    result = compared(detector(split=False), detector(split=True))
    assert result.verdict.good, result.notes
    for wrong in (
        detector(split=True, scale=1.01),
        detector(split=True, threshold=0.6),
        detector(split=False, scale=-1.0),
    ):
        assert compared(detector(split=False), wrong).verdict is Verdict.DIFFERENT


def test_a_jump_at_the_very_end() -> None:
    """The output is the jump's own result."""

    def ends(split: bool, weight: Array = TIED) -> bytes:
        head, weights = front(weight, split)
        last = node("ArgMax", "c", "y", axis=1, keepdims=0)
        inputs, outputs = {"x": (FLOAT, SHAPE)}, {"y": INT64}
        return model([*head, last], weights, inputs=inputs, outputs=outputs)

    assert compared(ends(split=False), ends(split=True)).verdict is Verdict.EQUAL
    turned = ends(split=True, weight=ONE_BY_ONE)
    assert compared(ends(split=False, weight=ONE_BY_ONE[::-1].copy()), turned).verdict is (
        Verdict.DIFFERENT
    )


def test_no_jump_no_excuse() -> None:
    def smooth(weight: Array) -> bytes:
        head, weights = front(weight, split=False)
        return model([*head, node("Tanh", "c", "y")], weights, inputs={"x": (FLOAT, SHAPE)})

    result: Comparison = compared(smooth(ONE_BY_ONE), smooth(ONE_BY_ONE[::-1].copy()))
    assert result.verdict is Verdict.DIFFERENT
    assert not any("jumps" in note for note in result.notes)


def test_what_decides_within_tolerance_is_said_so() -> None:
    """The verdict is that of what the jump looks at, never better."""
    noise = np.float32(1 + 2e-5 * np.sign(kernel(7, *TIED.shape)))
    result = compared(network("ArgMax"), network("ArgMax", weight=TIED * noise))
    assert result.verdict is Verdict.WITHIN_TOLERANCE
    assert any("within-tolerance" in note for note in result.notes)


def test_a_jump_that_is_a_bool_output() -> None:
    def above(split: bool) -> bytes:
        head, weights = front(np.concatenate([TIED[:1], TIED[:1]]), split)
        nodes = [*head, node("Split", "c", "a b", axis=1), node("Greater", "a far", "y")]
        return model(
            nodes, {**weights, "far": np.float32(0.1)},
            inputs={"x": (FLOAT, SHAPE)}, outputs={"y": BOOL},
        )  # fmt: skip

    assert compared(above(split=False), above(split=True)).verdict.good


def decided(weight: Array, *, split: bool = False) -> bytes:
    """The class of a whole image, and nothing else."""
    nodes, weights = front(weight, split)
    nodes += [
        node("GlobalAveragePool", "c", "means"),
        node("ArgMax", "means", "i", axis=1, keepdims=0),
        node("Cast", "i", "y", to=FLOAT),
    ]
    return model(nodes, weights, inputs={"x": (FLOAT, SHAPE)})


def test_a_class_that_comes_out_alike_by_chance() -> None:
    wrong = ONE_BY_ONE.copy()
    wrong[2] *= np.float32(1.01)
    result = compared(decided(ONE_BY_ONE), decided(wrong))
    assert result.verdict is Verdict.DIFFERENT
    assert any("is the same, but what decides (means) differs" in note for note in result.notes)


def test_a_class_that_is_decided_alike() -> None:
    one = decided(ONE_BY_ONE)
    assert compared(one, one).verdict is Verdict.IDENTICAL
    assert compared(one, decided(ONE_BY_ONE, split=True)).verdict.good
