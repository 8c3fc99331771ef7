"""Whole models against each other: wrong models are different, right ones are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from onnx import NodeProto, helper

from convc.check import Comparison, compare
from convc.feeds import Case
from convc.ir import Array
from convc.judge import Verdict
from convc.runtime import RunError, Session, Settings
from convc.trial_sizes import COARSE, other_sizes
from convc.trials import trials_of
from tests.tiny import (
    BOOL,
    DOUBLE,
    FLOAT,
    HALF,
    IMAGE,
    INT64,
    STRING,
    compared,
    graph_of,
    kernel,
    model,
    node,
    subject,
)  # fmt: skip

W, B = kernel(1, 6, 4, 3, 3), kernel(2, 6)
OPEN = {"x": (FLOAT, ("n", 4, "h", "w"))}


def conv(
    *after: NodeProto,
    weight: Array = W,
    bias: Array = B,
    inputs: dict[str, tuple[int, tuple[int | str, ...]]] | None = None,
    extra: dict[str, Array] | None = None,
    pads: tuple[int, ...] = (1, 1, 1, 1),
    output: int = FLOAT,
) -> bytes:
    """A padded conv to 6 channels, and what follows it."""
    nodes = [node("Conv", "x w b", "c" if after else "y", pads=list(pads)), *after]
    weights = {"w": weight, "b": bias, **(extra or {})}
    return model(nodes, weights, inputs=inputs, outputs={"y": output})


RIGHT = conv()


def with_plane(kind: str, value: float, place: tuple[int | slice, ...], rest: float) -> bytes:
    plane = np.full((1, 6, 12, 10), rest, np.float32)
    plane[place] = value
    return conv(node(kind, "c p", "y"), extra={"p": plane})


def odd_heights_only() -> bytes:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s two", "height"),
        node("Mod", "height two", "odd"),
        node("Cast", "odd", "flag", to=FLOAT),
        node("Mul", "flag little", "offset"),
        node("Add", "c offset", "y"),
    ]
    extra = {"two": np.array(2, np.int64), "little": np.array(0.1, np.float32)}
    return conv(*nodes, inputs=OPEN, extra=extra)


def sparse_edge() -> bytes:
    """Pads with the edge's values instead of zeros."""
    nodes = [node("Pad", "x p", "padded", mode="edge"), node("Conv", "padded w b", "y")]
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    return model(nodes, {"w": W, "b": B, "p": pads})


def one(value: float) -> dict[str, Array]:
    return {"k": np.array(value, np.float32)}


