"""Gradients of convolutions, by walking their loops."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import prod
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from convc.opset import OPS, Work
from tests.opset.gradient_helpers import built, gradient, ones


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, Any]:
    rank = draw(st.integers(1, 2))
    axis = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    group = draw(st.integers(1, 3))
    return {
        "batch": draw(st.integers(0, 2)),
        "group": group,
        "inner": draw(st.integers(1, 2)),
        "outer": draw(st.integers(1, 2)),
        "size": draw(st.lists(st.integers(1, 6), min_size=rank, max_size=rank)),
        "kernel": draw(axis),
        "strides": draw(axis),
        "dilations": draw(axis),
        "begin": draw(st.lists(st.integers(0, 3), min_size=rank, max_size=rank)),
        "end": draw(st.lists(st.integers(0, 3), min_size=rank, max_size=rank)),
    }


def terms(sums: Counter[Any]) -> int:
    """Additions of sums with so many terms each."""
    return sum(count - 1 for count in sums.values())


def walk(
    g: dict[str, Any], windows: tuple[int, ...], inside: tuple[int, ...]
) -> tuple[Counter[Any], Counter[Any], Counter[Any], Counter[Any], Counter[Any]]:
    """Products by where they are summed: the side of the windows, of the positions, of the taps.

    The last two hold those inside only: the positions and the taps; the second one after the first
    is that of the windows.
    """
    by_position: Counter[Any] = Counter()
    by_tap: Counter[Any] = Counter()
    inside_position: Counter[Any] = Counter()
    inside_tap: Counter[Any] = Counter()
    inside_window: Counter[Any] = Counter()
    channels = product(range(g["group"]), range(g["outer"]), range(g["inner"]))
    for n, (group, outer, inner) in product(range(g["batch"]), list(channels)):
        for window in product(*map(range, windows)):
            for tap in product(*map(range, g["kernel"])):
                position = tuple(
                    s * o + d * t - b
                    for s, o, d, t, b in zip(
                        g["strides"], window, g["dilations"], tap, g["begin"], strict=True
                    )
                )
                by_position[n, group, inner, position] += 1
                by_tap[group, outer, inner, tap] += 1
                if all(0 <= p < size for p, size in zip(position, inside, strict=True)):
                    inside_position[n, group, inner, position] += 1
                    inside_window[n, group, outer, window] += 1
                    inside_tap[group, outer, inner, tap] += 1
    return by_position, by_tap, inside_window, inside_position, inside_tap


def work(all_sums: Counter[Any], real_sums: Counter[Any]) -> Work:
    return Work(
        multiplications=all_sums.total(),
        additions=terms(all_sums),
        padded_multiplications=all_sums.total() - real_sums.total(),
        padded_additions=terms(all_sums) - terms(real_sums),
    )


def attributes(g: dict[str, Any]) -> dict[str, Any]:
    return {
        "group": g["group"],
        "strides": tuple(g["strides"]),
        "dilations": tuple(g["dilations"]),
        "pads": (*g["begin"], *g["end"]),
    }


@settings(max_examples=150)
@given(geometries())
def test_convs_by_their_loops(g: dict[str, Any]) -> None:
    windows = tuple(
        (n + b + e - d * (k - 1) - 1) // s + 1
        for n, b, e, d, k, s in zip(
            g["size"], g["begin"], g["end"], g["dilations"], g["kernel"], g["strides"], strict=True
        )
    )
    if min(windows) < 1:
        return
    channels = g["group"] * g["outer"]
    graph, op = built(
        "Conv",
        [
            (g["batch"], g["group"] * g["inner"], *g["size"]),
            ones(channels, g["inner"], *g["kernel"]),
            ones(channels),
        ],
        (g["batch"], channels, *windows),
        **attributes(g),
    )
    positions, taps, _, real_positions, real_taps = walk(g, windows, tuple(g["size"]))
    found = gradient(graph, op, 0, 1, 2)
    assert found.input == work(positions, real_positions)
    assert found.weight == work(taps, real_taps)
    forward = OPS["Conv"].macs
    assert forward is not None
    assert found.input_macs == found.weight_macs == positions.total() == forward(graph, op)
    outputs = g["batch"] * channels * prod(windows)
    assert found.bias == Work(additions=max(0, outputs - channels))
    assert found.keeps == (op.operand(0),)


@settings(max_examples=150)
@given(geometries())
def test_transposed_convs_by_their_loops(g: dict[str, Any]) -> None:
    result = tuple(
        s * (n - 1) + d * (k - 1) + 1 - b - e
        for n, b, e, d, k, s in zip(
            g["size"], g["begin"], g["end"], g["dilations"], g["kernel"], g["strides"], strict=True
        )
    )
    if min(result) < 1:
        return
    # Seen from the inputs the roles change: an input is a window on the result.
    channels = g["group"] * g["inner"]
    graph, op = built(
        "ConvTranspose",
        [
            (g["batch"], g["group"] * g["outer"], *g["size"]),
            ones(g["group"] * g["outer"], g["inner"], *g["kernel"]),
            ones(channels),
        ],
        (g["batch"], channels, *result),
        **attributes(g),
    )
    positions, taps, real_inputs, _, real_taps = walk(g, tuple(g["size"]), result)
    macs = positions.total()
    inputs = g["batch"] * g["group"] * g["outer"] * prod(g["size"])
    found = gradient(graph, op, 0, 1, 2)
    assert found.input == Work(
        multiplications=macs,
        additions=macs - inputs,
        padded_multiplications=macs - real_inputs.total(),
        padded_additions=macs - inputs - terms(real_inputs),
    )
    assert found.weight == work(taps, real_taps)
    assert found.input_macs == found.weight_macs == macs
    assert found.bias == Work(additions=max(0, g["batch"] * channels * prod(result) - channels))


def test_a_convs_gradients_are_counted_only_where_wanted() -> None:
    graph, op = built("Conv", [("N", 3, 8, 8), ones(4, 3, 3, 3), ones(4)], ("N", 4, 6, 6))
    weight = gradient(graph, op, 1)
    assert (weight.input_macs, weight.weight_macs) == (0, 2 * 4 * 36 * 27)
    assert (weight.input, weight.bias) == (Work(), Work())
    assert weight.keeps == (op.operand(0),)
    data = gradient(graph, op, 0)
    assert (data.input_macs, data.weight_macs) == (2 * 4 * 36 * 27, 0)
    # The weight is there in any case.
    assert data.keeps == ()
    assert gradient(graph, op, 2).keeps == ()


def test_a_kernel_that_is_computed_is_kept() -> None:
    graph, op = built("Conv", [(1, 3, 8, 8), (4, 3, 3, 3)], (1, 4, 6, 6))
    assert gradient(graph, op, 0).keeps == (op.operand(1),)
    assert set(gradient(graph, op, 0, 1).keeps) == {op.operand(0), op.operand(1)}
