"""Mutations of a model as such: still a protobuf, hardly a network."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.onnx_helpers import info, weight

NUMBERS = (
    -(2**63), -(2**31), -(2**31) - 1, -1000, -2, -1, 0, 1, 2, 3, 5, 64, 1000, 2**15, 2**24,
    2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1,
)  # fmt: skip
NAMES = (
    "", " ", "x", "y", "\x1b[31mred\x1b[0m", "a\nb", "a\x00b", "../up", "/etc/passwd", "%s%n",
    "\u202eback", "\U0001f600", "n" * 5000, "onnx::Conv", "?", "?x.0", "0", "-", "\ud7ff",
)  # fmt: skip
KINDS = (
    "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant",
    "ConstantOfShape", "Conv", "ConvTranspose", "CumSum", "DepthToSpace", "DequantizeLinear", "Div",
    "Dropout", "Einsum", "Expand", "EyeLike", "Flatten", "Gather", "GatherElements", "GatherND",
    "Gemm", "GlobalAveragePool", "GlobalMaxPool", "GridSample", "GroupNormalization", "GRU",
    "Hardmax", "HardSwish", "Identity", "If", "InstanceNormalization", "LayerNormalization",
    "LeakyRelu", "Loop", "LpPool", "LRN", "LSTM", "MatMul", "MatMulInteger", "Max", "MaxPool",
    "MaxRoiPool", "MaxUnpool", "Mod", "Mul", "Neg", "NonMaxSuppression", "NonZero", "OneHot", "Pad",
    "Pow", "PRelu", "QLinearConv", "QuantizeLinear", "RandomNormal", "Range", "ReduceL2",
    "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "ReverseSequence", "RNN",
    "RoiAlign", "Scan", "ScatterElements", "ScatterND", "SequenceAt", "SequenceConstruct", "Shape",
    "Size", "Slice", "Softmax", "SpaceToDepth", "Split", "SplitToSequence", "Sqrt", "Squeeze",
    "StringNormalizer", "Sub", "Sum", "TfIdfVectorizer", "Tile", "TopK", "Transpose", "Trilu",
    "Unique", "Unsqueeze", "Upsample", "Where", "Input", "Output", "FusedConv", "NhwcMaxPool",
)  # fmt: skip
INTS = (
    "axis", "group", "keepdims", "ceil_mode", "blocksize", "to", "num_outputs", "transA",
    "batch_dims", "count_include_pad", "storage_order", "num_scan_inputs", "size", "hidden_size",
    "p", "select_last_index", "allowzero", "start", "end", "largest", "dtype", "block_size",
)  # fmt: skip
LISTS = (
    "pads", "strides", "dilations", "kernel_shape", "axes", "perm", "output_shape",
    "output_padding", "split", "shape", "starts", "ends", "scales", "sizes", "value_ints",
)  # fmt: skip
PLACES = (
    "../secret.bin", "/etc/passwd", "/dev/zero", "link.bin", "weights.bin", "missing.bin", "",
    "in/../../secret.bin", ".", "weights.bin/", "\x00", "n" * 5000,
)  # fmt: skip


def change_type(made: ModelProto, rng: Random) -> None:
    """Dims and element types of what the file declares."""
    graph = made.graph
    entries = [*graph.input, *graph.output, *graph.value_info]
    if not entries:
        return
    type_ = rng.choice(entries).type
    what = rng.randrange(8)
    if what == 0:
        type_.tensor_type.elem_type = rng.choice((0, 1, 2, 7, 8, 9, 10, 11, 16, 22, 77, -1))
    elif what == 1:
        type_.tensor_type.ClearField("shape")
    elif what == 2:
        for _ in range(rng.choice((1, 2, 70))):
            type_.tensor_type.shape.dim.add(dim_value=rng.choice((1, 1, 2, *NUMBERS)))
    elif what == 3:
        type_.sequence_type.elem_type.tensor_type.elem_type = 1
    elif what == 4:
        type_.Clear()
    else:
        for dim in type_.tensor_type.shape.dim[:]:
            if rng.random() < 0.5:
                dim.Clear()
                if rng.random() < 0.7:
                    dim.dim_value = rng.choice(NUMBERS)
                else:
                    dim.dim_param = rng.choice(NAMES)


def change_weight(made: ModelProto, rng: Random) -> None:
    """Shape, type and data of a weight, so that they hardly fit."""
    tensor = _tensor(made, rng)
    if tensor is None:
        return
    what = rng.randrange(9)
    if what == 0:
        tensor.data_type = rng.choice((0, 1, 2, 6, 7, 8, 9, 10, 11, 14, 16, 17, 21, 22, 23, 24, 77))
    elif what == 1:
        tensor.dims.append(rng.choice(NUMBERS))
    elif what == 2 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    elif what == 3:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    elif what == 4:
        tensor.raw_data = tensor.raw_data + rng.randbytes(rng.randint(1, 9))
    elif what == 5:
        field = rng.choice(("float_data", "int32_data", "int64_data", "double_data", "uint64_data"))
        if rng.random() < 0.5:
            tensor.ClearField("raw_data")
        getattr(tensor, field).extend([rng.choice((0, 1, 2))] * rng.randint(1, 9))
    elif what == 6:
        tensor.string_data.extend([b"a", b"\xff"])
    elif what == 7:
        tensor.segment.begin, tensor.segment.end = rng.choice(NUMBERS), rng.choice(NUMBERS)
    else:
        tensor.CopyFrom(
            helper.make_tensor(tensor.name, TensorProto.STRING, [2], [b"one", b"\x1b[31m"])
        )


def change_numbers(made: ModelProto, rng: Random) -> None:
    """Values of a weight: small integers are sizes, axes and pads."""
    tensors = [t for t in _tensors(made) if t.data_type in (6, 7) and t.data_location == 0]
    if not tensors or rng.random() < 0.2:
        tensors = [t for t in made.graph.initializer if t.data_type == 1 and t.data_location == 0]
    if not tensors:
        return
    tensor = rng.choice(tensors)
    try:
        array = numpy_helper.to_array(tensor).copy()
    except Exception:
        return
    if not array.size or array.size > 100_000:
        return
    if array.dtype.kind == "f":
        array.flat[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -np.inf, 1e38, 1e-40))
    else:
        limits = np.iinfo(array.dtype)
        fits = [n for n in NUMBERS if limits.min <= n <= limits.max]
        array.flat[rng.randrange(array.size)] = rng.choice(fits)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def change_place(made: ModelProto, rng: Random) -> None:
    """A weight is said to be in another file."""
    tensor = _tensor(made, rng)
    if tensor is None:
        return
    if rng.random() < 0.8:
        tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    tensor.external_data.add(key="location", value=rng.choice(PLACES))
    for key in ("offset", "length"):
        if rng.random() < 0.5:
            value = rng.choice((*map(str, NUMBERS), "", "x", "1e3", "0x10", "9" * 5000))
            tensor.external_data.add(key=key, value=value)


def change_attribute(made: ModelProto, rng: Random) -> None:
    """An attribute of a node: its value, its type, its name, or whether it is there."""
    node = _node(made, rng)
    if node is None:
        return
    what = rng.randrange(10)
    if what < 4 and node.attribute:
        _change_value(rng.choice(node.attribute), rng)
    elif what == 4 and node.attribute:
        rng.choice(node.attribute).type = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14))
    elif what == 5 and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif what == 6 and node.attribute:
        node.attribute.append(
            AttributeProto.FromString(rng.choice(node.attribute).SerializeToString())
        )
    elif what == 7 and node.attribute:
        rng.choice(node.attribute).name = rng.choice((*INTS, *LISTS, *NAMES))
    elif what == 8 and node.attribute:
        rng.choice(node.attribute).ref_attr_name = rng.choice(("alpha", "x", ""))
    elif rng.random() < 0.5:
        node.attribute.append(helper.make_attribute(rng.choice(INTS), rng.choice(NUMBERS)))
    else:
        numbers = [rng.choice(NUMBERS) for _ in range(rng.choice((1, 2, 4)))]
        node.attribute.append(helper.make_attribute(rng.choice(LISTS), numbers))


def _change_value(entry: AttributeProto, rng: Random) -> None:
    if entry.type == AttributeProto.INT:
        entry.i = rng.choice(NUMBERS)
    elif entry.type == AttributeProto.INTS and entry.ints:
        for i in range(len(entry.ints)):
            if rng.random() < 0.5:
                entry.ints[i] = rng.choice(NUMBERS)
        if rng.random() < 0.2:
            entry.ints.extend([1] * rng.choice((1, 2, 100)))
    elif entry.type == AttributeProto.INTS or rng.random() < 0.2:
        entry.CopyFrom(helper.make_attribute(entry.name, [rng.choice(NUMBERS)]))
    elif entry.type == AttributeProto.FLOAT:
        entry.f = rng.choice((np.nan, np.inf, -1.0, 0.0, 1e38))
    elif entry.type == AttributeProto.STRING:
        entry.s = rng.choice(
            (b"", b"VALID", b"SAME_LOWER", b"cubic", b"reflect", b"\xff", b"a" * 9999)
        )
    elif entry.type == AttributeProto.GRAPH:
        _change_body(entry, rng)


def _change_body(entry: AttributeProto, rng: Random) -> None:
    body = entry.g
    what = rng.randrange(6)
    if what == 0:
        del body.output[:]
    elif what == 1:
        body.output.extend([info("extra", None)])
    elif what == 2 and body.input:
        del body.input[rng.randrange(len(body.input))]
    elif what == 3:
        body.input.extend([info("extra", [1])])
    elif what == 4 and body.node:
        rng.choice(body.node).op_type = rng.choice(KINDS)
    elif body.node:
        del body.node[rng.randrange(len(body.node))]


def change_node(made: ModelProto, rng: Random) -> None:
    """What a node is called and is."""
    node = _node(made, rng)
    if node is None:
        return
    what = rng.randrange(5)
    if what < 2:
        node.op_type = rng.choice(KINDS)
    elif what == 2:
        node.domain = rng.choice(("ai.onnx", "ai.onnx.ml", "com.microsoft", "own", *NAMES))
    elif what == 3:
        node.name = rng.choice(NAMES)
    else:
        node.overload = rng.choice(NAMES)


def change_wires(made: ModelProto, rng: Random) -> None:
    """What a node reads and makes: too much, too little, itself, nobody."""
    node = _node(made, rng)
    if node is None:
        return
    names = [n for other in made.graph.node for n in (*other.input, *other.output)]
    names += [*NAMES, *(t.name for t in made.graph.initializer)]
    field = node.input if rng.random() < 0.6 else node.output
    what = rng.randrange(6)
    if what == 0 and field:
        field[rng.randrange(len(field))] = rng.choice(names)
    elif what == 1:
        field.extend([rng.choice(names)] * rng.choice((1, 1, 2, 40)))
    elif what == 2 and field:
        del field[rng.randrange(len(field))]
    elif what == 3 and field:
        field[rng.randrange(len(field))] = ""
    elif what == 4:
        del field[:]
    elif field:
        field[0], field[-1] = field[-1], field[0]


def change_graph(made: ModelProto, rng: Random) -> None:
    """Whole nodes, weights and entries of the interface: gone, twice, in another order."""
    graph = made.graph
    field: Any = rng.choice((graph.node, graph.node, graph.initializer, graph.input, graph.output))
    what = rng.randrange(4)
    if what == 0 and field:
        del field[rng.randrange(len(field))]
    elif what == 1 and field:
        field.append(type(field[0]).FromString(rng.choice(field).SerializeToString()))
    elif what == 2 and field:
        copies = [type(entry).FromString(entry.SerializeToString()) for entry in field]
        rng.shuffle(copies)
        del field[:]
        field.extend(copies)
    else:
        names = [name for node in graph.node for name in node.output] or ["x"]
        graph.output.extend([info(rng.choice(names), None)])


def change_header(made: ModelProto, rng: Random) -> None:
    """Versions, functions, remarks."""
    what = rng.randrange(8)
    if what == 0 and made.opset_import:
        rng.choice(made.opset_import).version = rng.choice(
            (-1, 0, 1, 5, 6, 9, 11, 13, 23, 28, 10**9)
        )
    elif what == 1:
        made.opset_import.add(
            domain=rng.choice(("", "ai.onnx", "own")), version=rng.choice(NUMBERS)
        )
    elif what == 2:
        del made.opset_import[:]
    elif what == 3:
        made.ir_version = rng.choice((-1, 0, 1, 2, 3, 4, 9, 14, 15, 2**31, 2**62))
    elif what == 4:
        made.metadata_props.add(key=rng.choice(NAMES), value=rng.choice(NAMES))
        made.producer_name = rng.choice(NAMES)
    elif what == 5:
        made.training_info.add().initialization.node.add(op_type="Odd", output=["x"])
    elif what == 6:
        _change_function(made, rng)
    else:
        entry = made.graph.quantization_annotation.add(tensor_name=rng.choice(NAMES))
        entry.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value=rng.choice(NAMES))


def _change_function(made: ModelProto, rng: Random) -> None:
    """A function named like an operator of the model, which may call itself."""
    kind = rng.choice([node.op_type for node in made.graph.node] or ["Relu"])
    domain = rng.choice(("", "own"))
    inner = rng.choice((kind, "Relu", "Identity"))
    made.functions.append(
        helper.make_function(
            domain, kind, ["a"], ["b"], [helper.make_node(inner, ["a"], ["b"], domain=domain)],
            [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
        )
    )  # fmt: skip
    for node in made.graph.node:
        if node.op_type == kind and rng.random() < 0.7:
            node.domain = domain
            del node.attribute[:]


def add_growth(made: ModelProto, rng: Random) -> None:
    """A node that makes much of little, small enough in the file, before one of the model's."""
    node = _node(made, rng)
    if node is None:
        return
    big = [
        rng.choice((1, 2, 1000, 2**15, 2**20, 2**31, 2**40)) for _ in range(rng.choice((1, 2, 4)))
    ]
    kind = rng.choice(("ConstantOfShape", "Range", "Tile", "Expand", "Pad", "EyeLike", "OneHot"))
    graph = made.graph
    source = rng.choice((*node.input, "grow_one"))
    shape = weight("grow_shape", np.array(big, np.int64))
    one = weight("grow_one", np.ones((1,) * len(big), np.float32))
    start, stop, step = (
        weight(f"grow_{n}", np.array(v)) for n, v in zip("abc", (0, big[0], 1), strict=True)
    )
    pads = weight("grow_pads", np.array(big * 2, np.int64))
    inputs = {
        "ConstantOfShape": ["grow_shape"], "Range": ["grow_a", "grow_b", "grow_c"],
        "Tile": [source, "grow_shape"], "Expand": [source, "grow_shape"],
        "Pad": [source, "grow_pads"], "EyeLike": [source],
        "OneHot": ["grow_shape", "grow_b", "grow_v"],
    }  # fmt: skip
    graph.initializer.extend(
        [shape, one, start, stop, step, pads, weight("grow_v", np.array([0, 1], np.float32))]
    )
    made_node = helper.make_node(kind, inputs[kind], ["grown"])
    graph.node.insert(0, made_node)
    if node.input and rng.random() < 0.7:
        node.input[rng.randrange(len(node.input))] = "grown"
    else:
        graph.output.extend([info("grown", None)])


