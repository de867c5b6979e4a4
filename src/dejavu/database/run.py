"""The files of one split that the database gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dejavu.paths import (
    ATTACKS,
    BATCH,
    CHECKPOINT_NOTES,
    CHECKPOINTS,
    DUPLICATES,
    EMBEDDING,
    GROUPS,
    MANIFEST,
    NEIGHBORS,
    POPULATION_TABLE,
    QUERY_NEIGHBORS,
    REPLICATES_TABLE,
    SCORES,
    UTILITY,
    at,
)
from dejavu.roles import trained_in
from dejavu.sides import Side, sides_measured
from dejavu.tables.queries import CAPTION, QUERIES
from dejavu.tables.roles import roles_of, training_roles


@dataclass(frozen=True)
class Run:
    """The files of one split.

    Attributes:
        dataset, split: names of the split and of its dataset.
        batches: name of a dataset that roles are taken from -> names of its batch folders.
        inventory: name of a dataset -> raw file -> number of rows.
        asked: query role -> manifest of its samples that are asked about, which may be the role's own manifest.
        training_sets: what sides were trained on, ``…/training_sets/<side>.parquet``, where the split has shared
            samples; of another split where that one has trained the side.
        training: the table of training of every side that is trained here, ``…/<model>/<side>/training.parquet``; of
            another split where that one has trained the side.
        benchmarks: Snakemake's benchmark files.
        config: the configuration.
    """

    dataset: str
    split: str
    batches: Mapping[str, Sequence[str]]
    inventory: Mapping[str, Mapping[str, int]]
    asked: Mapping[str, Path]
    training_sets: Sequence[Path]
    training: Sequence[Path]
    benchmarks: Sequence[Path]
    config: dict = field(repr=False)

    def folders(self, table: str, *datasets: str) -> list[Path]:
        """Return the batch folders of a table, of the given datasets or of all."""
        return [
            Path(at(BATCH, dataset=name, table=table, batch=batch))
            for name in datasets or tuple(self.batches)
            for batch in self.batches[name]
        ]

    def groups(self, dataset: str) -> Path:
        """Return the table of the duplicate groups of a dataset."""
        return Path(at(GROUPS, dataset=dataset))

    def duplicates(self, dataset: str) -> Path:
        """Return the table of those duplicate groups of a dataset that have several samples."""
        return Path(at(DUPLICATES, dataset=dataset))

    @property
    def sides(self) -> list[Side]:
        """Both sides of everything that was measured, by model, then by samples seen."""
        return sides_measured(self.config, self.split)

    @property
    def measured(self) -> list[tuple[str, int]]:
        """(model, samples seen) of everything that was measured."""
        return sorted({(side.model, side.seen) for side in self.sides})

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the split."""
        return roles_of(self.config["splits"][self.split])

    def trained_on(self, letter: str) -> tuple[str, ...]:
        """Return the roles that a side is trained on."""
        return training_roles(self.config["splits"][self.split], letter)

    def manifest(self, role: str) -> Path:
        """Return the manifest of a role."""
        return self._file(MANIFEST, role=role)

    def used_manifest(self, role: str) -> Path:
        """Return the manifest of the samples of a role that are searched, or asked about."""
        return self.asked.get(role) or self.manifest(role)

    def scores(self, model: str, seen: int, population: str) -> Path:
        """Return the table of the scores of a population's samples."""
        return self._file(SCORES, model=model, seen=seen, population=population)

    def population_table(self, table: str, model: str, seen: int) -> Path:
        """Return a table of the statistics of a model."""
        return self._file(POPULATION_TABLE, table=table, model=model, seen=seen)

    def replicate_table(self, table: str, model: str, seen: int) -> Path:
        """Return a table of what all replicates of a model show together."""
        return self._file(REPLICATES_TABLE, table=table, model=model, seen=seen)

    def neighbors(self, side: Side, population: str) -> dict[str, Path]:
        """Return query -> neighbour table of a population; a text encoder is asked with captions only."""
        others = self.other_queries if side.has_images else []
        files = {query: self._of_side(QUERY_NEIGHBORS, side, population=population, query=query) for query in others}
        return {CAPTION: self._of_side(NEIGHBORS, side, population=population)} | files

    def attacks(self, table: str, side: Side) -> Path:
        """Return a table of the attacks on a side."""
        return self._of_side(ATTACKS, side, table=table)

    def checkpoint(self, split: str, side: Side) -> Path:
        """Return the weights of a side that is trained here, in this split or a replicate of it."""
        model, seen = side.embedded
        place = trained_in(self.config, split, model, side.letter)
        dataset = self.config["splits"][place]["dataset"]
        return Path(at(CHECKPOINTS, dataset=dataset, split=place, model=model, side=side.letter)) / f"{seen}.pt"

    def checkpoint_notes(self, side: Side) -> Path:
        """Return the notes on a checkpoint from elsewhere."""
        return self._of_side(CHECKPOINT_NOTES, side)

    def embedded_rows(self, side: Side, role: str) -> Path:
        """Return the array of the rows of a role that are embedded under a side."""
        return self._of_side(EMBEDDING, side, role=role, kind="rows")

    def utility(self, table: str, side: Side) -> Path:
        """Return a table of utility, filed where the side's weights were embedded first."""
        model, seen = side.embedded
        return self._file(UTILITY, table=table, model=model, side=side.letter, seen=seen)

    @property
    def other_queries(self) -> list[str]:
        """What models are asked with besides captions."""
        asked = self.config["measure"]["queries"]
        return [query for query in QUERIES if query in asked and query != CAPTION]

    def _file(self, pattern: str, **values: object) -> Path:
        return Path(at(pattern, dataset=self.dataset, split=self.split, **values))

    def _of_side(self, pattern: str, side: Side, **values: object) -> Path:
        return self._file(pattern, model=side.model, side=side.letter, seen=side.seen, **values)
