"""One DuckDB file with everything that was measured: self-contained, to be mailed and queried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from dejavu.config.replicates import replicated_models
from dejavu.data.split import manifest_counts
from dejavu.database.blind import blind_rows
from dejavu.database.privacy import privacy_rows
from dejavu.database.run import Run
from dejavu.database.samples import role_rows, sample_tables
from dejavu.database.single_samples import single_sample_tables
from dejavu.database.stages import stage_rows
from dejavu.database.tables import create_tables, create_views, insert, insert_file
from dejavu.database.verdicts import verdict_rows
from dejavu.errors import InputError
from dejavu.files import atomic, read_table
from dejavu.sides import Side
from dejavu.tables.database import (
    BLIND_BASELINE,
    CONFIG,
    PRIVACY,
    ROLES_TABLE,
    SIDES_TABLE,
    STAGES,
    STUDIES,
    VERDICTS,
    flatten,
)
from dejavu.tables.fields import POPULATIONS

# the file opens in this version of DuckDB and all later ones
OLDEST_DUCKDB = "v1.0.0"


def write_database(run: Run, sql: Path, database: Path) -> None:
    """Write the DuckDB file with the tables and views of :mod:`dejavu.tables.database`, commented.

    Args:
        run: what to gather.
        sql: folder with ``bands.sql``, which makes the rows of the table ``bands`` from the other tables, and with the
            queries of the views in ``views``.
        database: the file to write.
    """
    with atomic(database) as temporary:
        temporary.unlink(missing_ok=True)
        with duckdb.connect(str(temporary), config={"storage_compatibility_version": OLDEST_DUCKDB}) as connection:
            connection.execute("SET enable_progress_bar = false")
            create_tables(connection)
            create_views(connection, sql / "views")
            keys = [{"key": key, "value": value} for key, value in flatten(run.config)]
            insert(connection, "config", pa.Table.from_pylist(keys, schema=CONFIG))
            _fill(connection, run)
            replicated = _fill_replicates(connection, run)
            insert(connection, "stages", pa.Table.from_pylist(list(stage_rows(run)), schema=STAGES))
            bands = connection.execute((sql / "bands.sql").read_text(encoding="utf-8")).to_arrow_table()
            insert(connection, "bands", bands)
            insert(
                connection, "blind_baseline", pa.Table.from_pylist(list(blind_rows(connection)), schema=BLIND_BASELINE)
            )
            verdicts = list(verdict_rows(connection, run.config))
            insert(connection, "verdicts", pa.Table.from_pylist(verdicts, schema=VERDICTS))
            insert(
                connection, "privacy", pa.Table.from_pylist(list(privacy_rows(connection, run.config)), schema=PRIVACY)
            )
            for name, part in single_sample_tables(connection, run.config, replicated):
                insert(connection, name, part)


def _fill(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    epochs = _epochs(run)
    for part in sample_tables(run):
        insert(connection, "samples", part)
    insert(connection, "roles", pa.Table.from_pylist(list(role_rows(run)), schema=ROLES_TABLE))
    insert(connection, "sides", pa.Table.from_pylist(_side_rows(run), schema=SIDES_TABLE))
    for dataset in run.batches:
        insert_file(connection, "duplicates", run.folder(dataset) / "duplicates.parquet", {"dataset": dataset})
    for model, seen in run.measured:
        _fill_model(connection, run, model, seen, epochs(seen))
    for side in run.sides:
        _fill_side(connection, run, side, epochs(side.seen))
    insert(connection, "studies", pa.Table.from_pylist(list(_study_points(run, epochs)), schema=STUDIES))
    for path in run.training:
        insert(connection, "training", _training(path, epochs))


def _fill_model(connection: duckdb.DuckDBPyConnection, run: Run, model: str, seen: int, epoch: int) -> None:
    """Insert what both sides of a model make together."""
    constants: dict[str, str | int] = {"model": model, "epoch": epoch}
    for population in POPULATIONS:
        path = run.of_model("scores", model, seen) / f"{population}.parquet"
        insert_file(connection, "sample_scores", path, {**constants, "population": population})
    for name in ("population_gaps", "bootstrap_draws", "top_l", "recall_curves"):
        insert_file(connection, name, run.of_model("populations", model, seen) / f"{name}.parquet", constants)


def _fill_side(connection: duckdb.DuckDBPyConnection, run: Run, side: Side, epoch: int) -> None:
    """Insert what one side makes: neighbours, utility and attacks."""
    constants: dict[str, str | int] = {"model": side.model, "epoch": epoch, "side": side.letter}
    ranks = f"rank <= {max(int(k) for k in run.config['measure']['k'])}"
    for population in POPULATIONS:
        for query, path in run.neighbors(side, population).items():
            asked = {**constants, "population": population, "query": query}
            insert_file(connection, "neighbors", path, asked, ranks)
    if side.has_images:
        for name in ("utility", "utility_draws"):
            insert_file(connection, name, run.of_weights(name, side), constants)
    if side.own:
        for name in ("attacks", "sample_attacks"):
            insert_file(connection, name, run.of_side("attacks", side) / f"{name}.parquet", constants)


def _fill_replicates(connection: duckdb.DuckDBPyConnection, run: Run) -> dict[str, int]:
    """Insert what all replicates of a model show together, and return model -> epoch of these models."""
    epochs, replicated = _epochs(run), {}
    for model, seen in replicated_models(run.config, run.split_folder.name).items():
        replicated[model] = epochs(seen)
        constants: dict[str, str | int] = {"model": model, "epoch": epochs(seen)}
        for path in sorted(run.of_model("replicates", model, seen).glob("*.parquet")):
            insert_file(connection, path.stem, path, constants)
    return replicated


def _side_rows(run: Run) -> list[dict]:
    """Return the rows of the table ``sides``, one for each side of a model, whatever checkpoints are measured."""
    rows = {
        (side.model, side.letter): {
            "model": side.model,
            "side": side.letter,
            "kind": side.kind,
            "source": side.source,
            "search": side.search,
            **_preparation(run, side),
        }
        for side in run.sides
    }
    return list(rows.values())


def _preparation(run: Run, side: Side) -> dict[str, str | bool]:
    if side.kind != "checkpoint":
        return {}
    noted = json.loads((run.of_side("embeddings", side) / "checkpoint.json").read_text(encoding="utf-8"))
    return {"preprocessing": noted["preprocessing"], "preprocessing_known": not noted["is_guessed"]}


def _epochs(run: Run) -> Callable[[int], int]:
    """Return the function that turns samples seen into the epoch over role a that they end in."""
    size_of_a = manifest_counts(run.manifest("a"))["rows_out"]

    def epoch(seen: int) -> int:
        return -(-seen // size_of_a)

    at: dict[tuple[str, int], int] = {}
    for model, seen in run.measured:
        other = at.setdefault((model, epoch(seen)), seen)
        if other != seen:
            raise InputError(
                f"models.{model}.checkpoints: {other:,} and {seen:,} samples seen lie in the same epoch of role a, "
                f"which has {size_of_a:,} samples: keep one checkpoint per epoch."
            )
    return epoch


def _study_points(run: Run, epoch: Callable[[int], int]) -> Iterator[dict]:
    for name, study in sorted(run.config["studies"].items()):
        for place, point in enumerate(study["points"]):
            if point["split"] == run.split_folder.name:
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
