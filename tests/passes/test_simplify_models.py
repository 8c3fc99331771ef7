"""`simplify` on real networks: the same bits, or an error like the original's own."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from convc.graph import Graph
from convc.ir import Array
from convc.onnx_io import load, refresh_types, to_bytes
from convc.reference import evaluate
from passes.simplify import Simplify
from tests.helpers import UNIT, random_feeds, run_onnx
from tests.passes.simplify_cases import graph_of

SHARED = Path(os.environ.get("CONVC_SHARED", Path(__file__).parents[2] / "../shared"))
MODELS = sorted((SHARED / "models").glob("*.onnx"))

VOLUMES = ("conv3d_brainchop_meshnet_30_3class", "conv3d_brainchop_mnm_large")
"""256³ voxels: too large for a test."""

ROUNDED = ("cls_mnist8", "ocr_en_number_rec")
"""Where onnxruntime packs weights that only folding made constant, and so rounds differently."""

UNKNOWN = {
    "audio_silero_vad_16k_op15": 14,  # all behind an If
    "det_yunet_s_dynamic": 18,  # Reshape to computed sizes
    "ocr_en_number_rec": 4,  # Tile by a computed batch size
    "pose_bodypix_mnv1_050_s16": 1,  # Reshape to computed sizes
}
"""Values left without a known shape; everywhere else there are none."""


def feeds_of(name: str, graph: Graph) -> dict[str, Array]:
    sizes = {"sequence": 512} if "silero_vad_16k" in name else {}
    feeds = random_feeds(graph, np.random.default_rng(0), sizes)
    if "sr" in feeds:
        feeds["sr"] = np.array(16000, np.int64)
    return feeds


def unknown(graph: Graph) -> int:
    values = (value for op in graph.ops() for value in op.results)
    return sum(graph.concrete_shape(value) is None for value in values)


@pytest.mark.parametrize("path", MODELS, ids=[path.stem for path in MODELS])
def test_real_networks(path: Path) -> None:
    if path.stem in VOLUMES:
        pytest.skip("256³ voxels are too large for a test")
    graph = load(path)
    after = graph.clone()
    Simplify().run(after)
    after.verify()
    assert unknown(after) == UNKNOWN.get(path.stem, 0)
    assert Simplify().run(after).applied == 0
    feeds = feeds_of(path.stem, graph)
    before = run_onnx(to_bytes(graph), feeds)
    results = run_onnx(to_bytes(after), feeds)
    if path.stem not in ROUNDED:
        for old, new in zip(before, results, strict=True):
            np.testing.assert_array_equal(new, old)
        return
    for old, new, exact in zip(before, results, evaluate(graph, feeds), strict=True):
        # √n · u for sums of n = 4096 terms, where the original happens to have no error.
        floor = 64 * UNIT * np.abs(exact).max()
        assert np.abs(new - exact).max() <= 4 * np.abs(old - exact).max() + floor


@pytest.mark.skipif(not MODELS, reason="no shared models: set CONVC_SHARED")
def test_the_shared_models_are_there() -> None:
    assert len(MODELS) >= 50


def test_refresh_fills_in_what_became_known_and_keeps_the_rest() -> None:
    text = """agraph (float[N,3,8,6] x, int64[4] s) => (float[a,b,c,d] y, float[e,f,g,h] z) {
        y = Resize(x, , , s) z = Relu(y) }"""
    graph = graph_of(text)
    x = graph.inputs[0]
    assert refresh_types(graph) == 0
    fixed = graph.add_constant(np.array([1, 3, 16, 12], np.int64))
    graph.replace_uses(graph.inputs[1], fixed)
    assert refresh_types(graph) == 2
    assert [value.shape for value in graph.outputs] == [(1, 3, 16, 12), (1, 3, 16, 12)]
    assert x.shape == ("N", 3, 8, 6)
    assert refresh_types(graph) == 0


def test_refresh_gives_open_dims_a_size() -> None:
    text = """agraph (float[N,3,8,6] x, float[4] f) => (float[a,b,c,d] y) {
        y = Resize(x, , f) }"""
    graph = graph_of(text)
    graph.sizes["N"] = 5
    factors = graph.add_constant(np.array([1, 1, 2, 0.5], np.float32))
    graph.replace_uses(graph.inputs[1], factors)
    refresh_types(graph)
    (y,) = graph.outputs
    assert graph.concrete_shape(y) == (5, 3, 16, 3)
    assert y.shape is not None
    assert y.shape[1:] == (3, 16, 3)
    assert isinstance(y.shape[0], str)
