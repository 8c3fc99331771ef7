"""``convc print``."""

from __future__ import annotations

import sys
from argparse import Namespace
from io import TextIOWrapper
from pathlib import Path

from convc.commands.output import DONE
from convc.files import check_writable, write_whole
from convc.mlir import print_graph
from convc.model_files import load


def run(args: Namespace) -> int:
    """``convc print``: a model as MLIR text, on stdout or into a file."""
    target = None if args.output is None else Path(args.output)
    if target is not None:
        check_writable(target)
    text = print_graph(load(Path(args.model), args.dim), weights=args.weights)
    if target is None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # as in a file, whatever the terminal's is
        sys.stdout.write(text)
    else:
        write_whole(target, text.encode())
    return DONE
