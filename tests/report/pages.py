"""What the tests of the page share: pages of small models, and a model with hostile names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from convc.api import optimize
from convc.graph import Graph
from convc.ir import TensorType
from convc.report.write import Means, write_compared
from convc.runtime import Settings

HOSTILE = (
    "</script><script>window.wrong=1</script>",
    "<img src=x onerror=window.wrong=1>",
    "'\"><svg/onload=window.wrong=1>",
    "{{ 7*7 }}${7*7}&lt;\u2028\u202e]]>-->",
)
"""Names that a careless page would obey."""

FLOAT = np.dtype(np.float32)


def compared(model: Path, path: Path, passes: str | None = None) -> Path:
    """Writes the page on a model and what the default pipeline makes of it, by counts."""
    result = optimize(model, passes, objective="macs", history=True)
    write_compared(path, model.name, result, Means(Settings()))
    return path


def hostile_graph() -> Graph:
    """A conv and its norm, every name of theirs hostile."""
    graph = Graph()
    image = TensorType(FLOAT, (1, 4, 8, 8))
    x = graph.add_input(HOSTILE[1], image)
    random = np.random.default_rng(3)
    weight = graph.add_constant(random.normal(size=(4, 4, 1, 1)).astype(FLOAT), HOSTILE[2])
    conv = graph.add("Conv", (x, weight), {}, types=(image,), names=(HOSTILE[3],), name=HOSTILE[0])
    numbers = [
        graph.add_constant(np.full(4, value, FLOAT), f"{HOSTILE[0]} {value}")
        for value in (2.0, 0.5, 0.1, 1.0)
    ]
    norm = graph.add(
        "BatchNormalization", (conv.result, *numbers), {}, types=(image,),
        names=(HOSTILE[1] + "y",), name=HOSTILE[2],
    )  # fmt: skip
    relu = graph.add("Relu", (norm.result,), types=(image,), names=(HOSTILE[0] + "z",))
    graph.set_outputs([relu.result], [HOSTILE[0]])
    return graph
