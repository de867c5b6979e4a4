"""A database names what wrote it and what it measured, and neither the machine nor its user."""

from __future__ import annotations

import getpass
import hashlib
import socket
import subprocess
from pathlib import Path

import pytest
from tests.harness.project import ROOT

from dejavu.database.provenance import git_state, provenance_rows
from dejavu.digests import digests_of


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    for name in ("src/one.py", "config/config.yaml"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "first")
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def test_the_commit_of_a_clone_is_named_and_whether_its_code_was_changed(clone: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD").strip()
    assert git_state(clone) == (commit, False)
    (clone / "config" / "config.yaml").write_text("another configuration has a hash of its own\n")
    assert git_state(clone) == (commit, False)
    (clone / "src" / "new.py").write_text("")
    assert git_state(clone) == (commit, True)


def test_what_is_no_clone_has_no_commit_even_within_another_clone(clone: Path, tmp_path: Path) -> None:
    installed = clone / "site-packages"
    installed.mkdir()
    assert git_state(installed) == (None, None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".git").mkdir()
    assert git_state(tmp_path / "empty") == (None, None)


def test_the_version_is_that_of_the_package() -> None:
    line = next(line for line in (ROOT / "src/dejavu/__init__.py").read_text().splitlines() if "__version__ =" in line)
    (version,) = (row["value"] for row in provenance_rows() if row["key"] == "version")
    assert version == line.split('"')[1]


def test_neither_the_machine_nor_its_user_is_named() -> None:
    values = [row["value"] for row in provenance_rows() if row["value"]]
    names = {socket.gethostname(), socket.getfqdn(), getpass.getuser(), str(ROOT), str(Path.home())}
    assert not names & set(values)
    assert not [value for value in values if "/" in value.replace("w/", "")]


def test_digests_of_weights_are_those_of_their_bytes(tmp_path: Path) -> None:
    for name, data in (("b.safetensors", b"two"), ("a.pt", b"one" * 1_000_000), ("config.json", b"{}")):
        (tmp_path / name).write_bytes(data)
    found = digests_of(tmp_path)
    assert [file["name"] for file in found] == ["a.pt", "b.safetensors"]
    assert found[0] == digests_of(tmp_path / "a.pt")[0]
    assert found[0]["sha256"] == hashlib.sha256(b"one" * 1_000_000).hexdigest() and found[0]["bytes"] == 3_000_000
