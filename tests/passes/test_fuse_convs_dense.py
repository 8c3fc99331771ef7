"""fuse-convs on products of matrices, and on a conv flattened into one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.graph import Graph
from convc.pipeline import Context
from convc.proof import prove
from passes.fuse_convs import FuseConvs
from tests.helpers import check_linear
from tests.strategies import (
    dense_graphs,
    finished,
    flattened_conv_graphs,
    new_graph,
    random_conv,
    seeds,
)

RNG = np.random.default_rng(2)
# How many examples fuse varies from run to run: the least that is asserted is far below it.
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def test_chains_of_products_become_one() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=300, **QUIET)
    @given(dense_graphs(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_linear(FuseConvs(), graph, rng)
        products = count(after)["Gemm"] + count(after)["MatMul"]
        found.update(note.split("→")[1].strip() for note in stats.notes)
        assert products == 1
        assert not stats.declined
        assert count(after)["Add"] <= 1

    check()
    assert found["Gemm"] >= 60, found
    assert found["MatMul"] >= 20, found
    assert found["MatMul, Add"] >= 10, found


def test_a_flattened_conv_becomes_a_product() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=200, **QUIET)
    @given(flattened_conv_graphs(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_linear(FuseConvs(), graph, rng)
        assert stats.applied == 1
        assert not count(after)["Conv"]
        found.update(note.split("→")[1].strip() for note in stats.notes)

    check()
    assert found["Gemm"] >= 60, found
    assert found["MatMul"] >= 10, found


def test_a_padded_chain_before_a_product_becomes_one() -> None:
    build, x = new_graph((2, 3, 6, 7))
    x = random_conv(build, x, 5, (1, 1))
    x = random_conv(build, x, 4, (3, 3), pads=1)
    x = build.op("Flatten", (x,), {"axis": 1})
    graph = finished(build, build.op("MatMul", (x, build.constant(array(4 * 6 * 7, 3)))))
    stats, after = check_linear(FuseConvs(), graph, RNG)
    assert stats.applied == 2
    assert count(after) == {"Flatten": 1, "Gemm": 1}


def test_a_matmul_and_its_add_become_one_gemm() -> None:
    build, x = new_graph(("batch", 4), sizes={"batch": 3})
    x = build.op("Gemm", (x, build.constant(array(4, 6)), build.constant(array(6))))
    x = build.op("MatMul", (x, build.constant(array(6, 2))))
    graph = finished(build, build.add(x, build.constant(array(2))))
    stats, after = check_linear(FuseConvs(), graph, RNG)
    assert stats.notes == {"Gemm ∘ MatMul → Gemm": 1}
    assert count(after) == {"Gemm": 1}
    assert after.outputs[0].shape == ("batch", 2)


@pytest.mark.parametrize("opset", [6, 7, 11])
def test_a_gemm_in_the_form_of_its_opset(opset: int) -> None:
    build, x = new_graph((3, 4), opset)
    for width, outputs in ((4, 5), (5, 2)):
        operands = [
            x,
            build.constant(array(width, outputs)),
            build.constant(np.zeros(1, np.float32)),
        ]
        x = build.op("Gemm", operands, {"broadcast": 1} if opset < 7 else {})
    graph = finished(build, x)
    stats = FuseConvs().run(graph, Context(prove=prove))
    (gemm,) = [op for op in graph.ops() if op.kind == "Gemm"]
    assert stats.applied == 1
    assert len(gemm.operands) == (2 if opset >= 11 else 3)
    assert ("broadcast" in gemm.attributes) == (opset < 7)
