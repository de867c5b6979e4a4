"""The configuration of a dataset: keys that contradict each other, files that are missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dejavu.config import load_config
from dejavu.errors import InputError
from dejavu.plan.datasets import Dataset


@pytest.fixture
def load(repository) -> Callable[..., dict]:
    roles = ["a", "b", "public", "holdout"]
    intervals = {role: {"interval": [i / 4, (i + 1) / 4]} for i, role in enumerate(roles)}

    def configured(dataset: dict) -> dict:
        given = {
            "datasets": {"mine": dataset},
            "splits": {"default": {"dataset": "mine", "roles": intervals}},
            "models": {"base": {"architecture": "ViT-B-32", "samples_seen": 5000}},
        }
        return load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)["datasets"]["mine"]

    return configured


COCO = {"captions": "captions.json", "instances": "instances.json", "images": "images"}
WRONG = {
    "two_sources": ({"raw": ["*.parquet"], "coco": COCO}, "exactly one of coco, "),
    "coco_without_images": ({"coco": {"captions": "c.json"}}, "datasets.mine.coco.images"),
    "coco_without_objects": ({"coco": {**COCO, "instances": None}}, "datasets.mine.coco.instances"),
    "no_coco_file": ({"coco": {**COCO, "files": 0}}, "datasets.mine.coco.files"),
    "tar_and_image_column": ({"raw": ["*"], "images": "tar", "columns": {"image": "x"}}, "columns.image"),
    "tar_and_image_root": ({"raw": ["*"], "images": "tar", "image_root": "x"}, "image_root"),
    "tar_of_coco": ({"coco": COCO, "images": "tar"}, "images: tar"),
    "image_root_of_coco": ({"coco": COCO, "image_root": "x"}, "image_root"),
    "shrink_to_nothing": ({"raw": ["*"], "store": "shrink"}, "datasets.mine.short_side"),
    "short_side_of_a_copy": ({"raw": ["*"], "short_side": 64}, "set store to shrink"),
    "unknown_store": ({"raw": ["*"], "store": "link"}, "datasets.mine.store"),
    "unknown_captions": ({"raw": ["*"], "captions": "last"}, "datasets.mine.captions"),
    "no_caption": ({"raw": ["*"], "max_caption": 0}, "datasets.mine.max_caption"),
    "no_side": ({"raw": ["*"], "min_side": 0}, "datasets.mine.min_side"),
}


@pytest.mark.parametrize("name", WRONG)
def test_keys_about_images_that_contradict_each_other_are_refused_with_a_sentence(load, name):
    dataset, says = WRONG[name]
    with pytest.raises(InputError) as error:
        load(dataset)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["captions.json", "instances.json", "images"])
def test_a_missing_part_of_a_coco_set_is_named_before_any_job(load, tmp_path, missing):
    (tmp_path / "images").mkdir()
    for name in ("captions.json", "instances.json"):
        (tmp_path / name).touch()
    path = tmp_path / missing
    assert list(Dataset.of("mine", load({"root": str(tmp_path), "coco": COCO})).paths.values())[0].startswith("results")
    path.rmdir() if missing == "images" else path.unlink()
    with pytest.raises(InputError) as error:
        Dataset.of("mine", load({"root": str(tmp_path), "coco": COCO}))
    assert str(path) in str(error.value)


def test_a_parquet_file_without_its_tar_is_named_before_any_job(load, tmp_path):
    for name in ("0.parquet", "0.tar", "1.parquet"):
        (tmp_path / name).touch()
    section = load({"root": str(tmp_path), "raw": ["*.parquet"], "images": "tar"})
    with pytest.raises(InputError) as error:
        Dataset.of("mine", section)
    assert str(tmp_path / "1.tar") in str(error.value)
    (tmp_path / "1.tar").touch()
    dataset = Dataset.of("mine", section)
    assert sum((dataset.tars(batch) for batch in dataset.batches), []) == [str(tmp_path / f"{i}.tar") for i in (0, 1)]
    assert (dataset.columns["image"], dataset.columns["key"]) == (None, "key")


def test_images_of_coco_are_looked_for_in_its_folder_and_those_of_paths_in_the_root(load, tmp_path):
    def image_root(**dataset: object) -> object:
        return Dataset("mine", load(dataset), {}, {}).ingestion["image_root"]

    assert image_root(root="data", coco=COCO) == "data/images"
    assert image_root(root="data", raw=["*"]) == "data"
    assert image_root(root="data", raw=["*"], image_root="elsewhere") == "elsewhere"
