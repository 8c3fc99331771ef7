"""Train two classifiers on scikit-learn's 8x8 digits, one wide and one small.

    python models/train_digits.py

Writes `digits.npz`, the digits in two halves, and beside it `digits_vgg.onnx` (four 3x3 convs of
64, 64, 128 and 128 channels, far more than the task needs) and `digits_resnet.onnx` (three residual
blocks of 16 channels, batch norms kept as they were trained). Both see the first half only; of the
second the accuracy is printed. One thread and fixed seeds: the same machine and torch write the
same bytes again.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import digits
import numpy as np
import torch
from network import Network
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

SEED = 0
EPOCHS = 60
BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
SMOOTHING = 0.1


class Residual(nn.Module):
    """relu(x + body(x)), body two 3x3 convs with batch norms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(channels, channels), nn.ReLU(), *conv_norm(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W), shape kept."""
        return torch.relu(x + self.body(x))


def conv_norm(inputs: int, outputs: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def conv_relu(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]


def vgg() -> nn.Sequential:
    """VGG-like: more channels than the task needs, no batch norm."""
    return nn.Sequential(
        *conv_relu(1, 64),
        *conv_relu(64, 64),
        nn.MaxPool2d(2),
        *conv_relu(64, 128),
        *conv_relu(128, 128),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128 * 2 * 2, 10),
    )


def resnet() -> nn.Sequential:
    """ResNet-like: 16 channels throughout, nothing to spare."""
    return nn.Sequential(
        *conv_norm(1, 16),
        nn.ReLU(),
        *(Residual(16) for _ in range(3)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


MODELS: dict[str, Callable[[], nn.Sequential]] = {"digits_vgg": vgg, "digits_resnet": resnet}


def write_data(path: Path) -> None:
    """The digits, shuffled and cut in two halves, as uint8."""
    counts, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(labels))
    arrays = {}
    for half, chosen in zip(("train", "test"), np.array_split(order, 2), strict=True):
        arrays[f"{half}_images"] = counts[chosen].reshape(-1, 8, 8).astype(np.uint8)
        arrays[f"{half}_labels"] = labels[chosen].astype(np.uint8)
    np.savez_compressed(path, **arrays)


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by at most one pixel, zeros moving in: half a set is few images."""
    down, right = torch.randint(3, (2, len(images), 1), generator=generator)
    rows = (torch.arange(8) + down)[:, :, None]
    columns = (torch.arange(8) + right)[:, None, :]
    padded = functional.pad(images, (1, 1, 1, 1))[:, 0]
    return padded[torch.arange(len(images))[:, None, None], rows, columns][:, None]


def train(network: nn.Sequential, known: digits.Digits) -> None:
    """AdamW on the cross entropy, one cycle of the learning rate; ends in inference mode."""
    generator = torch.Generator().manual_seed(SEED)
    images, labels = (torch.from_numpy(array) for array in known)
    batches = math.ceil(len(labels) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, batches * EPOCHS)
    network.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(labels), generator=generator)
        for chosen in order.chunk(batches):
            answer = network(shifted(images[chosen], generator))
            loss = functional.cross_entropy(answer, labels[chosen], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    network.eval()


def append(net: Network, name: str, module: nn.Module, x: str) -> str:
    """The nodes of a trained module reading the value `x`; the value they make."""

    def constants(*roles: str) -> list[str]:
        values = {role: getattr(module, role).detach().numpy() for role in roles}
        return [net.constant(f"{name}.{role}", value) for role, value in values.items()]

    match module:
        case nn.Sequential():
            for index, child in module.named_children():
                x = append(net, f"{name}{index}", child, x)
            return x
        case Residual():
            total = net.node("Add", f"{name}.sum", [x, append(net, f"{name}.", module.body, x)])
            return net.node("Relu", f"{name}.relu", [total])
        case nn.Conv2d():
            roles = ("weight",) if module.bias is None else ("weight", "bias")
            operands = [x, *constants(*roles)]
            return net.node("Conv", name, operands, kernel_shape=[3, 3], pads=[1] * 4)
        case nn.BatchNorm2d():
            operands = [x, *constants("weight", "bias", "running_mean", "running_var")]
            return net.node("BatchNormalization", name, operands, epsilon=module.eps)
        case nn.Linear():
            return net.node("Gemm", name, [x, *constants("weight", "bias")], transB=1)
        case nn.ReLU():
            return net.node("Relu", name, [x])
        case nn.MaxPool2d():
            return net.node("MaxPool", name, [x], kernel_shape=[2, 2], strides=[2, 2])
        case nn.AdaptiveAvgPool2d():
            return net.node("GlobalAveragePool", name, [x])
        case nn.Flatten():
            return net.node("Flatten", name, [x], axis=1)
    raise TypeError(f"no ONNX op for {module}")


def export(name: str, network: nn.Sequential) -> bytes:
    """The network as the bytes of an ONNX file: images (batch, 1, 8, 8) to scores (batch, 10)."""
    net = Network(name)
    x = net.input("batch", 1, 8, 8, name="image")
    net.output(append(net, "layer", network, x), dims=("batch", 10), name="scores")
    description = f"{name}, trained on half of scikit-learn's digits with torch {torch.__version__}"
    return bytes(net.model(description).SerializeToString(deterministic=True))


def check_export(model: bytes, network: nn.Sequential, images: digits.Array) -> None:
    """RuntimeError where onnxruntime is more than four times as far from float64 as torch is."""
    with torch.no_grad():
        single = network(torch.from_numpy(images)).numpy()
        double = network.double()(torch.from_numpy(images).double()).numpy()
    network.float()
    error, own = abs(digits.scores(model, images) - double).max(), abs(single - double).max()
    if not error <= 4 * own:
        raise RuntimeError(f"the export differs from torch by {error:.3g}, torch by {own:.3g}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=digits.DATA.parent, metavar="DIR")
    folder = parser.parse_args(arguments).output
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    data = folder / digits.DATA.name
    write_data(data)
    known, held_out = digits.load("train", data), digits.load("test", data)
    for name, make in MODELS.items():
        torch.manual_seed(SEED)
        network = make()
        train(network, known)
        model = export(name, network)
        check_export(model, network, held_out.images)
        (folder / f"{name}.onnx").write_bytes(model)
        print(f"{name:24}{len(model):>9} bytes{digits.accuracy(model, held_out):8.2%}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
