"""How small a mistake the default check still finds: ``python -m tests.mutants.limits``.

In layers spread over the depth of a network one mistake is made: a weight, all weights of a filter,
or the bias of a channel off by a part e of itself (the bias: of the channel's largest magnitude),
or one pixel in a corner of one channel off by e of that magnitude. The table has the least e, of
the powers of two, at which `convc.check.compare` says that the models differ (``different``), and
that at which it no longer calls them equal (``unequal``): the median over some places, and the
worst of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from convc.check import Subject, compare
from convc.feeds import made_up
from convc.graph import Graph
from convc.ir import Array, Op
from convc.judge import Verdict
from convc.onnx_io import load, to_bytes
from convc.reference import evaluate
from tests.mutants.samples import MODELS
from tests.real_models import sizes_of

SHARED = Path(os.environ.get("CONVC_SHARED", MODELS.parents[1] / "shared"))
REAL = ("cls_mnist8", "det_yunet_n_320")
OWN = ("digits_resnet",)
LARGEST, SMALLEST = 0, -24
"""Exponents of e that are tried."""

SAYS: Mapping[str, Collection[Verdict]] = {
    "different": (Verdict.DIFFERENT,),
    "unequal": (Verdict.DIFFERENT, Verdict.WITHIN_TOLERANCE),
}

Spoil = Callable[[Graph, Op, float, np.random.Generator], None]


def main() -> int:
    parser = argparse.ArgumentParser("tests.mutants.limits", description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=SHARED / "models")
    parser.add_argument("--places", type=int, default=2, help="of each kind in each layer")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    paths = [options.models / f"{name}.onnx" for name in REAL]
    paths += [MODELS / f"{name}.onnx" for name in OWN]
    figures: dict[str, dict[str, list[float]]] = {}
    for path in paths:
        if not path.exists():
            print(f"{path} is missing: left out", file=sys.stderr)
            continue
        figures[path.stem] = dict(measured(path, options.places))
    for name, kinds in figures.items():
        for kind, found in kinds.items():
            print(f"{name:<18} {kind:<17} median {np.median(found):.1e}  worst {max(found):.1e}")
    count = sum(len(found) for kinds in figures.values() for found in kinds.values())
    print(f"{count} figures of {len(figures)} networks")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if figures else 1


def measured(path: Path, places: int) -> Iterator[tuple[str, list[float]]]:
    """For each kind of mistake the least e of each place."""
    graph = load(path, sizes_of(path))
    original = Subject(to_bytes(graph), graph)
    convs = [op for op in graph.ops() if op.kind == "Conv" and op.operands[1].array is not None]
    layers = [convs[i].result.name for i in (0, len(convs) // 2, len(convs) - 1)]
    for kind, spoil in KINDS.items():
        for says, verdicts in SAYS.items():
            found = []
            for number in range(places * len(layers)):
                say = f"\r{path.stem} {kind} {says} {number + 1} of {places * len(layers)} "
                print(say, end="", file=sys.stderr, flush=True)
                layer = layers[number % len(layers)]
                found.append(least(original, layer, spoil, number, verdicts))
            yield f"{kind} {says}", found
    print(file=sys.stderr)


def least(
    original: Subject, layer: str, spoil: Spoil, seed: int, verdicts: Collection[Verdict]
) -> float:
    """The least e at which the verdict is one of ``verdicts``; infinite if none is."""

    def differs(exponent: int) -> bool:
        graph = original.graph.clone()
        (op,) = [op for op in graph.ops() if op.results and op.result.name == layer]
        spoil(graph, op, 2.0**exponent, np.random.default_rng(seed))
        other = Subject(to_bytes(graph), graph)
        return compare(original, other).verdict in verdicts

    if not differs(LARGEST):
        return float("inf")
    high, low = LARGEST, SMALLEST
    while high - low > 1:
        middle = (high + low) // 2
        high, low = (middle, low) if differs(middle) else (high, middle)
    return 2.0**high


def one_weight(_graph: Graph, op: Op, part: float, rng: np.random.Generator) -> None:
    weights = np.array(op.operands[1].array)
    place = tuple(int(rng.integers(n)) for n in weights.shape)
    weights[place] *= 1 + part
    _store(op, 1, weights)


def one_filter(_graph: Graph, op: Op, part: float, rng: np.random.Generator) -> None:
    weights = np.array(op.operands[1].array)
    weights[rng.integers(len(weights))] *= 1 + part
    _store(op, 1, weights)


def one_bias(graph: Graph, op: Op, part: float, rng: np.random.Generator) -> None:
    _add(graph, op, part, rng, corner=False)


def one_pixel(graph: Graph, op: Op, part: float, rng: np.random.Generator) -> None:
    _add(graph, op, part, rng, corner=True)


KINDS: dict[str, Spoil] = {
    "weight": one_weight,
    "filter": one_filter,
    "bias": one_bias,
    "pixel": one_pixel,
}


def _add(graph: Graph, op: Op, part: float, rng: np.random.Generator, *, corner: bool) -> None:
    """Adds a map that is zero but in one channel, or in the first pixel of that."""
    (feeds, *_) = (case.feeds for case in made_up(graph, graph.sizes, 0))
    (values,) = evaluate(graph, feeds, [op.result])
    offset = np.zeros(values.shape[1:] if corner else (values.shape[1], *(1,) * (values.ndim - 2)))
    channel = int(rng.integers(values.shape[1]))
    place = (channel, *(0,) * (values.ndim - 2))
    offset[place] = part * np.abs(values[:, channel]).max()
    users = graph.uses(op.result)
    constant = graph.add_constant(offset.astype(np.float32))
    total = graph.add("Add", [op.result, constant], types=[op.result.type])
    for user, index in users:
        graph.set_operand(user, index, total.result)


def _store(op: Op, index: int, array: Array) -> None:
    """Another constant for ``op`` and whoever shares it."""
    array.flags.writeable = False
    op.operands[index].op.attributes = {"value": array}


if __name__ == "__main__":
    sys.exit(main())
