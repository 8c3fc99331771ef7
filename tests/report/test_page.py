"""The page as a text: what is on it, that it needs nothing else, and who is refused."""

from __future__ import annotations

import json
import re
from functools import partial
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.analysis import cost
from convc.api import optimize
from convc.errors import UsageError
from convc.report import write
from convc.report.headline import headline
from convc.report.side import boxes_of
from convc.report.write import Means, report_paths, write_compared, write_cost
from convc.runtime import Settings
from tests.cli_helpers import Capture, call, chain, refused, wrong_pass  # noqa: F401  # a fixture
from tests.conftest import ROOT
from tests.report.pages import HOSTILE, compared, hostile_graph
from tests.tiny import write as write_model

REPVGG = ROOT / "models" / "repvgg_block.onnx"
EXTRA = all(find_spec(name) for name in write.NEEDED)
needs_extra = pytest.mark.skipif(not EXTRA, reason="the extra report is not installed")


class Parsed(HTMLParser):
    """Elements with their attributes, the ids, and the text of each script."""

    VOID = frozenset({"meta", "br", "img", "input", "link", "hr", "use", "path", "line", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.told: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, _tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts.append(data)
        elif self._within != "style":
            self.told.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.told).split())

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not EXTRA:
        pytest.skip("the extra report is not installed")
    return compared(REPVGG, tmp_path_factory.mktemp("page") / "r.html").read_text("utf-8")


def test_it_refers_to_nothing_outside(page: str) -> None:
    found = Parsed(page)
    for tag, attributes in found.elements:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
    assert "link" not in {tag for tag, _ in found.elements}
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    policy = next(a["content"] for t, a in found.elements if a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    elements = Parsed(page).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    # Ids that the script makes.
    known = {*ids, "ops-0", "ops-1", "graph-0", "graph-1"}
    for _, attributes in elements:
        for name in ("aria-labelledby", "href"):
            for target in (attributes.get(name) or "").replace("#", "").split():
                assert target in known


def test_headings_tables_and_landmarks(page: str) -> None:
    found = Parsed(page)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("h1") == tags.count("main") == tags.count("header") == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in pairwise(levels))
    own = page[: page.index('id="layers-section"')]
    assert own.count("<table") == own.count("<caption")
    html = next(attributes for tag, attributes in found.elements if tag == "html")
    assert html == {"lang": "en"}


def test_what_a_person_reads_first(page: str) -> None:
    text = Parsed(page).text
    assert "1.11× fewer MACs 1.47 M → 1.33 M MACs, 8 → 2 ops; not timed" in text
    assert "✓ within-tolerance" in text
    assert "3 rewrites: BatchNormalization after Conv folded (2); 3×3 + 1×1 + scale → 3×3" in text
    assert "Largest error against float64" in text
    assert "No rewrite was proved by itself" in text


def test_rewrites_with_their_algebra(page: str) -> None:
    text = Parsed(page).text
    assert "merge-branches 3×3 + 1×1 + scale → 3×3 1 exact 147 k 336" in text
    assert "Conv dense , BatchNormalization" in text or "Conv dense, BatchNormalization" in text
    assert "(s·W)∗x + (s·b + t)" in text
    assert "no Conv, ConvTranspose, Gemm or MatMul is next to the BatchNormalization" in text
    assert "identity_norm" in text


def test_the_data_link_both_graphs(page: str) -> None:
    before, after = Parsed(page).data["sides"]
    fused = next(op for op in after["ops"] if op["n"] == "total")
    assert [before["ops"][i]["n"] for i in fused["src"]] == [
        "dense", "dense_norm", "point", "point_norm", "identity_norm", "branches", "total",
    ]  # fmt: skip
    position = after["ops"].index(fused)
    assert all(before["ops"][i]["to"] == [position] for i in fused["src"])
    assert [before["ops"][i]["ch"] for i in fused["src"]][:3] == [[0, 2], [0, 2], [1, 2]]
    assert fused["ch"] == [0, 1, 2]
    assert fused["m"] == 1327104
    assert fused["a"]["kernel_shape"] == "3, 3"


@needs_extra
def test_proofs_are_shown(tmp_path: Path) -> None:
    result = optimize(REPVGG, objective="macs", proof=True, history=True)
    write_compared(tmp_path / "r.html", "m", result, Means(Settings()))
    text = Parsed((tmp_path / "r.html").read_text("utf-8")).text
    assert "Each rewrite was proved by itself in float64" in text
    assert re.search(r"exact \d\.\de-1\d 147 k", text)
    assert "Digest of the proof" in text


