"""``convc cost``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from convc.analysis import cost
from convc.commands.output import DONE, print_json
from convc.console import make_console, make_stdout, progress
from convc.report.write import report_paths, write_cost
from convc.tables.cost import show_cost


def run(args: Namespace) -> int:
    """``convc cost``: what a model costs. Its tables are the answer, so they go to stdout."""
    path = Path(args.model)
    page = None if args.report is None else report_paths(args.report, [path], several=False)[0]
    with progress(make_console(), path.name, args.quiet) as steps:
        found = cost(
            path,
            backward=args.backward,
            sizes=args.dim,
            batch=args.batch,
            channels=args.scale_channels,
            padding=args.scale_padding,
            strips=args.strips,
            blocks=args.blocks,
            top=args.top,
            roofline=args.roofline,
            measure=args.measure,
            remeasure=args.remeasure,
            data=args.data,
            threads=args.threads,
            provider=args.provider,
            seed=args.seed,
            on_progress=steps.say,
        )
        if page is not None:
            steps.say("writing the report")
            write_cost(page, path.name, found)
    if args.json:
        print_json({"input": str(path), **found.as_json()})
    elif not args.quiet:
        show_cost(make_stdout(), path.name, found, args.top)
    return DONE
