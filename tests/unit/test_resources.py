"""Jobs ask for memory and time by the size of their input, and for more at every further attempt."""

from __future__ import annotations

import pytest

from dejavu.plan.resources import (
    RATES,
    embed_workers,
    grown,
    search_minutes,
    size_of,
    training_memory,
    training_minutes,
)

RECIPE = {"shuffle_buffer": 20_000, "batch_size": 128, "processes": 4, "torch_threads": 2, "samples_seen": 1_000_000}


@pytest.fixture
def gigabyte(tmp_path):
    """A file of 1 GB that takes no room."""
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(10**9)
    return path


def test_a_folder_is_as_large_as_its_files_and_what_is_not_there_has_no_size(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}").write_bytes(b"x" * 10)
    assert size_of(folder) == size_of(str(folder)) == 30
    assert size_of(folder / "0") == 10
    assert size_of(tmp_path / "not there") == 0


def test_an_amount_grows_with_the_files_and_with_every_attempt(gigabyte):
    assert grown(1, 1000, 500, []) == 1000
    assert grown(1, 1000, 500, [gigabyte]) == 1500
    assert grown(3, 1000, 500, [gigabyte, gigabyte]) == 3 * 2000


def test_the_time_of_a_search_grows_with_queries_times_searched(gigabyte):
    # 125 million rows against 125 million are 1.5625e16 pairs, at 5e9 pairs a minute
    assert search_minutes(1, [gigabyte], gigabyte, 1, RATES["cpu"]) == 30 + 3_125_000
    assert search_minutes(1, [gigabyte], gigabyte, 2, RATES["cpu"]) == 30 + 6_250_000
    assert search_minutes(2, [gigabyte], gigabyte, 1, RATES["cuda"]) == 2 * (30 + 156_250)


def test_every_process_of_a_training_holds_its_share_of_the_batch():
    assert training_memory(1, RECIPE, 4) == 4 * (4000 + 1000 + 32)
    assert training_memory(2, RECIPE, 1) == 2 * (4000 + 1000 + 32)


def test_a_training_asks_for_the_time_of_its_samples_and_for_a_day_at_most():
    # 20 samples a second for each of 2 threads in 4 processes; 300 for each of 4 GPUs
    assert training_minutes(RECIPE, "cpu") == 30 + 105
    assert training_minutes(RECIPE, "cuda") == 30 + 14
    assert training_minutes(RECIPE | {"samples_seen": 10**9}, "cpu") == 24 * 60


def test_a_gpu_s_share_of_the_cores_decodes_and_on_a_cpu_none_unless_asked():
    assert embed_workers(None, "cpu", 64, None) == 0
    assert embed_workers(3, "cpu", 2, None) == embed_workers(3, "cuda", 2, 1) == 3
    assert embed_workers(0, "cuda", 16, 1) == 0
    # one core of the share runs the model
    assert embed_workers(None, "cuda", 16, 1) == embed_workers(None, "cuda", 128, 8) == 15
    assert embed_workers(None, "cuda", 64, 8) == 7
    assert embed_workers(None, "cuda", 1, 1) == embed_workers(None, "cuda", 4, 4) == 1
    # a cluster's nodes are not known, and more than fifteen gain nothing
    assert embed_workers(None, "cuda", None, None) == 7
    assert embed_workers(None, "cuda", 192, 1) == 15