@needs_extra
def test_hostile_names_are_text(tmp_path: Path) -> None:
    result = optimize(hostile_graph(), "fold-affine", objective="macs", verify="off", history=True)
    write_compared(tmp_path / "h.html", HOSTILE[1], result, Means(Settings()))
    page = (tmp_path / "h.html").read_text("utf-8")
    found = Parsed(page)
    assert "img" not in {tag for tag, _ in found.elements}
    assert not any(name.startswith("on") for _, a in found.elements for name in a)
    assert len(re.findall("</script", page)) == 2
    assert len(found.scripts) == 2
    told = {op["n"] for op in found.data["sides"][0]["ops"]}
    assert {HOSTILE[0], HOSTILE[1], HOSTILE[2]} <= told
    for line in ("7*7", "49"):
        assert (line in found.text) is (line == "7*7")


def test_numbers_that_json_lacks() -> None:
    from convc.report.page import script_json

    told = script_json({"a": [np.inf.real, float("nan"), 1.23456789], "b": "</script>&"})
    assert json.loads(told) == {"a": [None, None, 1.235], "b": "</script>&"}
    assert not set("<>&") & set(told)


@needs_extra
def test_parts_without_data_say_why(page: str, tmp_path: Path) -> None:
    text = Parsed(page).text
    assert "Left out: no error was allowed (--max-error)." in text
    assert "Left out: the clock was not asked" in text
    write_cost(tmp_path / "c.html", "m", cost(REPVGG))
    alone = Parsed((tmp_path / "c.html").read_text("utf-8"))
    assert "Left out: the machine was not measured" in alone.text
    assert len(alone.data["sides"]) == 1
    assert "What was rewritten" not in alone.text


@needs_extra
def test_nothing_rewritten(tmp_path: Path) -> None:
    page = compared(ROOT / "models" / "patchify.onnx", tmp_path / "r.html").read_text("utf-8")
    text = Parsed(page).text
    assert "No fewer MACs" in text
    assert text.count("Nothing was rewritten.") == 2


def test_one_op_is_told_as_one() -> None:
    model = ROOT / "models" / "conv_norm_relu.onnx"
    result = optimize(model, objective="macs", verify="off")
    assert headline(result, []).gain == "1 op fewer"


@needs_extra
def test_a_name_of_surrogates_or_control_characters(tmp_path: Path) -> None:
    graph = hostile_graph()
    graph.ops()[-2].name = "a\x00b\x1b[31m\ud800"
    result = optimize(graph, "simplify", objective="macs", verify="off", history=True)
    write_compared(tmp_path / "r.html", "m", result, Means(Settings()))
    names = {
        op["n"] for op in Parsed((tmp_path / "r.html").read_text("utf-8")).data["sides"][0]["ops"]
    }
    assert any(name.startswith("a\x00b\x1b[31m") for name in names)


# -- the command line ------------------------------------------------------------------------


