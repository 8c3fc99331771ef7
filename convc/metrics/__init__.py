"""How far a model's outputs are from the original's, over many inputs; in float64.

The error of an approximate model is measured, on inputs it was not fitted to, by the relative L2
error of its outputs unless the user has another measure.
"""

from convc.metrics.errors import Relative, psnr, relative_error, relative_errors
from convc.metrics.metric import PRESETS, Metric, parse_max_error, parse_metric
from convc.metrics.outputs import Measure, Outputs
from convc.metrics.shares import class_axis, decisions, disagreement, upper_share

__all__ = [
    "PRESETS",
    "Measure",
    "Metric",
    "Outputs",
    "Relative",
    "class_axis",
    "decisions",
    "disagreement",
    "parse_max_error",
    "parse_metric",
    "psnr",
    "relative_error",
    "relative_errors",
    "upper_share",
]
