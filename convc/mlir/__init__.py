"""The IR as MLIR text: `print_graph` and `parse_graph`.

The text is a `module` with one `func.func`. Its ops are in MLIR's generic form, with the names and
the attribute style of the `onnx` dialect, so that `mlir-opt --allow-unregistered-dialect` and
`xdsl-opt --allow-unregistered-dialect` read it::

    module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]],
                       onnx.sizes = [["width", 224]]} {
      func.func @main_graph(%x: tensor<1x3x224x?xf32> {onnx.name = "x",
                            onnx.dim_params = "3:width"})
          -> (tensor<1x3x224x?xf32> {onnx.name = "y"}) {
        %y = "onnx.Relu"(%x) {onnx.dim_params = ["3:width"], onnx_node_name = "relu"}
            : (tensor<1x3x224x?xf32>) -> tensor<1x3x224x?xf32>
        func.return %y : tensor<1x3x224x?xf32>
      }
    }

- Graph inputs are the function's arguments, the graph's outputs its results; what a file declares
  of an output's type is ``onnx.type``, with the names of its dims beside it.
- The SSA name is the value's name. A value without a name has a number; where a name is no legal
  SSA name, or taken, the real ones are in ``onnx.names``.
- An omitted operand is ``%none``, the result of ``onnx.NoValue``. An op of another domain is an
  ``onnx.Custom`` with ``domain_name`` and ``function_name``.
- Weights of up to 16 elements, and those with all elements equal, are ``dense<...>``; others are
  ``dense_resource<...>``, their bytes in the file's resources where asked for. What MLIR's
  builtin attributes cannot say (strings, some small floats) is ``#onnx.dense<...>``.
- What convc does not look into (subgraphs, sequence types) is the hexadecimal digits of its
  bytes: ``#onnx.opaque<"0x...">``, ``!onnx.opaque<"0x...">``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convc.mlir.printer import print_graph
    from convc.mlir.reader import parse_graph

__all__ = ["parse_graph", "print_graph"]

_HOMES = {"parse_graph": "convc.mlir.reader", "print_graph": "convc.mlir.printer"}


def __getattr__(name: str) -> Any:
    """Loads printer and parser on first use: most runs need neither."""
    if name not in _HOMES:
        raise AttributeError(f"module 'convc.mlir' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
