"""Approximate forms: what a layer may become where the user allows an error.

A rule proposes one rewrite of an op; for an approximation there are many (every rank, every count
of channels), and the best weights of each depend on what the layer reads and should give. So a pass
lists the forms that an op may take, by name, and each makes its rewrite when it is asked, from the
moments it asks for. `convc.approximate` chooses among them and fits what remains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convc.algebra.moments import Moments
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import Rewrite

Observe = Callable[[Op], Moments]
"""The moments of a layer (Conv, Gemm or MatMul with constant weights) of the graph: what it reads
there now, and what it gave in the original model. For a Gemm or MatMul D is the number of its
inputs. Raises NoMatch where they cannot be had."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to approximate a layer.

    Attributes:
        name: what it is, with its parameters, for people and to find it again: ``separable 32``.
        function: makes the rewrite, of class approximate; raises NoMatch where it has none.
    """

    name: str
    function: Callable[[Graph, Op, Observe], Rewrite]


Forms = Callable[[Graph, Op], Sequence[Form]]
"""The forms that a layer may take."""
