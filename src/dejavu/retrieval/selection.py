"""Which products of queries with a block reach a threshold, and float32 products of the candidates that they are.

There are two ways of each: on a GPU, which reads from many places at once, and on a CPU, which does not.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from dejavu.retrieval.engines import Array, parts
from dejavu.retrieval.rounding import Asked, Rounding, Searched


@dataclass(frozen=True)
class Products:
    """Products of some queries with a block: in tiles one after the other, and what is known of each group."""

    values: Array
    unit: Array
    upper: Array
    error: Array


def in_groups(
    torch: Any, device: str, found: Products, asked: Array, reached: Array, public: Searched
) -> tuple[Array, ...]:
    """Return the members of all groups whose largest product, with its bound, reaches what a query asks.

    Args:
        torch: PyTorch.
        device: that the products are on.
        found: the products.
        asked: int64 (n,), some of the queries.
        reached: float32 (n,), what each of them asks.
        public: the block.

    Returns:
        Each (members,), by query: int64 the query's place in ``asked``, the member's position and its group, and
        float32 its product, in units of query and group.
    """
    count = len(found.upper)
    members = torch.arange(public.members, device=device)
    owner, group = (found.upper[asked] >= reached[:, None]).nonzero(as_tuple=True)
    position = public.first[group][:, None] + public.step[group][:, None] * members
    place = (count - 1) * public.start[group] + asked[owner] * public.width[group]
    value = found.values[place[:, None] + position].float()
    owner, group = (x[:, None].expand(position.shape).flatten() for x in (owner, group))
    return owner, position.flatten(), group, value.flatten()


def in_tiles(
    torch: Any, rounding: Rounding, found: Products, asked: Array, reached: Array, public: Searched
) -> tuple[Array, ...]:
    """Do as :func:`in_groups` by comparing all products tile by tile, some of a group and some too many.

    That reads memory in order, which on a CPU is faster than to fetch products one by one.
    """
    count, members = len(found.upper), public.members
    everything = torch.equal(asked, torch.arange(count))
    error = found.error if everything else found.error[asked]
    low = reached - reached.abs() * 2.0**-22
    limit = torch.mul(error, -(1 + 2.0**-22)).add_(low[:, None])
    limit.div_(public.unit).div_(found.unit[asked][:, None])
    limit.sub_(limit.abs(), alpha=rounding.margin)
    if not rounding.result.is_floating_point:
        limit = limit.floor_().clamp_(-(2.0**31), 2.0**30)
    limit = limit.to(rounding.result)
    reaching, group, start = [], 0, 0
    for tile in public.tiles:
        values = found.values[count * start : count * (start + len(tile))].view(count, len(tile))
        values = values if everything else values[asked]
        groups = len(tile) // members
        some = limit[:, None, group : group + groups]
        place = torch.from_numpy(np.flatnonzero((values.view(-1, members, groups) >= some).numpy()))
        owner, inside = place // len(tile), place % len(tile)
        value = values.reshape(-1)[place].float()
        reaching.append((owner, inside + start, inside % groups + group, value))
        group, start = group + groups, start + len(tile)
    owner, *others = (torch.cat(column) for column in zip(*reaching, strict=True))
    order = torch.from_numpy(np.argsort(owner.numpy(), kind="stable"))
    return owner[order], *(other[order] for other in others)


def gathered(torch: Any, device: str, at_once: int, queries: Asked, public: Searched, position: Array) -> Array:
    """Return float32 products, (n, w); of position −1 any number."""
    dimension = public.stored.shape[1]
    product, pairs = torch.empty(position.shape, device=device), max(1, at_once // (4 * dimension))
    memory = torch.empty((pairs, dimension), device=device)
    for rows, columns in parts(position.shape, pairs):
        which = position[rows, columns].clamp_min(0)
        taken = torch.index_select(public.scaled, 0, which.flatten(), out=memory[: which.numel()])
        product[rows, columns] = (taken.view(*which.shape, dimension) @ queries.scaled[rows, :, None])[..., 0]
    return product


def sampled(torch: Any, queries: Asked, public: Searched, position: Array) -> Array:
    """Do as :func:`gathered` without a copy of the public embeddings."""
    used = position >= 0
    product = torch.empty(position.shape)
    product[used] = sampled_products(torch, queries.scaled, public.scaled, used.sum(dim=1), position[used])
    return product


def sampled_products(torch: Any, left: Array, right: Array, counts: Array, columns: Array) -> Array:
    """Return some numbers of ``left @ right.T`` on the CPU, each one sum in float32: float32 (p,), by row.

    Args:
        torch: PyTorch.
        left: float32 (n, dimension).
        right: float32 (m, dimension).
        counts: int64 (n,), how many of a row.
        columns: int64 (p,), of row after row.
    """
    rows = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    zeros, shape = torch.zeros(len(columns)), (len(left), len(right))
    wanted = torch.sparse_csr_tensor(rows, columns, zeros, shape, check_invariants=False)
    return torch.sparse.sampled_addmm(wanted, left, right.t(), beta=0.0).values()


def has_sampled_products(torch: Any) -> bool:
    """Return whether this PyTorch has :func:`sampled_products`; its one warning about sparse matrices stays unsaid."""
    one = torch.ones(1, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        try:
            return float(sampled_products(torch, torch.ones(1, 2), torch.ones(2, 2), one, one)) == 2.0
        except RuntimeError:
            return False
