"""What a person sees at a terminal of some width and colour, and what a pipe and a file get."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

import convc
from convc.api import Result
from convc.check import Comparison
from convc.commands.passes import reflowed
from convc.console import is_watched, progress, rounds_bar
from convc.graph import Graph
from convc.judge import Verdict
from convc.tables.summary import LABEL, entry, show_closing, show_result, show_timing
from convc.text import printable, spell_out
from convc.timing import Ratio
from convc.tuning import Measured, Tuning
from tests.conftest import ROOT
from tests.test_api import chain
from tests.tiny import graph_of


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def console(file: io.StringIO, width: int = 80, **environment: str) -> Console:
    variables = {"TERM": "xterm-256color", "COLUMNS": str(width), "LINES": "50", **environment}
    return Console(
        file=file, width=width, highlight=False, soft_wrap=True, _environ=variables,
        legacy_windows=False,
    )  # fmt: skip


def shown(draw: Callable[[Console], None], width: int = 80, **environment: str) -> str:
    file = Terminal()
    draw(console(file, width, **environment))
    return file.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.fixture(scope="module")
def chained() -> Graph:
    return graph_of(chain())


@pytest.fixture(scope="module")
def result(chained: Graph) -> Result:
    return convc.optimize(chained)


@pytest.fixture(scope="module")
def timed(result: Result) -> Result:
    """The same as if the clock had been asked."""
    measured = Measured(Ratio(3.25, 3.0, 3.5), 0.0652, 0.0201)
    tuning = Tuning(17, 1, 21.0, 3.2, ["timed at x: 1×4×12×10"])
    return replace(result, measured=measured, tuning=tuning)


# -- progress --------------------------------------------------------------------------------------


def run_steps(made: Console, quiet: bool = False) -> None:
    with progress(made, "net.onnx", quiet) as steps:
        steps.say("pass 2 of 6: fold-affine")
        steps.say("3.25× so far, a conv")
        steps.part(0.5)
    with rounds_bar(made, 50, quiet) as done:
        done(20)


def test_a_terminal_shows_what_is_being_done() -> None:
    text = shown(run_steps)
    last = [line for line in plain(text).splitlines() if "net.onnx" in line][-1]
    assert re.search(r"net.onnx: 3.25× so far, a conv\s+━+", last)
    assert "0:00:00" in last
    assert "20/50 rounds" in plain(text)
    assert "\x1b[2K" in text  # and takes it away again


@pytest.mark.parametrize("width", [40, 80, 120])
def test_progress_is_one_line_however_narrow(width: int) -> None:
    def long(made: Console) -> None:
        with progress(made, "a_model_with_a_long_name" * 3, quiet=False) as steps:
            steps.say("pass 4 of 6: " + "very long " * 20)
            steps.part(0.25)

    lines = plain(shown(long, width)).splitlines()
    assert all(len(line) <= width for line in lines)
    # However long the name is, what is being done is seen.
    assert any("…: pass 4 of" in line for line in lines) or width == 40


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "dumb", "FORCE_COLOR": "1"}])
def test_nothing_moves_on_a_dumb_terminal(environment: Mapping[str, str]) -> None:
    assert shown(run_steps, **environment) == ""


def test_nothing_moves_where_it_is_piped_or_quiet() -> None:
    assert shown(lambda made: run_steps(made, quiet=True)) == ""
    for environment in ({}, {"FORCE_COLOR": "1"}):
        pipe = io.StringIO()
        made = console(pipe, **environment)
        assert not is_watched(made)
        run_steps(made)
        assert pipe.getvalue() == ""


def test_a_real_terminal_is_told_and_cleared() -> None:
    """``convc cost`` under a pseudo-terminal: what moved is gone when the table is there."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "convc", "cost", str(ROOT / "models" / "sesr_m5_x2.onnx")]
    variables = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=child,
        env={**variables, "TERM": "xterm", "COLUMNS": "100"},
    ) as running:  # fmt: skip
        os.close(child)
        # Read while it runs: a terminal holds a few kilobytes, and a slow machine moves a lot.
        told = read_all(parent).decode()
        tables, _ = running.communicate(timeout=60)
    os.close(parent)
    assert running.returncode == 0
    assert "sesr_m5_x2.onnx: " in plain(told)
    assert told.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))
    assert b"\x1b" not in tables


