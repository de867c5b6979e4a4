"""``make graph``: draw docs/images/graph.svg, the picture of docs/architecture.md, with Mermaid in Chromium.

GitHub draws the block of Mermaid itself. The site would have to load Mermaid for it, so it shows this file.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from selenium.webdriver import Chrome

DOCS = Path(__file__).resolve().parents[1]
PAGE, PICTURE = DOCS / "architecture.md", DOCS / "images" / "graph.svg"
# what Mermaid is told -> name, value on a light ground, value on a dark one
COLORS = {
    "#010101": ("ink", "#1c2430", "#e8ebf1"),
    "#020202": ("card", "#f3f5f9", "#222833"),
    "#030303": ("frame", "#b9c1cf", "#4a5464"),
    "#040404": ("ground", "#ffffff", "#171b22"),
    "#050505": ("line", "#6a7588", "#8b96a8"),
}
INK, CARD, FRAME, GROUND, LINE = COLORS
VARIABLES = {
    "primaryColor": CARD, "primaryTextColor": INK, "primaryBorderColor": FRAME, "lineColor": LINE, "textColor": INK,
    "clusterBkg": GROUND, "clusterBorder": FRAME, "titleColor": INK, "edgeLabelBackground": GROUND, "mainBkg": CARD,
    "nodeBorder": FRAME, "nodeTextColor": INK, "background": GROUND, "fontFamily": "system-ui, sans-serif",
}  # fmt: skip


def draw(browser: Chrome, mermaid: Path, source: str) -> str:
    """Return the picture of a graph as SVG, with colours that follow those of the page around it."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(f"<!doctype html><meta charset=utf-8><script src='{mermaid.resolve().as_uri()}'></script>")
        browser.get(page.as_uri())
        options = {"startOnLoad": False, "theme": "base", "themeVariables": VARIABLES, "htmlLabels": False}
        drawn = browser.execute_async_script(
            "const [options, source, done] = arguments; mermaid.initialize(options);"
            "mermaid.render('graph', source).then(drawn => done(drawn.svg), wrong => done(String(wrong)))",
            options | {"flowchart": {"htmlLabels": False, "wrappingWidth": 300}, "deterministicIds": True},
            source,
        )
    if not drawn.startswith("<svg"):
        raise SystemExit(f"Mermaid did not draw the graph: {drawn}")
    for told, (name, _, _) in COLORS.items():
        drawn = re.sub(told, f"var(--{name})", drawn, flags=re.IGNORECASE)
    light, dark = (" ".join(f"--{value[0]}: {value[i]};" for value in COLORS.values()) for i in (1, 2))
    in_dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    style = f"<style>:root {{ {light} background: var(--ground) }} {in_dark}</style>"
    return re.sub(r"(<svg[^>]*>)", lambda tag: tag[0] + style, drawn, count=1) + "\n"


def main(mermaid: Path) -> None:
    sys.path.insert(0, str(DOCS.parent))
    from tests.harness.browser import started_browser

    (source,) = re.findall(r"^```mermaid\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with started_browser() as browser:
        PICTURE.write_text(draw(browser, mermaid, source), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
