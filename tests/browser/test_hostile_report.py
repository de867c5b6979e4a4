"""Words of strangers are text in the report, and a gallery of ten thousand samples is usable at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.harness.browser import NEEDS_CHROMIUM, is_wider_than_the_screen, look, started_browser, unfold
from tests.harness.reports import write_report

pytestmark = [pytest.mark.browser, pytest.mark.slow, NEEDS_CHROMIUM]

RUNS = "document.documentElement.dataset.ran = 1"
HOSTILE = [
    f"<script>{RUNS}</script>",
    f'"><img src=x onerror="{RUNS}">',
    f"</script><script>{RUNS}//",
    f"<!--<script>{RUNS}</script>-->",
    f"javascript:{RUNS}",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }} {% include 'style.css' %}",
    "שלום‮ world \u2028 next \u2029 line",
    "x" * 10_000,
    "&lt;b&gt; & <b>bold</b>",
]
LABELS = ["<b>dog</b>", '"quoted"', "'); DROP TABLE samples; --", "קשת", "y" * 200]
PAGES = ("index", "gallery", "single_samples", "data", "provenance")
MANY = 10_000


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with started_browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("hostile"), HOSTILE, LABELS)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    captions = [f"a picture of number {i} in the park" for i in range(MANY)]
    return write_report(tmp_path_factory.mktemp("large"), captions, ["dog", "cat", "tree", "car"], k=20)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [390, 1440])
def test_words_of_strangers_are_shown_as_text_and_nothing_of_them_runs(
    browser: webdriver.Chrome, hostile: Path, page: str, width: int
) -> None:
    look(browser, hostile / f"{page}.html", width)
    unfold(browser)
    assert browser.execute_script("return document.documentElement.dataset.ran") is None
    made = "return document.querySelectorAll('main b[onmouseover], main img[src=x], main script, [onerror]').length"
    assert browser.execute_script(made) == 0
    assert not is_wider_than_the_screen(browser)
    assert [entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]] == []


def test_the_gallery_shows_every_hostile_caption_word_for_word(browser: webdriver.Chrome, hostile: Path) -> None:
    look(browser, hostile / "gallery.html")
    unfold(browser)
    shown = browser.execute_script("return document.getElementById('records').textContent")
    assert all(caption in shown for caption in HOSTILE)
    assert all(label in shown for label in LABELS)
    assert browser.find_elements(By.CSS_SELECTOR, ".frame .box")
    page = (hostile / "gallery.js").read_text(encoding="utf-8")
    assert not set("<>&\u2028\u2029") & set(page)
    data = json.loads(json.loads(page.removeprefix("window.dejavuGallery = JSON.parse(").removesuffix(");\n")))
    assert sorted(sample["caption"] for sample in data["samples"]) == sorted(HOSTILE)


def test_ten_thousand_samples_are_usable_within_two_seconds(browser: webdriver.Chrome, large: Path) -> None:
    size = sum(file.stat().st_size for file in large.rglob("*") if file.is_file())
    assert size <= 150e6
    since = "const [n] = performance.getEntriesByType('navigation'); return n.domContentLoadedEventEnd"
    took, searched = [], []
    for _ in range(3):
        look(browser, large / "gallery.html")
        WebDriverWait(browser, 60).until(lambda b: f"of {MANY:,}" in b.find_element(By.ID, "count").text)
        took.append(browser.execute_script(since) / 1000)
        searched.append(_search(browser, "number 4321 in", "1 to 1 of 1"))
    # the quickest of three, because other processes may have the processor
    assert min(took) < 2 and min(searched) < 2


def _search(browser: webdriver.Chrome, words: str, told: str) -> float:
    """Type into the search, wait until the page tells its number, and return the seconds."""
    began = time.monotonic()
    enter = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    browser.execute_script(enter, browser.find_element(By.ID, "search"), words)
    WebDriverWait(browser, 60, poll_frequency=0.05).until(lambda b: b.find_element(By.ID, "count").text == told)
    return time.monotonic() - began


def test_a_link_to_a_sample_opens_its_page_whatever_was_filtered(browser: webdriver.Chrome, large: Path) -> None:
    look(browser, large / "gallery.html")
    _search(browser, "number 9876 in", "1 to 1 of 1")
    (article,) = browser.find_elements(By.CSS_SELECTOR, "#records article")
    name, link = article.get_attribute("id"), article.find_element(By.LINK_TEXT, "Link to this sample")
    address = link.get_attribute("href")
    assert address is not None and name is not None
    browser.get("about:blank")
    browser.get(address)
    focused = browser.execute_script("return document.activeElement.id")
    assert focused == name and "number 9876 in" in browser.find_element(By.ID, name).text


def test_filters_and_pages_work_from_the_keyboard(browser: webdriver.Chrome, large: Path) -> None:
    look(browser, large / "gallery.html")
    Select(browser.find_element(By.ID, "object")).select_by_visible_text("dog")
    assert browser.find_element(By.ID, "count").text == f"1 to 12 of {3 * MANY // 4:,}"
    following = browser.find_element(By.ID, "next")
    following.send_keys(" ")
    assert browser.find_element(By.ID, "count").text.startswith("13 to 24")
    Select(browser.find_element(By.ID, "significance")).select_by_value("p")
    # p-values are spread evenly over all samples
    told = browser.find_element(By.ID, "count").text
    assert told.startswith("1 to 12 of ") and int(told.split()[-1].replace(",", "")) == pytest.approx(375, abs=3)
