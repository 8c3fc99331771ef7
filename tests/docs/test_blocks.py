"""The runner of documented blocks: it fails where a page is wrong, and passes where it is right."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.docs.blocks import PageError, check, failures, main, matches, parse, updated


def fenced(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```", ""])


def page(folder: Path, *parts: str) -> Path:
    path = folder / "page.md"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


RIGHT = [
    (fenced("python", "print(6 * 7)"), fenced("text", "42")),
    (fenced("python", "print(6 * 7)"), "", fenced("text", "42   ", "")),
    (fenced("python", "print('a\\nb\\nc')"), fenced("text", "a", "...", "c")),
    (fenced("python", "print('a\\nc')"), fenced("text", "a", "...", "c")),
    (fenced("python", "print('0.123 ms (x)')"), fenced("text", "0.... ms (x)")),
    (fenced("python", "x = 1"), fenced("text")),
    (fenced("python", "print('  b\\n  c')"), fenced("text", "  b", "  c")),
    (fenced("sh", "echo out; echo err >&2; echo out"), fenced("text", "out", "err", "out")),
    (fenced("sh", "convc --version"), fenced("text", "convc ...")),
    (fenced("sh", "ls models/*.py"), fenced("text", "...", "models/build.py", "...")),
    (
        fenced("python", "n = 2"),
        fenced("sh", "echo 3 > n"),
        fenced("python", "print(n, open('n').read())"),
        fenced("text", "2 3"),
    ),
    (fenced("python", "print(1)"), "Some words.", fenced("text", "a drawing")),
    (fenced("json", "{"), fenced("", "no language"), fenced("text", "a drawing")),
    ("<!-- not run: takes a minute -->", fenced("sh", "exit 1"), fenced("text", "its output")),
    ("- list", "", "  ```python", "  print('in it')", "  ```", "", "  ```text", "  in it", "  ```"),
    ("````md", fenced("python", "1 / 0"), "````"),
    (
        fenced('python title="a.py"', "from dataclasses import dataclass as d"),
        fenced("python", "@d", "class A:", "    x: int", "print(A(1))"),
        fenced("text", "A(x=1)"),
    ),
]


@pytest.mark.parametrize("parts", RIGHT)
def test_right_pages_pass(parts: tuple[str, ...], tmp_path: Path, scratch: Path) -> None:
    check(page(tmp_path, *parts), scratch)


WRONG = [
    ((fenced("python", "print(6 * 7)"), fenced("text", "43")), 5, "  43\ngot:\n  42"),
    ((fenced("python", "print('a')"), fenced("text")), 5, "expected:\ngot:\n  a"),
    ((fenced("python", "print('a\\nb')"), fenced("text", "a")), 5, "got:\n  a\n  b"),
    ((fenced("python", "print('a')"), fenced("text", "a", "...", "b")), 5, "got:\n  a"),
    ((fenced("python", "print('ab\\ncd')"), fenced("text", "a...d")), 5, "got:\n  ab\n  cd"),
    ((fenced("python", "print('a\\nb')"), fenced("text", "a", "...", "a", "b")), 5, "got:\n  a"),
    (("words", fenced("python", "print(1)", "1 / 0")), 2, 'File "page.md", line 4'),
    ((fenced("python", "raise SystemExit(2)"),), 1, "SystemExit: 2"),
    ((fenced("python", "if"),), 1, "SyntaxError"),
    ((fenced("python", "print('  a')"), fenced("text", "a")), 5, "expected:\n  a\ngot:\n    a"),
    ((fenced("sh", "echo before; false; echo after"),), 1, "exit code 1\nprinted:\n  before"),
    ((fenced("sh", "false | true"),), 1, "exit code 1"),
    ((fenced("sh", "echo $unset"),), 1, "exit code"),
    ((fenced("sh", "convc optimize nothing.onnx"),), 1, "exit code 2"),
]


@pytest.mark.parametrize(("parts", "line", "says"), WRONG)
def test_wrong_pages_fail(
    parts: tuple[str, ...], line: int, says: str, tmp_path: Path, scratch: Path
) -> None:
    with pytest.raises(pytest.fail.Exception) as caught:
        check(page(tmp_path, *parts), scratch)
    assert str(caught.value).startswith(f"page.md:{line}: ")
    assert says in str(caught.value)


UNREADABLE = [
    (fenced("python", "print(1)")[:-4], "page:1: the block is not closed"),
    (fenced("bash", "echo 1"), "page:1: bash is written sh"),
    ("<!-- not run: slow -->\nwords\n" + fenced("sh", "false"), "page:2: a block should follow"),
    ("<!-- not run: slow -->\n", "page: a block should follow"),
]


@pytest.mark.parametrize(("text", "says"), UNREADABLE)
def test_unreadable_pages_are_refused(text: str, says: str) -> None:
    with pytest.raises(PageError, match=says):
        parse(text)


def test_every_wrong_output_is_told_and_none_after_a_failure(scratch: Path) -> None:
    block = fenced("python", "print(1)") + fenced("text", "2")
    text = block + block + fenced("python", "1 / 0") + block
    assert [failure.line for failure in failures(text, "page", scratch)] == [4, 10, 13]


def test_a_page_leaves_nothing_behind(tmp_path: Path, scratch: Path) -> None:
    before = Path.cwd(), sys.modules["__main__"], list(sys.path), dict(os.environ)
    precision = np.get_printoptions()["precision"]
    lines = ("import sys, numpy", "sys.path.append('x')", "numpy.set_printoptions(precision=2)")
    check(page(tmp_path, fenced("python", *lines), fenced("sh", "touch models/new")), scratch)
    assert (Path.cwd(), sys.modules["__main__"], list(sys.path), dict(os.environ)) == before
    assert np.get_printoptions()["precision"] == precision
    assert (scratch / "models" / "new").exists()
    assert not Path("models/new").exists()


def test_update_writes_what_was_printed(tmp_path: Path, scratch: Path) -> None:
    kept = fenced("python", "print('12 ms')") + fenced("text", "... ms")
    old = "# Title\n" + kept + fenced("python", "print('a\\nb')") + fenced("text", "c") + "End.\n"
    new = old.replace("c\n```\nEnd", "a\nb\n```\nEnd")
    assert updated(old, list(failures(old, "page", scratch))) == new
    path = page(tmp_path, old)
    assert main([str(path)]) == 1
    assert path.read_text() == old
    assert main(["--update", str(path)]) == 0
    assert path.read_text() == new
    assert main([str(path)]) == 0


def test_an_update_keeps_the_indentation(scratch: Path) -> None:
    text = "  ```python\n  print('a\\n\\n b')\n  ```\n  ```text\n  ```\n"
    made = updated(text, list(failures(text, "page", scratch)))
    assert made == "  ```python\n  print('a\\n\\n b')\n  ```\n  ```text\n  a\n\n   b\n  ```\n"


def test_many_dots_take_no_time() -> None:
    assert not matches("...\na\n" * 12 + "b", "a\n" * 200)
    assert matches("...\na\n" * 12 + "...", "a\n" * 200)
