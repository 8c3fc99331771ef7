"""A network that shows a finding, made smaller while it still shows the same kind of finding."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, helper, numpy_helper

from convc.pipeline import Choose, Pipeline
from tests.fuzz.generate import Network, feeds
from tests.fuzz.oracle import dtype_of, session
from tests.fuzz.plans import Plan


@dataclass(frozen=True)
class Failure:
    """A network, and what is done to it; no plan where reading it is enough."""

    network: Network
    plan: Plan | None

    def smaller(self, model: ModelProto) -> Failure:
        return replace(self, network=as_network(model, self.network.dims, self.network.others))


Test = Callable[[Failure], bool]


def as_network(
    model: ModelProto,
    dims: Mapping[str, int] | None = None,
    others: Mapping[str, int] | None = None,
) -> Network:
    """A model from elsewhere as a network; open dims have size 4 where nothing is said of them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    names: dict[str, int] = {}
    shapes = {}
    for entry in model.graph.input:
        if entry.name in weights:
            continue
        sizes = entry.type.tensor_type.shape.dim
        names |= {d.dim_param: (dims or {}).get(d.dim_param, 4) for d in sizes if d.dim_param}
        shapes[entry.name] = tuple(
            names[d.dim_param] if d.dim_param else d.dim_value for d in sizes
        )
    other = {name: size for name, size in (others or {}).items() if name in names}
    return Network(model, shapes, names, other)


def shrink(failure: Failure, fails: Test, seconds: float = 60.0) -> Failure:
    """The smallest failure found in that time by taking one thing away after the other."""
    end = time.monotonic() + seconds
    found = True
    while found and time.monotonic() < end:
        found = False
        for candidates in (_plans, _ends, _starts, _bypasses, _unused, _details, _sizes):
            again = True
            while again and time.monotonic() < end:
                again = False
                for candidate in candidates(failure):
                    if time.monotonic() > end:
                        break
                    if fails(candidate):
                        failure, found, again = candidate, True, True
                        break
    return failure


def _plans(failure: Failure) -> Iterator[Failure]:
    """Fewer passes, no options, no choice, no proofs."""
    plan = failure.plan
    if plan is None:
        return
    simpler = [
        replace(plan, chance=None),
        replace(plan, proved=False),
        replace(plan, compared=False),
    ]
    passes = Pipeline.parse(plan.passes).passes
    for i, item in enumerate(passes):
        without = [*passes[:i], *passes[i + 1 :]]
        if without:
            simpler.append(replace(plan, passes=str(Pipeline(without))))
        inner = item.passes if isinstance(item, Choose) else ()
        for j in range(len(inner)):
            fewer = Choose((*inner[:j], *inner[j + 1 :]))
            if fewer.passes:
                text = str(Pipeline([*passes[:i], fewer, *passes[i + 1 :]]))
                simpler.append(replace(plan, passes=text))
        if len(inner) == 1:
            text = str(Pipeline([*passes[:i], inner[0], *passes[i + 1 :]]))
            simpler.append(replace(plan, passes=text))
        if "{" in str(item) and not inner:
            text = str(Pipeline([*passes[:i], type(item)(), *passes[i + 1 :]]))
            simpler.append(replace(plan, passes=text))
    yield from (replace(failure, plan=p) for p in simpler if p != plan)


def _copy(failure: Failure) -> tuple[ModelProto, GraphProto]:
    model = ModelProto()
    model.CopyFrom(failure.network.model)
    return model, model.graph


def _values(failure: Failure) -> dict[str, np.ndarray[Any, Any]]:
    """All values of the network's nodes on noise, as onnxruntime computes them."""
    model, graph = _copy(failure)
    names = [name for node in graph.node for name in node.output if name]
    del graph.output[:]
    graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    given = feeds(failure.network.shapes, dtype_of(model), "noise", 0)
    try:
        made = session(model.SerializeToString()).run(None, given)
    except Exception:  # onnxruntime's errors share no public base class
        return {}
    return dict(zip(names, made, strict=True))


def _result(name: str, array: np.ndarray[Any, Any]) -> Any:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, [None] * array.ndim)


def _ends(failure: Failure) -> Iterator[Failure]:
    """Fewer outputs; another value as the only output, so that what follows it may go."""
    outputs = failure.network.model.graph.output
    for i in range(len(outputs)):
        if len(outputs) > 1:
            model, graph = _copy(failure)
            del graph.output[i]
            yield failure.smaller(_cleaned(model))
    names = {entry.name for entry in outputs}
    for name, array in _values(failure).items():
        if len(outputs) > 1 or name in names:
            continue
        model, graph = _copy(failure)
        del graph.output[:]
        graph.output.append(_result(name, array))
        small = _cleaned(model)
        if len(small.graph.node) < len(failure.network.model.graph.node):
            yield failure.smaller(small)


def _starts(failure: Failure) -> Iterator[Failure]:
    """A value as an input, so that what leads to it may go; the last ones first."""
    values = _values(failure)
    wanted = dtype_of(failure.network.model)
    for name in reversed(values):
        array = values[name]
        if array.dtype != wanted or not array.ndim:
            continue
        model, graph = _copy(failure)
        for node in graph.node:
            for i, output in enumerate(node.output):
                if output == name:
                    node.output[i] = f"{name}_unused"
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
        small = _cleaned(model)
        if len(small.graph.node) < len(failure.network.model.graph.node):
            yield failure.smaller(small)