def _tensors(made: ModelProto) -> list[TensorProto]:
    found = list(made.graph.initializer)
    for node in made.graph.node:
        found += [entry.t for entry in node.attribute if entry.type == AttributeProto.TENSOR]
        for entry in node.attribute:
            if entry.type == AttributeProto.GRAPH:
                found += list(entry.g.initializer)
    for sparse in made.graph.sparse_initializer:
        found += [sparse.values, sparse.indices]
    return found


def _tensor(made: ModelProto, rng: Random) -> TensorProto | None:
    tensors = _tensors(made)
    return rng.choice(tensors) if tensors else None


def _node(made: ModelProto, rng: Random) -> NodeProto | None:
    nodes = list(made.graph.node)
    nodes += [node for function in made.functions for node in function.node]
    for node in made.graph.node:
        for entry in node.attribute:
            if entry.type == AttributeProto.GRAPH:
                nodes += list(entry.g.node)
    return rng.choice(nodes) if nodes else None


CHANGES = (
    change_type, change_type, change_weight, change_weight, change_numbers, change_numbers,
    change_place, change_attribute, change_attribute, change_attribute, change_node, change_wires,
    change_wires, change_graph, change_header, add_growth,
)  # fmt: skip


def change(data: bytes, rng: Random) -> bytes:
    """One to three of the changes above."""
    made = ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(CHANGES)(made, rng)
    changed: bytes = made.SerializeToString()
    return changed
