"""The report's figures: what they show, and that they stand alone on a page."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from convc.approximate import parse_allowance
from convc.console import duration
from convc.report import figures
from convc.report.figures import images as image_figures
from convc.report.figures import svg
from convc.report.figures.labels import place_labels
from convc.report.figures.memory import thinned
from convc.report.figures.style import COLOURS, quantity
from convc.report.measures import (
    Images,
    Mark,
    Point,
    Roofline,
    Timeline,
    Tradeoff,
)
from tests.report.figure_helpers import NASTY, gray, layer, pair, parsed, texts

pytest.importorskip("matplotlib", reason="the extra report is not installed")
pytest.importorskip("PIL", reason="the extra report is not installed")


def roofline(count: int = 3, *, measured: bool = True, **fields: Any) -> Roofline:
    marks = tuple(Mark(f"Conv c{i}", 1e6 * (i + 1), 1e4 * (2 + i % 7), 1e-4) for i in range(count))
    made: dict[str, Any] = {
        "marks": marks,
        "peak": 2e11,
        "fastest": 1e11,
        "slowest": 2e10,
        "processor": "made up",
        "threads": 2,
        "measured": measured,
        "left_out": 0,
    }
    return Roofline(**(made | fields))


def timeline(*alive: int, name: str = "Conv c", unknown: int = 0) -> Timeline:
    return Timeline(alive, tuple(f"{name}{i}" for i in range(len(alive))), (("v", 9),), unknown)


def tradeoff(*points: Point, metric: str = "", limit: str = "0.01", **fields: Any) -> Tradeoff:
    allowed = parse_allowance(limit, metric)
    assert allowed is not None
    return Tradeoff(points, fields.pop("gain", "saved time, ms"), allowed, **fields)


POINTS = (Point(0.5, 0.002, True), Point(1.0, 0.008, True, True), Point(1.2, 0.03))


def group(html: str, colour: str) -> list[ElementTree.Element]:
    """The marks in one of the page's colours, each with what a pointer shows."""
    groups = [e for e in parsed(html).iter("g") if colour in (e.get("style") or "")]
    return [e for g in groups for e in g.iter() if e.find("title") is not None]


DRAWN: dict[str, Callable[[str], str]] = {
    "roofline": lambda name: figures.roofline_plot(roofline(40), roofline(12), name=name),
    "memory": lambda name: figures.memory_over_time(timeline(3, 9, 4), timeline(2, 5), name=name),
    "layers": lambda name: figures.layer_bars([layer("Conv a", 4, 2)] * 30, name=name),
    "pareto": lambda name: figures.pareto(tradeoff(*POINTS), name=name),
    "images": lambda name: figures.image_pairs(Images((pair(gray(), gray(1)),)), name=name),
}

every = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)


@every
def test_a_figure_needs_nothing_from_outside(draw: Callable[[str], str]) -> None:
    html = draw("one")
    for element in parsed(html).iter():
        assert element.tag not in ("script", "style", "link", "foreignObject", "iframe")
        for key, value in element.attrib.items():
            assert not key.startswith("on")
            if key in ("href", "src"):
                assert value.startswith(("#", "data:image/png;base64,"))
            assert not re.search(r"url\((?!#)|https?:|@import", value)


@every
def test_ids_are_a_figures_own(draw: Callable[[str], str]) -> None:
    one, other = (parsed(draw(name)) for name in ("one", "other"))
    ids = [e.get("id") for e in one.iter() if e.get("id")]
    assert len(ids) == len(set(ids)) > 0
    assert all(found == "one" or str(found).startswith("one-") for found in ids)
    assert not set(ids) & {e.get("id") for e in other.iter()}
    for element in one.iter():
        referred = re.findall(r"url\(#([^)]*)\)", " ".join(element.attrib.values()))
        referred += (element.get("aria-labelledby") or "").split()
        referred += [(element.get("href") or "#")[1:] or ids[0]]
        assert set(referred) <= set(ids)


@every
def test_the_same_data_give_the_same_figure(draw: Callable[[str], str]) -> None:
    assert draw("one") == draw("one")


@pytest.mark.parametrize("name", ["roofline", "memory", "pareto"])
def test_plots_speak_and_follow_the_pages_colours(name: str) -> None:
    root = parsed(DRAWN[name]("one"))
    drawing = root.find(".//svg")
    caption = root.find(".//figcaption")
    assert drawing is not None
    assert caption is not None
    assert drawing.get("role") == "img"
    assert drawing.get("viewBox")
    assert drawing.get("width") is None
    spoken = {e.get("id"): e.text for e in drawing if e.tag in ("title", "desc")}
    assert (
        list(spoken) == (drawing.get("aria-labelledby") or "").split() == ["one-title", "one-desc"]
    )
    assert spoken["one-desc"] == caption.text
    assert len(caption.text or "") > 40
    allowed = "|".join(map(re.escape, COLOURS.values()))
    for element in drawing.iter():
        style = element.get("style") or ""
        assert "font-family" not in style
        assert not re.search(r"#[0-9a-f]{6}", re.sub(allowed, "", style))
        if element.tag == "text":
            assert "fill: currentColor" in style
            assert "var(--paper" in style