def _bypasses(failure: Failure) -> Iterator[Failure]:
    """A node left out: who reads its result reads one of its operands."""
    values = _values(failure)
    shapes = {name: array.shape for name, array in values.items()} | dict(failure.network.shapes)
    for i, node in enumerate(failure.network.model.graph.node):
        for operand in dict.fromkeys(node.input):
            if len(node.output) != 1 or shapes.get(operand) != shapes.get(node.output[0], ()):
                continue
            model, graph = _copy(failure)
            name = node.output[0]
            del graph.node[i]
            for user in graph.node:
                for j, read in enumerate(user.input):
                    if read == name:
                        user.input[j] = operand
            if name not in {entry.name for entry in graph.output}:
                yield failure.smaller(_cleaned(model))


def _unused(failure: Failure) -> Iterator[Failure]:
    """Nodes that nobody needs, all or one; constants as initialisers."""
    model, graph = _copy(failure)
    plain = _cleaned(model)
    if len(plain.graph.node) < len(failure.network.model.graph.node):
        yield failure.smaller(plain)
    for i, node in enumerate(failure.network.model.graph.node):
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            model, graph = _copy(failure)
            tensor = graph.node[i].attribute[0].t
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            del graph.node[i]
            yield failure.smaller(model)


def _details(failure: Failure) -> Iterator[Failure]:
    """Attributes and last operands left out, open dims fixed, weights that are plainer."""
    source = failure.network.model.graph
    if failure.network.dims:
        model, graph = _copy(failure)
        for entry in graph.input:
            for dim in entry.type.tensor_type.shape.dim:
                if dim.dim_param:
                    dim.dim_value = failure.network.dims[dim.dim_param]
        yield failure.smaller(model)
    for i, node in enumerate(source.node):
        for j, attribute in enumerate(node.attribute):
            if attribute.type not in (AttributeProto.GRAPH, AttributeProto.TENSOR):
                model, graph = _copy(failure)
                del graph.node[i].attribute[j]
                yield failure.smaller(model)
        if len(node.input) > 2:
            model, graph = _copy(failure)
            del graph.node[i].input[-1]
            yield failure.smaller(_cleaned(model))
    for i, tensor in enumerate(source.initializer):
        array = numpy_helper.to_array(tensor)
        for plainer in _plainer(array):
            model, graph = _copy(failure)
            graph.initializer[i].CopyFrom(numpy_helper.from_array(plainer, tensor.name))
            yield failure.smaller(model)


def _plainer(array: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    if array.dtype.kind != "f" or array.size < 2:
        return
    for plain in (np.ones_like(array), np.round(array * 4).astype(array.dtype) / 4):
        if not np.array_equal(plain, array) and not np.array_equal(array, np.ones_like(array)):
            yield plain.astype(array.dtype)


def _sizes(failure: Failure) -> Iterator[Failure]:
    """One size made smaller wherever it occurs: channels and their weights go together."""
    source = failure.network.model.graph
    sizes = {d for tensor in source.initializer for d in tensor.dims if d > 1}
    sizes |= {d for shape in failure.network.shapes.values() for d in shape if d > 1}
    for size in sorted(sizes, reverse=True):
        for smaller in sorted({1, 2, size // 2, size - 1} - {0, size}):
            if smaller < size:
                yield failure.smaller(_resized(failure, size, smaller, weights=True))
                yield failure.smaller(_resized(failure, size, smaller, weights=False))


def _resized(failure: Failure, size: int, smaller: int, *, weights: bool) -> ModelProto:
    model, graph = _copy(failure)
    for entry in graph.input:
        for dim in entry.type.tensor_type.shape.dim:
            if dim.dim_value == size:
                dim.dim_value = smaller
    for tensor in graph.initializer if weights else ():
        if size in tensor.dims:
            array = numpy_helper.to_array(tensor)
            cut = array[tuple(slice(smaller if d == size else d) for d in array.shape)]
            tensor.CopyFrom(numpy_helper.from_array(cut.copy(), tensor.name))
    for entry in graph.output:
        for dim in entry.type.tensor_type.shape.dim:
            dim.Clear()
    return model


def _cleaned(model: ModelProto) -> ModelProto:
    """The model without nodes, weights and inputs that nobody needs."""
    graph = model.graph
    needed = {entry.name for entry in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_read(node))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
    del graph.node[:]
    graph.node.extend(nodes)
    for field in (graph.initializer, graph.input):
        entries = [entry for entry in field if entry.name in needed]
        copies = [type(entry).FromString(entry.SerializeToString()) for entry in entries]
        del field[:]
        field.extend(copies)
    for entry in graph.output:
        # What was declared need not hold any more.
        for dim in entry.type.tensor_type.shape.dim:
            dim.Clear()
    return model


def _read(node: onnx.NodeProto) -> set[str]:
    """Names that a node and its bodies read."""
    names = set(node.input)
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            names.update(*(_read(inner) for inner in attribute.g.node))
            names.update(entry.name for entry in attribute.g.output)
    return names


def sizes_of(model: ModelProto) -> str:
    """How large a model is, in words."""
    kinds = [node.op_type for node in model.graph.node if node.op_type != "Constant"]
    largest = max((max(t.dims, default=1) for t in model.graph.initializer), default=1)
    return f"{len(kinds)} nodes ({', '.join(kinds)}), largest size {largest}"
