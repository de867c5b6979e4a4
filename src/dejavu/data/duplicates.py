"""Which samples are the same thing: by key, image, caption, or an image that looks the same.

Every sample gets fingerprints, one for each criterion, in a file beside its samples. Samples that agree in one are
connected, and what is connected, directly or through others, is one group.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dejavu.data.images import BadImage, decode_rgb
from dejavu.data.near import near_pairs, perceptual_hashes, thumbnail
from dejavu.data.samples import SampleStore, scan_file
from dejavu.files import NUMBERS_PER_GROUP, write_table
from dejavu.progress import Progress
from dejavu.tables import DUPLICATES, FINGERPRINTS, GROUPS

MEMBERS_KEPT = 6


@dataclass(frozen=True)
class Criteria:
    """What makes two samples the same thing; always so: their whole content, or one raw row that both come from.

    Attributes:
        key: the user's key is the same.
        image: the decoded pixels are the same, which those of equal files are.
        caption: the caption is the same but for case, white space and Unicode's compatible forms (NFKC).
        near_image: the largest number of bits, of 64, in which two images' perceptual hashes differ; None for off.
    """

    key: bool
    image: bool
    caption: bool
    near_image: int | None

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Criteria:
        """From the ``duplicates`` section of a dataset's configuration."""
        return cls(**section)

    @property
    def exact(self) -> list[str]:
        """The columns of the fingerprints in which two samples are compared for equality."""
        return ["copy", "origin", *(name for name in ("key", "image", "caption") if getattr(self, name))]


# fingerprints


def fingerprint_file(samples: Path, fingerprints: Path, progress: Progress) -> None:
    """Writes the fingerprints of every sample of one file, for all criteria, whichever are configured.

    Args:
        samples: file of the samples table.
        fingerprints: parquet file to write.
        progress: counts the samples.

    Raises:
        InputError: when the file is damaged, or an image that it refers to is not there any more.
    """

    def parts() -> Iterator[pa.Table]:
        for table in scan_file(samples, _READ):
            yield _fingerprints(table)
            progress.advance(table.num_rows)

    write_table(fingerprints, _gathered(parts()), FINGERPRINTS, NUMBERS_PER_GROUP)