WRONG: dict[str, Callable[[], bytes]] = {
    "scaled by a thousandth": lambda: conv(
        weight=W * np.float32(1.001), bias=B * np.float32(1.001)
    ),
    "halved": lambda: conv(weight=W / 2, bias=B / 2),
    "negated": lambda: conv(weight=-W, bias=-B),
    "one weight": lambda: conv(
        weight=W + 0.01 * np.eye(1, W.size, 100, dtype="f").reshape(W.shape)
    ),
    "kernel flipped": lambda: conv(weight=W[..., ::-1, ::-1].copy()),
    "bias dropped": lambda: conv(bias=0 * B),
    "bias moved": lambda: conv(bias=B + np.float32(0.01)),
    "channels permuted": lambda: conv(weight=W[::-1].copy(), bias=B[::-1].copy()),
    "inputs permuted": lambda: conv(weight=W[:, ::-1].copy()),
    "moved by a pixel": lambda: conv(pads=(2, 1, 0, 1)),
    "border padded with the edge": sparse_edge,
    "first row": lambda: with_plane("Mul", 1.01, (0, slice(None), 0), 1.0),
    "last column": lambda: with_plane("Mul", 1.01, (0, slice(None), slice(None), -1), 1.0),
    "one corner": lambda: with_plane("Add", 0.01, (0, 2, -1, -1), 0.0),
    "NaN planted": lambda: with_plane("Mul", np.nan, (0, 2, 5, 5), 1.0),
    "infinity planted": lambda: with_plane("Add", np.inf, (0, 2, 5, 5), 0.0),
    "constant": lambda: with_plane("Mul", 0.0, (), 0.0),
    "all zero": lambda: conv(weight=0 * W, bias=0 * B),
    "another dtype": lambda: conv(node("Cast", "c", "y", to=DOUBLE), output=DOUBLE),
    "another shape": lambda: conv(pads=(1, 1, 1, 0)),
    "negative inputs": lambda: model(
        [node("PRelu", "x s", "z"), node("Conv", "z w b", "y", pads=[1] * 4)],
        {"s": np.full((4, 1, 1), 0.99, np.float32), "w": W, "b": B},
    ),
    "large inputs": lambda: model(
        [node("Min", "x k", "z"), node("Conv", "z w b", "y", pads=[1] * 4)],
        {**one(50), "w": W, "b": B},
    ),
    "clipped at zero": lambda: conv(node("Relu", "c", "y")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_models_are_different(wrong: str) -> None:
    result = compared(RIGHT, WRONG[wrong]())
    assert result.verdict is Verdict.DIFFERENT
    assert not result.bit_identical
    assert result.notes


def test_a_small_channel_beside_a_large_one() -> None:
    scale = np.ones((6, 1, 1, 1), np.float32)
    scale[2] = 1e-6
    small = conv(weight=W * scale, bias=B * scale[:, 0, 0, 0])
    lost = W * scale
    lost[2] = 0
    wrong = conv(weight=lost, bias=B * scale[:, 0, 0, 0])
    assert compared(small, small).verdict is Verdict.IDENTICAL
    assert compared(small, wrong).verdict is Verdict.DIFFERENT


def test_wrong_at_other_sizes_only() -> None:
    right, wrong = conv(inputs=OPEN), odd_heights_only()
    sizes = {"h": 96, "w": 96, "n": 1}
    result = compare(subject(right, sizes), subject(wrong, sizes))
    assert result.verdict is Verdict.DIFFERENT
    # Even sizes alone show nothing: what finds it is an odd one.
    assert {"h": 96, "n": 1, "w": 96} in result.sizes
    assert any("odd" in case for case in result.cases)
    fixed = {"x": (FLOAT, (1, 4, 96, 96))}
    assert compared(conv(inputs=fixed), conv(inputs=fixed)).verdict is Verdict.IDENTICAL


def test_sizes_that_were_refused_are_not_listed() -> None:
    nodes = [node("Conv", "x w b", "c", pads=[1] * 4), node("Add", "c p", "y")]
    weights = {"w": W, "b": B, "p": np.ones((1, 6, 96, 96), np.float32)}
    only = model(nodes, weights, inputs=OPEN)
    sizes = {"h": 96, "w": 96, "n": 1}
    result = compare(subject(only, sizes), subject(only, sizes))
    assert result.verdict is Verdict.IDENTICAL
    assert result.sizes == [sizes]
    assert not any("sizes" in case for case in result.cases)


def split_sum(weight: Array = W, bias: Array = B, **options: object) -> bytes:
    """The conv as the sum of two over half of the channels each: another order of summation."""
    nodes = [
        node("Slice", "x zero two one", "front"),
        node("Slice", "x two four one", "back"),
        node("Conv", "front w1 b", "first", pads=[1] * 4),
        node("Conv", "back w2", "second", pads=[1] * 4),
        node("Add", "first second", "y"),
    ]
    indices = {"zero": [0], "one": [1], "two": [2], "four": [4]}
    weights = {
        "w1": weight[:, :2].copy(), "w2": weight[:, 2:].copy(), "b": bias,
        **{name: np.array(value) for name, value in indices.items()},
    }  # fmt: skip
    return model(nodes, weights, **options)  # type: ignore[arg-type]


def test_the_same_model_is_identical() -> None:
    result = compared(RIGHT, RIGHT)
    assert result.verdict is Verdict.IDENTICAL
    assert result.bit_identical
    assert (result.max_abs, result.max_rel, result.error) == (0.0, 0.0, 0.0)
    assert result.cases == ["noise", "borders", "large", "constants", "image"]


def test_another_order_of_summation_is_equal() -> None:
    result = compared(RIGHT, split_sum())
    assert result.verdict is Verdict.EQUAL
    assert not result.bit_identical
    assert 0 < result.max_rel < 4e-6
    assert 0 < result.original_error < 2e-6
    assert 0 < result.error < 2e-6


def test_half_precision_models() -> None:
    half = {"inputs": {"x": (HALF, IMAGE)}, "outputs": {"y": HALF}}
    weights = {"w": W.astype(np.float16), "b": B.astype(np.float16)}
    right = model([node("Conv", "x w b", "y", pads=[1] * 4)], weights, **half)
    other = split_sum(weights["w"], weights["b"], **half)
    assert compared(right, other).verdict.good
    wrong = model([node("Conv", "x w b", "y", pads=[2, 1, 0, 1])], weights, **half)
    assert compared(right, wrong).verdict is Verdict.DIFFERENT
    scaled = split_sum(weights["w"] * np.float16(1.1), weights["b"], **half)
    assert compared(right, scaled).verdict is Verdict.DIFFERENT


def test_integer_outputs() -> None:
    def signs(weight: Array, limit: float) -> bytes:
        nodes = [node("Greater", "c k", "y")]
        return conv(*nodes, weight=weight, extra=one(limit), output=BOOL)

    assert compared(signs(W, 0.1), signs(W, 0.1)).verdict is Verdict.IDENTICAL
    assert compared(signs(W, 0.1), signs(W, 0.11)).verdict is Verdict.DIFFERENT
    assert compared(signs(W, 0.1), signs(-W, 0.1)).verdict is Verdict.DIFFERENT


def deep(split: bool) -> bytes:
    """Forty convs with tanh between, each of them in one piece or two."""
    nodes, weights, last = [], {}, "x"
    for i in range(40):
        weight = kernel(100 + i, 4, 4, 3, 3) * np.float32(1.5)
        out = f"t{i}" if i < 39 else "y"
        if split:
            weights[f"u{i}"], weights[f"v{i}"] = weight.copy(), weight.copy()
            weights[f"u{i}"][:, :2], weights[f"v{i}"][:, 2:] = 0, 0
            nodes.append(node("Conv", f"{last} u{i}", f"p{i}", pads=[1] * 4))
            nodes.append(node("Conv", f"{last} v{i}", f"q{i}", pads=[1] * 4))
            nodes.append(node("Add", f"p{i} q{i}", f"c{i}"))
        else:
            weights[f"w{i}"] = weight
            nodes.append(node("Conv", f"{last} w{i}", f"c{i}", pads=[1] * 4))
        nodes.append(node("Tanh", f"c{i}", out))
        last = out
    return model(nodes, weights)


def test_rounding_of_a_deep_network_is_equal() -> None:
    result = compared(deep(split=False), deep(split=True))
    assert result.verdict is Verdict.EQUAL
    # Far more than one layer's rounding: no fixed tolerance near it would do.
    assert result.error > 2**-22


def test_error_between_rounding_and_tolerance() -> None:
    noise = 1 + 1e-5 * np.sign(kernel(9, *W.shape))
    result = compared(RIGHT, conv(weight=(W * noise).astype(np.float32)))
    assert result.verdict is Verdict.WITHIN_TOLERANCE
    assert 1e-6 < result.error < 2e-5
    strict = compared(RIGHT, conv(weight=(W * noise).astype(np.float32)), tolerance=1e-6)
    assert strict.verdict is Verdict.DIFFERENT


def test_a_filter_without_response_to_constants_is_judged_by_its_edges() -> None:
    """Composed, a Laplacian of Gaussian answers a constant image with rounding only."""
    bell = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).astype(np.float32).reshape(1, 1, 5, 5) / 256
    ring = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32).reshape(1, 1, 3, 3) / 3
    whole = np.zeros((1, 1, 7, 7))
    for i, j in np.ndindex(3, 3):
        whole[0, 0, i : i + 5, j : j + 5] += bell[0, 0].astype(float) * ring[0, 0, i, j]
    gray = {"x": (FLOAT, (1, 1, 20, 20))}
    two = [node("Conv", "x g", "s"), node("Conv", "s l", "y")]
    pair = model(two, {"g": bell, "l": ring}, inputs=gray)
    fused = model([node("Conv", "x w", "y")], {"w": whole.astype(np.float32)}, inputs=gray)
    result = compared(pair, fused)
    assert result.verdict is Verdict.EQUAL
    assert result.original_error < 1e-5
    wrong = model([node("Conv", "x w", "y")], {"w": (whole * 1.01).astype("f")}, inputs=gray)
    assert compared(pair, wrong).verdict is Verdict.DIFFERENT


