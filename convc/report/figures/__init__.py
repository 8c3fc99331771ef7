"""The figures of the report: strings of inline SVG and HTML, without scripts or outside references.

Each takes data of `convc.report.measures` and a name that is unique on the page: every id begins
with it. Colours are the page's own text colour and four custom properties (see `CSS`), so a figure
follows light and dark mode. Plots are drawn by matplotlib (the extra ``report``); where that is not
installed, a line says so in the plot's place.
"""

from convc.report.figures.images import image_pairs
from convc.report.figures.layers import layer_bars
from convc.report.figures.memory import memory_over_time
from convc.report.figures.pareto import pareto
from convc.report.figures.roofline import roofline_plot
from convc.report.figures.style import CSS

__all__ = [
    "CSS",
    "image_pairs",
    "layer_bars",
    "memory_over_time",
    "pareto",
    "roofline_plot",
]
