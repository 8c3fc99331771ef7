"""What hostile models are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper

from tests.onnx_helpers import info, model, weight
from tests.tiny import FLOAT, kernel, node

TERA = 2**40
ESCAPE = "\x1b[31mred\x1b[0m"
OWN = helper.make_opsetid("own", 1)
PLAIN = helper.make_opsetid("", 17)


def net(
    nodes: Sequence[NodeProto],
    weights: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int | str | None] | None = (1, 4, 6, 6),
    output: int = FLOAT,
    **more: Any,
) -> ModelProto:
    """A model from ``x`` to ``y``."""
    listed = [weight(name, array) for name, array in (weights or {}).items()]
    return model(nodes, [info("x", shape)], [info("y", None, output)], listed, **more)


def conv(**attributes: Any) -> ModelProto:
    """A 3×3 convolution of 4 channels and another one behind, with attributes of their own."""
    weights = {"k": kernel(1, 4, 4, 3, 3), "j": kernel(2, 4, 4, 1, 1)}
    return net([node("Conv", "x k", "h", **attributes), node("Conv", "h j", "y")], weights)


def padded_by(
    pads: Sequence[int], shape: Sequence[int | str] = (1, 3, 96, 96), **attributes: Any
) -> ModelProto:
    """Rows and columns of a separable filter, the second convolution padded beyond all bounds."""
    weights = {"k": kernel(1, 3, 1, 1, 11), "j": kernel(2, 3, 1, 11, 1)}
    rows = node("Conv", "x k", "h", group=3, pads=[0, 5, 0, 5])
    columns = node("Conv", "h j", "y", group=3, pads=pads, **attributes)
    return net([rows, columns], weights, shape=shape)


def computed(maker: NodeProto, user: NodeProto, weights: Mapping[str, Any]) -> ModelProto:
    """A vector that constant folding makes, and so nobody sees before, between convolutions."""
    more = {name: kernel(i, 4, 4, 3, 3) for i, name in enumerate("kjl")}
    return net(
        [node("Conv", "x k", "h"), maker, user, node("Conv", "g l", "y")],
        {**weights, **more, "n": np.ones(4, np.float32)},
        shape=(1, 4, 12, 12),
    )


def window(kind: str, **attributes: Any) -> ModelProto:
    return net([node(kind, "x", "y", **{"kernel_shape": [2, 2], **attributes})])