CUSTOM = model([node("Mystery", "x", "y", domain="nowhere")], domains=["nowhere"])
WORDS = model([node("Identity", "x", "y")], inputs={"x": (STRING, (3,))}, outputs={"y": STRING})


def test_unknown_operators_are_unverified() -> None:
    result = compared(CUSTOM, CUSTOM)
    assert result.verdict is Verdict.UNVERIFIED
    assert not result.bit_identical
    assert "cannot load" in result.notes[0]


def sequence_of(kind: str) -> bytes:
    """A sequence of two tensors of different shapes, the second of them by an op of ``kind``."""
    made = helper.make_graph(
        [node("Flatten", "x", "f"), node(kind, "f", "g"), node("SequenceConstruct", "x g", "y")],
        "sequence",
        [helper.make_tensor_value_info("x", FLOAT, IMAGE)],
        [helper.make_tensor_sequence_value_info("y", FLOAT, None)],
    )
    imports = [helper.make_opsetid("", 17)]
    data: bytes = helper.make_model(made, opset_imports=imports, ir_version=8).SerializeToString()
    return data


def test_a_sequence_of_tensors_of_different_shapes() -> None:
    right = sequence_of("Relu")
    result = compared(right, right)
    assert result.verdict is Verdict.IDENTICAL, result.notes
    assert compared(right, sequence_of("Abs")).verdict is Verdict.DIFFERENT
    nothing = sequence_of("Log")
    assert compared(nothing, nothing).verdict is Verdict.IDENTICAL


