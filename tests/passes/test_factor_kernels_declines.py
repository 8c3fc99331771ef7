"""Where factor-kernels leaves a Conv as it is, and why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.algebra import ConvGeometry
from convc.build import Builder
from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import Array, TensorType, Value
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from convc.reference import evaluate
from convc.rewrite import NoMatch
from passes.factor_kernels import KINDS, FactorKernels
from passes.factor_kernels.chain import Chain
from passes.factor_kernels.exact import require_precise
from passes.factor_kernels.layer import read
from passes.factor_kernels.ranks import is_above
from tests.factor_kernels_strategies import full_product
from tests.strategies import finished, new_graph

RNG = np.random.default_rng(11)
FLOAT = np.dtype(np.float32)


def mixed(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def rank_one(size: int = 5) -> Array:
    return np.outer(mixed(size), mixed(size))[np.newaxis, np.newaxis]


def conv(
    kernel: Array | None = None, size: tuple[int | str | None, ...] = (20, 20), **attributes: object
) -> Graph:
    """A Conv of one channel in and out, or of ``kernel``; None: its weights are an input."""
    group = attributes.get("group", 1)
    channels = 1 if kernel is None else kernel.shape[1] * group
    build, x = new_graph((1, channels, *size))
    return finished(build, build.op("Conv", (x, _weight(build, kernel)), attributes))


def _weight(build: Builder, kernel: Array | None) -> Value:
    if kernel is None:
        return build.graph.add_input("weight", TensorType(FLOAT, (1, 1, 5, 5)))
    return build.constant(kernel if kernel.dtype == np.int8 else kernel.astype(np.float32))


def with_nan() -> Array:
    kernel = rank_one()
    kernel[0, 0, 1, 2] = np.nan
    return kernel


def two_sizes() -> Array:
    """Filters of 6×6: 3×3 after 4×4, and 2×2 after 5×5."""
    kernels = [full_product(mixed(a, a), mixed(7 - a, 7 - a)) for a in (3, 2)]
    return np.stack(kernels)[:, np.newaxis]


def composition() -> Array:
    return full_product(mixed(3, 3), mixed(3, 3))[np.newaxis, np.newaxis]


DECLINES: dict[str, tuple[str, Callable[[], Graph], str]] = {
    "weights": ("separable", conv, "the weights are not constant"),
    "integers": (
        "separable",
        lambda: conv(np.ones((1, 1, 5, 5), np.int8)),
        "the weights are not floating point",
    ),
    "invalid": (
        "separable",
        lambda: conv(np.repeat(rank_one(), 3, axis=0), group=2),
        "the Conv is not valid",
    ),
    "crops": (
        "separable",
        lambda: conv(rank_one(), pads=(0, 0, -1, 0)),
        "the Conv crops its input",
    ),
    "nan": ("separable", lambda: conv(with_nan()), "the weights are not finite"),
    "small": ("separable", lambda: conv(rank_one(), (4, 9)), "the Conv has no output at its size"),
    "size": (
        "separable",
        lambda: conv(rank_one(), (None, 9), strides=(2, 2), auto_pad="SAME_UPPER"),
        "the geometry depends on an unknown size",
    ),
    "zeros": ("separable", lambda: conv(np.zeros((1, 1, 5, 5))), "the weights are zero"),
    "hidden": (
        "separable",
        lambda: conv(rank_one(3), (1, 40), pads=(1, 0, 3, 0), dilations=(2, 1)),
        "the padding hides all weights",
    ),
    "separable": ("separable", lambda: conv(mixed(1, 1, 5, 5)), "the kernel is not separable"),
    "terms": (
        "terms",
        lambda: conv(mixed(1, 1, 5, 5)),
        "the filters are no sums of few separable ones",
    ),
    "out": ("low-rank-out", lambda: conv(mixed(4, 4, 3, 3)), "the filters have full rank"),
    "sparse": (
        "low-rank-out",
        # Some rows of it, in some of the columns, are zeros.
        lambda: conv(np.eye(64).reshape(64, 64, 1, 1)),
        "the filters have full rank",
    ),
    "in": ("low-rank-in", lambda: conv(mixed(4, 4, 3, 3)), "the input channels have full rank"),
    "tucker": (
        "tucker",
        lambda: conv(np.einsum("kr,rct->kct", mixed(8, 2), mixed(2, 4, 9)).reshape(8, 4, 3, 3)),
        "the channels have full rank on one side",
    ),
    "tucker, other side": (
        "tucker",
        lambda: conv(np.einsum("krt,rc->kct", mixed(4, 2, 9), mixed(2, 8)).reshape(4, 8, 3, 3)),
        "the channels have full rank on one side",
    ),
    "cp": (
        "cp",
        lambda: conv(mixed(4, 4, 3, 3)),
        "the kernel is no sum of few products of vectors",
    ),
    "composed": (
        "composed",
        lambda: conv(mixed(1, 1, 5, 5)),
        "a filter is no composition of two smaller ones",
    ),
    "sizes": (
        "composed",
        lambda: conv(two_sizes()),
        "the filters are compositions of different sizes",
    ),
    "dear": ("composed", lambda: conv(composition(), (6, 6)), "the factors would not cost less"),
}


@pytest.mark.parametrize("case", DECLINES)
def test_declines(case: str) -> None:
    kind, make, reason = DECLINES[case]
    graph = make()
    version = graph.version
    stats = FactorKernels((kind,)).run(graph, Context(prove=prove))
    assert (stats.applied, dict(stats.declined)) == (0, {reason: 1})
    assert graph.version == version


def test_what_has_no_factors_says_nothing() -> None:
    build, x = new_graph((1, 4, 20, 20))
    one = build.op("Conv", (x, _weight(build, mixed(4, 1, 1, 1))), {"group": 4})
    weight = _weight(build, rank_one(5).repeat(4, axis=0))
    other = build.op("ConvTranspose", (one, weight), {"group": 4})
    type_ = TensorType(FLOAT, (1, 4, 24, 24))
    foreign = build.graph.add("Conv", (other, weight), {"group": 4}, domain="com.example")
    foreign.result.type = type_
    graph = finished(build, other, foreign.result)
    for pass_ in (FactorKernels(), FactorKernels(max_error=0.5)):
        stats = pass_.run(graph)
        assert (stats.applied, dict(stats.declined)) == (0, {})


@pytest.mark.parametrize("kind", ["terms", "composed"])
def test_several_channels_are_no_single_one(kind: str) -> None:
    stats = FactorKernels((kind,)).run(conv(np.repeat(rank_one(), 2, axis=1)))
    assert (stats.applied, dict(stats.declined)) == (0, {})


def test_a_separable_filter_is_not_composed() -> None:
    stats = FactorKernels(("composed",)).run(conv(rank_one()))
    assert (stats.applied, dict(stats.declined)) == (0, {})


def test_factors_must_survive_their_own_rounding() -> None:
    """A column and a row whose products cancel lose what the kernel keeps."""
    graph = conv(np.full((1, 1, 3, 3), 1 / 3))
    layer = read(graph, graph.outputs[0].op)
    column, row = np.ones((2, 1, 3, 1)), np.ones((1, 2, 1, 3))
    column[0], column[1] = 1e5 / 3, (1 - 1e5) / 3
    geometries = (
        ConvGeometry((3, 1), (1, 1), (1, 1), (0, 0), (0, 0)),
        ConvGeometry((1, 3), (1, 1), (1, 1), (0, 0), (0, 0)),
    )
    with pytest.raises(NoMatch, match="the rounding of the factors would count"):
        require_precise(layer, Chain((column, row), geometries))


def test_a_rank_is_above_only_if_it_is() -> None:
    for rank in range(1, 12):
        matrix = mixed(16, rank) @ mixed(rank, 20)
        noise = 1e-7 * np.linalg.norm(matrix) * mixed(16, 20) / np.sqrt(320)
        near = matrix + noise
        assert not is_above(near, rank, 2e-7)
        assert is_above(near, rank - 1, 2e-7)
        assert not is_above(near, 16, 0.0)
    assert not is_above(np.zeros((5, 5)), 2, 1e-7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max-error=1.5", "max-error 1.5 is not from 0 to below 1"),
        ("max-error=nan", "max-error nan is not from 0 to below 1"),
        ("rank=-1", "rank -1 is negative"),
        ("block=0", "block 0 is not positive"),
        ("kinds=qr", f"is one of {', '.join(KINDS)}, not 'qr'"),
    ],
)
def test_options_out_of_range(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pipeline.parse(f"factor-kernels{{{text}}}")


def test_a_chain_may_have_to_save_more() -> None:
    graph = conv(rank_one(5))
    (rule,) = FactorKernels(kinds=("terms",), saves=3.0).rules()
    op = next(op for op in graph.ops() if op.kind == "Conv")
    with pytest.raises(NoMatch, match="the factors have not 3 times fewer MACs"):
        rule.function(graph, op)
    assert FactorKernels(kinds=("terms",), saves=2.0).run(graph).applied == 1
    with pytest.raises(ValueError, match=r"saves 0.5 is below 1"):
        FactorKernels(saves=0.5)


def test_small_weights_may_read_large_values() -> None:
    """Beside a channel of weights a billion times larger the others are rounding: all of them."""
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((16, 16, 3, 3))
    weights[:, 0] = np.multiply.outer(rng.standard_normal(16), rng.standard_normal((3, 3))) * 1e9
    stats = FactorKernels(kinds=("low-rank-out",)).run(conv(weights))
    assert stats.applied == 0
    assert stats.declined == {
        "the weights of some input channels would be lost beside larger ones": 1
    }


def two_blocks() -> Array:
    """Two equal blocks of few terms: singular values come in pairs, whose vectors may mix."""
    block = np.einsum("kr,xr,yr,cr->kcxy", *(mixed(n, 2) for n in (12, 3, 3, 6)))
    return np.kron(np.eye(2)[:, :, np.newaxis, np.newaxis], block)


@pytest.mark.parametrize("kind", ["low-rank-out", "low-rank-in", "tucker", "separable"])
def test_channels_kept_apart_stay_apart(kind: str) -> None:
    """1e-8 of one block in the other is no rounding where its values are a billion times larger."""
    for _ in range(20):
        graph = conv(two_blocks())
        assert FactorKernels(kinds=(kind,)).run(graph).applied == 1
        x = mixed(1, 12, 20, 20)
        (y,) = evaluate(graph, {"x": x})
        x[:, 6:] *= 1e9
        np.testing.assert_array_equal(evaluate(graph, {"x": x})[0][:, :12], y[:, :12])


def test_factors_that_would_mix_channels_kept_apart() -> None:
    stats = FactorKernels(kinds=("cp",)).run(conv(two_blocks()))
    assert stats.applied == 0
    assert stats.declined == {"channels that the layer keeps apart would mix": 1}


@pytest.mark.parametrize("kind", ["low-rank-out", "low-rank-in", "tucker", "separable", "cp"])
def test_a_dead_filter_stays_dead(kind: str) -> None:
    factors = mixed(24, 3), mixed(3, 3), mixed(3, 3), mixed(16, 3)
    weights = np.einsum("kr,xr,yr,cr->kcxy", *factors)
    weights[5], weights[:, 7] = 0.0, 0.0
    graph = conv(weights)
    assert FactorKernels(kinds=(kind,)).run(graph).applied == 1
    x = mixed(1, 16, 20, 20)
    (y,) = evaluate(graph, {"x": x})
    assert not y[:, 5].any()
    x[:, 7] += 1e9
    np.testing.assert_array_equal(evaluate(graph, {"x": x})[0], y)
