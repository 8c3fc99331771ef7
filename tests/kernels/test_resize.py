"""Resize and Upsample against onnxruntime, over their attributes.

A coordinate computed in float32 is off by a few roundings of the axis' length, and a sample
moves by its slope times that, so tolerances are a count of roundings times that length times
the largest input. `nearest` must agree exactly.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from .oracle import EPSILON, compare

EXAMPLES = settings(max_examples=400, deadline=None, derandomize=True, database=None)
COORDINATES = [
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
]
SCALES = [0.25, 0.3, 0.5, 0.6, 0.7, 0.8, 1.0, 1.3, 1.5, 2.0, 2.5, 3.0, 4.0]


def signed(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@st.composite
def resizes(draw: Any) -> tuple[list[np.ndarray | None], dict[str, Any], int]:
    opset = draw(st.sampled_from([10, 11, 13, 18, 19]))
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    rank = 2 if mode == "cubic" else draw(st.integers(1, 3))
    spatial = tuple(draw(st.integers(1, 8)) for _ in range(rank))
    x = signed(draw(st.integers(0, 99)), (1, 2, *spatial))
    whole = [1.0, 1.0] + [draw(st.sampled_from(SCALES)) for _ in range(rank)]
    scales: np.ndarray | None = np.array(whole, dtype=np.float32)
    attributes: dict[str, Any] = {"mode": mode}
    if opset == 10:
        return [x, scales], attributes, opset
    attributes["coordinate_transformation_mode"] = draw(st.sampled_from(COORDINATES))
    if mode == "nearest":
        modes = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        attributes["nearest_mode"] = draw(st.sampled_from(modes))
    if mode == "cubic":
        attributes["cubic_coeff_a"] = draw(st.sampled_from([-0.75, -0.5]))
        attributes["exclude_outside"] = draw(st.integers(0, 1))
    if opset >= 18 and mode != "nearest":
        attributes["antialias"] = draw(st.integers(0, 1))
    roi = None
    if attributes["coordinate_transformation_mode"] == "tf_crop_and_resize":
        starts = [0.0, 0.0] + [draw(st.sampled_from([0.0, 0.2, 0.4, -0.1])) for _ in range(rank)]
        ends = [1.0, 1.0] + [draw(st.sampled_from([1.0, 0.9, 0.6, 1.2])) for _ in range(rank)]
        roi = np.array(starts + ends, dtype=np.float32)
        attributes["extrapolation_value"] = draw(st.sampled_from([0.0, -7.5]))
    sizes = None
    if draw(st.booleans()):
        sizes = np.array([1, 2] + [draw(st.integers(1, 12)) for _ in range(rank)])
        scales = None
    if opset >= 18 and draw(st.booleans()):
        chosen = list(range(2, 2 + rank))
        attributes["axes"] = [axis - (2 + rank) * draw(st.integers(0, 1)) for axis in chosen]
        scales = None if scales is None else scales[2:]
        sizes = None if sizes is None else sizes[2:]
        roi = None if roi is None else np.concatenate([roi[2 : 2 + rank], roi[4 + rank :]])
        # With negative axes onnxruntime does not follow another policy.
        if sizes is not None and min(attributes["axes"]) >= 0:
            policies = ["stretch", "not_larger", "not_smaller"]
            attributes["keep_aspect_ratio_policy"] = draw(st.sampled_from(policies))
    return [x, roi, scales, sizes], attributes, opset


def test_resize() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(resizes())
    def check(case: tuple[list[np.ndarray | None], dict[str, Any], int]) -> None:
        inputs, attributes, opset = case
        x = inputs[0]
        assert x is not None
        assume(x.size)
        rounding = EPSILON * np.abs(x).max() * (16 * max(x.shape) + 64) * (x.ndim - 2)
        tolerance = 0.0 if attributes["mode"] == "nearest" else rounding
        compare(counts, "Resize", inputs, attributes, opset, tolerance)

    check()
    print(counts)
    assert counts["compared"] >= 200, counts


def test_nearest_rounds_as_the_runtime_does() -> None:
    """All small sizes, whole steps of which fall on a sample or a rounding beside it."""
    counts: Counter[str] = Counter()
    for coordinates in (c for c in COORDINATES if c != "tf_crop_and_resize"):
        opset = 11 if "tf" in coordinates else 19
        for rounding in ("floor", "ceil", "round_prefer_floor"):
            attributes = {
                "mode": "nearest",
                "coordinate_transformation_mode": coordinates,
                "nearest_mode": rounding,
            }
            for size in range(1, 13):
                x = np.arange(size**2, dtype=np.float32).reshape(1, 1, size, size)
                for output in range(1, 14, 2):
                    given = [x, None, None, np.array([1, 1, output, output + 1])]
                    compare(counts, "Resize", given, attributes, opset, 0.0)
    assert counts["compared"] >= 1000, counts


def test_upsample() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(
        st.sampled_from([7, 9]),
        st.sampled_from(["nearest", "linear"]),
        st.lists(st.sampled_from([1.0, 1.3, 1.5, 2.0, 3.0]), min_size=2, max_size=2),
        st.lists(st.integers(1, 7), min_size=2, max_size=2),
        st.integers(0, 99),
    )
    def check(opset: int, mode: str, scales: list[float], size: list[int], seed: int) -> None:
        x = signed(seed, (1, 3, *size))
        whole = [1.0, 1.0, *scales]
        inputs = [x] if opset < 9 else [x, np.array(whole, dtype=np.float32)]
        attributes = {"mode": mode, **({"scales": whole} if opset < 9 else {})}
        rounding = EPSILON * np.abs(x).max() * (16 * max(x.shape) + 64) * 2
        tolerance = 0.0 if mode == "nearest" else rounding
        compare(counts, "Upsample", inputs, attributes, opset, tolerance)

    check()
    print(counts)
    assert counts["compared"] >= 200, counts
