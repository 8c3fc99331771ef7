"""docs/exercises.md: every block runs and prints what the page shows; every exercise has some."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.docs.blocks import ROOT, Block, check, parse

PAGE = ROOT / "docs" / "exercises.md"
LEAST = {1: 10, 2: 3, 3: 5, 4: 2, 5: 4, 6: 4, 7: 5}
"""Blocks that are run, by exercise."""


def exercise(block: Block) -> int:
    """The number of the exercise that a block stands in; 0 before the first."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()[: block.code.line]
    headings = [match for line in lines if (match := re.match(r"## (?:(\d)\.)?", line))]
    return int(headings[-1][1] or 0) if headings else 0


def test_every_block_prints_what_the_page_shows(tmp_path: Path) -> None:
    blocks = check(PAGE, tmp_path)
    found = Counter(map(exercise, blocks))
    assert all(found[number] >= least for number, least in LEAST.items()), found


def test_hardly_any_output_is_left_open() -> None:
    """Lines with dots would let a page pass by saying nothing."""
    shown = [block.output.lines for block in parse(PAGE.read_text()) if block.output]
    assert not any(line.strip() == "..." for lines in shown for line in lines)
    assert sum("..." in line for lines in shown for line in lines) < 15
    assert sum(map(len, shown)) > 120


def test_every_exercise_has_its_question() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("**The question.**") == 9
    assert text.count("∎") == 1
