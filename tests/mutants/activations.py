"""Mutants of lower-activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.mutants.mutant import Function, Mutant, edited
from tests.mutants.samples import Net
from tests.mutants.simplifying import VALUES

ACTIVATIONS = "lower-activations"


def activations(form: str) -> str:
    return f"{ACTIVATIONS}{{forms={form}}}"


def prelu(low: float, high: float) -> bytes:
    net = Net()
    net.op("PRelu", "x", net.constant(net.vector(5, low, high).reshape(5, 1, 1)))
    return net.model(1, 5, 6, 7)


def any_slopes() -> bytes:
    return prelu(-0.5, 1.5)


def equal_slopes() -> bytes:
    net = Net()
    net.op("PRelu", "x", net.constant(np.full((5, 1, 1), 0.25)))
    return net.model(1, 5, 6, 7)


def overflowing() -> bytes:
    """What exceeds float32 where inputs are large, and slopes of which one is zero."""
    net = Net()
    slopes = np.array([0.5, 0.0, 0.25]).reshape(3, 1, 1)
    net.op("PRelu", net.op("Exp", "x"), net.constant(slopes))
    return net.model(1, 3, 6, 7)


def classes(batch: int | str = 1) -> bytes:
    net = Net()
    net.op("Softmax", "x", axis=1)
    return net.model(batch, 5, 6, 6)


def without_maximum(_right: Function) -> Function:
    def wrong(build: Any, x: Any, _axis: int) -> Any:
        return build.op("Exp", (x,), type_=x.type)

    return wrong


MUTANTS = [
    Mutant(
        "slope-neighbour", "each channel has the slope of its neighbour",
        ACTIVATIONS, "passes.lower_activations.prelu:_read_image",
        lambda right: lambda *args: (right(*args)[0], np.roll(right(*args)[1], 1)),
        any_slopes, passes=activations("depthwise"),
    ),
    Mutant(
        "slope-sign", "what is below zero comes back with the other sign",
        ACTIVATIONS, "passes.lower_activations.prelu:_below",
        edited("-factors, slopes", "factors, slopes"),
        any_slopes, passes=activations("depthwise-relu"),
    ),
    Mutant(
        "slope-dropped", "a LeakyRelu is made with the default slope",
        ACTIVATIONS, "passes.lower_activations.prelu:lower_leaky",
        edited('{"alpha": slope}', "{}"),
        equal_slopes, passes=activations("leaky"),
    ),
    Mutant(
        "slope-above-one", "slopes above 1 go into Max, which takes the other branch",
        ACTIVATIONS, "passes.lower_activations.prelu:lower_max",
        edited("if (slopes.channels > 1).any():", "if False:"),
        any_slopes, passes=activations("max"),
    ),
    Mutant(
        "slope-zero", "a slope of zero goes into Max: infinity becomes NaN",
        ACTIVATIONS, "passes.lower_activations.prelu:lower_max",
        edited("if (slopes.channels == 0).any():", "if False:"),
        overflowing, passes=activations("max"), unproved="proofs feed no infinity",
    ),
    Mutant(
        "slope-rest", "above zero the part that the slope takes is not added back",
        ACTIVATIONS, "passes.lower_activations.prelu:lower_depthwise_sum",
        edited("1.0 - factors", "np.ones(factors.shape)"),
        lambda: prelu(0.1, 0.4), passes=activations("depthwise-sum"),
    ),
    Mutant(
        "slope-negative", "what is below zero is not multiplied by the slope",
        ACTIVATIONS, "passes.lower_activations.prelu:lower_split",
        edited("_product(build, op, below, slopes.array, slopes)", "below"),
        any_slopes, passes=activations("split"),
    ),
    Mutant(
        "softmax-overflow", "a Softmax does not take the maximum away: wrong for large values only",
        ACTIVATIONS, "passes.lower_activations.softmax:_powers", without_maximum,
        classes, passes=activations("softmax"), unproved=VALUES,
    ),
    Mutant(
        "softmax-batch", "the sum of a Softmax goes over the batch, too: wrong for a batch only",
        ACTIVATIONS, "passes.lower_activations.softmax:_reduced",
        edited("build.ints([axis])", 'build.ints([0, axis] if kind == "ReduceSum" else [axis])'),
        lambda: classes("batch"), passes=activations("softmax"),
    ),
    Mutant(
        "softmax-axis", "a Softmax runs over the axis behind its own",
        ACTIVATIONS, "passes.lower_activations.softmax:_axis",
        edited("return axis % rank", "return (axis + 1) % rank"),
        classes, passes=activations("softmax"),
    ),
]  # fmt: skip
