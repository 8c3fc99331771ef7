"""What the shell offers at TAB, by argcomplete; loaded only when the shell asks.

The script that a shell reads once asks this process each time, so the passes of packages installed
later are offered too.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points

import argcomplete
from argcomplete import shell_integration
from argcomplete.completers import (
    BaseCompleter,
    DirectoriesCompleter,
    FilesCompleter,
)

MODELS = FilesCompleter((".onnx", ".mlir"))

FILES: dict[str, BaseCompleter] = {
    "models": MODELS,
    "model": MODELS,
    "a": MODELS,
    "b": MODELS,
    "others": MODELS,
    "output": MODELS,
    "data": FilesCompleter((".npz", ".npy", ".png", ".jpg", ".jpeg", ".bmp", ".webp")),
    "proof": FilesCompleter((".json",)),
    "report": FilesCompleter((".html",)),
    "dump": DirectoriesCompleter(),
}
"""By the name of the argument: file names by their suffix, and folders."""


def passes_text(prefix: str, **_: object) -> list[str]:
    """Pipelines that begin with ``prefix``: its last word completed to a pass."""
    begun, word = re.fullmatch(r"(.*?)([\w-]*)", prefix, re.DOTALL).groups()  # type: ignore[union-attr]
    if begun.count("{") > begun.count("}"):
        return []  # among the options of a pass
    return [begun + name for name in [*_passes(), "choose"] if name.startswith(word)]


CHOICES: dict[str, Callable[..., list[str]]] = {
    "passes": passes_text,
    "name": lambda **_: [*_passes(), "default"],
    "max_error": lambda **_: ["safe", "balanced"],
    "metric": lambda **_: ["relative", "psnr", "top1", "agreement"],
}
"""By the name of the argument: words."""


def answer(parser: argparse.ArgumentParser) -> None:
    """Writes what the shell may offer, and ends the process."""
    for action in _actions(parser):
        known = FILES.get(action.dest) or CHOICES.get(action.dest)
        if known is None and action.choices is None and action.nargs != 0:
            known = _nothing  # a number, say: no file names
        if known is not None:
            action.completer = known  # type: ignore[attr-defined]
    # Flags where a dash was typed; file names before that.
    argcomplete.autocomplete(parser, always_complete_options=False)


def script(shell: str) -> str:
    """What a shell reads to ask convc for completions."""
    return str(shell_integration.shellcode(["convc"], shell=shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
        else:
            yield action


def _nothing(**_: object) -> list[str]:
    return []


def _passes() -> list[str]:
    return sorted(entry.name for entry in entry_points(group="convc.passes"))
