"""One sweep: forms put in, and what follows fitted to make up for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from convc.algebra.fit import fit_low_rank_out
from convc.approximate.fitting import Fitted, find, fit, form_of, put
from convc.approximate.judging import Judge
from convc.approximate.layers import slope_behind
from convc.approximate.observing import Observer
from convc.build import Builder
from convc.conv import conv_geometry
from convc.forms import Form, Observe
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.metrics import relative_error
from convc.rewrite import Exactness, NoMatch, Replacement, Rewrite
from convc.runtime import Settings

F32 = np.dtype(np.float32)
ONE = Settings(threads=1)


def network(rectifier: str = "Relu") -> Graph:
    """Three 3×3 convs of 8 channels with rectifiers between."""
    rng = np.random.default_rng(0)
    graph = Graph()
    build = Builder(graph)
    value = graph.add_input("x", TensorType(F32, (1, 3, 10, 10)))
    for number in range(3):
        channels = 3 if number == 0 else 8
        weight = rng.standard_normal((8, channels, 3, 3)) / np.sqrt(9 * channels)
        value = build.op("Conv", (value, build.constant(weight.astype(np.float32))))
        value.name = f"conv {number}"
        if number < 2:
            value = build.op(rectifier, (value,))
    graph.set_outputs((value,), ("y",))
    return graph


def smooth(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Inputs whose neighbouring pixels are alike, as those of images are."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, 1, 3, 14, 14))
    blurred = sum(np.roll(np.roll(noise, i, -1), j, -2) for i in range(4) for j in range(4))
    return [{"x": array[..., 4:, 4:].astype(np.float32)} for array in np.asarray(blurred) / 4]


def halved(graph: Graph, op: Op, observe: Observe, rank: int) -> Rewrite:
    """The conv as one of fewer channels and a 1×1 conv."""
    moments = observe(op)
    data, weight = op.inputs
    assert data is not None
    assert weight is not None
    geometry = conv_geometry(op)
    assert geometry is not None
    first, second = fit_low_rank_out(moments, np.asarray(weight.array), rank)
    build = Replacement(graph)
    between = build.conv(build.take(data), build.weight(first, weight), None, geometry)
    kernel = np.einsum("kr,rcyx->kcyx", second[:, :, 0, 0], first)
    bias = build.weight(moments.bias(kernel), weight)
    result = build.op("Conv", (between, build.weight(second, weight), bias))
    return build.rewrite({op.result: result}, Exactness.APPROXIMATE, note="halved")


def refused(_graph: Graph, _op: Op, _observe: Observe) -> Rewrite:
    raise NoMatch("never")


def forms(_graph: Graph, op: Op) -> Sequence[Form]:
    ranks = (2, 4, 8) if op.kind == "Conv" else ()
    made = [Form(f"rank {rank}", partial(halved, rank=rank)) for rank in ranks]
    return [*made, Form("refused", refused)]


def swept(
    sweep: dict[str, str], rectifier: str = "Relu", *, aware: bool = False
) -> tuple[Fitted, float]:
    original = network(rectifier)
    observer = Observer(original, smooth(48, 1), ONE)
    made = fit(Fitted(original), sweep, forms, observer, say=lambda _: None, aware=aware)
    judge = Judge.of(original, smooth(4, 2), relative_error, ONE)
    return made, judge.loss(made.graph)


def test_the_start_is_left_as_it_was() -> None:
    original = network()
    observer = Observer(original, smooth(2, 1), ONE)
    version = original.version
    fit(Fitted(original), {"conv 0": "rank 2"}, forms, observer, say=lambda _: None)
    assert original.version == version


def test_full_rank_loses_nothing_but_rounding() -> None:
    made, loss = swept({"conv 1": "rank 8"})
    assert made.applied == [("conv 1", "rank 8")]
    assert loss < 1e-3  # the ridge holds the fit back from noise only


def test_layers_behind_make_up_for_what_one_has_lost() -> None:
    original = network()
    observer = Observer(original, smooth(48, 1), ONE)
    judge = Judge.of(original, smooth(4, 2), relative_error, ONE)
    alone = Fitted(original).copy()
    op = find(alone.graph, "conv 0")
    assert op is not None
    form = form_of(forms, alone.graph, op, "rank 4")
    assert form is not None
    put(
        alone,
        form.function(alone.graph, op, lambda layer: observer.moments(alone.graph, layer, {})),
    )
    _, fitted = swept({"conv 0": "rank 4"})
    assert fitted < judge.loss(alone.graph)


@pytest.mark.parametrize("rectifier", ["Relu", "LeakyRelu"])
def test_knowing_of_the_rectifier_loses_less(rectifier: str) -> None:
    sweep = {"conv 0": "rank 4", "conv 1": "rank 4"}
    _, plain = swept(sweep, rectifier)
    _, aware = swept(sweep, rectifier, aware=True)
    assert aware < plain


def test_a_form_that_declines_or_is_unknown_leaves_the_layer() -> None:
    made, loss = swept({"conv 0": "refused", "conv 1": "rank 3"})
    assert made.applied == []
    assert loss == 0.0


def test_slopes_of_rectifiers() -> None:
    graph = network("LeakyRelu")
    assert [slope_behind(graph, op) for op in graph.ops() if op.kind == "Conv"] == [
        0.01,
        0.01,
        None,
    ]
    graph = network("Tanh")
    assert all(slope_behind(graph, op) is None for op in graph.ops() if op.kind == "Conv")
