"""The pass annotate-cost: what it writes, where it stays, and that it stays right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import convc
from convc.api import DEFAULT_PIPELINE
from convc.costs.annotate import PREFIX, SIZES
from convc.costs.report import report
from convc.graph import Graph
from convc.onnx_io import from_bytes, to_bytes
from convc.pipeline import Pipeline
from convc.runtime import Session
from passes import AnnotateCost, FuseConvs
from tests.conftest import sample_models
from tests.tiny import FLOAT, INT64, graph_of, kernel, model, node


def entries(graph: Graph) -> list[dict[str, str]]:
    """The cost entries of all ops, in order."""
    ops = [op for op in graph.ops() if not op.is_boundary and op.array is None]
    return [
        {k.removeprefix(PREFIX): v for k, v in op.metadata.items() if k.startswith(PREFIX)}
        for op in ops
    ]


def truth(graph: Graph) -> list[tuple[str, str]]:
    return [
        ("unknown", cost.unknown) if cost.unknown else ("macs", str(cost.macs))
        for cost in report(graph).ops
    ]


def two_convs() -> Graph:
    nodes = [node("Conv", "x w", "a"), node("Conv", "a v", "b"), node("Relu", "b", "y")]
    return graph_of(model(nodes, {"w": kernel(1, 6, 4, 3, 3), "v": kernel(2, 2, 6, 1, 1)}))


def test_counts_by_hand() -> None:
    graph = two_convs()
    stats = AnnotateCost().run(graph)
    assert (stats.applied, stats.notes["cost written"]) == (3, 3)
    first, second, relu = entries(graph)
    outputs = 10 * 8
    assert first["macs"] == first["multiplications"] == str(outputs * 6 * 4 * 9)
    assert first["additions"] == str(outputs * 6 * (4 * 9 - 1))
    assert first["params"] == str(6 * 4 * 9)
    assert first["read_bytes"] == str(4 * (4 * 12 * 10 + 6 * 4 * 9))
    assert first["write_bytes"] == str(4 * outputs * 6)
    assert second["macs"] == str(outputs * 2 * 6)
    assert (relu["macs"], relu["params"]) == ("0", "0")
    assert AnnotateCost().run(graph).applied == 0


def test_other_metadata_stays() -> None:
    graph = two_convs()
    op = next(op for op in graph.ops() if op.kind == "Relu")
    graph.set_metadata(op, {"author": "me"})
    AnnotateCost().run(graph)
    assert op.metadata["author"] == "me"
    assert PREFIX + "macs" in op.metadata


def test_costs_stay_right_when_a_pass_runs_alone() -> None:
    graph = two_convs()
    AnnotateCost().run(graph)
    assert FuseConvs().run(graph).applied == 1
    fused, _ = entries(graph)
    assert fused["macs"] == str(10 * 8 * 2 * 4 * 9)
    assert len(truth(graph)) == 2


@pytest.mark.parametrize("path", sample_models(), ids=lambda path: path.stem)
def test_costs_stay_right_through_the_default_pipeline(path: Path) -> None:
    graph = convc.load(path)
    AnnotateCost().run(graph)
    Pipeline.parse(DEFAULT_PIPELINE).run(graph)
    found = entries(graph)
    assert len(found) == len(truth(graph))
    for entry, (key, value) in zip(found, truth(graph), strict=True):
        assert entry[key] == value


def test_costs_of_a_file_stay_right_too() -> None:
    graph = two_convs()
    AnnotateCost().run(graph)
    again = from_bytes(to_bytes(graph))
    assert FuseConvs().run(again).applied == 1
    assert [entry["macs"] for entry in entries(again)] == [value for _, value in truth(again)]


def test_sizes_that_the_network_computes_stay_known() -> None:
    """Annotated, written, read and rewritten again: the Reshape's target is found anew."""
    nodes = [
        node("Conv", "x w", "a"),
        node("Conv", "a v", "b"),
        node("Shape", "b", "s"),
        node("Gather", "s i", "t"),
        node("Reshape", "b t", "r"),
        node("Relu", "r", "y"),
    ]
    weights = {
        "w": kernel(1, 6, 4, 3, 3),
        "v": kernel(2, 2, 6, 1, 1),
        "i": np.array([0, 3, 2, 1]),
    }
    graph = graph_of(model(nodes, weights))
    AnnotateCost().run(graph)
    assert not any("unknown" in entry for entry in entries(graph))
    again = from_bytes(to_bytes(graph))
    assert FuseConvs().run(again).applied == 1
    assert not any("unknown" in entry for entry in entries(again))


def test_a_graph_that_is_not_annotated_stays_so() -> None:
    graph = two_convs()
    FuseConvs().run(graph)
    assert not any(entries(graph))


def test_what_is_not_known_is_said() -> None:
    nodes = [
        node("Mystery", "x", "m", domain="com.example"),
        node("NonZero", "x", "n"),
        node("Relu", "m", "y"),
    ]
    graph = graph_of(model(nodes, outputs={"y": FLOAT, "n": INT64}, domains=["com.example"]))
    AnnotateCost().run(graph)
    mystery, nonzero, relu = entries(graph)
    assert list(mystery) == list(nonzero) == list(relu) == ["unknown"]
    assert "no cost rule" in mystery["unknown"]
    assert "Mystery" in relu["unknown"]


def test_exported_metadata_is_there_and_runs(tmp_path: Path) -> None:
    graph = two_convs()
    AnnotateCost().run(graph)
    data = to_bytes(graph)
    nodes = onnx.load_from_string(data).graph.node
    written = [{entry.key: entry.value for entry in n.metadata_props} for n in nodes]
    assert [w[PREFIX + "macs"] for w in written] == [e["macs"] for e in entries(graph)]
    assert Session(data).output_names == ["y"]
    assert entries(from_bytes(data)) == entries(graph)
    said = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
    assert said[SIZES] == "all fixed"
    convc.save(graph, tmp_path / "net.mlir")
    assert 'convc.cost.macs", "17280"' in (tmp_path / "net.mlir").read_text()