def _gathered(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in few large tables: parts are small where images are large."""
    held: list[pa.Table] = []
    for part in parts:
        held.append(part)
        if sum(table.num_rows for table in held) >= NUMBERS_PER_GROUP:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


_READ = ["row", "uid", "caption", "image", "source", "source_row"]


def _fingerprints(table: pa.Table) -> pa.Table:
    records: list[dict] = []
    looks: list[np.ndarray] = []
    seen: list[int] = []
    for row, uid, caption, image, source, source_row in zip(*(table[c].to_pylist() for c in _READ), strict=True):
        pixels, look = _look(image)
        if look is not None:
            seen.append(len(records))
            looks.append(look)
        records.append(
            {
                "row": row,
                "copy": _hash(_bytes(uid), _bytes(caption), image or b""),
                "origin": _hash(_bytes(source or ""), str(row if source_row is None else source_row).encode()),
                "key": None if _is_content(uid, caption, image) else _hash(_bytes(uid)),
                "image": pixels,
                "caption": _hash(normal) if (normal := _normal(caption)) else None,
                "near_image": None,
            }
        )
    if looks:
        for place, value, known in zip(seen, *map(np.ndarray.tolist, perceptual_hashes(np.stack(looks))), strict=True):
            records[place]["near_image"] = value if known else None
    return pa.Table.from_pylist(records, schema=FINGERPRINTS)


def _hash(*parts: bytes) -> int:
    """64 bits: among a hundred million samples, two that differ agree with a probability of 1 : 3,700."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return int.from_bytes(digest.digest(), "big")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _normal(caption: str) -> bytes:
    return _bytes(" ".join(unicodedata.normalize("NFKC", caption).casefold().split()))


def _is_content(uid: str, caption: str, image: bytes | None) -> bool:
    """Whether a uid is no key of the user's but the content hash that ingest gives where there is none.

    Where it cannot be told, because images were made smaller, it counts as a key: it is equal for equal content only.
    """
    digest = hashlib.blake2b((image or b"") + _bytes(caption), digest_size=16).hexdigest()
    return uid.partition("#")[0] == digest


def _look(image: bytes | None) -> tuple[int | None, np.ndarray | None]:
    """The hash of an image's pixels, and the thumbnail of its perceptual hash.

    Decoding costs as much as it does in ingest, and the hashes as much again; no change of the criteria repeats it.
    """
    if not image:
        return None, None
    try:
        pixels = decode_rgb(image)
    except BadImage:  # which ingest lets through only where the image is fetched anew and has changed since
        return _hash(image), None
    return _hash(pixels.width.to_bytes(4, "big"), pixels.tobytes()), thumbnail(pixels)


# groups


class Components:
    """Which of the numbers 0 to n - 1 are connected, as pairs of them come in.

    Attributes:
        labels: int (n,), the same for connected numbers.
    """

    def __init__(self, number: int) -> None:
        self.labels = np.arange(number)

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Connects ``one[i]`` with ``other[i]``, for all i."""
        one, other = self.labels[one], self.labels[other]
        apart = one != other
        if not apart.any():
            return
        size = int(self.labels.max()) + 1
        graph = coo_array((np.ones(apart.sum(), dtype=np.int8), (one[apart], other[apart])), shape=(size, size))
        self.labels = connected_components(graph, directed=False)[1][self.labels]


def group_duplicates(
    folders: Sequence[str | Path], groups: Path, duplicates: Path, criteria: Criteria
) -> dict[str, int]:
    """Writes the group of every sample, and a table of the groups with more than one member.

    A group's name is the smallest content hash among its members, so it depends on them alone. Fingerprints are read
    one column at a time: about 120 bytes of memory for a sample.

    Args:
        folders: batch folders of the fingerprints.
        groups: parquet file to write, in order of row.
        duplicates: parquet file to write, the largest groups first.
        criteria: what makes two samples the same thing.

    Returns:
        ``samples``; ``groups``; ``repeated``, the number of samples in groups of more than one; ``largest``, the
        number of members of the largest group.
    """
    fingerprints = _Fingerprints(folders)
    rows = fingerprints.rows
    connected = Components(len(rows))
    matched: dict[str, np.ndarray] = {}
    for name in criteria.exact:
        matched[name] = _join_equal(connected, *fingerprints.read(name))
    if criteria.near_image is not None:
        matched["near_image"] = _join_near(connected, *fingerprints.read("near_image"), criteria.near_image)
    content, _ = fingerprints.read("copy")
    sizes = np.bincount(connected.labels)
    names = np.full(len(sizes), np.iinfo(np.uint64).max)
    np.minimum.at(names, connected.labels, content)
    write_table(groups, _group_parts(rows, names[connected.labels]), GROUPS, NUMBERS_PER_GROUP)
    table = _duplicates(rows, connected.labels, names, sizes, matched)
    write_table(duplicates, table, DUPLICATES, NUMBERS_PER_GROUP)
    return {
        "samples": len(rows),
        "groups": len(sizes),
        "repeated": int(sizes[sizes > 1].sum()),
        "largest": int(sizes.max(initial=0)),
    }


class _Fingerprints:
    """The fingerprints of a dataset, a column at a time, in order of row whatever the order of the folders."""

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self._store = SampleStore(folders)
        rows = [table["row"].to_numpy() for table in self._store.scan(["row"])]
        self.rows = np.concatenate([np.zeros(0, dtype=np.int64), *rows])

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The values of a column, 0 where they are null, and whether they are not."""
        values = np.zeros(len(self.rows), dtype=np.uint64)
        known = np.zeros(len(self.rows), dtype=bool)
        start = 0
        for table in self._store.scan([name]):
            stop = start + table.num_rows
            values[start:stop] = table[name].fill_null(0).to_numpy()
            known[start:stop] = table[name].is_valid().to_numpy()
            start = stop
        return values, known


def _join_equal(connected: Components, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Connects the samples with equal values; returns which samples have an equal."""
    places = np.flatnonzero(known)
    places = places[np.argsort(values[places], kind="stable")]
    ordered = values[places]
    same = ordered[1:] == ordered[:-1]
    one, other = places[:-1][same], places[1:][same]
    connected.join(one, other)
    matched = np.zeros(len(values), dtype=bool)
    matched[one] = matched[other] = True
    return matched


def _join_near(connected: Components, values: np.ndarray, known: np.ndarray, distance: int) -> np.ndarray:
    """Connects the samples whose perceptual hashes are near; returns which samples have another near."""
    places = np.flatnonzero(known)
    hashes, first, which, counts = np.unique(values[places], return_index=True, return_inverse=True, return_counts=True)
    connected.join(places, places[first][which])
    has_near = counts > 1
    for one, other in near_pairs(hashes, distance):
        connected.join(places[first[one]], places[first[other]])
        has_near[one] = has_near[other] = True
    matched = np.zeros(len(values), dtype=bool)
    matched[places] = has_near[which]
    return matched


def _group_parts(rows: np.ndarray, names: np.ndarray) -> Iterator[pa.Table]:
    for start in range(0, len(rows), NUMBERS_PER_GROUP):
        part = slice(start, start + NUMBERS_PER_GROUP)
        yield pa.table({"row": rows[part], "group_id": _hexadecimal(names[part])}, schema=GROUPS)


def _hexadecimal(names: np.ndarray) -> pa.Array:
    """Sixteen digits for each number."""
    digits = np.frombuffer(names.astype(">u8").tobytes().hex().encode(), dtype="S16")
    return pa.array(digits).cast(pa.string())


def _duplicates(
    rows: np.ndarray, labels: np.ndarray, names: np.ndarray, sizes: np.ndarray, matched: Mapping[str, np.ndarray]
) -> pa.Table:
    """The groups of more than one, the largest first."""
    repeated = np.flatnonzero(sizes > 1)
    repeated = repeated[np.lexsort((names[repeated], -sizes[repeated]))]
    counts = np.stack([np.bincount(labels[found], minlength=len(sizes))[repeated] for found in matched.values()], 1)
    group, criterion = np.nonzero(counts)
    per_group = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=len(repeated)))]).astype(np.int32)
    kinds = pa.array(list(matched)).take(pa.array(criterion))
    columns = {
        "group_id": _hexadecimal(names[repeated]),
        "size": sizes[repeated],
        "criteria": pa.MapArray.from_arrays(per_group, kinds, pa.array(counts[group, criterion])),
        "members": _first_members(rows, labels, repeated, sizes),
    }
    return pa.table(columns, schema=DUPLICATES)


def _first_members(rows: np.ndarray, labels: np.ndarray, repeated: np.ndarray, sizes: np.ndarray) -> pa.Array:
    """The smallest rows of every repeated group, a few of each."""
    kept = np.minimum(sizes[repeated], MEMBERS_KEPT)
    ends = np.cumsum(kept)
    order = np.lexsort((rows, labels))
    begins = (np.cumsum(sizes) - sizes)[repeated]
    within = np.arange(kept.sum()) - np.repeat(ends - kept, kept)
    members = rows[order[np.repeat(begins, kept) + within]]
    return pa.ListArray.from_arrays(np.concatenate([[0], ends]).astype(np.int32), pa.array(members))
