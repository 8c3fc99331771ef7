"""What the estimate knows of blocks of filters, of 3-D convs and of transposes."""

from __future__ import annotations

import pytest

from convc.costs.estimate import CALL, PEAK, estimate, filled
from convc.graph import Graph
from tests.strategies import new_graph, random_conv


def seconds(graph: Graph) -> float:
    """Of all ops but the boundary."""
    times = [estimate(graph, op) for op in graph.ops() if not op.is_boundary and op.array is None]
    return sum(time for time in times if time is not None)


def conv_rate(filters: int, kernel: tuple[int, ...], inputs: int = 16, size: int = 24) -> float:
    """Part of the peak of a conv."""
    build, x = new_graph((1, inputs, *(size for _ in kernel)))
    y = random_conv(build, x, filters, kernel, pads=kernel[0] // 2)
    products = filters * inputs * size ** len(kernel)
    for tap in kernel:
        products *= tap
    assert y.shape == (1, filters, *(size for _ in kernel))
    return products / PEAK / (seconds(build.graph) - CALL)


def test_filters_are_computed_in_blocks() -> None:
    assert filled(32) == filled(64) == 1.0
    assert filled(24) == 0.75
    assert filled(1) == pytest.approx(filled(16) / 16)
    # One block alone keeps the units less busy than two.
    assert filled(16) < filled(32)


def test_one_filter_runs_far_below_the_peak() -> None:
    assert conv_rate(32, (3, 3)) == pytest.approx(1.0)
    assert conv_rate(1, (3, 3)) == pytest.approx(filled(1))


def test_few_channels_over_three_axes_write_more_columns_than_they_multiply() -> None:
    rates = [conv_rate(filters, (3, 3, 3), filters, 8) for filters in (5, 11, 64)]
    assert rates == sorted(rates)
    # Profiled: 0.16 with 5 channels, 0.28 with 11, and 0.41 to 0.47 with 32 and 64.
    assert rates == pytest.approx([0.16, 0.28, 0.46], abs=0.02)


def test_a_pointwise_conv_over_three_axes_writes_none() -> None:
    assert conv_rate(64, (1, 1, 1), 64, 8) == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("order", "is_shuffle"),
    [
        ((0, 1, 2, 3), False),
        ((0, 2, 3, 1), False),
        ((0, 3, 1, 2), False),
        ((0, 2, 1, 3), False),
        ((3, 1, 2, 0), True),
        ((1, 0, 3, 2), True),
        ((2, 3, 0, 1), True),
    ],
)
def test_more_than_one_axis_put_elsewhere_is_slower(
    order: tuple[int, ...], is_shuffle: bool
) -> None:
    build, x = new_graph((8, 8, 64, 64))
    build.transpose(x, order)
    straight, y = new_graph((8, 8, 64, 64))
    straight.transpose(y, (0, 1, 2, 3))
    assert (seconds(build.graph) > 2 * seconds(straight.graph)) == is_shuffle
