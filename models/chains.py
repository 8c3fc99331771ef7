"""Linear layers in sequence: what composes into one layer, and where the border forbids it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from network import DYNAMIC, SAME3, Network


def notebook_padded(net: Network) -> None:
    """The seed page's first cell: Sobel kernels in sequence, both padded, on 3x3 pixels."""
    first = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=float)
    second = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], dtype=float)
    x = net.input(1, 1, 3, 3)
    x = net.conv("first", x, first[None, None], pads=SAME3)
    net.output(net.conv("second", x, second[None, None], pads=SAME3))


def notebook_diagonal(net: Network) -> None:
    """The seed page's second cell: the 2x2 identity as a kernel, twice, unpadded."""
    kernel = np.eye(2)[None, None]
    x = net.input(1, 1, 8, 8)
    x = net.conv("first", x, kernel)
    net.output(net.conv("second", x, kernel))


def padded_pair(net: Network, *dims: int | str) -> str:
    batch, height, width = dims
    x = net.input(batch, 8, height, width)
    x = net.conv("first", x, net.kernel(12, 8, 3, 3), net.vector(12), pads=SAME3)
    return net.conv("second", x, net.kernel(6, 12, 3, 3), net.vector(6), pads=SAME3)


def chain_padded(net: Network) -> None:
    """Two padded 3x3 convs with bias: the border ring is not that of one conv."""
    net.output(padded_pair(net, 1, 14, 17))


def chain_padded_dynamic(net: Network) -> None:
    """The padded pair with batch, height and width free."""
    batch, height, width = DYNAMIC
    net.output(padded_pair(net, *DYNAMIC), dims=(batch, 6, height, width))


def chain_zero_ring(net: Network) -> None:
    """A fully padded 3x3 conv without bias, then a padded one: the ring is zero, one conv does."""
    x = net.input(1, 8, 14, 17)
    x = net.conv("first", x, net.kernel(12, 8, 3, 3), pads=[2, 2, 2, 2])
    net.output(net.conv("second", x, net.kernel(6, 12, 3, 3), net.vector(6), pads=SAME3))


def expand_project(net: Network, *dims: int | str) -> str:
    batch, height, width = dims
    x = net.input(batch, 16, height, width)
    x = net.conv("expand", x, net.kernel(128, 16, 3, 3), net.vector(128), pads=SAME3)
    return net.conv("project", x, net.kernel(16, 128, 1, 1), net.vector(16))


def chain_expand_project(net: Network) -> None:
    """A collapsible linear block: 3x3 to eight times the channels and 1x1 back."""
    net.output(expand_project(net, 1, 64, 64))


def chain_expand_project_dynamic(net: Network) -> None:
    """The collapsible linear block with batch, height and width free."""
    batch, height, width = DYNAMIC
    net.output(expand_project(net, *DYNAMIC), dims=(batch, 16, height, width))


def chain_three(net: Network) -> None:
    """1x1, padded 3x3 and 1x1 in sequence; the first bias meets the padding of the second."""
    x = net.input(1, 8, 12, 12)
    x = net.conv("reduce", x, net.kernel(6, 8, 1, 1), net.vector(6))
    x = net.conv("spatial", x, net.kernel(6, 6, 3, 3), net.vector(6), pads=SAME3)
    net.output(net.conv("restore", x, net.kernel(8, 6, 1, 1), net.vector(8)))


def chain_strided(net: Network) -> None:
    """5x5 stride 2, then 3x3 stride 2, the second unpadded: one conv 9x9 stride 4."""
    x = net.input(1, 3, 33, 38)
    x = net.conv("first", x, net.kernel(8, 3, 5, 5), net.vector(8), strides=[2, 2], pads=[2] * 4)
    net.output(net.conv("second", x, net.kernel(8, 8, 3, 3), net.vector(8), strides=[2, 2]))


def chain_strided_padded(net: Network) -> None:
    """Two padded 3x3 convs of stride 2: stride and border together."""
    x = net.input(1, 3, 33, 38)
    x = net.conv("first", x, net.kernel(8, 3, 3, 3), net.vector(8), strides=[2, 2], pads=SAME3)
    second = net.kernel(8, 8, 3, 3)
    net.output(net.conv("second", x, second, net.vector(8), strides=[2, 2], pads=SAME3))


def chain_dilated(net: Network) -> None:
    """3x3 dilation 2, then 3x3 dilation 4: one conv 7x7 dilation 2."""
    x = net.input(1, 4, 24, 24)
    x = net.conv("first", x, net.kernel(6, 4, 3, 3), net.vector(6), dilations=[2, 2], pads=[2] * 4)
    net.output(net.conv("second", x, net.kernel(4, 6, 3, 3), net.vector(4), dilations=[4, 4]))


def chain_strided_dilated(net: Network) -> None:
    """Strides, dilations and pads that differ by axis and by side."""
    x = net.input(1, 4, 29, 31)
    x = net.conv(
        "first",
        x,
        net.kernel(6, 4, 3, 2),
        net.vector(6),
        strides=[2, 1],
        dilations=[1, 3],
        pads=[2, 0, 1, 3],
    )
    net.output(
        net.conv(
            "second",
            x,
            net.kernel(5, 6, 2, 3),
            net.vector(5),
            strides=[1, 3],
            dilations=[2, 1],
            pads=[0, 1, 1, 0],
        )
    )


