"""Hostile models made by hand, one for each idea of harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper

from tests.hostile import seeds
from tests.hostile.growing import (
    constant_of_shape,
    constant_of_shape_from_data,
    declared_small,
    doubling,
    doubling_constants,
    doubling_loop,
    endless_loop,
    growing_loop,
    grown,
    loops_in_loops,
    range_added,
)
from tests.hostile.naming import (
    IN_A_ROW,
    hostile_kind,
    hostile_name_of_nobody,
    hostile_names,
    if_without_a_name,
    long_name_of_nobody,
    long_names,
    name_that_is_no_text,
    node_whose_result_has_no_name,
    node_without_results,
    norm_without_a_name,
    nul_in_names,
    operand_left_out,
    split_without_a_name,
    unnamed_result,
)
from tests.hostile.nesting import (
    chain_of_functions,
    exploding_functions,
    function_of_its_callers_names,
    function_with_extra_outputs,
    function_with_too_few_inputs,
    function_without_a_body,
    functions_in_a_circle,
    long_chain,
    nested_ifs,
    recursive_function,
    recursive_function_in_a_body,
    shadowing_function,
    two_functions_of_one_name,
)
from tests.hostile.parts import TERA, computed, conv, net, padded_by, window
from tests.hostile.weights import (
    blocks_of_sizes_below_zero,
    deep_type,
    external,
    external_in_an_attribute,
    external_in_training_info,
    header,
    if_with,
    many_dims,
    raw,
    sparse,
    typed_input,
    with_weight,
    wrong_arity,
    wrong_type,
)
from tests.onnx_helpers import info
from tests.tiny import FLOAT, INT64, kernel, node

REFUSED: Mapping[str, Callable[[], ModelProto | bytes]] = {
    # name: what has to be refused, whatever the command
    "Ifs in Ifs, 10000 deep": lambda: nested_ifs(10_000),
    "Ifs in Ifs, 40 deep": lambda: nested_ifs(40),
    "a function calls itself": recursive_function,
    "functions in a circle": functions_in_a_circle,
    "a function calls itself in a branch": recursive_function_in_a_body,
    "functions that double": exploding_functions,
    "a chain of functions": chain_of_functions,
    "two functions of one name": two_functions_of_one_name,
    "a function of its caller's names": function_of_its_callers_names,
    "a dangling name of a megabyte": long_name_of_nobody,
    "a dangling name of escapes": hostile_name_of_nobody,
    "a name that is no text": name_that_is_no_text,
    "a part of a Split without a name": split_without_a_name,
    **{f"an operand of a {kind} left out": partial(operand_left_out, kind) for kind in IN_A_ROW},
    "a result of a Loop without a name": lambda: unnamed_result(seeds.loop(), 0),
    "a result of an If without a name": if_without_a_name,
    "a BatchNormalization without a mean": lambda: norm_without_a_name("", "v", "", ""),
    "a BatchNormalization of many omitted": lambda: norm_without_a_name("", "", "", ""),
    "a node without results": node_without_results,
    "a result without a name": node_whose_result_has_no_name,
    "raw data too short": lambda: with_weight(raw([4, 1, 1], bytes(15))),
    "raw data too long": lambda: with_weight(raw([4, 1, 1], bytes(17))),
    "dims whose product overflows": lambda: with_weight(raw([2**32, 2**32], b"")),
    "dims whose product overflows to few": lambda: with_weight(raw([2**62, 4, 1], bytes(4))),
    "a huge dim without data": lambda: with_weight(raw([2**63 - 1], b"")),
    "a negative dim": lambda: with_weight(raw([-1], bytes(4))),
    "an unknown element type": lambda: with_weight(raw([1], bytes(4), 77)),
    "no element type": lambda: with_weight(raw([1], bytes(4), 0)),
    "data in the wrong field": lambda: with_weight(
        TensorProto(dims=[4, 1, 1], data_type=FLOAT, int64_data=[1, 2, 3, 4])
    ),
    "a segment": lambda: with_weight(
        TensorProto(dims=[1], data_type=FLOAT, float_data=[1.0], segment={"begin": 0, "end": 2})
    ),
    "external: above": lambda: external("../secret.bin"),
    "external: above, by a detour": lambda: external("in/../../secret.bin"),
    "external: absolute": lambda: external("/etc/passwd"),
    "external: a link out of the folder": lambda: external("link.bin"),
    "external: a device": lambda: external("/dev/zero"),
    "external: missing": lambda: external("missing.bin"),
    "external: the folder": lambda: external("."),
    "external: no place": lambda: external(""),
    "external: NUL": lambda: external("a\x00b"),
    "external: a long name": lambda: external("n" * 2**20),
    "external: behind the end": lambda: external("weights.bin", offset=2**40),
    "external: beyond all numbers": lambda: external("weights.bin", offset=2**63 - 8),
    "external: negative offset": lambda: external("weights.bin", offset=-16),
    "external: negative length": lambda: external("weights.bin", length=-16),
    "external: too long": lambda: external("weights.bin", length=2**40),
    "external: no number": lambda: external("weights.bin", offset="x"),
    "external: a number of 5000 digits": lambda: external("weights.bin", offset="9" * 5000),
    "external: in an attribute": external_in_an_attribute,
    "external: in training info": external_in_training_info,
    "sparse: index out of range": lambda: sparse([0, 99], [2, 2]),
    "sparse: negative index": lambda: sparse([0, -1], [2, 2]),
    "sparse: coordinates out of range": lambda: sparse([[0, 0], [9, 9]], [2, 2]),
    "sparse: too many indices": lambda: sparse([0, 1, 2], [2, 2]),
    "sparse: negative dims": lambda: sparse([0, 1], [-2, 2]),
    "sparse: indices of text": lambda: sparse(np.array(["a", "b"], object), [2, 2]),
    "sparse: terabytes": lambda: sparse([0, 1], [2**20, 2**20]),
    "sparse: more than there are": lambda: sparse([0, 1], [2**62, 2**62]),
    "kernel of zeros": lambda: window("MaxPool", kernel_shape=[0, 0]),
    "kernel below zero": lambda: window("AveragePool", kernel_shape=[-1, 2]),
    "no kernel": lambda: net([node("MaxPool", "x", "y")]),
    "strides of zero": lambda: conv(strides=[0, 0]),
    "strides below zero": lambda: conv(strides=[-1, 1]),
    "too many strides": lambda: conv(strides=[1, 1, 1]),
    "dilations of zero": lambda: conv(dilations=[0, 1]),
    "huge dilations": lambda: conv(dilations=[2**62, 2**62]),
    "group of zero": lambda: conv(group=0),
    "group below zero": lambda: conv(group=-1),
    "group that does not divide": lambda: conv(group=3),
    "huge group": lambda: conv(group=2**40),
    "a kernel that is not the weight's": lambda: conv(kernel_shape=[5, 5]),
    "too few pads": lambda: conv(pads=[1, 1]),
    "too many pads": lambda: conv(pads=[1] * 9),
    "huge pads": lambda: conv(pads=[2**62] * 4),
    "very negative pads": lambda: conv(pads=[-(2**62)] * 4),
    "a Conv without a kernel": lambda: wrong_arity("Conv", "x"),
    "a Conv of nothing": lambda: wrong_arity("Conv", ""),
    "a Conv whose kernel is omitted": lambda: wrong_arity("Conv", "x -"),
    "a Conv of six": lambda: wrong_arity("Conv", "x k - - - -"),
    "a Conv with two results": lambda: wrong_arity("Conv", "x k", "y z"),
    "an Add of three": lambda: wrong_arity("Add", "x x x"),
    "a Relu of nothing": lambda: wrong_arity("Relu", ""),
    "a Reshape of one": lambda: wrong_arity("Reshape", "x"),
    "strides as a number": lambda: wrong_type("Conv", "strides", 1),
    "strides as text": lambda: wrong_type("Conv", "strides", "ones"),
    "strides as fractions": lambda: wrong_type("Conv", "strides", [1.0, 1.0]),
    "group as a list": lambda: wrong_type("Conv", "group", [1]),
    "axis as text": lambda: wrong_type("Concat", "axis", "1"),
    "perm as a number": lambda: wrong_type("Transpose", "perm", 3),
    "perm that repeats": lambda: wrong_type("Transpose", "perm", [0, 0, 1, 2]),
    "perm out of range": lambda: wrong_type("Transpose", "perm", [0, 1, 2, 9]),
    "an attribute twice": lambda: header(
        lambda m: m.graph.node[0].attribute.extend([helper.make_attribute("group", 1)] * 2)
    ),
    "an attribute without a name": lambda: wrong_type("Conv", "", 1),
    "an attribute without a type": lambda: header(
        lambda m: m.graph.node[0].attribute.extend([AttributeProto(name="group", i=1)])
    ),
    "Concat without an axis": lambda: net([node("Concat", "x x", "y")]),
    "a branch without outputs": lambda: if_with(lambda g: g.ClearField("output")),
    "a branch with too many outputs": lambda: if_with(lambda g: g.output.extend([info("x", None)])),
    "a branch with inputs": lambda: if_with(lambda g: g.input.extend([info("z", None)])),
    "an If without branches": lambda: header(
        lambda m: m.graph.node.extend([node("If", "x", "i")])
    ),
    "opset 0": lambda: header(lambda m: setattr(m.opset_import[0], "version", 0)),
    "opset -1": lambda: header(lambda m: setattr(m.opset_import[0], "version", -1)),
    "opset 10^9": lambda: header(lambda m: setattr(m.opset_import[0], "version", 10**9)),
    "opset 2^62": lambda: header(lambda m: setattr(m.opset_import[0], "version", 2**62)),
    "no outputs": lambda: header(lambda m: m.graph.ClearField("output")),
    "no opset": lambda: header(lambda m: m.ClearField("opset_import")),
    "two opsets of one domain": lambda: header(
        lambda m: m.opset_import.add(domain="", version=11)
    ),
    "IR version 2^62": lambda: header(lambda m: setattr(m, "ir_version", 2**62)),
    "IR version -1": lambda: header(lambda m: setattr(m, "ir_version", -1)),
    "an input of unknown type": lambda: typed_input(
        lambda t: setattr(t.tensor_type, "elem_type", 77)
    ),
    "more axes than an array has": many_dims,
    "a weight of strings into a Conv": lambda: header(
        lambda m: m.graph.initializer[0].CopyFrom(
            helper.make_tensor("k", TensorProto.STRING, [1], [b"one"])
        )
    ),
}  # fmt: skip

SURVIVED: Mapping[str, Callable[[], ModelProto | bytes]] = {
    "kernel of another rank": lambda: window("MaxPool", kernel_shape=[2, 2, 2]),
    "IR version 0": lambda: header(lambda m: setattr(m, "ir_version", 0)),
    "data in two fields": lambda: with_weight(
        TensorProto(dims=[4, 1, 1], data_type=FLOAT, raw_data=bytes(16), float_data=[1, 2, 3, 4])
    ),
    "Sequences in sequences, 45 deep": deep_type,
    "blocks of sizes below zero": blocks_of_sizes_below_zero,
    "strides of 2^62": lambda: conv(strides=[2**62, 2**62]),
    # name: what is or may be a sound model, and must not be fatal
    "ConstantOfShape of 4 TB": constant_of_shape,
    "ConstantOfShape of 2^63-1": lambda: constant_of_shape(2**63 - 1),
    "ConstantOfShape of 12 GB": lambda: constant_of_shape(3 * 2**30),
    "ConstantOfShape below zero": lambda: constant_of_shape(-5),
    "ConstantOfShape from data": constant_of_shape_from_data,
    "Range of 4 TB": lambda: grown(
        "Range", "a b c",
        {"a": np.array(0.0, np.float32), "b": np.array(1e12, np.float32),
         "c": np.array(1.0, np.float32)},
    ),
    "ConstantOfShape of 2^31": lambda: constant_of_shape(2**31),
    "Range of 2^31 integers": lambda: grown(
        "Range", "a b c", {"a": np.array(0), "b": np.array(2**31), "c": np.array(1)}
    ),
    "Range of 2^31 integers, added": range_added,
    "an Expand to one axis, added": lambda: net(
        [node("Expand", "w s", "big"), node("Mul", "big big", "y")],
        {"w": np.ones(1, np.float32), "s": np.array([2**28])},
    ),
    "one axis of 2^28 columns": lambda: net([node("Mul", "x x", "y")], shape=[2**28]),
    "one axis of 2^28 columns behind a Relu": lambda: net(
        [node("Relu", "x", "r"), node("Mul", "r r", "y")], shape=[2**28]
    ),
    "2^28 numbers made one axis": lambda: net(
        [node("Reshape", "x s", "r"), node("Mul", "r r", "y")], {"s": np.array([-1])},
        shape=[2**14, 2**14],
    ),
    "a Pad to one axis, added": lambda: net(
        [node("Pad", "w p", "r"), node("Sub", "r r", "y")],
        {"w": np.ones(1, np.float32), "p": np.array([0, 2**28])},
    ),
    "a picture as its own filter": lambda: net(
        [node("ConvTranspose", "x x", "y")], shape=[1, 1, 224, 224]
    ),
    "a Slice of 2^30 channels": lambda: net(
        [node("Expand", "x s", "big"), node("Slice", "big a b i", "y")],
        {"s": np.array([1, 2**30]), "a": np.array([0]), "b": np.array([4]), "i": np.array([1])},
        shape=[1, 1],
    ),
    "a Resize by a kernel": lambda: net(
        [node("Resize", "x - w", "y")], {"w": kernel(1, 4, 4, 3, 3)}
    ),
    "a Resize by too few scales": lambda: net(
        [node("Resize", "x - w", "h"), node("Conv", "h k", "y")],
        {"w": np.array([1, 2], np.float32), "k": kernel(1, 4, 4, 3, 3)},
    ),
    "a pool of one axis": lambda: net(
        [node("AveragePool", "x", "y", kernel_shape=[2])], shape=[8]
    ),
    "a transposed conv of weights of one axis": lambda: net(
        [
            node("ConstantOfShape", "s", "w"), node("ConvTranspose", "x w", "h"),
            node("BatchNormalization", "h n n n n", "y"),
        ],
        {"s": np.array([1]), "n": np.ones(4, np.float32)},
    ),
    "Range of sizes": lambda: net(
        [
            node("Shape", "x", "s"), node("Mul", "s k", "t"), node("Gather", "t i", "n"),
            node("Range", "a n c", "r"), node("ReduceMax", "r", "m", keepdims=0),
            node("Cast", "m", "f", to=FLOAT), node("Add", "x f", "y"),
        ],
        {"k": np.array(10**9), "i": np.array(3), "a": np.array(0), "c": np.array(1)},
    ),
    "Range of steps of nothing": lambda: grown(
        "Range", "a b c",
        {"a": np.array(0.0, np.float32), "b": np.array(1.0, np.float32),
         "c": np.array(0.0, np.float32)},
    ),
    "Tile to 4 TB": lambda: grown("Tile", "x r", {"r": np.array([2**10, 2**10, 2**10, 2**10])}),
    "Tile of a weight to 4 TB": lambda: grown(
        "Tile", "w r", {"w": np.ones(1, np.float32), "r": np.array([TERA])}
    ),
    "Expand to 4 TB": lambda: grown("Expand", "x s", {"s": np.array([TERA, 4, 6, 6])}),
    "Expand of a weight to 4 TB": lambda: grown(
        "Expand", "w s", {"w": np.ones(1, np.float32), "s": np.array([2**20, 2**20])}
    ),
    "Pad to 4 TB": lambda: grown("Pad", "x p", {"p": np.array([0, 0, 0, 0, 0, 0, 2**20, 2**20])}),
    "Pad beyond all numbers": lambda: grown(
        "Pad", "x p", {"p": np.array([2**62] * 8)}
    ),
    "Pad below nothing": lambda: grown("Pad", "x p", {"p": np.array([0, 0, -9, -9, 0, 0, 0, 0])}),
    "Resize to 4 TB": lambda: grown(
        "Resize", "x - s", {"s": np.array([1, 1, 2**20, 2**20], np.float32)}
    ),
    "Resize by infinity": lambda: grown(
        "Resize", "x - s", {"s": np.array([1, 1, np.inf, np.nan], np.float32)}
    ),
    "Resize to sizes of 4 TB": lambda: grown(
        "Resize", "x - - s", {"s": np.array([1, 4, 2**20, 2**20])}
    ),
    "OneHot of 4 TB": lambda: grown(
        "OneHot", "i d v",
        {"i": np.zeros(1000, np.int64), "d": np.array(TERA), "v": np.array([0, 1], np.float32)},
    ),
    "EyeLike of much": lambda: grown("EyeLike", "w", {"w": np.ones((1, 1), np.float32)}),
    "huge input": lambda: net([node("Relu", "x", "y")], shape=[2**31, 2**31]),
    "huge input beyond all numbers": lambda: net([node("Relu", "x", "y")], shape=[2**62, 2**62]),
    "input of 64 GB": lambda: net([node("Relu", "x", "y")], shape=[2**34]),
    "input of 6 GB": lambda: net([node("Relu", "x", "y")], shape=[3 * 2**29]),
    "input below zero": lambda: net([node("Relu", "x", "y")], shape=[-5, 4]),
    "input of nothing": lambda: net([node("Relu", "x", "y")], shape=[0, 4]),
    "Tile whose result is declared small": lambda: declared_small("Tile", [2**20, 2**20]),
    "Expand whose result is declared small": lambda: declared_small("Expand", [2**20, 2**20]),
    "Pad whose result is declared small": lambda: declared_small("Pad", [0, 0, 2**20, 2**20]),
    "Resize whose result is declared small": lambda: declared_small("Resize", [2**20, 2**20]),
    "doubling 45 times": doubling,
    "doubling a weight 45 times": doubling_constants,
    "a Loop that grows": growing_loop,
    "a Loop that doubles": doubling_loop,
    "a Loop that never ends": endless_loop,
    "Loops in Loops": loops_in_loops,
    "a chain of 5000": long_chain,
    "names of a megabyte": long_names,
    "names of escapes": hostile_names,
    "a kind of escapes": hostile_kind,
    "NUL in names": nul_in_names,
    "a function that shadows Relu": shadowing_function,
    "a function without a body": function_without_a_body,
    "a function with too few inputs": function_with_too_few_inputs,
    "a function with extra outputs": function_with_extra_outputs,
    "a sequence as input": lambda: typed_input(
        lambda t: setattr(t.sequence_type.elem_type.tensor_type, "elem_type", 1)
    ),
    "an optional as input": lambda: typed_input(
        lambda t: setattr(t.optional_type.elem_type.tensor_type, "elem_type", 1)
    ),
    "a map as input": lambda: typed_input(lambda t: setattr(t.map_type, "key_type", 7)),
    "huge blocksize": lambda: net([node("DepthToSpace", "x", "y", blocksize=2**40)]),
    "blocksize of zero": lambda: net([node("SpaceToDepth", "x", "y", blocksize=0)]),
    "axis out of range": lambda: net([node("Softmax", "x", "y", axis=99)]),
    "axis beyond all numbers": lambda: net([node("Flatten", "x", "y", axis=2**62)]),
    "Slice by steps of nothing": lambda: net(
        [node("Slice", "x s e a t", "y")],
        {"s": np.array([0]), "e": np.array([9]), "a": np.array([0]), "t": np.array([0])},
    ),
    "Gather out of range": lambda: net([node("Gather", "x i", "y")], {"i": np.array([99])}),
    "Reshape to what does not fit": lambda: net(
        [node("Reshape", "x s", "y")], {"s": np.array([7, -1])}
    ),
    "Reshape with two holes": lambda: net(
        [node("Reshape", "x s", "y")], {"s": np.array([-1, -1])}
    ),
    "ConvTranspose to 4 TB": lambda: net(
        [node("ConvTranspose", "x k", "y", strides=[2**19, 2**19])], {"k": kernel(1, 4, 4, 3, 3)}
    ),
    "ConvTranspose to an output of 4 TB": lambda: net(
        [node("ConvTranspose", "x k", "y", output_shape=[2**20, 2**20])],
        {"k": kernel(1, 4, 4, 3, 3)},
    ),
    "pads of 2^20": lambda: conv(pads=[2**20] * 4),
    "a pad of 2^31 behind a Conv": lambda: padded_by([5, 0, 2**31 - 1, 0]),
    "a pad of 2^31 before the data": lambda: padded_by([2**31 - 1, 0, 5, 0]),
    "a pad of 2^31 of open sizes": lambda: padded_by([5, 0, 2**31 - 1, 0], (1, 3, "H", "W")),
    "strides of 2^31 of open sizes": lambda: padded_by(
        [5, 0, 5, 0], (1, 3, "H", "W"), strides=[2**31 - 1] * 2
    ),
    "a batch of none, of 2^31 columns": lambda: net(
        [node("Conv", "x k", "h", pads=[1] * 4), node("Conv", "h j", "y")],
        {"k": kernel(1, 4, 4, 3, 3), "j": kernel(2, 4, 4, 3, 3)},
        shape=[0, 4, 1000, 2**31 - 1],
    ),
    "a filter over an axis of 2^40 that is computed": lambda: net(
        [node("ConstantOfShape", "s", "g"), node("Conv", "g k", "y", group=3, pads=[5] * 4)],
        {"s": np.array([1, 2**15, 2**40, 2**20]), "k": np.ones((3, 1, 11, 11), np.float32)},
    ),
    "a volume of an empty batch": lambda: net(
        [node("Conv", "x k", "h", pads=[1] * 6), node("Conv", "h j", "y", pads=[1] * 6)],
        {"k": kernel(1, 4, 4, 3, 3, 3), "j": kernel(2, 4, 4, 3, 3, 3)},
        shape=[0, 4, 8, 8, 8],
    ),
    "a Slice along an axis there is not": lambda: net(
        [node("Slice", "x s e a", "h"), node("Relu", "h", "y")],
        {"s": np.array([0]), "e": np.array([2]), "a": np.array([2**63 - 1])},
    ),
    "a Gemm whose weights are a row": lambda: net(
        [node("Gemm", "x k", "h", transB=1), node("MatMul", "h j", "y")],
        {"k": np.ones(6, np.float32), "j": np.ones((6, 2), np.float32)},
        shape=[5, 6],
    ),
    "three open axes that no candidate size suits": lambda: net(
        [node("Conv", "x k", "h"), node("Conv", "h j", "y")],
        {"k": kernel(1, 4, 8, 3, 3), "j": kernel(2, 4, 4, 3, 3)},
        shape=[None, None, None, None],
    ),
    "a batch norm whose scale is computed, of a wrong length": lambda: computed(
        node("Expand", "one shape", "made"),
        node("BatchNormalization", "h made n n n", "g"),
        {"one": np.ones((1, 1), np.float32), "shape": np.array([1, 2])},
    ),
    "biases that are computed, of a wrong length": lambda: computed(
        node("Pad", "one pads", "made"),
        node("Conv", "h j made", "g"),
        {"one": np.ones((1, 1), np.float32), "pads": np.array([1, 2, 1, 2])},
    ),
    "MaxPool of pads": lambda: window("MaxPool", pads=[2**20] * 4),
    "a Conv of two axes": lambda: net(
        [node("Conv", "x k", "y")], {"k": kernel(1, 4, 4, 3, 3)}, shape=[1, 4]
    ),
    "a Conv of another rank": lambda: net(
        [node("Conv", "x k", "y")], {"k": kernel(1, 4, 4, 3, 3)}, shape=[1, 4, 6, 6, 6]
    ),
    "a batch norm of NaN": lambda: net(
        [node("BatchNormalization", "x n n n n", "y", epsilon=float("nan"))],
        {"n": np.full(4, np.nan, np.float32)},
    ),
    "Einsum of much": lambda: net(
        [node("Einsum", "x x x", "y", equation="abcd,efgh,ijkl->abcdefghijkl")], shape=[6, 6, 6, 6]
    ),
    "MatMul of much": lambda: net(
        [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "t x", "y")], shape=[1, 2**20]
    ),
    "a TopK of more than there are": lambda: net(
        [node("TopK", "x k", "y i")], {"k": np.array([99])}
    ),
    "NonMaxSuppression of nothing": lambda: net(
        [node("NonMaxSuppression", "x x", "y")], shape=[1, 4, 4], output=INT64
    ),
}  # fmt: skip
