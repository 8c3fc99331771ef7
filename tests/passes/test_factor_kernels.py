"""factor-kernels where the weights are factors already: every kind over the attribute space."""

from __future__ import annotations

from collections import Counter

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.algebra import geometry_of
from convc.graph import Graph
from convc.ir import Array, Op
from convc.opset import macs
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from passes.factor_kernels import KINDS, FactorKernels
from tests.factor_kernels_strategies import full_product, planted
from tests.helpers import check_pass
from tests.strategies import finished, layer, new_graph, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(7)
BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0])


def total(graph: Graph) -> int:
    return sum(macs(graph, op) or 0 for op in graph.ops())


def convs(graph: Graph) -> list[Op]:
    return [op for op in graph.ops() if op.kind == "Conv"]


def larger(graph: Graph) -> tuple[dict[str, int], ...]:
    """The open dims at their own sizes and at larger ones."""
    return ({}, {name: size + 3 for name, size in graph.sizes.items()}) if graph.sizes else ({},)


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        ("separable", 110),
        ("terms", 130),
        ("low-rank-out", 110),
        ("low-rank-in", 105),
        ("tucker", 105),
        ("cp", 105),
        ("composed", 135),
    ],
)
def test_planted_factors_are_found(kind: str, examples: int) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=examples, **QUIET)
    @given(planted(kind), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(FactorKernels((kind,)), graph, rng, larger(graph))
        found["fired"] += stats.applied > 0
        found.update(stats.declined)
        assert (total(after) < total(graph)) == (stats.applied > 0)
        assert not FactorKernels((kind,)).propose(after)

    check()
    assert found["fired"] >= 100, found


def conv(
    kernel: Array,
    size: tuple[int | str, ...] = (32, 33),
    *,
    dtype: type = np.float32,
    group: int = 1,
    **geometry: object,
) -> Graph:
    """One Conv with a bias."""
    channels = kernel.shape[1] * group
    sizes = {dim: 20 for dim in size if isinstance(dim, str)}
    build, x = new_graph((1, channels, *size), dtype=dtype, sizes=sizes)
    bias = RNG.standard_normal(len(kernel))
    y = layer(build, x, geometry_of(kernel, group=group, **geometry), kernel, bias, name="conv")
    return finished(build, y)


def run(graph: Graph, *kinds: str) -> tuple[Counter[str], Counter[str], Graph]:
    """Notes, reasons, and what came of it."""
    stats, after = check_pass(FactorKernels(kinds or KINDS), graph, RNG, larger(graph))
    return stats.notes, stats.declined, after


def shapes(graph: Graph) -> list[tuple[int, ...]]:
    return [op.operand(1).shape for op in convs(graph)]


def mixed(*shape: int) -> Array:
    """A random kernel of the shape."""
    return RNG.standard_normal(shape)


def outer(*vectors: Array) -> Array:
    """(1, 1, *taps): the product of vectors, one for each axis."""
    product: Array = np.ones(())
    for vector in vectors:
        product = np.multiply.outer(product, vector)
    return product[np.newaxis, np.newaxis]


def test_image_filters() -> None:
    gauss = np.exp(-(np.arange(-7.0, 8.0) ** 2) / 8)
    narrow = np.exp(-(np.arange(-7.0, 8.0) ** 2) / 2)
    sobel = outer(np.array([1.0, 2.0, 1.0]), np.array([1.0, 0.0, -1.0]))
    wave = np.cos(np.arange(-7.0, 8.0))[:, None] * np.cos(np.arange(-7.0, 8.0) / 2)
    turned = np.cos(np.add.outer(np.arange(-7.0, 8.0), np.arange(-7.0, 8.0) / 2))
    difference = outer(gauss, gauss) / gauss.sum() ** 2 - outer(narrow, narrow) / narrow.sum() ** 2
    cases = {
        "15×15 Conv → 15×1, 1×15 (rank 1)": [
            outer(gauss, gauss) / gauss.sum() ** 2,
            outer(np.ones(15), np.ones(15)) / 225,
            (outer(gauss, gauss)[0, 0] * wave)[None, None],
        ],
        "15×15 Conv → 15×1, 1×15 (rank 2)": [
            difference,
            (outer(gauss, gauss)[0, 0] * turned)[None, None],
        ],
        "5×5 Conv → 5×1, 1×5 (rank 1)": [outer(BINOMIAL, BINOMIAL) / 256],
        "3×3 Conv → 3×1, 1×3 (rank 1)": [sobel, 3 * sobel],
    }
    for note, kernels in cases.items():
        for kernel in kernels:
            for group in (1,) if kernel.size > 200 else (1, 3):
                every = np.concatenate([kernel] * group)
                notes, _, _ = run(conv(every, (16, 17), pads=kernel.shape[2] // 2, group=group))
                assert notes == {note: 1}


def test_filters_of_one_channel_each_with_terms_of_their_own() -> None:
    kernel = np.concatenate([outer(mixed(7), mixed(7)) for _ in range(5)])
    notes, _, after = run(conv(kernel))
    # Jointly they have rank 5: 5·7 + 5·5·7 MACs an output instead of 5·7 + 5·7.
    assert notes == {"7×7 Conv → 7×1, 1×7 (rank 1)": 1}
    assert shapes(after) == [(5, 1, 7, 1), (5, 1, 1, 7)]
    assert [op.attributes["group"] for op in convs(after)] == [1, 5]


def test_the_larger_stride_comes_first() -> None:
    kernel = outer(mixed(7), mixed(7))
    for strides, first in (((1, 3), (1, 1, 1, 7)), ((3, 1), (1, 1, 7, 1)), ((2, 2), (1, 1, 7, 1))):
        _, _, after = run(conv(kernel, strides=strides, pads=3))
        assert shapes(after)[0] == first
        assert [op.attributes["strides"] for op in convs(after)] == [
            (strides[0], 1) if first[2] > 1 else (1, strides[1]),
            (1, strides[1]) if first[2] > 1 else (strides[0], 1),
        ]


def test_the_larger_stride_comes_first_between_channels() -> None:
    kernel = np.einsum("k,c,h,w->kchw", mixed(6), mixed(6), mixed(3), mixed(3))
    for strides, axis in (((1, 3), 3), ((3, 1), 2), ((2, 2), 2)):
        _, _, after = run(conv(kernel, strides=strides, pads=1), "cp")
        assert [shape[axis] for shape in shapes(after)] == [1, 3, 1, 1]


@pytest.mark.parametrize("kind", ["separable", "terms"])
def test_the_stride_of_an_axis_without_taps_comes_first(kind: str) -> None:
    graph = conv(outer(mixed(5), mixed(1), mixed(4)), (9, 9, 9), strides=(1, 2, 1))
    _, _, after = run(graph, kind)
    assert [op.attributes["strides"] for op in convs(after)] == [(1, 2, 1), (1, 1, 1)]


def test_a_composition_may_have_a_stride() -> None:
    kernel = full_product(mixed(5, 5), mixed(5, 5))[np.newaxis, np.newaxis]
    notes, _, after = run(conv(kernel, (100, 101), strides=(1, 2), pads=3))
    assert notes == {"9×9 Conv → 5×5, 5×5": 1}
    assert [op.attributes["strides"] for op in convs(after)] == [(1, 1), (1, 2)]
    assert [op.attributes["pads"] for op in convs(after)] == [(3, 3, 3, 3), (0, 0, 0, 0)]


def test_three_axes_come_apart_one_after_the_other() -> None:
    notes, _, after = run(conv(outer(mixed(5), mixed(4), mixed(3)), (9, 9, 9), pads=1))
    assert sum(notes.values()) == 2
    assert sorted(shape[2:] for shape in shapes(after)) == [(1, 1, 3), (1, 4, 1), (5, 1, 1)]


def test_the_cheapest_kind_is_taken() -> None:
    kernel = np.einsum("rc,srt,ks->kct", mixed(2, 16), mixed(2, 2, 9), mixed(16, 2))
    notes, _, _ = run(conv(kernel.reshape(16, 16, 3, 3)))
    assert notes == {"3×3 Conv → 1×1, 3×3, 1×1 (ranks 2, 2)": 1}
    kernel = np.einsum("k,c,h,w->kchw", mixed(16), mixed(16), mixed(3), mixed(3))
    notes, _, _ = run(conv(kernel))
    assert notes == {"3×3 Conv → 1×1, 3×1, 1×3, 1×1 (rank 1)": 1}
    notes, _, after = run(conv(kernel), "separable", "low-rank-out", "low-rank-in")
    assert sum(notes.values()) > 1  # factors of factors
    assert max(np.prod(shape) for shape in shapes(after)) <= 3 * 16


def test_a_product_of_matrices() -> None:
    kernel = (mixed(32, 4) @ mixed(4, 24)).reshape(32, 24, 1, 1)
    notes, _, after = run(conv(kernel, strides=2, pads=1))
    assert notes == {"1×1 Conv → 1×1, 1×1 (rank 4)": 1}
    assert [op.attributes["strides"] for op in convs(after)] == [(2, 2), (1, 1)]


def test_small_filters_beside_large_ones_keep_their_precision() -> None:
    kernel = np.einsum("kr,rct->kct", mixed(16, 2), mixed(2, 16, 9)).reshape(16, 16, 3, 3)
    # Beside what rounding did to the others it would be nothing.
    kernel[3] = 1e-9 * mixed(16, 3, 3)
    graph = conv(kernel)
    notes, _, after = run(graph)
    assert notes == {"3×3 Conv → 3×3, 1×1 (rank 3)": 1}
    one, other = (op.operand(1).array.astype(np.float64) for op in convs(after))
    made = np.einsum("kr,rct->kct", other[:, :, 0, 0], one.reshape(3, 16, 9))
    missed = np.abs(made[3] - kernel[3].reshape(16, 9)).max()
    assert missed <= 16 * 2.0**-24 * np.linalg.norm(kernel[3])


def test_zero_filters_stay_zero() -> None:
    kernel = np.einsum("kr,rct->kct", mixed(16, 2), mixed(2, 16, 9)).reshape(16, 16, 3, 3)
    kernel[[0, 5]] = 0.0
    _, _, after = run(conv(kernel))
    last = convs(after)[-1].operand(1).array
    assert not last[[0, 5]].any()
    assert last[1].any()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_precisions_are_kept(dtype: type) -> None:
    graph = conv(outer(BINOMIAL, BINOMIAL) / 256, dtype=dtype)
    stats = FactorKernels().run(graph, Context(prove=prove))
    assert stats.notes == {"5×5 Conv → 5×1, 1×5 (rank 1)": 1}
    made = np.ones((1, 1))
    for op in convs(graph):
        weight = op.operand(1)
        assert weight.dtype == weight.array.dtype == np.dtype(dtype)
        assert weight.name == "conv.weight"
        made = made * weight.array.astype(np.float64)[0, 0]
    # Two casts, and the decomposition's own rounding.
    unit = float(ml_dtypes.finfo(dtype).eps) + 2 * 5 * 2.0**-52
    assert np.abs(made - np.outer(BINOMIAL, BINOMIAL) / 256).max() <= 1.01 * unit * 36 / 256


def test_others_keep_what_they_use() -> None:
    build, x = new_graph((1, 1, 20, 20))
    kernel = outer(BINOMIAL, BINOMIAL).astype(np.float32)
    weight = build.constant(kernel, name="weight")
    one = build.op("Conv", (x, weight), {"pads": (2, 2, 2, 2)}, name="one")
    other = build.op("Conv", (one, weight), name="other")
    graph = finished(build, other, one, build.op("Neg", (weight,), type_=weight.type))
    notes, _, after = run(graph)
    assert notes == {"5×5 Conv → 5×1, 1×5 (rank 1)": 2}
    assert [value.name for value in after.outputs] == [value.name for value in graph.outputs]
    assert [op.result.name for op in convs(after)].count("") == 2


def test_the_options_are_text() -> None:
    text = "factor-kernels{kinds=separable,tucker max-error=0.05 rank=24 block=8}"
    pipeline = Pipeline.parse(text)
    assert str(pipeline) == text
    assert pipeline.passes == (FactorKernels(("separable", "tucker"), 0.05, 24, 8),)
