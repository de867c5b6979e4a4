"""Pages of the documentation's site open from disk, without a network, and fit a phone; ``make docs`` builds it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.harness.browser import NEEDS_CHROMIUM, faults, is_wider_than_the_screen, look, started_browser

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "site"
PAGES = ("index.html", "tutorial.html", "reference/tables.html")

pytestmark = [pytest.mark.browser, pytest.mark.slow, NEEDS_CHROMIUM]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    sources = [ROOT / "README.md", ROOT / "mkdocs.yml", *(ROOT / "docs").rglob("*.*")]
    built = SITE / "index.html"
    if not built.is_file() or built.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        end = pytest.fail if os.environ.get("CI") else pytest.skip
        end("the site is not built, or older than its pages: make docs")
    with started_browser() as driver:
        yield driver


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_from_disk_without_errors_or_a_network(browser: webdriver.Chrome, page: str) -> None:
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get((SITE / page).as_uri())
    waiting = "return Promise.all([...document.images].map(image => image.decode())).then(() => document.images.length)"
    assert browser.execute_script(waiting) >= (page != "reference/tables.html")
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    loaded = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert (SITE / page).as_uri() in loaded
    assert [url for url in loaded if url.startswith(("http:", "https:"))] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_phone_and_follows_dark_colours(browser: webdriver.Chrome, page: str) -> None:
    for width, scheme, palette in ((390, "dark", "slate"), (1440, "light", "default")):
        look(browser, SITE / page, width, scheme)
        assert not is_wider_than_the_screen(browser)
        assert browser.execute_script("return document.body.dataset.mdColorScheme") == palette


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_fault_that_axe_core_finds(browser: webdriver.Chrome, page: str) -> None:
    for width, scheme in ((390, "dark"), (1440, "light")):
        look(browser, SITE / page, width, scheme)
        assert faults(browser) == []


def test_the_search_finds_a_key_of_the_configuration(browser: webdriver.Chrome) -> None:
    look(browser, SITE / "reference" / "api.html")
    browser.find_element(By.CSS_SELECTOR, "input.md-search__input").send_keys("caption_dropout")

    def found(driver: webdriver.Chrome) -> list[str]:
        links = driver.find_elements(By.CSS_SELECTOR, "a.md-search-result__link")
        return [str(link.get_attribute("href")) for link in links]

    assert any("reference/configuration.html" in link for link in WebDriverWait(browser, 60).until(found))
