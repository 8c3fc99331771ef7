"""A real browser without a window, for the tests of the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def missing() -> str:
    """Why there is no browser; "" where there is one."""
    if find_spec("selenium") is None:
        return "selenium is not installed"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt-get install chromium chromium-driver)"
    return ""


@contextmanager
def chromium(profile: Path, width: int = 1280, height: int = 900) -> Iterator[Chrome]:
    """A browser with a fresh profile that keeps what pages log and ask for; skips without one."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        resize(driver, width, height)
        yield driver
    finally:
        driver.quit()


def resize(driver: Chrome, width: int, height: int) -> None:
    """Makes the window, or the telephone, so many CSS pixels large."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(driver: Chrome, **features: str) -> None:
    """Sets media features: ``prefer(driver, prefers_color_scheme="dark")``."""
    told = [{"name": k.replace("_", "-"), "value": value} for k, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": told})


def open_page(driver: Chrome, path: Path) -> None:
    """Opens a file, once its script has run."""
    driver.get_log("performance")
    driver.get(path.as_uri())
    assert driver.execute_script("return document.documentElement.dataset.ready") == "yes"


def logged(driver: Chrome) -> list[str]:
    """What the browser's console has to say."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requested(driver: Chrome) -> list[str]:
    """The addresses asked for since the page was opened, but those within the page."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    asked: list[Any] = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in asked if not url.startswith("data:")]
