"""RepVGG-A0 and MobileOne-S0 in training form: branches and normalisations, before they collapse.

    python -m models.reparam NAME FILE

Topology as in the papers (Ding et al. 2021, "RepVGG: Making VGG-style ConvNets Great Again", table
2; Vasu et al. 2023, "MobileOne: An Improved One Millisecond Mobile Backbone", table 3), weights
seeded, statistics of the normalisations anything but neutral. The files are large: they are made
when they are wanted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx

from models.network import Network

CLASSES = 1000
SIZE = 224

REPVGG_A0 = ((48, 1), (48, 2), (96, 4), (192, 14), (1280, 1))
"""Channels and blocks of the five stages; the first block of each halves the size."""

MOBILEONE_S0 = ((48, 1), (48, 2), (128, 8), (256, 10), (1024, 1))
"""As `REPVGG_A0`: the first stage is one dense block, the others are of depthwise and pointwise."""

OVER_PARAMETERS = 4
"""Equal conv branches of each MobileOne-S0 block behind the first stage."""


def repvgg_a0(size: int = SIZE) -> onnx.ModelProto:
    """RepVGG-A0: blocks of a 3×3, a 1×1 and, where the shape stays, an identity branch."""
    net = Network("repvgg_a0")
    x = net.input(1, 3, size, size, name="image")
    for stage, (before, (outputs, blocks)) in enumerate(pairwise([(3, 0), *REPVGG_A0])):
        for block in range(blocks):
            inputs, stride = (outputs, 1) if block else (before[0], 2)
            x = _block(net, f"stage{stage}.{block}", x, inputs, outputs, 3, stride=stride)
    _head(net, x, REPVGG_A0[-1][0])
    return net.model(repvgg_a0.__doc__ or "")


def mobileone_s0(size: int = SIZE) -> onnx.ModelProto:
    """MobileOne-S0: depthwise 3×3 and pointwise blocks, each of four convs and what is cheaper."""
    net = Network("mobileone_s0")
    x = net.input(1, 3, size, size, name="image")
    inputs = MOBILEONE_S0[0][0]
    x = _block(net, "stage0", x, 3, inputs, 3, stride=2)
    many = OVER_PARAMETERS
    for stage, (outputs, blocks) in enumerate(MOBILEONE_S0[1:], start=1):
        for block in range(blocks):
            name, stride = f"stage{stage}.{block}", 1 if block else 2
            x = _block(
                net, f"{name}.depth", x, inputs, inputs, 3, stride=stride, group=inputs, copies=many
            )
            x = _block(net, f"{name}.point", x, inputs, outputs, 1, copies=many)
            inputs = outputs
    _head(net, x, inputs)
    return net.model(mobileone_s0.__doc__ or "")


def _block(  # noqa: PLR0917  # what a block is made of
    net: Network,
    name: str,
    x: str,
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    group: int = 1,
    copies: int = 1,
) -> str:
    """The sum of normalised branches: ``copies`` convs, a 1×1 conv, the input; and a Relu."""
    kernels = [kernel] * copies + [1] * (kernel > 1)
    branches = []
    skips = stride == 1 and inputs == outputs
    count = len(kernels) + skips
    for i, k in enumerate(kernels):
        weight = net.kernel(outputs, inputs // group, k, k)
        strides, pads = [stride, stride], [k // 2] * 4
        part = net.conv(f"{name}.conv{i}", x, weight, group=group, strides=strides, pads=pads)
        branches.append(_norm(net, f"{name}.norm{i}", part, outputs, count))
    if skips:
        branches.append(_norm(net, f"{name}.skip", x, outputs, count))
    total = branches[0]
    for i, branch in enumerate(branches[1:]):
        total = net.node("Add", f"{name}.add{i}", [total, branch])
    return net.node("Relu", f"{name}.relu", [total])


def _norm(net: Network, name: str, x: str, outputs: int, count: int) -> str:
    """One of ``count`` normalisations that are added, so that the sum keeps its scale."""
    sign = np.where(np.arange(outputs) % 5 == 3, -1, 1)
    roles = {
        "scale": net.vector(outputs, 0.5, 1.5) * sign / np.sqrt(count),
        "bias": net.vector(outputs),
        "mean": net.vector(outputs),
        "variance": net.vector(outputs, 0.3, 1.5),
    }
    operands = [net.constant(f"{name}.{role}", array) for role, array in roles.items()]
    return net.node("BatchNormalization", name, [x, *operands], epsilon=1e-5)


def _head(net: Network, x: str, channels: int) -> None:
    pooled = net.node("GlobalAveragePool", "pool", [x])
    flat = net.node("Flatten", "flatten", [pooled])
    weight = net.constant("classes.weight", net.kernel(CLASSES, channels))
    bias = net.constant("classes.bias", net.vector(CLASSES))
    net.output(net.node("Gemm", "classes", [flat, weight, bias], transB=1), name="logits")


BUILDERS: dict[str, Callable[[], onnx.ModelProto]] = {
    "repvgg_a0": repvgg_a0,
    "mobileone_s0": mobileone_s0,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes one of the models to a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=BUILDERS)
    parser.add_argument("file", type=Path)
    chosen = parser.parse_args(arguments)
    onnx.save(BUILDERS[chosen.name](), chosen.file)


if __name__ == "__main__":
    main()
