"""PSNR of x2 super-resolution models on luma, beside bicubic's.

    python models/psnr.py MODEL [MODEL...] --images DIR

The usual protocol: an image is cropped to even sides and reduced by 2 with Pillow's bicubic
filter, in 8-bit RGB; the model sees the luma of the small image and its answer is compared with
the luma of the large one, two pixels at each border left out. Luma is the Y of ITU-R BT.601 with
its footroom and headroom (16 to 235 for 8-bit RGB), divided by 255. Nothing is rounded on the way
out, so that a difference of 0.001 dB between two models shows.

A model takes luma (N, 1, H, W) in [0, 1], float32, and gives (N, 1, 2H, 2W).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image

Plane = npt.NDArray[np.float32]
Upscaler = Callable[[Plane], Plane]

SCALE = 2
BORDER = 2


def luma(image: Image.Image) -> Plane:
    """BT.601 luma of an image as (H, W) in [16/255, 235/255]."""
    rgb = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    return ((16 + rgb @ (65.481, 128.553, 24.966)) / 255).astype(np.float32)


def degrade(image: Image.Image) -> tuple[Plane, Plane]:
    """Luma of the image reduced by 2, (H/2, W/2), and of the image itself, (H, W), sides even."""
    width, height = (side - side % SCALE for side in image.size)
    large = image.convert("RGB").crop((0, 0, width, height))
    small = large.resize((width // SCALE, height // SCALE), Image.Resampling.BICUBIC)
    return luma(small), luma(large)


def load_pairs(folder: Path) -> dict[str, tuple[Plane, Plane]]:
    """The pairs of `degrade` for every PNG of a folder, by name. FileNotFoundError if none."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise FileNotFoundError(f"no PNG in {folder}")
    return {path.stem: degrade(Image.open(path)) for path in paths}


def bicubic(small: Plane) -> Plane:
    """A plane (H, W) enlarged to (2H, 2W) by Pillow's bicubic filter, in floating point."""
    height, width = small.shape
    large = Image.fromarray(small).resize((width * SCALE, height * SCALE), Image.Resampling.BICUBIC)
    return np.asarray(large, dtype=np.float32)


def model_upscaler(path: Path, threads: int = 1) -> Upscaler:
    """The model at `path` in onnxruntime as a function of one plane, (H, W) to (2H, 2W)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def upscale(small: Plane) -> Plane:
        result = session.run(None, {name: small[None, None]})[0]
        return np.asarray(np.squeeze(result, (0, 1)), dtype=np.float32)

    return upscale


def psnr(large: Plane, restored: Plane) -> float:
    """PSNR in dB for a peak of 1, borders cropped; the estimate is clipped to [0, 1] first."""
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    error = large[inside].astype(np.float64) - np.clip(restored[inside], 0, 1).astype(np.float64)
    return float(-10 * np.log10(np.mean(error**2)))


def evaluate(upscale: Upscaler, pairs: dict[str, tuple[Plane, Plane]]) -> dict[str, float]:
    """PSNR in dB of one upscaler on each pair, by image name."""
    return {name: psnr(large, upscale(small)) for name, (small, large) in pairs.items()}


def mean(scores: dict[str, float]) -> float:
    """Mean over the images, in dB."""
    return sum(scores.values()) / len(scores)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)

    try:
        pairs = load_pairs(options.images)
        upscalers = {str(path): model_upscaler(path) for path in options.models}
        columns = {"bicubic": bicubic} | upscalers
        scores = {name: evaluate(upscale, pairs) for name, upscale in columns.items()}
    except Exception as error:  # onnxruntime raises a class of its own for each kind of bad file
        print(f"psnr: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    widths = {name: max(len(name), 9) for name in columns}

    print(f"{'image':16}", *(f"{name:>{widths[name]}}" for name in columns))
    for image in pairs:
        print(f"{image:16}", *(f"{scores[name][image]:{widths[name]}.4f}" for name in columns))
    print(f"{'mean':16}", *(f"{mean(scores[name]):{widths[name]}.4f}" for name in columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
