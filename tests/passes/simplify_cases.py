"""Small models in ONNX's text form, and what `simplify` has to do with each."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx.parser

from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, OUTPUT
from convc.onnx_io import from_bytes, to_bytes
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import Stats
from passes.simplify import Simplify
from tests.helpers import check_pass, random_feeds, run_onnx


def graph_of(text: str, opset: int = 17) -> Graph:
    head = f'<ir_version: 8, opset_import: ["": {opset}]>\n'
    return from_bytes(onnx.parser.parse_model(head + text).SerializeToString())


def kinds(graph: Graph) -> list[str]:
    hidden = (INPUT, CONSTANT, OUTPUT)
    return sorted(op.kind for op in graph.ops() if op.kind not in hidden)


def simplify(graph: Graph, *, same_bits: bool = True, **options: int) -> tuple[Stats, Graph]:
    """Simplifies a copy: each rewrite proved, then both run; the bits have to be the same.

    onnxruntime runs most ops from opset 7 on only; what is older is proved, not run.
    """
    if graph.header.opset < 7:
        after = graph.clone()
        stats = Simplify(**options).run(after, Context(prove=prove))
        after.verify()
        return stats, after
    stats, after = check_pass(Simplify(**options), graph, np.random.default_rng(7))
    if same_bits:
        feeds = random_feeds(graph, np.random.default_rng(8))
        before = run_onnx(to_bytes(graph), feeds)
        for old, new in zip(before, run_onnx(to_bytes(after), feeds), strict=True):
            np.testing.assert_array_equal(new, old)
    return stats, after


def assert_simplified(
    text: str, opset: int, notes: dict[str, int], left: list[str], *, same_bits: bool = True
) -> Graph:
    stats, after = simplify(graph_of(text, opset), same_bits=same_bits)
    counted = Counter({k: n for k, n in stats.notes.items() if k != "unused: erased"})
    assert counted == Counter(notes)
    assert stats.residual is not None
    assert kinds(after) == sorted(left)
    return after


def assert_kept(text: str, opset: int, reason: str = "") -> None:
    graph = graph_of(text, opset)
    stats, after = simplify(graph)
    assert set(stats.notes) <= {"equal weights: shared"}
    assert kinds(after) == kinds(graph)
    assert dict(stats.declined) == ({reason: 1} if reason else {})
