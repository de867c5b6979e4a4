"""The report opens from disk in a browser, without a network, without errors, and shows every picture."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.harness.project import Project

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: chromium-driver)"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("chromium")
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--window-size=1280,1000", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(browser: webdriver.Chrome, finished: Project) -> Path:
    index = finished.results / "report" / "index.html"
    browser.get(index.as_uri())
    browser.execute_script("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    return index


def test_the_report_opens_from_disk_without_errors(browser: webdriver.Chrome, page: Path) -> None:
    assert "demo / default" in browser.title
    assert browser.get_log("browser") == []


def test_every_figure_and_every_gallery_image_is_visible(browser: webdriver.Chrome, page: Path) -> None:
    waiting = "return Promise.all([...document.images].map(i => i.decode())).then(() => document.images.length)"
    assert browser.execute_script(waiting) >= 4 + 3
    for image in browser.find_elements(By.CSS_SELECTOR, "img"):
        assert browser.execute_script("return arguments[0].naturalWidth", image) > 0, image.get_attribute("src")
    figures = browser.find_elements(By.CSS_SELECTOR, "#figures img")
    names = ["gaps", "top l", "recall curves", "attacks", "tradeoff", "epochs", "training"]
    assert [figure.get_attribute("alt") for figure in figures] == names
    assert all(figure.size["width"] > 200 and figure.size["height"] > 100 for figure in figures)


def test_nothing_is_loaded_from_a_network(browser: webdriver.Chrome, page: Path) -> None:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    # the browser's own start page asks for things as well
    loaded = [r["request"]["url"] for r in requests if r["documentURL"].split("#")[0] == page.as_uri()]
    assert page.as_uri() in loaded
    assert [name for name in loaded if not name.startswith(("file:", "data:"))] == []


def test_every_gap_in_the_table_stands_beside_its_control(browser: webdriver.Chrome, page: Path) -> None:
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "#result-table th")]
    symmetric, control = heads.index("symmetric"), heads.index("control")
    lines = browser.execute_script(
        "return [...document.querySelectorAll('#result-table tbody tr')].map(r => [...r.cells].map(c => c.innerText))"
    )
    # models, queries, scopes and metrics
    assert len(lines) == 4 * 4 * 2 * 3
    for cells in lines:
        assert cells[symmetric] and cells[control], cells
    attacks = browser.find_elements(By.CSS_SELECTOR, "#attacks tbody tr")
    # of every side three measures of CSA, and two each of the one against the other model and of CLIPMem
    assert len(attacks) == 4 * 7
    assert all(line.find_elements(By.CSS_SELECTOR, ".controlcol")[0].text for line in attacks)


def test_the_inference_is_said_in_words(browser: webdriver.Chrome, page: Path) -> None:
    said = browser.find_element(By.ID, "inference").text
    for words in (
        "these two trained models",
        "duplicate group",
        "the sides are equal",
        "max-t",
        "The smallest true gap",
        "Limits of the one-model test",
    ):
        assert words in said, words


def test_the_page_does_not_scroll_sideways(browser: webdriver.Chrome, page: Path) -> None:
    wide, seen = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= seen
