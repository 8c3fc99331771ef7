"""Fit and held-back samples: disjoint by source, deterministic, bounded; and what describe says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from convc.errors import UsageError
from convc.feeds import Case, load_data
from convc.samples.describe import describe
from convc.samples.split import FEWEST, FIT, HELD_BACK, MOST, split
from tests.samples.test_preprocess import image_model

LARGE = np.broadcast_to(np.float32(1), (1, 3, 512, 512))
SMALL = np.ones((1, 1, 8, 8), np.float32)


def cases_of(sizes: list[int], array: np.ndarray = LARGE) -> list[Case]:
    """Pieces of images: as many of each as ``sizes`` says."""
    return [
        Case(f"{i}[{j}]", {"x": array}, source=f"{i}")
        for i, count in enumerate(sizes)
        for j in range(count)
    ]


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


@given(st.lists(st.integers(1, 4), min_size=2, max_size=12), st.integers(0, 5))
def test_pieces_of_an_image_stay_together(sizes: list[int], seed: int) -> None:
    assume(max(sizes) <= sum(sizes) - FEWEST and sum(sizes) >= 2 * FEWEST)
    cases = cases_of(sizes)
    found = split(cases, seed)
    assert not {c.source for c in found.fit} & {c.source for c in found.held_back}
    assert min(len(found.fit), len(found.held_back)) >= FEWEST
    if sum(sizes) <= HELD_BACK:
        assert sorted(names(found.fit + found.held_back)) == sorted(names(cases))
    again = split(cases, seed)
    assert names(again.fit) == names(found.fit)
    assert names(again.held_back) == names(found.held_back)


def test_about_two_to_one_and_another_seed_another_split() -> None:
    cases = cases_of([1] * 30)
    found = split(cases, 0)
    assert (len(found.fit), len(found.held_back)) == (20, 10)
    assert names(found.held_back) != names(split(cases, 1).held_back)
    # Order is that of the data, and no side is its beginning or its end.
    assert names(found.fit) == [n for n in names(cases) if n in set(names(found.fit))]
    assert names(found.fit) != names(cases[:20])


def test_of_every_three_neighbours_one_is_held_back() -> None:
    for seed in range(5):
        held = [int(case.source) for case in split(cases_of([1] * 30), seed).held_back]
        assert sorted(i // 3 for i in held) == list(range(10))
        assert len({i % 3 for i in held}) == 3


def test_cases_without_a_source_stand_for_themselves() -> None:
    found = split([Case(str(i), {"x": SMALL}) for i in range(6)], 0)
    assert (len(found.fit), len(found.held_back)) == (4, 2)


def test_the_number_of_samples_is_bounded_by_their_size() -> None:
    large = split(cases_of([1] * 200), 0)
    assert (len(large.fit), len(large.held_back)) == (FIT, HELD_BACK)
    # Evenly spread: every tenth of the data is there.
    tenths = Counter(int(case.source) // 20 for case in large.fit)
    assert len(tenths) == 10
    small = split(cases_of([1] * 1700, SMALL), 0)
    assert (len(small.fit), len(small.held_back)) == (MOST, MOST // 2)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([], "too little data: 0 samples; give at least 4"),
        ([1], "too little data: 1 sample; give at least 4"),
        ([1, 1, 1], "too little data: 3 samples; give at least 4"),
        ([4], "4 samples of 1 image, and one image is not split: give at least 4 images"),
        ([1, 3], "4 samples of 2 images, and one image is not split"),
    ],
)
def test_too_little_data_is_said(sizes: list[int], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        split(cases_of(sizes), 0)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_few_sources_of_unlike_sizes_are_split_whatever_the_seed() -> None:
    for seed in range(6):
        found = split(cases_of([2, 1, 1]), seed)
        assert (len(found.fit), len(found.held_back)) == (2, 2)


def test_describe_says_what_was_done(tmp_path: Path) -> None:
    for i in range(2):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / f"{i}.png")
    graph = image_model((1, 1, 10, 10))
    cases = load_data(tmp_path, graph)
    assert describe(cases, graph, tmp_path) == (
        "2 images → 8 samples of 1×1×10×10, cropped, luma, scaled by 1/255"
    )
    text = "size=7x9 cover bgr scale=1 mean=1,2,3 std=2 reduce=2"
    free = image_model(("n", 3, "h", "w"))
    one = load_data(tmp_path / "1.png", free, text)
    assert describe(one, free, str(tmp_path / "1.png"), text) == (
        "1 image → 1 sample of 1×3×7×9, reduced by 2, scaled and cropped to cover, BGR, "
        "minus 1.0,2.0,3.0, divided by 2.0"
    )
    own = load_data(tmp_path, free)
    assert describe(own, free, tmp_path).endswith(
        "1×3×20×30, at their own size, RGB, scaled by 1/255"
    )


def test_describe_of_arrays() -> None:
    graph = image_model((1, 3, "h", "w"))
    arrays = [np.zeros((1, 3, side, 4), np.float32) for side in (5, 6)]
    cases = [Case(str(i), {"x": a}) for i, a in enumerate(arrays)]
    assert describe(cases[:1], graph, {"x": arrays[0]}) == "1 sample of 1×3×5×4"
    assert describe(cases, graph, [c.feeds for c in cases]) == "2 samples of several sizes"
    assert describe([], graph, []) == "0 samples"
