"""Words in the report's plots, as a browser lays them out: none over another, none cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convc.approximate import parse_allowance
from convc.report import figures
from convc.report.measures import Mark, Point, Roofline, Timeline, Tradeoff
from tests.report.browser import chromium

pytest.importorskip("matplotlib", reason="the extra report is not installed")

SCRIPT = """
const told = [];
function corners(svg, text) {
  const box = text.getBBox(), to = svg.getScreenCTM().inverse().multiply(text.getScreenCTM());
  const [l, t, r, b] = [box.x, box.y, box.x + box.width, box.y + box.height];
  return [[l, t], [r, t], [r, b], [l, b]].map(([x, y]) => new DOMPoint(x, y).matrixTransform(to));
}
// Two rectangles are apart where a side of one has the other wholly on its far side.
function apart(one, other) {
  return [one, other].some(own => own.some((p, i) => {
    const q = own[(i + 1) % 4], length = Math.hypot(q.x - p.x, q.y - p.y);
    const along = c => ((q.y - p.y) * c.x - (q.x - p.x) * c.y) / length;
    const [a, b] = [one.map(along), other.map(along)];
    // Boxes of letters have a little room above and below.
    return Math.max(...a) < Math.min(...b) + 1.5 || Math.max(...b) < Math.min(...a) + 1.5;
  }));
}
for (const svg of document.querySelectorAll('svg')) {
  const {width, height} = svg.viewBox.baseVal, name = svg.querySelector('title').id;
  const texts = [...svg.querySelectorAll('text')];
  const places = texts.map(text => corners(svg, text));
  places.forEach((place, i) => {
    if (place.some(p => p.x < -1 || p.y < -1 || p.x > width + 1 || p.y > height + 1))
      told.push(`${name}: ${texts[i].textContent} is cut off`);
    for (let j = 0; j < i; j++)
      if (!apart(place, places[j]))
        told.push(`${name}: ${texts[i].textContent} over ${texts[j].textContent}`);
  });
}
return [document.querySelectorAll('svg text').length, told];
"""


def roofline(rng: np.random.Generator) -> Roofline:
    """Many ops near the peak and the slopes, where there is least room."""
    peak, slowest = 10 ** rng.uniform(9, 13), 10 ** rng.uniform(8, 11)
    fastest = slowest * 10 ** rng.uniform(0, 2)
    marks = []
    for i in range(60):
        intensity = peak / fastest * 10 ** rng.normal(0, 0.8)
        speed = min(peak, fastest * intensity) * 10 ** -rng.exponential(0.4)
        name = f"Conv /block{i}/layer{i}/Conv"[: int(rng.integers(8, 40))]
        marks.append(Mark(name, 1e6 * intensity, 1e6, 1e6 * intensity / speed))
    marks.sort(key=lambda mark: -mark.seconds)
    return Roofline(tuple(marks), peak, fastest, slowest, "made up", 4, True, 0)


def timeline(rng: np.random.Generator) -> Timeline:
    count = int(rng.integers(1, 300))
    alive = tuple(int(n) for n in 10 ** rng.uniform(2, 9) * rng.random(count))
    return Timeline(alive, tuple(f"Conv /block{i}/Conv" for i in range(count)), (), 0)


def tradeoff(rng: np.random.Generator) -> Tradeoff:
    allowed = parse_allowance(float(10 ** rng.uniform(-4, -0.1)), "")
    assert allowed is not None
    gains = np.sort(10 ** rng.uniform(-3, 10) * rng.random(int(rng.integers(1, 20))))
    values = allowed.threshold * np.sort(10 ** rng.normal(0, 0.5, len(gains)))
    chosen = int(np.argmin(np.abs(values - allowed.threshold)))
    pairs = enumerate(zip(gains.tolist(), values.tolist(), strict=True))
    points = tuple(Point(gain, value, True, i == chosen) for i, (gain, value) in pairs)
    return Tradeoff(points, "saved time, ms", allowed)


def test_no_words_hide_each_other(tmp_path: Path) -> None:
    drawn = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        drawn += [
            figures.roofline_plot(roofline(rng), roofline(rng), name=f"roofline-{seed}"),
            figures.memory_over_time(timeline(rng), timeline(rng), name=f"memory-{seed}"),
            figures.pareto(tradeoff(rng), name=f"pareto-{seed}"),
        ]
    page = tmp_path / "figures.html"
    style = f"<style>{figures.CSS}</style>"
    page.write_text(f"<!doctype html><meta charset=utf-8>{style}{''.join(drawn)}", "utf-8")
    with chromium(tmp_path / "profile") as driver:
        driver.get(page.as_uri())
        count, told = driver.execute_script(SCRIPT)
    assert count > 12 * len(drawn)
    assert told == []
