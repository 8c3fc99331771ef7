"""RepVGG-A0 and MobileOne-S0 in training form collapse to exactly the ops of their deploy form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

import convc
from convc.graph import Graph
from models import reparam

PASSES = "simplify,fold-affine,merge-branches,simplify"
SIZE = 64

HEAD = {"GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}
# One conv and one Relu a block. RepVGG-A0: a stem and stages of 2, 4, 14 and 1 blocks.
# MobileOne-S0: a stem and stages of 2, 8, 10 and 1 pairs of a depthwise and a pointwise block.
DEPLOYED = {
    "repvgg_a0": {"Conv": 1 + (2 + 4 + 14 + 1), "Relu": 22, **HEAD},
    "mobileone_s0": {"Conv": 1 + 2 * (2 + 8 + 10 + 1), "Relu": 43, **HEAD},
}
# Inputs, outputs, kernel and groups of each deployed conv.
REPVGG = [
    (3, 48, 3, 1),
    *[(48, 48, 3, 1)] * 2,
    (48, 96, 3, 1),
    *[(96, 96, 3, 1)] * 3,
    (96, 192, 3, 1),
    *[(192, 192, 3, 1)] * 13,
    (192, 1280, 3, 1),
]
MOBILEONE = [
    (3, 48, 3, 1),
    *[(48, 48, 3, 48), (48, 48, 1, 1)] * 2,
    *[(48, 48, 3, 48), (48, 128, 1, 1)],
    *[(128, 128, 3, 128), (128, 128, 1, 1)] * 7,
    *[(128, 128, 3, 128), (128, 256, 1, 1)],
    *[(256, 256, 3, 256), (256, 256, 1, 1)] * 9,
    *[(256, 256, 3, 256), (256, 1024, 1, 1)],
]
CONVS = {"repvgg_a0": REPVGG, "mobileone_s0": MOBILEONE}


def kinds(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def convs(graph: Graph) -> list[tuple[int, int, int, int]]:
    found = []
    for op in graph.ops():
        if op.kind == "Conv":
            rows, columns, kernel, _ = op.operands[1].shape
            group = op.attributes["group"]
            found.append((columns * group, rows, kernel, group))
    return found


@pytest.mark.parametrize("passes", [PASSES, "merge-branches"])
@pytest.mark.parametrize("name", list(reparam.BUILDERS))
def test_collapses_to_the_deploy_form(name: str, passes: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    onnx.save(reparam.BUILDERS[name](SIZE), path)
    result = convc.optimize(path, passes)
    assert result.verdict is convc.Verdict.EQUAL
    assert kinds(result.graph) == DEPLOYED[name]
    assert convs(result.graph) == CONVS[name]
    biased = sum(op.kind == "Conv" and len(op.operands) == 3 for op in result.graph.ops())
    assert biased == DEPLOYED[name]["Conv"]
    macs = result.before.macs
    assert macs is not None
    assert result.after.macs is not None
    assert result.after.macs < macs


@pytest.mark.parametrize(
    ("build", "millions"),
    # As the papers say: 9.1 and 8.3 (RepVGG), 5.3 and 2.1 (MobileOne) million parameters.
    [(reparam.repvgg_a0, 9.1), (reparam.mobileone_s0, 5.3)],
)
def test_training_form_has_the_parameters_of_the_paper(
    build: Callable[[int], onnx.ModelProto], millions: float
) -> None:
    model = build(SIZE)
    trained = [w for w in model.graph.initializer if not w.name.endswith((".mean", ".variance"))]
    total = sum(int(onnx.numpy_helper.to_array(weight).size) for weight in trained)
    assert round(total / 1e6, 1) == millions


def test_the_weights_are_seeded_and_the_statistics_are_not_neutral() -> None:
    one, other = (reparam.mobileone_s0(32).SerializeToString() for _ in range(2))
    assert one == other
    for weight in reparam.mobileone_s0(32).graph.initializer:
        array = onnx.numpy_helper.to_array(weight)
        if weight.name.endswith((".scale", ".bias", ".mean", ".variance")):
            assert array.std() > 0.1, weight.name
