"""Looks into everything that a configuration names before anything long is run, and says what it found."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dejavu.check.apart import MOST, told_apart
from dejavu.check.excerpt import Excerpt, captions_by_kind, chosen_pairs, take_excerpt, take_objects, write_names
from dejavu.check.models import BETTER_THAN_LUCK, ranks_of_own_images, weights_in
from dejavu.config import architecture_path
from dejavu.data.benchmarks import find_benchmarks, read_images
from dejavu.data.detector import load_detector
from dejavu.data.members import MemberList, find_members
from dejavu.data.vocabulary import read_vocabulary
from dejavu.errors import InputError, words
from dejavu.files import first_line
from dejavu.plan import Dataset
from dejavu.progress import say
from dejavu.retrieval.text import encode_captions, load_text_encoder
from dejavu.sides import TFIDF
from dejavu.tables.fields import ROLES
from dejavu.training.model import build
from dejavu.training.pretrained import load_side

# of a list of members, so many are looked for
LOOKED_FOR = 1000
OK, LOOK, FAULT = "ok", "look", "fault"


@dataclass(frozen=True)
class Finding:
    """What was found about something that the configuration names.

    Attributes:
        about: what, as ``datasets.mine``.
        state: ``ok``, ``look`` (the user should look at it) or ``fault`` (the run would stop there).
        text: a sentence.
    """

    about: str
    state: str
    text: str


@dataclass
class Findings:
    """All that was found.

    Attributes:
        found: in order.
        pairs: dataset -> eight of its pairs, with their objects.
        ranks: dataset -> what a model is called -> for each of the pairs the rank of its own image.
    """

    found: list[Finding] = field(default_factory=list)
    pairs: dict[str, list[dict]] = field(default_factory=dict)
    ranks: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def add(self, about: str, state: str, text: str) -> None:
        """Notes a finding, and says it."""
        self.found.append(Finding(about, state, text))
        say(f"{state:5} {about}: {text}")

    @contextmanager
    def about(self, what: str) -> Iterator[None]:
        """What raises inside is a fault, and the next is looked at."""
        try:
            yield
        except InputError as error:
            self.add(what, FAULT, str(error))
        except Exception as error:
            traceback.print_exc()
            self.add(what, FAULT, f"{type(error).__name__}: {first_line(error)}; the log has more of it")

    @property
    def faults(self) -> int:
        """How many are faults."""
        return sum(finding.state == FAULT for finding in self.found)


def check(config: Mapping[str, Any], base: Path) -> Findings:
    """Opens every raw file, ingests and annotates some rows, looks up lists, and loads and runs every model.

    Args:
        config: checked and complete.
        base: the workflow's folder, for architectures.
    """
    findings = Findings()
    with tempfile.TemporaryDirectory() as made:
        excerpts: dict[str, Excerpt] = {}
        names: dict[str, Path | None] = {}
        for name, section in config["datasets"].items():
            with findings.about(f"datasets.{name}"):
                excerpt = take_excerpt(Dataset.of(name, section), Path(made) / name)
                excerpts[name] = excerpt
                _tell_rows(findings, excerpt)
                names[name] = write_names(excerpt)
                findings.pairs[name] = chosen_pairs(excerpt)
                _look_at_objects(findings, excerpt, names[name], config)
        for name in config["splits"]:
            _look_at_roles(findings, name, config, excerpts, names)
        _look_at_models(findings, config, base)
    with findings.about("utility"):
        _look_at_benchmarks(findings, config)
    return findings


# data


def _tell_rows(findings: Findings, excerpt: Excerpt) -> None:
    dataset, about = excerpt.dataset, f"datasets.{excerpt.dataset.name}"
    usable = len(excerpt.records("samples", ["row"]))
    refused = excerpt.refused()
    findings.add(
        about,
        OK,
        f"{excerpt.pairs:,} pairs (raw files: {len(dataset.paths):,}); of {usable + len(refused):,} that were read "
        f"{usable:,} can be used",
    )
    if len(refused):
        first = refused.to_pylist()[0]
        allowed = dataset.section["max_quarantined"]
        state = FAULT if not usable else LOOK
        findings.add(
            about,
            state,
            f"{len(refused):,} cannot be used, {len(refused) / (usable + len(refused)):.1%} where max_quarantined "
            f"allows {allowed:.1%}; the first is {first['source']} row {first['source_row']}: {first['reason']} "
            f"({first['detail']})",
        )


def _look_at_objects(findings: Findings, excerpt: Excerpt, names: Path | None, config: Mapping[str, Any]) -> None:
    dataset, section = excerpt.dataset, excerpt.dataset.section["annotate"]
    about = f"datasets.{dataset.name}.annotate"
    with findings.about(about):
        detector = None
        if section["from"] == "detector":
            vocabulary = read_vocabulary(section["vocabulary"], f"{about}.vocabulary")
            detector = load_detector(
                section["model"], vocabulary, device=config["device"], min_score=section["min_score"]
            )
        records = take_objects(excerpt, names, detector)
        of_row = {record["row"]: record["objects"] for record in records}
        for pair in findings.pairs[dataset.name]:
            pair["objects"] = of_row.get(pair["row"], [])
        _tell_objects(findings, about, records, config["measure"]["score_threshold"])


def _tell_objects(findings: Findings, about: str, records: list[dict], threshold: float) -> None:
    objects = [one for record in records for one in record["objects"] if one is not None and one["label"]]
    counted = [one for one in objects if one["score"] >= threshold]
    scored = sum(
        any(one is not None and one["label"] and one["score"] >= threshold for one in record["objects"])
        for record in records
    )
    if not records:
        findings.add(about, FAULT, "no objects: name their column in columns.objects, or say in annotate where from")
        return
    findings.add(
        about,
        OK if 2 * scored >= len(records) else LOOK,
        f"{len(objects):,} objects in {len(records):,} images; {len(counted):,} of them reach "
        f"measure.score_threshold {threshold:g}, and {scored:,} images have one that does; the others are not scored",
    )


def _look_at_roles(
    findings: Findings,
    split: str,
    config: Mapping[str, Any],
    excerpts: Mapping[str, Excerpt],
    names: Mapping[str, Path | None],
) -> None:
    roles = config["splits"][split]["roles"]
    listed: dict[str, int] = dict.fromkeys(excerpts, 0)
    for role in ROLES:
        section, about = roles[role], f"splits.{split}.roles.{role}"
        if section["uids"] is None or section["dataset"] not in excerpts:
            continue
        with findings.about(about):
            members = MemberList(about, Path(section["uids"]), section["uids_column"], section["max_missing"])
            uids = members.read()
            count = len(uids)
            listed[section["dataset"]] += count
            folder = names.get(section["dataset"])
            if folder is None:
                told = "whether the dataset has them is seen when its uids are made"
            else:
                found = find_members(members, [folder], LOOKED_FOR)
                told = f"{found.listed - found.missing:,} of {found.listed:,} that were looked for are in the dataset"
            limit = "" if section["limit"] is None else f", of which {section['limit']:,} are taken"
            findings.add(about, LOOK if folder is None else OK, f"{count:,} samples are listed{limit}; {told}")
            if folder is not None and excerpts[section["dataset"]].columns.caption is not None:
                _look_for_difference(findings, about, excerpts[section["dataset"]], uids)
    for role in ROLES:
        section = roles[role]
        if section["uids"] is None and section["dataset"] in excerpts:
            excerpt = excerpts[section["dataset"]]
            _tell_size(findings, f"splits.{split}.roles.{role}", section, excerpt, listed[section["dataset"]])


def _look_for_difference(findings: Findings, about: str, excerpt: Excerpt, members: set[str]) -> None:
    apart = told_apart(*captions_by_kind(excerpt, members, 2 * MOST))
    if apart is None:
        findings.add(about, LOOK, "too few captions of members or of others to see whether they are of one kind")
        return
    told = f"captions of members and of others ({apart.number:,} each) are told apart without any model at ROC AUC"
    chance = f"{apart.auc:.3f}, where chance is 0.5 ± {2 * apart.error:.3f}"
    if apart.clear:
        told += (
            f" {chance}: they are not of one distribution, and a gap between them need not be memory; draw the other "
            "roles from what was held out of the same data at random"
        )
    else:
        told += f" {chance}"
    findings.add(about, LOOK if apart.clear else OK, told)


def _tell_size(findings: Findings, about: str, section: Mapping, excerpt: Excerpt, listed: int) -> None:
    usable, refused = len(excerpt.records("samples", ["row"])), len(excerpt.refused())
    low, high = section["interval"]
    there = (high - low) * max(0.0, excerpt.pairs * usable / max(1, usable + refused) - listed)
    limit = section["limit"]
    if limit is None or there < limit:
        short = "" if limit is None else f", fewer than its limit {limit:,}: widen its interval, or lower the limit"
        findings.add(about, OK if limit is None else LOOK, f"about {there:,.0f} samples{short}")
    else:
        findings.add(about, OK, f"{limit:,} samples, of about {there:,.0f}")


# models


def _look_at_models(findings: Findings, config: Mapping[str, Any], base: Path) -> None:
    seen: dict[str, str] = {}
    for name, model in config["models"].items():
        with_captions = _pairs_for(name, config, findings)
        if "sides" not in model:
            if model["architecture"] not in seen:
                seen[model["architecture"]] = name
                with findings.about(f"models.{name}"):
                    _look_at_recipe(findings, f"models.{name}", model, with_captions, config["device"], base)
            continue
        for letter, side in model["sides"].items():
            about = f"models.{name}.sides.{letter}"
            source = side["checkpoint"] or side["text_encoder"]
            if source is None or source == TFIDF:
                continue
            known = f"{source} {side['architecture']} {side['preprocessing']} {with_captions}"
            if known in seen:
                findings.add(about, OK, f"as {seen[known]}")
                continue
            seen[known] = about
            with findings.about(about):
                look = _look_at_checkpoint if side["checkpoint"] else _look_at_text_encoder
                look(findings, about, side, with_captions, config, base)


def _pairs_for(model: str, config: Mapping[str, Any], findings: Findings) -> str | None:
    """The dataset whose pairs a model is tried on: what its first split takes role a from."""
    for split in config["splits"].values():
        dataset = split["roles"]["a"]["dataset"]
        if model in split["models"] and findings.pairs.get(dataset):
            return str(dataset)
    return None


def _look_at_recipe(
    findings: Findings, about: str, recipe: Mapping, dataset: str | None, device: str, base: Path
) -> None:
    clip = build(_architecture(recipe["architecture"], base) or "", device)
    clip.model.eval()
    if dataset is not None:
        ranks_of_own_images(clip, findings.pairs[dataset], device, about)
    findings.add(
        about, OK, f"{recipe['architecture']}, {weights_in(clip):,} weights, images of {clip.size} pixels, can be built"
    )


def _architecture(given: str | None, base: Path) -> str | None:
    path = None if given is None else architecture_path(given, base)
    return given if path is None else str(path)


def _look_at_checkpoint(
    findings: Findings, about: str, side: Mapping, dataset: str | None, config: Mapping, base: Path
) -> None:
    source, device = side["checkpoint"], config["device"]
    path = Path(source.removeprefix("local-dir:"))
    architecture = _architecture(side["architecture"], base)
    clip = load_side(str(path) if path.exists() else "", 0, source, architecture, device, side["preprocessing"])
    findings.add(about, OK, f"{weights_in(clip):,} weights, images of {clip.size} pixels")
    prepared = clip.prepared or words("CLIP's mean and std, central square, bicubic: it was trained by this workflow")
    unknown = "cannot be known" in prepared
    findings.add(about, LOOK if unknown else OK, f"images are prepared with {prepared}")
    if dataset is None:
        return
    ranks = ranks_of_own_images(clip, findings.pairs[dataset], device, about)
    findings.ranks.setdefault(dataset, {})[about.removeprefix("models.")] = ranks
    first, number = sum(rank == 1 for rank in ranks), len(ranks)
    weak = first < min(BETTER_THAN_LUCK, number)
    findings.add(
        about,
        LOOK if weak else OK,
        f"{first} of {number} captions find their own image first among {number}"
        + (
            ", which luck does as well: the weights, their architecture, activation or preprocessing may not belong "
            "together, or the model does not know such pairs"
            if weak
            else ", where luck finds one"
        ),
    )


def _look_at_text_encoder(
    findings: Findings, about: str, side: Mapping, dataset: str | None, config: Mapping, base: Path
) -> None:
    model = load_text_encoder(side["text_encoder"], config["device"])
    captions = [pair["caption"] for pair in findings.pairs[dataset]] if dataset is not None else ["a photo"]
    found = encode_captions(model, captions, len(captions), about)
    findings.add(about, OK, f"{side['text_encoder']} embeds captions in {found.shape[1]:,} dimensions")


def _look_at_benchmarks(findings: Findings, config: Mapping[str, Any]) -> None:
    for benchmark in find_benchmarks(config["utility"]):
        about = f"utility.{benchmark.task}.{benchmark.name}"
        with findings.about(about):
            if not all(Path(file).exists() for file in benchmark.inputs):
                continue  # those that are drawn
            for part in benchmark.files:
                images = next(iter(read_images(benchmark, part, 8)), [])
                usable = sum(image is not None for image in images)
                state = OK if usable else FAULT
                findings.add(about, state, f"{usable} of the first {len(images)} images of {part} can be used")
