"""Plots as inline SVG: matplotlib draws, and what it writes is made fit for a page of HTML."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from convc.report.figures.style import COLOURS, INK, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 380, 285
"""Size of a plot in its own units, chosen so that text of `TEXT` is still read at 330 pixels."""

TEXT = 12.0
SMALL = 10.5
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 28, 46
"""Room around the axes."""

HALO = "paint-order: stroke; stroke: var(--paper, Canvas); stroke-width: 3; stroke-linejoin: round"
"""The ground of the page around letters, so that they are read across lines."""

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "convc",
    "font.size": TEXT,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "xtick.major.pad": 7,
    "ytick.color": INK,
    "text.parse_math": False,
    "path.simplify": False,
}


def missing(name: str) -> str:
    """What stands in a plot's place where matplotlib is not installed; "" where it is."""
    if find_spec("matplotlib") is not None:
        return ""
    return note("Not drawn: plots need matplotlib: pip install 'convc[report]'", name)


def new_axes() -> Axes:
    """Empty axes on a figure of their own."""
    import matplotlib as mpl  # noqa: PLC0415  # slow to import, and an optional extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_RC):
        # At 72 dots per inch a point is a pixel, and a pixel a unit of the SVG.
        made = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        left, bottom = LEFT / WIDTH, BOTTOM / HEIGHT
        width, height = 1 - left - RIGHT / WIDTH, 1 - bottom - TOP / HEIGHT
        axes = made.add_axes((left, bottom, width, height))
        axes.patch.set_visible(False)
        made.patch.set_visible(False)
        axes.grid(visible=True, color=INK, alpha=0.15, linewidth=0.6)
        axes.set_axisbelow(True)
    return axes


def inline(
    axes: Axes,
    *,
    name: str,
    title: str,
    description: str,
    tips: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The figure of ``axes`` as an element of HTML.

    Args:
        axes: what was drawn, in the colours of `convc.report.figures.style`.
        name: with which all ids begin.
        title: the figure's name for a screen reader.
        description: what it shows, in a few sentences.
        tips: by the gid of a collection of marks what a pointer over each of them shows.
    """
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    text = io.StringIO()
    no_date = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure = axes.figure
    assert isinstance(figure, Figure)
    axes.minorticks_off()
    # At the edge, however wide the numbers between are.
    axes.yaxis.set_label_coords(-(LEFT - 15) / (WIDTH - LEFT - RIGHT), 0.5)
    with mpl.rc_context(_RC), warnings.catch_warnings():
        # Letters that its font lacks: the page's fonts draw them.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(text, format="svg", metadata=no_date)
    root = ElementTree.fromstring(text.getvalue())
    for gid, told in (tips or {}).items():
        _add_tips(root, gid, told)
    _drop_styles(root)
    for element in root.iter():
        _restyle(element)
    _rename(root, name)
    _describe(root, name, title, description)
    _strip(root)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _drop_styles(root: ElementTree.Element) -> None:
    """Removes style sheets, which would hold for the whole page."""
    for parent in list(root.iter()):
        for shared in parent.findall(f"{SVG}defs"):
            for sheet in shared.findall(f"{SVG}style"):
                shared.remove(sheet)
            if not len(shared):
                parent.remove(shared)


def _restyle(element: ElementTree.Element) -> None:
    """Puts CSS in the place of the colours drawn, and leaves the font to the page."""
    style = element.get("style")
    if style is not None:
        for drawn, wanted in COLOURS.items():
            style = style.replace(drawn, wanted)
        element.set("style", re.sub(r"\s*font-family:[^;]*;?", "", style).strip())
    if element.tag == f"{SVG}text":
        element.set("style", f"{element.get('style', '')}; {HALO}".removeprefix("; "))
    if element.tag == f"{SVG}path":
        element.set("d", re.sub(r"\s+", " ", element.get("d", "")).strip())


def _rename(root: ElementTree.Element, name: str) -> None:
    """Keeps the ids that are referred to, each with the name of the figure before it."""
    used = {e.get(HREF, "")[1:] for e in root.iter()}
    clips = " ".join(e.get("clip-path", "") for e in root.iter())
    used |= set(re.findall(r"url\(#([^)]*)\)", clips))
    for element in root.iter():
        found = element.attrib.pop("id", None)
        if found in used:
            element.set("id", f"{name}-{found}")
        target = element.attrib.pop(HREF, None)
        if target is not None:
            element.set("href", f"#{name}-{target[1:]}")
        clip = element.get("clip-path")
        if clip is not None:
            element.set("clip-path", clip.replace("url(#", f"url(#{name}-"))


def _describe(root: ElementTree.Element, name: str, title: str, description: str) -> None:
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{SVG}{tag}", {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(place, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)


def _add_tips(root: ElementTree.Element, gid: str, told: Sequence[str]) -> None:
    group = root.find(f".//{SVG}g[@id='{gid}']")
    if group is None:
        return
    drawn = (e for e in group.iter() if e.tag in (f"{SVG}use", f"{SVG}path"))
    # A path with an id is the shape that the marks refer to.
    marks = [e for e in drawn if "id" not in e.attrib]
    for mark, text in zip(marks, told, strict=False):
        ElementTree.SubElement(mark, f"{SVG}title").text = text
    # What all have in common is said once: there may be thousands.
    for key in ("style", "clip-path"):
        if len({mark.get(key) for mark in marks}) == 1:
            group.set(key, marks[0].get(key, ""))
            for mark in marks:
                mark.attrib.pop(key, None)


def _strip(root: ElementTree.Element) -> None:
    """Plain tags without a namespace, as HTML has them, and no blanks between them."""
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
