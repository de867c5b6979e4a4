"""The engine of a search follows from the flags of the CPU, the device, and what is installed."""

from __future__ import annotations

import sys

import pytest

from dejavu.errors import InputError
from dejavu.retrieval import choice


@pytest.mark.parametrize(
    ("flags", "engine"),
    [
        ("fpu avx2 fma", "faiss"),
        ("avx2 avx512f", "float32"),
        ("avx2 avx_vnni", "int8"),
        ("avx512f avx512_vnni", "int8"),
        ("avx512f avx512_vnni avx512_bf16", "int8"),
        ("avx512f avx512_vnni amx_tile amx_bf16", "bfloat16"),
    ],
)
def test_auto_guesses_the_engine_from_the_flags_of_the_cpu(tmp_path, monkeypatch, flags, engine):
    monkeypatch.setattr(choice, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n\nprocessor : 1\nflags : none\n")
    assert choice.guessed("cpu") == engine
    # PyTorch takes longer to load than this search takes
    assert choice.guessed("cpu", products=1e6) == "faiss"
    assert choice.guessed("cuda") == "bfloat16"


def test_where_the_flags_are_not_known_and_faiss_is_not_installed_float32_searches(monkeypatch):
    monkeypatch.setattr(choice, "cpu_flags", frozenset)
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert choice.guessed("cpu") == "float32"


def test_faiss_that_is_asked_for_and_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match="measure.search is faiss, but FAISS is not installed here"):
        choice.engine_on("faiss", "cpu", 1)
