"""What float32, bfloat16 and int8 keep of embeddings, and a proven bound on the error of their products.

Let q be a query, p a public embedding, c the centre of the block, and q̂ and p̂ what the type keeps of q and of p − c.
Then q·p = q·c + q·(p − c), and q·c is the same number for the whole block. Since
q·(p − c) − q̂·p̂ = (q − q̂)·p̂ + q·(p − c − p̂), the Cauchy–Schwarz inequality gives

    |q·(p − c) − q̂·p̂| ≤ ‖q − q̂‖·‖p̂‖ + ‖q‖·‖p − c − p̂‖.

The norms of both residuals are measured for each vector and not assumed, so the bound holds whatever rounding does. To
it comes what the product of q̂ and p̂ loses: nothing in int8, whose sums are whole numbers, and at most γ·‖q̂‖·‖p̂‖
where sums are in float32 (:mod:`dejavu.retrieval.engines`). Tensor cores align the addends of a sum to the largest and
cut them off ("Numerical behavior of NVIDIA tensor cores", Fasi, Higham, Mikaitis and Pranesh, PeerJ Computer Science
2021); a unit four times as large covers that. A product that comes out in bfloat16 was rounded once more, by at most
2⁻⁸ of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dejavu.retrieval.engines import ROUNDOFF, Array, relative_error

KINDS = ("float32", "bfloat16", "int8")
# unit of sums in float32; tensor cores cut off
SUMS = {"float32": ROUNDOFF, "bfloat16": 4 * ROUNDOFF, "int8": ROUNDOFF}
# what a product that comes out in bfloat16 has lost, relative to itself
OUTPUT = {"float32": 0.0, "bfloat16": 2.0**-8, "int8": 0.0}
# covers what float32 rounds in measured norms and in sums of a few numbers
SLACK = 2.0**-20
# and what norms lose where squares are too small for float32
SMALL = 2.0**-60
LARGEST_INT8 = 127
# CUDA's int8 product takes more rows than this, and multiples of eight elsewhere
ROWS_ON_GPU = 16


@dataclass(frozen=True)
class Asked:
    """Queries on the device.

    Attributes:
        stored: float32 (n, dimension), as they are.
        scaled: float32 (n, dimension), divided by powers of two, so that no number in it is above 1.
        exponent: float64 (n,): stored = scaled · 2^exponent.
        rounded: (n, dimension), what the type keeps of the scaled queries.
        unit: float32 (n,), what 1 stands for in ``rounded``.
        norm: float32 (n,), at least the norms of the scaled queries.
        error: float32 (n,), at least what rounding and sums lose, for a public embedding of norm 1.
    """

    stored: Array
    scaled: Array
    exponent: Array
    rounded: Array
    unit: Array
    norm: Array
    error: Array

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Any) -> Asked:
        return Asked(**{part.name: getattr(self, part.name)[rows] for part in fields(self)})


@dataclass(frozen=True)
class Searched:
    """A block of public embeddings on the device, in tiles that are multiplied one by one.

    The members of a group are as far apart in a tile as the tile has groups, so that maxima are taken of whole rows.

    Attributes:
        stored, scaled: float32 (m, dimension), as of queries.
        exponent: of the power of two that all were divided by.
        centre: float32 (dimension,), subtracted before rounding; None: zero.
        tiles: what the type keeps, (tile, dimension) each; zeros fill the last group of the last tile.
        members: number of embeddings in a group.
        largest: at least the norms of the scaled embeddings.
        first, start, step, width: int64 (groups,): position of a group's first member; of its tile; distance between
            its members; number of embeddings in its tile.
        unit, norm, residual: float32 (groups,): what 1 stands for in the tiles, and at least the norms of what was
            kept and of what was lost, the largest of the group.
    """

    stored: Array
    scaled: Array
    exponent: int
    centre: Array | None
    tiles: list[Array]
    members: int
    largest: float
    first: Array
    start: Array
    step: Array
    width: Array
    unit: Array
    norm: Array
    residual: Array

    def __len__(self) -> int:
        return len(self.stored)


class Rounding:
    """One type, as PyTorch multiplies it on a device.

    Args:
        torch: PyTorch, which this module does not import.
        device: ``cpu`` or ``cuda``.
        kind: one of ``KINDS``. Where the machine's int8 product is not exact, float32 multiplies the same numbers.

    Attributes:
        type, result: of what is multiplied, and of what comes out.
        sums: unit of the product's sums.
        output: what the result has lost, relative to itself.
        margin: part of a number that is to be taken off before it is rounded to the result's type, so that it is no
            larger than any product which, with what it has lost, reaches the number.
        is_narrow: whether the type is narrower than float32.

    Raises:
        RuntimeError: when the product is further from the exact one than its type allows.
    """

    def __init__(self, torch: Any, device: str, kind: str) -> None:
        self._torch, self._kind, self._on_gpu = torch, kind, device == "cuda"
        self.type = getattr(torch, kind)
        self.result = torch.int32 if kind == "int8" else self.type
        self.sums, self.output, self.is_narrow = SUMS[kind], OUTPUT[kind], kind != "float32"
        self.margin = 2 * self.output + 2.0**-20
        self.multiply: Callable[[Array, Array, Array], None] = self._by_type
        self._check(device)

    def keep(self, vectors: Array, top: Array) -> tuple[Array, Array, Array]:
        """Return what the type keeps, what 1 stands for in it, and at least the norms of what is lost.

        Args:
            vectors: float32 (…, dimension).
            top: float32, of the last places before the dimension: at least the largest number of each.
        """
        torch = self._torch
        if self._kind == "float32":
            return vectors, torch.ones_like(top), torch.zeros_like(vectors[..., 0])
        if self._kind == "bfloat16":
            rounded = vectors.bfloat16()
            return rounded, torch.ones_like(top), self.norm(vectors - rounded.float())
        unit = (top / LARGEST_INT8).clamp_min(2.0**-120)
        whole = (vectors / unit[..., None]).round_().clamp_(-LARGEST_INT8, LARGEST_INT8)
        return whole.to(torch.int8), unit, self.norm(vectors - whole * unit[..., None])

    def keep_groups(
        self, tile: Array, centre: Array | None, members: int, at_once: int
    ) -> tuple[Array, Array, Array, Array]:
        """Return what the type keeps of a tile of public embeddings, with zeros up to whole groups, and of each group.

        Args:
            tile: float32 (n, dimension).
            centre: float32 (dimension,), subtracted first; None: zero.
            members: number of embeddings in a group.
            at_once: bytes that are worked on at a time.

        Returns:
            (m, dimension), m a multiple of ``members``; and float32 (groups,): what 1 stands for, and at least the
            norms of what was kept and of what was lost.
        """
        torch, dimension = self._torch, tile.shape[1]
        count = -(-len(tile) // members)
        lacking = members * count - len(tile)
        if lacking:
            tile = torch.cat([tile if centre is None else tile - centre, tile.new_zeros((lacking, dimension))])
            centre = None
        kept = tile if not self.is_narrow else torch.empty_like(tile, dtype=self.type)
        grouped, target = (array.view(members, count, dimension) for array in (tile, kept))
        unit, norm, residual = (torch.empty(count, device=tile.device) for _ in range(3))
        # so many groups that they stay in the cache
        step = max(1, at_once // (4 * members * dimension))
        for start in range(0, count, step):
            some = slice(start, start + step)
            vectors = grouped[:, some] if centre is None else grouped[:, some] - centre
            norm[some] = self.norm(vectors).amax(dim=0)
            if not self.is_narrow:
                unit[some], residual[some] = 1, 0
                continue
            top = vectors.abs().amax(dim=2).amax(dim=0) if self._kind == "int8" else norm[some]
            target[:, some], unit[some], lost = self.keep(vectors, top)
            # the difference to the centre is rounded too
            residual[some] = lost.amax(dim=0) + SLACK * norm[some]
        return kept, unit, norm + residual, residual

    def norm(self, vectors: Array) -> Array:
        """Return at least the norms of the last axis."""
        norm = self._torch.linalg.vector_norm(vectors, dim=-1)
        return norm * (1 + 2 * vectors.shape[-1] * ROUNDOFF + SLACK) + SMALL

    def _by_type(self, queries: Array, tile: Array, out: Array) -> None:
        """Write the products of queries, (n, dimension), and a tile, (m, dimension), in the type's own way."""
        if self._kind != "int8":
            self._torch.mm(queries, tile.t(), out=out)
        elif self._on_gpu and (len(queries) <= ROWS_ON_GPU or tile.shape[1] % 8 or len(tile) % 8):
            self._by_float32(queries, tile, out)
        else:
            self._torch._int_mm(queries, tile.t(), out=out)

    def _by_float32(self, queries: Array, tile: Array, out: Array) -> None:
        """Write the same for whole numbers, in float32, where sums below 2²⁴ are exact."""
        out.copy_(queries.float() @ tile.float().t())

    def _check(self, device: str) -> None:
        """See whether the product is what the bound says of it, for random numbers and the largest of one sign."""
        torch, rows, dimension = self._torch, 64, 512
        rng = np.random.default_rng(0)
        numbers = rng.integers(-LARGEST_INT8, LARGEST_INT8 + 1, size=(2 * rows, dimension)).astype(np.float64)
        numbers[[0, rows]], numbers[rows + 1] = LARGEST_INT8, -LARGEST_INT8
        if self._kind == "float32":
            # more digits than TF32 and bfloat16 have
            numbers += rng.random(numbers.shape)
        left, right = torch.from_numpy(numbers).to(device, self.type).split(rows)
        exact = left.double() @ right.double().t()
        out = torch.zeros((rows, rows), dtype=self.result, device=device)
        try:
            self.multiply(left, right, out)
        except RuntimeError:
            # a PyTorch without this product: zeros are wrong
            out.zero_()
        wrong = (out.double() - exact).abs()
        if self._kind == "int8":
            if float(wrong.max()) > 0:
                self.multiply = self._by_float32
            return
        norms = left.double().norm(dim=1)[:, None] * right.double().norm(dim=1)
        if bool((wrong > relative_error(dimension, self.sums) * norms + self.output * exact.abs()).any()):
            raise RuntimeError(
                f"the {self._kind} product of this PyTorch is less precise than its type: set measure.search to faiss."
            )