def test_a_model_that_cannot_be_loaded_where_the_original_can_is_different() -> None:
    result = compared(RIGHT, CUSTOM)
    assert result.verdict is Verdict.DIFFERENT
    assert "loads the original" in result.notes[0]


def test_inputs_that_cannot_be_made_up_are_unverified_until_given() -> None:
    result = compared(WORDS, WORDS)
    assert result.verdict is Verdict.UNVERIFIED
    assert any("--data" in note for note in result.notes)
    words = Case("words", {"x": np.array(["a", "b", "c"], object)})
    assert compared(WORDS, WORDS, data=[words]).verdict is Verdict.IDENTICAL


def test_nothing_finite_shows_nothing() -> None:
    nodes = [node("Abs", "c", "a"), node("Neg", "a", "m"), node("Log", "m", "y")]
    other = [*nodes[:-1], node("Sqrt", "m", "y")]
    result = compared(conv(*nodes), conv(*other))
    assert result.verdict is Verdict.UNVERIFIED
    assert any("shows nothing" in note for note in result.notes)


def test_noise_alone_shows_nothing() -> None:
    """A model whose output is all rounding error cannot vouch for another."""
    nodes = [node("Sub", "c again", "d"), node("Mul", "d k", "y")]
    again = [node("Conv", "x w b", "c", pads=[1] * 4), node("Add", "c big", "far")]
    back = node("Sub", "far big", "again")
    weights = {"w": W, "b": B, "big": np.array(1e6, np.float32), **one(1e3)}
    hopeless = model([*again, back, *nodes], weights)
    other = model([*again, back, *nodes], {**weights, "w": W * np.float32(1.01)})
    assert compared(hopeless, other).verdict in (Verdict.UNVERIFIED, Verdict.DIFFERENT)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"z": (FLOAT, IMAGE)}, {"y": FLOAT}),
        ({"x": (FLOAT, IMAGE), "z": (FLOAT, IMAGE)}, {"y": FLOAT}),
        ({"x": (HALF, IMAGE)}, {"y": HALF}),
        ({"x": (FLOAT, (1, 4, 12, 11))}, {"y": FLOAT}),
        ({"x": (FLOAT, (1, 4, 12))}, {"y": FLOAT}),
        ({"x": (FLOAT, IMAGE)}, {"other": FLOAT}),
        ({"x": (FLOAT, IMAGE)}, {"y": FLOAT, "x": FLOAT}),
    ],
)
def test_another_interface_is_different(inputs: dict, outputs: dict) -> None:
    right = model([node("Relu", "x", "y")])
    first, name = next(iter(inputs)), next(iter(outputs))
    other = model([node("Relu", first, name)], inputs=inputs, outputs=outputs)
    result = compared(right, other)
    assert result.verdict is Verdict.DIFFERENT
    assert result.max_abs == np.inf


