"""The report's table of layers: what it shows, and how it is heard."""

from __future__ import annotations

from convc.report import figures
from convc.report.measures import Amount, Layer, Load
from tests.report.figure_helpers import NASTY, layer, parsed, texts


def test_bars_are_as_long_as_what_they_show() -> None:
    html = figures.layer_bars([layer("Conv a", 4e6, 1e6), layer("Conv b", 1e6, None)])
    rows = list(parsed(html).iter("tr"))[1:]
    widths = [[e.get("style") or e.get("class") for e in row.iter("i")] for row in rows]
    assert widths[0] == ["width:100.00%", "width:25.00%"] * 2
    assert widths[1] == ["width:25.00%", "none"] * 2
    assert "4 M" in "".join(rows[0].itertext())
    assert "–" in "".join(rows[1].itertext())


def test_a_table_is_one_for_those_who_hear_it() -> None:
    root = parsed(figures.layer_bars([layer("Conv a", 4e6, 1e6)]))
    assert [e.text for e in root.iter("th") if e.get("scope") == "col"] == [
        "layer",
        "MACs",
        "bytes moved",
    ]
    assert [e.text for e in root.iter("th") if e.get("scope") == "row"] == ["Conv a"]
    caption = root.findtext(".//caption") or ""
    assert "In all MACs: 4 M before, 1 M after." in caption
    cell = "".join(next(root.iter("td")).itertext())
    assert cell == "before 4 Mafter 1 M"
    region = root.find(".//*[@role='region']")
    assert region is not None
    assert region.get("tabindex") == "0"


def test_a_long_tail_is_one_row() -> None:
    rows = [layer(f"Conv {i}", 1e3, 2e3) for i in range(1000)]
    html = figures.layer_bars(rows, top=5)
    last = list(parsed(html).iter("tr"))[-1]
    assert len(list(parsed(html).iter("tr"))) == 7
    assert "995 more" in "".join(last.itertext())
    assert "995 k" in "".join(last.itertext())
    assert not list(last.iter("i"))


def test_what_is_not_known_is_no_zero() -> None:
    some = Load(Amount(5, 1, 2), Amount(0, 2, 2), Amount(0, 2, 2))
    html = figures.layer_bars([Layer(NASTY, some, some)], compared=False)
    cell = "".join(next(parsed(html).iter("td")).itertext())
    assert cell == "≥ 5"
    assert NASTY in texts(html)
    assert "after" not in texts(html)
    # Of what nobody knows there is no column.
    assert len(list(parsed(html).iter("td"))) == 1
    half = Load(Amount(5, 0, 2), Amount(0, 2, 2))
    unknown = figures.layer_bars([Layer("a", half, Load(Amount(5, 0, 1), Amount(3, 0, 1)))])
    assert "before  ?" in texts(unknown)


def test_no_layers_are_a_line() -> None:
    assert "<table" not in figures.layer_bars([])


def test_zeros_have_no_bars() -> None:
    html = figures.layer_bars([layer("Relu r", 0, 0)])
    assert [e.get("class") for e in parsed(html).iter("i") if e.get("class") != "after"][1:] == [
        "none"
    ] * 4
