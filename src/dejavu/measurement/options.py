"""What is measured, and how the statistics of it are made: parts of ``measure`` in the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What is measured; the keys of ``measure`` in the configuration, where they are described."""

    k: tuple[int, ...]
    labels: tuple[int | str, ...]
    score_threshold: float
    synonyms: dict[str, str]
    caption_words: bool = True


@dataclass(frozen=True)
class Statistics:
    """How the statistics are made; keys of ``measure`` in the configuration, where they are described."""

    samplings: int
    fraction: float
    bootstrap: int
    counts: tuple[int, ...]
    fractions: tuple[float, ...]
    seed: int
