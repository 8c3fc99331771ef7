"""fuse-convs on whole networks: named alone it is right, in choose(...) it never grows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from convc.graph import Graph
from convc.onnx_io import load, to_bytes
from convc.pipeline import Choose, Context, Pipeline
from convc.proof import prove
from convc.reference import evaluate
from convc.rewrite import Rewrite, replaced_ops, size_of
from passes.fuse_convs import FuseConvs
from tests.helpers import compare, random_feeds
from tests.strategies import finished, new_graph, random_conv

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("CONVC_SHARED", ROOT / ".." / "shared")) / "models"
SAMPLES = sorted((ROOT / "models").glob("*.onnx"))
HUGE = {"conv3d_brainchop_mnm_large.onnx", "conv3d_brainchop_model5_gw_ae.onnx"}
NETWORKS = sorted(path for path in SHARED.glob("*.onnx") if path.name not in HUGE)
LARGEST_PROVED = 2_000_000_000
"""MACs of a region and its replacement beyond which the proof takes too long for a test."""

FUSED_SAMPLES = {
    "chain_1d": 1,
    "chain_3d": 1,
    "chain_dilated": 1,
    "chain_expand_project": 1,
    "chain_expand_project_dynamic": 1,
    "chain_grouped": 1,
    "chain_padded": 1,
    "chain_strided": 1,
    "chain_strided_dilated": 1,
    "chain_strided_padded": 1,
    "chain_three": 2,
    "chain_zero_ring": 1,
    "conv_flatten_gemm": 1,
    "conv_then_transpose": 1,
    "depthwise_pointwise": 1,
    "filter_log": 1,
    "gemm_chain": 2,
    "notebook_diagonal": 1,
    "notebook_padded": 1,
    "separable_two": 1,
    "transpose_then_conv": 1,
}
"""Rewrites in the sample models that are there for this pass; what is not listed has none."""

FUSED_NETWORKS = {
    "det_blazeface_back": 32,
    "det_blazeface_front": 16,
    "det_fastestdet": 19,
    "det_yunet_n_320": 29,
    "filter_gaussian_blur_5x5": 1,
    "lmk_facelandmark_mediapipe": 20,
    "lowlight_agllnet_256x256": 8,
    "lowlight_tbefn_240x320": 2,
    "seg_deeplab_v3_1": 1,
}
"""Rewrites in real networks; what is not listed may have any number."""


def named_alone(graph: Graph) -> int:
    """Fuses a copy wherever it is legal, every rewrite proved; compares it, returns how many."""

    def prove_small(before: Graph, rewrite: Rewrite) -> float:
        sizes = (
            size_of(before, replaced_ops(before, rewrite)).macs,
            size_of(rewrite.after, rewrite.after.ops()).macs,
        )
        assert None not in sizes
        return prove(before, rewrite) if sum(s or 0 for s in sizes) <= LARGEST_PROVED else 0.0

    after = graph.clone()
    stats = FuseConvs().run(after, Context(prove=prove_small))
    after.verify()
    if stats.applied:
        feeds = random_feeds(graph, np.random.default_rng(3))
        compare(to_bytes(graph), to_bytes(after), evaluate(graph, feeds), feeds)
    return stats.applied


def chosen(graph: Graph) -> int:
    """Fuses a copy where it pays: by fewer MACs. Returns how many."""
    after = graph.clone()
    before = size_of(after, after.ops())
    (report,) = Pipeline.parse("choose(fuse-convs)").run(after, Context(prove=prove))
    after.verify()
    now = size_of(after, after.ops())
    # chain_strided has 40 % fewer MACs for 64 % more of its few weights.
    assert now.params <= before.params or (now.macs or 0) < (before.macs or 0)
    assert before.macs is None or (now.macs is not None and now.macs <= before.macs)
    return report.stats.applied


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample(path: Path) -> None:
    graph = load(path)
    applied = named_alone(graph)
    assert chosen(graph) <= applied
    if path.stem.startswith("sesr"):
        assert applied >= 5
    else:
        assert applied == FUSED_SAMPLES.get(path.stem, 0)


@pytest.mark.skipif(not NETWORKS, reason="the shared networks are not there (CONVC_SHARED)")
@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_network(path: Path) -> None:
    graph = load(path)
    applied = named_alone(graph)
    chosen(graph)
    assert applied == FUSED_NETWORKS.get(path.stem, applied)


@pytest.mark.parametrize(
    "name", ["chain_expand_project", "chain_expand_project_dynamic", "sesr_m5_x2"]
)
def test_what_pays_is_chosen(name: str) -> None:
    graph = load(ROOT / "models" / f"{name}.onnx")
    assert chosen(graph) >= 1


def test_a_border_map_pays_since_its_equal_rows_are_stored_once() -> None:
    build, x = new_graph((1, 16, 64, 64))
    x = random_conv(build, x, 64, (1, 1))
    graph = finished(build, random_conv(build, x, 16, (3, 3), pads=1))
    assert chosen(graph) == 1


def test_what_does_not_pay_is_left_with_a_reason() -> None:
    graph = load(ROOT / "models" / "depthwise_pointwise.onnx")
    stats = Choose((FuseConvs(),)).run(graph)
    assert stats.applied == 0
    assert stats.declined == {"does not pay by the objective": 1}
