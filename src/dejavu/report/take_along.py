"""What leaves with a report: the audit as JSON, a model card's paragraph, methods text with references, and tables.

Every sentence and number comes from the database. Names are untrusted: Markdown and LaTeX show them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from dejavu.files import write_text
from dejavu.report.audit import audit, write_audit
from dejavu.report.markup import Markdown, latex_table, markdown, markdown_table
from dejavu.report.methods import methods
from dejavu.report.queries import Queries
from dejavu.report.tables_along import Table, primary_table, tables, utility_table

# file -> what the report calls it
FILES = {
    "audit.json": "the audit as JSON",
    "model-card.md": "the paragraph for a model card",
    "methods.md": "the methods text",
    "references.bib": "its references",
}
_CITED = re.compile(r"@([a-z]+[0-9]{4}[a-z]+)")
_ENTRY = re.compile(r"^@\w+\{([^,]+),.*?^\}\n", re.MULTILINE | re.DOTALL)


def write_take_along(queries: Queries, workflow: Path, folder: Path, *, dataset: str, split: str) -> None:
    """Write ``audit.json``, ``model-card.md``, ``methods.md``, ``references.bib`` and ``tables`` into a folder.

    Args:
        queries: the queries on the database.
        workflow: the folder of the workflow, with the templates in ``report/take-along`` and the schema of the audit.
        folder: where to write, created if needed.
        dataset, split: names of the dataset and of the split.
    """
    templates = workflow / "report" / "take-along"
    found = audit(queries, dataset, split)
    write_audit(found, workflow / "schemas" / "audit.schema.json", folder / "audit.json")
    templating = environment(templates)
    shared = {"dataset": dataset, "split": split, "by": found["written_by"], **_hashes(found)}
    texts = {
        "model-card.md": _model_card(queries, found),
        "methods.md": methods(queries),
    }
    cited: set[str] = set()
    for name, values in texts.items():
        text = templating.get_template(f"{name}.j2").render(**shared, **values)
        cited |= set(_CITED.findall(text))
        write_text(folder / name, re.sub(r"\n{3,}", "\n\n", text))
    write_text(folder / "references.bib", references(templates / "references.bib", cited))
    for name, table in tables(queries).items():
        _write_table(folder / "tables", name, table)


def along(queries: Queries) -> dict[str, Any]:
    """Return what the report's section on what to take along shows."""
    return {
        "files": FILES,
        "tables": list(tables(queries)),
        "provenance": queries.rows("provenance"),
        "hashes": queries.rows("hashes"),
    }


def environment(templates: Path) -> jinja2.Environment:
    """Return an environment for templates of Markdown, in which every value is shown as it is."""
    templating = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=False,  # which escapes HTML; every value passes `markdown` instead
        finalize=markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templating.filters["count"] = lambda number: f"{number:,}"
    templating.filters["decimals"] = lambda number: f"{number:.2f}"
    templating.filters["percentage"] = lambda share: f"{100 * share:g} %"
    return templating


def references(file: Path, cited: set[str]) -> str:
    """Return the entries of a BibTeX file that are cited.

    Raises:
        KeyError: when an entry is missing, which is a bug of a template.
    """
    text = file.read_text(encoding="utf-8")
    entries = {found[1]: found[0] for found in _ENTRY.finditer(text)}
    return "\n".join(entries[key] for key in sorted(cited))


def _hashes(found: Mapping[str, Any]) -> dict[str, Any]:
    of = {row["of"]: row["sha256"] for row in found["hashes"]}
    return {
        "configuration": of.get("configuration", "unknown"),
        "contents": [row for row in found["hashes"] if row["of"] == "samples"],
    }


def _model_card(queries: Queries, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template of the model card shows besides what all templates have."""
    return {
        "samples": {row["role"]: row["samples"] for row in found["roles"]},
        "models": [
            {
                **model,
                "primary": _primary(model["gaps"]),
                "utility": _shown(utility_table([row for row in model["utility"] if _is_in_brief(row)])),
                "checkpoints": [
                    row for row in found["hashes"] if row["of"] == "checkpoint" and row["model"] == model["model"]
                ],
            }
            for model in found["models"]
        ],
    }


def _is_in_brief(row: Mapping) -> bool:
    """Whether a card shows a row of utility: retrieval at 10, and benchmarks; the tables have all of them."""
    return "@" not in row["metric"] or row["metric"].endswith("@10")


def _primary(gaps: Sequence[Mapping]) -> dict[str, Any] | None:
    table = primary_table(gaps)
    return None if table is None else {"text": table.caption, "table": _shown(table)}


def _shown(table: Table) -> Markdown | None:
    return Markdown(markdown_table(table.header, table.rows)) if table.rows else None


def _write_table(folder: Path, name: str, table: Table) -> None:
    write_text(folder / f"{name}.md", markdown_table(table.header, table.rows))
    text = latex_table(table.header, table.rows, caption=table.caption, label=f"tab:dejavu-{name}")
    write_text(folder / f"{name}.tex", text)
