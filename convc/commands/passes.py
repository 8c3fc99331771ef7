"""``convc passes``."""

from __future__ import annotations

from argparse import Namespace
from inspect import cleandoc
from textwrap import fill

from rich.text import Text

from convc.api import default_pipeline
from convc.commands.output import DONE
from convc.console import hanging, make_stdout
from convc.options import describe
from convc.pipeline import Pipeline, find_pass, pass_names


def run(args: Namespace) -> int:
    """``convc passes``: lists the passes, or shows one."""
    console = make_stdout()
    if args.name == "default":
        print(Pipeline.parse(default_pipeline("latency")))
        return DONE
    if args.name is None:
        listed = {name: _first_sentence(find_pass(name).__doc__) for name in pass_names()}
        listed["default"] = f"The default pipeline: {default_pipeline('latency')}"
        for name, what in listed.items():
            hanging(console, Text(f"{name:20} "), Text(what))
        return DONE
    found = find_pass(args.name)
    text = cleandoc(found.__doc__ or "")
    print((reflowed(text, console.width) if console.is_terminal else text) + "\n")
    for option, (kind, default) in describe(found).items():
        print(f"  {option}={default}  ({kind})")
    return DONE


def reflowed(text: str, width: int) -> str:
    """Paragraphs filled to the width of a terminal; formulas, lists and tables as they are."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        part if "\n " in part or part.startswith((" ", "- ", "|")) else fill(part, width)
        for part in paragraphs
    )


def _first_sentence(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text and text.strip() else ""
