"""Networks for select-channels, what their layers observe, and what every selection must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convc.algebra.moments import Gathering, Moments, white
from convc.approximate.layers import patches, places, read_layer, responses
from convc.build import Builder
from convc.forms import Observe
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.reference import evaluate
from convc.rewrite import Exactness, Rewrite, apply
from passes._regions.layers import alpha, canonical
from passes._regions.links import read
from passes.select_channels import SelectChannels
from tests.helpers import run_onnx

F32 = np.dtype(np.float32)
Feeds = Mapping[str, Array]


def images(rng: np.random.Generator, count: int, channels: int = 3, size: int = 12) -> Feeds:
    """Inputs whose neighbours and channels are alike, as those of images are."""
    noise = rng.standard_normal((count, channels, size + 2, size + 2))
    smooth = sum(
        noise[:, :, i : i + size, j : j + size] for i in range(3) for j in range(3)
    ) + noise.mean(axis=(1, 2, 3), keepdims=True)
    return {"x": (smooth + smooth.mean(axis=1, keepdims=True)).astype(F32)}


def conv(
    build: Builder,
    rng: np.random.Generator,
    x: Value,
    outputs: int,
    name: str,
    *,
    kernel: int = 3,
    **attributes: int,
) -> Value:
    """A conv that keeps the size, with a bias; its result has the name."""
    assert x.shape is not None
    assert isinstance(x.shape[1], int)
    inputs = x.shape[1] // attributes.get("group", 1)
    w = rng.standard_normal((outputs, inputs, kernel, kernel)) / np.sqrt(inputs * kernel**2)
    b = rng.standard_normal(outputs) / 2
    operands = [x, build.constant(w.astype(x.dtype)), build.constant(b.astype(x.dtype))]
    result = build.op("Conv", operands, {"pads": (kernel // 2,) * 4, **attributes}, name=name)
    result.op.name = f"node of {name}"  # layers are known by their results, not by this
    return result


def relu(build: Builder, x: Value) -> Value:
    return build.op("Relu", (x,))


def named(graph: Graph, name: str) -> Op:
    """The op that makes the value of that name."""
    (found,) = [op for op in graph.ops() if op.results and op.result.name == name]
    return found


def observing(
    graph: Graph, reference: Graph, feeds: Feeds, kept: Mapping[str, Sequence[int]] | None = None
) -> Observe:
    """What layers of ``graph`` read on ``feeds``, and what those of ``reference`` gave."""

    def observe(op: Op) -> Moments:
        layer = read_layer(op)
        (data,) = evaluate(graph, feeds, [layer.data])
        (wanted,) = evaluate(reference, feeds, [named(reference, op.result.name).result])
        wanted = wanted[:, (kept or {}).get(op.result.name, range(wanted.shape[1]))]
        where = np.arange(places(layer, wanted.shape))
        gathering = Gathering(layer.group, layer.width, layer.outputs)
        gathering.add(patches(layer, data, wanted.shape, where), responses(layer, wanted, where))
        return gathering.moments()

    return observe


def observing_weights(graph: Graph) -> Observe:
    """What layers tell without data."""

    def observe(op: Op) -> Moments:
        link = read(graph, op)
        assert link is not None
        kernel = alpha(link.layer) * np.asarray(canonical(link.layer), np.float64)
        return white(kernel, link.layer.group)

    return observe


def forms(graph: Graph, name: str, block: int = 4) -> list[str]:
    """The names of the forms that a layer may take."""
    offered = SelectChannels(block).approximations(graph, named(graph, name))
    return [form.name for form in offered]


def propose(graph: Graph, name: str, count: int, observe: Observe, block: int = 4) -> Rewrite:
    """The proposal to keep ``count`` channels of a layer."""
    op = named(graph, name)
    offered = SelectChannels(block).approximations(graph, op)
    (form,) = [form for form in offered if form.name == f"select {count}"]
    return form.function(graph, op, observe)


def select(
    graph: Graph, name: str, count: int, feeds: Feeds, block: int = 4
) -> tuple[Rewrite, Graph]:
    """The proposal, and a copy of the graph with it; what must hold of any is asserted."""
    after = graph.clone()
    rewrite = propose(after, name, count, observing(after, graph, feeds), block)
    apply(after, rewrite)
    check(graph, after, rewrite, feeds)
    made = named(graph, name).result.shape
    assert made is not None
    assert rewrite.note == f"{made[1]} → {count} channels"
    return rewrite, after


def check(before: Graph, after: Graph, rewrite: Rewrite, feeds: Feeds) -> None:
    """The graph is right, runs, its layers have their names, and those that lost filters say so."""
    after.verify()
    assert rewrite.exactness is Exactness.APPROXIMATE
    for one, other in zip(run_onnx(before, feeds), run_onnx(after, feeds), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
    layers = [op for op in before.ops() if op.kind in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    assert rewrite.kept
    for op in layers:
        new = named(after, op.result.name)
        left = rewrite.kept.get(op.result.name)
        assert op.result.shape is not None
        count = op.result.shape[1]
        assert new.result.shape == (
            op.result.shape[0], count if left is None else len(left), *op.result.shape[2:],
        )  # fmt: skip
        assert left is None or (list(left) == sorted(set(left)) and max(left) < count)


def filters(graph: Graph, name: str) -> Array:
    """The weights of a layer."""
    value = named(graph, name).operand(1)
    assert value is not None
    assert value.array is not None
    return value.array


def error(before: Graph, after: Graph, feeds: Feeds) -> float:
    """Relative squared error of the first output, its channels' means taken off."""
    old, new = (evaluate(graph, feeds)[0] for graph in (before, after))
    axes = tuple(axis for axis in range(old.ndim) if axis != 1)
    varying = old - old.mean(axis=axes, keepdims=True)
    return float(np.square(new - old).sum() / np.square(varying).sum())
