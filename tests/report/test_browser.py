"""The page in a real browser: what is drawn, what a click and a key do, and that it is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convc.analysis import cost
from convc.api import optimize
from convc.model_files import load
from convc.report.write import Means, write_compared, write_cost
from convc.runtime import Settings
from tests.conftest import ROOT
from tests.report.browser import chromium, logged, open_page, prefer, requested, resize
from tests.report.pages import HOSTILE, compared, hostile_graph

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

REPVGG = ROOT / "models" / "repvgg_block.onnx"
SOURCES = ["dense", "dense_norm", "point", "point_norm", "identity_norm", "branches", "total"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("igraph", reason="the extra report is not installed")
    path = tmp_path_factory.mktemp("report") / "repvgg.html"
    return compared(REPVGG, path)


@pytest.fixture
def opened(browser: Chrome, page: Path) -> Chrome:
    resize(browser, 1280, 900)
    # What moves cannot be clicked.
    prefer(browser, prefers_reduced_motion="reduce")
    logged(browser)
    open_page(browser, page)
    return browser


def names(driver: Chrome, selector: str) -> list[str]:
    """What is written as the names of boxes."""
    script = (
        "return [...document.querySelectorAll(arguments[0] + ' .name')].map(e => e.textContent)"
    )
    return list(driver.execute_script(script, selector))


def box(driver: Chrome, side: int, name: str) -> Any:
    """The box of an op."""
    script = """return [...document.querySelectorAll(`.graph[data-side="${arguments[0]}"] .box`)]
        .find(box => box.querySelector('.name').textContent === arguments[1])"""
    return driver.execute_script(script, side, name)


def test_both_graphs_are_drawn(opened: Chrome) -> None:
    assert names(opened, '[data-side="0"] .box') == ["input", *SOURCES, "relu", "output"]
    assert names(opened, '[data-side="1"] .box') == ["input", "total", "relu", "output"]
    sizes = opened.execute_script(
        "return [...document.querySelectorAll('.graph .box .body')]"
        ".map(e => e.getBoundingClientRect()).map(r => [r.width, r.height])"
    )
    assert all(width > 40 and height > 15 for width, height in sizes)
    edges = opened.execute_script("return document.querySelectorAll('.edge').length")
    assert edges == 11 + 3


def test_the_page_is_quiet_and_asks_for_nothing(opened: Chrome, page: Path) -> None:
    assert requested(opened) == [page.as_uri()]
    assert logged(opened) == []


def test_a_click_on_a_fused_conv_shows_its_sources(opened: Chrome) -> None:
    from selenium.webdriver import ActionChains

    opened.execute_script("document.getElementById('graph').scrollIntoView()")
    ActionChains(opened).move_to_element(box(opened, 1, "total")).click().perform()
    assert names(opened, '[data-side="0"] .box.linked') == SOURCES
    assert names(opened, '[data-side="1"] .box.chosen') == ["total"]
    details = opened.find_element("id", "details").text
    for told in ("After: Conv total", "kernel_shape", "fold-affine", "merge-branches", "3, 3"):
        assert told in details
    # And the reverse.
    ActionChains(opened).move_to_element(box(opened, 0, "point_norm")).click().perform()
    assert names(opened, '[data-side="1"] .box.linked') == ["total"]
    assert "Before: BatchNormalization point_norm" in opened.find_element("id", "details").text
    assert logged(opened) == []


def test_the_keyboard_does_the_same(opened: Chrome) -> None:
    from selenium.webdriver import ActionChains, Keys

    def keys(*pressed: str) -> None:
        for key in pressed:
            ActionChains(opened).send_keys(key).perform()

    def focused() -> str:
        return str(
            opened.execute_script("return document.activeElement.getAttribute('aria-label')")
        )

    for _ in range(60):
        keys(Keys.TAB)
        if focused().startswith("Input input"):
            break
    keys(Keys.ARROW_DOWN)
    assert focused().startswith("Conv dense ")
    assert "became 1 op" in focused()
    keys(Keys.ARROW_RIGHT)
    assert focused().startswith("Conv point ")
    keys(Keys.ENTER)
    assert names(opened, '[data-side="1"] .box.linked') == ["total"]
    assert opened.find_element("id", "live").get_attribute("textContent") == (
        "Conv point chosen, became 1 op. Its details"
    )
    keys(Keys.ESCAPE)
    assert names(opened, ".box.linked") == []
    before = opened.execute_script(
        "return document.querySelector('.canvas g').getAttribute('transform')"
    )
    keys("+")
    keys(Keys.SHIFT + Keys.ARROW_LEFT)
    after = opened.execute_script(
        "return document.querySelector('.canvas g').getAttribute('transform')"
    )
    assert before != after


def test_one_stop_of_the_tab_key_for_each_graph(opened: Chrome) -> None:
    script = """return [...document.querySelectorAll('.canvas')]
        .map(canvas => canvas.querySelectorAll('[tabindex="0"]').length)"""
    assert opened.execute_script(script) == [1, 1]


def test_the_switch_colours_by_another_measure(opened: Chrome) -> None:
    def shown() -> list[list[str]]:
        script = """return [...document.querySelectorAll('.graph[data-side="0"] .box')]
            .map(b => [b.getAttribute('class').match(/heat-\\w+/)[0],
                       b.querySelector('.value').textContent])"""
        return list(opened.execute_script(script))

    macs = dict(zip(names(opened, '[data-side="0"] .box'), shown(), strict=True))
    assert macs["dense"] == ["heat-5", "1.33 M MACs"]
    assert macs["dense_norm"] == ["heat-0", "0 MACs"]
    assert macs["input"] == ["heat-none", "1×16×24×24"]
    choices = opened.find_elements("css selector", "#colour input")
    assert [choice.get_attribute("value") for choice in choices] == ["m", "q"]
    choices[1].click()
    density = dict(zip(names(opened, '[data-side="0"] .box'), shown(), strict=True))
    assert density["dense"][1] == "31.9 per byte"
    assert density["dense_norm"] == ["heat-5", "0.249 per byte"]


def test_zooming_by_wheel_does_not_catch_the_page(opened: Chrome) -> None:
    wheel = """const canvas = document.querySelector('.canvas');
        const event = new WheelEvent('wheel', {deltaY: -300, cancelable: true, bubbles: true});
        canvas.dispatchEvent(event); return event.defaultPrevented"""
    assert opened.execute_script(wheel) is False
    opened.execute_script("document.querySelector('.box[tabindex=\"0\"]').focus()")
    assert opened.execute_script(wheel) is True


def test_the_tables_hold_all_ops(opened: Chrome) -> None:
    opened.execute_script(
        "for (const d of document.querySelectorAll('#tables details')) d.open = true"
    )
    opened.execute_async_script("setTimeout(arguments[0], 100)")
    rows = opened.execute_script(
        "return [...document.querySelectorAll('#ops-0 tbody tr')].map(r => r.innerText)"
    )
    assert len(rows) == 10
    assert any("BatchNormalization point_norm" in row and "Conv total" in row for row in rows)
    opened.find_elements("css selector", "#ops-1 tbody button")[1].click()
    assert names(opened, '[data-side="0"] .box.linked') == SOURCES


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_to_the_side(opened: Chrome, page: Path, scheme: str) -> None:
    resize(opened, 360, 740)
    prefer(opened, prefers_color_scheme=scheme)
    open_page(opened, page)
    opened.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    opened.execute_async_script("setTimeout(arguments[0], 100)")
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 360
    ground = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 27)")
    assert logged(opened) == []


def test_printing_opens_all_and_closes_it_again(opened: Chrome) -> None:
    folded = "return [...document.querySelectorAll('details')].filter(d => !d.open).length"
    assert opened.execute_script(folded) > 0
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert opened.execute_script(folded) == 0
    assert (
        opened.execute_script("return document.querySelector('.canvas svg').viewBox.baseVal.width")
        > 0
    )
    opened.execute_script("dispatchEvent(new Event('afterprint'))")
    assert opened.execute_script(folded) > 0


def test_hostile_names_stay_names(browser: Chrome, tmp_path: Path) -> None:
    pytest.importorskip("igraph", reason="the extra report is not installed")
    result = optimize(hostile_graph(), "fold-affine", objective="macs", verify="off", history=True)
    path = tmp_path / "hostile.html"
    write_compared(path, HOSTILE[1], result, Means(Settings()))
    logged(browser)
    open_page(browser, path)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    browser.execute_script("document.querySelector('button.show').click()")
    assert browser.execute_script("return window.wrong") is None
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert HOSTILE[0] in browser.find_element("id", "details").text
    assert logged(browser) == []


def test_what_nobody_uses_is_told_as_dropped(browser: Chrome, tmp_path: Path) -> None:
    pytest.importorskip("igraph", reason="the extra report is not installed")
    graph = load(ROOT / "models" / "conv_norm_relu.onnx")
    (relu,) = [op for op in graph.ops() if op.kind == "Relu"]
    graph.add("Neg", (relu.result,), types=(relu.result.type,), names=("unused",))
    result = optimize(graph, "simplify", objective="macs", verify="off", history=True)
    path = tmp_path / "dead.html"
    write_compared(path, "m", result, Means(Settings(), run=False))
    open_page(browser, path)
    label = box(browser, 0, "unused").get_attribute("aria-label")
    assert label.endswith(", dropped: nobody used it")
    assert box(browser, 0, "relu").get_attribute("aria-label").endswith(", unchanged")


def test_the_page_of_one_model(browser: Chrome, tmp_path: Path) -> None:
    pytest.importorskip("igraph", reason="the extra report is not installed")
    path = tmp_path / "cost.html"
    write_cost(path, REPVGG.name, cost(REPVGG))
    logged(browser)
    open_page(browser, path)
    assert len(browser.find_elements("css selector", ".canvas")) == 1
    browser.execute_script(
        "document.querySelectorAll('.box')[1].dispatchEvent(new Event('click', {bubbles: true}))"
    )
    assert logged(browser) == []
