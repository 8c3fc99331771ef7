"""Single layers with their attributes drawn over their whole range."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tests.fuzz import kernels
from tests.fuzz.net import Net, Skip, Val


def need(condition: object) -> None:
    """Guards: raises Skip where a layer does not fit."""
    if not condition:
        raise Skip


def spatial(x: Val) -> tuple[int, ...]:
    need(x.is_real and 3 <= x.rank <= 5)
    return x.shape[2:]


def _sometimes(net: Net, value: Any, default: Any) -> Any:
    """The value; or nothing where it is the default, which may be left out."""
    return None if value == default and net.chance(0.6) else value


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def draw_window(
    net: Net, sizes: Sequence[int], *, kernel: Sequence[int] | None = None, plain: float = 0.45
) -> dict[str, Any]:
    """Kernel, strides, dilations and pads for these sizes: ``pads`` or ``auto_pad``."""
    r, n = net.random, len(sizes)
    usual = r.choice((1, 1, 2, 3, 3, 3, 3, 4, 5, 7))
    size = list(kernel or ((usual,) * n if net.chance(0.75) else r.choices((1, 2, 3, 5), k=n)))
    size = [min(k, s + 2) for k, s in zip(size, sizes, strict=True)]
    if net.chance(plain):
        pad = [k // 2 for k in size]
        return {"kernel": size, "strides": [1] * n, "dilations": [1] * n, "pads": [*pad, *pad]}
    stride = [r.choice((1, 1, 1, 2, 2, 3))] * n
    if net.chance(0.2):
        stride = r.choices((1, 1, 2, 3), k=n)
    dilation = [r.choice((1, 1, 1, 1, 2, 3))] * n if net.chance(0.8) else r.choices((1, 2), k=n)
    window: dict[str, Any] = {"kernel": size, "strides": stride, "dilations": dilation}
    reach = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
    form = r.choice(("none", "same", "asymmetric", "full", "auto", "small"))
    if form == "auto":
        same = max(dilation) == 1  # onnxruntime knows no other
        window["auto_pad"] = r.choice(("SAME_UPPER", "SAME_LOWER", "VALID") if same else ("VALID",))
        return window
    if form == "none":
        pads = [0] * (2 * n)
    elif form == "same":
        pads = [e // 2 for e in reach] * 2
    elif form == "full":
        pads = [*reach, *reach]
    elif form == "small":
        pads = r.choices((0, 1), k=2 * n)
    else:
        pads = [r.randint(0, max(e, 1)) for e in [*reach, *reach]]
    for i, (s, e) in enumerate(zip(sizes, reach, strict=True)):
        missing = e + 1 - s - pads[i] - pads[i + n]
        pads[i] += max(0, missing)
    window["pads"] = pads
    return window


def window_attributes(net: Net, window: dict[str, Any], *, optional: bool = True) -> dict[str, Any]:
    """A window as a node's attributes; defaults may be left out."""
    n = len(window["kernel"])
    attributes = {
        "kernel_shape": window["kernel"],
        "strides": _sometimes(net, window["strides"], [1] * n),
        "dilations": _sometimes(net, window["dilations"], [1] * n),
        "pads": _sometimes(net, window.get("pads"), [0] * (2 * n)),
        "auto_pad": window.get("auto_pad"),
    }
    if optional and net.chance(0.15):
        attributes["kernel_shape"] = None
    if "auto_pad" not in window and net.chance(0.1):
        attributes["auto_pad"] = "NOTSET"
    return attributes


def draw_channels(net: Net, group: int = 1) -> int:
    return group * net.random.choice((1, 1, 2, 2, 3, 4, 4, 5, 6, 8, 8, 12, 16, 16, 24, 32))


def draw_group(net: Net, channels: int) -> int:
    return 1 if net.chance(0.7) else net.random.choice(divisors(channels))