def read_all(terminal: int) -> bytes:
    """All that is written to a terminal until its last writer has closed it."""
    parts: list[bytes] = []
    # Linux ends it with an error, others with nothing.
    with suppress(OSError):
        while part := os.read(terminal, 65536):
            parts.append(part)
    return b"".join(parts)


# -- the summary -----------------------------------------------------------------------------------


def test_the_first_line_says_it_all(result: Result, timed: Result) -> None:
    def first(found: Result) -> str:
        return plain(shown(lambda made: show_result(made, "net.onnx", found, ""))).splitlines()[0]

    assert first(timed) == "net.onnx: 3.25× as fast, equal"
    assert first(result) == "net.onnx: 2.89× fewer MACs, equal"
    assert first(replace(result, comparison=None)) == "net.onnx: 2.89× fewer MACs, not verified"
    same = replace(result, reports=(), comparison=Comparison())
    assert first(same) == "net.onnx: left as it was, identical"
    wrong = Comparison(Verdict.DIFFERENT, error=float("inf"), cases=["noise"])
    assert first(replace(result, comparison=wrong)).endswith(", different: not written")


def test_what_is_unverified_has_no_figures(result: Result) -> None:
    empty = Comparison(Verdict.UNVERIFIED, bit_identical=False, cases=["noise"])
    text = plain(
        shown(lambda made: show_result(made, "n", replace(result, comparison=empty), "")),
    )
    assert re.search(r"^  verdict +unverified$", text, re.MULTILINE)


def test_the_table_says_less_and_more(result: Result) -> None:
    def lines(found: Result) -> str:
        return plain(shown(lambda made: show_result(made, "net.onnx", found, "")))

    less = lines(result)
    assert re.search(r"MACs +37.4 k +13 k +2.89× less", less)
    more = lines(replace(result, before=result.after, after=result.before))
    assert "2.89× more" in more
    unchanged = lines(replace(result, after=result.before))
    assert "× less" not in unchanged
    assert "× more" not in unchanged


def test_latency_stands_first_and_its_interval_below(timed: Result) -> None:
    text = plain(shown(lambda made: show_result(made, "net.onnx", timed, "out.onnx")))
    rows = text.splitlines()
    assert re.search(r"latency +65.2 ms +20.1 ms +3.25× less", rows[4])
    clock = "clock       3.25× as fast (95 %: 3.00 to 3.50); 17 comparisons timed"
    assert f"  {clock}, 1" in text
    assert "  note        timed at x: 1×4×12×10" in text
    assert rows[-1] == "  written     out.onnx"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_long_words_hang_behind_their_label(timed: Result, width: int) -> None:
    tuning = Tuning(notes=["a note of many words that goes on and on " * 5])
    found = replace(timed, tuning=tuning)
    lines = plain(shown(lambda made: show_result(made, "net.onnx", found, "o"), width)).splitlines()
    assert all(len(line) <= width for line in lines)
    start = next(i for i, line in enumerate(lines) if line.startswith("  note"))
    assert re.match(rf" {{{LABEL}}}\w", lines[start + 1])


def test_a_pipe_gets_each_entry_in_one_line() -> None:
    pipe = io.StringIO()
    entry(console(pipe), "note", "word " * 100)
    assert pipe.getvalue().count("\n") == 1
    assert "\x1b" not in pipe.getvalue()


def test_a_path_is_never_broken(result: Result) -> None:
    path = "/tmp/" + "deep/" * 40 + "[bold]net.onnx"
    assert path in plain(shown(lambda made: show_result(made, "n", result, path)))


