"""A headless Chromium, and what a person or a program finds on a page in it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_CHROMIUM = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: chromium-driver)"
)
AXE = "axe_playwright_python"
# Seconds for one look of axe-core; a table of thousands of cells takes long on a busy machine.
PATIENCE = 600


FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-device-scale-factor=1",
)  # fmt: skip


@contextmanager
def started_browser(width: int = 1280, height: int = 1000) -> Iterator[webdriver.Chrome]:
    """A browser that records what pages log and load; it ends with the block."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
        driver.set_script_timeout(PATIENCE)
        try:
            yield driver
        finally:
            driver.quit()


def resize(driver: webdriver.Chrome, width: int, height: int) -> None:
    """Give the page this width and height in CSS pixels; a window of Chromium is never narrower than 500."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(driver: webdriver.Chrome, scheme: str) -> None:
    """Ask pages for their ``light`` or ``dark`` colours."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def look(driver: webdriver.Chrome, page: Path, width: int = 1440, scheme: str = "light") -> None:
    """Open a page from disk on a screen of a width in pixels, in a colour scheme."""
    resize(driver, width, 900)
    prefer(driver, scheme)
    driver.get(page.as_uri())


def unfold(driver: webdriver.Chrome) -> None:
    """Open everything that is folded."""
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")


def is_wider_than_the_screen(driver: webdriver.Chrome) -> bool:
    """Whether the page scrolls sideways."""
    wide, seen = driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    return wide > seen


def failed_requests(driver: webdriver.Chrome) -> list[str]:
    """What pages on disk asked for in vain since the last call; the browser's start page asks for things too."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {
        event["params"]["requestId"]: event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent" and event["params"]["documentURL"].startswith("file:")
    }
    failed = [event["params"]["requestId"] for event in events if event["method"] == "Network.loadingFailed"]
    return [asked[name] for name in failed if name in asked]


def faults(driver: webdriver.Chrome) -> list[tuple[str, str]]:
    """What axe-core finds of serious or critical impact: rule, and the first element. Skips without axe-core."""
    spec = importlib.util.find_spec(AXE)
    if spec is None or spec.origin is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs axe-core: make axe")
    driver.execute_script(Path(spec.origin).with_name("axe.min.js").read_text())
    # preload asks for the style by XMLHttpRequest, which pages on disk may not do
    run = "axe.run(document, {resultTypes: ['violations'], preload: false}).then(arguments[0])"
    found = driver.execute_async_script(run)["violations"]
    return [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]
