"""convc: a compiler for convolutional networks.

Reads an ONNX model, rewrites its linear algebra and proves that the result computes the same:

    >>> import convc
    >>> result = convc.optimize("models/sesr_m5_x2.onnx")
    >>> result.verdict
    <Verdict.EQUAL: 'equal'>
    >>> convc.save(result.graph, "faster.onnx")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convc.version import __version__

if TYPE_CHECKING:
    from convc.analysis import Cost, cost
    from convc.api import Result, optimize, replay, verify
    from convc.errors import ConvcError
    from convc.graph import Graph
    from convc.judge import Verdict
    from convc.model_files import load, save
    from convc.pipeline import Choose, Context, Pass, Pipeline

_HOMES = {
    "Choose": "convc.pipeline",
    "Context": "convc.pipeline",
    "ConvcError": "convc.errors",
    "Cost": "convc.analysis",
    "Graph": "convc.graph",
    "Pass": "convc.pipeline",
    "Pipeline": "convc.pipeline",
    "Result": "convc.api",
    "Verdict": "convc.judge",
    "cost": "convc.analysis",
    "load": "convc.model_files",
    "optimize": "convc.api",
    "replay": "convc.api",
    "save": "convc.model_files",
    "verify": "convc.api",
}

__all__ = [
    "Choose",
    "Context",
    "ConvcError",
    "Cost",
    "Graph",
    "Pass",
    "Pipeline",
    "Result",
    "Verdict",
    "__version__",
    "cost",
    "load",
    "optimize",
    "replay",
    "save",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Loads the public names on first use: ``convc --help`` must not wait for onnx."""
    if name not in _HOMES:
        raise AttributeError(f"module 'convc' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
