"""What watches a pipeline while it runs: progress, differences, dumps; and the reproducer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

from convc import mlir
from convc.files import make_folder, write_whole
from convc.graph import Graph
from convc.pipeline import Pass, PassReport, Pipeline

PASSES_LINE = "// passes: "
"""Begins the line of an .mlir file that says which pipeline it is meant for."""


@dataclass(frozen=True)
class Progress:
    """Says which pass of how many is running."""

    say: Callable[[str], None]
    count: int

    def before_pass(self, number: int, item: Pass, _graph: Graph) -> None:
        """Says its position and name."""
        self.say(f"pass {number + 1} of {self.count}: {item.name}")

    def after_pass(self, number: int, item: Pass, graph: Graph, report: PassReport) -> None:
        """Says nothing."""


@dataclass
class PrintAfterChange:
    """Prints how each pass that changed the graph changed its text, as a unified diff."""

    write: Callable[[str], object]
    _before: list[str] = field(default_factory=list)

    def before_pass(self, _number: int, _item: Pass, graph: Graph) -> None:
        """Keeps the text as it is; that of an unchanged graph is still there."""
        if not self._before:
            self._before = mlir.print_graph(graph).splitlines()

    def after_pass(self, number: int, item: Pass, graph: Graph, report: PassReport) -> None:
        """Prints the difference, if there is one."""
        if not report.changed:
            return
        after = mlir.print_graph(graph).splitlines()
        names = f"before pass {number + 1}, {item}", f"after {item}"
        self.write("\n".join(unified_diff(self._before, after, *names, lineterm="")) + "\n")
        self._before = after


@dataclass(frozen=True)
class Dump:
    """Writes the graph to a folder: as it came, and after each pass that changed it.

    Files are numbered by the pass's position: ``00-input.mlir``, ``02-fold-affine.mlir``. Weights
    are left out but for small ones: the files are for reading.
    """

    folder: Path

    def before_pass(self, number: int, _item: Pass, graph: Graph) -> None:
        """Writes the graph as it came."""
        if number == 0:
            self._write("00-input.mlir", graph)

    def after_pass(self, number: int, item: Pass, graph: Graph, report: PassReport) -> None:
        """Writes the graph if the pass changed it."""
        if report.changed:
            self._write(f"{number + 1:02}-{item.name}.mlir", graph)

    def _write(self, name: str, graph: Graph) -> None:
        make_folder(self.folder)
        write_whole(self.folder / name, mlir.print_graph(graph).encode())


def write_reproducer(path: Path, graph: Graph, rest: Pipeline) -> None:
    """Writes a graph and the passes that were to run on it, as one file for ``convc optimize``."""
    text = f"{PASSES_LINE}{rest}\n\n{mlir.print_graph(graph, weights=True)}"
    make_folder(path.parent)
    write_whole(path, text.encode())


def passes_of(text: str) -> str | None:
    """The pipeline that an .mlir text says it is meant for, None where it says none."""
    for line in text.splitlines():
        if line.startswith(PASSES_LINE):
            return line.removeprefix(PASSES_LINE)
        if line and not line.startswith("//"):
            return None
    return None
