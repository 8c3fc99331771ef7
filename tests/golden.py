"""Golden tests of rewrites: MLIR in, MLIR out, and how many rewrites that took.

A case is a file in ``tests/golden/<pass>/``::

    // What the case shows.
    // passes: fuse-convs{border=decline}
    // rewrites: 0
    // declined: 1 × the reason

    module ... the input

    // -----

    module ... the output, weights included

To add one, write the comment, the line ``passes`` and the input, run
``pytest tests/test_golden.py --update-golden``, and read what was added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from convc.graph import Graph
from convc.mlir import parse_graph, print_graph
from convc.pipeline import Context, Pipeline
from convc.proof import prove

FOLDER = Path(__file__).parent / "golden"
SPLIT = "// -----"
PASSES, REWRITES, DECLINED = "// passes: ", "// rewrites: ", "// declined: "


@dataclass(frozen=True)
class Case:
    """The part of a file that a person wrote."""

    comment: str
    passes: str
    input: str


def cases() -> list[Path]:
    """The files of all cases."""
    return sorted(FOLDER.glob("*/*.mlir"))


def read(text: str) -> Case:
    """The case in the text of a file; what an update adds is left out."""
    head, _, rest = text.partition("\nmodule")
    lines = head.splitlines()
    (passes,) = [line.removeprefix(PASSES) for line in lines if line.startswith(PASSES)]
    comment = [line for line in lines if line and not line.startswith((PASSES, REWRITES, DECLINED))]
    return Case("\n".join(comment), passes, f"module{rest.partition(SPLIT)[0]}".strip())


def run(case: Case) -> str:
    """The whole text of the file as it should be: every rewrite proved, the result verified."""
    graph = parse_graph(case.input)
    reports = Pipeline.parse(case.passes).run(graph, Context(prove=prove))
    graph.verify()
    rewrites = sum(report.stats.applied for report in reports)
    head = [case.comment, f"{PASSES}{case.passes}", f"{REWRITES}{rewrites}"]
    for report in reports:
        reasons = sorted(report.stats.declined.items())
        head += [f"{DECLINED}{count} × {reason}" for reason, count in reasons]
    return "\n".join([*head, "", case.input, "", SPLIT, "", print_graph(graph, weights=True)])


def modules(text: str) -> Iterator[Graph]:
    """The graphs of input and output."""
    yield parse_graph(read(text).input)
    yield parse_graph(text.partition(SPLIT)[2])
