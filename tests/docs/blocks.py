"""Runs the code blocks of a page of the documentation and compares what they print.

- A block marked ``python`` or ``sh`` is run, in the order of the page, in one scratch folder a page
  that has the repository's ``models/``. Python blocks share one namespace; sh blocks run in
  ``bash -euo pipefail``, one process each, with ``convc`` and ``python`` on the path.
- A block marked ``text`` that follows with nothing but blank lines between is what it prints:
  stdout, and stderr too for sh. A line ``...`` stands for any lines, ``...`` within a line for any
  characters; blanks at the ends of lines and blank lines at both ends do not count.
- A block after the line ``<!-- not run: reason -->`` is not run. Other languages are not looked at.

In a test, ``check(page, tmp_path)``. By hand, ``python -m tests.docs.blocks PAGE...`` does the
same, and with ``--update`` writes what was printed into the page wherever it shows something else
(a new block is given an empty ``text`` block first). Read what was written.
"""

from __future__ import annotations

import argparse
import linecache
import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from textwrap import indent
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RUN = ("python", "sh")
MISSPELT = {"py": "python", "python3": "python", "bash": "sh", "shell": "sh", "console": "sh"}
SECONDS = 600
"""No block of a page takes longer."""

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`]*)$")
NOT_RUN = re.compile(r"^ *<!-- not run: (?P<reason>.*\S) *-->$")


@dataclass(frozen=True)
class Fenced:
    """A fenced block; ``line`` is the line of its opening fence, counted from one."""

    language: str
    line: int
    lines: tuple[str, ...]
    indent: str

    @property
    def text(self) -> str:
        """The block without the indentation of a list it stands in."""
        return "".join(f"{line.removeprefix(self.indent)}\n" for line in self.lines)


@dataclass(frozen=True)
class Block:
    """A block that is run, and the ``text`` block after it, if there is one."""

    code: Fenced
    output: Fenced | None


@dataclass(frozen=True)
class Failure:
    """What went wrong in a block; ``got`` is what a ``text`` block should hold instead."""

    line: int
    message: str
    output: Fenced | None = None
    got: str = ""


class PageError(ValueError):
    """The page cannot be read as blocks; the message begins with its name and the line."""


def parse(text: str, name: str = "page") -> list[Block]:
    """The blocks of a page that are run, in its order.

    Raises:
        PageError: A fence is not closed, a language is misspelt, or no block follows "not run".
    """
    blocks: list[Block] = []
    before: Fenced | None = None  # the last block, while only blank lines have followed it
    skip = False
    for item in _items(text, name):
        if isinstance(item, Fenced):
            if item.language in MISSPELT:
                right = MISSPELT[item.language]
                raise PageError(f"{name}:{item.line}: {item.language} is written {right}")
            if item.language in RUN and not skip:
                blocks.append(Block(item, None))
            elif item.language == "text" and blocks and before is blocks[-1].code:
                blocks[-1] = Block(before, item)
            before, skip = item, False
            continue
        line, content = item
        if skip and content:
            raise PageError(f"{name}:{line}: a block should follow 'not run'")
        skip = skip or NOT_RUN.match(content) is not None
        before = None if content else before
    if skip:
        raise PageError(f"{name}: a block should follow 'not run'")
    return blocks


def _items(text: str, name: str) -> Iterator[Fenced | tuple[int, str]]:
    """Fenced blocks, and the lines between them with their numbers."""
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        opening = FENCE.match(line)
        if opening is None:
            yield number, line.strip()
            continue
        held: list[str] = []
        for _, inner in lines:
            if inner.strip() == opening["fence"]:
                break
            held.append(inner)
        else:
            raise PageError(f"{name}:{number}: the block is not closed")
        language = (opening["info"].split() or [""])[0]
        yield Fenced(language, number, tuple(held), opening["indent"])


def matches(expected: str, got: str) -> bool:
    """Whether an output is what the page shows, ``...`` standing for anything."""
    lines = _tidy(got)
    reached = {0}  # numbers of lines that the expected ones so far can stand for
    for line in _tidy(expected):
        if line.strip() == "...":
            reached = set(range(min(reached, default=len(lines) + 1), len(lines) + 1))
            continue
        pattern = re.compile(".*?".join(map(re.escape, re.split(r"\.{3,}", line))))
        reached = {n + 1 for n in reached if n < len(lines) and pattern.fullmatch(lines[n])}
    return len(lines) in reached


def _tidy(text: str) -> list[str]:
    """Lines without blanks at their ends, and without blank lines at both ends of the text."""
    return [line.rstrip() for line in text.strip("\n").rstrip().splitlines()]


def failures(text: str, name: str, folder: Path) -> Iterator[Failure]:
    """Runs the blocks of a page in a folder; after one that fails no more are run."""
    with _place(folder) as namespace:
        for block in parse(text, name):
            run = _run_python if block.code.language == "python" else _run_sh
            got, error = run(block.code, name, namespace)
            if error:
                yield Failure(block.code.line, f"{error}\nprinted:\n{indent(got, '  ')}")
                return
            if block.output is None or matches(block.output.text, got):
                continue
            shown, printed = indent(block.output.text, "  "), indent(got, "  ")
            message = f"the block prints something else\nexpected:\n{shown}got:\n{printed}"
            yield Failure(block.output.line, message, block.output, got)


@contextmanager
def _place(folder: Path) -> Iterator[dict[str, object]]:
    """Goes to a folder with links to the models; what a page sets ends with it."""
    # Links to the files, not to the folder: what a block writes beside a model stays here.
    (folder / "models").mkdir()
    for path in (ROOT / "models").iterdir():
        (folder / "models" / path.name).symlink_to(path)
    # A module of its own, since classes look up their annotations in it.
    module = ModuleType("__main__")
    with pytest.MonkeyPatch.context() as patch, np.printoptions():
        patch.chdir(folder)
        patch.setitem(sys.modules, "__main__", module)
        patch.setattr(sys, "path", list(sys.path))
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("CONVC_CACHE", os.environ.get("CONVC_CACHE", str(folder / ".cache")))
        # As a terminal of 80 columns, with stdout and stderr in the order they were written.
        for variable, value in (("COLUMNS", "80"), ("NO_COLOR", "1"), ("PYTHONUNBUFFERED", "1")):
            patch.setenv(variable, value)
        yield module.__dict__


def _run_python(block: Fenced, name: str, namespace: dict[str, object]) -> tuple[str, str]:
    """What a block printed, and the traceback if it raised."""
    # Blank lines before it, so that tracebacks have the lines of the page.
    source = "\n" * block.line + block.text
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    printed = StringIO()
    with redirect_stdout(printed):
        try:
            exec(compile(source, name, "exec", dont_inherit=True), namespace)
        except (Exception, SystemExit):
            return printed.getvalue(), traceback.format_exc()
    return printed.getvalue(), ""


def _run_sh(block: Fenced, _name: str, _namespace: object) -> tuple[str, str]:
    """What a block printed, and a line on its exit code if that is not 0."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done.stdout, f"exit code {done.returncode}" if done.returncode else ""


def check(page: Path, folder: Path) -> list[Block]:
    """Runs a page in an empty folder; returns the blocks that were run.

    Raises:
        AssertionError: A block failed or printed something else than the page shows.
    """
    __tracebackhide__ = True
    text, name = page.read_text(encoding="utf-8"), page.name
    found = list(failures(text, name, folder))
    if found:
        pytest.fail("\n".join(f"{name}:{one.line}: {one.message}" for one in found), pytrace=False)
    return parse(text, name)


def updated(text: str, found: Sequence[Failure]) -> str:
    """The page with the outputs that the blocks printed."""
    lines = text.splitlines()
    for failure in sorted(found, key=lambda failure: -failure.line):
        if failure.output is None:
            continue
        start = failure.output.line
        new = indent("\n".join(_tidy(failure.got)), failure.output.indent).splitlines()
        lines[start : start + len(failure.output.lines)] = new
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks pages, or writes into them what their blocks print."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs.blocks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    parser.add_argument("--update", action="store_true", help="write the outputs into the pages")
    options = parser.parse_args(arguments)
    failed = False
    for page in options.pages:
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            found = list(failures(text, page.name, Path(folder)))
        for one in found:
            written = options.update and one.output is not None
            print(f"{page}:{one.line}: {'written anew' if written else one.message}")
            failed |= not written
        if options.update and found:
            page.write_text(updated(text, found), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
