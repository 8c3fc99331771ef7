"""Convs over one axis and over three as 2-D convs, region by region."""

from __future__ import annotations

from typing import Literal

from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import NoMatch, Rewrite
from passes._chains import constant, operand
from passes.lower_to_conv2d.deep import DeepLayout
from passes.lower_to_conv2d.line import LineLayout
from passes.lower_to_conv2d.regions import lower_region
from passes.lower_to_conv2d.volume import VolumeLayout

Form = Literal["aligned", "stacked", "sum", "deep"]

NOTES = {
    "stacked": "Conv3d → 2-D over stacked slices",
    "aligned": "Conv3d → 2-D over stacked slices of padded channels",
    "sum": "Conv3d → sum of 2-D",
    "deep": "Conv3d → 2-D to several slices at once",
}


def lower_1d(graph: Graph, op: Op) -> Rewrite:
    """The region of 1-D ops around the Conv or ConvTranspose ``op`` in two dimensions."""
    if _spatial_axes(op) != 1:
        raise NoMatch
    return lower_region(graph, op, LineLayout(graph), "1-D → 2-D")


def lower_3d(graph: Graph, op: Op, form: Form) -> Rewrite:
    """The region of 3-D convs around the Conv ``op`` with the depth as batch."""
    if _spatial_axes(op) != 3:
        raise NoMatch
    layout = DeepLayout(graph, form) if form == "deep" else VolumeLayout(graph, form)
    rewrite = lower_region(graph, op, layout, NOTES[form])
    if form == "aligned" and not layout.padded:
        raise NoMatch
    return rewrite


def _spatial_axes(op: Op) -> int:
    weight = operand(op, 1)
    if weight.shape is None:
        return 0
    if len(weight.shape) in (3, 5):
        constant(weight)
    return len(weight.shape) - 2