def test_names_from_a_model_are_not_obeyed(result: Result) -> None:
    hostile = "evil\x1b[2J\nname"
    text = shown(lambda made: show_result(made, hostile, result, ""), TERM="dumb")
    assert "\x1b[2J" not in text
    assert text.splitlines()[0].startswith(printable(hostile))


@pytest.mark.parametrize(
    ("environment", "colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_asked_for(
    timed: Result, environment: Mapping[str, str], colours: bool
) -> None:
    text = shown(lambda made: show_result(made, "net.onnx", timed, ""), **environment)
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", text)) is colours


def test_colour_in_a_pipe_where_it_is_forced(timed: Result) -> None:
    for environment, colours in (({}, False), ({"FORCE_COLOR": "1"}, True)):
        pipe = io.StringIO()
        show_result(console(pipe, **environment), "net.onnx", timed, "")
        assert ("\x1b[" in pipe.getvalue()) is colours


def test_timing_fits_eighty_columns(result: Result) -> None:
    lines = plain(shown(lambda made: show_timing(made, result.reports))).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(" choose(…)") for line in lines)


# -- several models --------------------------------------------------------------------------------


def document(name: str, macs: int, speed: float | None, verdict: str) -> dict[str, Any]:
    return {
        "input": f"some/where/{name}",
        "before": {"macs": 1000},
        "after": {"macs": macs},
        "speedup": speed,
        "verify": {"verdict": verdict},
    }


def test_the_closing_table_has_the_geometric_mean() -> None:
    failed = {"input": "bad.onnx", "error": "bad.onnx: not an ONNX model"}
    unchecked = document("c.onnx", 1000, 1.0, "equal") | {"verify": None}
    documents = [document("a.onnx", 250, 4.0, "equal"), unchecked, failed]
    lines = plain(shown(lambda made: show_closing(made, documents))).splitlines()
    rows = [line.split() for line in lines if line.strip()]
    assert rows[0] == ["all", "models"]
    assert rows[1] == ["speed", "MACs", "verdict"]
    assert ["a.onnx", "4.00×", "4.00×", "less", "equal"] in rows
    assert ["c.onnx", "1.00×", "not", "verified"] in rows
    assert ["bad.onnx", "–", "–", "failed"] in rows
    assert rows[-1] == ["geometric", "mean", "2.00×", "2.00×", "less"]


def test_speed_is_left_out_where_nothing_was_timed() -> None:
    documents = [document("a" * 90, 500, None, "equal"), document("b", 0, None, "unverified")]
    lines = plain(shown(lambda made: show_closing(made, documents))).splitlines()
    assert "speed" not in " ".join(lines)
    assert max(map(len, lines)) <= 80
    assert lines[-2].split() == ["geometric", "mean", "2.00×", "less"]


def test_a_mean_may_be_more() -> None:
    documents = [document("a", 2000, 2.0, "equal"), document("b", 1000, 1.5, "equal")]
    lines = plain(shown(lambda made: show_closing(made, documents))).splitlines()
    assert lines[-2].split() == ["geometric", "mean", "1.73×", "1.41×", "more"]


# -- streams that are not Unicode ------------------------------------------------------------------


def test_what_cannot_be_written_is_spelled_out() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    spell_out(stream)
    stream.write("3×3 ∘ 1×1 → Σ W², größe – 漢")
    stream.flush()
    assert raw.getvalue() == b"3x3 o 1x1 -> sigma W^2, gro\\xdfe - \\u6f22"


def test_unicode_streams_are_left_alone() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    spell_out(stream)
    assert stream.errors == "strict"


# -- the passes ------------------------------------------------------------------------------------


def test_paragraphs_are_filled_and_formulas_are_not() -> None:
    formula = "Before::\n\n    y = a_long_formula(x) + which_is_not_broken"
    text = f"{formula}\n\nSome words\nthat are\nfilled."
    assert reflowed(text, 20) == f"{formula}\n\nSome words that are\nfilled."
    table = "| a | b |\n| - | - |\n| 1 | 2 |"
    assert reflowed(table, 20) == table
