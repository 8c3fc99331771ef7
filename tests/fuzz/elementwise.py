"""Activations, and arithmetic with constants of odd shapes and with other values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz.layers import need
from tests.fuzz.net import Net, Skip, Val


def scalar(net: Net, number: float) -> Val:
    shape: tuple[int, ...] = net.random.choice(((), (), (1,), (1, 1)))
    return net.real(np.full(shape, number))


def broadcast_shape(net: Net, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to ``shape``: per channel mostly, else anything that does."""
    r, rank = net.random, len(shape)
    form = r.choice(("channel", "channel", "channel", "bare", "scalar", "last", "full", "any"))
    if form == "channel" and rank >= 2:
        axes = (1,) * (rank - 2)
        return (shape[1], *axes) if net.chance(0.5) else (1, shape[1], *axes)
    if form == "bare" and rank == 4:
        return (1, 1, *shape[2:])
    if form == "last":
        return shape[-1:]
    if form == "full":
        return (1, *shape[1:]) if rank else ()
    if form == "any":
        drawn = [d if net.chance(0.4) else 1 for d in shape]
        return tuple(drawn[r.randint(0, rank) :])
    return r.choice(((), (1,)))


def affine(net: Net, x: Val) -> Val:
    """One of Add, Sub, Mul, Div with a constant on either side."""
    need(x.is_real)
    kind = net.random.choice(("Mul", "Mul", "Add", "Add", "Sub", "Div"))
    shape = broadcast_shape(net, x.shape)
    numbers = net.rng.standard_normal(shape)
    if kind == "Div" or net.chance(0.3):
        numbers = np.where(numbers < 0, -1, 1) * (0.4 + np.abs(numbers))
    elif net.chance(0.1):
        numbers = np.round(numbers)  # ones and zeros among them
    w = net.real(numbers)
    first = x.rank >= 1 and net.chance(0.8)
    if kind == "Div":
        return net.op("Div", x, w)  # a constant over x has poles
    return net.op(kind, *((x, w) if first else (w, x)))


def activation(net: Net, x: Val) -> Val:
    """A nonlinearity, as one op or spelt out in several."""
    need(x.is_real)
    r, opset = net.random, net.opset
    kinds = ["Relu"] * 9 + ["LeakyRelu", "LeakyRelu", "PRelu", "PRelu", "Clip", "Clip", "Sigmoid"]
    kinds += [
        "Tanh",
        "HardSigmoid",
        "Elu",
        "Selu",
        "Softplus",
        "Softsign",
        "Abs",
        "ThresholdedRelu",
    ]
    kinds += ["Softmax", "silu", "hard swish", "where", "gelu", "mish", "min max", "Sqrt", "Neg"]
    kinds += ["Sin", "Pow"]
    kinds += ["Celu"] * (opset >= 12) + ["HardSwish"] * (opset >= 14) + ["Mish"] * (opset >= 18)
    kinds += ["Gelu"] * (opset >= 20) + ["Shrink"] * (opset >= 9)
    if net.dtype == np.float64:
        kinds = ["Relu", "Relu", "Sigmoid", "Tanh", "Abs", "Neg", "min max", "where", "Sqrt"]
    kind = r.choice(kinds)
    special = _SPELT.get(kind)
    if special is not None:
        return special(net, x)
    given: dict[str, Any] = {}
    if kind in ("LeakyRelu", "Elu", "Celu", "ThresholdedRelu"):
        given["alpha"] = r.choice((None, 0.1, 0.2, 1.0, 1.5))
    if kind == "ThresholdedRelu":
        given["alpha"] = 0.0  # continuous there
    if kind == "HardSigmoid":
        given = {"alpha": r.choice((None, 1 / 6, 0.25)), "beta": r.choice((None, 0.5, 0.0))}
    if kind == "Shrink":
        given = {"lambd": 0.5, "bias": 0.5}
    return net.op(kind, x, **given)


def _prelu(net: Net, x: Val) -> Val:
    shape = broadcast_shape(net, x.shape)
    slope = net.rng.uniform(*net.random.choice(((-0.3, 1.3), (0.0, 1.0))), shape)
    if net.chance(0.3):
        slope = np.full(shape, net.random.choice((0.0, 0.25, 1.0, -0.5)))
    return net.op("PRelu", x, net.real(slope))


def _clip(net: Net, x: Val) -> Val:
    low, high = net.random.choice(((0.0, 6.0), (0.0, 6.0), (-1.0, 1.0), (0.0, None), (None, 1.0)))
    if net.opset < 11:
        return net.op("Clip", x, min=low, max=high)
    need(x.dtype != np.float64 or net.opset >= 12)
    ends = [
        None if end is None else net.constant(np.asarray(end, net.dtype)) for end in (low, high)
    ]
    return net.op("Clip", x, *ends)


def softmax(net: Net, x: Val) -> Val:
    need(x.rank >= 2 and x.is_real)
    axis = net.random.choice((1, 1, 1, -1, x.rank - 1, None))
    return net.op(net.random.choice(("Softmax", "Softmax", "LogSoftmax")), x, axis=axis)


def _silu(net: Net, x: Val) -> Val:
    pair = [x, net.op("Sigmoid", x)]
    net.random.shuffle(pair)
    return net.op("Mul", *pair)


