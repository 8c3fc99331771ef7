"""Records onnx-tool's MACs of a folder of models, for `tests/test_peer_macs.py`.

Run by hand in an environment of its own, which needs onnx-tool, convc and the root of the
repository on the path::

    pip install onnx-tool==1.0.1 -e .
    PYTHONPATH=. python tests/peers/macs.py FOLDER > tests/peers/macs.json

Each model is profiled at the sizes at which convc costs it. Only the kinds whose MACs both count
in the same unit are recorded, by the name of the node's first result; onnx-tool's total also has
a price for each other kind (32 for an exp) and is kept to be read, not to be compared.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx_tool

from convc.sizes import load_runnable
from tests.real_models import sizes_of

KINDS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def recorded(path: Path) -> dict[str, Any]:
    """What onnx-tool says of one model, or the error with which it stops."""
    graph = load_runnable(path, sizes_of(path))
    shapes = {value.name: list(graph.concrete_shape(value) or ()) for value in graph.inputs}
    feeds = {
        value.name: np.zeros(shapes[value.name], value.dtype or np.float32)
        for value in graph.inputs
    }
    try:
        peer = onnx_tool.Model(str(path)).graph
        peer.graph_reorder_nodes()
        peer.shape_infer(feeds)
        peer.profile()
    except Exception as error:  # onnx-tool raises whatever its numpy code raises
        return {"inputs": shapes, "error": f"{type(error).__name__}: {error}"[:160]}
    macs = {
        node.output[0]: int(node.macs[0]) for node in peer.nodemap.values() if node.op_type in KINDS
    }
    return {"inputs": shapes, "total": int(peer.macs[0]), "macs": macs}


def main(folder: Path) -> None:
    """Prints one object: the version, and a line per model."""
    lines = []
    for path in sorted(folder.glob("*.onnx")):
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            found = recorded(path)
        lines.append(f'"{path.stem}": {json.dumps(found, separators=(",", ":"))}')
    print(f'{{"onnx-tool": "{version("onnx-tool")}", "models": {{')
    print(",\n".join(lines))
    print("}}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
