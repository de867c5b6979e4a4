"""One DuckDB file with everything that was measured: self-contained, to be mailed and queried."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.data.benchmarks import drawn_datasets
from dejavu.data.samples import SampleStore
from dejavu.data.split import manifest_counts
from dejavu.database.verdicts import verdict_rows
from dejavu.errors import InputError
from dejavu.files import atomic, read_table
from dejavu.measurement.scoring import normal_objects
from dejavu.memorization.labels import NamedInCaption, Normalizer
from dejavu.sides import Side, sides_measured, trained_sides
from dejavu.tables.database import CONFIG, DATABASE, ROLES_TABLE, SIDES_TABLE, STAGES, STUDIES, VERDICTS, flatten
from dejavu.tables.fields import POPULATIONS, ROLES
from dejavu.tables.queries import CAPTION, MASKED, QUERIES

# the file opens in this version of DuckDB and all later ones
OLDEST_DUCKDB = "v1.0.0"
Costs = Mapping[tuple[str, str], tuple[float, float | None]]


@dataclass(frozen=True)
class Run:
    """The files of one split.

    Attributes:
        split_folder: ``results/<dataset>/<split>``.
        batches: name of a dataset that roles are taken from -> names of its batch folders.
        inventory: name of a dataset -> raw file -> number of rows.
        training: the table of training of every side that is trained here, ``…/<model>/<side>/training.parquet``; of
            another split where that one has trained the side.
        benchmarks: Snakemake's benchmark files.
        config: the configuration.
    """

    split_folder: Path
    batches: Mapping[str, Sequence[str]]
    inventory: Mapping[str, Mapping[str, int]]
    training: Sequence[Path]
    benchmarks: Sequence[Path]
    config: dict = field(repr=False)

    def folder(self, dataset: str) -> Path:
        """The folder of a dataset."""
        return self.split_folder.parent.parent / dataset

    def folders(self, kind: str, *datasets: str) -> list[Path]:
        """The batch folders of a table, of the given datasets or of all."""
        names = datasets or tuple(self.batches)
        return [self.folder(name) / kind / batch for name in names for batch in self.batches[name]]

    @property
    def sides(self) -> list[Side]:
        """Both sides of everything that was measured, by model, then by samples seen."""
        return sides_measured(self.config, self.split_folder.name)

    @property
    def measured(self) -> list[tuple[str, int]]:
        """(model, samples seen) of everything that was measured."""
        return sorted({(side.model, side.seen) for side in self.sides})

    def of_model(self, table: str, model: str, seen: int) -> Path:
        """A folder, or table, of a model: ``<split>/<table>/<model>/<seen>``."""
        return self.split_folder / table / model / str(seen)

    def of_side(self, table: str, side: Side) -> Path:
        """A folder, or table, of a side: ``<split>/<table>/<model>/<side>/<seen>``."""
        return self.split_folder / table / side.model / side.letter / str(side.seen)

    def neighbors(self, side: Side, population: str) -> dict[str, Path]:
        """Query -> the neighbour table of a population under a side; a text encoder is asked with captions only."""
        folder = self.of_side("neighbors", side)
        others = self.other_queries if side.has_images else []
        files = {query: folder / f"{population}.{query}.parquet" for query in others}
        return {CAPTION: folder / f"{population}.parquet"} | files

    @property
    def other_queries(self) -> list[str]:
        """What is asked with besides captions."""
        asked = self.config["measure"]["queries"]
        return [query for query in QUERIES if query in asked and query != CAPTION]

    def of_weights(self, table: str, side: Side) -> Path:
        """A table that depends on a side's weights alone, filed where these were embedded first."""
        model, seen = side.embedded
        return self.split_folder / table / model / side.letter / f"{seen}.parquet"

    def manifest(self, role: str) -> Path:
        """The manifest of a role."""
        return self.split_folder / "manifests" / f"{role}.parquet"


def write_database(run: Run, bands_query: Path, database: Path) -> None:
    """Writes the DuckDB file with the tables of :data:`dejavu.tables.DATABASE`, commented.

    Args:
        run: what to gather.
        bands_query: the SQL that makes the rows of the table ``bands`` from the others.
        database: the file to write.
    """
    with atomic(database) as temporary:
        temporary.unlink(missing_ok=True)
        with duckdb.connect(str(temporary), config={"storage_compatibility_version": OLDEST_DUCKDB}) as connection:
            connection.execute("SET enable_progress_bar = false")
            for name, (comment, schema) in DATABASE.items():
                _create(connection, name, comment, schema)
            keys = [{"key": key, "value": value} for key, value in flatten(run.config)]
            _insert(connection, "config", pa.Table.from_pylist(keys, schema=CONFIG))
            _fill(connection, run)
            _insert(connection, "stages", pa.Table.from_pylist(list(_stages(run)), schema=STAGES))
            bands = connection.execute(bands_query.read_text(encoding="utf-8")).to_arrow_table()
            _insert(connection, "bands", bands)
            found = list(verdict_rows(connection, run.config))
            _insert(connection, "verdicts", pa.Table.from_pylist(found, schema=VERDICTS))


