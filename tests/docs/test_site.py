"""The site: links lead somewhere, the navigation is whole, and nothing is loaded from elsewhere.

Links are looked at in the sources, which is fast. Where mkdocs is installed (the extra ``docs``),
the site is built as well, strictly, and looked at.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import ROOT

DOCS = ROOT / "docs"
SOURCES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "models" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]
FENCE = re.compile(r"^( *)(`{3,}).*?^ *\2 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\]\\]|\\.)*\]\(\s*<?([^)\s>]+)>?[^)]*\)")


def place(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def prose(page: Path) -> str:
    """The page without its code."""
    return re.sub(r"`+[^`\n]*`+", "", FENCE.sub("", page.read_text(encoding="utf-8")))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of the headings, as mkdocs names them, and those that the page sets itself."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found: Counter[str] = Counter()
    named = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in re.findall(r"^#{1,6} +(.+?)(?: +#+)?$", text, re.MULTILINE):
        own = re.search(r"\{ *#([\w-]+)[^}]*\}$", heading)
        name = own[1] if own else slug(heading)
        named.add(f"{name}_{found[name]}" if found[name] else name)
        found[name] += 1
    return frozenset(named)


def slug(heading: str) -> str:
    """The anchor of a heading, by the rule of Python-Markdown."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[`*]", "", text).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(prose(page)):
        parts = urlsplit(link)
        if parts.scheme:
            if parts.scheme not in ("http", "https", "mailto") or not (parts.netloc or parts.path):
                found.append(link)
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        is_page = target.suffix == ".md" and target.exists()
        if not target.exists() or (
            parts.fragment and is_page and not leads(target, parts.fragment)
        ):
            found.append(link)
    return found


def leads(page: Path, fragment: str) -> bool:
    return fragment in anchors(page)


@pytest.mark.parametrize("page", SOURCES, ids=place)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize(
    "text",
    [
        "[a](nowhere.md)", "[a](#no-such-heading)", "[a](other.md#nor-this)",
        "![p](missing.svg)", "[a](ftp://x)", "[a](http://)",
    ],
)  # fmt: skip
def test_a_broken_link_is_found(text: str, tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text("# Other: `code`, and *more*\n", encoding="utf-8")
    page.write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    assert len(broken(page)) == 1
    right = "[a](other.md#other-code-and-more) [b](#page) [c](https://example.org) `[d](e.md)`"
    page.write_text(f"# Page\n\n{right}\n\n```text\n[e](f.md)\n```\n", encoding="utf-8")
    prose.cache_clear()
    assert broken(page) == []


def test_pages_lead_to_pages_of_the_site_only() -> None:
    """The site holds docs/ and nothing else: a link out of it would break there."""
    for page in DOCS.rglob("*.md"):
        for link in LINK.findall(prose(page)):
            if not urlsplit(link).scheme and urlsplit(link).path:
                target = (page.parent / urlsplit(link).path).resolve()
                assert target.is_relative_to(DOCS), f"{place(page)}: {link}"


def test_the_navigation_has_every_page() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = config.partition("\nnav:\n")[2]
    named = re.findall(r"([\w/-]+\.md)$", nav, re.MULTILINE)
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [name for name in ("mkdocs", "material", "mkdocstrings") if find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed (pip install '.[docs]')")
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet: what it does not say it does not count.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_builds_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    loaded = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"(https?:)?//[^\"]+")
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert loaded.search(text) is None, page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\"?https?:|@import", sheet.read_text(encoding="utf-8"))
    assert (site / "search" / "search_index.json").stat().st_size > 10_000


def test_the_site_shows_docstrings_and_pictures(site: Path) -> None:
    api = (site / "python-api.html").read_text(encoding="utf-8")
    for name in ("optimize", "verify", "Graph.add", "Pass.propose", "Pipeline.parse"):
        assert f'id="convc.{name}"' in api
    page = (site / "passes" / "fuse-convs.html").read_text(encoding="utf-8")
    assert 'src="../pictures/fuse-convs-after.svg"' in page
    assert "::<" not in page  # reST's double colons are gone
    assert not list(site.rglob("*.py"))