def test_a_model_that_fails_where_the_original_runs_is_different() -> None:
    right = model([node("Relu", "x", "y")], inputs=OPEN)
    small = {"p": np.zeros((1, 4, 20, 20), np.float32)}
    fails = model([node("Relu", "x", "r"), node("Add", "r p", "y")], small, inputs=OPEN)
    sizes = {"n": 1, "h": 20, "w": 20}
    result = compare(subject(right, sizes), subject(fails, sizes))
    assert result.verdict is Verdict.DIFFERENT
    assert any("fails where the original runs" in note for note in result.notes)


def test_the_users_data_is_tried_too() -> None:
    rng = np.random.default_rng(0)
    cases = [Case("photo", {"x": rng.standard_normal(IMAGE).astype(np.float32)})]
    result = compared(RIGHT, split_sum(), data=cases)
    assert result.cases[0] == "photo"
    assert len(result.cases) == 6
    # Wrong only near a value that nothing made up ever has.
    nodes = [node("Max", "x k", "z"), node("Conv", "z w b", "y", pads=[1] * 4)]
    wrong = model(nodes, {**one(-2e4), "w": W, "b": B})
    assert compared(RIGHT, wrong).verdict is Verdict.IDENTICAL
    far = [Case("far", {"x": np.full(IMAGE, -3e4, np.float32)})]
    assert compared(RIGHT, wrong, data=far).verdict is Verdict.DIFFERENT


def test_several_outputs_and_the_worst_of_them() -> None:
    def two(factor: float) -> bytes:
        nodes = [node("Conv", "x w b", "y", pads=[1] * 4), node("Mul", "x k", "z")]
        return model(nodes, {"w": W, "b": B, **one(factor)}, outputs={"y": FLOAT, "z": FLOAT})

    result = compared(two(1.0), two(1.01))
    assert result.verdict is Verdict.DIFFERENT
    assert all(note.startswith("z,") for note in result.notes)


def test_json_has_the_promised_keys_and_no_infinity() -> None:
    wanted = {"verdict", "max_abs", "max_rel", "original_error", "error", "bit_identical", "sizes"}
    for other in (RIGHT, split_sum(), CUSTOM):
        document = compared(RIGHT, other).as_json()
        assert wanted <= set(document)
        json.dumps(document, allow_nan=False)
    assert compared(RIGHT, CUSTOM).as_json()["max_abs"] is None


