"""Random networks: network ``number`` of a seed, always the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from tests.fuzz import blocks, control, pairs
from tests.fuzz import elementwise as ew
from tests.fuzz import layers as ls
from tests.fuzz import layout as lo
from tests.fuzz.net import FLOATS, Net, Skip, Style, Val

Layer = Callable[[Net, Val], "Val | list[Val]"]

LAYERS: Mapping[Layer, int] = {
    ls.conv: 8, ls.pointwise: 4, ls.depthwise: 3, ls.conv_transpose: 4, ls.batch_norm: 3,
    ls.pool: 4, ls.global_pool: 2, ls.reduce: 1, ls.gemm: 4, ls.matmul: 3, ls.normalise: 1,
    ls.given_weights: 1, ls.resize: 2,
    ew.affine: 5, ew.activation: 9, ew.neutral: 3, ew.wide: 1, ew.gated: 1, ew.softmax: 1,
    lo.pad: 2, lo.draw_slice: 2, lo.split: 2, lo.transpose: 2, lo.reshape: 3,
    lo.depth_to_space: 1, lo.space_to_depth: 1, lo.shuffle: 1, lo.gather: 2, lo.tile: 1,
    lo.window_of: 1,
    blocks.chain: 8, blocks.conv_affine: 8, blocks.branches: 7, blocks.inception: 4,
    blocks.siblings: 4, blocks.split_conv_concat: 4, blocks.upsampled: 6, blocks.neck: 3,
    blocks.conv_pool: 7, blocks.pixel_shuffle: 3, blocks.residual: 4, blocks.inverted: 3,
    blocks.squeeze_excite: 1, blocks.head: 5, blocks.attention: 3, blocks.channels_last: 3,
    blocks.dead: 4, blocks.padded: 4, blocks.twice: 2, blocks.same_weights: 2,
    control.if_: 3, control.loop: 2, control.function: 2, control.foreign: 2,
    control.computed_reshape: 2, control.computed_resize: 1, control.filled: 1,
    control.expanded: 1, pairs.pair: 12,
}  # fmt: skip
"""What a network is made of, and how often each is drawn."""

OPSETS = (7, 8, 9, 9, 10, 11, 11, 12, 13, 13, 13, 14, 15, 16, 17, 17, 17, 18, 18, 19, 20, 21, 22)
"""Versions of ONNX's operators; to these come the newest that onnxruntime runs."""

TRIES = 12
"""Layers drawn for one place until one fits."""


@dataclass(frozen=True)
class Network:
    """A drawn network.

    Attributes:
        model: the file.
        shapes: of the inputs that have to be fed, by name, at the usual sizes.
        dims: the open dims and their usual sizes.
        others: other sizes of the open dims, at which the network may run as well.
    """

    model: ModelProto
    shapes: Mapping[str, tuple[int, ...]]
    dims: Mapping[str, int]
    others: Mapping[str, int]

    def at(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """The shapes of the inputs at other sizes of the open dims."""
        shapes = dict(self.shapes)
        for entry in self.model.graph.input:
            if entry.name in shapes:
                dims = entry.type.tensor_type.shape.dim
                shapes[entry.name] = tuple(
                    sizes[d.dim_param] if d.dim_param else d.dim_value for d in dims
                )
        return shapes


def network(seed: int, number: int, newest: int) -> Network | None:
    """Network ``number`` of a seed; None where nothing came of what was drawn.

    Args:
        seed: of the whole run.
        number: of the network in it.
        newest: version of ONNX's operators that onnxruntime runs.
    """
    random = Random(f"{seed}/{number}")
    net = Net(_style(random, newest), random)
    pool = [_input(net)]
    while net.chance(0.15):
        first = pool[0]
        pool.append(net.input(first.shape) if net.chance(0.7) else _input(net))
    for _ in range(random.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 8))):
        pool += _grown(net, pool)
    outputs = _outputs(net, pool)
    if not outputs:
        return None
    dims, others = _open_dims(net)
    named = {key: name for key, (name, _) in dims.items()}
    model = net.model(outputs, named)
    sizes = dict(dims.values())
    return Network(model, {v.name: v.shape for v in net.inputs}, sizes, others)


