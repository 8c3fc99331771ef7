"""``convc verify``."""

from __future__ import annotations

from argparse import Namespace
from math import isfinite

from convc.api import verify
from convc.check import Comparison
from convc.commands.output import BAD_INPUT, DIFFERENT, DONE, print_json
from convc.console import make_console, progress
from convc.judge import Verdict


def run(args: Namespace) -> int:
    """``convc verify``: compares two models."""
    with progress(make_console(), "verifying", args.quiet):
        comparison = verify(
            args.a,
            args.b,
            data=args.data,
            sizes=args.dim,
            tolerance=args.tolerance,
            seed=args.seed,
        )
    if args.json:
        print_json({"a": args.a, "b": args.b, "verify": comparison.as_json()})
    elif not args.quiet:
        print(comparison.verdict.value + ("" if comparison.bit_identical else _figures(comparison)))
        for note in comparison.notes:
            print(f"note: {note}")
    if comparison.verdict is Verdict.UNVERIFIED:
        return BAD_INPUT
    return DONE if comparison.verdict.good else DIFFERENT


def _figures(comparison: Comparison) -> str:
    if not comparison.cases or not isfinite(comparison.max_abs):
        return ""
    return (
        f", not bit-identical: largest difference {comparison.max_abs:.3g} "
        f"({comparison.max_rel:.1e} of the output's scale); error against float64 "
        f"{comparison.error:.1e}, the first model's own {comparison.original_error:.1e}"
    )