def _create(connection: duckdb.DuckDBPyConnection, name: str, comment: str, schema: pa.Schema) -> None:
    empty = schema.empty_table()
    connection.register("empty_table", empty)
    connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM empty_table')
    connection.unregister("empty_table")
    connection.execute(f"COMMENT ON TABLE \"{name}\" IS '{_quoted(comment)}'")
    for column in schema:
        text = column.metadata[b"comment"].decode()
        connection.execute(f'COMMENT ON COLUMN "{name}"."{column.name}" IS \'{_quoted(text)}\'')


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _insert(connection: duckdb.DuckDBPyConnection, name: str, part: pa.Table) -> None:
    connection.register("part", part)
    connection.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM part')
    connection.unregister("part")


def _insert_file(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    path: Path,
    constants: Mapping[str, str | int],
    where: str = "true",
) -> None:
    """Inserts a parquet file with constant columns added; ``where`` is one of our own conditions, never the user's."""
    added = "".join(f', ? AS "{column}"' for column in constants)
    query = f'INSERT INTO "{name}" BY NAME SELECT *{added} FROM read_parquet(?) WHERE {where}'
    connection.execute(query, [*constants.values(), str(path)])


def _fill(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    for part in _samples(run):
        _insert(connection, "samples", part)
    described = {
        (s.model, s.letter): {
            "model": s.model,
            "side": s.letter,
            "kind": s.kind,
            "source": s.source,
            "search": s.search,
            **_preparation(run, s),
        }
        for s in run.sides
    }
    _insert(connection, "roles", pa.Table.from_pylist(list(_roles(run)), schema=ROLES_TABLE))
    _insert(connection, "sides", pa.Table.from_pylist(list(described.values()), schema=SIDES_TABLE))
    for dataset in run.batches:
        _insert_file(connection, "duplicates", run.folder(dataset) / "duplicates.parquet", {"dataset": dataset})
    epochs = _epochs(run)
    ranks = f"rank <= {max(int(k) for k in run.config['measure']['k'])}"
    for model, seen in run.measured:
        here: dict[str, str | int] = {"model": model, "epoch": epochs(seen)}
        for population in POPULATIONS:
            path = run.of_model("scores", model, seen) / f"{population}.parquet"
            _insert_file(connection, "sample_scores", path, {**here, "population": population})
        for name in ("population_gaps", "bootstrap_draws", "top_l", "recall_curves"):
            _insert_file(connection, name, run.of_model("populations", model, seen) / f"{name}.parquet", here)
    for side in run.sides:
        here = {"model": side.model, "epoch": epochs(side.seen), "side": side.letter}
        for population in POPULATIONS:
            for query, path in run.neighbors(side, population).items():
                _insert_file(connection, "neighbors", path, {**here, "population": population, "query": query}, ranks)
        if side.has_images:
            for name in ("utility", "utility_draws"):
                _insert_file(connection, name, run.of_weights(name, side), here)
        if side.own:
            for name in ("attacks", "sample_attacks"):
                _insert_file(connection, name, run.of_side("attacks", side) / f"{name}.parquet", here)
    _insert(connection, "studies", pa.Table.from_pylist(list(_study_points(run, epochs)), schema=STUDIES))
    for path in run.training:
        _insert(connection, "training", _training(path, epochs))


def _preparation(run: Run, side: Side) -> dict[str, str | bool]:
    if side.kind != "checkpoint":
        return {}
    noted = json.loads((run.of_side("embeddings", side) / "checkpoint.json").read_text(encoding="utf-8"))
    return {"preprocessing": noted["preprocessing"], "preprocessing_known": not noted["is_guessed"]}


def _epochs(run: Run) -> Callable[[int], int]:
    """Turns samples seen into the epoch over role a that they end in."""
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


def _roles(run: Run) -> Iterator[dict]:
    for role in ROLES:
        counts = manifest_counts(run.manifest(role))
        yield {
            "role": role,
            "dataset": run.config["splits"][run.split_folder.name]["roles"][role]["dataset"],
            "samples": counts["rows_out"],
            "listed": counts.get("listed"),
            "missing": counts.get("missing"),
        }


def _training(path: Path, epoch: Callable[[int], int]) -> pa.Table:
    table = read_table(path)
    epochs = [epoch(seen) for seen in table["samples_seen"].to_pylist()]
    table = table.append_column("epoch", pa.array(epochs, pa.int32()))
    for column, value in zip(("model", "side"), path.parts[-3:-1], strict=True):
        table = table.append_column(column, pa.array([value] * table.num_rows))
    return table


def _samples(run: Run) -> Iterator[pa.Table]:
    measure = run.config["measure"]
    normalizer = Normalizer(measure["synonyms"])
    schema = DATABASE["samples"][1]
    searched = _labels_of(run, "public", normalizer)
    for role in ROLES:
        manifest = read_table(run.manifest(role)).sort_by("row")
        rows = manifest["row"].to_numpy()
        found = dict(normal_objects(run.folders("objects"), rows, measure["score_threshold"], normalizer))
        # the vocabulary that this role is scored with, since a caption's words are used up by the longest label
        names = searched.union(*found.values()) - {""}
        named_in = NamedInCaption(names, normalizer, measure["caption_words"])
        start = 0
        for table in SampleStore(run.folders("samples")).read(rows, ["caption"]):
            here = manifest.slice(start, table.num_rows)
            start += table.num_rows
            if not np.array_equal(here["row"].to_numpy(), table["row"].to_numpy()):
                raise ValueError(f"the samples of role {role} came back in another order than the manifest's")
            objects = [sorted(set(found[row]) - {""}) for row in here["row"].to_pylist()]
            named = [named_in(caption) for caption in table["caption"].to_pylist()]
            columns = {
                "row": here["row"],
                "uid": here["uid"],
                "role": [role] * here.num_rows,
                "caption": table["caption"],
                "objects": objects,
                "unnamed": [[o for o in shown if o not in out] for shown, out in zip(objects, named, strict=True)],
                "group_id": here["group_id"],
            }
            yield pa.table(columns, schema=schema)


def _labels_of(run: Run, role: str, normalizer: Normalizer) -> set[str]:
    """The normal labels that the images of a role show."""
    rows = np.sort(read_table(run.manifest(role), ["row"])["row"].to_numpy())
    shown = normal_objects(run.folders("objects"), rows, run.config["measure"]["score_threshold"], normalizer)
    return {label for _, labels in shown for label in labels}


def _stages(run: Run) -> Iterator[dict]:
    """What each stage read, passed on and dropped, counted from the files themselves, with its cost."""
    costs = _costs(run.benchmarks)
    for dataset in run.batches:
        yield from _dataset_stages(run, costs, dataset)
    drawn = sum(run.config["utility"]["drawn"].values())
    for dataset in drawn_datasets(run.config["utility"]):
        yield _stage(costs, "evaluation_data", dataset, drawn, drawn)
    size = {}
    for role in ROLES:
        counts = manifest_counts(run.manifest(role))
        size[role] = counts["rows_out"]
        dropped = {
            "outside the role's interval or list": counts["rows_in"] - counts["in_interval"],
            "another sample of its group is taken": counts["in_interval"] - counts["distinct"],
            "beyond the role's limit": counts["distinct"] - counts["rows_out"],
        }
        yield _stage(costs, "manifest", role, counts["rows_in"], counts["rows_out"], dropped)
    everyone = sum(size.values())
    yield _stage(costs, "disjoint", "disjoint", everyone, everyone)
    if set(run.other_queries) - {MASKED}:
        asked = sum(size[population] for population in POPULATIONS)
        yield _stage(costs, "query_texts", "query_texts", asked, asked)
    yield from _model_stages(run, costs, size)


def _dataset_stages(run: Run, costs: Costs, dataset: str) -> Iterator[dict]:
    raw = sum(run.inventory[dataset].values())
    if "synthetic" in run.config["datasets"][dataset]:
        pairs = run.config["datasets"][dataset]["synthetic"]["pairs"]
        yield _stage(costs, "synthesize", dataset, pairs, raw)
    reasons: Counter[str] = Counter()
    for file in _files(run.folders("quarantine", dataset)):
        reasons.update(read_table(file, ["reason"])["reason"].to_pylist())
    samples = _rows(run.folders("samples", dataset))
    yield _stage(costs, "ingest", dataset, raw, samples, dict(reasons))
    yield _stage(costs, "annotate", dataset, samples, _rows(run.folders("objects", dataset)))
    fingerprints = _rows(run.folders("fingerprints", dataset))
    yield _stage(costs, "fingerprint", dataset, samples, fingerprints)
    groups = pq.read_metadata(run.folder(dataset) / "groups.parquet").num_rows
    yield _stage(costs, "duplicates", dataset, fingerprints, groups)


def _model_stages(run: Run, costs: Costs, size: Mapping[str, int]) -> Iterator[dict]:
    for side in trained_sides(run.sides):
        yield _stage(costs, "train", f"{side.model}.{side.letter}", size[side.letter], size[side.letter])
    for side in run.sides:
        name = f"{side.model}.{side.letter}"
        if side.own:
            for role in ROLES:
                rows = run.of_side("embeddings", side) / f"{role}.rows.npy"
                embedded = len(np.load(rows, mmap_mode="r", allow_pickle=False))
                yield _stage(costs, "embed", f"{name}.{side.seen}.{role}", size[role], embedded)
            asked = sum(size[population] for population in POPULATIONS)
            if run.other_queries:
                count = asked * len(run.other_queries)
                yield _stage(costs, "embed_queries", f"{name}.{side.seen}", count, count)
            images, unusable = _benchmark_images(run.of_weights("utility", side))
            everyone = size["holdout"] + images
            dropped = {"image cannot be used": unusable}
            yield _stage(costs, "utility", f"{name}.{side.seen}", everyone, everyone - unusable, dropped)
            yield _stage(costs, "attacks", f"{name}.{side.seen}", asked, asked)
        for population in POPULATIONS:
            file = run.of_side("neighbors", side) / f"{population}.parquet"
            found = len(read_table(file, ["row"])["row"].unique())
            yield _stage(costs, "neighbors", f"{name}.{side.seen}.{population}", size[population], found)
        if run.other_queries and side.has_images:
            count = sum(size[population] for population in POPULATIONS) * len(run.other_queries)
            yield _stage(costs, "query_neighbors", f"{name}.{side.seen}", count, count)
    for model, seen in run.measured:
        scored_in_all = 0
        for population in POPULATIONS:
            file = run.of_model("scores", model, seen) / f"{population}.parquet"
            scored = len(read_table(file, ["row"])["row"].unique())
            scored_in_all += scored
            dropped = {"no objects": size[population] - scored}
            yield _stage(costs, "score", f"{model}.{seen}.{population}", size[population], scored, dropped)
        yield _stage(costs, "population", f"{model}.{seen}", scored_in_all, scored_in_all)


def _benchmark_images(utility: Path) -> tuple[int, int]:
    """The number of images in a side's benchmarks, and of those that could not be used."""
    rows = [row for row in read_table(utility).to_pylist() if row["metric"].endswith("_left_out")]
    return sum(row["n"] for row in rows), sum(round(row["value"] * row["n"]) for row in rows)


def _stage(
    costs: Costs,
    stage: str,
    subject: str,
    rows_in: int,
    rows_out: int,
    dropped: Mapping[str, int] | None = None,
) -> dict:
    reasons = {reason: count for reason, count in (dropped or {}).items() if count}
    if rows_in != rows_out + sum(reasons.values()):
        raise ValueError(f"stage {stage} of {subject}: {rows_in} rows in, {rows_out} out, but {reasons} dropped")
    seconds, memory = costs.get((stage, subject), (None, None))
    return {
        "stage": stage,
        "subject": subject,
        "rows_in": rows_in,
        "rows_out": rows_out,
        "dropped": sorted(reasons.items()),
        "seconds": seconds,
        "peak_memory_mb": memory,
    }


def _costs(benchmarks: Sequence[Path]) -> Costs:
    """(stage, subject) -> (seconds of its jobs together, largest memory); a dataset's jobs count together."""
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    memory: dict[tuple[str, str], float] = {}
    for path in benchmarks:
        parts = path.parts
        at = parts.index("benchmarks")
        stage = path.stem if len(parts) == at + 2 else parts[at + 1]
        # results/<dataset>/benchmarks/… against results/<dataset>/<split>/benchmarks/…
        key = (stage, parts[1]) if at == 2 else (stage, path.name.removesuffix(".tsv"))
        with open(path, encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file, delimiter="\t"):
                seconds[key] += float(line["s"])
                if line["max_rss"].replace(".", "", 1).isdigit():
                    memory[key] = max(memory.get(key, 0.0), float(line["max_rss"]))
    return {key: (seconds[key], memory.get(key)) for key in seconds}


def _files(folders: Sequence[Path]) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.glob("*.parquet"))]


def _rows(folders: Sequence[Path]) -> int:
    return sum(pq.read_metadata(file).num_rows for file in _files(folders))
