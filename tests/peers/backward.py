"""Records what PyTorch's FlopCounterMode counts for single layers, forward and backward.

Run by hand where torch is installed: ``python tests/peers/backward.py``. It writes
``backward.json`` beside itself, which `tests/test_peer_backward.py` compares with convc's counts.

A counted multiply-accumulate is two flops. The backward pass is run three times: for the gradients
of all, of the input only, of the weights only.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

CONVS = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}
TRANSPOSED = {
    1: torch.nn.ConvTranspose1d,
    2: torch.nn.ConvTranspose2d,
    3: torch.nn.ConvTranspose3d,
}


def conv(
    shape: tuple[int, ...], channels: int, kernel: tuple[int, ...], **options: Any
) -> dict[str, Any]:
    """A convolution of an input of ``shape`` (N, C, ...) to ``channels``."""
    return {"kind": "Conv", "shape": shape, "channels": channels, "kernel": kernel, **options}


def transposed(
    shape: tuple[int, ...], channels: int, kernel: tuple[int, ...], **options: Any
) -> dict[str, Any]:
    """A transposed convolution, likewise."""
    return {**conv(shape, channels, kernel, **options), "kind": "ConvTranspose"}


def linear(shape: tuple[int, ...], channels: int, **options: Any) -> dict[str, Any]:
    """A linear layer on the last axis."""
    return {"kind": "Linear", "shape": shape, "channels": channels, **options}


def matmul(left: tuple[int, ...], right: tuple[int, ...]) -> dict[str, Any]:
    """A product of two activations."""
    return {"kind": "MatMul", "shape": left, "right": right, "bias": False}


CONFIGS = [
    conv((1, 3, 8, 9), 5, (3, 3)),
    conv((2, 3, 8, 9), 5, (3, 3), bias=False),
    conv((2, 4, 8, 9), 6, (3, 5), padding=(1, 2)),
    conv((2, 4, 9, 10), 6, (1, 1)),
    conv((3, 4, 9, 10), 6, (1, 7), padding=(0, 3), bias=False),
    conv((2, 4, 9, 10), 6, (3, 3), stride=(2, 2), padding=(1, 1)),
    conv((2, 4, 9, 10), 6, (3, 3), stride=(2, 3), bias=False),
    conv((2, 4, 8, 8), 6, (2, 2), stride=(2, 2)),
    conv((2, 4, 11, 10), 6, (3, 3), dilation=(2, 2), padding=(2, 2)),
    conv((2, 4, 11, 12), 6, (3, 2), dilation=(2, 3), bias=False),
    conv((2, 4, 13, 12), 6, (3, 3), stride=(2, 2), dilation=(2, 1), padding=(2, 1)),
    conv((2, 3, 10, 12), 8, (1, 1), stride=(3, 3)),
    conv((2, 6, 8, 9), 4, (3, 3), groups=2, padding=(1, 1)),
    conv((2, 6, 8, 9), 9, (3, 3), groups=3, bias=False),
    conv((2, 8, 9, 10), 8, (3, 5), groups=4, stride=(2, 1), padding=(1, 2)),
    conv((1, 6, 9, 10), 12, (3, 3), groups=2, dilation=(2, 2)),
    conv((2, 6, 8, 9), 6, (3, 3), groups=6, padding=(1, 1)),
    conv((2, 6, 8, 9), 6, (5, 5), groups=6, padding=(2, 2), bias=False),
    conv((1, 6, 8, 9), 12, (3, 3), groups=6, padding=(1, 1)),
    conv((4, 5, 9, 9), 5, (3, 3), groups=5, stride=(2, 2), padding=(1, 1)),
    conv((2, 5, 9, 9), 5, (3, 3), groups=5, dilation=(2, 2)),
    conv((2, 3, 20), 5, (4,)),
    conv((2, 4, 20), 6, (5,), stride=(3,), padding=(2,), bias=False),
    conv((2, 4, 21), 6, (3,), dilation=(3,), padding=(3,)),
    conv((2, 4, 20), 8, (3,), groups=2),
    conv((3, 6, 20), 6, (9,), groups=6, padding=(4,)),
    conv((1, 2, 5, 6, 7), 3, (3, 3, 3), padding=(1, 1, 1)),
    conv((2, 4, 5, 6, 7), 6, (1, 2, 3), stride=(1, 2, 2), bias=False),
    conv((2, 4, 5, 6, 7), 4, (3, 3, 3), groups=2, padding=(1, 1, 1)),
    conv((1, 4, 5, 6, 7), 4, (3, 3, 3), groups=4),
    conv((0, 3, 8, 9), 5, (3, 3)),
    transposed((1, 3, 6, 7), 5, (3, 3)),
    transposed((2, 4, 6, 7), 6, (2, 2), stride=(2, 2)),
    transposed((2, 4, 6, 7), 6, (4, 4), stride=(2, 2), padding=(1, 1), bias=False),
    transposed((2, 4, 5, 6), 6, (3, 5), stride=(2, 3), padding=(1, 2), output_padding=(1, 0)),
    transposed((2, 4, 6, 7), 6, (3, 3), dilation=(2, 2), bias=False),
    transposed((2, 6, 6, 7), 4, (3, 3), groups=2, stride=(2, 2), padding=(1, 1)),
    transposed((1, 6, 6, 7), 6, (4, 4), groups=6, stride=(2, 2), bias=False),
    transposed((2, 6, 6, 7), 9, (1, 3), groups=3),
    transposed((2, 4, 10), 6, (4,), stride=(2,), padding=(1,)),
    transposed((2, 4, 10), 6, (3,), groups=2, bias=False),
    transposed((1, 3, 4, 5, 4), 2, (2, 2, 2), stride=(2, 2, 2)),
    transposed((2, 4, 3, 4, 5), 4, (3, 2, 3), groups=2, padding=(1, 0, 1)),
    linear((7, 12), 5),
    linear((7, 12), 5, bias=False),
    linear((1, 12), 20),
    linear((2, 7, 12), 5),
    linear((2, 3, 7, 12), 5, bias=False),
    matmul((7, 5), (5, 6)),
    matmul((3, 7, 5), (3, 5, 6)),
]


def layer(config: dict[str, Any]) -> torch.nn.Module:
    """The layer of one configuration."""
    options = {
        name: config[name]
        for name in ("stride", "padding", "dilation", "groups", "output_padding", "bias")
        if name in config
    }
    if config["kind"] == "Linear":
        return torch.nn.Linear(config["shape"][-1], config["channels"], **options)
    kinds = CONVS if config["kind"] == "Conv" else TRANSPOSED
    kind = kinds[len(config["kernel"])]
    return kind(config["shape"][1], config["channels"], config["kernel"], **options)


def flops(config: dict[str, Any], *, of_input: bool, of_weight: bool) -> tuple[int, int]:
    """Flops of the forward and of the backward pass for the gradients asked for."""
    x = torch.randn(config["shape"], requires_grad=of_input)
    if config["kind"] == "MatMul":
        right = torch.randn(config["right"], requires_grad=of_weight)
        run = lambda: torch.matmul(x, right)  # noqa: E731
    else:
        module = layer(config).requires_grad_(of_weight)
        run = lambda: module(x)  # noqa: E731
    with FlopCounterMode(display=False) as forward:
        y = run()
    with FlopCounterMode(display=False) as backward:
        y.backward(torch.ones_like(y))
    return forward.get_total_flops(), backward.get_total_flops()


def recorded(config: dict[str, Any]) -> dict[str, Any]:
    """One entry of the file."""
    forward, both = flops(config, of_input=True, of_weight=True)
    return {
        "config": config,
        "forward": forward,
        "backward": both,
        "input_gradient": flops(config, of_input=True, of_weight=False)[1],
        "weight_gradient": flops(config, of_input=False, of_weight=True)[1],
    }


def main() -> None:
    """Writes the file."""
    torch.manual_seed(0)
    numbers = count(1)
    layers = [{"number": next(numbers), **recorded(config)} for config in CONFIGS]
    target = Path(__file__).with_suffix(".json")
    lines = ",\n  ".join(json.dumps(entry) for entry in layers)
    target.write_text(f'{{"torch": "{torch.__version__}", "layers": [\n  {lines}\n]}}\n')
    print(f"{len(layers)} layers counted by torch {torch.__version__} in {target.name}")


if __name__ == "__main__":
    main()
