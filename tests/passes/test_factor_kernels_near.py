"""factor-kernels with an error allowed, judged by the weights."""

from __future__ import annotations

from collections import Counter
from functools import reduce

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convc.algebra import compose_geometry, compose_kernels, geometry_of
from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Array, Op
from convc.pipeline import Context
from convc.proof import difference, prove
from convc.reference import evaluate
from passes.factor_kernels import FactorKernels
from passes.factor_kernels.weights import FINDERS
from tests.factor_kernels_strategies import planted
from tests.helpers import random_feeds
from tests.strategies import finished, layer, new_graph, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(5)
NOT_EXACT = "the kernel is not separable"


def convs(graph: Graph) -> list[Op]:
    return [op for op in graph.ops() if op.kind == "Conv"]


def composed(graph: Graph) -> Array:
    """The kernel of all convs of a graph, one after the other."""

    def after(one: tuple, other: tuple) -> tuple:
        kernel = compose_kernels(one[0], other[0], one[1], other[1])
        return kernel, compose_geometry(one[1], other[1])

    return reduce(after, [(op.operand(1).array, conv_geometry(op)) for op in convs(graph)])[0]


def relative(one: Array, other: Array) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def assert_chain(before: Graph, after: Graph, rng: np.random.Generator) -> Array:
    """The chain is, at every border, one conv of its composed kernel, which is returned."""
    kernel = composed(after)
    whole = before.clone()
    (op,) = convs(whole)
    weight = op.operand(1)
    whole.set_operand(op, 1, whole.add_constant(kernel, "weight", weight.dtype))
    feeds = random_feeds(before, rng)
    for one, other in zip(evaluate(whole, feeds), evaluate(after, feeds), strict=True):
        assert difference(one, other) <= 1e-9
    return kernel


@pytest.mark.parametrize("kind", FINDERS)
def test_any_kernel_has_near_factors(kind: str) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=125, **QUIET)
    @given(planted(kind, 0.2), st.sampled_from([0.3, 0.4, 0.5]), seeds())
    def check(graph: Graph, error: float, rng: np.random.Generator) -> None:
        after = graph.clone()
        pass_ = FactorKernels((kind,), max_error=error)
        stats = pass_.run(after, Context(prove=prove))
        after.verify()
        found["fired"] += stats.applied
        found.update(stats.declined)
        assert stats.applied <= 1
        assert not pass_.propose(after)
        if stats.applied:
            kernel = assert_chain(graph, after, rng)
            # The cast of two or three factors.
            assert relative(kernel, convs(graph)[0].operand(1).array) <= error + 1e-6

    check()
    assert found["fired"] >= 100, found


def conv(kernel: Array, *, group: int = 1, bias: bool = True, **geometry: object) -> Graph:
    build, x = new_graph((1, kernel.shape[1] * group, 12, 13))
    offset = np.ones(len(kernel)) if bias else None
    y = layer(build, x, geometry_of(kernel, group=group, **geometry), kernel, offset)
    return finished(build, y)


def run(graph: Graph, **options: object) -> tuple[dict[str, int], dict[str, int], Graph]:
    after = graph.clone()
    stats = FactorKernels(**options).run(after, Context(prove=prove))
    after.verify()
    return dict(stats.notes), dict(stats.declined), after


def falling(*shape: int) -> Array:
    """A kernel whose separable unfolding has the singular values 1, 1/2, 1/4 and so on."""
    outputs, inputs, height, width = shape
    sides = (inputs * height, outputs * width)
    one, other = (np.linalg.qr(RNG.standard_normal((n, n)))[0] for n in sides)
    matrix = (one[:, : min(sides)] * 0.5 ** np.arange(min(sides))) @ other[: min(sides)]
    return matrix.reshape(inputs, height, outputs, width).transpose(2, 0, 1, 3)


def test_the_smallest_rank_that_keeps_the_error() -> None:
    graph = conv(falling(4, 4, 3, 3))
    for rank in (2, 3, 5):
        # What rank R leaves of 1, 1/2, 1/4 ... is 2⁻ᴿ of the whole.
        notes, _, after = run(graph, kinds=("separable",), max_error=1.01 * 0.5**rank, block=1)
        error = f"{100 * 0.5**rank:.2g}"
        assert notes == {f"3×3 Conv → 3×1, 1×3 (rank {rank}, error {error} %)": 1}
        assert convs(after)[0].operand(1).shape == (rank, 4, 3, 1)


