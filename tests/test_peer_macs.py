"""MACs beside those of onnx-tool, recorded by `tests/peers/macs.py`, node by node.

Both use the dense convention. onnx-tool counts one MAC more per output where there is a bias: an
addition is no multiply-accumulate, so it is subtracted here before anything is compared.
"""

from __future__ import annotations

import json
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest

from convc.concrete import resolve_shapes
from convc.graph import Graph
from convc.ir import Op
from convc.opset import macs
from convc.sizes import load_runnable
from tests.conftest import real_models
from tests.real_models import sizes_of

RECORDED = Path(__file__).parent / "peers" / "macs.json"
KINDS = ("Conv", "ConvTranspose", "Gemm", "MatMul")

NOT_READ = {
    "audio_silero_vad_16k_op15": "onnx-tool has no rule for the values of an If",
    "audio_silero_vad_op18_ifless": "onnx-tool has no rule for the values of an If",
}

BY_OUTPUTS = (
    "onnx-tool takes a ConvTranspose for a Conv: outputs · K/g · Πk. But it is inputs that are "
    "multiplied by each of the K/g · Πk weights of their channel: inputs · K/g · Πk. The two agree "
    "where input and output have as many elements."
)

DIFFERENCES = {
    ("audio_gtcrn_simple", "ConvTranspose"): (11, BY_OUTPUTS),
    ("lowlight_agllnet_256x256", "ConvTranspose"): (20, BY_OUTPUTS),
    ("lowlight_tbefn_240x320", "ConvTranspose"): (6, BY_OUTPUTS),
    ("ocr_ppocr_mobile_v2_det", "ConvTranspose"): (2, BY_OUTPUTS),
    ("seg_unet_sedgen", "ConvTranspose"): (2, BY_OUTPUTS),
    ("sr_waifu2x_upconv7", "ConvTranspose"): (1, BY_OUTPUTS),
}
"""Model and kind: how many nodes differ, and why."""


@cache
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text())
    return found


def peer_rule(graph: Graph, op: Op) -> int:
    """What onnx-tool computes for a ConvTranspose without its bias."""
    weight, result = op.operand(1), graph.concrete_shape(op.result)
    assert weight is not None
    kernel = graph.concrete_shape(weight)
    assert kernel is not None
    assert result is not None
    return prod(result) * prod(kernel[1:])


def bias_macs(graph: Graph, op: Op) -> int:
    """One per output where there is a bias."""
    result = graph.concrete_shape(op.result)
    assert result is not None
    return 0 if op.operand(2) is None else prod(result)


def test_every_model_is_recorded(shared: Path) -> None:
    assert shared.is_dir()
    models = recorded()["models"]
    assert {path.stem for path in real_models()} == set(models)
    assert recorded()["onnx-tool"] == "1.0.1"
    assert {name for name, entry in models.items() if "error" in entry} == set(NOT_READ)
    for name in NOT_READ:
        assert "If" in models[name]["error"]


@pytest.mark.parametrize("name", sorted(set(recorded()["models"]) - set(NOT_READ)))
def test_macs_are_the_peers(shared: Path, name: str) -> None:
    path = shared / "models" / f"{name}.onnx"
    entry = recorded()["models"][name]
    graph = load_runnable(path, sizes_of(path))
    resolve_shapes(graph)
    for value in graph.inputs:
        assert list(graph.concrete_shape(value) or ()) == entry["inputs"][value.name]
    ops = {op.result.name: op for op in graph.ops() if op.kind in KINDS and not op.domain}
    assert set(ops) == set(entry["macs"])
    differing = dict.fromkeys(KINDS, 0)
    for result, op in ops.items():
        own = macs(graph, op)
        assert own is not None, op
        theirs = entry["macs"][result] - bias_macs(graph, op)
        if own != theirs:
            assert op.kind == "ConvTranspose", op
            assert theirs == peer_rule(graph, op), op
            differing[op.kind] += 1
    explained = {kind: DIFFERENCES.get((name, kind), (0, ""))[0] for kind in KINDS}
    assert differing == explained
