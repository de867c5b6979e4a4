"""Tables of the data: samples, objects, duplicates, quarantine, and the manifests of roles."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import GROUP, ROW, UID, field

BOX = pa.list_(pa.float32(), 4)
OBJECT = pa.struct([("label", pa.string()), ("score", pa.float32()), ("box", BOX)])
SAMPLES = pa.schema(
    [
        ROW,
        UID,
        field("caption", pa.string(), "caption on one line, unicode in NFC, without control characters"),
        field("image", pa.binary(), "encoded image; null where images are only referenced"),
        field("width", pa.int32(), "pixels, read from the image"),
        field("height", pa.int32(), "pixels, read from the image"),
        field("source", pa.string(), "raw file, relative to the dataset's root"),
        field("source_row", pa.int64(), "row in the raw file"),
        field("other_captions", pa.list_(pa.string()), "the image's other captions, where it has several"),
    ]
)
OBJECTS = pa.schema([ROW, field("objects", pa.list_(OBJECT), "objects in the image: label, score, box in pixels")])
IMPORTED = pa.schema(
    [
        field("uid", pa.string(), "the sample's uid, or the path of the image's file"),
        field("image_id", pa.string(), "id of the image in a COCO file"),
        field("label", pa.string(), "what the object is"),
        field("score", pa.float32(), "confidence in [0, 1]"),
        field("box", BOX, "left, top, right, bottom in pixels; null where unknown"),
    ]
)
FINGERPRINTS = pa.schema(
    [
        ROW,
        field("copy", pa.uint64(), "hash of the sample's own content: uid, caption and image"),
        field("origin", pa.uint64(), "hash of source and source_row: samples of one raw row share it"),
        field("key", pa.uint64(), "hash of the user's key, null where there is none"),
        field("image", pa.uint64(), "hash of the decoded pixels"),
        field("caption", pa.uint64(), "hash of the caption in NFKC, case folded, white space collapsed"),
        field("near_image", pa.uint64(), "perceptual hash of the image, null where it is flat"),
    ]
)
GROUPS = pa.schema([ROW, GROUP])
DUPLICATES = pa.schema(
    [
        GROUP,
        field("size", pa.int64(), "number of the dataset's samples in the group, more than one"),
        field(
            "criteria",
            pa.map_(pa.string(), pa.int64()),
            "criterion (copy, origin, key, image, caption, near_image): number of members that share it with another",
        ),
        field("members", pa.list_(pa.int64()), "rows of the first members, at most six"),
    ]
)
QUARANTINE = pa.schema(
    [
        field("source", pa.string(), "raw file, relative to the dataset's root"),
        field("source_row", pa.int64(), "row in the raw file"),
        field("uid", pa.string(), "the user's key, null where unknown"),
        field("stage", pa.string(), "stage that set it aside"),
        field("reason", pa.string(), "short reason, the same words for the same cause"),
        field("detail", pa.string(), "what was found"),
    ]
)
MANIFEST = pa.schema(
    [ROW, UID, GROUP, field("position", pa.float64(), "hash of (seed, group_id) as a number in [0, 1)")]
)
