"""Exact rewrites one by one: applied by convc to a plain model, compared, and timed.

    python -m tests.bench.rewrites [--threads 1] [--only TEXT] [--chosen] [--json FILE]

Every row is a small chain: a thin 1×1 conv and a Relu, the ops in question, and a thin 1×1 conv, so
that the rewrite pays for the layout its neighbours live in. It is timed against the model as it
was, in turn, with everything onnxruntime has switched on; ``lead`` is what was measured elsewhere
for the ops alone. With ``--chosen`` the pass stands in ``choose(...)`` and may leave it alone.
Nothing else may run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

import convc
from convc.feeds import noise
from convc.onnx_io import from_bytes, to_bytes
from convc.runtime import Session, Settings, version
from convc.timing import interleave, ratio, run_of

THIN = 16
"""Channels on the far side of the neighbours."""


@dataclass
class Chain:
    """A chain of ops, built one after the other; ``value`` is where it ends."""

    shape: tuple[int, ...]
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)
    value: str = "x"
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def op(self, kind: str, *operands: str, **attributes: Any) -> str:
        """Adds an op on the end of the chain and the given values; returns its result."""
        self.value = self.free(kind, self.value, *operands, **attributes)
        return self.value

    def free(self, kind: str, *operands: str, **attributes: Any) -> str:
        """Adds an op on the given values alone; the end of the chain stays where it is."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, operands, [name], name, **attributes))
        return name

    def weight(self, *shape: int) -> str:
        """Random weights that keep the variance."""
        fan = np.prod(shape[1:]) if len(shape) > 1 else 4
        return self.constant(self.rng.standard_normal(shape).astype(np.float32) / np.sqrt(fan))

    def constant(self, array: np.ndarray[Any, Any]) -> str:
        """A constant, in float32."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def conv(self, outputs: int, inputs: int, *kernel: int, **attributes: Any) -> str:
        """A Conv with a bias, padded to keep the size where nothing else is said."""
        group = attributes.get("group", 1)
        strides = attributes.get("strides", [1] * len(kernel))
        if "pads" not in attributes and set(strides) == {1}:
            attributes["pads"] = [k // 2 for k in kernel] * 2
        w, b = self.weight(outputs, inputs // group, *kernel), self.weight(outputs)
        return self.op("Conv", w, b, **attributes)

    def model(self, opset: int = 17) -> bytes:
        """The serialised model."""
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info(self.value, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "chain", [x], [y], self.weights)
        imports = [helper.make_opsetid("", opset)]
        made = helper.make_model(graph, opset_imports=imports, ir_version=8)
        data: bytes = made.SerializeToString()
        return data


@dataclass(frozen=True)
class Row:
    """One rewrite: what it is, what was measured elsewhere, the pass, and the ops in question."""

    name: str
    lead: tuple[float, float]
    passes: str
    size: tuple[int, ...]
    inputs: int
    outputs: int
    build: Callable[[Chain], object]

    def model(self) -> bytes:
        """The ops between their neighbours."""
        ones = (1,) * len(self.size)
        chain = Chain((1, THIN, *self.size))
        chain.conv(self.inputs, THIN, *ones)
        chain.op("Relu")
        self.build(chain)
        chain.op("Relu")
        chain.conv(THIN, self.outputs, *ones)
        return chain.model()


def linear_block(thin: int, wide: int) -> Callable[[Chain], object]:
    def build(chain: Chain) -> None:
        chain.conv(wide, thin, 3, 3)
        chain.conv(thin, wide, 1, 1)

    return build


def point_then_pool(outputs: int, inputs: int) -> Callable[[Chain], object]:
    def build(chain: Chain) -> None:
        chain.conv(outputs, inputs, 1, 1)
        chain.op("AveragePool", kernel_shape=[2, 2], strides=[2, 2])

    return build


def point_then_global_pool(outputs: int, inputs: int) -> Callable[[Chain], object]:
    def build(chain: Chain) -> None:
        chain.conv(outputs, inputs, 1, 1)
        chain.op("GlobalAveragePool")

    return build


def upsampled(chain: Chain, mode: str = "nearest", factor: int = 2) -> None:
    coordinates = "asymmetric" if mode == "nearest" else "half_pixel"
    extra = {"nearest_mode": "floor"} if mode == "nearest" else {}
    scales = chain.constant(np.array([1, 1, factor, factor]))
    how = {"mode": mode, "coordinate_transformation_mode": coordinates, **extra}
    chain.op("Resize", "", scales, **how)


def up_then_conv(outputs: int, inputs: int) -> Callable[[Chain], object]:
    def build(chain: Chain) -> None:
        upsampled(chain)
        chain.conv(outputs, inputs, 3, 3)

    return build


def resized(mode: str, factor: int) -> Callable[[Chain], object]:
    return lambda chain: upsampled(chain, mode, factor)


def neck(low: int, high: int, outputs: int) -> Callable[[Chain], object]:
    """upsample(a) ++ b → 1×1, b made from a at high resolution by a depthwise ConvTranspose."""

    def build(chain: Chain) -> None:
        low_value = chain.value
        w = chain.weight(low, high // low, 2, 2)
        other = chain.free("ConvTranspose", low_value, w, strides=[2, 2], group=low)
        other = chain.free("Relu", other)
        upsampled(chain)
        chain.op("Concat", other, axis=1)
        chain.conv(outputs, low + high, 1, 1)

    return build


def convolution(
    outputs: int, inputs: int, *kernel: int, **attributes: Any
) -> Callable[[Chain], object]:
    return lambda chain: chain.conv(outputs, inputs, *kernel, **attributes)


def transposed(
    outputs: int, inputs: int, kernel: int, stride: int, pad: int
) -> Callable[..., object]:
    def build(chain: Chain) -> None:
        w, b = chain.weight(inputs, outputs, kernel, kernel), chain.weight(outputs)
        chain.op("ConvTranspose", w, b, strides=[stride] * 2, pads=[pad] * 4)

    return build


def repvgg(channels: int) -> Callable[[Chain], object]:
    """3×3, 1×1 and identity, each normalised, summed."""

    def norm(chain: Chain, value: str) -> str:
        rng = chain.rng
        parts = [rng.uniform(0.5, 1.5, channels), rng.normal(0, 0.1, channels),
                 rng.normal(0, 0.1, channels), rng.uniform(0.5, 1.5, channels)]  # fmt: skip
        return chain.free("BatchNormalization", value, *map(chain.constant, parts))

    def build(chain: Chain) -> None:
        x = chain.value
        dense = chain.free("Conv", x, chain.weight(channels, channels, 3, 3), pads=[1] * 4)
        point = chain.free("Conv", x, chain.weight(channels, channels, 1, 1))
        total = chain.free("Add", norm(chain, dense), norm(chain, point))
        chain.value = chain.free("Add", total, norm(chain, x))

    return build


ROWS = (
    Row("linear 16→256→16", (10.8, 10.8), "fuse-convs", (128, 128), 16, 16, linear_block(16, 256)),
    Row("linear 32→128→32", (3.6, 3.6), "fuse-convs", (64, 64), 32, 32, linear_block(32, 128)),
    Row("1×1, AveragePool 2×2; 256→128", (1.9, 3.0), "commute-linear", (56, 56), 256, 128,
        point_then_pool(128, 256)),
    Row("1×1, AveragePool 2×2; 1024→512", (1.9, 3.0), "commute-linear", (14, 14), 1024, 512,
        point_then_pool(512, 1024)),
    Row("1×1 512→1000, global pool", (2.6, 2.6), "commute-linear", (13, 13), 512, 1000,
        point_then_global_pool(1000, 512)),
    Row("nearest ×2, 3×3; 64→64", (1.5, 1.9), "lower-to-conv2d", (64, 64), 64, 64,
        up_then_conv(64, 64)),
    Row("nearest ×2, 3×3; 128→64", (1.5, 1.9), "lower-to-conv2d", (48, 48), 128, 64,
        up_then_conv(64, 128)),
    Row("nearest ×2, 3×3; 32→3", (2.2, 3.4), "lower-to-conv2d", (128, 128), 32, 3,
        up_then_conv(3, 32)),
    Row("upsample(a) ++ b → 1×1; 256+256→128", (1.6, 1.9), "commute-linear", (20, 20), 256, 128,
        neck(256, 256, 128)),
    Row("depthwise Conv1d, kernel 31", (4.2, 4.2), "lower-to-conv2d", (4000,), 64, 64,
        convolution(64, 64, 31, group=64)),
    Row("depthwise Conv1d, kernel 9", (3.0, 3.0), "lower-to-conv2d", (4000,), 64, 64,
        convolution(64, 64, 9, group=64)),
    Row("Conv1d dense, kernel 9", (1.1, 1.4), "lower-to-conv2d", (4000,), 64, 64,
        convolution(64, 64, 9)),
    Row("Conv3d 3×3×3; 32→32", (1.4, 1.6), "lower-to-conv2d", (32, 32, 32), 32, 32,
        convolution(32, 32, 3, 3, 3)),
    Row("Conv3d 3×3×3; 64→64", (1.4, 1.6), "lower-to-conv2d", (24, 24, 24), 64, 64,
        convolution(64, 64, 3, 3, 3)),
    Row("Conv3d 3×3×3; 3→64", (0.8, 0.8), "lower-to-conv2d", (32, 32, 32), 3, 64,
        convolution(64, 3, 3, 3, 3)),
    Row("RepVGG block in training form, 64", (1.1, 1.24), "merge-branches", (56, 56), 64, 64,
        repvgg(64)),
    Row("ConvTranspose 7×7, stride 1; 16→16", (1.25, 5.0), "lower-to-conv2d", (64, 64), 16, 16,
        transposed(16, 16, 7, 1, 3)),
    Row("ConvTranspose 4×4, stride 2; 64→64", (1.08, 1.08), "lower-to-conv2d", (32, 32), 64, 64,
        transposed(64, 64, 4, 2, 1)),
    Row("ConvTranspose 2×2, stride 2; 64→64", (0.5, 0.7), "lower-to-conv2d", (32, 32), 64, 64,
        transposed(64, 64, 2, 2, 0)),
    Row("cubic Resize ×3; 3 channels", (1.0, 10.0), "lower-to-conv2d", (256, 256), 3, 3,
        resized("cubic", 3)),
    Row("linear Resize ×2; 32 channels", (1.0, 3.0), "lower-to-conv2d", (64, 64), 32, 32,
        resized("linear", 2)),
    Row("depthwise 3×3, multiplier 2", (1.0, 10.0), "lower-to-conv2d", (56, 56), 64, 128,
        convolution(128, 64, 3, 3, group=64)),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=8.0, help="a row's timing, at the most")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--chosen", action="store_true", help="only where it is expected to pay")
    parser.add_argument("--passes", help="these passes for all rows")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(f"onnxruntime {version()}, {args.threads} threads")
    print(f"{'rewrite':38} {'lead':>10} {'measured':>22}  rewrites  verdict")
    rows = [_run(row, args) for row in ROWS if args.only in row.name]
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    return int(any(not row["good"] for row in rows))


def _run(row: Row, args: argparse.Namespace) -> dict[str, Any]:
    data = row.model()
    passes = args.passes or row.passes
    text = f"simplify,choose({passes}),simplify" if args.chosen else f"simplify,{passes},simplify"
    result = convc.optimize(from_bytes(data), text)
    comparison = result.comparison
    assert comparison is not None
    settings = Settings(threads=args.threads)
    feeds = noise(from_bytes(data))
    runs = [run_of(Session(model, settings), feeds) for model in (data, to_bytes(result.graph))]
    first, second = interleave(runs, rounds=args.rounds, seconds=args.seconds)
    found = ratio(first, second)
    notes = {note: n for report in result.reports for note, n in report.stats.notes.items()}
    lead = f"{row.lead[0]:g}–{row.lead[1]:g}"
    measured = f"{found.ratio:.2f} ({found.low:.2f}–{found.high:.2f})"
    applied = sum(r.stats.applied for r in result.reports if "simplify" not in r.text)
    print(f"{row.name:38} {lead:>10} {measured:>22}  {applied:8}  {comparison.verdict.value}")
    sys.stdout.flush()
    return {
        "name": row.name,
        "lead": row.lead,
        "ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "applied": applied,
        "notes": notes,
        "verdict": comparison.verdict.value,
        "good": comparison.verdict.good,
    }


if __name__ == "__main__":
    sys.exit(main())
