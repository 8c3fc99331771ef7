"""Train a SESR-like x2 super-resolution network on luma and write it in training form.

    python models/train_sesr.py --images DIR --test DIR [--exclude NAME ...]

The architecture follows Bhardwaj et al., "Collapsible Linear Blocks for Super-Efficient Super
Resolution" (MLSys 2022), their SESR-M5 with ReLU: every convolution is a linear block, k x k to
256 channels and 1x1 back, with no nonlinearity between; the five middle ones carry a short
residual, y = relu(x + block(x)); a long residual joins the first block's output to the last
block's input, and the small image is added to each phase before DepthToSpace.

The file written holds the blocks expanded, as they are parametrised: collapsing them is what
convc is there for. Only training uses their collapsed kernels, which are the same function (the
1x1 follows without padding, so the border is exact too) at a tenth of the cost.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import psnr
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

EXPANDED = 256
CHANNELS = 16
MIDDLE_BLOCKS = 5
PATCH = 32
BATCH = 16
LEARNING_RATE = 1e-3
REDUCTIONS = (1.0, 0.8, 0.6)

Array = npt.NDArray[np.float32]
Pair = tuple[Tensor, Tensor]
Part = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


class LinearBlock(nn.Module):
    """k x k convolution to EXPANDED channels, "same" padding, then 1x1 to `outputs` channels."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, EXPANDED, size, padding=size // 2)
        self.project = nn.Conv2d(EXPANDED, outputs, 1)
        self.padding = size // 2

    def collapsed(self) -> tuple[Tensor, Tensor]:
        """Kernel (outputs, inputs, k, k) and bias (outputs,) of the two layers as one."""
        project = self.project.weight[:, :, 0, 0]
        assert self.expand.bias is not None
        assert self.project.bias is not None
        kernel = torch.tensordot(project, self.expand.weight, dims=1)
        return kernel, project @ self.expand.bias + self.project.bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        if not self.training:
            expanded: Tensor = self.expand(x)
            return functional.conv2d(expanded, self.project.weight, self.project.bias)
        kernel, bias = self.collapsed()
        return functional.conv2d(x, kernel, bias, padding=self.padding)


class Sesr(nn.Module):
    """Luma (N, 1, H, W) in [0, 1] to (N, 1, 2H, 2W)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LinearBlock(1, CHANNELS, 5)
        self.middle = nn.ModuleList(
            LinearBlock(CHANNELS, CHANNELS, 3) for _ in range(MIDDLE_BLOCKS)
        )
        self.last = LinearBlock(CHANNELS, psnr.SCALE**2, 5)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, 1, 2H, 2W)."""
        features = first = torch.relu(self.first(x))
        for block in self.middle:
            features = torch.relu(features + block(features))
        return functional.pixel_shuffle(self.last(features + first) + x, psnr.SCALE)


def reduced(image: Image.Image, factor: float) -> Image.Image:
    """The image at `factor` of its size: more scales of the same few images to learn from."""
    if factor == 1:
        return image
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.BICUBIC)


def training_pairs(folder: Path, exclude: list[str]) -> list[Pair]:
    """Small and large luma, (h, w) and (2h, 2w), of each image of a folder in each reduction."""
    images = [Image.open(path) for path in sorted(folder.glob("*.png")) if path.stem not in exclude]
    planes = [
        psnr.degrade(reduced(image.convert("RGB"), factor))
        for image in images
        for factor in REDUCTIONS
    ]
    return [(torch.from_numpy(small), torch.from_numpy(large)) for small, large in planes]


def sample_batch(pairs: list[Pair], random: np.random.Generator) -> Pair:
    """BATCH random patches, (BATCH, 1, PATCH, PATCH) and twice that, turned and mirrored."""
    areas = np.array([small.numel() for small, _ in pairs], dtype=np.float64)
    patches = []
    for index in random.choice(len(pairs), BATCH, p=areas / areas.sum()):
        small, large = pairs[index]
        y, x = (int(random.integers(side - PATCH + 1)) for side in small.shape)
        turns, mirrored = int(random.integers(4)), bool(random.integers(2))
        cuts = (
            small[y : y + PATCH, x : x + PATCH],
            large[2 * y : 2 * (y + PATCH), 2 * x : 2 * (x + PATCH)],
        )
        turned = (torch.rot90(cut, turns) for cut in cuts)
        patches.append([cut.flip(0) if mirrored else cut for cut in turned])
    small_batch, large_batch = (torch.stack(side)[:, None] for side in zip(*patches, strict=True))
    return small_batch, large_batch


