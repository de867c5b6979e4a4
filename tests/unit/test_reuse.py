"""Of a changed batch, only changed files are ingested."""

from __future__ import annotations

import os

from tests.harness.raw_forms import (
    progress,
    with_bytes,
    with_paths,
    with_tar,
    write_tar,
)

from dejavu.data.ingest import Ingested, RawFile, ingest_changed, ingest_file
from dejavu.data.raw import file_id
from dejavu.data.reuse import Kept
from dejavu.files import atomic


def test_of_a_changed_batch_only_changed_files_are_ingested(tmp_path, pairs, monkeypatch):
    forms = {}
    for name, form in (("a", with_bytes), ("b", with_tar), ("c", with_paths)):
        (tmp_path / name).mkdir()
        forms[name] = form(tmp_path / name, pairs[:20])
    read: list[str] = []

    def counting(raw, *others):
        read.append(raw.name)
        return ingest_file(raw, *others)

    monkeypatch.setattr("dejavu.data.ingest.ingest_file", counting)

    def run(settings: str = "code") -> dict[str, bytes]:
        read.clear()
        written = {}
        for name, form in forms.items():
            outputs = [tmp_path / kind / f"{name}.parquet" for kind in ("samples", "quarantine")]
            for path in outputs:
                path.unlink(missing_ok=True)  # Snakemake deletes the outputs before a job
            kept = Kept(tmp_path / "state", settings)
            ingest_changed(kept, RawFile(form.raw, name, form.columns), Ingested(*outputs), progress(), form.how)
            written |= {str(path): path.read_bytes() for path in outputs}
        return written

    first = run()
    assert read == ["a", "b", "c"]
    assert run() == first
    assert read == []

    os.utime(forms["a"].raw, ns=(1, 1))
    assert run() == first
    assert read == ["a"]

    write_tar(tmp_path / "b" / "raw.tar", {})
    changed = run()
    assert read == ["b"]
    assert changed != first

    (tmp_path / "c" / "images" / pairs[3].file).unlink()
    run()
    assert read == ["c"]

    run("other code")
    assert read == ["a", "b", "c"]


def test_a_damaged_file_is_not_taken_from_what_was_kept(tmp_path, pairs):
    form = with_bytes(tmp_path, pairs[:20])
    outputs = [tmp_path / kind / "a.parquet" for kind in ("samples", "quarantine")]
    kept = Kept(tmp_path / "state", "code")
    ingest_changed(kept, RawFile(form.raw, "a", form.columns), Ingested(*outputs), progress(), form.how)
    whole = outputs[0].read_bytes()
    with open(outputs[0], "r+b") as file:  # both names mean the same file
        file.truncate(100)
    outputs[0].unlink()
    ingest_changed(kept, RawFile(form.raw, "a", form.columns), Ingested(*outputs), progress(), form.how)
    assert outputs[0].read_bytes() == whole


def test_what_was_kept_of_files_that_are_gone_is_let_go(tmp_path, pairs):
    form = with_bytes(tmp_path, pairs[:20])
    kept = Kept(tmp_path / "state", "code")
    for name in "ab":
        outputs = [tmp_path / kind / f"{name}.parquet" for kind in ("samples", "quarantine")]
        ingest_changed(kept, RawFile(form.raw, name, form.columns), Ingested(*outputs), progress(), form.how)
    kept.prune(["b"])
    assert {path.name.split(".")[0] for path in (tmp_path / "state").iterdir()} == {f"{file_id('b'):08x}"}


def test_letting_go_of_files_that_are_gone_leaves_alone_what_another_job_is_writing(tmp_path):
    present, gone = (tmp_path / f"{file_id(name):08x}.json" for name in "ab")
    killed = tmp_path / f".{gone.name}.{'0' * 16}.tmp"
    killed.touch()
    # The inventory lets go while jobs of the same dataset read raw files and keep what they make.
    with atomic(present) as temporary:
        temporary.write_text("{}")
        Kept(tmp_path, "code").prune(["a"])
    assert list(tmp_path.iterdir()) == [present]
