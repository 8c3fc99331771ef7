"""Mutants of lower-to-conv2d."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.mutants.mutant import Mutant, edited
from tests.mutants.samples import Net

CONV2D = "lower-to-conv2d"


def conv2d(form: str) -> str:
    return f"{CONV2D}{{forms={form}}}"


def transposed(stride: int) -> bytes:
    net = Net()
    weight, pads = net.kernel(4, 3, 5, 5), [1, 2, 2, 1]
    net.conv("x", weight, net.vector(3), kind="ConvTranspose", strides=[stride] * 2, pads=pads)
    return net.model(1, 4, 6, 7)


def transposed_once() -> bytes:
    return transposed(1)


def transposed_strided() -> bytes:
    return transposed(2)


def cropped_transposed() -> bytes:
    net = Net()
    weight = net.kernel(4, 3, 4, 4)
    net.conv("x", weight, kind="ConvTranspose", strides=[3, 3], pads=[2, 2, 0, 0])
    return net.model(1, 4, 6, 7)


def average() -> bytes:
    net = Net()
    net.op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return net.model(1, 4, 6, 7)


def many_filters() -> bytes:
    """A depthwise conv of three filters for each channel."""
    net = Net()
    net.op("Sin", net.conv("x", net.kernel(12, 1, 3, 3), net.vector(12), group=4))
    return net.model(1, 4, 6, 7)


def resized(mode: str, **attributes: Any) -> bytes:
    net = Net()
    net.op("Resize", "x", "-", net.constant(np.float32([1, 1, 2, 2])), mode=mode, **attributes)
    return net.model(1, 3, 5, 6)


def resized_then_conv(pad: int = 1, **attributes: Any) -> bytes:
    net = Net()
    scales = net.constant(np.float32([1, 1, 2, 2]))
    x = net.op("Resize", "x", "-", scales, mode="nearest", **attributes)
    net.conv(x, net.kernel(4, 3, 3, 3), net.vector(4), pads=[pad] * 4)
    return net.model(1, 3, 5, 6)


def line() -> bytes:
    net = Net()
    net.conv("x", net.kernel(4, 3, 5), net.vector(4), pads=[3, 1])
    return net.model(2, 3, 12)


def volume() -> bytes:
    net = Net()
    net.conv("x", net.kernel(4, 3, 3, 3, 3), net.vector(4), pads=[1, 1, 1, 0, 1, 1])
    return net.model(1, 3, 5, 6, 7)


def narrow() -> bytes:
    net = Net()
    net.conv("x", net.kernel(3, 4, 3, 3), net.vector(3), pads=[1, 1, 1, 1])
    return net.model(1, 4, 9, 11)


MUTANTS = [
    Mutant(
        "transpose-flip", "a ConvTranspose of stride 1 becomes a Conv of the kernel as it is",
        CONV2D, "convc.algebra.phases:_taken",
        lambda right: lambda kernel, taps: right(kernel, taps)[:, :, ::-1, ::-1],
        transposed_once, passes=conv2d("transpose"),
    ),
    Mutant(
        "transpose-swap", "input and output channels of a ConvTranspose are exchanged in the Conv",
        CONV2D, "convc.algebra.taps:swap_layout",
        lambda _right: lambda w, _group: w.reshape(w.shape[1], w.shape[0], *w.shape[2:]),
        transposed_once, passes=conv2d("transpose"),
    ),
    Mutant(
        "phases-mode", "DepthToSpace reads the phases in the other order (CRD for DCR)",
        CONV2D, "passes._interleave:interleaved",
        edited('"DCR" if phases_first else "CRD"', '"CRD" if phases_first else "DCR"'),
        transposed_strided, passes=conv2d("phases"),
    ),
    Mutant(
        "phases-permuted", "two phases are exchanged",
        CONV2D, "passes.lower_to_conv2d.transpose:lower_phases",
        edited("build.concat(phases, 1)", "build.concat([phases[1], phases[0], *phases[2:]], 1)"),
        transposed_strided, passes=conv2d("phases"),
    ),
    Mutant(
        "phases-crop", "what is too much is cut off at the other side",
        CONV2D, "passes.lower_to_conv2d.transpose:lower_phases",
        edited("cropped(build, result, less, surplus(geometry))",
               "cropped(build, result, surplus(geometry), less)"),
        cropped_transposed, passes=conv2d("phases"),
    ),
    Mutant(
        "stacked-bias", "the bias of each filter is repeated beside itself and not for each phase",
        CONV2D, "passes.lower_to_conv2d.transpose:lower_stacked",
        edited("np.repeat(values, count) if by_filter else np.tile(values, count)",
               "np.repeat(values, count)"),
        transposed_strided, passes=conv2d("stacked-phases"),
    ),
    Mutant(
        "pool-border", "an average that does not count its padding becomes a conv that does",
        CONV2D, "passes.lower_to_conv2d.depthwise:lower_average_pool",
        edited('if any(geometry.pads) and not op.attributes.get("count_include_pad"):',
               "if False:"),
        average, passes=conv2d("pool"),
    ),
    Mutant(
        "split-order", "the filters of each channel are taken as if they were apart",
        CONV2D, "passes.lower_to_conv2d.depthwise:_every",
        edited("array[first::step]",
               "array[first * len(array) // step : (first + 1) * len(array) // step]"),
        many_filters, passes=conv2d("split"),
    ),
    Mutant(
        "resize-coefficient", "a cubic resize has the coefficient −0.5 whatever its own",
        CONV2D, "passes.lower_to_conv2d.resized:_phases",
        edited('op.attributes.get("cubic_coeff_a", -0.75)', "-0.5"),
        lambda: resized("cubic"), passes=conv2d("resize-depthwise"),
    ),
    Mutant(
        "resize-coordinates", "half_pixel coordinates count as asymmetric ones",
        CONV2D, "passes.lower_to_conv2d.resized:read_resize",
        edited('"coordinate_transformation_mode", "half_pixel"',
               '"no such attribute", "asymmetric"'),
        lambda: resized("linear"), passes=conv2d("resize-phases"),
    ),
    Mutant(
        "resize-edge", "beyond the edge are zeros and not copies of it",
        CONV2D, "passes.lower_to_conv2d.resized:edge_padded",
        edited('(data, build.ints(pads)), {"mode": "edge"}', "(data, build.ints(pads)), {}"),
        lambda: resized("linear"), passes=conv2d("resize-dense"),
    ),
    Mutant(
        "resize-separable", "the phases of rows and columns are exchanged",
        CONV2D, "passes.lower_to_conv2d.resize:_phase_kernels",
        lambda right: lambda phases: right(phases[::-1]).swapaxes(1, 2),
        lambda: resized("cubic"), passes=conv2d("resize-depthwise"),
    ),
    Mutant(
        "resize-rounding", "a nearest sample half way is rounded up where the floor is preferred",
        CONV2D, "convc.algebra.resample:_rounded",
        edited("math.ceil(place - HALF)", "math.floor(place + HALF)"),
        lambda: resized_then_conv(0, coordinate_transformation_mode="asymmetric"),
        passes=conv2d("resize-conv-phases"),
    ),
    Mutant(
        "resize-conv-bias", "the bias is added in the first phase only",
        CONV2D, "passes.lower_to_conv2d.resize_conv:resize_conv_as_phases",
        edited("build.conv(data, weight, bias, geometry)",
               "build.conv(data, weight, None if parts else bias, geometry)"),
        resized_then_conv, passes=conv2d("resize-conv-phases"),
    ),
    Mutant(
        "line-pads", "the pads of a line have begin and end exchanged",
        CONV2D, "passes.lower_to_conv2d.line:_attributes",
        edited("(0, value[0], 0, value[1])", "(0, value[1], 0, value[0])"),
        line, passes=conv2d("conv1d"),
    ),
    Mutant(
        "volume-pads", "the padding of the depth is overlooked where slices are stacked",
        CONV2D, "convc.algebra.stacked:depth_reads",
        edited("- geometry.pads_begin[0]", "- geometry.pads_end[0]"),
        volume, passes=conv2d("conv3d"),
    ),
    Mutant(
        "volume-stack", "the stack has its channels slice by slice and the kernel has not",
        CONV2D, "convc.algebra.stacked:stack_depth",
        edited("w.swapaxes(1, 2).reshape", "w.reshape"),
        volume, passes=conv2d("conv3d"),
    ),
    Mutant(
        "volume-sum-bias", "each of the convs that are added for a depth has the bias",
        CONV2D, "passes.lower_to_conv2d.volume:VolumeLayout._sum",
        edited("bias if not parts else None", "bias"),
        volume, passes=conv2d("conv3d-sum"),
    ),
    Mutant(
        "deep-order", "depths that are computed together are not put back in order",
        CONV2D, "convc.algebra.depth:depth_groups",
        edited("return DepthGroups(",
               "places = np.sort(places)[::-1].copy()\n    return DepthGroups("),
        volume, passes=conv2d("conv3d-deep"),
    ),
    Mutant(
        "wide-bias", "the bias of each filter is repeated beside itself and not for each output",
        CONV2D, "passes.lower_to_conv2d.wide:widen",
        edited("np.tile(np.float64(layer.bias), prod(phases))",
               "np.repeat(np.float64(layer.bias), prod(phases))"),
        narrow, passes=conv2d("wide"),
    ),
    Mutant(
        "wide-reach", "neighbouring outputs are taken to be two samples apart",
        CONV2D, "convc.algebra.wide:_reach",
        edited("starts = geometry.strides[axis] *", "starts = 2 * geometry.strides[axis] *"),
        narrow, passes=conv2d("wide-columns"),
    ),
]  # fmt: skip
