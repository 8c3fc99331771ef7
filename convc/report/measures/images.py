"""Inputs and outputs that are images, of both models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc.errors import ConvcError
from convc.feeds import Case, Data, as_cases, required
from convc.graph import Graph
from convc.ir import Array, TensorType, Value, is_real
from convc.metrics.errors import psnr
from convc.onnx_io import LARGEST_FILE, to_bytes, weight_bytes
from convc.report.measures.names import shown
from convc.runtime import Session, Settings
from convc.samples.images import spread
from convc.samples.preprocess import image_layout
from convc.samples.synthetic import synthetic
from convc.text import one_line

SMALLEST = 16
"""Side from which an array with one or three channels is taken for an image."""

MADE_UP = 4
"""Images made up where there are no data: of the first kind three, of the second one."""


@dataclass(frozen=True, slots=True)
class ImagePair:
    """One output of both models for one input.

    Attributes:
        case: the name of the input data.
        output: the output's name.
        source: what was fed, (H, W, C) with one or three channels.
        original: what the model as it came gives, likewise.
        rewritten: what the rewritten one gives, of the same shape.
        psnr: of the whole output in dB, the peak being the original's largest value less its
            smallest; infinite where both are equal.
    """

    case: str
    output: str
    source: Array
    original: Array
    rewritten: Array
    psnr: float


@dataclass(frozen=True, slots=True)
class Images:
    """Pairs of images, or why there are none.

    Attributes:
        pairs: of each case every output that is an image.
        made_up: the inputs are synthetic.
        reason: why there are no pairs; "" where there are.
    """

    pairs: tuple[ImagePair, ...] = ()
    made_up: bool = False
    reason: str = ""


def image_cases(
    graph: Graph, data: Data = None, preprocess: str = "", *, seed: int = 0
) -> list[Case]:
    """Inputs that are images: the user's, or made-up ones; none where the model takes no images.

    Raises UsageError where the data do not fit the model, CannotFeedError where another input
    cannot be made up.
    """
    if _image_input(graph) is None:
        return []
    if data is not None:
        return as_cases(data, graph, preprocess)
    return synthetic(graph, graph.sizes, MADE_UP, seed)


def image_outputs(
    original: Graph,
    rewritten: Graph,
    cases: Sequence[Case],
    *,
    made_up: bool = False,
    most: int = 2,
    settings: Settings | None = None,
) -> Images:
    """Runs both models on a few cases and keeps the outputs that are images.

    Exactly one of the model's inputs is an image. An output is one where it is (N, C, H, W) or
    (N, H, W, C) of floating numbers or bytes, with one or three channels and sides of at least
    `SMALLEST`, none below half of the input's: a map of scores is smaller. Of a batch the first
    is kept.

    Args:
        original: the model as it came.
        rewritten: what was made of it.
        cases: of `image_cases`; the first and the last are taken, and those between evenly.
        made_up: whether they are synthetic.
        most: how many cases to run.
        settings: of the sessions.
    """
    reason = _why_not(original, rewritten, cases)
    if reason:
        return Images(made_up=made_up, reason=reason)
    chosen = spread(cases, most)
    try:
        before = _outputs(original, chosen, settings)
        after = _outputs(rewritten, chosen, settings)
    except ConvcError as error:
        return Images(made_up=made_up, reason=f"the models could not be run: {one_line(error)}")
    fed = _image_input(original)
    layout = "" if fed is None else image_layout(fed.type) or ""
    pairs = [
        ImagePair(
            case=shown(case.name),
            output=shown(name),
            source=source,
            original=image,
            rewritten=other,
            psnr=psnr([{name: old[name]}], [{name: new[name]}]),
        )
        for case, old, new in zip(chosen, before, after, strict=True)
        for source in _as_image(None if fed is None else case.feeds.get(fed.name), layout)
        for name in old
        for image in _as_image(old[name], _layout_of(old[name], source))
        for other in _as_image(new.get(name), _layout_of(old[name], source))
        if other.shape == image.shape
    ]
    return Images(tuple(pairs), made_up, "" if pairs else "no output is an image")


def is_image_output(shape: Sequence[int], sides: Sequence[int]) -> str:
    """The layout of an output that is an image beside an input with these sides, else ""."""
    if len(shape) != 4 or 0 in shape:
        return ""
    for layout, channels, spatial in (
        ("nchw", shape[1], shape[2:]),
        ("nhwc", shape[3], shape[1:3]),
    ):
        large = all(a >= max(SMALLEST, b / 2) for a, b in zip(spatial, sides, strict=True))
        if channels in (1, 3) and large:
            return layout
    return ""


def _image_input(graph: Graph) -> Value | None:
    """The one input that takes images; None where there is none, or several."""
    found = [value for value in required(graph) if image_layout(value.type)]
    return found[0] if len(found) == 1 else None


def _why_not(original: Graph, rewritten: Graph, cases: Sequence[Case]) -> str:
    if not cases:
        return "the model takes no images"
    for graph in (original, rewritten):
        if weight_bytes(graph) > LARGEST_FILE:
            return "the model is too large to be run for the report"
    types = [value.type for value in original.outputs]
    plausible = [t for t in types if isinstance(t, TensorType) and _may_be(t)]
    return "" if plausible else "no output is an image"


def _may_be(type_: TensorType) -> bool:
    real = is_real(type_.dtype) or type_.dtype == np.uint8
    return real and (type_.shape is None or len(type_.shape) == 4)


def _outputs(
    graph: Graph, cases: Sequence[Case], settings: Settings | None
) -> list[Mapping[str, Array]]:
    session = Session(to_bytes(graph), settings)
    return [dict(zip(session.output_names, session.run(case.feeds), strict=True)) for case in cases]


def _layout_of(array: Array, source: Array) -> str:
    known = is_real(array.dtype) or array.dtype == np.uint8
    return is_image_output(array.shape, source.shape[:2]) if known else ""


def _as_image(array: Array | None, layout: str) -> list[Array]:
    """The first of a batch as (H, W, C); nothing where there is no image."""
    if array is None or not layout or array.ndim != 4 or not array.size:
        return []
    first = array[0]
    image = np.moveaxis(first, 0, -1) if layout == "nchw" else first
    return [image] if min(image.shape[:2]) >= SMALLEST and image.shape[2] in (1, 3) else []
