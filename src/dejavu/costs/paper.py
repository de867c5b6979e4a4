"""The tables of docs/reference/scaling.md for the paper's setting, written by ``make reference``.

Two training sets of ten or fifty million pairs, ViT-B-32, on 1, 8 and 256 GPUs, from config/laion-10m.yaml and the
rates of an H100.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dejavu.costs.memory import PROJECT
from dejavu.costs.planning import plan_of, read_config
from dejavu.costs.predict import Machine, Prediction, predict
from dejavu.costs.rates import read_rates
from dejavu.costs.run import GIVEN
from dejavu.costs.tables import duration
from dejavu.files import write_text

CONFIG = PROJECT / "config" / "laion-10m.yaml"
PAGE = PROJECT / "docs" / "reference" / "scaling.md"
BEGIN = "<!-- Made by `make reference`. Edit src/dejavu/costs, not these tables. -->"
END = "<!-- end of what is made -->"

TRAINING_SETS = (10_000_000, 50_000_000)
GPUS = (1, 8, 256)
CORES_PER_GPU = 16
EPOCHS = 32
# the roles of the two training sets are intervals of 0.35
SHARE = 0.35
MODEL = "vit-b-32"
GATHERED = {
    "data": ("ingest", "annotate", "fingerprint", "duplicates", "manifest", "disjoint", "inventory"),
    "training": ("train",),
    "embedding": ("embed", "embed_queries", "query_texts"),
    "search": ("neighbors", "query_neighbors"),
    "measurement": ("score", "population", "utility", "attacks"),
    "database and report": ("database", "figures", "report", "recipe"),
}


def paper_config(pairs: int, gpus: int) -> tuple[dict[str, Any], dict[str, int]]:
    """Return config/laion-10m.yaml with one model, training sets of so many pairs, and trainings on all GPUs.

    Objects come from a column: how long a detector takes on that GPU was not measured.

    Returns:
        The configuration as it would be written, and the number of pairs of its dataset.
    """
    config = dict(read_config(CONFIG))
    config.pop("studies", None)
    (split,) = config["splits"].values()
    for role in ("a", "b"):
        split["roles"][role]["limit"] = pairs
    recipe = config["models"][MODEL] | {"samples_seen": EPOCHS * pairs, "processes": gpus}
    # a GPU holds about a thousand pairs at a time
    recipe["accumulation"] = max(1, recipe["batch_size"] // gpus // 1024)
    config["models"] = {MODEL: recipe}
    for dataset in config["datasets"].values():
        dataset["annotate"] = {"from": "column"}
        dataset["columns"]["objects"] = "objects"
    return config, {name: round(pairs / SHARE) for name in config["datasets"]}


def paper_predictions() -> dict[tuple[int, int], Prediction]:
    """Return (pairs of a training set, GPUs) -> what it costs."""
    rates = read_rates(GIVEN["h100"])
    found = {}
    for pairs in TRAINING_SETS:
        for gpus in GPUS:
            config, given = paper_config(pairs, gpus)
            machine = Machine(CORES_PER_GPU * gpus, gpus)
            found[pairs, gpus] = predict(plan_of(config, given), rates, machine)
    return found


def tables(found: dict[tuple[int, int], Prediction]) -> str:
    """Return the tables in Markdown: a part for each size of the training sets."""
    parts = []
    for pairs in TRAINING_SETS:
        of_size = [found[pairs, gpus] for gpus in GPUS]
        heads = [f"{gpus} GPU{'s' if gpus > 1 else ''}" for gpus in GPUS]
        first = of_size[0]
        lines = [
            f"**Two training sets of {pairs:,} pairs** ({sum(first.pairs.values()):,} pairs in all)",
            "",
            f"| stage | GPU hours | core hours | GB on disk | {' | '.join(heads)} |",
            f"|---|---|---|---|{'---|' * len(GPUS)}",
        ]
        for name, stages in GATHERED.items():
            walls = [duration(_sum(prediction, "wall_hours", stages)) for prediction in of_size]
            amounts = [f"{_sum(first, quantity, stages):,.0f}" for quantity in ("gpu_hours", "core_hours", "gigabytes")]
            lines.append(f"| {name} | {' | '.join([*amounts, *walls])} |")
        amounts = [f"{first.total(quantity):,.0f}" for quantity in ("gpu_hours", "core_hours", "gigabytes")]
        walls = [duration(prediction.total("wall_hours")) for prediction in of_size]
        lines.append(f"| all | {' | '.join([*amounts, *walls])} |")
        shares = [_share_of_wall(prediction) for prediction in of_size]
        lines.append(f"| share of training | {first.training_share:.0%} | | | {' | '.join(shares)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _sum(prediction: Prediction, quantity: str, stages: tuple[str, ...]) -> float:
    return sum(getattr(stage, quantity) for stage in prediction.stages if stage.stage in stages)


def _share_of_wall(prediction: Prediction) -> str:
    return f"{_sum(prediction, 'wall_hours', ('train',)) / prediction.total('wall_hours'):.0%}"


def page_with(text: str, made: str) -> str:
    """Return the page with these tables in place of those that it has."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}"


def main(page: Path = PAGE) -> None:
    """Write the tables into the page."""
    write_text(page, page_with(page.read_text(encoding="utf-8"), tables(paper_predictions())))


if __name__ == "__main__":
    main()
