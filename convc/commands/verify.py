"""``convc verify``."""

from __future__ import annotations

from argparse import Namespace
from math import isfinite
from typing import Any

from rich.text import Text

from convc.api import replay, verify
from convc.certificate import Replayed
from convc.check import Comparison
from convc.commands.output import BAD_INPUT, DIFFERENT, DONE, print_json
from convc.console import hanging, make_console, make_stdout, progress
from convc.errors import UsageError
from convc.judge import Verdict
from convc.tables.summary import STYLES
from convc.text import printable


def run(args: Namespace) -> int:
    """``convc verify``: replays the proof if there is one, and compares two models."""
    if args.proof == "":
        raise UsageError("--proof: the name is empty: is a variable of your shell not set?")
    replayed: Replayed | None = None
    with progress(make_console(), "verifying", args.quiet) as steps:
        if args.proof is not None:
            replayed = replay(args.proof, args.a, args.b, seed=args.seed, on_progress=steps.say)
        comparison = verify(
            args.a,
            args.b,
            data=args.data,
            sizes=args.dim,
            tolerance=args.tolerance,
            seed=args.seed,
            on_progress=steps.say,
        )
    if args.json:
        proof = {} if replayed is None else {"proof": _document(replayed)}
        print_json({"a": args.a, "b": args.b, "verify": comparison.as_json()} | proof)
    elif not args.quiet:
        if replayed is not None:
            print(_replayed(replayed))
        verdict = Text(comparison.verdict.value, STYLES[comparison.verdict])
        figures = "" if comparison.bit_identical else _figures(comparison)
        console = make_stdout()
        hanging(console, Text(), Text.assemble(verdict, figures))
        for note in comparison.notes:
            hanging(console, Text("note: "), Text(printable(note)))
    if comparison.verdict is Verdict.UNVERIFIED:
        return BAD_INPUT
    return DONE if comparison.verdict.good else DIFFERENT


def _replayed(replayed: Replayed) -> str:
    if not replayed.rewrites:
        return "the proof holds: it takes no rewrite to make the second model of the first"
    number = "1 rewrite" if replayed.rewrites == 1 else f"{replayed.rewrites} rewrites"
    return (
        f"the proof holds: {number} found, proved and applied again; largest residual "
        f"{replayed.residual:.1e}, recorded {replayed.recorded:.1e}"
    )


def _document(replayed: Replayed) -> dict[str, Any]:
    return {
        "holds": True,
        "rewrites": replayed.rewrites,
        "largest_residual": replayed.residual,
        "recorded_residual": replayed.recorded,
        "seed": replayed.seed,
    }


def _figures(comparison: Comparison) -> str:
    known = comparison.verdict is not Verdict.UNVERIFIED and comparison.cases
    if not known or not isfinite(comparison.max_abs):
        return ""
    return (
        f", not bit-identical: largest difference {comparison.max_abs:.3g} "
        f"({comparison.max_rel:.1e} of the output's scale); error against float64 "
        f"{comparison.error:.1e}, the first model's own {comparison.original_error:.1e}"
    )
