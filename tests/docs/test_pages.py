"""The pages of docs/: their blocks run, and what they say of passes and names is complete."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import convc
import convc.algebra
import passes
from convc.options import describe
from convc.pipeline import find_pass
from convc.report.write import NEEDED
from docs import make_pictures
from tests.conftest import ROOT
from tests.docs.blocks import check

DOCS = ROOT / "docs"
ELSEWHERE = {"exercises.md", "proof.md", "trust.md"}
"""Pages that tests of their own run, or whose commands take minutes."""
PAGES = sorted(
    page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).as_posix() not in ELSEWHERE
)
PASS_PAGES = sorted(page for page in (DOCS / "passes").glob("*.md") if page.stem != "index")


def place(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def own_passes() -> dict[str, str]:
    """Name in a pipeline → class, of convc's own passes."""
    return {getattr(passes, name).name: name for name in passes.__all__}


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_its_blocks_run(page: Path, tmp_path: Path) -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if place(page) == "report.md" and missing:
        pytest.skip(f"the extra report is not installed: no {missing[0]}")
    check(page, tmp_path)


def test_every_pass_has_a_page() -> None:
    assert {page.stem for page in PASS_PAGES} == set(own_passes())
    index = (DOCS / "passes" / "index.md").read_text(encoding="utf-8")
    for name, class_name in own_passes().items():
        page = (DOCS / "passes" / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {name}\n")
        assert f"\n::: passes.{class_name}\n" in page
        assert f"[`{name}`]({name}.md)" in index


def section(page: Path, title: str) -> str:
    text = page.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("page", PASS_PAGES, ids=place)
def test_the_options_are_all_told_with_their_defaults(page: Path) -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \|", section(page, "Options"), re.MULTILINE)
    known = {name: default for name, (_, default) in describe(find_pass(page.stem)).items()}
    told = {name: known[name] if text == "all of them" else text.strip("`") for name, text in rows}
    assert told == known


@cache
def said() -> list[tuple[str, re.Pattern[str]]]:
    """What rules and algebra may say: its constant text, and all of it with gaps for values."""
    found: list[tuple[str, re.Pattern[str]]] = []
    algebra = (ROOT / "convc" / "algebra").rglob("*.py")
    for path in [*(ROOT / "passes").rglob("*.py"), *algebra, ROOT / "convc" / "rewrite.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            parts = [] if node in docstrings else list(pieces(node))
            constant = "".join(part for part in parts if part is not None)
            if len(constant) > 5:
                text = "".join(".*" if part is None else re.escape(part) for part in parts)
                found.append((constant, re.compile(text)))
    return found


def pieces(node: ast.AST) -> Iterator[str | None]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield part.value if isinstance(part, ast.Constant) else None  # type: ignore[misc]


def is_said(reason: str) -> bool:
    """Whether code says a reason, or each of its parts; a ``...`` stands for what varies."""
    reason = reason.strip()
    if is_said_at_once(reason):
        return True
    splits = (reason.partition(mark) for mark in ("...", ": ", "; "))
    return any(
        all(is_said(part) for part in (before, after) if part.strip(" ()"))
        for before, mark, after in splits
        if mark and (before + after).strip()
    )


def is_said_at_once(part: str) -> bool:
    return len(part) > 3 and any(
        len(constant) >= len(part) / 2 and (pattern.fullmatch(part) or part in constant)
        for constant, pattern in said()
    )


@pytest.mark.parametrize("page", PASS_PAGES, ids=place)
def test_the_reasons_are_those_that_the_rules_give(page: Path) -> None:
    told = section(page, "When it declines")
    if told.strip() == "Never.":
        return
    cells = re.findall(r"^\| (`.+?) \|", told, re.MULTILINE)
    reasons = [reason for cell in cells for reason in re.findall(r"`([^`]+)`", cell)]
    assert len(reasons) > 0
    for reason in reasons:
        assert is_said(reason), reason


@pytest.mark.parametrize(
    "wrong", ["the conv is dilatted", "the kernel is inseparable", "border: no ring at all", "..."]
)
def test_a_reason_that_no_rule_gives_is_found(wrong: str) -> None:
    assert not is_said(wrong)


@pytest.mark.parametrize("name", make_pictures.SAMPLES)
def test_the_pictures_are_what_the_pass_does(name: str) -> None:
    """Where this fails and the new pictures are right: python docs/make_pictures.py."""
    for file, (_, content) in make_pictures.pictures(name).items():
        assert (make_pictures.PICTURES / file).read_text(encoding="utf-8") == content, file
    page = (DOCS / "passes" / f"{name}.md").read_text(encoding="utf-8")
    assert make_pictures.shown(name) in page
    model, pipeline = make_pictures.SAMPLES[name]
    assert f"*Drawn from `models/{model}.onnx`, pipeline `{pipeline}`" in page


def test_no_picture_is_left_over() -> None:
    names = {file for name in make_pictures.SAMPLES for file in make_pictures.pictures(name)}
    assert {path.name for path in make_pictures.PICTURES.iterdir()} == names


def documented(page: str) -> set[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("package", "page"), [(convc, "python-api.md"), (convc.algebra, "python-algebra.md")]
)
def test_every_public_name_is_documented(package: Any, page: str) -> None:
    # A function that is named as its module has to be told by both names.
    aliases = {"convc.algebra.compose": "convc.algebra.compose.compose"}
    names = {f"{package.__name__}.{name}" for name in package.__all__}
    missing = {aliases.get(name, name) for name in names} - documented(page)
    assert not missing


def test_what_is_documented_exists() -> None:
    import importlib

    for name in documented("python-api.md") | documented("python-algebra.md"):
        module, _, attribute = name.rpartition(".")
        while True:
            try:
                home = importlib.import_module(module)
                break
            except ModuleNotFoundError:
                module, _, attribute = module.rpartition(".")
        assert hasattr(home, attribute), name


@pytest.mark.parametrize("package", [convc, convc.algebra, passes])
def test_every_public_name_has_a_docstring(package: Any) -> None:
    for name in package.__all__:
        thing = getattr(package, name)
        assert isinstance(thing, str) or len(thing.__doc__ or "") > 20, name
