"""Names in the files that are written: a result that nobody uses has one where it must."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, NodeProto, helper

from convc.graph import Graph
from convc.ir import Array
from convc.onnx_io import from_bytes, to_bytes
from tests.onnx_helpers import info, model, run, weight

NODE = helper.make_node
ROOT = Path(__file__).parent.parent
X = np.arange(24, dtype=np.float32).reshape(4, 6)

CHILD = """
import sys
import numpy as np
from tests.onnx_helpers import run
np.savez(sys.argv[3], *run(sys.argv[1], {"x": np.load(sys.argv[2])}))
"""


def body(stem: str, *kinds: str) -> GraphProto:
    """A branch of an If, with one result for each kind."""
    nodes = [NODE(kind, ["x"], [f"{stem}_{i}"]) for i, kind in enumerate(kinds)]
    return helper.make_graph(nodes, stem, [], [info(n.output[0], (4, 6)) for n in nodes])


SPLIT = NODE("Split", ["x"], ["a", "y", "b", "c"], axis=0, num_outputs=4)
TOP = NODE("TopK", ["x", "k"], ["y", "a"])
EITHER = NODE(
    "If", ["on"], ["a", "y"],
    then_branch=body("then", "Neg", "Abs"), else_branch=body("else", "Abs", "Neg"),
)  # fmt: skip


def nameless(node: NodeProto, *more: NodeProto, domains: tuple[str, ...] = ()) -> Graph:
    """A model with the result ``y``; what nobody uses has lost its name."""
    made = model(
        [node, *more],
        [info("x", (4, 6))],
        [info("y", None)],
        [weight("on", np.array(True)), weight("k", np.array([2]))],
        opset=18,
        domains=dict.fromkeys(domains, 1),
    )
    graph = from_bytes(made.SerializeToString())
    for op in graph.ops():
        for result in op.results:
            if not graph.uses(result):
                result.name = ""
    return graph


def exported(graph: Graph) -> GraphProto:
    model_: ModelProto = ModelProto.FromString(to_bytes(graph))
    return model_.graph


@pytest.mark.parametrize(
    ("node", "expected"),
    [(SPLIT, X[1:2]), (TOP, X[:, :-3:-1]), (EITHER, X)],
    ids=lambda case: case.op_type if isinstance(case, NodeProto) else "",
)
def test_results_that_a_runtime_insists_on_have_names(
    node: NodeProto, expected: Array, tmp_path: Path
) -> None:
    graph = nameless(node)
    (written,) = exported(graph).node
    assert len(written.output) == len(node.output)
    assert all(written.output)
    assert len(set(written.output)) == len(node.output)
    path, feed, result = (tmp_path / name for name in ("m.onnx", "x.npy", "y.npz"))
    path.write_bytes(to_bytes(graph))
    np.save(feed, X)
    # A runtime that crashes on the file shall fail this test and not end all others.
    command = [sys.executable, "-c", CHILD, str(path), str(feed), str(result)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)
    with np.load(result) as outputs:
        assert np.array_equal(outputs["arr_0"], expected)


def test_these_names_are_not_taken_from_others() -> None:
    """``Split_0`` is what the first result would be called, and another value has that name."""
    graph = nameless(SPLIT, NODE("Relu", ["x"], ["Split_0"]), NODE("Neg", ["Split_0"], ["z"]))
    names = [name for node in exported(graph).node for name in node.output]
    assert all(names)
    assert len(set(names)) == len(names) == 6


def test_optional_results_and_those_of_unknown_operators_stay_omitted() -> None:
    gate = NODE("Gate", ["x"], ["", "y"], domain="somebody.else")
    (written,) = exported(nameless(gate, domains=("somebody.else",))).node
    assert list(written.output) == ["", "y"]
    drop = NODE("Dropout", ["x"], ["y", "mask"])
    (written,) = exported(nameless(drop)).node
    assert list(written.output) == ["y", ""]


def test_a_weight_that_nobody_uses_and_that_has_no_name_is_not_written() -> None:
    graph = nameless(SPLIT)
    assert not exported(graph).initializer
    graph.add_constant(np.ones(3), "kept")
    assert [tensor.name for tensor in exported(graph).initializer] == ["kept"]


def test_no_two_nodes_of_one_name() -> None:
    """onnxruntime refuses such a file; inside a graph names may repeat."""
    nodes = [NODE("Neg", ["x"], ["a"], "n"), NODE("Abs", ["a"], ["y"], "m")]
    graph = from_bytes(model(nodes, [info("x", (4, 6))], [info("y", None)]).SerializeToString())
    for op in graph.ops():
        if not op.is_boundary:
            op.name = "same"
    written = to_bytes(graph)
    assert [n.name for n in ModelProto.FromString(written).graph.node] == ["same", "same_1"]
    np.testing.assert_array_equal(run(written, {"x": X})[0], X)
