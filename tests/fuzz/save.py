"""Findings as files: the smallest network found, and what shows the finding again."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import onnx

from convc.runtime import newest_opset
from tests.fuzz.generate import network
from tests.fuzz.oracle import INPUTS, Finding
from tests.fuzz.plans import Plan
from tests.fuzz.runner import Child, Found
from tests.fuzz.shrink import Failure, as_network, shrink, sizes_of
from tests.fuzz.trial import SECONDS, draw_inputs, judge

BY_WORDS = ("raises", "import", "export", "load", "checker", "compare", "interface")
"""Kinds of findings that are the same only if they say the same; with numbers the kind counts."""


def save(found: Found, folder: Path, *, seconds: float = 60.0) -> Path:
    """Shrinks a finding and writes ``<name>.onnx`` and ``<name>.txt``; returns the former.

    The text says what was found and how `replay` shows it again.
    """
    drawn = network(found.seed, found.number, newest_opset())
    assert drawn is not None
    inputs = draw_inputs(Random(f"{found.seed}/{found.number}/plans"))
    limit = 2.0 if found.finding.kind == "hang" else SECONDS
    child = Child()

    def fails(candidate: Failure) -> bool:
        task = (candidate.network, candidate.plan, found.number, inputs, limit)
        return any(_same(finding, found.finding) for _, finding in child.ask(task).findings)

    try:
        small = shrink(Failure(drawn, found.plan), fails, seconds)
    finally:
        child.stop()
    folder.mkdir(parents=True, exist_ok=True)
    kind = re.sub(r"\W+", "-", found.finding.kind)
    path = folder / f"{kind}-{found.seed}-{found.number}.onnx"
    onnx.save(small.network.model, path)
    path.with_suffix(".txt").write_text(_text(found, small, inputs, path))
    return path


def _same(a: Finding, b: Finding) -> bool:
    return a.kind == b.kind and (a.kind not in BY_WORDS or a.signature[:60] == b.signature[:60])


def _text(found: Found, small: Failure, inputs: tuple[str, ...], path: Path) -> str:
    passes = "simplify" if small.plan is None else small.plan.passes
    return (
        f"{found.finding.kind}: {found.finding.what}\n\n"
        f"Network {found.number} of seed {found.seed}, shrunk to {sizes_of(small.network.model)}.\n"
        f"To see what convc itself says of it:\n\n"
        f"    convc optimize {path.name} --objective macs --verify each --passes '{passes}'\n\n"
        f"To judge it as the fuzzer does, in Python:\n\n"
        f"    from tests.fuzz.plans import Plan\n"
        f"    from tests.fuzz.save import replay\n"
        f"    print(replay({str(path)!r}, {small.plan!r}, {found.number}, {inputs!r},\n"
        f"                 {dict(small.network.dims)!r}, {dict(small.network.others)!r}))\n"
    )


def replay(  # noqa: PLR0917 - called by what is saved
    path: str | Path,
    plan: Plan | None,
    number: int = 0,
    inputs: tuple[str, ...] = INPUTS,
    dims: dict[str, int] | None = None,
    others: dict[str, int] | None = None,
) -> list[Finding]:
    """What is found on a saved network when it goes through a plan."""
    drawn = as_network(onnx.load(path), dims, others)
    return [finding for _, finding in judge(drawn, plan, number, inputs).findings]
