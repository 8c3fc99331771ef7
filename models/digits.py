"""The 8x8 digits of scikit-learn in two halves, and how many of them a classifier knows.

    python models/digits.py MODEL [MODEL...]
    python models/digits.py --feeds FILE.npz

The first prints the accuracy on the held-out half, the second writes the other half as the input
of the models, for `convc optimize --data`. `digits.npz` holds the images as counts from 0 to 16,
uint8, with their labels; `train_digits.py` writes it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

DATA = Path(__file__).resolve().with_name("digits.npz")
MAXIMUM = 16

Array = npt.NDArray[Any]


class Digits(NamedTuple):
    """Images (N, 1, 8, 8) in [0, 1], float32, and their digits (N,), 0 to 9."""

    images: Array
    labels: Array


def load(half: str, path: Path = DATA) -> Digits:
    """The half "train", which the models were trained on, or the held-out half "test"."""
    with np.load(path, allow_pickle=False) as file:
        counts, labels = file[f"{half}_images"], file[f"{half}_labels"]
    return Digits((counts[:, None] / MAXIMUM).astype(np.float32), labels.astype(np.int64))


def scores(model: Path | bytes, images: Array) -> Array:
    """What a model says of each image in onnxruntime, one thread: (N, 10), the largest wins."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    source = model if isinstance(model, bytes) else str(model)
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])


def accuracy(model: Path | bytes, digits: Digits) -> float:
    """Share of the images, in [0, 1], whose digit a model says."""
    return float(np.mean(scores(model, digits.images).argmax(axis=1) == digits.labels))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL")
    parser.add_argument("--feeds", type=Path, metavar="FILE.npz")
    options = parser.parse_args(arguments)
    if not options.models and options.feeds is None:
        parser.error("give a model, or --feeds")

    if options.feeds is not None:
        np.savez_compressed(options.feeds, image=load("train").images)
    held_out = load("test")
    for path in options.models:
        print(f"{path.stem:24}{accuracy(path, held_out):8.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
