"""``convc completion``."""

from __future__ import annotations

from argparse import Namespace

from convc.commands.output import DONE
from convc.completion import script


def run(args: Namespace) -> int:
    """``convc completion``: prints the script that makes a shell complete convc's arguments."""
    print(script(args.shell))
    return DONE