@needs_extra
def test_optimize_writes_the_page(tmp_path: Path, capsys: Capture) -> None:
    page, made = tmp_path / "r.html", tmp_path / "m.onnx"
    assert call("optimize", REPVGG, "-o", made, "--report", page, "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(page)
    assert Parsed(page.read_text("utf-8")).data["sides"][1]["ops"]
    assert made.is_file()


@needs_extra
def test_a_dry_run_writes_the_page_alone(tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    assert call("optimize", REPVGG, "--dry-run", "--report", page, "--quiet") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


@needs_extra
def test_several_models_have_a_folder_of_pages(tmp_path: Path, capsys: Capture) -> None:
    other = ROOT / "models" / "conv_affine.onnx"
    pages = tmp_path / "pages"
    given = ("optimize", REPVGG, other, "-o", tmp_path / "out", "--quiet", "--report")
    assert call(*given, pages) == 0
    assert sorted(p.name for p in pages.iterdir()) == ["conv_affine.html", "repvgg_block.html"]
    capsys.readouterr()
    (tmp_path / "file").write_text("")
    refused(capsys, *given, tmp_path / "file", says="several models need a folder")


@needs_extra
def test_cost_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    assert call("cost", REPVGG, "--report", page, "--quiet") == 0
    assert "1.47 M MACs" in Parsed(page.read_text("utf-8")).text


@needs_extra
@pytest.mark.parametrize("command", ["optimize", "cost"])
def test_wrong_paths_are_told_before_the_work(
    command: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr("convc.commands.optimize.optimize", work)
    monkeypatch.setattr("convc.commands.cost.cost", work)
    model = tmp_path / "m.onnx"
    model.write_bytes(REPVGG.read_bytes())
    for given, says in (
        (tmp_path, "is a folder"),
        (f"{tmp_path}/none/", "names a folder"),
        (tmp_path / "none" / "r.html", "does not exist"),
        ("", "is empty"),
    ):
        refused(capsys, command, model, "--report", given, says=says)
    monkeypatch.setattr(write, "find_spec", lambda name: None if name == "igraph" else name)
    line = refused(capsys, command, model, "--report", tmp_path / "r.html", says="igraph")
    assert line.endswith("pip install 'convc[report]'")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@needs_extra
def test_the_page_replaces_no_model(tmp_path: Path, capsys: Capture) -> None:
    model, made = tmp_path / "m.onnx", tmp_path / "n.onnx"
    model.write_bytes(REPVGG.read_bytes())
    for path in (model, made):
        refused(capsys, "optimize", model, "-o", made, "--report", path, says="is the model")
    refused(capsys, "cost", model, "--report", model, says="is the model")
    assert model.read_bytes() == REPVGG.read_bytes()


@needs_extra
def test_nothing_is_run_that_was_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise AssertionError("a model was run")

    monkeypatch.setattr("convc.runtime.Session.__init__", run)
    page = tmp_path / "r.html"
    assert call("optimize", REPVGG, "--dry-run", "--verify", "off", "--report", page) == 0
    assert "the models were not run (--verify off)" in Parsed(page.read_text("utf-8")).text


@needs_extra
def test_two_models_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"two of the models would have .*m\.html"):
        report_paths(str(tmp_path), [Path("a/m.onnx"), Path("b/m.onnx")], several=True)


@needs_extra
def test_the_page_appears_whole_or_not_at_all(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "r.html"
    page.write_text("old")

    def fail(*_: object) -> str:
        raise UsageError("no page")

    monkeypatch.setattr("convc.report.page.cost_page", fail)
    refused(capsys, "cost", REPVGG, "--report", page, "--quiet", says="no page")
    assert page.read_text() == "old"


@needs_extra
@pytest.mark.usefixtures("wrong_pass")
def test_what_differs_is_not_written_but_reported(tmp_path: Path, capsys: Capture) -> None:
    page, source = tmp_path / "r.html", write_model(tmp_path / "model.onnx", chain())
    assert call("optimize", source, "--passes", "flip", "--report", page, "--quiet") == 1
    assert "not written" in capsys.readouterr().err
    text = Parsed(page.read_text("utf-8")).text
    assert "✗ different" in text
    assert "At fault: flip." in text


@needs_extra
def test_large_graphs_are_drawn_in_boxes_of_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convc.report.side.boxes_of", partial(boxes_of, most=3))
    page = compared(ROOT / "models" / "redundant_ops.onnx", tmp_path / "r.html").read_text("utf-8")
    side = Parsed(page).data["sides"][0]
    members = [box[2:] for box in side["boxes"]]
    assert [i for box in members for i in box] == list(range(len(side["ops"])))
    assert len(members) < len(side["ops"])
    assert side["grouped"] == max(map(len, members))
    for i, op in enumerate(side["ops"]):
        assert not op.get("io") or [i] in members
    assert all(start < end for start, end, *_ in side["edges"])


@needs_extra
def test_errors_have_a_page_each(tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "r.html"
    model = ROOT / "models" / "low_rank_channels.onnx"
    given = ("optimize", model, "-o", tmp_path / "m.onnx", "--max-error", "0.5", "--pareto")
    assert call(*given, "--budget", "30", "--quiet", "--json", "--report", page) == 0
    documents = json.loads(capsys.readouterr().out)["pareto"]
    pages = sorted(path.name for path in tmp_path.glob("*.html"))
    assert len(pages) > 1
    assert all(re.fullmatch(r"r\.[\d.]+%\.html", name) for name in pages)
    assert sorted(Path(document["report"]).name for document in documents) == pages
    approximated = [d for d in documents if d["approximation"]["forms"]]
    assert approximated
    for document in approximated:
        text = Parsed(Path(document["report"]).read_text("utf-8")).text
        assert "Left out: no error was allowed" not in text
        for form in document["approximation"]["forms"]:
            assert re.search(rf"{re.escape(form['form'])}[^()]* \d approximate", text)