def _style(random: Random, newest: int) -> Style:
    opset = random.choice((*OPSETS, newest, newest))
    dtype = random.choices(FLOATS, (91, 5, 4))[0]
    old = opset <= 9 and random.random() < 0.3
    ir = 3 if old else random.choice((4, 6, 7, 8, 8, 8, 9, 10))
    if opset >= 15:
        ir = max(ir, 8)
    return Style(
        opset=opset,
        ir=ir,
        dtype=dtype,
        as_inputs=random.random() < 0.06,
        constants=random.choice((0.0, 0.05, 0.2, 1.0)),
        computed=random.choice((0.0, 0.0, 0.05, 0.15)),
        shared=random.choice((0.0, 0.0, 0.1, 0.5)),
        odd=random.random() < 0.1,
    )


def _input(net: Net) -> Val:
    r = net.random
    batch = r.choice((1, 1, 1, 1, 2, 3))
    if net.dtype == np.float64 or net.chance(0.06):
        return net.input((batch, r.choice((3, 4, 8, 16))))
    channels = r.choice((1, 2, 3, 3, 4, 4, 6, 8, 8, 12, 16, 16))
    axes = r.choices((1, 2, 3), (12, 80, 8))[0]
    low, high = {1: (5, 24), 2: (3, 12), 3: (3, 6)}[axes]
    size = r.randint(low, high)
    sizes = [size] * axes if net.chance(0.4) else [r.randint(low, high) for _ in range(axes)]
    if net.chance(0.25):
        sizes = [max(4, s // 4 * 4) for s in sizes]
    return net.input((batch, channels, *sizes))


def _grown(net: Net, pool: list[Val]) -> list[Val]:
    """The values that another layer or block gives, put behind a value of the pool."""
    for _ in range(TRIES):
        # The latest values are taken most often: deep rather than broad.
        x = pool[-1] if net.chance(0.6) else net.random.choice(pool)
        try:
            if net.chance(0.12):
                return [ew.with_other(net, x, pool)]
            if net.chance(0.05):
                return [lo.concat_with(net, x, pool)]
            layer = net.random.choices(list(LAYERS), list(LAYERS.values()))[0]
            made = layer(net, x)
        except Skip:
            continue
        return made if isinstance(made, list) else [made]
    return []


def _outputs(net: Net, pool: list[Val]) -> list[Val]:
    """The last value, and sometimes others that are also used."""
    made = {name for node in net.nodes for name in node.output}
    ends = [value for value in pool if value.name in made]
    if not ends:
        return []
    chosen = [ends[-1]]
    used = {name for node in net.nodes for name in node.input}
    for value in ends[:-1]:
        # What nobody uses is a dead branch, unless it is an output.
        if net.chance(0.6 if value.name not in used else 0.12):
            chosen.append(value)
    if chosen[0].rank and net.chance(0.05):
        chosen.append(net.op("Shape", chosen[0]))
    if net.chance(0.03):
        chosen.append(net.inputs[0])
    if net.weights and net.chance(0.03):
        tensor = net.random.choice(net.weights)
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        chosen.append(Val(tensor.name, tuple(tensor.dims), dtype))
    net.random.shuffle(chosen)
    return chosen


def _open_dims(net: Net) -> tuple[dict[tuple[str, int], tuple[str, int]], dict[str, int]]:
    """Open dims of the inputs, by name and axis: how each is called and its usual size."""
    dims: dict[tuple[str, int], tuple[str, int]] = {}
    others: dict[str, int] = {}
    if not net.chance(0.25):
        return dims, others
    tied = net.chance(0.2)
    axes = net.random.choice(((0,), (0,), (2, 3, 4), (0, 2, 3, 4), (3,)))
    for value in net.inputs:
        for axis in axes:
            if axis < value.rank:
                size = value.shape[axis]
                # Equal sizes may be one dim, of one input or of all.
                name = f"d{size}" if tied and axis > 1 else f"d{axis}_{size}"
                dims[value.name, axis] = (name, size)
                others[name] = size + net.random.randint(1, 3)
    return dims, others


def feeds(
    shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype[Any], kind: str, seed: int
) -> dict[str, Any]:
    """Inputs of one kind: noise, large, impulses, zeros, steps."""
    rng = np.random.default_rng([seed, len(kind)])
    made = {}
    for name, shape in shapes.items():
        noise = rng.standard_normal(shape)
        if kind == "large":
            noise *= 4.0 if dtype == np.float16 else 40.0
        elif kind == "impulses":
            noise *= rng.random(shape) < 0.1
        elif kind == "zeros":
            noise *= 0.0
        elif kind == "steps":
            lead = noise[
                tuple(slice(0, 1) if axis >= 2 else slice(None) for axis in range(len(shape)))
            ]
            noise = np.broadcast_to(lead, shape).copy()
        made[name] = noise.astype(dtype)
    return made
