"""Atomic files, code hashes and progress lines."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from dejavu import progress
from dejavu.data.samples import SampleStore
from dejavu.errors import InputError, closest, require_same_rows
from dejavu.files import (
    atomic,
    map_array,
    read_array,
    read_table,
    refused_writing,
    temporary_beside,
    write_array,
    write_json,
    write_table,
    write_text,
)
from dejavu.progress import Progress

SCHEMA = pa.schema([("row", pa.int64()), ("name", pa.string())])


def table(number: int) -> pa.Table:
    return pa.table({"row": list(range(number)), "name": [f"n{i}" for i in range(number)]}, schema=SCHEMA)


def test_a_failed_writing_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "below" / "x.txt"
    write_text(path, "old")
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def killed_before_renaming(path: Path) -> None:
    """Leaves what a killed process leaves: a file, one that DuckDB adds to it, and a folder."""
    program = """
import os, signal, sys
from pathlib import Path
from dejavu.files import atomic, temporary_beside
path = Path(sys.argv[1])
with temporary_beside(path) as folder, atomic(path) as file:
    folder.mkdir()
    (folder / "part").touch()
    file.touch()
    file.with_name(f"{file.name}.wal").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program, path], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(path.parent.glob(".*"))) == 3


def test_what_a_killed_process_left_is_removed_by_the_next_writer_alone(tmp_path):
    path, other = tmp_path / "x.json", tmp_path / "x"
    killed_before_renaming(path)
    write_text(other, "of another job")
    assert len(list(tmp_path.glob(".*"))) == 3
    # another process is writing a temporary folder of the same target
    with temporary_beside(path) as folder:
        folder.mkdir()
        write_text(path, "new")
        assert list(tmp_path.glob(".*")) == [folder]
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_a_process_whose_temporary_was_removed_fails_and_leaves_the_newer_file(tmp_path):
    path = tmp_path / "x.txt"
    with pytest.raises(FileNotFoundError), atomic(path) as temporary:
        temporary.write_text("of a process that should be dead")
        temporary.unlink()
        path.write_text("new")
    assert path.read_text() == "new"


def write_full(with_what: str) -> None:
    if with_what == "text":
        Path("/dev/full").write_text("x")
    elif with_what == "array":
        with open("/dev/full", "wb") as handle:
            np.save(handle, np.zeros(100_000))
    elif with_what == "parquet":
        with pq.ParquetWriter("/dev/full", SCHEMA) as writer:
            writer.write_table(table(100_000))
    elif with_what == "torch":
        with open("/dev/full", "wb") as handle:
            torch.save({"x": torch.zeros(100_000)}, handle)
    elif with_what == "copy":
        Path("x").write_text("x")
        shutil.copyfile("x", "/dev/full")


@pytest.mark.parametrize("with_what", ["text", "array", "parquet", "torch", "copy"])
def test_a_full_disk_is_told_in_one_sentence_whoever_writes(tmp_path, monkeypatch, with_what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error, atomic(tmp_path / "x.out"):
        write_full(with_what)
    assert str(error.value).startswith(f"{tmp_path / 'x.out'} cannot be written, since the disk is full: make room")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "the disk quota is used up"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "its file system is read-only"),
        (OSError("300000 requested and 131056 written"), "the disk is full"),
        (RuntimeError('IO Error: Could not write file "x": No space left on device'), "the disk is full"),
    ],
)
def test_other_reasons_and_other_libraries_errors_are_told_too(error, reason):
    assert str(refused_writing(error, Path("x"))).startswith(f"x cannot be written, since {reason}: ")


def test_permission_denied_is_told_with_the_file():
    denied = refused_writing(PermissionError(errno.EACCES, "Permission denied", "/raw/x"), Path("y"))
    assert str(denied) == "/raw/x: permission is denied: change its permissions and run again."
    assert refused_writing(FileNotFoundError(errno.ENOENT, "No such file", "x"), Path("y")) is None
    assert refused_writing(ValueError("x"), Path("y")) is None


