"""Single layers and blocks: norms, affine neighbours, branches, filters, exercise 4's pair."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from network import DYNAMIC, SAME3, Array, Network


def repvgg_block(net: Network) -> None:
    """A RepVGG block in training form: 3x3, 1x1 and identity branches, each normalised, summed."""
    x = net.input(1, 16, 24, 24)
    dense = net.norm("dense_norm", net.conv("dense", x, net.kernel(16, 16, 3, 3), pads=SAME3), 16)
    point = net.norm("point_norm", net.conv("point", x, net.kernel(16, 16, 1, 1)), 16)
    identity = net.norm("identity_norm", x, 16)
    branches = net.node("Add", "branches", [dense, point])
    total = net.node("Add", "total", [branches, identity])
    net.output(net.node("Relu", "relu", [total]))


def pointwise_then_pool(net: Network) -> None:
    """A 1x1 conv and a 2x2 average pool, as between two blocks of a DenseNet."""
    x = net.conv("narrow", net.input(1, 32, 16, 16), net.kernel(16, 32, 1, 1), net.vector(16))
    net.output(net.node("AveragePool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2]))


def nhwc_island(net: Network) -> None:
    """Sigmoid and a scale on channels last between two convs, as TensorFlow exports them."""
    x = net.conv("first", net.input(1, 4, 12, 12), net.kernel(8, 4, 3, 3), pads=SAME3)
    x = net.node("Transpose", "to_last", [x], perm=[0, 2, 3, 1])
    x = net.node("Sigmoid", "gate", [x])
    x = net.node("Mul", "scale", [x, net.constant("scale.operand", net.vector(8, 0.5, 2))])
    x = net.node("Transpose", "to_first", [x], perm=[0, 3, 1, 2])
    net.output(net.conv("second", x, net.kernel(4, 8, 3, 3), pads=SAME3))


def dead_filters(net: Network) -> None:
    """Half of the filters between two convs are zero: constant channels behind the Relu."""
    kernel, bias = net.kernel(32, 3, 3, 3), net.vector(32)
    kernel[::2] = 0
    bias[::2] = 0
    x = net.conv("first", net.input(1, 3, 16, 16), kernel, bias, pads=SAME3)
    x = net.node("Relu", "relu", [x])
    net.output(net.conv("second", x, net.kernel(8, 32, 3, 3), net.vector(8), pads=SAME3))


def conv_norm_relu(net: Network) -> None:
    """Conv, BatchNormalization, Relu."""
    x = net.input(1, 3, 20, 20)
    x = net.conv("conv", x, net.kernel(16, 3, 3, 3), strides=[2, 2], pads=SAME3)
    net.output(net.node("Relu", "relu", [net.norm("norm", x, 16)]))


def norm_conv(net: Network) -> None:
    """BatchNormalization before a padded conv: the padding must see the shifted zero."""
    x = net.norm("norm", net.input(1, 8, 13, 11), 8)
    net.output(net.conv("conv", x, net.kernel(12, 8, 3, 3), net.vector(12), pads=[1, 1, 2, 0]))


def norm_conv_dynamic(net: Network) -> None:
    """BatchNormalization before a padded conv whose size is free."""
    batch, height, width = DYNAMIC
    x = net.norm("norm", net.input(batch, 8, height, width), 8)
    x = net.conv("conv", x, net.kernel(12, 8, 3, 3), net.vector(12), pads=SAME3)
    net.output(x, dims=(batch, 12, height, width))


def conv_affine(net: Network) -> None:
    """Sub and Div per channel, an unpadded grouped conv, Mul and Add per channel, a scalar Mul."""
    x = net.input(1, 8, 16, 16)
    x = net.per_channel("Sub", "centre", x, net.vector(8))
    x = net.per_channel("Div", "whiten", x, net.vector(8, 0.5, 2))
    x = net.conv("conv", x, net.kernel(12, 4, 3, 3), group=2)
    x = net.per_channel("Mul", "gain", x, net.vector(12, -2, 2))
    x = net.per_channel("Add", "offset", x, net.vector(12))
    net.output(net.node("Mul", "half", [x, net.constant("half.operand", np.array(0.5))]))


def transpose_norm(net: Network) -> None:
    """Grouped ConvTranspose, BatchNormalization, Relu."""
    x = net.input(1, 8, 12, 12)
    up = net.kernel(8, 6, 4, 4)
    x = net.conv("up", x, up, kind="ConvTranspose", group=2, strides=[2, 2], pads=SAME3)
    net.output(net.node("Relu", "relu", [net.norm("norm", x, 12)]))


def gaussian(size: int, sigma: float) -> Array:
    """Gaussian of `size` taps that sum to 1."""
    taps = np.array([math.exp(-(((i - size // 2) / sigma) ** 2) / 2) for i in range(size)])
    return np.asarray(taps / taps.sum())


def filter_log(net: Network) -> None:
    """Image filters: Gaussian 5x5, then Laplacian 3x3, on each channel, unpadded, size free."""
    blur = np.outer(gaussian(5, 1), gaussian(5, 1))
    laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=float)
    x = net.input(1, 3, "height", "width", name="image")
    x = net.conv("gaussian", x, np.tile(blur, (3, 1, 1, 1)), group=3)
    x = net.conv("laplacian", x, np.tile(laplacian, (3, 1, 1, 1)), group=3)
    net.output(x, dims=(1, 3, "height_minus_6", "width_minus_6"), name="edges")


def separable_two(net: Network) -> None:
    """A Gaussian of 11 taps along the rows, then along the columns, on each channel."""
    taps = np.tile(gaussian(11, 2), (3, 1, 1, 1))
    x = net.input(1, 3, 96, 96, name="image")
    x = net.conv("rows", x, taps, group=3, pads=[0, 5, 0, 5])
    columns = np.swapaxes(taps, 2, 3)
    net.output(net.conv("columns", x, columns, group=3, pads=[5, 0, 5, 0]), name="blurred")


def separable_full(net: Network) -> None:
    """The same Gaussian as one 11x11 kernel: rank 1 as far as float32 can hold it."""
    kernel = np.outer(gaussian(11, 2), gaussian(11, 2))
    x = net.input(1, 3, 96, 96, name="image")
    blurred = net.conv("blur", x, np.tile(kernel, (3, 1, 1, 1)), group=3, pads=[5] * 4)
    net.output(blurred, name="blurred")


def blur(net: Network, name: str, x: str, kernel: Array) -> str:
    """One odd square kernel on each of three channels, zero-padded so that the size stays."""
    pads = [len(kernel) // 2] * 4
    return net.conv(name, x, np.tile(kernel, (3, 1, 1, 1)), group=3, pads=pads)


def gaussian_square(size: int, sigma: float) -> Array:
    """A Gaussian of size x size taps as the outer product of `gaussian` with itself."""
    return np.outer(gaussian(size, sigma), gaussian(size, sigma))


def gaussian_chain(net: Network, size: int, sigmas: tuple[float, ...]) -> str:
    batch, height, width = DYNAMIC
    x = net.input(batch, 3, height, width, name="image")
    for index, sigma in enumerate(sigmas):
        x = blur(net, f"blur{index}", x, gaussian_square(size, sigma))
    return x


def gaussian_chain_11(net: Network) -> None:
    """Two 11x11 Gaussians on each channel of images of any size, as full kernels."""
    x = gaussian_chain(net, 11, (2, 1.5))
    net.output(x, dims=("batch", 3, "height", "width"), name="blurred")


def gaussian_chain_15(net: Network) -> None:
    """Two 15x15 Gaussians on each channel of images of any size, as full kernels."""
    x = gaussian_chain(net, 15, (2.5, 3))
    net.output(x, dims=("batch", 3, "height", "width"), name="blurred")


def gaussian_chain_edges(net: Network) -> None:
    """Two 11x11 Gaussians and a difference of Gaussians, all linear, on images of any size."""
    x = gaussian_chain(net, 11, (2, 1.5))
    x = blur(net, "edges", x, gaussian_square(11, 1.2) - gaussian_square(11, 2.4))
    net.output(x, dims=("batch", 3, "height", "width"), name="edges")


def gabor(size: int, sigma: float, wavelength: float, phase: float) -> Array:
    """A Gabor kernel at 45 degrees: cos(a + b) = cos a cos b - sin a sin b, so of rank 2."""
    offsets = np.arange(size) - size // 2
    wave = np.cos(2 * np.pi * (offsets[:, None] + offsets) / wavelength + phase)
    return np.asarray(gaussian_square(size, sigma) * wave)


def separable_sums(net: Network) -> None:
    """A difference of Gaussians on each channel, Relu, a Gabor pair on each: kernels of rank 2."""
    x = net.input(1, 3, 40, 40, name="image")
    difference = gaussian_square(9, 1) - gaussian_square(9, 2)
    x = net.node("Relu", "relu", [blur(net, "difference", x, difference)])
    pair = np.stack([gabor(9, 2, 8, 0), gabor(9, 2, 8, np.pi / 2)])
    gabors = np.tile(pair[:, None], (3, 1, 1, 1))
    net.output(net.conv("gabors", x, gabors, group=3, pads=[4] * 4), name="waves")


def low_rank_channels(net: Network) -> None:
    """Two dense 3x3 convs of channel rank 8: the first in its outputs, the second in its inputs."""
    outputs = np.einsum("kr,rcij->kcij", net.kernel(32, 8), net.kernel(8, 32, 3, 3))
    inputs = np.einsum("krij,rc->kcij", net.kernel(32, 8, 3, 3), net.kernel(8, 32))
    x = net.input(1, 32, 20, 20)
    x = net.node("Relu", "relu", [net.conv("outputs", x, outputs, net.vector(32), pads=SAME3)])
    net.output(net.conv("inputs", x, inputs, net.vector(32), pads=SAME3))


def tucker_planted(net: Network) -> None:
    """A dense 3x3 conv of Tucker ranks 16 and 16: 1x1 48 to 16, 3x3, 1x1 16 to 48, multiplied."""
    core = net.kernel(16, 16, 3, 3)
    kernel = np.einsum("kr,rsij,sc->kcij", net.kernel(48, 16), core, net.kernel(16, 48))
    x = net.input(1, 48, 20, 20)
    net.output(net.conv("planted", x, kernel, net.vector(48), pads=SAME3))


def composed_kernel(net: Network) -> None:
    """A 5x5 kernel on one channel that is two 3x3 in sequence; no rank is lower than full."""
    first, second = net.kernel(3, 3), net.kernel(3, 3)
    composed = np.zeros((5, 5))
    for row, column in np.ndindex(3, 3):
        composed[row : row + 3, column : column + 3] += first[row, column] * second
    x = net.input(1, 1, 40, 40)
    net.output(net.conv("composed", x, composed[None, None], net.vector(1), pads=[2] * 4))


def patchify(net: Network) -> None:
    """A vision transformer's embedding: 16x16 patches, stride 16."""
    x = net.input(1, 3, 128, 128, name="image")
    patches = net.conv("embed", x, net.kernel(48, 3, 16, 16), net.vector(48), strides=[16, 16])
    net.output(patches, name="patches")


