"""The MLIR text: what is printed is parsed to the same graph."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.errors import ConvcError, InvalidGraphError, InvalidModelError
from convc.graph import Graph
from convc.ir import TensorType
from convc.mlir import parse_graph, print_graph
from convc.mlir.literals import parse_string, string_text
from convc.mlir.types import DTYPES, dim_params, type_text, with_dim_params
from convc.onnx_io import load, to_bytes
from tests.conftest import real_models, sample_models
from tests.graph_strategies import recipes
from tests.mlir_strategies import TEXTS, arrays, assert_same, bits, graphs, types

FLOAT = TensorType(np.dtype(np.float32), (1, 3, "h", None))
SMALL = """
// what a person would write
module {
  func.func @net(%x: tensor<1x2xf32> {onnx.name = "in"}) -> tensor<1x2xf32> {
    %0 = "onnx.Constant"() {value = dense<[[1.5, -2.5]]> : tensor<1x2xf32>}
        : () -> tensor<1x2xf32>  // no name
    %a = "onnx.Add"(%x, %0) : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
    return %a : tensor<1x2xf32>
  }
}
"""


def line(graph: Graph, kind: str) -> str:
    """The printed line of the op of that kind."""
    return next(row for row in print_graph(graph).splitlines() if f'"onnx.{kind}"' in row)


# -- round trips -----------------------------------------------------------------------------------


@given(graphs())
@settings(max_examples=200)
def test_parse_of_print_is_the_graph(graph: Graph) -> None:
    graph.verify()
    text = print_graph(graph, weights=True)
    assert_same(graph, parse_graph(text))
    assert print_graph(parse_graph(text), weights=True) == text


@given(recipes())
@settings(max_examples=50)
def test_the_exported_file_is_the_same(recipe) -> None:
    graph = recipe.build()
    assert to_bytes(parse_graph(print_graph(graph, weights=True))) == to_bytes(graph)


@pytest.mark.parametrize("path", [*sample_models(), *real_models()], ids=lambda path: path.stem)
def test_models_survive(path: Path) -> None:
    graph = load(path)
    copy = parse_graph(print_graph(graph, weights=True))
    assert_same(graph, copy)
    assert to_bytes(copy) == to_bytes(graph)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@given(st.data())
@settings(max_examples=25)
def test_arrays_of_every_dtype_survive(dtype, data: st.DataObject) -> None:
    graph = Graph()
    array = data.draw(arrays(dtype))
    op = graph.add_constant(array, "w").op
    copy = parse_graph(print_graph(graph, weights=True)).ops()[-2]
    assert bits(copy.array) == bits(op.array)
    assert copy.result.type == op.result.type


@pytest.mark.parametrize(
    "values",
    [
        [0.1, -0.0, 1e-45, 3.4028235e38, 16777216.0, 1 / 3],
        [np.nan, np.inf, -np.inf],
        [0.0] * 1000,
        [-0.0] * 1000,
        [np.nan] * 1000,
        list(range(1000)),
        [],
    ],
    ids=["decimals", "not finite", "zeros", "minus zeros", "nans", "many", "none"],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_survive_bit_for_bit(values: list[float], dtype: type) -> None:
    graph = Graph()
    with np.errstate(over="ignore"):
        array = np.array(values, dtype)
    graph.add_constant(array, "w")
    copy = parse_graph(print_graph(graph, weights=True)).ops()[-2]
    assert copy.array.tobytes() == array.tobytes()


@given(types())
def test_dims_keep_their_names(type_) -> None:
    assert ("?" in type_text(type_)) == (
        isinstance(type_, TensorType) and any(not isinstance(d, int) for d in type_.shape or ())
    )
    bare = type_
    if isinstance(type_, TensorType) and type_.shape is not None:
        bare = TensorType(
            type_.dtype, tuple(d if isinstance(d, int) else None for d in type_.shape)
        )
    assert with_dim_params(bare, dim_params(type_)) == type_


@given(st.one_of(TEXTS, st.text(st.characters())))
def test_strings_survive(text: str) -> None:
    quoted = string_text(text)
    assert parse_string(quoted) == text
    assert all(char.isprintable() for char in quoted)
    assert '"' not in quoted[1:-1]


# -- what the text looks like ------------------------------------------------------------------


def test_the_text_of_a_small_network() -> None:
    graph = Graph(sizes={"h": 8})
    x = graph.add_input("x", FLOAT)
    weight = graph.add_constant(np.arange(108, dtype=np.float32).reshape(4, 3, 3, 3), "w")
    bias = graph.add_constant(np.ones(4, np.float32), "b")
    type_ = TensorType(FLOAT.dtype, (1, 4, "h", None))
    attributes = {"group": 1, "pads": (1, 1, 1, 1), "alpha": 0.5, "mode": "same"}
    conv = graph.add("Conv", [x, weight, bias], attributes, types=[type_], names=["y"], name="c")
    graph.set_outputs([conv.result], ["out"])
    assert print_graph(graph) == (
        'module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], '
        'onnx.sizes = [["h", 8]]} {\n'
        '  func.func @main_graph(%x: tensor<1x3x?x?xf32> {onnx.name = "x", '
        'onnx.dim_params = "2:h"}) -> (tensor<1x4x?x?xf32> {onnx.name = "out"}) {\n'
        '    %w = "onnx.Constant"() {value = dense_resource<w> : tensor<4x3x3x3xf32>} '
        ": () -> tensor<4x3x3x3xf32>\n"
        '    %b = "onnx.Constant"() {value = dense<1.0> : tensor<4xf32>} : () -> tensor<4xf32>\n'
        '    %y = "onnx.Conv"(%x, %w, %b) {group = 1 : si64, pads = [1, 1, 1, 1], '
        'alpha = 0.5 : f32, mode = "same", onnx_node_name = "c", onnx.dim_params = ["2:h"]} '
        ": (tensor<1x3x?x?xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x?x?xf32>\n"
        "    func.return %y : tensor<1x4x?x?xf32>\n"
        "  }\n"
        "}\n"
    )


def test_omitted_operands_custom_domains_and_names_that_are_not_legal() -> None:
    graph = Graph()
    x = graph.add_input("in put", FLOAT)
    graph.add("Clip", [x, None], types=[None, FLOAT], names=["7", ""], domain="")
    graph.add("Fused", [None], domain="com.x", names=["in_put"])
    text = print_graph(graph)
    assert '%none = "onnx.NoValue"() {value} : () -> none' in text
    assert '%in_put: tensor<1x3x?x?xf32> {onnx.name = "in put"' in text
    assert '%_7, %0 = "onnx.Clip"(%in_put, %none) {onnx.names = ["7", ""]' in text
    assert (
        '%in_put_1 = "onnx.Custom"(%none) {domain_name = "com.x", function_name = "Fused", '
        'onnx.names = ["in_put"]} : (none) -> !onnx.unknown' in text
    )


def test_a_float_that_is_not_of_single_precision_is_kept() -> None:
    graph = Graph()
    graph.add("Op", attributes={"single": float(np.float32(0.1)), "double": 0.1, "big": 1e300})
    assert "single = 0.1 : f32, double = 0.1 : f64, big = 1.0e+300 : f64" in line(graph, "Op")


def test_equal_elements_are_written_once() -> None:
    graph = Graph()
    graph.add_constant(np.full((64, 64), -0.0, np.float32), "w")
    assert "dense<-0.0> : tensor<64x64xf32>" in print_graph(graph)


def test_a_dtype_without_a_type_is_refused() -> None:
    graph = Graph()
    graph.add_constant(np.zeros(2, "M8[s]"), "time")
    with pytest.raises(InvalidGraphError, match="has no MLIR type"):
        print_graph(graph)


# -- what people and tools write -----------------------------------------------------------------


def test_a_text_written_by_hand() -> None:
    graph = parse_graph(SMALL)
    constant, add = (op for op in graph.ops() if not op.is_boundary)
    assert graph.inputs[0].name == "in"
    assert (constant.result.name, add.result.name) == ("", "a")
    assert add.operands == (graph.inputs[0], constant.result)
    assert graph.output_names == ("a",)
    np.testing.assert_array_equal(constant.array, np.array([[1.5, -2.5]], np.float32))


def test_results_in_groups() -> None:
    text = SMALL.replace("return %a :", "return %p#1 :").replace(
        "    return",
        '    %p:2 = "onnx.Split"(%a) : (tensor<1x2xf32>) -> (tensor<1x1xf32>, tensor<1x2xf32>)\n'
        "    return",
    )
    graph = parse_graph(text)
    (result,) = graph.outputs
    assert (result.op.kind, result.index) == ("Split", 1)


def test_a_text_without_weights_is_for_reading() -> None:
    graph = Graph()
    graph.add_constant(np.arange(100.0), "kernel")
    with pytest.raises(InvalidModelError, match=r"line 3, .*weight 'kernel' is not among"):
        parse_graph(print_graph(graph))


BAD = {
    "no text": ("", "expected a module with one function"),
    "not MLIR": ("\x08\x07model", "line 1, column 1: unexpected text"),
    "a string without an end": ('module {"', "column 9: a string without an end"),
    "an unknown op": (SMALL.replace("onnx.Add", "tosa.add"), "line 7.*'tosa.add'"),
    "a dangling value": (SMALL.replace("(%x, %0)", "(%x, %z)"), "%z is used before"),
    "a wrong type": (SMALL.replace("(%x, %0) : (tensor<1x2", "(%x, %0) : (tensor<1x3"),
                     "line 7, column 5: %x is of type tensor<1x2xf32>"),
    "a value made twice": (SMALL.replace("%a =", "%x ="), "%x is made twice"),
    "a wrong number of operands": (SMALL.replace("(%x, %0)", "(%x)"), "1 operands, 2 types"),
    "a wrong number of results": (SMALL.replace("%a =", "%a, %b ="), "0 results, but 1 types"),
    "a huge number of results": (SMALL.replace("%a =", "%a:999999999999 ="), "0 results"),
    "a wrong number of elements": (SMALL.replace("1.5, ", ""), "elements of shape"),
    "ragged rows": (SMALL.replace("[[1.5, -2.5]]", "[[1.5], [1.0, 2.0]]"), "different lengths"),
    "elements at two depths": (SMALL.replace("[[1.5, -2.5]]", "[1.5, [2.0]]"), "different depths"),
    "words for numbers": (SMALL.replace("1.5", "true"), "line 5, column 42: could not convert"),
    "an integer too large": (
        SMALL.replace("[[1.5, -2.5]]> : tensor<1x2xf32>", "300> : tensor<2xui8>"),
        "300 is outside of uint8",
    ),
    "too many elements": (
        SMALL.replace("[[1.5, -2.5]]> : tensor<1x2xf32>", "0.0> : tensor<99999999999x99999xf32>"),
        "too many to be written as one",
    ),
    "half a hex digit": (SMALL.replace("[[1.5, -2.5]]", '"0x123"'), "even number of hexadecimal"),
    "a dim too large": (SMALL.replace("1x2x", f"1x{10**30}x"), "too large"),
    "an unknown type": (SMALL.replace("xf32", "xf33"), "no tensor type that convc knows"),
    "a type of no value": (SMALL.replace("-> tensor<1x2xf32>\n", "-> si64\n"), "si64 is no type"),
    "a dim that is not open": (
        SMALL.replace('"in"', '"in", onnx.dim_params = "1:w"'), "axis 1 .* cannot be named",
    ),
    "dims that are no list": (SMALL.replace('"in"', '"in", onnx.dim_params = "w"'), "axis:name"),
    "a misspelt fact": (SMALL.replace('"in"', '"in", onnx.nam = "x"'), "'onnx.nam' is unknown"),
    "an attribute twice": (SMALL.replace('"in"', '"in", onnx.name = "x"'), "the same name"),
    "a dictionary": (SMALL.replace("(%x, %0)", "(%x, %0) {a = {}}"), "no kind that ONNX has"),
    "an attribute without a value": (SMALL.replace("(%x, %0)", "(%x, %0) {a}"), "no kind that"),
    "deep brackets": (SMALL.replace("(%x, %0)", "(%x, %0) {a = " + "[" * 9999), "too many bracket"),
    "deep elements": (SMALL.replace("[[1.5", "[" * 9999), "too many brackets"),
    "deep regions": (SMALL.replace("module", "module {" * 9999), "too many brackets"),
    "no return": (SMALL.replace("return %a : tensor<1x2xf32>", ""), "does not end with func.ret"),
    "an input as an op": (SMALL.replace("onnx.Add", "onnx.Input"), "'Input' is no kind"),
    "a constant without a value": (SMALL.replace("value =", "other ="), "holds no array"),
    "a result of another type": (
        SMALL.replace("tensor<1x2xf32> {\n", "tensor<?xf32> {\n"), "types returned are not",
    ),
    "two functions": (SMALL.replace("module {", "module { func.func @f() { return }"), "one func"),
    "a size below zero": (
        SMALL.replace("module {", 'module attributes {onnx.sizes = [["h", -1]]} {'),
        "onnx.sizes gives 'h' the size -1",
    ),
    "a bad escape": (SMALL.replace('"in"', r'"\q"'), "a backslash"),
    "no UTF-8": (SMALL.replace('"in"', r'"\FF"'), "no UTF-8"),
    "a resource that is too short": (
        SMALL.replace("dense<[[1.5, -2.5]]>", "dense_resource<w>")
        + '{-# dialect_resources: {builtin: {w: "0x0400000000"}} #-}',
        "weight 'w': 1 bytes, but the type has 8",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=list(BAD))
def test_bad_texts_are_refused_with_place_and_reason(text: str, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message) as error:
        parse_graph(text)
    assert re.match(r"line \d+, column \d+: ", str(error.value))
    assert "\n" not in str(error.value)


@given(st.one_of(st.text(max_size=60), st.text('{}()<>[]%#!@^:,="x01?-. \n', max_size=60)))
@settings(max_examples=300)
def test_random_text_never_crashes(text: str) -> None:
    with pytest.raises(ConvcError):
        parse_graph(text)


@given(graphs(max_ops=3), st.data())
@settings(max_examples=300)
def test_damaged_text_never_crashes(graph: Graph, data: st.DataObject) -> None:
    text = print_graph(graph, weights=True)
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 8)))
    junk = data.draw(st.one_of(st.text(max_size=3), st.sampled_from(text.split())))
    message = ""
    try:
        parse_graph(text[:start] + junk + text[stop:]).verify()
    except ConvcError as error:
        message = str(error)
    assert "\n" not in message