def test_a_full_disk_outside_of_our_writers_is_one_sentence_in_the_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = "from pathlib import Path; from dejavu.progress import logged\nwith logged({}): {}"

    def run(log: str, body: str) -> tuple[int, str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", program.format(repr(log), body)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    sentence = f"error: a file in {tmp_path} cannot be written, since the disk is full: make room"
    assert run("x.log", "Path('/dev/full').write_bytes(b'x')") == (1, "")
    # the first line says where the job ran
    (told,) = Path("x.log").read_text().splitlines()[1:]
    assert told.startswith(sentence)
    # where the disk of the log is full, the terminal shows the message
    status, terminal = run("/dev/full", "print('x' * 100_000)")
    assert status == 1
    assert terminal.startswith(sentence)


def test_a_mapped_array_is_what_numpy_saves_and_has_its_space_from_the_start(tmp_path):
    content = np.arange(12, dtype=np.float32).reshape(4, 3)
    array = map_array(tmp_path / "x.npy", (4, 3), np.float32)
    assert os.stat(tmp_path / "x.npy").st_blocks > 0
    array[...] = content
    array.flush()
    write_array(tmp_path / "y.npy", content)
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_a_table_whose_parts_fail_is_not_written(tmp_path):
    def parts():
        yield table(3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_table(tmp_path / "t.parquet", parts(), SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_written_part_by_part_and_its_rows_are_counted(tmp_path):
    path = tmp_path / "t.parquet"
    parts = [table(3), table(0), table(2)]
    assert write_table(path, iter(parts), SCHEMA) == 5
    assert read_table(path).to_pylist() == table(3).to_pylist() + table(2).to_pylist()
    assert write_table(path, iter([]), SCHEMA) == 0
    assert read_table(path).schema.equals(SCHEMA)


@pytest.mark.parametrize(
    "part",
    [pa.table({"row": [1]}), pa.table({"row": ["one"], "name": ["x"]})],
    ids=["missing", "other_type"],
)
def test_a_table_without_a_column_of_the_schema_is_refused(tmp_path, part):
    with pytest.raises((KeyError, ValueError, pa.ArrowException)):
        write_table(tmp_path / "t.parquet", part, SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_columns_are_written_in_the_order_of_the_schema_and_others_left_out(tmp_path):
    part = pa.table({"extra": [0], "name": ["x"], "row": pa.array([1], pa.int32())})
    write_table(tmp_path / "t.parquet", part, SCHEMA)
    assert read_table(tmp_path / "t.parquet").schema.equals(SCHEMA)


def test_json_does_not_depend_on_the_order_of_keys(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": {"d": 2, "c": 3}})
    write_json(tmp_path / "b.json", {"a": {"c": 3, "d": 2}, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("damage", ["emptied", "cut", "overwritten"])
def test_a_damaged_table_is_refused_with_what_to_do(tmp_path, damage):
    path = tmp_path / "00000000.parquet"
    write_table(path, table(5000), SCHEMA)
    whole = path.read_bytes()
    content = {
        "emptied": b"",
        "cut": whole[:-20],
        "overwritten": whole[:10] + b"\xff" * (len(whole) - 1000) + whole[-990:],
    }
    path.write_bytes(content[damage])
    for read in (lambda: read_table(path), lambda: list(SampleStore([tmp_path]).scan(["row", "name"]))):
        with pytest.raises(InputError) as error:
            read()
        assert str(path) in str(error.value)
        assert "delete it and run again" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array"])
def test_a_damaged_array_is_refused_with_what_to_do(tmp_path, content):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match="delete it and run again"):
        read_array(path)


def test_an_array_cut_short_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "x.npy"
    write_array(path, np.arange(1000))
    assert read_array(path).tolist() == list(range(1000))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="delete it and run again"):
        read_array(path)


def test_an_array_of_objects_is_neither_written_nor_read(tmp_path):
    objects = np.array([{}, []], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle"):
        write_array(tmp_path / "x.npy", objects)
    np.save(tmp_path / "y.npy", objects, allow_pickle=True)
    with pytest.raises(InputError):
        read_array(tmp_path / "y.npy")


def test_rows_that_differ_are_refused_with_how_many(tmp_path):
    require_same_rows([1, 2, 3], np.array([3, 1, 2]), "x and y")
    with pytest.raises(InputError, match="x and y: 2 rows are only in the first and 1 only in the second"):
        require_same_rows([1, 2, 3], [3, 4], "x and y")


def test_only_a_near_word_is_suggested():
    assert closest("bacth", ["batch", "seed"]) == " (did you mean 'batch'?)"
    assert closest("unlike", ["batch", "seed"]) == ""


# progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_progress_says_how_far_how_fast_and_how_long_still(clock, capsys):
    line = Progress("train baseline a", 4000, "samples")
    clock.seconds += 20
    line.advance(1000, "loss 2.5")
    assert capsys.readouterr().err == "[train baseline a] 1,000/4,000 samples (25 %), 50/s, 1 min 00 s left, loss 2.5\n"


def test_progress_speaks_at_most_once_in_ten_seconds_and_at_the_end(clock, capsys):
    line = Progress("ingest", 100, "rows")
    for _ in range(100):
        clock.seconds += 0.25
        line.advance(1)
    assert len(capsys.readouterr().err.splitlines()) == 2
    line.finish()
    assert capsys.readouterr().err == "[ingest] 100/100 rows (100 %), 4.00/s, took 25 s\n"


def test_what_an_earlier_run_did_counts_as_done_but_not_in_the_rate(clock, capsys):
    line = Progress("train", 1000, "samples")
    line.skip(500)
    clock.seconds += 10
    line.advance(100)
    assert capsys.readouterr().err == "[train] 600/1,000 samples (60 %), 10/s, 40 s left\n"


def test_progress_without_a_known_total_says_how_many_so_far(clock, capsys):
    line = Progress("annotate", 0, "rows")
    clock.seconds += 12
    line.advance(6)
    assert capsys.readouterr().err == "[annotate] 6 rows, 0.50/s, took 12 s\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(59, "59 s"), (59.8, "1 min 00 s"), (90, "1 min 30 s"), (119.7, "2 min 00 s"), (7260, "2 h 01 min")],
)
def test_durations_are_never_sixty_seconds(clock, capsys, seconds, shown):
    line = Progress("x", 1, "rows")
    clock.seconds += seconds
    line.done = 1
    line.finish()
    assert capsys.readouterr().err.rstrip().endswith(f"took {shown}")
