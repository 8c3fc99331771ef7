"""``convc passes``."""

from __future__ import annotations

from argparse import Namespace
from inspect import cleandoc

from convc.api import default_pipeline
from convc.commands.output import DONE
from convc.options import describe
from convc.pipeline import Pipeline, find_pass, pass_names


def run(args: Namespace) -> int:
    """``convc passes``: lists the passes, or shows one."""
    if args.name == "default":
        print(Pipeline.parse(default_pipeline("latency")))
        return DONE
    if args.name is None:
        for name in pass_names():
            print(f"{name:20} {_first_sentence(find_pass(name).__doc__)}")
        print(f"{'default':20} The default pipeline: {default_pipeline('latency')}")
        return DONE
    found = find_pass(args.name)
    print(cleandoc(found.__doc__ or "") + "\n")
    for option, (kind, default) in describe(found).items():
        print(f"  {option}={default}  ({kind})")
    return DONE


def _first_sentence(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text and text.strip() else ""
