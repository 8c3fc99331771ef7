"""Shapes that onnx's inference gets wrong, as onnxruntime computes them.

- A pool with ``ceil_mode`` whose last window would start behind the data, in the padding at the
  end: runtimes leave it out, inference counts it.
- A ConvTranspose with ``output_shape``: inference forgets the spatial axes.
- A Resize or Upsample by scales: runtimes multiply in single precision, where 10 · 1.3 is 13;
  inference does in double, where it is below, and rounds down.

A wrong shape goes on into all that follows, so inference is run again, with such a node hidden from
it and the right type said for its result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TensorShapeProto,
    TypeProto,
    helper,
    numpy_helper,
)

from convc.kernels.support import KernelError
from convc.kernels.windows import resolve_pool
from convc.onnx_io.windows import POOLS

HIDDEN = "convc.hidden"
"""A domain of which inference knows nothing."""

LARGE = 2**20
"""Stands for a size that is not known, while others are looked at."""

MOST_ROUNDS = 16
"""Times that inference is run again; mistakes behind so many others are hidden without a type."""

Dim: TypeAlias = TensorShapeProto.Dimension
Types: TypeAlias = Mapping[str, TypeProto]
Tensors: TypeAlias = Mapping[str, TensorProto]
Attributes: TypeAlias = Mapping[str, AttributeProto]


def corrected(model: ModelProto, types: Types, rounds: int = 0) -> ModelProto | None:
    """A copy of the model with the first mistakes hidden from inference; None where there is none.

    Args:
        model: what inference was run on.
        types: what it found, by name of the value; inputs and weights included.
        rounds: times that this was done before.
    """
    tensors = {tensor.name: tensor for tensor in _constants(model)}
    found: dict[int, TypeProto] = {}
    behind: set[str] = set()  # what follows a mistake is judged the next time
    for i, node in enumerate(model.graph.node):
        right = right_type(node, types, tensors)
        if behind.intersection(node.input):
            behind.update(node.output)
        elif right is not None:
            found[i] = right
            behind.update(node.output)
    if not found:
        return None
    copy = ModelProto()
    copy.CopyFrom(model)
    if rounds == 0:
        copy.opset_import.add(domain=HIDDEN, version=1)
    # What the file says of later shapes may come from the same inference.
    for entry in (*copy.graph.value_info, *copy.graph.output):
        if entry.name in behind and entry.type.HasField("tensor_type"):
            entry.type.tensor_type.ClearField("shape")
    for i, right in found.items():
        node = copy.graph.node[i]
        node.domain = HIDDEN
        said = [entry for entry in copy.graph.value_info if entry.name not in node.output]
        del copy.graph.value_info[:]
        copy.graph.value_info.extend(said)
        for name in filter(None, node.output) if rounds < MOST_ROUNDS else ():
            copy.graph.value_info.append(helper.make_value_info(name, right))
        for entry in copy.graph.output:
            if entry.name in node.output:
                entry.type.CopyFrom(right)
    return copy


def _constants(model: ModelProto) -> Iterator[TensorProto]:
    """Weights, and the values of Constant nodes under the names of their results."""
    yield from model.graph.initializer
    for node in model.graph.node:
        if node.op_type == "Constant" and not node.domain and node.output:
            for attribute in node.attribute:
                if attribute.name == "value":
                    tensor = TensorProto()
                    tensor.CopyFrom(attribute.t)
                    tensor.name = node.output[0]
                    yield tensor
                elif attribute.name == "value_floats":
                    yield numpy_helper.from_array(
                        np.array(attribute.floats, np.float32), node.output[0]
                    )


def right_type(node: NodeProto, types: Types, tensors: Tensors) -> TypeProto | None:
    """The type of a node's results where that in ``types`` is wrong, else None.

    ``tensors`` are the weights, without data where they are large.
    """
    if node.domain or not node.output or node.output[0] not in types:
        return None
    told = types[node.output[0]]
    shapes = [
        list(types[name].tensor_type.shape.dim) if name in types else [] for name in node.input
    ]
    given = {attribute.name: attribute for attribute in node.attribute}
    ceiled = "kernel_shape" in given and "ceil_mode" in given and given["ceil_mode"].i
    if node.op_type in POOLS and ceiled:
        right = _pooled(given, shapes[0], list(told.tensor_type.shape.dim))
    elif node.op_type == "ConvTranspose" and "output_shape" in given:
        right = _transposed(given, *shapes[:2])
    elif node.op_type in ("Resize", "Upsample"):
        right = _resized(given, shapes[0], list(told.tensor_type.shape.dim), _scales(node, tensors))
    else:
        return None
    if right is None or [_key(d) for d in right] == [_key(d) for d in told.tensor_type.shape.dim]:
        return None
    made = TypeProto()
    made.CopyFrom(told)
    made.tensor_type.shape.CopyFrom(TensorShapeProto(dim=right))
    return made


def _pooled(given: Attributes, data: list[Dim], told: list[Dim]) -> list[Dim] | None:
    """The told shape, with the windows that there are on the axes whose size is known."""
    ndim = len(data) - 2
    if ndim < 1 or len(told) != len(data) or len(given["kernel_shape"].ints) != ndim:
        return None
    lists = ("strides", "pads", "dilations")
    said: dict[str, object] = {name: list(given[name].ints) for name in lists if name in given}
    if "auto_pad" in given:
        said["auto_pad"] = given["auto_pad"].s.decode() or "NOTSET"
    sizes = [dim.dim_value if dim.HasField("dim_value") else LARGE for dim in data[2:]]
    try:
        window = resolve_pool({**said, "ceil_mode": 1}, sizes, given["kernel_shape"].ints)
    except (KernelError, ValueError):
        return None
    counts = zip(data[2:], told[2:], window.output, strict=True)
    return [
        *told[:2],
        *(
            Dim(dim_value=count)
            if size.HasField("dim_value") and dim.HasField("dim_value")
            else dim
            for size, dim, count in counts
        ),
    ]


def _transposed(given: Attributes, data: list[Dim], kernel: list[Dim]) -> list[Dim] | None:
    sizes = given["output_shape"].ints
    if len(data) < 3 or len(kernel) != len(data) or len(sizes) != len(data) - 2:
        return None
    group = given["group"].i if "group" in given else 1
    filters = Dim(dim_value=kernel[1].dim_value * group) if kernel[1].dim_value else Dim()
    return [data[0], filters, *(Dim(dim_value=size) for size in sizes)]


def _scales(node: NodeProto, tensors: Tensors) -> list[float]:
    """The scales of a Resize or Upsample; none where sizes decide or they are unknown."""
    for attribute in node.attribute:
        if attribute.name == "scales":
            return list(attribute.floats)
    index = 2 if node.op_type == "Resize" and len(node.input) > 2 else 1
    name = node.input[index] if len(node.input) > index else ""
    if name not in tensors or (len(node.input) > 3 and node.input[3]):
        return []
    tensor = tensors[name]
    inside = tensor.data_location != TensorProto.EXTERNAL
    return [float(v) for v in numpy_helper.to_array(tensor).reshape(-1)] if inside else []


def _resized(
    given: Attributes, data: list[Dim], told: list[Dim], scales: list[float]
) -> list[Dim] | None:
    """Sizes as single precision gives them."""
    mode = given.get("coordinate_transformation_mode")
    cropped = mode is not None and mode.s == b"tf_crop_and_resize"
    if cropped or "axes" in given or not len(scales) == len(data) == len(told):
        return None
    right = []
    for size, dim, scale in zip(data, told, scales, strict=True):
        if size.HasField("dim_value") and dim.HasField("dim_value"):
            product = np.float32(size.dim_value) * np.float32(scale)
            right.append(Dim(dim_value=int(product)) if np.isfinite(product) else dim)
        else:
            right.append(dim)
    return right


def _key(dim: Dim) -> tuple[int, str]:
    return dim.dim_value, dim.dim_param
