"""Conv, ConvTranspose and the pools against onnxruntime, over their attributes.

Tolerances are the worst case of a float32 sum of n products: (n + 2) eps times the same
operator on absolute values (N. J. Higham, Accuracy and Stability, section 3.1).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convc.kernels import KernelError, conv, evaluate

from .oracle import EPSILON, compare

EXAMPLES = settings(max_examples=250, deadline=None, derandomize=True, database=None)


def signed(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def absolute(value: np.ndarray | None) -> np.ndarray | None:
    return None if value is None else np.abs(value).astype(np.float64)


@st.composite
def windows(draw: Any, *, negative: bool = False) -> dict[str, Any]:
    """Spatial size, kernel and the attributes every sliding window has."""
    rank = draw(st.integers(1, 3))

    def per_axis(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel = per_axis(1, 4 if rank < 3 else 3)
    attributes: dict[str, Any] = {}
    if draw(st.booleans()):
        attributes["strides"] = per_axis(1, 4)
    if draw(st.booleans()):
        attributes["dilations"] = per_axis(1, 3)
    auto_pad = draw(st.sampled_from(["NOTSET"] * 5 + ["VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto_pad != "NOTSET" or draw(st.booleans()):
        attributes["auto_pad"] = auto_pad
    if auto_pad == "NOTSET" and draw(st.booleans()):
        both = draw(
            st.lists(st.integers(-1 if negative else 0, 3), min_size=2 * rank, max_size=2 * rank)
        )
        # A pad as wide as the kernel is refused by the runtime's pools.
        attributes["pads"] = both if negative else list(np.minimum(both, np.tile(kernel, 2) - 1))
        attributes["pads"] = [int(p) for p in attributes["pads"]]
    return {
        "size": tuple(per_axis(1, 9 if rank < 3 else 6)),
        "kernel": tuple(kernel),
        "attributes": attributes,
    }


groups = st.sampled_from(
    [(1, 1, 1), (1, 3, 2), (1, 2, 5), (2, 1, 1), (3, 1, 2), (2, 3, 2), (4, 1, 1)]
)


def test_conv() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(windows(negative=True), groups, st.integers(1, 3), st.booleans(), st.integers(0, 99))
    def check(
        window: dict[str, Any], channels: tuple[int, int, int], batch: int, bias: bool, seed: int
    ) -> None:
        group, inner, outer = channels
        x = signed(seed, (batch, group * inner, *window["size"]))
        w = signed(seed + 1, (group * outer, inner, *window["kernel"]))
        b = signed(seed + 2, (group * outer,)) if bias else None
        attributes = {**window["attributes"], "group": group}
        terms = inner * math.prod(window["kernel"]) + 3
        try:
            scale = evaluate("Conv", [absolute(v) for v in (x, w, b)], attributes, 11)
        except KernelError:
            scale = [np.zeros(())]
        assert scale is not None
        compare(counts, "Conv", [x, w, b], attributes, 11, terms * EPSILON * scale[0])

    check()
    print(counts)
    assert counts["compared"] >= 100, counts


def test_conv_by_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal((2, 4, 5, 6, 7)), rng.standard_normal((6, 2, 2, 3, 2))
    attributes = {"group": 2, "strides": (1, 2, 1), "pads": (1, 0, 1, 0, 2, 1)}
    whole = conv.conv([x, w], attributes, 11)[0]
    scale = conv.conv([abs(x), abs(w)], attributes, 11)[0]
    bound = 2 * (w[0].size + 2) * np.finfo(np.float64).eps * scale
    for entries in (1, 100, 1000, 5000):
        monkeypatch.setattr(conv, "SCRATCH_ENTRIES", entries)
        result = conv.conv([x, w], attributes, 11)[0]
        assert (np.abs(result - whole) <= bound).all()


@st.composite
def transposed(draw: Any) -> dict[str, Any]:
    window: dict[str, Any] = draw(windows())
    attributes, rank = window["attributes"], len(window["kernel"])
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    if draw(st.booleans()):
        attributes["output_padding"] = [
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True)
        ]
    if draw(st.integers(0, 2)) == 0:
        full = [
            s * (n - 1) + d * (k - 1) + 1
            for n, k, s, d in zip(window["size"], window["kernel"], strides, dilations, strict=True)
        ]
        attributes["output_shape"] = [max(1, f - draw(st.integers(0, 3))) for f in full]
    return window


def test_conv_transpose() -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(transposed(), groups, st.integers(1, 2), st.booleans(), st.integers(0, 99))
    def check(
        window: dict[str, Any], channels: tuple[int, int, int], batch: int, bias: bool, seed: int
    ) -> None:
        group, inner, outer = channels
        x = signed(seed, (batch, group * inner, *window["size"]))
        w = signed(seed + 1, (group * inner, outer, *window["kernel"]))
        b = signed(seed + 2, (group * outer,)) if bias else None
        attributes = {**window["attributes"], "group": group}
        terms = inner * math.prod(window["kernel"]) + 3
        try:
            scale = evaluate("ConvTranspose", [absolute(v) for v in (x, w, b)], attributes, 11)
        except KernelError:
            scale = [np.zeros(())]
        assert scale is not None
        compare(counts, "ConvTranspose", [x, w, b], attributes, 11, terms * EPSILON * scale[0])

    check()
    print(counts)
    assert counts["compared"] >= 100, counts


@pytest.mark.parametrize(
    ("kind", "opsets"),
    [
        ("AveragePool", [7, 10, 11, 19, 22]),
        ("MaxPool", [8, 10, 11, 12, 22]),
        ("LpPool", [2, 11, 18, 22]),
    ],
)
def test_pools(kind: str, opsets: list[int]) -> None:
    counts: Counter[str] = Counter()

    @EXAMPLES
    @given(windows(), st.data(), st.integers(0, 99))
    def check(window: dict[str, Any], data: Any, seed: int) -> None:
        opset = data.draw(st.sampled_from([o for o in opsets if o >= 7]))
        attributes = {**window["attributes"], "kernel_shape": window["kernel"]}
        if opset >= 10 and (kind != "LpPool" or opset >= 18):
            attributes["ceil_mode"] = data.draw(st.integers(0, 1))
        if (kind == "AveragePool" and opset < 19) or (kind == "LpPool" and opset < 18):
            attributes.pop("dilations", None)
        if kind == "MaxPool" and opset < 10:
            attributes.pop("dilations", None)
        if kind == "AveragePool":
            attributes["count_include_pad"] = data.draw(st.integers(0, 1))
            # onnxruntime drops samples where its undilated SAME padding comes out negative.
            same = attributes.get("auto_pad", "").startswith("SAME")
            assume(not same or "dilations" not in attributes)
        if kind == "LpPool":
            attributes["p"] = data.draw(st.sampled_from([1, 2, 3]))
        count = data.draw(st.sampled_from([1, 2])) if kind == "MaxPool" else 1
        if count == 2:
            attributes["storage_order"] = data.draw(st.integers(0, 1))
            # A window without samples, which only a dilation above the size makes, has no index.
            steps = attributes.get("dilations", [1] * len(window["size"]))
            assume(all(n >= d for n, d in zip(window["size"], steps, strict=True)))
        # Few distinct values: ties decide the Indices.
        x = np.round(4 * signed(seed, (2, 3, *window["size"]))) / 4
        terms = math.prod(window["kernel"]) + 8
        tolerance = 0.0 if kind == "MaxPool" else terms * EPSILON * math.prod(window["kernel"]) * 5
        compare(counts, kind, [x], attributes, opset, tolerance, count)

    check()
    print(counts)
    assert counts["compared"] >= 100, counts
