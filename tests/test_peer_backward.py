"""Backward MACs beside PyTorch's FlopCounterMode, whose numbers are recorded.

`tests/peers/backward.py` records them. The formula decides: the gradient of a grouped convolution's
weights has C/g channels for each filter, so N·K·out·(C/g)·k products, as many as the forward pass
has; torch counts it as if the layer had one group.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.costs.training.flow import OpBackward, backward
from convc.graph import Graph
from convc.ir import Array
from convc.opset import macs
from tests.tiny import FLOAT, graph_of, model, node

RECORDED = json.loads((Path(__file__).parent / "peers" / "backward.json").read_text())
LAYERS: dict[int, dict[str, Any]] = {layer["number"]: layer for layer in RECORDED["layers"]}

GROUPED = "torch counts the weight gradient of g groups g times"
DIFFERENCES = dict.fromkeys(
    [13, 14, 15, 16, 17, 18, 19, 20, 21, 25, 26, 29, 30, 37, 38, 39, 41, 43], GROUPED
)
"""Layers whose numbers differ, and why."""


def graph(config: dict[str, Any]) -> Graph:
    """The layer behind an op that needs a gradient, so that its input gradient is wanted, too."""
    shape = config["shape"]
    weights: dict[str, Array] = {"one": np.ones((1, 1), np.float32)}
    # A product with a trained weight: the gradient of x depends on it.
    nodes = [node("PRelu", "x slope", "h")]
    weights["slope"] = np.ones((1,) * len(shape), np.float32)
    inputs = {"x": (FLOAT, tuple(shape))}
    operands = "h w b" if config.get("bias", True) else "h w"
    if config["kind"] == "MatMul":
        inputs["right"] = (FLOAT, tuple(config["right"]))
        nodes += [node("PRelu", "right one", "r"), node("MatMul", "h r", "y")]
        return graph_of(model(nodes, weights, inputs=inputs))
    if config["kind"] == "Linear":
        weights["w"] = np.ones((shape[-1], config["channels"]), np.float32)
        if len(shape) == 2:
            nodes.append(node("Gemm", operands, "y"))
        else:
            nodes.append(node("MatMul", "h w", "m" if "bias" not in config else "y"))
        if "bias" not in config:
            weights["b"] = np.ones(config["channels"], np.float32)
            nodes += [node("Add", "m b", "y")] if len(shape) > 2 else []
        return graph_of(model(nodes, weights, inputs=inputs))
    weights["w"], weights["b"] = _weights(config)
    nodes.append(node(config["kind"], operands, "y", **_attributes(config)))
    return graph_of(model(nodes, weights, inputs=inputs))


def _weights(config: dict[str, Any]) -> tuple[Array, Array]:
    inner, outer, groups = config["shape"][1], config["channels"], config.get("groups", 1)
    first, second = (outer, inner) if config["kind"] == "Conv" else (inner, outer)
    shape = (first, second // groups, *config["kernel"])
    return np.ones(shape, np.float32), np.ones(outer, np.float32)


def _attributes(config: dict[str, Any]) -> dict[str, Any]:
    padding = config.get("padding", [0] * len(config["kernel"]))
    found: dict[str, Any] = {"pads": padding * 2, "group": config.get("groups", 1)}
    names = {"strides": "stride", "dilations": "dilation", "output_padding": "output_padding"}
    return found | {ours: config[theirs] for ours, theirs in names.items() if theirs in config}


def step(config: dict[str, Any]) -> tuple[int, OpBackward]:
    """Forward MACs and the backward pass of the layer."""
    made = graph(config)
    kind = {"Linear": ("Gemm", "MatMul")}.get(config["kind"], (config["kind"],))
    found = next(step for op, step in backward(made).items() if op.kind in kind)
    forward = macs(made, found.op)
    assert forward is not None
    return forward, found


def counted(layer: dict[str, Any]) -> dict[str, int]:
    """convc's numbers, in torch's terms: two flops a MAC."""
    forward, found = step(layer["config"])
    assert found.gradient is not None
    data, weight = found.gradient.input_macs, found.gradient.weight_macs
    if layer["config"]["kind"] == "MatMul":
        # Both factors are activations; torch was asked for one at a time.
        data, weight = data // 2, data // 2
    return {
        "forward": 2 * forward,
        "backward": 2 * (data + weight),
        "input_gradient": 2 * data,
        "weight_gradient": 2 * weight,
    }


def theirs(layer: dict[str, Any]) -> dict[str, int]:
    return {name: layer[name] for name in
            ("forward", "backward", "input_gradient", "weight_gradient")}  # fmt: skip


def test_enough_layers_of_every_kind() -> None:
    configs = [layer["config"] for layer in LAYERS.values()]
    assert len(configs) >= 40
    assert RECORDED["torch"].startswith("2.13.0")
    assert {c["kind"] for c in configs} == {"Conv", "ConvTranspose", "Linear", "MatMul"}
    for kind in ("Conv", "ConvTranspose"):
        mine = [c for c in configs if c["kind"] == kind]
        assert {len(c["kernel"]) for c in mine} == {1, 2, 3}
        for name in ("groups", "stride", "padding", "dilation", "bias"):
            assert any(name in c for c in mine), (kind, name)
        assert any(c["shape"][0] > 1 for c in mine)
        assert any(len(set(c["kernel"])) > 1 for c in mine)
    assert sum(c.get("groups") == c["shape"][1] for c in configs if "groups" in c) >= 5


@pytest.mark.parametrize("number", [n for n in LAYERS if n not in DIFFERENCES])
def test_the_same_count(number: int) -> None:
    assert counted(LAYERS[number]) == theirs(LAYERS[number])


@pytest.mark.parametrize("number", DIFFERENCES)
def test_differences_are_what_they_are_said_to_be(number: int) -> None:
    layer = LAYERS[number]
    ours, groups = counted(layer), layer["config"]["groups"]
    assert groups > 1
    assert ours["weight_gradient"] == ours["forward"]
    assert theirs(layer) == {
        **ours,
        "weight_gradient": groups * ours["weight_gradient"],
        "backward": ours["input_gradient"] + groups * ours["weight_gradient"],
    }


def test_every_grouped_layer_differs_and_no_other() -> None:
    grouped = {n for n, layer in LAYERS.items() if layer["config"].get("groups", 1) > 1}
    assert set(DIFFERENCES) == grouped
    assert len(DIFFERENCES) == 18


def test_biases_have_additions_only() -> None:
    """A sum of N·out numbers for each of K channels."""
    for layer in LAYERS.values():
        config = layer["config"]
        if config["kind"] not in ("Conv", "ConvTranspose") or config.get("bias") is False:
            continue
        made = graph(config)
        shape = made.concrete_shape(made.outputs[0])
        assert shape is not None
        _, found = step(config)
        assert found.gradient is not None
        outputs = int(np.prod(shape))
        assert found.gradient.bias.additions == max(0, outputs - config["channels"])
        assert found.gradient.bias.multiplications == 0
