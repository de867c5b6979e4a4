"""A database and its samples from strangers, whose texts try to be paths, code, markup or several lines."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image, PngImagePlugin

from dejavu.tables.data import SAMPLES
from tests.harness.databases import write_database

UIDS = [
    "../../etc/passwd",
    "a",
    "'; DROP TABLE samples; --",
    "<img src=x onerror=alert(1)>",
    "C:\\Users\\one\\photo 7.jpg",
]
CAPTIONS = [
    "first line of a caption\nand its second line",
    "\N{RIGHT-TO-LEFT OVERRIDE}a caption that turns around\N{POP DIRECTIONAL FORMATTING}",
    "a \"quoted\" caption of 'several' kinds, {{ braces }} and \\backslashes\\",
    "<script>alert('a caption')</script> & more",
    "[a link](http://example.org) | a table | *stars* $math$ 100 %",
]
FOLDER = "/home/someone/secret project"
CHECKPOINT = f"{FOLDER}/weights [v2](final)|x_1.pt"
PATHS = [FOLDER, "secret project", "raw/customers of berlin.parquet", f"{FOLDER}/members.txt", "customers of berlin"]
# written into the pictures
SECRETS = [
    "comment of the photographer",
    "artist of the photo",
    "xmp of the photo",
    "profile of the camera",
    "text chunk",
]
MODELS = ("baseline", "foreign")


def pictures() -> list[bytes]:
    """Return five images that say something of themselves, each otherwise: comment, EXIF, XMP, profile, PNG text."""
    image = Image.new("RGB", (320, 240), "teal")
    exif = Image.Exif()
    exif[0x013B] = SECRETS[1]
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRETS[4])
    kinds = [
        ("JPEG", {"comment": SECRETS[0].encode()}),
        ("JPEG", {"exif": exif.tobytes()}),
        ("JPEG", {"xmp": f"<x:xmpmeta>{SECRETS[2]}</x:xmpmeta>".encode()}),
        ("JPEG", {"icc_profile": SECRETS[3].encode()}),
        ("PNG", {"pnginfo": text}),
    ]
    made = []
    for kind, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, format=kind, **options)
        made.append(buffer.getvalue())
    return made


def samples(folder: Path, write_batch: Callable[..., str]) -> str:
    """Write the samples with their images, and return their batch folder."""
    columns = {"width": 320, "height": 240, "source": "raw/customers of berlin.parquet"}
    records = [
        {"row": row, "uid": uid, "caption": caption, "image": image, "source_row": row, **columns}
        for row, (uid, caption, image) in enumerate(zip(UIDS, CAPTIONS, pictures(), strict=True))
    ]
    kept = [{name: record.get(name) for name in SAMPLES.names} for record in records]
    return write_batch(folder, SAMPLES, kept)


def database(path: Path) -> Path:
    """Write a database of the hostile samples with two models, one of them a checkpoint from elsewhere."""
    roles = ["a", "b", "holdout", "public", "public"]
    place = {"model": "baseline", "epoch": 9, "query": "caption", "k": 10, "labels": "all"}
    cells = [
        {**place, "model": model, "scope": scope, "metric": metric, "population": population, "value": value}
        | {"ci_low": value - 0.05, "ci_high": value + 0.05, "p_value": 0.01, "p_joint": 0.02, "n": 4, "groups": 4}
        | {"effective_groups": 4.0, "detectable": 0.125, "mean": value, "std": float("nan"), "expected": 0.0}
        for model in MODELS
        for scope in ("all", "unnamed")
        for metric in ("ppg", "prg", "aucg")
        for population, value in (("symmetric", 0.25), ("a", 0.3), ("b", -0.2), ("holdout", 0.0625), ("placebo", 0.01))
    ]
    scores = [
        {**place, "scope": scope, "population": roles[row], "row": row, "correct_a": 3, "correct_b": 1, "objects_n": 4}
        for row in range(3)
        for scope in ("all", "unnamed")
    ]
    attacks = [
        {"model": model, "side": "a", "epoch": 9, "attack": "csa", "metric": metric, "value": value, "n": 4}
        | {"ci_low": value - 0.1, "ci_high": value + 0.1, "p_value": 0.5}
        for model in MODELS
        for metric, value in (("roc_auc", 0.75), ("roc_auc_null", 0.5))
    ]
    verdict = {"epoch": 9, "value": 0.25, "ci_low": 0.2, "ci_high": 0.3, "p_value": 0.02, "detectable": 0.125}
    rows = {
        "samples": [
            {"row": row, "uid": UIDS[row], "role": roles[row], "caption": CAPTIONS[row], "group_id": f"group {row}"}
            | {"objects": ["red square", "rare thing"], "unnamed": ["rare thing"]}
            for row in range(5)
        ],
        "neighbors": [
            {**place, "side": side, "population": roles[row], "row": row, "rank": rank + 1, "public_row": 3 + rank}
            | {"similarity": 0.5}
            for row in range(3)
            for side in "ab"
            for rank in range(2)
        ],
        "sample_scores": scores,
        "population_gaps": cells,
        "attacks": attacks,
        "verdicts": [
            {**verdict, "model": model, "about": about, "verdict": "detected", "sentence": f"{about} detected: 0.250."}
            for model in MODELS
            for about in ("objects", "membership")
        ],
        "sides": [
            {"model": "baseline", "side": side, "kind": "trained", "source": "baseline", "search": "images"}
            for side in "ab"
        ]
        + [
            {"model": "foreign", "side": side, "kind": "checkpoint", "source": CHECKPOINT, "search": "images"}
            | {"preprocessing": f"mean 0.5 (by {FOLDER}/open_clip_config.json)", "preprocessing_known": False}
            for side in "ab"
        ],
        "roles": [
            {"role": role, "dataset": "mine", "samples": 1, "asked": 1, "listed": 7 if role == "a" else None}
            | {"missing": 2 if role == "a" else None}
            for role in ("a", "b", "public", "holdout")
        ],
        "duplicates": [
            {"dataset": "mine", "group_id": "group 0", "size": 2, "criteria": {"key": 2}, "members": [0, 2]}
        ],
        "stages": [{"stage": "duplicates", "subject": "mine", "rows_in": 5, "rows_out": 5, "dropped": []}],
        "privacy": [
            {"model": "baseline", "epoch": 9, "side": "a", "epsilon_low": 1.5, "delta": 0.0, "confidence": 0.95}
            | {"canaries": 100, "guesses": 20, "right_guesses": 19}
        ],
        "remembered_shares": [
            {"model": "baseline", "epoch": 9, "statistic": "recall", "query": "caption", "replicates": 1, "samples": 4}
            | {"control": 4, "rate": 0.1, "listed": 1, "listed_placebo": 0.0, "share_low": 0.125}
        ],
        "sample_memorization": [
            {"model": "baseline", "epoch": 9, "statistic": "recall", "query": "caption", "population": "a", "row": 0}
            | {"replicates": 1, "advantage": 0.5, "p_value": 0.01, "q_value": 0.05}
        ],
        "sample_attacks": [
            {"model": "baseline", "side": "a", "epoch": 9, "population": "a", "row": 0, "csa": 0.5, "clipmem": 0.1}
        ],
        "hashes": [
            {"of": "configuration", "sha256": "0" * 64},
            {"of": "samples", "name": "mine", "sha256": "1" * 64},
            {"of": "checkpoint", "model": "baseline", "side": "a", "epoch": 9, "replicate": 0, "name": "320.pt"}
            | {"sha256": "2" * 64, "bytes": 12},
        ],
        "provenance": [
            {"key": key, "value": value}
            for key, value in (("version", "1.2.3"), ("commit", "f" * 40), ("modified", "true"))
        ]
        + [{"key": "date", "value": "2026-01-02T03:04:05Z"}, {"key": "python", "value": "3.11.7"}]
        + [{"key": "processor", "value": "a CPU"}, {"key": "cores", "value": "2"}, {"key": "gpu", "value": None}],
    }
    recipe = {
        "architecture": f"{FOLDER}/tiny.json",
        "samples_seen": 320,
        "batch_size": 32,
        "learning_rate": 0.001,
        "weight_decay": 0.1,
        "precision": "fp32",
        "loss": "clip",
        "seed": 0,
        "text_mask": 0.5,
    }
    config = {
        "measure__k": [1, 10],
        "measure__labels": [1, "all"],
        "measure__queries": ["caption", "rare"],
        "measure__samplings__fraction": 0.1,
        "measure__top_l__fractions": [0.1],
        "report__gallery": 5,
        "datasets__mine__raw": ["raw/customers of berlin.parquet"],
        "datasets__mine__root": FOLDER,
        "splits__default__roles__a__uids": f"{FOLDER}/members.txt",
        "models__foreign__sides__a__checkpoint": CHECKPOINT,
        **{f"models__baseline__{key}": value for key, value in recipe.items()},
    }
    return write_database(path, rows, **config)