def train(network: Sesr, pairs: list[Pair], options: argparse.Namespace) -> int:
    """Adam on the mean absolute error, cosine schedule; the number of steps taken.

    The schedule ends after `options.steps` or `options.minutes`, whichever comes first, so that a
    busy machine gets a shorter training and not a broken-off one.
    """
    random = np.random.default_rng(options.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    start = time.monotonic()
    network.train()
    step, running = 0, 0.0
    while (progress := max(step / options.steps, (time.monotonic() - start) / options.seconds)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        small, large = sample_batch(pairs, random)
        loss = functional.l1_loss(network(small), large)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()
        step += 1
        running += loss.item()
        if step % options.report == 0:
            seconds = time.monotonic() - start
            print(f"{step:7d} {seconds:7.0f} s  loss {running / options.report:.6f}", flush=True)
            running = 0.0
            if options.checkpoint:
                torch.save(network.state_dict(), options.checkpoint)
    return step


def constant(name: str, tensor: Tensor | None) -> TensorProto:
    assert tensor is not None
    return numpy_helper.from_array(tensor.detach().numpy().astype(np.float32), name)


def onnx_block(name: str, block: LinearBlock, source: str, result: str) -> Part:
    """Nodes and initialisers of one linear block, expanded."""
    size = block.expand.kernel_size[0]
    nodes = [
        helper.make_node(
            "Conv",
            [source, f"{name}.expand.weight", f"{name}.expand.bias"],
            [f"{name}.expanded"],
            name=f"{name}.expand",
            kernel_shape=[size, size],
            pads=[block.padding] * 4,
        ),
        helper.make_node(
            "Conv",
            [f"{name}.expanded", f"{name}.project.weight", f"{name}.project.bias"],
            [result],
            name=f"{name}.project",
            kernel_shape=[1, 1],
        ),
    ]
    weights = [constant(f"{name}.{key}", value) for key, value in block.state_dict().items()]
    return nodes, weights


def onnx_model(network: Sesr, description: str) -> onnx.ModelProto:
    """The network in training form as ONNX, batch, height and width free."""
    nodes, weights = onnx_block("first", network.first, "luma", "first.linear")
    nodes.append(helper.make_node("Relu", ["first.linear"], ["first.features"], name="first.relu"))
    features = "first.features"
    for index, block in enumerate(network.middle):
        assert isinstance(block, LinearBlock)
        name = f"middle{index}"
        block_nodes, block_weights = onnx_block(name, block, features, f"{name}.linear")
        nodes += [
            *block_nodes,
            helper.make_node(
                "Add", [features, f"{name}.linear"], [f"{name}.sum"], name=f"{name}.residual"
            ),
            helper.make_node("Relu", [f"{name}.sum"], [f"{name}.features"], name=f"{name}.relu"),
        ]
        weights += block_weights
        features = f"{name}.features"
    last_nodes, last_weights = onnx_block("last", network.last, "long.sum", "last.linear")
    nodes += [
        helper.make_node("Add", [features, "first.features"], ["long.sum"], name="long.residual"),
        *last_nodes,
        helper.make_node("Add", ["last.linear", "luma"], ["phases"], name="image.residual"),
        helper.make_node(
            "DepthToSpace",
            ["phases"],
            ["luma_x2"],
            name="shuffle",
            blocksize=psnr.SCALE,
            mode="CRD",  # torch's pixel_shuffle; with one channel out, DCR is the same
        ),
    ]
    small = helper.make_tensor_value_info("luma", 1, ["batch", 1, "height", "width"])
    large = helper.make_tensor_value_info("luma_x2", 1, ["batch", 1, "height_x2", "width_x2"])
    graph = helper.make_graph(nodes, "sesr_m5_x2", [small], [large], weights + last_weights)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="convc.models",
        doc_string=description,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def check_export(model: onnx.ModelProto, network: Sesr) -> tuple[float, float]:
    """Largest errors against the network in float64: onnxruntime's, and torch's in float32.

    RuntimeError if onnxruntime's is more than four times torch's: rounding alone cannot do that.
    """
    shape = (2, 1, 37, 50)
    luma = np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)
    network.eval()
    with torch.no_grad():
        single = network(torch.from_numpy(luma)).numpy()
        double = network.double()(torch.from_numpy(luma).double()).numpy()
    network.float()
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    exported = np.asarray(session.run(None, {"luma": luma})[0])
    error, allowed = abs(exported - double).max(), 4 * abs(single - double).max()
    if not error <= allowed:
        raise RuntimeError(f"the export differs from torch by {error:.3g}, allowed {allowed:.3g}")
    return float(error), float(allowed / 4)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of PNGs to train on")
    parser.add_argument("--test", type=Path, required=True, help="folder of PNGs to report on")
    parser.add_argument("--exclude", nargs="*", default=[], help="image names not to train on")
    parser.add_argument("-o", "--output", type=Path, default=here / "sesr_m5_x2.onnx")
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--report", type=int, default=1000, help="steps between two lines")
    parser.add_argument("--checkpoint", type=Path, help="file for the weights at every report")
    parser.add_argument("--resume", type=Path, help="weights to start from")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.seconds = 60 * options.minutes
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    network = Sesr()
    if options.resume:
        network.load_state_dict(torch.load(options.resume, weights_only=True))

    steps = train(network, training_pairs(options.images, options.exclude), options)
    description = (
        f"SESR-M5-like x2 on luma, training form, {steps} steps, torch {torch.__version__}"
    )
    model = onnx_model(network, description)
    error, own = check_export(model, network)
    print(f"against float64: onnxruntime {error:.3g}, torch float32 {own:.3g}")

    # Written beside the old file and renamed: a reader never sees half a model.
    partial = options.output.with_suffix(".partial")
    onnx.save(model, partial)
    partial.replace(options.output)
    return psnr.main([str(options.output), "--images", str(options.test)])


if __name__ == "__main__":
    sys.exit(main())
