"""Exact search that filters with PyTorch's product in float32, bfloat16 or int8, on the CPU or one GPU.

:mod:`dejavu.retrieval.rounding` has the types, and the bound on what each loses.

The products of one query with a block are divided into groups, and only the largest of each group is compared. The k-th
largest of these is no larger than the k-th largest product. A group whose largest product stays below a threshold, even
with the bound, holds no neighbour.

- In float32 the threshold is the k-th largest less the bound. The k-th exact product is at least that.
- In narrow types that threshold would let through many times as many as are needed, since nearly all errors are far
  smaller than their bound. So a threshold is guessed. Float32 products of the candidates then prove what the k-th exact
  product is at least. Queries whose guess lies above that, less the bound, are selected again with the proven number.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from threading import local

import numpy as np

from dejavu.retrieval.engines import (
    BYTES_AT_ONCE,
    LARGEST,
    SMALLEST,
    UNDERFLOW,
    Array,
    parts,
    public_exponent,
    relative_error,
    summed,
)
from dejavu.retrieval.rounding import SLACK, SMALL, Asked, Rounding, Searched
from dejavu.retrieval.selection import Products, gathered, has_sampled_products, in_groups, in_tiles, sampled
from dejavu.retrieval.upload import Upload

# largest number of public embeddings in a group, and the smallest number of groups for each neighbour
GROUP, GROUPS_PER_K = 16, 8
# the first threshold lies this part of the bound below the k-th largest product
GUESS = 0.15
# number of public embeddings that the centre is the mean of
SAMPLED = 4096


class OnTorch:
    """PyTorch's product, on the CPU or one GPU.

    Args:
        device: ``cpu`` or ``cuda``, the first GPU that this process sees.
        threads: number of PyTorch's threads on the CPU.
        kind: type of the product, one of ``KINDS``. Where the machine's int8 product is not exact, float32 multiplies
            the same numbers.

    Raises:
        RuntimeError: when the product is further from the exact one than its type allows.
    """

    def __init__(self, device: str, threads: int = 1, kind: str = "float32") -> None:
        # takes seconds, and a search with FAISS does without
        import torch

        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        on_gpu = device == "cuda"
        self.name, self._torch, self._device = kind, torch, device
        self.loads_ahead = on_gpu
        self.queries_at_once = 65_536 if on_gpu else 32_768
        self.public_at_once = 262_144 if on_gpu else 131_072
        self.cells = 1 << 27 if on_gpu else 1 << 24
        self._tile = 1 << 18 if on_gpu else 1 << 13
        # many small operations leave cores idle, so every core answers queries of its own
        self.side_by_side = 1 if on_gpu else threads
        self._similarities = 1 << 29 if on_gpu else (1 << 25) // threads
        self._picked = 1 << 25 if on_gpu else (1 << 22) // threads
        self._bytes = 1 << 30 if on_gpu else 2 * BYTES_AT_ONCE
        self._rounding = Rounding(torch, device, kind)
        self._upload = Upload(torch, device)
        # of each thread: the products
        self._own = local()
        self._reaching = partial(in_groups, torch, device) if on_gpu else partial(in_tiles, torch, self._rounding)
        is_sampled = not on_gpu and has_sampled_products(torch)
        self._compared = partial(sampled, torch) if is_sampled else partial(gathered, torch, device, self._bytes)

    def enter_thread(self) -> None:
        self._torch.set_num_threads(1)

    def queries(self, vectors: np.ndarray) -> Asked:
        torch, stored = self._torch, self._upload(vectors)
        top = stored.abs().amax(dim=1)
        exponent = torch.frexp(top).exponent.double() * ((top < SMALLEST) | (top > LARGEST))
        scaled = stored if not exponent.any() else (stored.double() * torch.exp2(-exponent)[:, None]).float()
        norm = self._rounding.norm(scaled)
        rounded, unit, residual = self._rounding.keep(scaled, scaled.abs().amax(dim=1))
        residual = residual + SLACK * norm
        sums = relative_error(stored.shape[1], self._rounding.sums) + SLACK
        return Asked(stored, scaled, exponent, rounded, unit, norm, residual + sums * (norm + residual))

    def public(self, vectors: np.ndarray, k: int) -> Searched:
        with self._upload.beside():
            return self._rounded(self._upload(vectors), k)

    def _rounded(self, stored: Array, k: int) -> Searched:
        torch = self._torch
        low, high = stored.aminmax()
        exponent = public_exponent(max(float(high), -float(low)))
        # by way of float64, in which every such power of two is a number
        scaled = (stored.double() * 2.0**-exponent).float() if exponent else stored
        members = GROUP
        while members > 1 and members * GROUPS_PER_K * k > len(stored):
            members //= 2
        centre = None if not self._rounding.is_narrow else scaled[:: 1 + len(scaled) // SAMPLED].mean(dim=0)
        tiles, about = [], []
        # only the last tile may have a group that is not full
        width = self._tile + -self._tile % members
        for start in range(0, len(scaled), width):
            tile = scaled[start : start + width]
            kept, unit, norm, residual = self._rounding.keep_groups(tile, centre, members, self._bytes)
            groups = torch.arange(len(unit), device=self._device)
            place = [groups + start, *(torch.full_like(groups, n) for n in (start, len(unit), len(kept)))]
            tiles.append(kept)
            about.append([*place, unit, norm, residual])
        columns = [torch.cat(column) for column in zip(*about, strict=True)]
        norm = columns[5] if centre is None else self._rounding.norm(scaled)
        return Searched(stored, scaled, exponent, centre, tiles, members, float(norm.max()), *columns)

    def candidates(self, queries: Asked, public: Searched, k: int, floor: Array) -> Iterator[tuple[Array, Array]]:
        step = max(1, self._similarities // max(1, len(public)))
        for start in range(0, len(queries), step):
            some = slice(start, start + step)
            for rows, position in self._proposed(queries[some], public, k, floor[some]):
                yield rows + start, position

    def _proposed(self, queries: Asked, public: Searched, k: int, floor: Array) -> Iterator[tuple[Array, Array]]:
        """As :meth:`candidates`, of so many queries that their products fit."""
        torch = self._torch
        found, top = self._products(queries, public)
        kth = self._kth(top, k)
        needed = floor * torch.exp2(-(queries.exponent + public.exponent))
        rows = torch.arange(len(queries), device=self._device)
        if public.centre is None:
            least = torch.maximum(kth - found.error.amax(dim=1).double(), needed)
            yield from self._selected(found, rows, least, public)
            return
        base = queries.scaled.double() @ public.centre.double()
        guess = kth - self._rounding.output * kth.abs() - GUESS * found.error.mean(dim=1).double()
        least = torch.maximum(guess, needed - base)
        # at most twice: what is proven of a query whose guess was too high lets all through that is needed
        while len(rows):
            again = []
            for some, position in self._selected(found, rows, least, public):
                proven, kept = self._proven(queries[some], public, position, k, needed[some])
                limit = proven - base[some] - SLACK * queries.norm[some] * 2.0**-20
                clear = least[some] <= limit
                yield some[clear], kept[clear]
                least[some] = torch.minimum(least[some], limit)
                again.append(some[~clear])
            rows = torch.cat(again)

    def _kth(self, values: Array, k: int) -> Array:
        """Return the k-th largest of each row, float64."""
        if self._device == "cuda":
            return values.topk(k, dim=1, sorted=False).values.amin(dim=1).double()
        # several times as fast as PyTorch's selection on a CPU
        column = values.shape[1] - k
        return self._torch.from_numpy(np.partition(values.numpy(), column, axis=1)[:, column].astype(np.float64))

    def _products(self, queries: Asked, public: Searched) -> tuple[Products, Array]:
        """Return the products with all tiles, and the largest of every group, float32 (n, groups)."""
        torch, count, members = self._torch, len(queries), public.members
        size = count * sum(len(tile) for tile in public.tiles)
        buffer = getattr(self._own, "buffer", None)
        if buffer is None or len(buffer) < size:
            buffer = self._own.buffer = torch.empty(size, dtype=self._rounding.result, device=self._device)
        tops, used = [], 0
        for tile in public.tiles:
            values = buffer[used : used + count * len(tile)].view(count, len(tile))
            self._rounding.multiply(queries.rounded, tile, values)
            used += count * len(tile)
            lacking = used // count - len(public)
            if lacking > 0:
                kind = self._rounding.result
                info = torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)
                values[:, -lacking:] = info.min
            tops.append(values.view(count, members, -1).amax(dim=1).float())
        top = torch.cat(tops, dim=1) * public.unit * queries.unit[:, None]
        error = queries.error[:, None] * public.norm + queries.norm[:, None] * public.residual
        error += SMALL + public.stored.shape[1] * UNDERFLOW
        upper = top + self._rounding.output * top.abs() + error
        return Products(buffer[:used], queries.unit, upper, error), top

    def _selected(self, found: Products, rows: Array, least: Array, public: Searched) -> Iterator[tuple[Array, Array]]:
        """Yield some of the queries ``rows``, and all positions whose products, with the bound, reach ``least``."""
        # rounded down
        reached = (least - least.abs() * 2.0**-22 - 2.0**-100).float()
        count = (found.upper[rows] >= reached[rows][:, None]).sum(dim=1)
        for some in self._segments(count * public.members):
            asked = rows[some]
            owner, position, group, value = self._reaching(found, asked, reached[asked], public)
            query = asked[owner]
            value *= public.unit[group] * found.unit[query]
            reach = value + self._rounding.output * value.abs() + found.error[query, group]
            kept = (reach >= reached[query]) & (position < len(public))
            yield asked, self._side_by_side(owner[kept], position[kept], len(some))

    def _segments(self, count: Array) -> Iterator[Array]:
        """Yield numbers of queries, such that each part's largest count, times its queries, can be held."""
        order = np.argsort(self.back(count), kind="stable")
        count, start = self.back(count)[order], 0
        while start < len(order):
            cells = count[start:] * np.arange(1, len(order) - start + 1)
            end = start + max(1, int(np.searchsorted(cells, self._picked, side="right")))
            yield self._torch.from_numpy(np.sort(order[start:end])).to(self._device)
            start = end

    def _side_by_side(self, owner: Array, position: Array, rows: int) -> Array:
        """Return the positions of each owner in a row, int64 (rows, w), and −1 behind them; owners are ascending."""
        torch = self._torch
        count = torch.bincount(owner, minlength=rows)
        column = torch.arange(len(owner), device=self._device) - (count.cumsum(0) - count)[owner]
        table = torch.full((rows, int(count.max())), -1, device=self._device)
        table[owner, column] = position
        return table

    def _proven(self, queries: Asked, public: Searched, position: Array, k: int, needed: Array) -> tuple[Array, Array]:
        """Compare candidates by float32 products.

        Returns:
            float64 (n,), what the k-th exact product reaches at least, and int64 (n, w), the candidates that can reach
            it, −1 behind them.
        """
        torch, dimension = self._torch, public.stored.shape[1]
        product = self._compared(queries, public, position)
        product.masked_fill_(position < 0, -torch.inf)
        error = relative_error(dimension) * public.largest * queries.norm.double() + dimension * UNDERFLOW
        if product.shape[1] >= k:
            needed = torch.maximum(self._kth(product, k) - error, needed)
        kept = ((product.double() + error[:, None]) >= needed[:, None]) & (position >= 0)
        owner, column = kept.nonzero(as_tuple=True)
        return needed, self._side_by_side(owner, position[owner, column], len(position))

    def products(self, queries: Asked, public: Searched, position: Array) -> Array:
        torch, asked, dimension = self._torch, queries.stored.double(), queries.stored.shape[1]
        exact, half = self.unfilled(position.shape[0], position.shape[1])[0], (dimension + 1) // 2
        pairs = max(1, self._bytes // (8 * dimension))
        taken = torch.empty((pairs, dimension), device=self._device)
        sums, others = (torch.empty((pairs, half), dtype=torch.float64, device=self._device) for _ in range(2))
        for rows, columns in parts(position.shape, pairs):
            which = position[rows, columns]
            used, shape = slice(which.numel()), which.shape
            torch.index_select(public.stored, 0, which.clamp_min(0).flatten(), out=taken[used])
            left, right = (x[used].view(*shape, half) for x in (sums, others))
            right = right[..., : dimension - half]
            left.copy_(taken[used, :half].view(*shape, half)).mul_(asked[rows, None, :half])
            right.copy_(taken[used, half:].view(*shape, dimension - half))
            # products are exact, so a sum of two in one operation is the first of those that ``summed`` makes
            left[..., : dimension - half].addcmul_(right, asked[rows, None, half:])
            exact[rows, columns] = summed(left)
        return exact.masked_fill_(position < 0, -torch.inf)

    def first(self, similarity: Array, position: Array, k: int) -> tuple[Array, Array]:
        position, order = position.sort(dim=1)
        similarity, order = similarity.gather(1, order).sort(dim=1, descending=True, stable=True)
        return similarity[:, :k], position.gather(1, order[:, :k])

    def joined(self, left: Array, right: Array) -> Array:
        return self._torch.cat([left, right], dim=1)

    def unfilled(self, rows: int, columns: int) -> tuple[Array, Array]:
        torch = self._torch
        similarity = torch.full((rows, columns), -torch.inf, dtype=torch.float64, device=self._device)
        return similarity, torch.full((rows, columns), -1, device=self._device)

    def back(self, array: Array) -> np.ndarray:
        return array.cpu().numpy()
