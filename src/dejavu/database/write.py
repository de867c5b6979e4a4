"""One DuckDB file with everything that was measured, to be mailed and queried; tables too large for it beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.split import manifest_counts
from dejavu.database.blind import blind_rows
from dejavu.database.large import Tables
from dejavu.database.privacy import privacy_rows
from dejavu.database.provenance import hash_rows, provenance_rows
from dejavu.database.run import Run
from dejavu.database.samples import public_labels, role_rows, sample_tables
from dejavu.database.single_samples import RECALLS, single_sample_tables
from dejavu.database.sources import memory_source_rows
from dejavu.database.stages import stage_rows
from dejavu.database.tables import create_tables, create_views, insert, source
from dejavu.database.verdicts import verdict_rows
from dejavu.errors import InputError
from dejavu.files import atomic, read_table
from dejavu.replicates import replicated_models
from dejavu.sides import Side
from dejavu.tables.database import DATABASE, flatten
from dejavu.tables.fields import POPULATIONS
from dejavu.tables.membership import ATTACK_TABLES
from dejavu.tables.replicates import REPLICATE_TABLES
from dejavu.tables.retrieval import SEARCH_ENGINE

# the file opens in this version of DuckDB and all later ones
OLDEST_DUCKDB = "v1.0.0"


@dataclass(frozen=True)
class Target:
    """The files that are written.

    Attributes:
        database: the DuckDB file.
        beside: folder for the tables that have more rows than ``report.database_rows``; empty where none has.
        memory_mb: memory that DuckDB may take, in MB; beyond it, DuckDB spills to disk beside the database.
    """

    database: Path
    beside: Path
    memory_mb: int


@dataclass(frozen=True)
class _Source:
    """A Parquet file whose rows, with constant columns added, are rows of a table."""

    table: str
    path: Path
    constants: Mapping[str, str | int]
    where: str = "true"


def write_database(run: Run, sql: Path, target: Target) -> None:
    """Write the DuckDB file with the tables and views of :mod:`dejavu.tables.database`, commented.

    Args:
        run: what to gather.
        sql: folder with ``bands.sql``, which makes the rows of the table ``bands`` from the other tables, and with the
            queries of the views in ``views``.
        target: the files to write.
    """
    with atomic(target.database) as temporary:
        temporary.unlink(missing_ok=True)
        with duckdb.connect(str(temporary), config={"storage_compatibility_version": OLDEST_DUCKDB}) as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"SET memory_limit = '{int(target.memory_mb)}MB'")
            _write(connection, run, sql, target.beside)


def _write(connection: duckdb.DuckDBPyConnection, run: Run, sql: Path, beside: Path) -> None:
    epochs = _epochs(run)
    sources = list(_sources(run, epochs))
    rows = _table_rows(connection, run, sources)
    most = run.config["report"]["database_rows"]
    large = [name for name, number in rows.items() if most is not None and number > most]
    identity = {"dataset": run.dataset, "split": run.split, "config": run.config, "rows": rows}
    tables = Tables(connection, beside, large, identity)
    create_tables(connection, without=large)

    def insert_rows(name: str, records: Iterator[dict] | Sequence[dict]) -> None:
        insert(connection, name, pa.Table.from_pylist(list(records), schema=DATABASE[name][1]))

    insert_rows("config", [{"key": key, "value": value} for key, value in flatten(run.config)])
    of_public = public_labels(run)
    for role in run.roles:
        tables.insert("samples", sample_tables(run, role, connection, of_public), role)
    insert_rows("roles", role_rows(run))
    insert_rows("sides", _side_rows(run))
    insert_rows("hashes", hash_rows(run, epochs))
    insert_rows("provenance", provenance_rows())
    for one in sources:
        tables.insert_file(one.table, one.path, one.constants, one.where)
    insert_rows("studies", _study_points(run, epochs))
    for path in run.training:
        insert(connection, "training", _training(path, epochs))
    tables.show()
    create_views(connection, sql / "views")
    insert_rows("stages", stage_rows(run))
    insert(connection, "bands", connection.sql((sql / "bands.sql").read_text(encoding="utf-8")).to_arrow_table())
    insert_rows("blind_baseline", blind_rows(connection))
    insert_rows("verdicts", verdict_rows(connection, run.config))
    insert_rows("privacy", privacy_rows(connection, run.config))
    found = list(memory_source_rows(connection, run.config, {role: run.manifest(role) for role in POPULATIONS}))
    for name in ("memory_sources", "memory_trends"):
        insert_rows(name, [row for table, row in found if table == name])
    replicated = {model: epochs(seen) for model, seen in replicated_models(run.config, run.split).items()}
    for number, (name, part) in enumerate(single_sample_tables(connection, run.config, replicated)):
        tables.insert(name, [part], f"{number:05d}")
    tables.finish()


def _table_rows(connection: duckdb.DuckDBPyConnection, run: Run, sources: Sequence[_Source]) -> dict[str, int]:
    """Return table -> number of its rows, of the tables that grow with the samples; of some the most it can have."""
    rows: Counter[str] = Counter()
    for one in sources:
        if one.table in LARGEST:
            rows[one.table] += _rows_of(connection, one)
    samples = {role: manifest_counts(run.used_manifest(role))["rows_out"] for role in run.roles}
    rows["samples"] = sum(samples.values())
    statistics = len(run.measured) * (len(run.config["measure"]["queries"]) * len(RECALLS) + 1)
    rows["sample_memorization"] = statistics * (samples["a"] + samples["b"])
    return dict(rows)


# the tables of sources that grow with the samples, or with the draws of every cell
LARGEST = ("duplicates", "neighbors", "sample_scores", "bootstrap_draws", "utility_draws", "sample_attacks")


def _rows_of(connection: duckdb.DuckDBPyConnection, one: _Source) -> int:
    if one.where == "true":
        return int(pq.read_metadata(one.path).num_rows)
    query = f"SELECT count(*) FROM ({source({}, one.path, one.where)})"
    return int(connection.execute(query).fetchall()[0][0])


def _sources(run: Run, epochs: Callable[[int], int]) -> Iterator[_Source]:
    for dataset in run.batches:
        yield _Source("duplicates", run.duplicates(dataset), {"dataset": dataset})
    for model, seen in run.measured:
        constants: dict[str, str | int] = {"model": model, "epoch": epochs(seen)}
        for population in POPULATIONS:
            path = run.scores(model, seen, population)
            yield _Source("sample_scores", path, constants | {"population": population})
        for name in ("population_gaps", "bootstrap_draws", "top_l", "recall_curves"):
            yield _Source(name, run.population_table(name, model, seen), constants)
    for model, seen in replicated_models(run.config, run.split).items():
        for table in REPLICATE_TABLES:
            yield _Source(table, run.replicate_table(table, model, seen), {"model": model, "epoch": epochs(seen)})
    for side in run.sides:
        yield from _side_sources(run, side, epochs(side.seen))


def _side_sources(run: Run, side: Side, epoch: int) -> Iterator[_Source]:
    """Yield what one side makes: neighbours, utility and attacks."""
    constants: dict[str, str | int] = {"model": side.model, "epoch": epoch, "side": side.letter}
    ranks = f"rank <= {max(int(k) for k in run.config['measure']['k'])}"
    for population in POPULATIONS:
        for query, path in run.neighbors(side, population).items():
            yield _Source("neighbors", path, constants | {"population": population, "query": query}, ranks)
    if side.has_images:
        for name in ("utility", "utility_draws"):
            yield _Source(name, run.utility(name, side), constants)
    if side.own:
        for name in ATTACK_TABLES:
            yield _Source(name, run.attacks(name, side), constants)


def _side_rows(run: Run) -> list[dict[str, Any]]:
    """Return the rows of the table ``sides``, one for each side of a model, whatever checkpoints are measured."""
    rows = {
        (side.model, side.letter): {
            "model": side.model,
            "side": side.letter,
            "kind": side.kind,
            "has_images": side.has_images,
            "source": side.source,
            "search": side.search,
            "search_engine": _engines(run, side),
            **_preparation(run, side),
        }
        for side in run.sides
    }
    return list(rows.values())


def _engines(run: Run, side: Side) -> str | None:
    """Return the names of the engines that found a side's neighbours, as the files note them; None: they do not."""
    paths = [path for population in POPULATIONS for path in run.neighbors(side, population).values()]
    noted = [pq.read_schema(path).metadata or {} for path in paths]
    names = {metadata[key].decode() for metadata in noted if (key := SEARCH_ENGINE.encode()) in metadata}
    return ", ".join(sorted(names)) or None


