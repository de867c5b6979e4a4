"""The files of one split that the database gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dejavu.sides import Side, sides_measured
from dejavu.tables.queries import CAPTION, QUERIES


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
