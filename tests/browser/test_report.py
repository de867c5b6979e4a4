"""The report opens from disk in a browser, without a network, without errors, on small and large screens."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.harness.browser import (
    NEEDS_CHROMIUM,
    failed_requests,
    faults,
    is_wider_than_the_screen,
    look,
    started_browser,
    unfold,
)
from tests.harness.project import ROOT, Project

pytestmark = [pytest.mark.browser, pytest.mark.slow, NEEDS_CHROMIUM]

PAGES = ("index", "gallery", "single_samples", "data", "provenance")


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with started_browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def site(finished: Project) -> Path:
    return finished.results / "report"


@pytest.fixture
def page(browser: webdriver.Chrome, site: Path) -> Path:
    index = site / "index.html"
    look(browser, index)
    unfold(browser)
    return index


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_every_page_is_sound_on_phone_and_desktop_by_day_and_night(
    browser: webdriver.Chrome, site: Path, name: str, width: int, scheme: str
) -> None:
    look(browser, site / f"{name}.html", width, scheme)
    assert "demo / default" in browser.title
    assert not is_wider_than_the_screen(browser)
    unfold(browser)
    assert not is_wider_than_the_screen(browser)
    assert browser.get_log("browser") == []
    assert failed_requests(browser) == []
    assert faults(browser) == []


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_is_there_and_every_link_leads_somewhere(
    browser: webdriver.Chrome, site: Path, name: str
) -> None:
    look(browser, site / f"{name}.html")
    unfold(browser)
    waiting = "document.querySelectorAll('img').forEach(i => { i.loading = 'eager' }); "
    waiting += "return Promise.all([...document.images].map(i => i.decode())).then(() => document.images.length)"
    pictures = browser.execute_script(waiting)
    assert pictures > 0 or name not in ("index", "gallery")
    texts = [image.get_attribute("alt") for image in browser.find_elements(By.CSS_SELECTOR, "img")]
    assert all(texts)
    for link in browser.find_elements(By.CSS_SELECTOR, "a[href]"):
        target, _, anchor = str(link.get_dom_attribute("href")).partition("#")
        text = (site / (target or f"{name}.html")).read_text(encoding="utf-8")
        assert not anchor or anchor.startswith("sample-") or f'id="{anchor}"' in text, link.get_attribute("href")


def test_every_figure_of_the_run_is_shown_and_has_its_data(browser: webdriver.Chrome, page: Path) -> None:
    figures = browser.find_elements(By.CSS_SELECTOR, "#figures .drawn img")
    names = [Path(str(figure.get_attribute("src"))).stem for figure in figures]
    assert names == ["gaps", "top_l", "recall_curves", "attacks", "training"]
    assert all(figure.size["width"] > 200 and figure.size["height"] > 100 for figure in figures)
    charts = browser.find_elements(By.CSS_SELECTOR, "svg.chart")
    # one of all models, two; one for each model, five; by epoch, of the one model with two checkpoints
    assert len(charts) == 2 + 5 * 4 + 1
    for chart in charts:
        assert chart.find_element(By.TAG_NAME, "title") and chart.size["height"] > 100
    for figure in browser.find_elements(By.CSS_SELECTOR, "figure.charted"):
        data = figure.find_element(By.CSS_SELECTOR, "figcaption a").get_dom_attribute("href")
        with open(page.parent / str(data), newline="") as file:
            assert len(list(csv.DictReader(file))) >= 2


def test_nothing_is_loaded_from_a_network(browser: webdriver.Chrome, page: Path) -> None:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    # the browser's own start page asks for things as well
    loaded = [r["request"]["url"] for r in requests if r["documentURL"].split("#")[0] == page.as_uri()]
    assert page.as_uri() in loaded
    assert [name for name in loaded if not name.startswith(("file:", "data:"))] == []


def test_every_gap_in_the_table_stands_beside_its_control(browser: webdriver.Chrome, page: Path) -> None:
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "#result-table thead th")]
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


def test_the_first_screen_says_of_every_model_what_its_verdict_says(finished: Project, site: Path) -> None:
    with duckdb.connect(str(finished.results / "memorization.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "SELECT model, verdict FROM verdicts SEMI JOIN last_epochs USING (model, epoch) "
            "WHERE about = 'objects' ORDER BY model"
        ).fetchall()
        largest = connection.execute(
            "SELECT model, max(value) FROM gaps_with_controls WHERE metric = 'ppg' AND scope = 'all' AND is_last "
            "AND is_reported GROUP BY model ORDER BY model"
        ).fetchall()
    page = html.unescape((site / "index.html").read_text(encoding="utf-8"))
    cards = re.findall(
        r'<article class="card ([a-z-]+)">.*?</h2>\s*<p class="badge">Verdict: ([a-z ]+)</p>', page, re.S
    )
    assert [(style.replace("-", " "), verdict) for style, verdict in cards] == [(v, v) for _, v in found]
    lines = re.findall(
        r'<tr><th scope="row">([^<]+)</th>.*?</tr>', page.split('id="forest-table"')[1].split("</table>")[0]
    )
    assert lines == [model for model, _ in largest]
    cells = re.findall(r'<td class="n strong">([^ <]+)', page.split('id="forest-table"')[1].split("</table>")[0])
    for (model, value), told in zip(largest, cells, strict=True):
        scaled = value * (200 if model == "one-model" else 100)
        assert float(told.replace("−", "-")) == pytest.approx(scaled, abs=0.051 if abs(scaled) < 9.95 else 0.51)


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


def test_without_scripts_the_gallery_says_where_its_samples_are(site: Path) -> None:
    page = (site / "gallery.html").read_text(encoding="utf-8")
    (told,) = re.findall(r"<noscript>(.*?)</noscript>", page, re.S)
    assert "workflow/sql/gallery.sql" in told and (ROOT / "workflow" / "sql" / "gallery.sql").is_file()
