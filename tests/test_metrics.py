"""Measures of approximate outputs: formulas, what is incomparable, and thresholds in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.errors import UsageError
from convc.metrics import (
    Metric,
    Outputs,
    class_axis,
    disagreement,
    parse_max_error,
    parse_metric,
    psnr,
    relative_error,
    relative_errors,
)

RNG = np.random.default_rng(0)
SHAPE = (1, 3, 8, 9)


def outputs(*arrays: Any, name: str = "y") -> list[Outputs]:
    return [{name: np.asarray(array)} for array in arrays]


def noise(count: int = 4, mean: float = 0.0) -> list[Any]:
    return [mean + RNG.standard_normal(SHAPE).astype(np.float32) for _ in range(count)]


def shifted(arrays: Sequence[Any], by: float) -> list[Any]:
    return [array + np.float32(by) for array in arrays]


# -- relative error --------------------------------------------------------------------------


def test_relative_error_is_pooled_over_samples() -> None:
    before, after = noise(mean=2.0), noise(mean=2.0)
    x, y = (np.concatenate(arrays).astype(np.float64) for arrays in (before, after))
    found = relative_errors(outputs(*before), outputs(*after))["y"]
    missed = np.linalg.norm(y - x)
    assert math.isclose(found.plain, missed / np.linalg.norm(x), rel_tol=1e-12)
    assert found.centred is not None
    assert math.isclose(found.centred, missed / np.linalg.norm(x - x.mean()), rel_tol=1e-12)
    assert found.worst == found.centred > found.plain


def test_the_mean_is_one_number_for_the_output_over_all_samples() -> None:
    """Channels, or samples, that are constant each in themselves are variation still."""
    levels = [np.broadcast_to(np.float64([[[[i]], [[-i]], [[0]]]]), SHAPE) for i in (1, 2)]
    found = relative_errors(outputs(*levels), outputs(*[1.01 * a for a in levels]))["y"]
    assert found.centred == pytest.approx(0.01)
    assert found.plain == pytest.approx(0.01)


def test_an_error_may_not_hide_behind_the_mean() -> None:
    before = noise(mean=1000.0)
    found = relative_errors(outputs(*before), outputs(*shifted(before, 1.0)))["y"]
    assert found.plain == pytest.approx(1e-3, rel=0.01)
    assert found.worst == pytest.approx(1.0, rel=0.1)


def test_the_worst_output_counts() -> None:
    before = [{"a": a, "b": b} for a, b in zip(noise(2), noise(2), strict=True)]
    after = [{"a": o["a"] * np.float32(1.01), "b": o["b"] * np.float32(1.5)} for o in before]
    errors = relative_errors(before, after)
    assert errors["a"].plain == pytest.approx(0.01, rel=1e-4)
    assert errors["b"].plain == pytest.approx(0.5, rel=1e-4)
    assert relative_error(before, after) == errors["b"].worst
    assert psnr(before, after) == psnr([{"b": o["b"]} for o in before], after)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_a_constant_output_has_no_centred_error(dtype: Any) -> None:
    """One unit in the last place here and there is rounding, and no variation."""
    constant = np.full(SHAPE, 3.0).astype(dtype)
    rounded = constant.copy()
    rounded[..., ::4] = np.float64(3.0) * (1 + float(ml_dtypes.finfo(dtype).eps))
    for array in (constant, rounded):
        wrong = outputs((array * np.float64(1.5)).astype(dtype))
        found = relative_errors(outputs(array), wrong)["y"]
        assert found.centred is None
        assert found.worst == pytest.approx(0.5, rel=0.02)


def test_zeros() -> None:
    zeros = np.zeros(SHAPE)
    assert relative_error(outputs(zeros), outputs(zeros)) == 0
    assert relative_error(outputs(zeros), outputs(zeros + 1e-9)) == math.inf
    assert relative_error(outputs(np.zeros((0, 3))), outputs(np.zeros((0, 3)))) == 0
    assert relative_error([], []) == 0


def test_integers_and_booleans_are_counted() -> None:
    before = np.arange(20)
    after = before.copy()
    after[:3] += 100
    assert relative_error(outputs(before), outputs(after)) == pytest.approx(3 / 20)
    assert relative_error(outputs(before > 9), outputs(after > 9)) == pytest.approx(3 / 20)
    assert relative_error(outputs(before), outputs(before)) == 0


WRONG = {
    "NaN": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 7, np.nan, a),
    "infinity": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 7, np.inf, a),
    "shape": lambda a: a[..., :-1],
    "one for all": lambda a: a[:, :1],
    "integers": lambda a: a.astype(np.int64),
    "a sequence": list,
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("metric", ["", "psnr", "top1", "agreement"])
def test_what_cannot_be_compared_is_infinitely_wrong(wrong: str, metric: str) -> None:
    before = noise(3)
    after: list[Outputs] = [{"y": a} for a in before[:2]] + [{"y": WRONG[wrong](before[2])}]
    found = parse_metric(metric)
    value = found.measure(outputs(*before), after)
    assert value == (-math.inf if metric == "psnr" else math.inf)
    assert found.as_loss(value) == math.inf
    missing = found.measure(outputs(*before), outputs(*before, name="z"))
    assert found.as_loss(missing) == math.inf


def test_nan_and_infinity_of_the_original_must_be_there_too() -> None:
    before = noise(1)[0]
    before[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    after = before * np.float32(1.25)
    assert relative_error(outputs(before), outputs(before)) == 0
    assert relative_error(outputs(before), outputs(after)) == pytest.approx(0.25, rel=0.1)
    assert psnr(outputs(before), outputs(after)) < 30
    for i in range(3):
        other = before.copy()
        other[0, 0, 0, i] = -other[0, 0, 0, i] if i else 0
        assert relative_error(outputs(before), outputs(other)) == math.inf


# -- psnr ------------------------------------------------------------------------------------


def test_psnr_of_a_known_error() -> None:
    before = [np.linspace(0, 4, 50), np.linspace(-6, 0, 50)]
    after = [a + 0.01 for a in before]
    # The peak is that of all samples together: from -6 to 4.
    assert psnr(outputs(*before), outputs(*after)) == pytest.approx(60, abs=1e-6)
    assert psnr(outputs(*before), outputs(*after), peak=1) == pytest.approx(40, abs=1e-6)
    assert psnr(outputs(*before), outputs(*before)) == math.inf
    assert psnr([], []) == math.inf


def test_psnr_of_bytes_and_of_constants() -> None:
    before = np.arange(256, dtype=np.uint8)
    after = np.where(before < 128, before + 1, before - 1).astype(np.uint8)
    assert psnr(outputs(before), outputs(after)) == pytest.approx(20 * math.log10(255))
    assert psnr(outputs(np.ones(9)), outputs(np.ones(9) * 1.1)) == -math.inf
    assert psnr(outputs(np.ones(9)), outputs(np.ones(9) * 1.1), 1.0) == pytest.approx(20)


@given(st.floats(-20, 200), st.floats(-20, 200))
def test_psnr_as_a_loss_keeps_the_order(a: float, b: float) -> None:
    metric = parse_metric("psnr")
    assert (a >= b) == (metric.as_loss(a) <= metric.as_loss(b)) or a == pytest.approx(b)
    assert metric.as_loss(math.inf) == 0
    assert metric.as_loss(40.0) == pytest.approx(0.01)
    assert parse_metric("").as_loss(0.3) == 0.3


# -- decisions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 10), 1),
        ((1, 10, 1, 1), 1),
        ((1, 1, 1, 10), 3),
        ((1, 21, 65, 65), 1),
        ((1, 65, 65, 21), 3),
        ((1, 4420, 2), 2),
        ((1, 97, 400), 1),
        ((1, 8, 8), 1),
        ((1, 1), None),
        ((5,), None),
        ((), None),
        ((1, 1, 65, 65), None),
        ((1, 65, 65, 1), None),
    ],
)
def test_class_axis(shape: tuple[int, ...], axis: int | None) -> None:
    assert class_axis(shape) == axis


def test_top1_counts_decisions() -> None:
    before = [RNG.standard_normal((1, 10)) for _ in range(8)]
    after = [a + 0.0 for a in before]
    after[3][0, (np.argmax(after[3]) + 1) % 10] = 100.0
    metric = parse_metric("top1")
    assert metric.measure(outputs(*before), outputs(*after)) == 1 / 8
    assert metric.measure(outputs(*before), outputs(*[3 * a - 1 for a in before])) == 0


def test_agreement_counts_elements_of_integers_and_decisions_of_floats() -> None:
    scores = RNG.standard_normal((1, 4, 5, 5))
    flipped = scores.copy()
    flipped[:, :, 0, 0] *= -1
    labels = np.argmax(scores, 1)
    metric = parse_metric("agreement")
    assert metric.measure(outputs(scores), outputs(flipped)) == 1 / 25
    assert metric.measure(outputs(labels), outputs(np.argmax(flipped, 1))) == 1 / 25
    assert disagreement(outputs(labels), outputs(labels)) == 0
    # Along another axis these are other decisions.
    along = parse_metric("agreement:3").measure(outputs(scores), outputs(flipped))
    decided = np.argmax(scores, 3) != np.argmax(flipped, 3)
    assert along == decided.mean() > 0


def test_the_worst_output_s_decisions_count() -> None:
    before = [{"a": np.eye(4)[[i]], "b": np.eye(4)[[i]]} for i in range(4)]
    after = [{"a": o["a"], "b": np.eye(4)[[0]]} for o in before]
    assert disagreement(before, after) == 3 / 4


def test_outputs_without_classes_are_left_out_and_none_left_is_said() -> None:
    scores, face = RNG.standard_normal((1, 10)), np.ones((1, 1))
    both = [{"scores": scores, "face": face}]
    assert disagreement(both, [{"scores": scores, "face": -face}]) == 0
    for text, message in (("top1", "axis of classes"), ("top1:3", "axis 3")):
        with pytest.raises(UsageError, match=f"no output has an {message} to decide along"):
            parse_metric(text).measure(outputs(face), outputs(face))
    with pytest.raises(UsageError, match="no output has an axis of classes"):
        parse_metric("top1").measure(outputs(np.arange(5)), outputs(np.arange(5)))


# -- texts -----------------------------------------------------------------------------------


def test_names_and_units() -> None:
    units = {"": "relative", "relative": "relative", "psnr": "psnr", "psnr:255": "psnr"}
    units |= {"top1": "share", "top1:2": "share", "agreement": "share"}
    for text, unit in units.items():
        metric = parse_metric(text)
        assert metric.unit == unit
        assert metric.name == (text or "relative")
        assert metric.is_loss == (unit != "psnr")
    image = outputs(np.linspace(0, 1, 9))
    assert parse_metric("psnr:255").measure(image, outputs(np.linspace(0, 1, 9) + 0.255)) == (
        pytest.approx(60)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ssim", "is none of relative, psnr, top1, agreement and file.py:function"),
        ("file.py", "is none of"),
        ("relative:1", "is none of"),
        (":", "is none of"),
        ("psnr:", "the peak is a positive number"),
        ("psnr:-1", "the peak is a positive number"),
        ("psnr:nan", "the peak is a positive number"),
        ("psnr:x", "the peak is a positive number"),
        ("top1:", "the class axis is a number from 0"),
        ("agreement:-1", "the class axis is a number from 0"),
        ("nowhere.py:loss", "no such file: nowhere.py"),
    ],
)
def test_wrong_metrics_are_said(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_metric(text)
    assert str(caught.value).startswith(f"--metric {text}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


OWN = Metric("m.py:f", lambda _a, _b: 0.0, "own")


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("0", "", 0.0),
        ("safe", "", 0.003),
        ("balanced", "", 0.006),
        ("0.01", "", 0.01),
        ("1%", "", 0.01),
        ("1e-3", "", 1e-3),
        ("0", "psnr", 0.0),
        ("safe", "psnr", 50.0),
        ("balanced", "psnr:255", 45.0),
        ("42.5", "psnr", 42.5),
        ("42.5dB", "psnr", 42.5),
        ("42.5 db", "psnr", 42.5),
        ("safe", "top1", 0.005),
        ("balanced", "agreement", 0.01),
        ("2 %", "top1", 0.02),
        ("-3.5", OWN, -3.5),
        ("1e9", OWN, 1e9),
    ],
)
def test_thresholds(text: str, metric: str | Metric, value: float) -> None:
    found = parse_metric(metric) if isinstance(metric, str) else metric
    assert parse_max_error(text, found) == value


@pytest.mark.parametrize(
    ("text", "metric", "message"),
    [
        ("", "", "is safe, balanced, or a number, for example 0.01 or 1%"),
        ("lax", "", "is safe, balanced, or a number"),
        ("nan", "", "is safe, balanced, or a number"),
        ("-0.1", "", "is from 0 to below 1 (0.01 is 1%)"),
        ("1", "top1", "is from 0 to below 1"),
        ("100%", "", "is from 0 to below 1"),
        ("45", "", "dB go with --metric psnr"),
        ("45dB", "", "is safe, balanced, or a number"),
        ("45%", "psnr", "for example 45 or 45dB"),
        ("-5", "psnr", "is a PSNR in dB, 0 or more"),
        ("inf", "psnr", "for example 45 or 45dB"),
        ("safe", OWN, "means nothing for m.py:f: give a number"),
        ("1%", OWN, "is a number, for example 0.5"),
    ],
)
def test_wrong_thresholds_are_said(text: str, metric: str | Metric, message: str) -> None:
    found = parse_metric(metric) if isinstance(metric, str) else metric
    with pytest.raises(UsageError) as caught:
        parse_max_error(text, found)
    assert str(caught.value).startswith(f"--max-error {text}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_for_people() -> None:
    relative, decibels, share = map(parse_metric, ("", "psnr", "top1"))
    shown = relative.show(0.00312), decibels.show(47.66), share.show(0.0125), OWN.show(0.25)
    assert shown == ("0.31%", "47.7 dB", "1.25% differ", "0.25")


# -- the user's own --------------------------------------------------------------------------

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass
import numpy as np

@dataclass
class Worst:
    value: float = 0.0

def worst(original, outputs):
    found = Worst()
    for a, b in zip(original, outputs):
        found.value = max(found.value, np.abs(a["y"] - b["y"]).max())
    return found.value

def spoils(original, outputs):
    for o in (*original, *outputs):
        o.clear()
    return 0

def fails(original, outputs):
    raise KeyError("lost\\nsecond line")

def nan(original, outputs):
    return float("nan")

def text(original, outputs):
    return "good"

def nothing(original, outputs):
    pass

def infinite(original, outputs):
    return float("inf")

CONSTANT = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(SOURCE)
    return file


def test_a_function_of_the_user_s(own: Path) -> None:
    metric = parse_metric(f"{own}:worst")
    before = noise(2)
    assert metric.unit == "own"
    assert metric.is_loss
    assert metric.measure(outputs(*before), outputs(*shifted(before, 0.5))) == pytest.approx(0.5)
    assert metric.measure(outputs(*before), outputs(*before)) == 0
    wrong = shifted(before, math.nan)
    assert metric.measure(outputs(*before), outputs(*wrong)) == math.inf
    assert parse_metric(f"{own}:infinite").measure(outputs(*before), outputs(*before)) == math.inf
    given, other = outputs(*before), outputs(*before)
    parse_metric(f"{own}:spoils").measure(given, other)
    assert all("y" in o for o in given + other)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "raised KeyError: 'lost"),
        ("nan", "returned NaN"),
        ("text", "returned str, no number"),
        ("nothing", "returned NoneType, no number"),
    ],
)
def test_functions_that_fail_are_said(name: str, message: str, own: Path) -> None:
    metric = parse_metric(f"{own}:{name}")
    with pytest.raises(UsageError) as caught:
        metric.measure(outputs(*noise(1)), outputs(*noise(1)))
    assert str(caught.value).startswith(f"--metric {own}:{name}: {message}")
    assert "\n" not in str(caught.value)


def test_files_that_fail_are_said(own: Path, tmp_path: Path) -> None:
    for name in ("missing", "CONSTANT", ""):
        with pytest.raises(UsageError, match=f"the file has no function '{name}'"):
            parse_metric(f"{own}:{name}")
    sources = {
        "import no_such_module_anywhere": "raised ModuleNotFoundError: No module",
        "def f(:": "raised SyntaxError",
        "raise SystemExit": "raised SystemExit",
        "1 / 0": "raised ZeroDivisionError: division by zero",
    }
    for source, message in sources.items():
        file = tmp_path / "bad.py"
        file.write_text(source)
        with pytest.raises(UsageError) as caught:
            parse_metric(f"{file}:f")
        assert f"the file {message}" in str(caught.value)
        assert "\n" not in str(caught.value)
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(UsageError, match="no such file"):
        parse_metric(f"{tmp_path / 'folder.py'}:f")


def test_a_share_is_what_the_inputs_can_show() -> None:
    from convc.metrics import decisions, upper_share

    scores = np.eye(10, dtype=np.float32)[np.arange(300) % 10]
    before = [{"scores": row[np.newaxis]} for row in scores]
    assert decisions(before) == 300
    metric = parse_metric("top1")
    assert metric.measure(before, before) == 0
    assert metric.loss(before, before) == upper_share(0.0, 300) < 0.01
    assert upper_share(0.0, 100) > 0.01
    assert upper_share(1 / 300, 300) > 0.01
    assert upper_share(0.01, 10**9) == pytest.approx(0.01, rel=1e-2)
    assert upper_share(0.0, 0) == upper_share(np.inf, 10) == np.inf