def test_worsen_keeps_the_worst_and_each_note_once() -> None:
    result = Comparison()
    result.worsen(Verdict.WITHIN_TOLERANCE, "a")
    result.worsen(Verdict.EQUAL, "a")
    assert result.verdict is Verdict.WITHIN_TOLERANCE
    assert result.notes == ["a"]


def test_seed_decides() -> None:
    first, again, other = (compared(RIGHT, split_sum(), seed=seed) for seed in (1, 1, 2))
    assert first.as_json() == again.as_json()
    assert first.max_abs != other.max_abs


def test_graphs_without_sizes_are_said_to_need_data() -> None:
    graph = graph_of(conv(inputs=OPEN))
    graph.sizes.clear()
    data = conv(inputs=OPEN)
    result = compare(type(subject(data))(data, graph), subject(data))
    assert result.verdict is Verdict.UNVERIFIED


def test_integer_inputs_get_values_that_exist() -> None:
    nodes = [node("Gather", "table i", "y", axis=0)]
    weights = {"table": kernel(3, 4, 5)}
    options = {"inputs": {"i": (INT64, (1, 7))}}
    right = model(nodes, weights, **options)
    assert compared(right, right).verdict is Verdict.IDENTICAL
    wrong = model(nodes, {"table": weights["table"] * np.float32(1.01)}, **options)
    assert compared(right, wrong).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize("size", [8, 15, 16, 40, 63, 64, 100, 224, 225, 320, 640, 16000])
@pytest.mark.parametrize("by", [2, 3, 4])
def test_sizes_that_are_tried_leave_every_remainder(size: int, by: int) -> None:
    usual = {"batch": 1, "height": size, "width": size}
    found = other_sizes(usual)
    tried = [usual, *(sizes for title, sizes, _ in found if title not in COARSE)]
    for name in ("height", "width"):
        assert {sizes[name] % by for sizes in tried} == set(range(by))
    assert {sizes["batch"] for sizes in tried} == {1, 2, 3}


def test_an_open_batch_asks_for_no_more_sizes() -> None:
    assert [title for title, _, _ in other_sizes({"batch": 1})] == ["other", "odd"]


def test_heavy_models_are_tried_on_large_values_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convc.trials.HEAVY", 0)
    bound = model([node("Clip", "x low high", "y")], {"low": np.float32(-9), "high": np.float32(9)})
    result = compared(model([node("Identity", "x", "y")]), bound)
    assert result.verdict is Verdict.DIFFERENT
    assert result.cases == ["noise", "borders", "large"]
    result = compared(conv(), conv())
    assert result.cases == ["noise", "borders", "large"]


def test_models_that_run_for_long_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(conv(inputs=OPEN))  # 10.8 million MACs at 224×224
    monkeypatch.setattr("convc.trials.LONG", 8e6)
    trials, note = trials_of(graph, [], seed=0)
    usual = [trial for trial in trials if trial.sizes == trials[0].sizes]
    assert [trial.thorough for trial in usual] == [True, *[False] * (len(usual) - 1)]
    titles = " ".join(trial.case.name for trial in trials)
    assert "noise at other sizes" in titles  # a batch of two, but of smaller images
    assert "at odd sizes" not in titles
    assert note == "not tried at odd sizes: too much work"
    monkeypatch.setattr("convc.trials.LONG", 1e11)
    assert trials_of(graph, [], seed=0)[1] == ""