# -- roofline ------------------------------------------------------------------------------------


def test_one_mark_for_each_op_by_shape_and_colour() -> None:
    before, after = roofline(30), roofline(25)
    html = figures.roofline_plot(before, after)
    drawn = [group(html, COLOURS["#020202"]), group(html, COLOURS["#030303"])]
    assert [len(marks) for marks in drawn] == [30, 25]
    shapes = [{mark.get("href") for mark in marks} for marks in drawn]
    assert not shapes[0] & shapes[1]
    # The farther right, the more operations per byte: the order of the places is that of the data.
    marks = sorted(before.marks, key=lambda mark: mark.intensity)
    by_tip = {(e.findtext("title") or "").split(" (")[0]: e for e in drawn[0]}
    places = [float(by_tip[mark.label].get("x", "")) for mark in marks]
    for (a, b), (x, y) in zip(pairwise(marks), pairwise(places), strict=True):
        assert (a.intensity < b.intensity) == (x < y)
    heights = [float(by_tip[mark.label].get("y", "")) for mark in marks]
    decade = (heights[0] - heights[-1]) / math.log10(marks[-1].speed / marks[0].speed)
    for mark, height in zip(marks, heights, strict=True):
        expected = heights[0] - decade * math.log10(mark.speed / marks[0].speed)
        assert height == pytest.approx(expected, abs=0.01)


def test_the_heaviest_ops_are_named() -> None:
    told = texts(figures.roofline_plot(roofline(9)))
    root = parsed(figures.roofline_plot(roofline(9)))
    labels = {"".join(e.itertext()).strip() for e in root.iter("text")}
    assert {"Conv c0", "Conv c1", "Conv c2"} <= labels
    assert "Conv c5" not in labels
    assert "200 GFLOP/s" in labels
    assert "9 ops, measured" in told


def test_a_roofline_without_marks_or_machine_says_why() -> None:
    assert "the machine was not asked" in figures.roofline_plot(None)
    none = figures.roofline_plot(roofline(0, left_out=4), roofline(0))
    assert "no op both computes" in none
    assert "<svg" not in none
    half = texts(figures.roofline_plot(roofline(0, left_out=4), roofline(2, measured=False)))
    assert "no op has a place" in half
    assert "nothing was timed" in half


@pytest.mark.parametrize(
    "mark",
    [
        Mark("tiny", 1, 1e12, 1e3),
        Mark("huge", 1e18, 1, 1e-9),
        Mark(NASTY, 1e9, 1e6, 1e-2),
    ],
)
def test_extreme_marks_are_drawn(mark: Mark) -> None:
    html = figures.roofline_plot(roofline(marks=(mark,)))
    assert mark.label[:4] in texts(html)
    assert len(group(html, COLOURS["#020202"])) == 1


def test_equal_bandwidths_are_one_roof() -> None:
    told = texts(figures.roofline_plot(roofline(fastest=2e10)))
    assert "bandwidth 20 GB/s" in told


# -- memory --------------------------------------------------------------------------------------


def test_the_peak_is_marked_and_named() -> None:
    html = figures.memory_over_time(timeline(10**6, 3 * 10**6, 5), timeline(10**6, name="Relu r"))
    labels = {"".join(e.itertext()).strip() for e in parsed(html).iter("text")}
    assert {"3 MB, Conv c1", "1 MB, Relu r0"} <= labels
    told = texts(html)
    assert "Before: at most 3 MB at once, at Conv c1, op 2 of 3" in told
    assert "After: at most 1 MB at once, at Relu r0, op 1 of 1" in told


@pytest.mark.parametrize("alive", [(0,), (0, 0, 0), (1,), (7, 7), (10**13, 1)])
def test_memory_of_any_size_is_drawn(alive: tuple[int, ...]) -> None:
    html = figures.memory_over_time(timeline(*alive, unknown=2))
    assert "2 values of unknown size" in texts(html)
    assert "NaN" not in html
    assert "before" not in texts(html).lower()


def test_thinned_steps_keep_the_peaks() -> None:
    rng = np.random.default_rng(0)
    alive = [int(n) for n in rng.integers(0, 1000, 12_345)]
    edges, steps = thinned(alive, 800)
    assert len(steps) <= 800
    assert len(edges) == len(steps) + 1
    assert (edges[0], edges[-1]) == (0, 12_345)
    for (start, end), height in zip(pairwise(edges), steps, strict=True):
        assert height == max(alive[start:end])
    assert thinned([3, 1], 800) == ([0, 1, 2], [3, 1])


# -- error against gain --------------------------------------------------------------------------