def chain_grouped(net: Network) -> None:
    """Four groups of 3x3, then two groups of 3x3: one conv of two groups."""
    x = net.input(1, 16, 15, 15)
    x = net.conv("first", x, net.kernel(24, 4, 3, 3), net.vector(24), group=4, pads=SAME3)
    net.output(net.conv("second", x, net.kernel(8, 12, 3, 3), net.vector(8), group=2))


def depthwise_pointwise(net: Network) -> None:
    """Depthwise 3x3, then 1x1: one dense conv would be legal and slower."""
    x = net.input(1, 32, 28, 28)
    x = net.conv("depthwise", x, net.kernel(32, 1, 3, 3), net.vector(32), group=32, pads=SAME3)
    net.output(net.conv("pointwise", x, net.kernel(64, 32, 1, 1), net.vector(64)))


def gemm_chain(net: Network) -> None:
    """Gemm with alpha, beta and transB, a MatMul with an Add, and a Gemm: one matrix."""
    x = net.input(5, 24)
    first = [net.constant("first.weight", net.kernel(32, 24))]
    first.append(net.constant("first.bias", net.vector(32)))
    x = net.node("Gemm", "first", [x, *first], alpha=0.5, beta=2.0, transB=1)
    x = net.node("MatMul", "second", [x, net.constant("second.weight", net.kernel(16, 32).T)])
    x = net.node("Add", "second_bias", [x, net.constant("second_bias.operand", net.vector(16))])
    third = [net.constant("third.weight", net.kernel(10, 16).T)]
    third.append(net.constant("third.bias", net.vector(10)))
    net.output(net.node("Gemm", "third", [x, *third]))


def conv_flatten_gemm(net: Network) -> None:
    """A padded conv, Flatten over its full extent, Gemm."""
    x = net.input(2, 3, 8, 8)
    x = net.conv("conv", x, net.kernel(8, 3, 3, 3), net.vector(8), strides=[2, 2], pads=SAME3)
    x = net.node("Flatten", "flatten", [x], axis=1)
    weights = [net.constant("gemm.weight", net.kernel(10, 128))]
    weights.append(net.constant("gemm.bias", net.vector(10)))
    net.output(net.node("Gemm", "gemm", [x, *weights], transB=1))


def conv_then_transpose(net: Network) -> None:
    """1x1 conv, then ConvTranspose 4x4 stride 2."""
    x = net.input(1, 24, 12, 12)
    x = net.conv("conv", x, net.kernel(16, 24, 1, 1), net.vector(16))
    up, bias = net.kernel(16, 8, 4, 4), net.vector(8)
    net.output(net.conv("up", x, up, bias, kind="ConvTranspose", strides=[2, 2], pads=SAME3))


def transpose_then_conv(net: Network) -> None:
    """ConvTranspose 3x3 stride 2 with output padding, then a 1x1 conv."""
    x = net.input(1, 8, 12, 12)
    x = net.conv(
        "up",
        x,
        net.kernel(8, 16, 3, 3),
        net.vector(16),
        kind="ConvTranspose",
        strides=[2, 2],
        pads=SAME3,
        output_padding=[1, 1],
    )
    net.output(net.conv("conv", x, net.kernel(4, 16, 1, 1), net.vector(4)))


def chain_1d(net: Network) -> None:
    """Two Conv1d, the first strided, the second dilated."""
    x = net.input(2, 4, 50)
    x = net.conv("first", x, net.kernel(8, 4, 5), net.vector(8), strides=[2], pads=[2, 2])
    net.output(net.conv("second", x, net.kernel(4, 8, 3), net.vector(4), dilations=[2]))


def chain_3d(net: Network) -> None:
    """Two Conv3d with padding and bias."""
    x = net.input(1, 2, 7, 8, 9)
    x = net.conv("first", x, net.kernel(4, 2, 3, 3, 3), net.vector(4), pads=[1] * 6)
    second = net.kernel(3, 4, 3, 1, 3)
    net.output(net.conv("second", x, second, net.vector(3), pads=[1, 0, 1, 1, 0, 1]))


def conv_observed(net: Network) -> None:
    """Two convs whose middle value is a graph output as well: it must stay."""
    x = net.input(1, 4, 9, 9)
    x = net.conv("first", x, net.kernel(6, 4, 3, 3), net.vector(6))
    net.output(net.conv("second", x, net.kernel(5, 6, 1, 1), net.vector(5)))
    net.output(x, name="middle")


MODELS: tuple[Callable[[Network], None], ...] = (
    notebook_padded,
    notebook_diagonal,
    chain_padded,
    chain_padded_dynamic,
    chain_zero_ring,
    chain_expand_project,
    chain_expand_project_dynamic,
    chain_three,
    chain_strided,
    chain_strided_padded,
    chain_dilated,
    chain_strided_dilated,
    chain_grouped,
    depthwise_pointwise,
    gemm_chain,
    conv_flatten_gemm,
    conv_then_transpose,
    transpose_then_conv,
    chain_1d,
    chain_3d,
    conv_observed,
)
