"""By how much a chain of convs differs from another one, weight by weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convc.algebra.compose import compose_bias, compose_geometry, compose_kernels
from convc.algebra.geometry import ConvGeometry
from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value


@dataclass(frozen=True, slots=True)
class Difference:
    """Of the outputs of two affine maps.

    Attributes:
        largest: at least its magnitude, for inputs of the stated magnitude.
        deviation: its root mean square at the most, for random inputs of that deviation.
    """

    largest: float
    deviation: float


def difference(before: Graph, after: Graph, magnitude: float) -> Difference | None:
    """How far two chains of convs are apart; None where one of them is something else.

    Both are one conv each (`convc.algebra.compose`), of kernels w and w + Δ. For inputs of at most
    magnitude X an output moves by X·Σ|Δ_k| and by what the bias does; for uncorrelated ones of
    deviation X by X·‖Δ_k‖. Borders only leave terms out.
    """
    old, new = _composed(before), _composed(after)
    if old is None or new is None or old[2] != new[2] or old[0].shape != new[0].shape:
        return None
    moved = np.abs(new[0] - old[0]).reshape(len(old[0]), -1)
    bias = np.abs(new[1] - old[1])
    return Difference(
        float((magnitude * moved.sum(axis=1) + bias).max()),
        float(np.sqrt(magnitude**2 * (moved**2).sum(axis=1) + bias**2).max()),
    )


_Conv = tuple[Array, Array, ConvGeometry]
"""Kernel, bias, geometry."""


def _composed(graph: Graph) -> _Conv | None:
    """A graph that is a chain of convs as one conv."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    found: _Conv | None = None
    value: Value | None = graph.outputs[0]
    while value is not None and not value.op.is_boundary:
        read = _read(value.op)
        if read is None:
            return None
        found = read if found is None else _after(read, found)
        value = value.op.operand(0)
    return found


def _read(op: Op) -> _Conv | None:
    weight, bias = op.operand(1), op.operand(2)
    if op.kind != "Conv" or op.domain or weight is None or weight.array is None:
        return None
    geometry = conv_geometry(op)
    if geometry is None or (bias is not None and bias.array is None):
        return None
    added = np.zeros(len(weight.array)) if bias is None else bias.array
    assert added is not None
    return weight.array.astype(np.float64), added.astype(np.float64), geometry


def _after(first: _Conv, second: _Conv) -> _Conv:
    """Two convs as one."""
    return (
        compose_kernels(first[0], second[0], first[2], second[2]),
        compose_bias(first[1], second[0], second[1], second[2].group),
        compose_geometry(first[2], second[2]),
    )
