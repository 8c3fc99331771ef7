"""What the tests of passes share: running models, feeding them, and checking a pass on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnxruntime as ort

from convc.graph import Graph
from convc.ir import Array, Op, TensorType
from convc.onnx_io import from_bytes, to_bytes
from convc.pipeline import Context, Pass
from convc.proof import prove
from convc.reference import evaluate
from convc.rewrite import Stats

UNIT = 2.0**-24
"""Unit roundoff of float32."""


def run_onnx(model: Graph | bytes, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs of a model in onnxruntime, optimisations off, one thread."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    data = to_bytes(model) if isinstance(model, Graph) else model
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


def random_feeds(
    graph: Graph, rng: np.random.Generator, sizes: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """Signed noise for each input; open dims at ``sizes`` or at the graph's own."""
    known = {**graph.sizes, **(sizes or {})}
    feeds: dict[str, Array] = {}
    for value in graph.inputs:
        assert isinstance(value.type, TensorType)
        assert value.type.shape is not None
        shape = [known[d] if isinstance(d, str) else d for d in value.type.shape]
        dtype = value.type.dtype
        if dtype.kind == "f":
            feeds[value.name] = rng.standard_normal(shape).astype(dtype)
        else:
            feeds[value.name] = rng.integers(0, 2, shape).astype(dtype)
    return feeds


def magnitude(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
    """Σ|w|·|x| for each output of a graph of convs, products, sums and copies.

    Rounding errors of such a graph are at most (number of terms summed) · u times this, and the
    weights composed from it are at most those that are composed from the absolute values.
    """
    part = Graph(graph.header, graph.sizes)
    copies = {v: part.add_input(v.name, v.type) for v in graph.inputs}
    for op in graph.ops():
        if op is graph.output or op.result in copies:
            continue
        if op.array is not None:
            array = np.asarray(np.abs(op.array)) if op.array.dtype.kind == "f" else op.array
            copies[op.result] = part.add_constant(array)
            continue
        operands = [None if v is None else copies[v] for v in op.operands]
        types = [v.type for v in op.results]
        attributes = {
            name: abs(value) if isinstance(value, float) else value
            for name, value in op.attributes.items()
        }
        copy = part.add(op.kind, operands, attributes, types=types, domain=op.domain)
        copies.update(zip(op.results, copy.results, strict=True))
    part.set_outputs([copies[v] for v in graph.outputs], graph.output_names)
    return evaluate(part, {name: np.abs(array) for name, array in feeds.items()})


def summands(graph: Graph) -> int:
    """At least the number of roundings on any path from an input to an output."""
    return sum(_terms(op) for op in graph.ops())


def _terms(op: Op) -> int:
    """Products summed for one output, what is added to them, and Gemm's two factors."""
    if op.kind not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 1
    shape = op.operands[1].shape
    if op.kind == "ConvTranspose":
        return shape[0] // op.attributes.get("group", 1) * prod(shape[2:]) + 1
    if op.kind == "Conv":
        return prod(shape[1:]) + 1
    return shape[1 if op.attributes.get("transB") else 0] + (3 if op.kind == "Gemm" else 1)


def check_linear(pass_: Pass, graph: Graph, rng: np.random.Generator) -> tuple[Stats, Graph]:
    """Runs a pass on a copy of a graph of convs, products, sums and copies; returns the copy.

    Every rewrite is proved, the graph verified. In onnxruntime the two differ by no more than
    rounding: a sum of n terms errs by at most n·u·Σ|w||x|, before as after, and the cast of the
    new weights adds one u. Open dims are tried at two sizes.
    """
    after = graph.clone()
    stats = pass_.run(after, Context(prove=prove))
    after.verify()
    if not stats.applied:
        return stats, after
    old, new = to_bytes(graph), to_bytes(after)
    for more in (0, 3) if graph.sizes else (0,):
        feeds = random_feeds(graph, rng, {name: size + more for name, size in graph.sizes.items()})
        factor = (summands(graph) + summands(after) + 1) * UNIT
        results = zip(run_onnx(old, feeds), run_onnx(new, feeds), strict=True)
        for (one, other), scale in zip(results, magnitude(graph, feeds), strict=True):
            assert one.shape == other.shape
            assert (np.abs(one.astype(np.float64) - other) <= factor * scale).all()
    return stats, after


def check_pass(
    pass_: Pass,
    graph: Graph,
    rng: np.random.Generator,
    sizes: Sequence[Mapping[str, int]] = ({},),
) -> tuple[Stats, Graph]:
    """Runs a pass on a copy of ``graph``; every rewrite is proved, the graph verified.

    The exported models are compared in onnxruntime at each of ``sizes``: the copy's largest error
    against float64 is at most four times the original's own, above a floor of 64 u of the
    largest magnitude (√n·u for sums of n = 4096 terms).
    """
    after = graph.clone()
    stats = pass_.run(after, Context(prove=prove))
    after.verify()
    if stats.applied:
        before_bytes, after_bytes = to_bytes(graph), to_bytes(after)
        assert len(from_bytes(after_bytes)) > 0
        for chosen in sizes:
            feeds = random_feeds(graph, rng, chosen)
            compare(before_bytes, after_bytes, evaluate(graph, feeds), feeds)
    return stats, after


def compare(
    before: bytes, after: bytes, exact: Sequence[Array], feeds: Mapping[str, Array]
) -> None:
    """Asserts that ``after`` is as near to ``exact`` as ``before`` is; see `check_pass`."""
    olds, news = run_onnx(before, feeds), run_onnx(after, feeds)
    for old, new, truth in zip(olds, news, exact, strict=True):
        assert old.shape == new.shape
        assert old.dtype == new.dtype
        if old.dtype.kind != "f" or not old.size:
            np.testing.assert_array_equal(new, old)
            continue
        unit = UNIT * 2 ** (24 - np.finfo(old.dtype).nmant - 1)
        error, own = (np.abs(result - truth).max() for result in (new, old))
        assert error <= 4 * own + 64 * unit * np.abs(truth).max()