def _hard_swish(net: Net, x: Val) -> Val:
    shifted = net.op("Add", x, scalar(net, 3.0))
    if net.opset < 11:
        clipped = net.op("Clip", shifted, min=0.0, max=6.0)
    else:
        ends = [net.constant(np.asarray(end, net.dtype)) for end in (0, 6)]
        clipped = net.op("Clip", shifted, *ends)
    if net.chance(0.5):
        return net.op("Div", net.op("Mul", x, clipped), scalar(net, 6.0))
    return net.op("Mul", x, net.op("Div", clipped, scalar(net, 6.0)))


def _where(net: Net, x: Val) -> Val:
    """A leaky Relu spelt as a choice: continuous, so that rounding cannot jump."""
    need(net.opset >= 9)
    positive = net.op("Greater", x, scalar(net, 0.0))
    return net.op("Where", positive, x, net.op("Mul", x, scalar(net, 0.1)))


def _gelu(net: Net, x: Val) -> Val:
    need(net.opset >= 9)
    inner = net.op("Erf", net.op("Div", x, scalar(net, float(np.sqrt(2)))))
    return net.op("Mul", net.op("Mul", x, net.op("Add", inner, scalar(net, 1.0))), scalar(net, 0.5))


def _mish(net: Net, x: Val) -> Val:
    return net.op("Mul", x, net.op("Tanh", net.op("Softplus", x)))


def _min_max(net: Net, x: Val) -> Val:
    need(net.opset >= 8)
    low = net.op("Max", x, scalar(net, -1.0))
    return net.op("Min", low, scalar(net, 2.0)) if net.chance(0.6) else low


def _sqrt(net: Net, x: Val) -> Val:
    return net.op("Sqrt", net.op("Add", net.op("Mul", x, x), scalar(net, 0.1)))


def _pow(net: Net, x: Val) -> Val:
    # Bounded first: squares of squares overflow.
    return net.op("Pow", net.op("Tanh", x), scalar(net, net.random.choice((2.0, 1.0, 3.0))))


_SPELT = {
    "PRelu": _prelu,
    "Clip": _clip,
    "Softmax": softmax,
    "silu": _silu,
    "hard swish": _hard_swish,
    "where": _where,
    "gelu": _gelu,
    "mish": _mish,
    "min max": _min_max,
    "Sqrt": _sqrt,
    "Pow": _pow,
}


def neutral(net: Net, x: Val) -> Val:
    """An op, or a pair of them, that does nothing."""
    r = net.random
    form = r.choice(
        ("Identity", "Dropout", "add", "mul", "neg", "cast", "concat", "sum", "reshape")
    )
    if form == "Identity":
        return net.op("Identity", x)
    need(x.is_real)
    if form == "Dropout":
        if net.opset >= 12 and net.chance(0.5):
            return net.op("Dropout", x, net.constant(np.asarray(0.5, np.float32)))
        return net.op("Dropout", x, ratio=0.3 if net.opset < 12 else None)
    if form == "add":
        return net.op("Add", x, net.real(np.zeros(broadcast_shape(net, x.shape))))
    if form == "mul":
        return net.op("Mul", x, net.real(np.ones(broadcast_shape(net, x.shape))))
    if form == "neg":
        return net.op("Neg", net.op("Neg", x))
    if form == "cast":
        return net.op(
            "Cast", x, to=1 if x.dtype == np.float32 else 11 if x.dtype == np.float64 else 10
        )
    if form == "concat":
        need(x.rank >= 1)
        return net.op("Concat", x, axis=net.random.randrange(x.rank))
    if form == "sum":
        need(net.opset >= 8)
        return net.op("Sum", x)
    return net.op("Reshape", x, net.ints(x.shape))


def wide(net: Net, x: Val) -> Val:
    """Through a wider or narrower type and back."""
    need(x.dtype == np.float32 and net.opset >= 9)
    to = net.random.choice((11, 11, 10))
    return net.op("Cast", net.op("Cast", x, to=to), to=1)


def with_other(net: Net, x: Val, others: list[Val]) -> Val:
    """Two values that broadcast to each other, or one with itself."""
    need(x.is_real)
    fitting = [v for v in others if v.dtype == x.dtype and _fits(v.shape, x.shape)]
    if not fitting or net.chance(0.15):
        fitting = [x]
    y = net.random.choice(fitting)
    kind = net.random.choice(("Add", "Add", "Add", "Add", "Sub", "Mul", "Max", "Sum", "Mean"))
    if kind in ("Max", "Sum", "Mean"):
        need(net.opset >= 8)
        more = [net.random.choice(fitting)] if net.chance(0.4) else []
        return net.op(kind, x, y, *more)
    if kind == "Mul":  # bounded: products of products overflow
        y = net.op("Sigmoid", y) if net.dtype != np.float64 else net.op("Tanh", y)
    return net.op(kind, *((x, y) if net.chance(0.6) else (y, x)))


def _fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    if a == b:
        return True
    if len(a) != len(b):
        return False
    return all(p in (q, 1) for p, q in zip(a, b, strict=True))


def gated(net: Net, x: Val) -> Val:
    """Where with a constant mask, broadcast."""
    need(net.opset >= 9 and x.is_real)
    mask = net.constant(net.rng.random(broadcast_shape(net, x.shape)) < 0.6)
    if mask.shape == ():
        raise Skip
    return net.op("Where", mask, x, scalar(net, net.random.choice((0.0, 0.5))))
