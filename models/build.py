"""Build the small sample models.

    python models/build.py [NAME...]

Each function of `chains` and `layers` adds one model to an empty network; its name is the file's,
its docstring goes into the file. Weights are seeded by the name: the same numpy and onnx write the
same bytes again.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path

import chains
import layers
from network import Network

MODELS = {function.__name__: function for function in (*chains.MODELS, *layers.MODELS)}


def build(name: str) -> bytes:
    """The model called `name` as the bytes of its file. KeyError if there is none."""
    function = MODELS[name]
    net = Network(name)
    function(net)
    return bytes(net.model(inspect.getdoc(function) or "").SerializeToString(deterministic=True))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    names = parser.parse_args(arguments).names or list(MODELS)
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}; known: {', '.join(MODELS)}")

    folder = Path(__file__).resolve().parent
    for name in names:
        path = folder / f"{name}.onnx"
        path.write_bytes(build(name))
        print(f"{path.name:36}{path.stat().st_size:>8} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