def block_diagonal_hidden(net: Network) -> None:
    """A 1x1 conv of four 16x16 blocks, its channels shuffled on both sides."""
    blocks = np.zeros((64, 64))
    for start in range(0, 64, 16):
        blocks[start : start + 16, start : start + 16] = net.kernel(16, 16)
    shuffled = blocks[net.random.permutation(64)][:, net.random.permutation(64)]
    x = net.input(1, 64, 16, 16)
    net.output(net.conv("shuffled", x, shuffled[:, :, None, None], net.vector(64)))


def pointwise_weight() -> Array:
    """The weights that exercise 4's two models share, (96, 192)."""
    return Network("pointwise").kernel(96, 192)


def pointwise_conv(net: Network) -> None:
    """Exercise 4, first form: a 1x1 conv."""
    x = net.input(1, 192, 14, 14)
    net.output(net.conv("pointwise", x, pointwise_weight()[:, :, None, None]))


def pointwise_matmul(net: Network) -> None:
    """Exercise 4, second form: the same weights as a matrix product over the channels."""
    x = net.input(1, 192, 14, 14)
    x = net.node("Transpose", "channels_last", [x], perm=[0, 2, 3, 1])
    x = net.node("Reshape", "pixels", [x, net.constant("pixels.shape", np.array([196, 192]))])
    x = net.node("MatMul", "product", [x, net.constant("product.weight", pointwise_weight().T)])
    x = net.node("Reshape", "image", [x, net.constant("image.shape", np.array([1, 14, 14, 96]))])
    net.output(net.node("Transpose", "channels_first", [x], perm=[0, 3, 1, 2]))


