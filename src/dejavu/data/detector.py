"""Detection of objects with a zero-shot detector of ``transformers``: OWL-ViT, OWLv2 or Grounding DINO.

Each label of the vocabulary has its own score, so one box may have several labels. Non-maximum suppression keeps the
best of overlapping boxes with the same label. :mod:`dejavu.data.detector_families` contains the families of models.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torchvision.ops import batched_nms, box_convert, clip_boxes_to_image

from dejavu.data.detector_families import FAMILIES, Family
from dejavu.data.images import decode_rgb
from dejavu.data.samples import scan_file
from dejavu.errors import InputError
from dejavu.files import first_line, write_table
from dejavu.progress import Progress
from dejavu.tables.data import OBJECTS

# intersection over union above which non-maximum suppression removes a box
MAX_OVERLAP = 0.5
MAX_OBJECTS = 300
# largest number of candidates per image that non-maximum suppression gets; those with the highest scores are kept
MAX_CANDIDATES = 10_000

# the objects of one image, each with label, score and box
Found = list[dict[str, Any]]


class Detector:
    """A zero-shot detector with a vocabulary.

    Args:
        family: the model.
        labels: the labels of the vocabulary, in the order in which the model is asked for them.
        min_score: lowest score of an object that is kept.
    """

    def __init__(self, family: Family, labels: Sequence[str], min_score: float) -> None:
        self.family, self.labels, self.min_score = family, list(labels), min_score

    @torch.inference_mode()
    def __call__(self, images: list[Image.Image]) -> list[Found]:
        """Find the objects of images.

        Args:
            images: images in RGB, of any size.

        Returns:
            For each image, at most :data:`MAX_OBJECTS` objects with label, score and box (left, top, right, bottom in
            pixels), those with the highest scores first.
        """
        kept: list[list[tuple[torch.Tensor, ...]]] = [[] for _ in images]
        for start, scores, boxes in self.family.blocks(images):
            for i in range(len(images)):
                box, label = (scores[i] >= self.min_score).nonzero(as_tuple=True)
                best = _highest(scores[i][box, label])
                kept[i].append((boxes[i][box[best]], scores[i][box, label][best], label[best] + start))
        return [
            self._best(image, *map(torch.cat, zip(*parts, strict=True)))
            for image, parts in zip(images, kept, strict=True)
        ]

    def _best(self, image: Image.Image, boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor) -> Found:
        order = _highest(scores)
        boxes, scores, labels = boxes[order], scores[order], labels[order]
        corners = box_convert(boxes, "cxcywh", "xyxy") * torch.tensor(self.family.extent(image) * 2).to(boxes)
        corners = clip_boxes_to_image(corners, (image.height, image.width))
        inside = ((corners[:, 2:] - corners[:, :2]) > 0).all(dim=1)
        corners, scores, labels = corners[inside], scores[inside], labels[inside]
        best = batched_nms(corners, scores, labels, MAX_OVERLAP)[:MAX_OBJECTS]
        return [
            {"label": self.labels[label], "score": score, "box": box}
            for label, score, box in zip(
                labels[best].tolist(), scores[best].tolist(), corners[best].tolist(), strict=True
            )
        ]


def _highest(scores: torch.Tensor) -> torch.Tensor:
    """Return the places of the highest scores, in descending order; equal scores keep their order."""
    return scores.argsort(descending=True, stable=True)[:MAX_CANDIDATES]


def model_folder(model: str) -> Path:
    """Return the folder of a model that is given by its folder or by its name in the user's cache. Download nothing.

    Raises:
        InputError: when the model is in neither place.
    """
    if Path(model).is_dir():
        return Path(model)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, local_files_only=True))
    except ImportError:
        raise _not_installed() from None
    except Exception as error:
        raise InputError(
            f"the detector {model!r} is neither a folder nor in the cache ({first_line(error)}), and nothing is "
            "downloaded: fetch it on a machine with a network, or give the folder of the model."
        ) from None


def load_detector(model: str, vocabulary: Mapping[str, str], *, device: str, min_score: float) -> Detector:
    """Load a detector, without downloads and without running code that comes with the model.

    Args:
        model: folder of a model in the format of ``transformers``, or the model's name in the user's cache.
        vocabulary: label -> phrase that the detector is asked for.
        device: ``cpu`` or ``cuda``.
        min_score: lowest score, in [0, 1], of an object that is kept.

    Raises:
        InputError: when ``transformers`` is not installed, the model cannot be loaded, lacks weights or belongs to
            another family, or an entry of the vocabulary is too long for the model.
    """
    kind, loaded, processor = _load(model, device)
    with torch.inference_mode():
        family = FAMILIES[kind](loaded, processor, list(vocabulary.values()), device)
    return Detector(family, list(vocabulary), min_score)


def _load(model: str, device: str) -> tuple[str, Any, Any]:
    """Return the name of a model's family, the model, and its processor."""
    folder = model_folder(model)
    try:
        from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, AutoProcessor
        from transformers.utils.logging import disable_progress_bar
    except ImportError:
        raise _not_installed() from None
    disable_progress_bar()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(folder, **local).model_type
        if kind not in FAMILIES:
            raise InputError(
                f"the detector {model!r} is of the kind {kind!r}, but it must be one of {', '.join(FAMILIES)}: "
                "name another."
            )
        processor = AutoProcessor.from_pretrained(folder, **local)
        loaded, loading = AutoModelForZeroShotObjectDetection.from_pretrained(
            folder, dtype=torch.float32, weights_only=True, output_loading_info=True, **local
        )
        loaded = loaded.to(device).eval()
    except InputError:
        raise
    except Exception as error:  # transformers raises many kinds of exceptions for an incomplete model.
        raise InputError(
            f"the detector {model!r} cannot be loaded ({first_line(error)}): give the folder of a whole model, or a "
            "name that is in the cache; nothing is downloaded, and code in a file of weights is never run."
        ) from error
    # transformers fills missing weights with random numbers and goes on.
    if missing := sorted(loading["missing_keys"]):
        raise InputError(
            f"the detector {model!r} lacks {len(missing):,} of its weights ({missing[0]}, …): its files do not belong "
            "together, or are of another model; give the folder of a whole model."
        )
    return kind, loaded, processor


