"""Sizes of what a GPU is made to do, and the table of what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dejavu.files import write_json, write_text
from dejavu.progress import say


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    architecture: str = "ViT-B-32"
    product: int = 8192
    steps: int = 8
    batch: int = 1024
    accumulated: int = 4096
    embedded: int = 8192
    images: int = 4096
    public: int = 1_000_000
    queries: int = 10_000
    dimension: int = 512
    k: int = 100
    repeats: int = 3


TINY = Sizes("config/architectures/tiny.json", 256, 2, 8, 16, 32, 48, 3_000, 200, 32, 10, 1)


@dataclass(frozen=True)
class Measured:
    """One line of the table.

    Attributes:
        what: what is measured.
        ours: in ``unit``; of the lines about the card, what it can do.
        unit: such as ``pairs/s``.
        share: of the card's measured peak, or None.
        peer, peer_share: the same of the peer, or None.
        note: the peak that is meant, and the peer.
    """

    what: str
    ours: float
    unit: str
    share: float | None = None
    peer: float | None = None
    peer_share: float | None = None
    note: str = ""


class Bench:
    """The card, what has been measured of it, and where that is written."""

    def __init__(self, device: str, sizes: Sizes, folder: Path) -> None:
        self.device, self.sizes, self.folder = device, sizes, folder
        self.found: list[Measured] = []
        self.peaks: dict[torch.dtype, float] = {}
        self.name = torch.cuda.get_device_name() if device == "cuda" else "a CPU, which says nothing about a GPU"

    def note(self, measured: Measured) -> None:
        """Prints a line, and writes all of them."""
        self.found.append(measured)
        say(f"[gpu] {cells_of(measured)}")
        about = {"card": self.name, "torch": torch.__version__, "cuda": torch.version.cuda}
        write_json(self.folder / "gpu.json", {**about, "measured": [asdict(one) for one in self.found]})
        write_text(self.folder / "gpu.md", self.table() + "\n")

    def table(self) -> str:
        """Markdown."""
        lines = [("", "ours", "share of peak", "peer", "share of peak", "ratio", "")]
        lines += [("---",) * 7, *map(cells_of, self.found)]
        head = f"{self.name}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}:"
        return "\n".join([head, "", *("| " + " | ".join(cells) + " |" for cells in lines)])

    def seconds(self, function: Callable[[], Any], repeats: int = 1) -> float:
        """The best time that a function takes, all that it started on the device included."""
        best = float("inf")
        for _ in range(repeats):
            self.wait()
            start = time.perf_counter()
            function()
            self.wait()
            best = min(best, time.perf_counter() - start)
        return best

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def cells_of(one: Measured) -> tuple[str, ...]:
    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.1%}"

    ratio = "" if one.peer is None else f"{one.ours / one.peer:.2f}"
    peer = "" if one.peer is None else f"{one.peer:,.4g} {one.unit}"
    return one.what, f"{one.ours:,.4g} {one.unit}", share(one.share), peer, share(one.peer_share), ratio, one.note