def test_both_sides_of_a_core_share_the_error() -> None:
    """What the two sides leave out is not the same, so that squares add up."""
    kernel = np.zeros((6, 6, 9))
    for i in range(5):
        kernel[i, 5, i] = kernel[5, i, i] = 0.5**i
    total = np.square(kernel).sum()
    # Beside the filter (channel) 5, rank 4 on both sides keeps three others, rank 3 two.
    kept, lost = (np.sqrt(2 * sum(0.25**i for i in range(n, 5)) / total) for n in (3, 2))
    assert kept < 0.2 < lost
    notes, _, _ = run(conv(kernel.reshape(6, 6, 3, 3)), kinds=("tucker",), max_error=0.2, block=1)
    assert notes == {f"3×3 Conv → 1×1, 3×3, 1×1 (ranks 4, 4, error {100 * kept:.2g} %)": 1}


def test_ranks_are_rounded_up_to_the_block() -> None:
    graph = conv(falling(8, 8, 3, 3))
    for block, rank in ((1, 5), (4, 8), (8, 8), (16, 16), (24, 5)):
        # With a block of 24 there would be as many channels between as for any kernel.
        _, _, after = run(graph, kinds=("separable",), max_error=1.01 * 0.5**5, block=block)
        assert convs(after)[0].operand(1).shape[0] == rank


def test_the_rank_may_be_given() -> None:
    graph = conv(falling(8, 8, 3, 3))
    notes, _, _ = run(graph, kinds=("separable",), max_error=0.5, rank=2)
    assert notes == {"3×3 Conv → 3×1, 1×3 (rank 2, error 25 %)": 1}
    notes, declined, _ = run(graph, kinds=("separable",), max_error=0.01, rank=2)
    assert (notes, declined) == ({}, {"rank 2 leaves an error of 25 %": 1, NOT_EXACT: 1})


def test_exact_factors_come_first() -> None:
    kernel = np.einsum("kr,rct->kct", RNG.standard_normal((8, 2)), RNG.standard_normal((2, 8, 9)))
    notes, _, after = run(conv(kernel.reshape(8, 8, 3, 3)), max_error=0.9)
    assert notes == {"3×3 Conv → 3×3, 1×1 (rank 2)": 1}
    assert len(convs(after)) == 2


def test_a_kernel_without_near_factors() -> None:
    # An orthogonal unfolding: each of its terms is as large as the others.
    kernel = np.eye(12).reshape(4, 3, 4, 3).transpose(0, 2, 1, 3)
    notes, declined, _ = run(conv(kernel), kinds=("separable",), max_error=0.1)
    assert (notes, declined) == ({}, {"no lower rank keeps the error": 1, NOT_EXACT: 1})


def test_factors_are_not_factored_again() -> None:
    """A Conv that reads or feeds another one without bias may be half of what was one."""
    reason = "the Conv is one of a chain already"
    for biases, fired in (((False, True), 0), ((True, True), 2), ((True, False), 2)):
        build, x = new_graph((1, 8, 16, 16))
        value = x
        for bias in biases:
            kernel = RNG.standard_normal((8, 8, 3, 3))
            offset = np.ones(8) if bias else None
            value = layer(build, value, geometry_of(kernel), kernel, offset)
        stats = FactorKernels(("separable",), 0.5).run(finished(build, value))
        assert stats.applied == fired
        # Each is asked by itself, and those that were factored are two by now.
        assert stats.declined[reason] == 2 + fired


def test_what_an_activation_or_another_user_follows_is_no_factor() -> None:
    build, x = new_graph((1, 8, 16, 16))
    kernel = RNG.standard_normal((8, 8, 3, 3))
    one = layer(build, x, geometry_of(kernel), kernel)
    other = layer(build, build.op("Relu", (one,), type_=one.type), geometry_of(kernel), kernel)
    third = layer(build, other, geometry_of(kernel), kernel)
    graph = finished(build, third, other)
    assert FactorKernels(("separable",), 0.5).run(graph).applied == 3


def test_zeros_have_no_factors() -> None:
    graph = conv(np.zeros((4, 4, 3, 3)))
    notes, declined, _ = run(graph, kinds=("separable",), max_error=0.5)
    assert (notes, declined) == ({}, {"the weights are zero": 2})