@pytest.mark.parametrize("size", [64, 96, 128, 160, 224, 256, 320, 640])
@pytest.mark.parametrize("factor", [1, 2, 4, 8, 16, 32])
def test_odd_and_even_multiples_for_models_that_take_no_others(size: int, factor: int) -> None:
    found = list(other_sizes({"height": size}))
    tried = {size, *(sizes["height"] for _, sizes, _ in found)}
    parities = {n // factor % 2 for n in tried if n % factor == 0}
    assert parities == {0, 1}


def test_coarse_sizes_are_tried_where_odd_ones_are_refused_only() -> None:
    pool = node("AveragePool", "x", "p", kernel_shape=[8, 8], strides=[8, 8])
    up = node("Resize", "p - scales", "u", mode="nearest")
    weights = {"scales": np.float32([1, 1, 8, 8])}
    eights = model([pool, up, node("Add", "x u", "y")], weights, inputs=OPEN)
    names = compared(eights, eights).cases
    assert [name for name in names if "×odd" in name] == ["noise at 8×odd sizes"]
    assert "noise at odd sizes" not in names
    names = compared(conv(inputs=OPEN), conv(inputs=OPEN)).cases
    assert "noise at odd sizes" in names
    assert not any("×odd" in name for name in names)


# -- as it is deployed ---------------------------------------------------------------------------


class Deployed(Session):
    """A runtime whose optimisations are wrong about models that hold a Neg."""

    wrong: Callable[[list[Array]], list[Array]]

    def __init__(self, source: bytes, settings: Settings) -> None:
        super().__init__(source, settings)
        self.breaks = settings.optimised and b"Neg" in source

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        outputs = super().run(feeds)
        return self.wrong(outputs) if self.breaks else outputs


def refuse(_: list[Array]) -> list[Array]:
    raise RunError("optimised beyond recognition")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (refuse, "optimisations on, it fails where the original runs: optimised beyond"),
        (lambda outputs: [o * 1.01 for o in outputs], "optimisations on, y index"),
        (lambda outputs: [o[..., 1:] for o in outputs], "optimisations on, y has shape"),
    ],
)
def test_what_the_runtimes_optimisations_break_is_different(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., list[Array]], why: str
) -> None:
    once, twice = conv(), conv(node("Neg", "c", "n"), node("Neg", "n", "y"))
    assert compared(once, twice).verdict is Verdict.IDENTICAL
    monkeypatch.setattr(Deployed, "wrong", staticmethod(wrong), raising=False)
    monkeypatch.setattr("convc.check.Session", Deployed)
    found = compared(once, twice)
    assert found.verdict is Verdict.DIFFERENT
    assert any(why in note for note in found.notes), found.notes
    # Where the original fails or errs in the same way, the other model is not to blame.
    assert compared(twice, twice).verdict is Verdict.IDENTICAL


def test_what_breaks_at_other_sizes_only_is_different(monkeypatch: pytest.MonkeyPatch) -> None:
    once = conv(inputs=OPEN)
    twice = conv(node("Neg", "c", "n"), node("Neg", "n", "y"), inputs=OPEN)

    class FixedBatch(Deployed):
        def run(self, feeds: Mapping[str, Array]) -> list[Array]:
            if self.breaks and len(feeds["x"]) != 1:
                raise RunError("a batch of one, please")
            return Session.run(self, feeds)

    monkeypatch.setattr("convc.check.Session", FixedBatch)
    found = compared(once, twice)
    assert found.verdict is Verdict.DIFFERENT
    assert any("a batch of one, please" in note for note in found.notes), found.notes


def test_a_bug_of_the_runtimes_optimisations_excuses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it makes of the original is no rounding of the original's."""
    original = conv(node("Neg", "c", "n"), node("Neg", "n", "y"))
    wrong = conv(weight=W * np.float32(1.3), bias=B * np.float32(1.3))
    monkeypatch.setattr(Deployed, "wrong", staticmethod(lambda o: [1.3 * o[0]]), raising=False)
    monkeypatch.setattr("convc.check.Session", Deployed)
    assert compared(original, wrong).verdict is Verdict.DIFFERENT
