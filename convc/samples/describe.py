"""One line on the data that a model is fitted to and judged on, defaults included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convc.feeds import Case, Data, data_files, image_plan
from convc.graph import Graph
from convc.samples.images import is_image
from convc.samples.preprocess import Plan, shown

SYNTHETIC = (
    "synthetic images (pink noise, dead leaves): give --data for an error that holds on yours"
)


def describe(cases: Sequence[Case], graph: Graph, data: Data = None, preprocess: str = "") -> str:
    """What the samples are and what was done to make them.

    Args:
        cases: the samples.
        graph: the model they are for.
        data: what they were made of; None says that they are synthetic.
        preprocess: as it was given with the data.

    Returns a line such as ``13 images → 24 samples of 1×1×224×224, luma, scaled by 1/255``.
    """
    if data is None:
        made = _samples(cases, "synthetic sample")
        kinds = ", ".join(dict.fromkeys(case.name.rpartition(" ")[0] for case in cases))
        return f"no data: {made} ({kinds}); give --data to be judged on yours"
    files = data_files(Path(data)) if isinstance(data, str | Path) else []
    if not files or not is_image(files[0]):
        return _samples(cases)
    read = len({case.source for case in cases})
    images = f"{read} of {len(files)} images" if read < len(files) else _count(read, "image")
    return f"{images} → {_samples(cases)}, {_done(image_plan(graph, preprocess))}"


def _samples(cases: Sequence[Case], what: str = "sample") -> str:
    shapes = {
        name: {"×".join(map(str, case.feeds[name].shape)) for case in cases}
        for name in (cases[0].feeds if cases else ())
    }
    parts = []
    for name, found in shapes.items():
        shape = found.pop() if len(found) == 1 else "several sizes"
        parts.append(shape or "one number" if len(shapes) == 1 else f"{name} {shape or 'number'}")
    return " of ".join([_count(len(cases), what), *([", ".join(parts)] if parts else [])])


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _done(plan: Plan) -> str:
    how = {
        "crop": "cropped",
        "resize": "resized",
        "cover": "scaled and cropped to cover",
    }
    sized = plan.height is not None or plan.width is not None
    words = [
        f"reduced by {plan.reduce}" if plan.reduce > 1 else "",
        how[plan.fit] if sized else "at their own size",
        plan.colour if plan.colour in ("luma", "gray") else plan.colour.upper(),
        f"scaled by {shown(plan.scale)}" if plan.scale != 1 else "",
        f"minus {shown(plan.mean)}" if any(plan.mean) else "",
        f"divided by {shown(plan.std)}" if set(plan.std) != {1.0} else "",
    ]
    return ", ".join(word for word in words if word)
