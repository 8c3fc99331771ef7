"""What an op is called in the report."""

from __future__ import annotations

from convc.clock import label
from convc.console import shorten
from convc.ir import Op
from convc.text import one_line

LONGEST = 80


def op_name(op: Op) -> str:
    """Its kind and its name, or that of its first result; a name that begins so says both."""
    name = label(op)
    return shown(name if name.lower().startswith(op.kind.lower()) else f"{op.kind} {name}")


def shown(name: str) -> str:
    """A name from a file as people see it: printable, and of at most `LONGEST` characters."""
    return shorten(one_line(name), LONGEST)
