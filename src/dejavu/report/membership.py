"""What the page says of membership attacks, and of what voids them."""

from __future__ import annotations

from dejavu.report.queries import Queries

ATTACK_NAMES = {
    "reference_csa": "paired cosine",
    "rmia": "RMIA",
    "clipmem": "CLIPMem",
    "recall_gap": "déjà vu gap",
    "csa": "CSA",
}


def membership(queries: Queries) -> dict:
    """Return what the templates of membership and of the blind baseline show.

    Returns:
        ``membership``: the rows of ``membership.sql``, each with the name of its attack and whether captions alone tell
        its roles apart, which makes it void. ``blind``: the rows of the blind baseline. Whether some query role is a
        list (``listed_roles_attacked``), and the datasets of the query roles (``attacked_datasets``). The functions
        ``area_band``, ``rate`` and ``rate_band`` write numbers.
    """
    blind, roles = queries.rows("blind_baseline"), queries.rows("query_roles")
    apart = {frozenset((row["role"], row["other"])) for row in blind if row["is_apart"]}
    rows = [
        {**row, "name": ATTACK_NAMES[row["attack"]], "is_void": frozenset((row["members"], row["others"])) in apart}
        for row in queries.rows("membership")
    ]
    return {
        "membership": rows,
        "blind": blind,
        "listed_roles_attacked": any(row["is_listed"] for row in roles),
        "attacked_datasets": sorted({row["dataset"] for row in roles}),
        "area_band": area_band,
        "rate": rate,
        "rate_band": rate_band,
    }


def area_band(low: float | None, high: float | None) -> str:
    """Return an interval of an area in brackets, or a dash."""
    return "–" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def rate(share: float | None) -> str:
    """Return a share in per cent to the hundredth, since rates of 0.1 % matter here; or a dash."""
    return "–" if share is None else f"{100 * share:.2f} %"


def rate_band(low: float | None, high: float | None) -> str:
    """Return an interval of a share, in per cent to the hundredth and in brackets, or a dash."""
    return "–" if low is None or high is None else f"[{100 * low:.2f}, {100 * high:.2f}]"