def subnormal_weights(net: Network) -> None:
    """Two 3x3 convs; half of the first's filters decayed to and below the least normal number."""
    decayed = net.kernel(32, 16, 3, 3)
    decay = net.random.integers(115, 140, (16, 1, 1, 1))
    decayed[::2] = np.ldexp(decayed[::2], -decay)
    x = net.input(1, 16, 48, 48)
    x = net.conv("decayed", x, decayed, net.vector(32), pads=SAME3)
    x = net.node("Relu", "relu", [x])
    net.output(net.conv("healthy", x, net.kernel(16, 32, 3, 3), net.vector(16), pads=SAME3))


def half_conv_norm(net: Network) -> None:
    """Conv and BatchNormalization in float16."""
    net.dtype = np.dtype(np.float16)
    x = net.input(1, 3, 16, 16)
    x = net.conv("conv", x, net.kernel(8, 3, 3, 3), net.vector(8), pads=SAME3)
    net.output(net.norm("norm", x, 8))


def redundant_ops(net: Network) -> None:
    """Layers without effect or done twice: Identity, Dropout, Mul by 1, equal convs, a Pad."""
    x = net.node("Identity", "identity", [net.input(1, 4, 15, 16)])
    pads = net.constant("pad.pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    padded = net.node("Pad", "pad", [x, pads])
    kernel = net.kernel(6, 4, 3, 3)
    left, right = (net.conv(name, padded, kernel) for name in ("left", "right"))
    total = net.node("Add", "total", [left, right])
    total = net.node("Mul", "once", [total, net.constant("once.operand", np.array(1.0))])
    total = net.node("Dropout", "dropout", [total])
    total = net.conv("same", total, net.kernel(4, 6, 2, 2), auto_pad="SAME_UPPER", strides=[2, 2])
    net.node("Relu", "dead", [total])
    net.output(net.node("Cast", "cast", [total], to=1))


def prelu_softmax(net: Network) -> None:
    """PReLU by channel between two convs, slopes of both signs and above 1; Softmax by channel."""
    x = net.conv("first", net.input(1, 3, 14, 12), net.kernel(16, 3, 3, 3), net.vector(16))
    x = net.node(
        "PRelu", "prelu", [x, net.constant("slopes", net.vector(16, -0.5, 1.5)[:, None, None])]
    )
    x = net.conv("second", x, net.kernel(5, 16, 3, 3), net.vector(5))
    net.output(net.node("Softmax", "classes", [x], axis=1))


def narrow_groups(net: Network) -> None:
    """A 3x3 conv in eight groups of four channels, as in ResNeXt, between two 1x1 convs."""
    x = net.conv("reduce", net.input(1, 8, 12, 12), net.kernel(32, 8, 1, 1), net.vector(32))
    x = net.node("Relu", "relu", [x])
    x = net.conv("grouped", x, net.kernel(32, 4, 3, 3), net.vector(32), group=8, pads=SAME3)
    x = net.node("Relu", "again", [x])
    net.output(net.conv("expand", x, net.kernel(8, 32, 1, 1), net.vector(8)))


MODELS: tuple[Callable[[Network], None], ...] = (
    repvgg_block,
    pointwise_then_pool,
    nhwc_island,
    dead_filters,
    conv_norm_relu,
    norm_conv,
    norm_conv_dynamic,
    conv_affine,
    transpose_norm,
    filter_log,
    separable_two,
    separable_full,
    gaussian_chain_11,
    gaussian_chain_15,
    gaussian_chain_edges,
    separable_sums,
    low_rank_channels,
    tucker_planted,
    composed_kernel,
    patchify,
    block_diagonal_hidden,
    pointwise_conv,
    pointwise_matmul,
    subnormal_weights,
    half_conv_norm,
    redundant_ops,
    prelu_softmax,
    narrow_groups,
)