def conv(
    net: Net,
    x: Val,
    out: int | None = None,
    *,
    kernel: Sequence[int] | int | None = None,
    group: int | None = None,
    window: dict[str, Any] | None = None,
    bias: bool | None = None,
    plain: float = 0.45,
) -> Val:
    """A Conv, 1-D to 3-D; what is not given is drawn."""
    need(net.dtype != np.float64)
    sizes = spatial(x)
    size = (kernel,) * len(sizes) if isinstance(kernel, int) else kernel
    window = window or draw_window(net, sizes, kernel=size, plain=plain)
    group = group or draw_group(net, x.shape[1])
    need(x.shape[1] % group == 0)
    out = out or draw_channels(net, group)
    need(out % group == 0)
    per_group = x.shape[1] // group
    need(out * per_group * prod(window["kernel"]) <= 30_000)
    w = kernels.kernel(net.rng, (out, per_group, *window["kernel"]))
    with_bias = net.chance(0.6) if bias is None else bias
    b = net.real(kernels.bias(net.rng, out)) if with_bias else None
    return net.op(
        "Conv", x, net.real(w), b, group=_sometimes(net, group, 1), **window_attributes(net, window)
    )


def pointwise(net: Net, x: Val, out: int | None = None) -> Val:
    return conv(net, x, out, kernel=1, plain=0.85)


def depthwise(net: Net, x: Val) -> Val:
    spatial(x)
    times = net.random.choice((1, 1, 1, 1, 2, 3))
    return conv(net, x, x.shape[1] * times, group=x.shape[1])


