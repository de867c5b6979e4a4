"""MkDocs hooks: pages and links that lie outside docs/, the graph of steps as a picture, and the demo's report.

The pages link each other by their paths in the repository, so that they read on GitHub. On the site

* README.md of the project is the front page, and docs/README.md the page of all pages;
* other pages of the project that are linked, such as config/README.md, lie below project/;
* a link to a file that is no page becomes its path as plain text, since the repository has no address;
* the report of a finished demo lies in demo/, and its page leads there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
FRONT, INDEX = "README.md", "docs/README.md"
# pages outside docs/ -> their places on the site
OUTSIDE = {
    FRONT: "index.md",
    INDEX: "pages.md",
    "config/README.md": "project/config/README.md",
    "CONTRIBUTING.md": "project/CONTRIBUTING.md",
    "CHANGELOG.md": "project/CHANGELOG.md",
}
REPORT = ROOT / os.environ.get("DEMO_REPORT", "results/demo/default/report")
REPORT_PAGE = "guides/demo-report.md"
IS_HERE = """\
[**Open the report**](../demo/index.html). It is the report of a demo that was run for this site, as it came.
"""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*([^)\s]+)\s*\)")
MERMAID = re.compile(r"^```mermaid\n.*?^```$", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages that the navigation does not name to the section of their folder, in the order of their names."""
    docs = Path(config.docs_dir)
    for section in config.nav or []:
        for title, pages in section.items():
            folder = docs / title.lower()
            found = sorted(page.relative_to(docs).as_posix() for page in folder.glob("*.md"))
            pages += [page for page in found if not any(page in named for named in named_pages(config))]
    return config


def named_pages(config: MkDocsConfig) -> list[list[str]]:
    """Return the pages of each section of the navigation."""
    return [pages for section in config.nav or [] for pages in section.values()]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in the pages that lie outside docs/, and the demo's report where there is one."""
    files.remove(files.src_uris["README.md"])
    for source, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    if (REPORT / "index.html").is_file():
        for path in sorted(REPORT.rglob("*")):
            if path.is_file():
                place = f"demo/{path.relative_to(REPORT).as_posix()}"
                files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page's text with the links, the picture and the report of the site."""
    if page.file.src_uri == REPORT_PAGE and "demo/index.html" in files.src_uris:
        markdown = re.sub(r"<!-- without a report -->.*<!-- end -->", IS_HERE, markdown, flags=re.DOTALL)
    place = page.file.src_uri
    source = next((source for source, at in OUTSIDE.items() if at == place), f"docs/{place}")
    if source == "docs/architecture.md":
        markdown = MERMAID.sub("![The graph of steps](images/graph.svg)", markdown)
    return outside_code(markdown, lambda text: LINK.sub(lambda link: site_link(link, source, place, files), text))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Return a page in which the search has a name, and what scrolls sideways can be reached by keyboard."""
    search = 'data-md-component="search" role="dialog"'
    output = output.replace(search, f'{search} aria-label="Search"')
    output = re.sub(r"<pre>(?=<span></span><code)", '<pre tabindex="0">', output)
    return output.replace("<table>", '<div class="scrolls" tabindex="0"><table>').replace("</table>", "</table></div>")


def outside_code(markdown: str, change: Any) -> str:
    """Return Markdown in which everything but blocks and spans of code is changed."""
    parts = re.split(r"(^ *```.*?^ *```|`[^`\n]+`)", markdown, flags=re.MULTILINE | re.DOTALL)
    # a link's text may hold a span of code, so such spans are put back before links are looked for
    held: dict[str, str] = {}
    for number, part in enumerate(parts):
        if number % 2:
            held[f"\x00{number}\x00"] = part
    text = change("".join(f"\x00{number}\x00" if number % 2 else part for number, part in enumerate(parts)))
    return re.sub(r"\x00\d+\x00", lambda mark: held[mark[0]], text)


def site_link(link: re.Match[str], source: str, place: str, files: Files) -> str:
    """Return a link between files of the repository as one between pages of the site, or as plain text."""
    picture, text, target = link.groups()
    path, hash_, anchor = target.partition("#")
    if re.match(r"[a-z]+:", target) or not path:
        return link[0]
    wanted = os.path.normpath(os.path.join(os.path.dirname(source), path)).replace(os.sep, "/")
    at = OUTSIDE.get(wanted, wanted.removeprefix("docs/") if wanted.startswith("docs/") else None)
    if at is None or at not in files.src_uris:
        if not (ROOT / wanted).exists():
            return link[0]  # MkDocs reports it
        return text if wanted in text else f"{text} (`{wanted}`)"
    return f"{picture}[{text}]({os.path.relpath(at, os.path.dirname(place) or '.')}{hash_}{anchor})"
