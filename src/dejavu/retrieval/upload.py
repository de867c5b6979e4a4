"""Copies of arrays on a device: to a GPU by way of page-locked memory, beside what the GPU computes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# of page-locked memory, twice: one half is filled while the other is copied
BYTES = 1 << 26


class Upload:
    """Copies float32 arrays to a device.

    Args:
        torch: PyTorch, which this module does not import.
        device: ``cpu``, where nothing is copied, or ``cuda``.
    """

    def __init__(self, torch: Any, device: str) -> None:
        self._torch, self._device, self._on_gpu = torch, device, device == "cuda"
        self._stream = torch.cuda.Stream() if self._on_gpu else None
        self._halves: list[Any] = []

    def __call__(self, vectors: np.ndarray) -> Any:
        """Return float32 (n, dimension) on the device."""
        with warnings.catch_warnings():
            # PyTorch warns that a memory-mapped array is read-only; nothing writes to it here
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            source = self._torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
        return self._copied(source) if self._on_gpu else source

    def _copied(self, source: Any) -> Any:
        torch = self._torch
        if not self._halves:
            self._halves = [torch.empty(BYTES // 4, dtype=torch.float32, pin_memory=True) for _ in range(2)]
        copied = [torch.cuda.Event() for _ in self._halves]
        target = torch.empty_like(source, device=self._device)
        at_once = max(1, BYTES // (4 * max(1, source.shape[1])))
        for turn, start in enumerate(range(0, len(source), at_once)):
            part, event = source[start : start + at_once], copied[turn % 2]
            locked = self._halves[turn % 2][: part.numel()].view(part.shape)
            # of an event that was never recorded nothing is waited for
            event.synchronize()
            locked.copy_(part)
            target[start : start + len(part)].copy_(locked, non_blocking=True)
            event.record()
        for event in copied:
            event.synchronize()
        return target

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Let a GPU work on what follows beside other work; it is done at the end.

        Memory that this uses anew may have belonged to a block which earlier work still reads, so it waits for that.
        """
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(self._torch.cuda.default_stream())
        with self._torch.cuda.stream(self._stream):
            yield
        self._stream.synchronize()
