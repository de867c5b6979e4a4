"""The stages from manifests to report on drawn embeddings, each with what it costs; files lie where the workflow's do.

What they cost depends on `measure` and on no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dejavu.costs.memory import PROJECT
from dejavu.costs.rates import Rate
from dejavu.costs.timing import seconds_of, size_below
from dejavu.data.disjoint import check_disjoint
from dejavu.data.duplicates import Criteria
from dejavu.data.raw import Columns, take_inventory
from dejavu.data.split import Role, write_manifest
from dejavu.database.run import Run
from dejavu.database.write import Target, write_database
from dejavu.encoders.tfidf import tfidf_neighbors
from dejavu.files import read_array, read_table, write_array, write_table
from dejavu.measurement.attacks import Attacked, write_attacks
from dejavu.measurement.groups import Drawing, QueryRoles
from dejavu.measurement.options import Measure, Statistics
from dejavu.measurement.pairs import Embeddings
from dejavu.measurement.population import summarize
from dejavu.measurement.query_texts import write_query_texts
from dejavu.measurement.resampling import Resampling, draw_tables
from dejavu.measurement.scoring import ScoredFiles, score_population
from dejavu.paths import (
    ATTACKS,
    DATABASE,
    DUPLICATES,
    EMBEDDING,
    GROUPS,
    MANIFEST,
    NEIGHBORS,
    POPULATION_TABLE,
    QUERY_NEIGHBORS,
    REPORT,
    SCORES,
    SUMMARY,
    TEXTS,
    UTILITY,
    at,
)
from dejavu.plan.datasets import Dataset
from dejavu.plan.parameters import kept_neighbors, other_queries, query_drawings
from dejavu.report.captions import captions
from dejavu.report.figures import draw_figures
from dejavu.report.queries import Queries
from dejavu.report.site import write_site
from dejavu.report.summary import write_summary, write_table_file
from dejavu.retrieval.neighbors import Asked, Embedded, Search, write_neighbors
from dejavu.tables.evaluation import UTILITY as UTILITY_TABLE
from dejavu.tables.evaluation import UTILITY_DRAWS
from dejavu.tables.fields import POPULATIONS, ROLES, SIDES
from dejavu.tables.membership import ATTACK_TABLES
from dejavu.utility.retrieval import retrieval

# split -> samples of every query role, and of role public; in the last, queries find nearly all public samples
NUMBERS = {"small": (400, 400), "large": (4_800, 400), "wide": (400, 4_000), "widest": (4_800, 24_000)}
NAME, DIMENSION = "probe", 64
MEMORY_MB = 2_000
WORKFLOW = PROJECT / "workflow"
TABLES = ("population_gaps", "bootstrap_draws", "top_l", "recall_curves")


class Probe:
    """The stages of one split after the other, with what each costs.

    Args:
        config: of the probe, checked and complete.
        split: a key of :data:`NUMBERS`.
    """

    def __init__(self, config: Mapping[str, Any], split: str) -> None:
        self.config, self.split, self.number = config, split, NUMBERS[split][0]
        self.dataset = Dataset.of(NAME, config["datasets"][NAME])
        self.seen = config["models"][NAME]["samples_seen"]
        self.rng = np.random.default_rng(0)

    def path(self, pattern: str, **values: object) -> Path:
        """Return a path of the split, of the model of this probe."""
        known = {"dataset": NAME, "split": self.split, "model": NAME, "seen": self.seen} | values
        return Path(at(pattern, **{name: value for name, value in known.items() if f"{{{name}}}" in pattern}))

    @cached_property
    def roles(self) -> QueryRoles:
        """The query roles of the split."""
        drawings = query_drawings(self.config["splits"][self.split])
        return QueryRoles(
            scores={role: self.path(SCORES, population=role) for role in POPULATIONS},
            manifests={role: self.path(MANIFEST, role=role) for role in POPULATIONS},
            drawings={role: Drawing(**drawing) for role, drawing in drawings.items()},
            duplicates=[self.path(DUPLICATES)],
        )

    @cached_property
    def measure(self) -> Measure:
        """What is measured, as the configuration says."""
        keys = ("k", "labels", "score_threshold", "synonyms", "caption_words")
        return Measure(**{key: self.config["measure"][key] for key in keys})

    def manifests(self) -> Rate:
        """Draw all roles."""
        seconds = 0.0
        for role in ROLES:
            section = self.config["splits"][self.split]["roles"][role]
            drawn = Role(self.split, role, tuple(section["interval"]), section["limit"], {})
            file = self.path(MANIFEST, role=role)
            groups, samples = self.path(GROUPS), self.dataset.folders("samples")
            seconds += seconds_of(write_manifest, groups, samples, file, role=drawn, seed=0)
        return Rate(seconds, size_below(self.path(MANIFEST, role=role) for role in ROLES))

    def disjoint(self) -> Rate:
        """Compare the roles."""
        manifests = {role: self.path(MANIFEST, role=role) for role in ROLES}
        criteria = Criteria(key=True, image=False, caption=False, near_image=None)
        return Rate(seconds_of(check_disjoint, manifests, self.dataset.folders("fingerprints"), criteria))

    def texts(self) -> Rate:
        """Take the texts of other queries out of captions."""
        manifests = [self.path(MANIFEST, role=role) for role in POPULATIONS]
        folders = (self.dataset.folders("samples"), self.dataset.folders("objects"))
        texts = self.path(TEXTS)
        seconds = seconds_of(write_query_texts, manifests, *folders, texts, measure=self.measure, title=NAME)
        return Rate(seconds, size_below([texts]))

    def embeddings(self) -> Rate:
        """Draw embeddings, of captions near those of their images, which costs nothing that counts."""
        for side in SIDES:
            for role in ROLES:
                rows = np.sort(read_table(self.path(MANIFEST, role=role), ["row"])["row"].to_numpy())
                images = self.rng.normal(size=(len(rows), DIMENSION)).astype(np.float32)
                near = images + self.rng.normal(size=images.shape).astype(np.float32)
                arrays = {"rows": rows} | {
                    kind: array / np.linalg.norm(array, axis=1, keepdims=True)
                    for kind, array in (("images", images), ("captions", near))
                }
                for kind, array in arrays.items():
                    write_array(self.path(EMBEDDING, side=side, role=role, kind=kind), array)
        return Rate(0.0)

    def neighbors(self) -> Rate:
        """Search with captions; the other queries find the same. What it costs depends on a model: see probe_models."""
        for side in SIDES:
            public = Embedded(
                *(self.path(EMBEDDING, side=side, role="public", kind=kind) for kind in ("images", "rows"))
            )
            for role in POPULATIONS:
                arrays = (self.path(EMBEDDING, side=side, role=role, kind=kind) for kind in ("captions", "rows"))
                table = self.path(NEIGHBORS, side=side, population=role)
                asked = Asked(Embedded(*arrays), table, NAME)
                write_neighbors([asked], public, Search(kept_neighbors(self.config), 1, "cpu"))
                for query in other_queries(self.config):
                    other = self.path(QUERY_NEIGHBORS, side=side, population=role, query=query)
                    other.unlink(missing_ok=True)
                    other.hardlink_to(table)
        return Rate(0.0)

    def tfidf(self) -> Rate:
        """Search the public captions with themselves by TF-IDF."""
        table = Path("tfidf.parquet")
        public = self.path(MANIFEST, role="public")
        samples, k = self.dataset.folders("samples"), kept_neighbors(self.config)
        seconds = seconds_of(tfidf_neighbors, public, public, samples, table, k=k, title=NAME)
        return Rate(seconds, size_below([table]))

    def scores(self) -> Rate:
        """Score all populations."""
        seconds = 0.0
        for role in POPULATIONS:
            tables = {}
            for query in self.config["measure"]["queries"]:
                pattern, more = (NEIGHBORS, {}) if query == "caption" else (QUERY_NEIGHBORS, {"query": query})
                a, b = (self.path(pattern, side=side, population=role, **more) for side in SIDES)
                tables[query] = (a, b)
            files = ScoredFiles(
                neighbors=tables,
                queries=self.path(MANIFEST, role=role),
                public=self.path(MANIFEST, role="public"),
                samples=self.dataset.folders("samples"),
                objects=self.dataset.folders("objects"),
            )
            file = self.path(SCORES, population=role)
            chance = 0 if role == "holdout" else None
            seconds += seconds_of(score_population, files, file, measure=self.measure, random_seed=chance, title=NAME)
        return Rate(seconds, size_below(self.roles.scores.values()))

    def population(self) -> Rate:
        """Statistics of the model."""
        m = self.config["measure"]
        statistics = Statistics(
            samplings=m["samplings"]["repeats"],
            fraction=m["samplings"]["fraction"],
            bootstrap=m["bootstrap"],
            counts=tuple(m["top_l"]["counts"]),
            fractions=tuple(m["top_l"]["fractions"]),
            seed=m["seed"],
        )
        tables = {name: self.path(POPULATION_TABLE, table=name) for name in TABLES}
        seconds = seconds_of(summarize, self.roles, tables, statistics=statistics, one_model=False, title=NAME)
        return Rate(seconds, size_below(tables.values()))

    def attacks(self) -> Rate:
        """Attacks on side a, which stand for those on side b in the database."""
        m, kinds = self.config["measure"], ("images", "captions", "rows")
        embedded = [
            {role: Embeddings.read(*(self.path(EMBEDDING, side=side, role=role, kind=kind) for kind in kinds))
             for role in POPULATIONS}
            for side in SIDES
        ]  # fmt: skip
        costs = []
        for letter in SIDES:
            tables = {name: self.path(ATTACKS, side=letter, table=name) for name in ATTACK_TABLES}
            cell = (self.config["report"]["k"], str(self.config["report"]["labels"]))
            how = Attacked(letter=letter, cell=cell, draws=m["bootstrap"], seed=m["seed"])
            own, other = embedded if letter == "a" else embedded[::-1]
            costs.append(
                Rate(seconds_of(write_attacks, own, other, self.roles, tables, how), size_below(tables.values()))
            )
        return costs[0]

    def utility(self) -> Rate:
        """Retrieval on the holdout."""
        found: list[dict] = []

        def retrieve() -> None:
            images, texts = (
                read_array(self.path(EMBEDDING, side="a", role="holdout", kind=kind)) for kind in ("images", "captions")
            )
            m = self.config["measure"]
            resampling = Resampling(m["bootstrap"], m["seed"])
            found.extend(retrieval(images, texts, np.arange(self.number), resampling))

        seconds = seconds_of(retrieve)
        for side in SIDES:
            rows = pa.Table.from_pylist(found, schema=UTILITY_TABLE)
            write_table(self.path(UTILITY, side=side, table="utility"), rows, UTILITY_TABLE)
            write_table(self.path(UTILITY, side=side, table="utility_draws"), draw_tables(found), UTILITY_DRAWS)
        tables = ("utility", "utility_draws")
        return Rate(seconds, size_below(self.path(UTILITY, side="a", table=table) for table in tables))

    def database(self) -> Rate:
        """Gather everything in one file."""
        inventory = {NAME: take_inventory(self.dataset.paths, Columns.of(self.dataset.columns))}
        batches = {NAME: list(self.dataset.batches)}
        asked = {role: self.path(MANIFEST, role=role) for role in POPULATIONS}
        run = Run(NAME, self.split, batches, inventory, asked, [], [], [], dict(self.config))
        target = Target(self.path(DATABASE), Path("beside"), MEMORY_MB)
        seconds = seconds_of(write_database, run, WORKFLOW / "sql", target)
        return Rate(seconds, size_below([self.path(DATABASE)]))

    def figures(self) -> Rate:
        """Draw all figures."""
        queries = Queries(self.path(DATABASE), WORKFLOW / "sql")
        files = {name: Path("figures", f"{name}.svg") for name in captions(WORKFLOW / "report" / "figures")}
        return Rate(seconds_of(draw_figures, queries, files), size_below(files.values()))

    def report(self) -> Rate:
        """Write the site and the summary."""
        queries = Queries(self.path(DATABASE), WORKFLOW / "sql")
        samples, site = self.dataset.folders("samples"), self.path(REPORT)
        drawn = sorted(Path("figures").glob("*.svg"))

        def write() -> None:
            write_site(queries, drawn, samples, WORKFLOW / "report" / "site", site, title=NAME)
            write_table_file(queries, site.parent / "result_table.tsv")
            write_summary(queries, self.path(SUMMARY), title=NAME)

        return Rate(seconds_of(write), size_below([site]))
