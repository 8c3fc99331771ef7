"""The data behind the figures of the report: plain numbers, no drawing."""

from convc.report.measures.images import ImagePair, Images, image_cases, image_outputs
from convc.report.measures.layers import Amount, Layer, Link, Load, layers, tail
from convc.report.measures.roofline import Mark, Roofline, roofline
from convc.report.measures.timeline import Timeline, timeline
from convc.report.measures.tradeoff import Point, Tradeoff, tradeoff

__all__ = [
    "Amount",
    "ImagePair",
    "Images",
    "Layer",
    "Link",
    "Load",
    "Mark",
    "Point",
    "Roofline",
    "Timeline",
    "Tradeoff",
    "image_cases",
    "image_outputs",
    "layers",
    "roofline",
    "tail",
    "timeline",
    "tradeoff",
]
