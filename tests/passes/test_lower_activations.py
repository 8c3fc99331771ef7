"""lower-activations: PRelu and Softmax in other ops, over all of their shapes and values."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.graph import Graph
from convc.ir import Array, TensorType
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from passes.lower_activations import LowerActivations
from tests.activation_strategies import SUITED, prelus, softmaxes
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(3)
F32 = np.dtype(np.float32)
KINDS = {
    "leaky": [{"LeakyRelu": 1}, {"Relu": 1}],
    "depthwise": [{"Relu": 2, "Conv": 3, "Add": 1}],
    "depthwise-relu": [{"Relu": 2, "Conv": 2, "Add": 1}],
    "depthwise-sum": [{"Relu": 1, "Conv": 2, "Add": 1}],
    "max": [{"Mul": 1, "Max": 1}],
    "split": [
        {"Relu": 1, "Min": 1, "Mul": 1, "Add": 1},
        {"Relu": 2, "Neg": 1, "Mul": 1, "Add": 1},
    ],
}
"""What each form makes of a PRelu."""


def count(graph: Graph) -> Counter[str]:
    left_out = ("Input", "Constant", "Output")
    return Counter(op.kind for op in graph.ops() if op.kind not in left_out)


def larger(graph: Graph, fixed: str = "") -> tuple[dict[str, int], ...]:
    """The open dims at their own sizes, and at larger ones but for ``fixed``."""
    more = {name: size + 3 * (name != fixed) for name, size in graph.sizes.items()}
    return ({}, more) if graph.sizes else ({},)


@pytest.mark.parametrize("form", SUITED)
def test_prelus(form: str) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=165, **QUIET)
    @given(prelus(form), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(LowerActivations((form,)), graph, rng, larger(graph, "d1"))
        found["fired"] += stats.applied
        found.update(stats.declined)
        if stats.applied:
            lost = Counter(count(graph)) - Counter({"Expand": 1, "PRelu": 1})
            assert count(after) - lost in KINDS[form]

    check()
    assert found["fired"] >= 100, found


def test_some_form_takes_every_prelu() -> None:
    notes: Counter[str] = Counter()

    @settings(max_examples=100, **QUIET)
    @given(prelus(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, _ = check_pass(LowerActivations(), graph, rng, larger(graph, "d1"))
        assert stats.applied == 1
        notes.update(stats.notes)

    check()
    assert sum(notes.values()) == 100
    assert set(notes) == {
        "PRelu → LeakyRelu",
        "PRelu → Mul and Max",
        "PRelu → Relu",
        "PRelu → three depthwise Convs",
        "PRelu → Relu, Min, Mul and Add",
    }


def test_softmaxes() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=250, **QUIET)
    @given(softmaxes(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(LowerActivations(("softmax",)), graph, rng, larger(graph))
        found.update(stats.notes)
        found.update(stats.declined)
        assert (count(after)["Softmax"] == 0) == (stats.applied == 1)
        assert count(after)["Transpose"] == count(graph)["Transpose"]

    check()
    assert found["Softmax → Exp, Div and reductions"] >= 20, found
    assert found["Softmax → Exp, Div and reductions, before a Transpose"] >= 80, found
    assert found["the Softmax is over the last axis"] >= 20, found
    assert found["the Transpose before the Softmax has other users"] >= 5, found
    assert found["before opset 13 the Softmax is over all axes from its own on"] >= 5, found
    assert found["the size of the Softmax's axis is not known"] >= 20, found


def prelu(slopes: object, *shape: object, opset: int = 17, dtype: type = np.float32) -> Graph:
    """A PRelu alone; ``slopes`` None: they are an input."""
    sizes = {dim: 4 for dim in shape if isinstance(dim, str)}
    build, x = new_graph(shape or (1, 4, 5, 6), opset, dtype, sizes)
    if slopes is None:
        slope = build.graph.add_input("slopes", TensorType(np.dtype(dtype), (4, 1, 1)))
    else:
        slope = build.constant(np.asarray(slopes, dtype))
    return finished(build, build.op("PRelu", (x, slope), type_=x.type))


def channels(*values: float) -> Array:
    return np.reshape(values, (-1, 1, 1))


def unknown_rank() -> Graph:
    graph = prelu(channels(0.5, 1.5, 2, 1))
    graph.inputs[0].type = TensorType(F32, None)
    return graph


def softmax(
    axis: int, *shape: object, opset: int = 17, perm: tuple[int, ...] = (), dtype: type = np.float32
) -> Graph:
    sizes = {dim: 4 for dim in shape if isinstance(dim, str)}
    build, x = new_graph(shape or (1, 4, 5, 6), opset, dtype, sizes)
    value = build.transpose(x, perm) if perm else x
    return finished(build, build.op("Softmax", (value,), {"axis": axis}, type_=value.type))


def softmax_of_unknown_rank() -> Graph:
    graph = softmax(1)
    for value in (graph.inputs[0], graph.outputs[0]):
        value.type = TensorType(F32, None)
    return graph


def transposed_with_users() -> Graph:
    graph = softmax(3, perm=(0, 2, 3, 1))
    value = graph.outputs[0].op.operand(0)
    graph.set_outputs([*graph.outputs, value], ["y0", "y1"])
    return graph


DECLINES = {
    "no constant": ("leaky", lambda: prelu(None), "the slopes are not constant"),
    "differ": ("leaky", lambda: prelu(channels(1, 2, 3, 4)), "the slopes of the channels differ"),
    "float64": (
        "leaky",
        lambda: prelu(0.1, dtype=np.float64),
        "the slope is not a float32 number",
    ),
    "infinite": ("split", lambda: prelu(channels(1, np.inf, 0, 1)), "a slope is not finite"),
    "NaN": ("leaky", lambda: prelu(np.nan), "a slope is not finite"),
    "positions": (
        "split",
        lambda: prelu(np.arange(6.0)),
        "the slopes vary along other axes than the channels",
    ),
    "batch": (
        "split",
        lambda: prelu(np.arange(2.0).reshape(2, 1, 1, 1), 2, 1, 3, 3),
        "the slopes vary along other axes than the channels",
    ),
    "opset 6": (
        "split",
        lambda: prelu([0.5, 1.5, 2, 1], opset=6),
        "before opset 7 slopes broadcast in another way",
    ),
    "opset 6, one slope": (
        "max",
        lambda: prelu([0.5], opset=6),
        "before opset 7 slopes broadcast in another way",
    ),
    "rank": ("split", unknown_rank, "the rank of the PRelu's data is not known"),
    "above 1": ("max", lambda: prelu(channels(0.5, 1, 1.01, 1)), "a slope exceeds 1"),
    "zero": (
        "max",
        lambda: prelu(channels(0.5, 1, 0, 1)),
        "a slope is zero: infinity would become NaN",
    ),
    "two axes": (
        "depthwise",
        lambda: prelu(np.reshape([1, 2, 3, 4.0], (4, 1)), 1, 4, 7),
        "the PRelu's data has not two spatial axes",
    ),
    "channels": (
        "depthwise",
        lambda: prelu(0.5, 1, "c", 5, 5),
        "the number of channels is not known",
    ),
    "slope 0": (
        "depthwise-sum",
        lambda: prelu(channels(0.5, 0, 0.5, 0.5)),
        "a slope is not between 0 and 1",
    ),
    "slope 1": (
        "depthwise-sum",
        lambda: prelu(channels(0.5, 1, 0.5, 0.5)),
        "a slope is not between 0 and 1",
    ),
    "last axis": ("softmax", lambda: softmax(-1), "the Softmax is over the last axis"),
    "last axis before the Transpose": (
        "softmax",
        lambda: softmax(-1, perm=(0, 2, 1, 3)),
        "the Softmax is over the last axis",
    ),
    "several axes": (
        "softmax",
        lambda: softmax(1, opset=11),
        "before opset 13 the Softmax is over all axes from its own on",
    ),
    "open axis": (
        "softmax",
        lambda: softmax(1, 1, "c", 5, 5),
        "the size of the Softmax's axis is not known",
    ),
    "users": (
        "softmax",
        transposed_with_users,
        "the Transpose before the Softmax has other users",
    ),
    "unknown rank": (
        "softmax",
        softmax_of_unknown_rank,
        "the rank of the Softmax's data is not known",
    ),
    "overflow": (
        "softmax",
        lambda: softmax(1, 1, 70_000, 2, dtype=np.float16),
        "the sum may overflow float16",
    ),
    "softmax in opset 6": (
        "softmax",
        lambda: softmax(3, opset=6, perm=(0, 2, 3, 1)),
        "before opset 7 a Softmax's parts do not broadcast",
    ),
}


@pytest.mark.parametrize("case", DECLINES)
def test_declines(case: str) -> None:
    form, make, reason = DECLINES[case]
    graph = make()
    version = graph.version
    stats = LowerActivations((form,)).run(graph, Context(prove=prove))
    assert (stats.applied, dict(stats.declined)) == (0, {reason: 1})
    assert graph.version == version


def test_what_is_no_float_is_left_alone() -> None:
    build, x = new_graph((1, 4, 5, 6), dtype=np.int32)
    slope = build.constant(np.array(2, np.int32))
    graph = finished(build, build.op("PRelu", (x, slope), type_=x.type))
    whole = graph.add("Softmax", (x,), {"axis": 1}, types=(x.type,)).result
    # An operator of the same name that is not ONNX's own.
    foreign = graph.add("PRelu", (whole,), types=(x.type,), domain="com.example")
    graph.set_outputs([*graph.outputs, foreign.result], ["y0", "y1"])
    stats = LowerActivations(("split", "softmax")).run(graph)
    assert (stats.applied, dict(stats.declined)) == (0, {"the slopes are not floating point": 1})


def test_slopes_repeated_for_every_position() -> None:
    repeated = np.broadcast_to(channels(1.5, 0, -1, 0.5), (1, 4, 5, 6))
    stats, _ = check_pass(LowerActivations(), prelu(repeated), RNG)
    assert stats.notes == {"PRelu → three depthwise Convs": 1}
    stats, after = check_pass(LowerActivations(("split",)), prelu(repeated), RNG)
    assert (1, 4, 1, 1) in [op.array.shape for op in after.ops() if op.array is not None]


def test_no_channels_at_all() -> None:
    stats = LowerActivations().run(prelu(np.zeros((0, 1, 1)), 1, 0, 5, 6))
    assert (stats.applied, dict(stats.declined)) == (0, {})


def test_slopes_picked_from_others() -> None:
    build, x = new_graph((1, 4, 5, 6))
    table = build.constant(channels(3, 2, 1, 0, -1).astype(F32), name="table")
    slopes = build.graph.add("Gather", (table, build.ints([0, 0, 3, 4])), {"axis": 0}).result
    graph = finished(build, build.op("PRelu", (x, slopes), type_=x.type))
    stats, after = check_pass(LowerActivations(), graph, RNG)
    assert stats.notes == {"PRelu → three depthwise Convs": 1}
    assert "Gather" not in count(after)


def test_others_keep_what_they_use() -> None:
    build, x = new_graph((1, 3, 9, 9))
    first = random_conv(build, x, 8, (3, 3))
    slope = build.constant(channels(*np.linspace(-1, 2, 8)).astype(F32), name="slopes")
    one, other = (build.op("PRelu", (v, slope), type_=v.type) for v in (first, first))
    last = random_conv(build, build.add(one, first), 2, (1, 1))
    graph = finished(build, last, first, other, build.op("Neg", (slope,)))
    stats, after = check_pass(LowerActivations(), graph, RNG)
    assert stats.notes == {"PRelu → three depthwise Convs": 2}
    assert count(after) == {"Conv": 8, "Relu": 4, "Add": 3, "Neg": 1}
    names = [value.name for value in after.outputs]
    assert names == [value.name for value in graph.outputs]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("form", KINDS)
def test_other_precisions_are_kept(form: str, dtype: type) -> None:
    slopes = 0.25 if form == "leaky" else channels(0.5, 0.1, 0.9, 0.7)
    stats, after = check_pass(LowerActivations((form,)), prelu(slopes, dtype=dtype), RNG)
    if form.startswith("depthwise") and dtype == np.float64:
        assert dict(stats.declined) == {"the runtime has no Conv in float64": 1}
        return
    assert stats.applied == 1
    floats = [op.array.dtype for op in after.ops() if op.array is not None]
    assert set(floats) <= {np.dtype(dtype)}
    assert {op.result.dtype for op in after.ops() if op.results} == {np.dtype(dtype)}


@pytest.mark.parametrize("opset", [9, 13, 18])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_softmax_in_every_precision(dtype: type, opset: int) -> None:
    graph = softmax(3, 2, 5, "h", "w", opset=opset, perm=(0, 2, 3, 1), dtype=dtype)
    stats, after = check_pass(LowerActivations(), graph, RNG, larger(graph))
    assert stats.applied == 1
    assert list(count(after)) == ["ReduceMax", "Sub", "Exp", "ReduceSum", "Div", "Transpose"]
    (last,) = (op.result for op in after.ops() if op.kind == "Div")
    assert last.type == after.inputs[0].type == TensorType(np.dtype(dtype), (2, 5, "h", "w"))


def test_the_options_are_text() -> None:
    text = "lower-activations{forms=max,softmax}"
    pipeline = Pipeline.parse(text)
    assert str(pipeline) == text
    assert pipeline.passes == (LowerActivations(("max", "softmax")),)