def _preparation(run: Run, side: Side) -> dict[str, str | bool]:
    if side.kind != "checkpoint":
        return {}
    noted = json.loads(run.checkpoint_notes(side).read_text(encoding="utf-8"))
    return {"preprocessing": noted["preprocessing"], "preprocessing_known": not noted["is_guessed"]}


def _epochs(run: Run) -> Callable[[int], int]:
    """Return the function that turns samples seen into the epoch over the training set of side a that they end in."""
    size = sum(manifest_counts(run.manifest(role))["rows_out"] for role in run.trained_on("a"))

    def epoch(seen: int) -> int:
        return -(-seen // size)

    at: dict[tuple[str, int], int] = {}
    for model, seen in run.measured:
        other = at.setdefault((model, epoch(seen)), seen)
        if other != seen:
            raise InputError(
                f"models.{model}.checkpoints: {other:,} and {seen:,} samples seen lie in the same epoch of side a, "
                f"which is trained on {size:,} samples: keep one checkpoint per epoch."
            )
    return epoch


def _study_points(run: Run, epoch: Callable[[int], int]) -> Iterator[dict]:
    for name, study in sorted(run.config["studies"].items()):
        for place, point in enumerate(study["points"]):
            if point["split"] == run.split:
                yield {
                    "study": name,
                    "axis": study["axis"],
                    "place": place,
                    "value": json.dumps(point["value"]),
                    "model": point["model"],
                    "epoch": epoch(point["samples_seen"]),
                }


def _training(path: Path, epoch: Callable[[int], int]) -> pa.Table:
    table = read_table(path)
    epochs = [epoch(seen) for seen in table["samples_seen"].to_pylist()]
    table = table.append_column("epoch", pa.array(epochs, pa.int32()))
    for column, value in zip(("model", "side"), path.parts[-3:-1], strict=True):
        table = table.append_column(column, pa.array([value] * table.num_rows))
    return table