def test_the_limit_and_the_result_are_told() -> None:
    html = figures.pareto(tradeoff(*POINTS, speedup=1.25, left_out=2))
    labels = {"".join(e.itertext()).strip() for e in parsed(html).iter("text")}
    assert {"allowed 1.00%", "result 0.80%", "saved time, ms", "relative error"} <= labels
    told = texts(html)
    assert "The result: 0.80%, 1.25× as fast." in told
    assert "2 models without a finite error" in told
    assert COLOURS["#040404"] in html
    tips = [e.findtext("title") for e in group(html, COLOURS["#020202"])]
    assert tips == ["0.20%, saved time, ms: 0.5", "3.00%, saved time, ms: 1.2"]


def corners(element: ElementTree.Element) -> list[tuple[float, float]]:
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", element.get("d", ""))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_the_limit_and_the_steps_are_where_they_should_be() -> None:
    points = (Point(1.0, 0.01, True), Point(2.0, 0.02, True))
    html = figures.pareto(tradeoff(*points))
    paths = {e.get("style"): corners(e) for e in parsed(html).iter("path")}
    (limit,) = [found for style, found in paths.items() if COLOURS["#040404"] in str(style)]
    (steps,) = [found for found in paths.values() if len(found) == 5]
    marks = group(html, COLOURS["#020202"])
    middles = [(float(mark.get("x", "")), float(mark.get("y", ""))) for mark in marks]
    # The first point has just the error that is allowed.
    assert [y for _, y in limit] == pytest.approx([middles[0][1]] * 2, abs=0.01)
    # Who wants to gain a little more than a point pays for the next one: up, then right.
    exact, up, one, on, two = steps
    assert (up[0], up[1]) == (exact[0], one[1])
    assert (on[0], on[1]) == (one[0], two[1])
    assert np.allclose([one, two], middles, atol=0.01)


def test_an_exact_result_is_told() -> None:
    assert "the result is exact" in texts(figures.pareto(tradeoff(Point(1.0, 0.5))))
    assert "no model was tried" in figures.pareto(tradeoff())
    assert "2 models tried, none with a finite" in figures.pareto(tradeoff(left_out=2))


@pytest.mark.parametrize(
    ("points", "metric", "limit"),
    [
        ([Point(0.0, 0.0)], "", "0.01"),
        ([Point(1e10, 1e-9, True), Point(2e10, 0.5, True)], "", "0.01"),
        ([Point(1.0, 60.0, True), Point(2.0, 20.0, True, True)], "psnr", "45"),
        ([Point(-1.0, -3.0)], "psnr", "45"),
        ([Point(1.0, 0.0, True, True)], "top1", "0.01"),
    ],
)
def test_all_metrics_are_drawn(points: list[Point], metric: str, limit: str) -> None:
    html = figures.pareto(tradeoff(*points, metric=metric, limit=limit))
    assert "allowed" in texts(html)
    assert "nan" not in html.lower()


# -- labels, words and what is not installed -----------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_labels_neither_overlap_nor_leave_the_plot(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = svg.new_axes()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    anchors = [(float(x), float(y), "Conv name of ten") for x, y in 0.3 * rng.random((12, 2))]
    boxes = place_labels(axes, anchors, [(x, y) for x, y, _ in anchors])
    assert 4 <= len(boxes) <= 12
    assert len(axes.texts) == len(boxes)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(box.left >= 0 and box.right <= svg.WIDTH for box in boxes)
    assert all(box.bottom >= 0 and box.top <= svg.HEIGHT for box in boxes)


def test_words_for_numbers() -> None:
    assert [quantity(n, "B") for n in (0, 999, 1234, 5e6, 7.25e9, 3e12)] == [
        "0 B",
        "999 B",
        "1.23 kB",
        "5 MB",
        "7.25 GB",
        "3 TB",
    ]
    assert quantity(12, "") == "12"
    assert [duration(s) for s in (0, 5e-6, 2e-3, 1.5)] == ["0 µs", "5 µs", "2 ms", "1,500 ms"]


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "find_spec", lambda _: None)
    monkeypatch.setattr(image_figures, "find_spec", lambda _: None)
    for name in ("roofline", "memory", "pareto"):
        assert "convc[report]" in DRAWN[name]("one")
    assert "convc[images]" in DRAWN["images"]("one")
    assert figures.image_pairs(Images(reason="no output is an image")) == ""
    assert "<table" in DRAWN["layers"]("one")


def test_libraries_wait_until_something_is_drawn() -> None:
    script = "import convc.report.figures, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"matplotlib", "PIL", "onnxruntime"} & set(done.stdout.split())


def test_a_thousand_ops_stay_small() -> None:
    html = figures.roofline_plot(roofline(1000), roofline(700))
    assert len(group(html, COLOURS["#020202"])) == 1000
    assert len(html) < 500_000
    rng = np.random.default_rng(0)
    alive = [int(n) for n in rng.integers(10**6, 10**8, 1000)]
    assert len(figures.memory_over_time(timeline(*alive))) < 100_000
