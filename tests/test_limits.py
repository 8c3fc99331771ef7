"""What running a model may take, counted before it runs."""

from __future__ import annotations

from onnx import helper

from convc.limits import BYTES, limits_of
from convc.onnx_io import from_bytes
from tests.onnx_helpers import info, model


def test_the_columns_of_a_transposed_conv_are_memory() -> None:
    """Of a picture that is its own filter: a row and a column for each of its samples."""
    node = helper.make_node("ConvTranspose", ["x", "x"], ["y"])
    made = model([node], [info("x", (1, 1, 224, 224))], [info("y", None)])
    columns = 224**4 * 4
    assert limits_of(from_bytes(made.SerializeToString())).bytes > BYTES + 2 * columns