def conv_transpose(net: Net, x: Val, out: int | None = None) -> Val:
    """A ConvTranspose with output_padding, output_shape or auto_pad here and there."""
    need(net.dtype != np.float64)
    r, sizes = net.random, spatial(x)
    n = len(sizes)
    size = [r.choice((1, 2, 2, 3, 3, 4, 4, 5))] * n
    stride = [r.choice((1, 1, 2, 2, 2, 3))] * n
    dilation = [r.choice((1, 1, 1, 1, 2))] * n
    if net.chance(0.2):
        size, stride = r.choices((1, 2, 3, 4), k=n), r.choices((1, 2, 3), k=n)
    group = draw_group(net, x.shape[1])
    out = out or draw_channels(net, group)
    need(out % group == 0)
    reach = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
    given: dict[str, Any] = {
        "kernel_shape": size if net.chance(0.85) else None,
        "strides": _sometimes(net, stride, [1] * n),
        "dilations": _sometimes(net, dilation, [1] * n),
        "group": _sometimes(net, group, 1),
    }
    form = r.choice(("pads", "pads", "pads", "none", "padding", "shape", "auto"))
    if form in ("pads", "padding"):
        given["pads"] = [r.randint(0, max(0, e // 2 + 1)) for e in [*reach, *reach]]
    if form == "padding":
        given["output_padding"] = [r.randint(0, s - 1) for s in stride]
    if form == "auto":
        given["auto_pad"] = r.choice(("SAME_UPPER", "SAME_LOWER", "VALID"))
    if form == "shape":
        given["output_shape"] = [
            s * i - r.randint(0, 1) for s, i in zip(stride, sizes, strict=True)
        ]
        given["auto_pad"] = r.choice((None, "SAME_UPPER", "SAME_LOWER"))
    w = kernels.kernel(net.rng, (x.shape[1], out // group, *size), fan=x.shape[1] * 2)
    b = net.real(kernels.bias(net.rng, out)) if net.chance(0.6) else None
    if form != "shape":
        return net.op("ConvTranspose", x, net.real(w), b, **given)
    # onnx infers a wrong rank here.
    shape = (x.shape[0], out, *given["output_shape"])
    return net.add("ConvTranspose", [x, net.real(w), b], shapes=[shape], **given)[0]


def batch_norm(net: Net, x: Val) -> Val:
    need(x.is_real and x.rank >= 2)
    c, rng = x.shape[1], net.rng
    gamma = rng.standard_normal(c)
    if net.chance(0.2):
        gamma *= rng.random(c) < 0.6
    variance = rng.uniform(0.05, 3.0, c)
    if net.chance(0.1):
        variance *= rng.random(c) < 0.7  # zero: nothing but epsilon is left
    mean, beta = rng.standard_normal(c) * 0.5, kernels.bias(rng, c)
    attributes: dict[str, Any] = {"epsilon": net.random.choice((None, 1e-5, 1e-3, 0.1, 1e-2))}
    if net.chance(0.2):
        attributes["momentum"] = 0.7
    if net.opset < 9 and net.chance(0.3):
        attributes["spatial"] = 1
    if net.opset >= 14 and net.chance(0.2):
        attributes["training_mode"] = 0
    operands = [*map(net.real, (gamma, beta, mean)), net.constant(variance.astype(net.dtype))]
    return net.op("BatchNormalization", x, *operands, **attributes)


def pool(net: Net, x: Val, kind: str | None = None) -> Val:
    need(net.dtype != np.float64)
    sizes = spatial(x)
    kind = kind or net.random.choice(("AveragePool", "AveragePool", "MaxPool", "LpPool"))
    window = draw_window(net, sizes, kernel=[net.random.choice((1, 2, 2, 3, 3))] * len(sizes))
    given = window_attributes(net, window, optional=False)
    pads = window.get("pads", [])
    # onnxruntime refuses a pad that is not smaller than the kernel.
    need(all(p < k for p, k in zip(pads, window["kernel"] * 2, strict=False)))
    dilated = {"AveragePool": 19, "MaxPool": 10, "LpPool": 18}[kind]
    if net.opset < dilated:
        given["dilations"] = None
    if kind != "LpPool" and net.opset >= 10 and net.chance(0.3):
        given["ceil_mode"] = 1
    if kind == "AveragePool" and net.chance(0.4):
        given["count_include_pad"] = 1
    if kind == "LpPool":
        given["p"] = net.random.choice((None, 1, 2, 3))
    return net.op(kind, x, **given)


def global_pool(net: Net, x: Val) -> Val:
    sizes = spatial(x)
    form = net.random.choice(("GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool", "mean"))
    if form != "mean":
        need(net.dtype != np.float64)
        return net.op(form, x)
    return reduce(net, x, "ReduceMean", list(range(2, 2 + len(sizes))))


def reduce(net: Net, x: Val, kind: str | None = None, axes: list[int] | None = None) -> Val:
    need(x.is_real and x.rank >= 1)
    r = net.random
    kind = kind or r.choice(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"))
    axes = axes or sorted(r.sample(range(x.rank), r.randint(1, min(2, x.rank))))
    if net.chance(0.3):
        axes = [axis - x.rank for axis in axes]
    keep = None if net.chance(0.4) else int(net.chance(0.6))
    if net.opset >= (13 if kind == "ReduceSum" else 18):
        return net.op(kind, x, net.ints(axes), keepdims=keep)
    return net.op(kind, x, axes=axes, keepdims=keep)


def gemm(net: Net, x: Val, out: int | None = None) -> Val:
    """A Gemm with alpha, beta and transposed operands, or a MatMul with or without an Add."""
    need(x.is_real and x.rank == 2)
    r = net.random
    out = out or draw_channels(net)
    w = kernels.kernel(net.rng, (out, x.shape[1]))
    if net.chance(0.35):
        return matmul(net, x, out)
    given: dict[str, Any] = {
        "alpha": r.choice((None, None, 1.0, 0.5, -2.0)),
        "beta": r.choice((None, None, 1.0, 0.25, 0.0)),
    }
    if net.chance(0.6):
        weight, given["transB"] = net.real(w), 1
    else:
        weight = net.real(w.T.copy())
    rows = x.shape[0]
    shape = r.choice(((out,), (out,), (1, out), (1,), (), (rows, 1), (rows, out)))
    if net.chance(0.08):
        x, given["transA"] = net.op("Transpose", x, perm=[1, 0]), 1
    c: Val | None = net.real(np.resize(kernels.bias(net.rng, max(1, prod(shape))), shape))
    if net.opset >= 11 and net.chance(0.2):
        c = None
    return net.op("Gemm", x, weight, c, **given)


def matmul(net: Net, x: Val, out: int | None = None) -> Val:
    need(x.is_real and x.rank >= 1)
    r = net.random
    out = out or draw_channels(net)
    if x.rank >= 3 and net.chance(0.25):  # from the left
        w = kernels.kernel(net.rng, (out, x.shape[-2]))
        y = net.op("MatMul", net.real(w), x)
    else:
        w = kernels.kernel(net.rng, (out, x.shape[-1])).T.copy()
        if x.rank >= 3 and net.chance(0.1):
            w = np.broadcast_to(w, (1, *w.shape))
        y = net.op("MatMul", x, net.real(w))
    if net.chance(0.5):
        b = net.real(kernels.bias(net.rng, y.shape[-1]))
        y = net.op("Add", *r.choice(((y, b), (b, y))))
    return y


def given_weights(net: Net, x: Val) -> Val:
    """A layer whose weights are no constants: they are fed, or computed from a value."""
    need(x.is_real and x.rank >= 2 and net.parent is None)
    c, n = x.shape[1], x.rank - 2
    if x.rank == 2:
        return net.op("MatMul", x, net.input((c, draw_channels(net))))
    need(net.dtype != np.float64)
    if net.chance(0.3):
        w = net.op("GlobalAveragePool", x)
        first = net.op("Mul", w, net.real(net.rng.standard_normal((1, c, *(1,) * n))))
        if x.shape[0] == 1:  # a dynamic 1×1 conv of one filter
            return net.op("Conv", x, first)
        return net.op("Mul", x, first)
    out = draw_channels(net)
    w = net.input((out, c, *(net.random.choice((1, 2)),) * n))
    b = net.input((out,)) if net.chance(0.3) else None
    y = net.op("Conv", x, w, b)
    return batch_norm(net, y) if net.chance(0.5) else y


def normalise(net: Net, x: Val) -> Val:
    """InstanceNormalization, LayerNormalization, LRN: what convc has to leave whole."""
    need(x.is_real and x.rank >= 3 and net.dtype == np.float32)
    c, form = x.shape[1], net.random.choice(("instance", "layer", "lrn", "lp"))
    if form == "instance":
        need(prod(x.shape[2:]) > 1)
        return net.op(
            "InstanceNormalization", x, net.real(net.rng.uniform(0.5, 2, c)),
            net.real(net.rng.standard_normal(c)), epsilon=1e-2,
        )  # fmt: skip
    if form == "lrn":
        return net.op("LRN", x, size=net.random.choice((1, 3, 5)))
    if form == "lp":
        return net.op("LpNormalization", x, axis=1)
    need(net.opset >= 17 and prod(x.shape[2:]) > 1)
    scale = net.real(net.rng.uniform(0.5, 2, x.shape[-1]))
    return net.op("LayerNormalization", x, scale, axis=-1, epsilon=1e-2)


def resize(net: Net, x: Val) -> Val:
    """Resize or Upsample in the form of the opset, upwards and downwards, by scales or sizes."""
    sizes = spatial(x)
    r, n = net.random, len(sizes)
    need(net.dtype != np.float64)
    scale = [r.choice((2.0, 2.0, 2.0, 2.0, 3.0, 1.0, 4.0, 1.5, 0.5))] * n
    if net.chance(0.2):
        scale = [r.choice((1.0, 2.0, 3.0, 0.5, 1.3)) for _ in sizes]
    mode = r.choice(("nearest", "nearest", "nearest", "linear", "linear", "cubic"))
    usual = net.chance(0.4)  # as exporters write ``interpolate(scale_factor=2)``
    if usual:
        scale = [r.choice((2.0, 2.0, 3.0))] * n
    need(mode == "nearest" or n == 2 or (mode == "linear" and n in (1, 3)))
    if net.opset < 10:
        need(mode != "cubic" and all(s >= 1 for s in scale))
        if net.opset < 9:
            return net.op("Upsample", x, mode=mode, scales=[1.0, 1.0, *scale])
        return net.op("Upsample", x, net.constant(np.array([1, 1, *scale], np.float32)), mode=mode)
    scales = net.constant(np.array([1, 1, *scale], np.float32))
    if net.opset == 10:
        need(mode != "cubic")
        return net.op("Resize", x, scales, mode=mode)
    given: dict[str, Any] = {"mode": mode}
    places = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    if net.opset >= 19:
        places.append("half_pixel_symmetric")
    given["coordinate_transformation_mode"] = r.choice([None, *places])
    if usual and mode == "nearest":
        given |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif mode == "nearest":
        given["nearest_mode"] = r.choice(
            (None, "floor", "floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        )
    if mode == "cubic":
        given["cubic_coeff_a"] = r.choice((None, -0.5, -0.75))
        given["exclude_outside"] = r.choice((None, 0, 1))
    if mode != "nearest" and net.opset >= 18 and net.chance(0.2):
        given["antialias"] = 1
    roi = None if net.opset >= 13 or net.chance(0.5) else net.constant(np.zeros(0, np.float32))
    if roi is None and net.opset < 13:
        roi = net.constant(np.zeros(0, np.float32))
    out = [int(np.floor(s * f)) for s, f in zip(sizes, scale, strict=True)]
    if net.chance(0.35):
        empty = None if net.opset >= 13 else net.constant(np.zeros(0, np.float32))
        return net.op("Resize", x, roi, empty, net.ints([*x.shape[:2], *out]), **given)
    return net.op("Resize", x, roi, scales, **given)
