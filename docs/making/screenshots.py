"""``make screenshots``: the pictures of README and tutorial, from the report of a finished demo.

Each picture is a part of a page: the first of its places that the report has. So a report with other pages, or with one
page alone, gives the same pictures.
"""

from __future__ import annotations

import base64
import sys
from dataclasses import dataclass
from pathlib import Path

from selenium.webdriver import Chrome

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
WIDTH = 1200
# bytes; a clone carries every version of them
LARGEST = 150_000


@dataclass(frozen=True)
class Picture:
    """A picture of a part of the report.

    Attributes:
        name: the file, below docs/images.
        places: (page, CSS selector of the part) in the order of preference; an empty selector is the top of the page.
        height: CSS pixels that are shown, at most.
    """

    name: str
    places: tuple[tuple[str, str], ...]
    height: int


PICTURES = (
    Picture("report.jpg", (("index.html", ""),), 1000),
    Picture("tutorial-first-screen.jpg", (("index.html", ""),), 760),
    Picture(
        "tutorial-gallery.jpg",
        (
            ("gallery.html", "#gallery article, #gallery .sample, main article"),
            ("gallery.html", "main section"),
            ("index.html", "#gallery"),
        ),
        900,
    ),
)


def found(browser: Chrome, report: Path, picture: Picture) -> dict:
    """Open the page of a picture; return the part to take, as x, y, width and height of the page in CSS pixels."""
    for page, selector in picture.places:
        if not (report / page).is_file():
            continue
        browser.get((report / page).as_uri())
        browser.execute_script("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        browser.execute_async_script(
            "const done = arguments[0];"
            "Promise.allSettled([...document.images].map(image => image.decode())).then(() => done())"
        )
        if not selector:
            return {"x": 0, "y": 0, "width": WIDTH, "height": picture.height}
        place = browser.execute_script(
            "const part = document.querySelector(arguments[0]); if (!part) return null;"
            "const at = part.getBoundingClientRect();"
            "return [at.x + scrollX, at.y + scrollY, at.width, at.height]",
            selector,
        )
        if place and place[3] > 0:
            x, y, width, height = place
            return {"x": max(0, x - 12), "y": y - 8, "width": width + 24, "height": min(height + 16, picture.height)}
    raise SystemExit(f"{report} has no part for {picture.name}: look at the places in {Path(__file__).name}")


def take(browser: Chrome, report: Path, picture: Picture) -> bytes:
    """Return a picture as JPEG of at most ``LARGEST`` bytes."""
    clip = found(browser, report, picture) | {"scale": 1}
    for quality in range(85, 30, -5):
        options = {"format": "jpeg", "quality": quality, "clip": clip, "captureBeyondViewport": True}
        shot = base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", options)["data"])
        if len(shot) <= LARGEST:
            return shot
    raise SystemExit(f"{picture.name} is larger than {LARGEST:,} bytes at any quality: show less of the page")


def main(report: Path) -> None:
    if not (report / "index.html").is_file():
        raise SystemExit(f"there is no report in {report}: run make demo")
    sys.path.insert(0, str(ROOT))
    from tests.harness.browser import look, started_browser

    with started_browser() as browser:
        look(browser, report / "index.html", WIDTH)
        for picture in PICTURES:
            shot = take(browser, report, picture)
            (IMAGES / picture.name).write_bytes(shot)
            print(f"docs/images/{picture.name}: {len(shot):,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/demo/default/report"))
