"""From raw files to the samples table; what cannot be used goes to the quarantine with its reason."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from dejavu.data.images import BadImage, decode_rgb
from dejavu.data.raw import Columns, file_id, read_raw
from dejavu.errors import InputError
from dejavu.files import read_table, write_table
from dejavu.progress import Progress
from dejavu.tables import QUARANTINE, SAMPLES


def ingest_file(path: Path, name: str, columns: Columns, samples: Path, quarantine: Path, progress: Progress) -> None:
    """Reads one raw file and writes its samples and its quarantine.

    A caption is put in Unicode's form NFC and stripped. An image must decode. ``uid`` is the key column's value, or a
    hash of image and caption where there is no key column.

    Args:
        path: the raw file.
        name: its path relative to the dataset's root; its hash is the upper half of ``row``.
        columns: what its columns hold.
        samples: parquet file to write.
        quarantine: parquet file to write.
        progress: counts the raw rows.
    """
    upper = file_id(name) << 32
    refused: list[dict] = []

    def good() -> Iterator[pa.Table]:
        for start, batch in read_raw(path, columns, ("image", "caption", "key")):
            records = []
            keys = batch["key"].to_pylist() if "key" in batch else [None] * len(batch["caption"])
            for offset, (image, caption, key) in enumerate(
                zip(batch["image"].to_pylist(), batch["caption"].to_pylist(), keys, strict=True)
            ):
                uid = None if key is None else str(key)
                where = {"source": name, "source_row": start + offset, "uid": uid}
                try:
                    records.append({"row": upper | start + offset, **where, **_read_pair(image, caption, uid)})
                except BadImage as bad:
                    refused.append({**where, "stage": "ingest", "reason": bad.reason, "detail": bad.detail[:500]})
            progress.advance(len(keys))
            yield pa.Table.from_pylist(records, schema=SAMPLES)

    write_table(samples, good(), SAMPLES)
    write_table(quarantine, pa.Table.from_pylist(refused, schema=QUARANTINE), QUARANTINE)


def _read_pair(image: object, caption: object, uid: str | None) -> dict:
    if not isinstance(caption, str) or not caption.strip():
        raise BadImage("caption is empty", f"{type(caption).__name__}")
    text = unicodedata.normalize("NFC", caption).strip()
    if not isinstance(image, bytes) or not image:
        raise BadImage("image is missing", f"{type(image).__name__} where bytes are expected")
    width, height = decode_rgb(image).size
    content = hashlib.blake2b(image + text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return {"uid": uid or content, "caption": text, "image": image, "width": width, "height": height}


def check_quarantine(files: list[Path], rows: int, allowed: float, dataset: str) -> None:
    """Stops when too large a share of the raw rows was set aside.

    Args:
        files: quarantine tables.
        rows: number of raw rows.
        allowed: the configured ``max_quarantined``, a share in [0, 1].
        dataset: its name, for the sentence.

    Raises:
        InputError: naming the commonest reasons with an example of each.
    """
    tables = [read_table(file) for file in files]
    table = pa.concat_tables(tables) if tables else QUARANTINE.empty_table()
    if table.num_rows <= allowed * rows:
        return
    reasons = Counter(table["reason"].to_pylist())
    first = {record["reason"]: record for record in reversed(table.to_pylist())}
    told = "; ".join(
        f"{count:,} x {reason} (first: {first[reason]['source']} row {first[reason]['source_row']}, "
        f"{first[reason]['detail']})"
        for reason, count in reasons.most_common(3)
    )
    raise InputError(
        f"dataset {dataset!r}: {table.num_rows:,} of {rows:,} raw rows cannot be used ({table.num_rows / rows:.1%}, "
        f"max_quarantined allows {allowed:.1%}): {told}. Mend the data, or raise datasets.{dataset}.max_quarantined."
    )
