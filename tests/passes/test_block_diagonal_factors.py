"""block-diagonal: dense convs in groups and what mixes these, by weights alone and by moments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import convc
from convc.algebra import ConvGeometry
from convc.algebra.block_factors import missed, nearest_grouped, nearest_shuffled
from convc.algebra.fit.blocks import fit_grouped, fit_shuffled
from convc.algebra.moments import Gathering, Moments, white
from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from convc.rewrite import Exactness, NoMatch, apply
from passes.block_diagonal import BlockDiagonal
from tests.block_strategies import dense_convs
from tests.conftest import ROOT, sample_models
from tests.helpers import UNIT, magnitude, random_feeds, run_onnx, summands
from tests.strategies import finished, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
NEAREST = {"grouped": nearest_grouped, "shuffled": nearest_shuffled}
FITTED = {"grouped": fit_grouped, "shuffled": fit_shuffled}


def convs(graph: Graph) -> list[Op]:
    return [op for op in graph.ops() if op.kind == "Conv"]


def with_kernel(graph: Graph, kernel: np.ndarray) -> Graph:
    """The graph with other weights in its one Conv."""
    copy = graph.clone()
    (op,) = convs(copy)
    copy.set_operand(op, 1, copy.add_constant(kernel.astype(np.float32), "other"))
    return copy


def assert_computes(after: Graph, expected: Graph, rng: np.random.Generator) -> None:
    """Both in onnxruntime: they differ by rounding alone, that of casting the weights included."""
    for more in (0, 3) if expected.sizes else (0,):
        sizes = {name: size + more for name, size in expected.sizes.items()}
        feeds = random_feeds(expected, rng, sizes)
        # Of the factors the magnitudes, Σ|S||A||x|, bound the rounding: no less than Σ|SA||x|.
        scale = magnitude(after, feeds)
        factor = (summands(after) + summands(expected) + 2) * UNIT
        pairs = zip(run_onnx(after, feeds), run_onnx(expected, feeds), scale, strict=True)
        for one, other, largest in pairs:
            assert one.shape == other.shape
            assert (np.abs(one.astype(np.float64) - other) <= factor * largest).all()


@pytest.mark.parametrize("kind", NEAREST)
def test_the_factors_take_the_convs_place(kind: str) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=50, **QUIET)
    @given(st.data(), st.sampled_from([2, 3]), seeds())
    def check(data: st.DataObject, blocks: int, rng: np.random.Generator) -> None:
        graph, geometry = data.draw(dense_convs(blocks))
        after = graph.clone()
        pass_ = BlockDiagonal((kind,), blocks=blocks, max_error=0.99)
        stats = pass_.run(after, Context(prove=prove))
        after.verify()
        found.update([stats.applied, *stats.declined])
        if not stats.applied:
            return
        first, second = convs(after)
        assert first.attributes["group"] == blocks
        assert second.attributes["group"] == (1 if kind == "grouped" else blocks)
        assert first.operand(2) is None
        factors = NEAREST[kind](convs(graph)[0].inputs[1].array.astype(np.float64), blocks)
        assert_computes(after, with_kernel(graph, factors.kernel()), rng)
        assert not pass_.propose(after)
        assert isinstance(geometry, ConvGeometry)

    check()
    assert found[1] >= 25, found
    assert set(found) <= {0, 1, "the error of the weights exceeds max-error",
                          "a kernel of one tap is a dense 1×1 already",
                          "the padding hides all weights"}  # fmt: skip


@pytest.mark.parametrize("kind", NEAREST)
def test_sizes_may_be_open(kind: str) -> None:
    rng = np.random.default_rng(0)
    sizes = {"n": 2, "h": 5, "w": 7}
    build, x = new_graph(("n", 8, "h", "w"), sizes=sizes)
    graph = finished(build, random_conv(build, x, 12, (3, 3), pads=1, strides=2))
    after = graph.clone()
    assert BlockDiagonal((kind,), max_error=0.9).run(after).applied == 1
    factors = NEAREST[kind](convs(graph)[0].inputs[1].array.astype(np.float64), 2)
    assert_computes(after, with_kernel(graph, factors.kernel()), rng)
    kinds = Counter(op.kind for op in after.ops())
    assert kinds["Gather"] == sum(
        order is not None for order in (factors.columns, factors.middle, factors.rows)
    )


def test_the_note_says_the_error() -> None:
    build, x = new_graph((1, 8, 5, 5))
    graph = finished(build, random_conv(build, x, 8, (3, 3)))
    kernel = convs(graph)[0].inputs[1].array.astype(np.float64)
    error = missed(kernel, nearest_shuffled(kernel, 4).kernel()) ** 0.5
    (rewrite,) = BlockDiagonal(("shuffled",), blocks=4, max_error=0.9).propose(graph)
    assert rewrite.exactness is Exactness.APPROXIMATE
    assert rewrite.note == (
        f"dense 3×3 Conv → 3×3 in 4 groups + shuffle + 1×1 in as many, error {100 * error:.2g} %"
    )
    assert BlockDiagonal(("shuffled",), blocks=4, max_error=error * 1.001).propose(graph)
    assert not BlockDiagonal(("shuffled",), blocks=4, max_error=error * 0.999).propose(graph)


@pytest.mark.parametrize("blocks", [2, 4])
@pytest.mark.parametrize("kind", [*NEAREST, "grouped,shuffled"])
def test_named_in_a_pipeline_it_applies_whether_it_pays_or_not(kind: str, blocks: int) -> None:
    text = f"block-diagonal{{kinds={kind} blocks={blocks} max-error=0.9}}"
    graph = convc.load(ROOT / "models" / "sesr_m5_x2.onnx", {"height": 24, "width": 17})
    before = len(convs(graph))
    (report,) = Pipeline.parse(text).run(graph)
    graph.verify()
    assert report.stats.applied >= 6
    assert len(convs(graph)) == before + report.stats.applied
    assert not Pipeline.parse(text).run(graph)[0].stats.applied
    assert all(" Conv → " in note and ", error " in note for note in report.stats.notes)


def test_every_sample_takes_them() -> None:
    applied: Counter[str] = Counter()
    rng = np.random.default_rng(0)
    for path in sample_models():
        graph = convc.load(path)
        if max(graph.sizes.values(), default=0) > 64:
            named = [name for name in ("height", "width") if name in graph.sizes]
            graph = convc.load(path, dict.fromkeys(named, 24))
        feeds = random_feeds(graph, rng)
        before = run_onnx(graph, feeds)
        for kind in NEAREST:
            after = graph.clone()
            # The proof holds each rewrite to what its weights can move, no closer.
            stats = BlockDiagonal((kind,), max_error=0.6).run(after, Context(prove=prove))
            after.verify()
            applied[kind] += stats.applied
            errors = [float(note.split()[-2]) for note in stats.notes]
            assert all(error <= 60 for error in errors), stats.notes
            for old, new in zip(before, run_onnx(after, feeds), strict=True):
                assert old.shape == new.shape
                assert old.dtype == new.dtype
                assert np.isfinite(new).all()
    assert applied["grouped"] >= 20, applied
    assert applied["shuffled"] >= 30, applied


def dense(
    outputs: int = 8, inputs: int = 8, taps: int = 3, weights: str = "constant", group: int = 1
) -> Graph:
    build, x = new_graph((1, inputs, 6, 6))
    shape = outputs, inputs // group, taps, taps
    if weights == "input":
        weight = build.graph.add_input("weight", TensorType(np.dtype(np.float32), shape))
    else:
        array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        array[0, 0] = {"constant": 1, "infinite": np.inf}[weights]
        weight = build.constant(array)
    return finished(build, build.op("Conv", (x, weight), {"group": group}))


def with_other_bias() -> Graph:
    graph = dense()
    (op,) = convs(graph)
    bias = graph.add_input("bias", TensorType(np.dtype(np.float32), (8,)))
    build, x = new_graph((1, 8, 6, 6))
    fed = build.graph.add_input("bias", bias.type)
    weight = build.constant(op.inputs[1].array)
    return finished(build, build.op("Conv", (x, weight, fed), {}))


DECLINES: dict[str, tuple[Callable[[], Graph], str, dict[str, object]]] = {
    "no budget": (dense, "max-error is 0", {"max_error": 0.0}),
    "budget": (dense, "the error of the weights exceeds max-error", {"max_error": 0.01}),
    "inputs": (lambda: dense(inputs=9), "the channels are not 2 equal blocks", {}),
    "outputs": (lambda: dense(outputs=9), "the channels are not 2 equal blocks", {}),
    "taps": (lambda: dense(taps=1), "a kernel of one tap is a dense 1×1 already", {}),
    "weights": (lambda: dense(weights="input"), "the weights are not constant", {}),
    "infinite": (lambda: dense(weights="infinite"), "the weights are not finite", {}),
    "bias": (with_other_bias, "the biases are not constant", {}),
}


@pytest.mark.parametrize("case", DECLINES)
def test_declines(case: str) -> None:
    make, reason, options = DECLINES[case]
    graph = make()
    version = graph.version
    pass_ = BlockDiagonal(("grouped",), **{"max_error": 0.9, **options})
    stats = pass_.run(graph, Context(prove=prove))
    assert (stats.applied, dict(stats.declined)) == (0, {reason: 1})
    assert graph.version == version


def test_convs_in_groups_say_nothing() -> None:
    stats = BlockDiagonal(("grouped", "shuffled"), max_error=0.9).run(dense(group=2))
    assert (stats.applied, dict(stats.declined)) == (0, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("blocks=1", "1 blocks: 2 or more are an approximation"),
        ("width=0", "a width of 0: a block has 1 channel or more"),
        ("max-error=1", "a max-error of 1.0: from 0 to below 1"),
        ("max-error=-0.1", "a max-error of -0.1: from 0 to below 1"),
        ("max-error=nan", "a max-error of nan: from 0 to below 1"),
    ],
)
def test_options_out_of_range(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Pipeline.parse(f"block-diagonal{{{text}}}")


# -- forms -----------------------------------------------------------------------------------


def names(graph: Graph, op: Op) -> list[str]:
    return [form.name for form in BlockDiagonal().approximations(graph, op)]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 64, 3), "grouped 2, grouped 4, grouped 8, shuffled 2, shuffled 4, shuffled 8"),
        ((32, 64, 3), "grouped 2, grouped 4, shuffled 2, shuffled 4"),
        ((64, 16, 3), "grouped 2, shuffled 2"),
        ((64, 64, 1), "shuffled 4, shuffled 8"),  # of two blocks: as many products as the layer
        ((16, 18, 3), "grouped 2, shuffled 2"),
        ((12, 64, 3), ""),
        ((64, 33, 3), ""),
    ],
)
def test_forms(shape: tuple[int, int, int], expected: str) -> None:
    outputs, inputs, taps = shape
    graph = dense(outputs, inputs, taps)
    assert ", ".join(names(graph, *convs(graph))) == expected


def test_other_ops_have_no_forms() -> None:
    graph = dense(64, 64, group=2)
    assert names(graph, *convs(graph)) == []
    assert names(graph, graph.output) == []


def observed(graph: Graph, op: Op, rng: np.random.Generator) -> tuple[Moments, np.ndarray]:
    """The moments of the one 3×3 conv on correlated data, and these data."""
    count, inputs = 40, op.inputs[1].shape[1]
    noise = rng.standard_normal((count, inputs, 8, 8))
    x = (np.cumsum(np.cumsum(noise, axis=2), axis=3) / 4 + noise[:, :1]).astype(np.float32)
    (wanted,) = run_onnx(graph, {"x": x})
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, inputs * 9)
    y = wanted.transpose(0, 2, 3, 1).reshape(-1, wanted.shape[1])
    gathering = Gathering(1, patches.shape[1], y.shape[1])
    gathering.add(patches[np.newaxis], y)
    return gathering.moments(), x


@pytest.mark.parametrize("name", ["grouped 2", "grouped 4", "shuffled 2", "shuffled 4"])
def test_the_loss_of_a_form_is_the_error_of_its_graph(name: str) -> None:
    rng = np.random.default_rng(0)
    build, x = new_graph((40, 32, 8, 8))
    graph = finished(build, random_conv(build, x, 48, (3, 3)))
    (op,) = convs(graph)
    moments, data = observed(graph, op, rng)
    (form,) = (f for f in BlockDiagonal().approximations(graph, op) if f.name == name)
    rewrite = form.function(graph, op, lambda _: moments)
    assert rewrite.exactness is Exactness.APPROXIMATE
    after = graph.clone()
    again = form.function(after, *convs(after), lambda _: moments)
    apply(after, again)
    after.verify()
    assert convs(after)[-1].operand(2) is not None
    assert after.outputs[0].name == op.result.name
    (wanted,), (given_,) = run_onnx(graph, {"x": data}), run_onnx(after, {"x": data})
    variance = np.square(wanted - wanted.mean(axis=(0, 2, 3), keepdims=True)).sum()
    measured = np.square(wanted.astype(np.float64) - given_).sum() / variance
    kernel, (kind, blocks) = op.inputs[1].array.astype(np.float64), name.split()
    factors = FITTED[kind](moments, kernel, int(blocks))
    # float32 in onnxruntime: a relative 1e-6 of the responses.
    assert measured == pytest.approx(moments.loss(factors.kernel()), rel=1e-3, abs=1e-11)
    weights_alone = NEAREST[kind](kernel, int(blocks))
    assert measured < 0.5 * moments.loss(weights_alone.kernel())


def test_what_cannot_be_observed_has_no_form() -> None:
    graph = dense(32, 32)
    (op,) = convs(graph)

    def observe(_: Op) -> Moments:
        raise NoMatch("no patches")

    for form in BlockDiagonal().approximations(graph, op):
        with pytest.raises(NoMatch, match="no patches"):
            form.function(graph, op, observe)
    form = BlockDiagonal().approximations(graph, op)[0]
    with pytest.raises(NoMatch, match="for moments of 8 outputs and patches of 72"):
        form.function(graph, op, lambda _: white(np.ones((8, 8, 3, 3))))
