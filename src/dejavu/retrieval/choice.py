"""Which engine searches: as the configuration says, or as a guess from the CPU's flags.

All engines find the same, so a guess can cost time and changes no result. Nothing is measured.
"""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

from dejavu.errors import InputError
from dejavu.retrieval.engines import Engine, OnFaiss
from dejavu.retrieval.filters import OnTorch

AUTO, FAISS = "auto", "faiss"
CPU_INFO = Path("/proc/cpuinfo")
# flags of the CPU, as Linux names them, with which a search in a type is faster than in those that follow; with
# avx512_bf16 alone the product in int8 is twice that in bfloat16
FLAGS = {
    "bfloat16": frozenset(("amx_bf16",)),
    "int8": frozenset(("avx512_vnni", "avx_vnni")),
    "float32": frozenset(("avx512f",)),
}
# multiplications of a search that FAISS ends before PyTorch is loaded, which takes seconds
SMALL = 3e10


def engine_on(search: str, device: str, threads: int, products: float = float("inf")) -> Engine:
    """Return the engine that ``measure.search`` of the configuration names, for a device.

    Args:
        search: ``auto``, ``faiss``, ``float32``, ``bfloat16`` or ``int8``.
        device: ``cpu`` or ``cuda``. FAISS searches on the CPU alone; on a GPU ``faiss`` means what ``auto`` does.
        threads: threads of the search on the CPU.
        products: number of multiplications of the search. ``auto`` gives a small search to FAISS.

    Raises:
        InputError: when FAISS is asked for and not installed.
    """
    chosen = guessed(device, products) if search == AUTO or (search == FAISS and device != "cpu") else search
    if chosen != FAISS:
        return OnTorch(device, threads, chosen)
    try:
        return OnFaiss(threads)
    except ImportError:
        raise InputError(
            "measure.search is faiss, but FAISS is not installed here: install faiss-cpu, or set it to auto."
        ) from None


def guessed(device: str, products: float = float("inf")) -> str:
    """Return the engine that is most likely the fastest, ``faiss`` or a type of PyTorch's product."""
    if device != "cpu":
        return "bfloat16"
    has_faiss, flags = find_spec(FAISS) is not None, cpu_flags()
    if has_faiss and products < SMALL:
        return FAISS
    for kind, units in FLAGS.items():
        if flags & units:
            return kind
    return FAISS if has_faiss else "float32"


def cpu_flags() -> frozenset[str]:
    """Return the flags of the CPU that Linux names; none where it names none."""
    if platform.system() != "Linux":
        return frozenset()
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    named = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(named.partition(":")[2].split())