def _not_installed() -> InputError:
    return InputError(
        "annotate.from is detector, which needs transformers, which is not installed: "
        "add it with pip install 'vlm-dejavu[detector]'."
    )


def detection_key(model: str, settings: Mapping[str, Any]) -> str:
    """Return a hash of the model's files (names, sizes, modification times) and of the settings of detection."""
    files = sorted(file for file in model_folder(model).iterdir() if file.is_file())
    identity = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return _hash([identity, dict(settings)])


def detect_batch(
    detector: Detector,
    files: Mapping[Path, Path],
    state: Path,
    *,
    key: str,
    batch_size: int,
    title: str,
) -> None:
    """Write the objects of the samples in some files, schema ``OBJECTS``.

    A job that follows a killed one reuses the files that are finished.

    Args:
        detector: the detector.
        files: file of the samples table -> file of objects to write, which does not exist yet.
        state: folder of finished files, which stays after a kill and is removed at the end.
        key: hash of everything that detection depends on besides the samples, from :func:`detection_key`.
        batch_size: number of images that the detector gets at a time.
        title: name of the job, for the progress lines.
    """
    rows = [pq.read_metadata(file).num_rows for file in files]
    progress = Progress(title, sum(rows), "images")
    finished = [state / f"{_hash([key, file.name, _identity(file)])}.parquet" for file in files]
    for file, part, count in zip(files, finished, rows, strict=True):
        if part.is_file():
            progress.skip(count)
        else:
            write_table(part, _detected(detector, file, batch_size, progress), OBJECTS)
    for part, target in zip(finished, files.values(), strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Snakemake deletes the outputs of a killed job before it reruns, so a file that was moved here would be lost.
        shutil.copyfile(part, target)
    shutil.rmtree(state)
    progress.finish()


def _detected(detector: Detector, samples: Path, batch_size: int, progress: Progress) -> Iterator[pa.Table]:
    for group in scan_file(samples, ["row", "source_row", "image"]):
        # Samples of one image, one for each caption, have consecutive rows. The detector sees each image once.
        first = np.flatnonzero(np.diff(group["source_row"].to_numpy(), prepend=-1))
        objects_of: list[Found] = []
        for start in range(0, len(first), batch_size):
            images = group["image"].take(first[start : start + batch_size]).to_pylist()
            objects_of += detector([decode_rgb(image) for image in images])
            progress.advance(len(images))
        copies = np.diff(first, append=group.num_rows)
        progress.advance(group.num_rows - len(first))
        objects = [objects_of[image] for image in np.repeat(np.arange(len(first)), copies)]
        yield pa.table({"row": group["row"], "objects": pa.array(objects, OBJECTS.field("objects").type)})


def _identity(file: Path) -> list[int]:
    """Return size and modification time, which differ when a file has changed."""
    return [file.stat().st_size, file.stat().st_mtime_ns]


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()
