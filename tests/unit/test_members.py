"""A list of members means the samples that its author meant, or is refused: nobody listed is taken for unseen."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dejavu.data.members import MemberList, find_members
from dejavu.errors import InputError
from dejavu.tables import SAMPLES

KEYS = [f"img{i:03d}" for i in range(20)]


@pytest.fixture
def dataset(tmp_path, write_batch):
    """Writes samples with the given uids, row i the i-th of them."""

    def write(uids: list[str]) -> list[Path]:
        records = [{"row": row, "uid": uid, "caption": "c"} for row, uid in enumerate(uids)]
        return [write_batch(tmp_path / "samples", SAMPLES, records)]

    return write


def listed(tmp_path: Path, content: bytes, name: str = "list.txt", **how) -> MemberList:
    (tmp_path / name).write_bytes(content)
    return MemberList("splits.default.roles.a", tmp_path / name, **how)


def lines(uids: list[str]) -> str:
    return "\n".join(uids) + "\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_is_read_whatever_editor_saved_it(tmp_path, dataset, encoding, end):
    text = end.join(["", *KEYS[:10], "  ", KEYS[0]])
    found = find_members(listed(tmp_path, text.encode(encoding)), dataset(KEYS))
    assert (found.rows.tolist(), found.listed, found.missing) == (list(range(10)), 10, 0)


@pytest.mark.parametrize(
    ("key", "spelled"),
    [
        (unicodedata.normalize("NFD", "café {}"), unicodedata.normalize("NFC", "café {}")),
        (unicodedata.normalize("NFC", "각{}"), unicodedata.normalize("NFD", "각{}")),
        ("img {} ", "img {}"),
        ("img {}", " img {}\t"),
        ("\u3000img {}", "img {}"),
        ("a\u2028{}", "a\u2028{}"),
        ("a\x0b\x1c\x85{}", "a\x0b\x1c\x85{}"),
        ("\ufeff{}", "{}"),
    ],
)
def test_spellings_that_look_the_same_mean_the_same_sample(tmp_path, dataset, key, spelled):
    samples = dataset([key.format(i) for i in range(20)])
    found = find_members(listed(tmp_path, lines([spelled.format(i) for i in range(10)]).encode()), samples)
    assert (found.rows.tolist(), found.missing) == (list(range(10)), 0)


@pytest.mark.parametrize(
    ("key", "spelled", "told"),
    [
        ("img{}", "img{}.jpg", "'img0.jpg' is in the dataset as 'img0' (without the file's ending)"),
        ("img{}.jpg", "img{}", "'img0' is in the dataset as 'img0.jpg' (without the file's ending)"),
        ("img{}", "train\\img{}", "is in the dataset as 'img0' (without its folder)"),
        ("img{}", "train/img{}.png", "is in the dataset as 'img0' (without folder and ending)"),
        ("img{}", "IMG{}", "is in the dataset as 'img0' (in other case)"),
        ("000{}", "{}", "'0' is in the dataset as '0000' (with zeros in front)"),
        ("{}", "{}.0", "is in the dataset as '0' (as a whole number)"),
        ("img{}", "img{},train", "or bring the list as .csv with a header"),
        ("img{}", '"img{}"', "(without quotation marks)"),
        ("0123456789abcdef0123456789abcd{:02d}", "img{}", "datasets.*.columns.key names no column"),
        ("img{}", "something else {}", "The dataset has uids such as 'img0'"),
    ],
)
def test_spellings_that_differ_are_refused_with_an_example_of_both(tmp_path, dataset, key, spelled, told):
    samples = dataset([key.format(i) for i in range(20)])
    with pytest.raises(InputError) as error:
        find_members(listed(tmp_path, lines([spelled.format(i) for i in range(10)]).encode()), samples)
    message = str(error.value)
    assert "splits.default.roles.a.uids: 10 of 10 uids of" in message and "(100.0%) are not in the dataset" in message
    assert told in message
    # where every uid is missing, the list is wrong, so max_missing is no remedy
    assert "max_missing" not in message


def test_a_small_share_may_be_missing_and_is_counted_and_a_larger_one_is_refused(tmp_path, dataset):
    samples = dataset([f"img{i}" for i in range(300)])
    uids = [f"img{i}" for i in range(199)]
    found = find_members(listed(tmp_path, lines([*uids, "gone"]).encode()), samples)
    assert (len(found.rows), found.listed, found.missing) == (199, 200, 1)
    with pytest.raises(InputError, match=r"3 of 202 uids .* \(1.5%\) are not in the dataset, for instance 'gone 0'"):
        find_members(listed(tmp_path, lines([*uids, "gone 0", "gone 1", "gone 2"]).encode()), samples)
    allowed = listed(tmp_path, lines(["img0", "elsewhere"]).encode(), max_missing=0.5)
    assert find_members(allowed, samples).missing == 1


def test_an_image_that_is_listed_means_all_its_captions(tmp_path, dataset):
    samples = dataset([f"{key}#{caption}" for key in KEYS for caption in range(3)])
    assert find_members(listed(tmp_path, lines(KEYS[:4]).encode()), samples).rows.tolist() == list(range(12))
    assert find_members(listed(tmp_path, b"img001#2\n"), samples).rows.tolist() == [5]


@pytest.mark.parametrize(
    ("name", "mark"), [("list.csv", ","), ("list.tsv", "\t"), ("list.csv", ";"), ("list.CSV", "\t")]
)
def test_a_table_of_text_is_read_by_the_name_of_its_column(tmp_path, dataset, name, mark):
    text = "".join(f'{mark.join(["split", "key", "note"])}\r\n' if i < 0 else f'train{mark}"{KEYS[i]}"{mark}x\r\n'
                   for i in range(-1, 10))  # fmt: skip
    given = listed(tmp_path, text.encode("utf-8-sig"), name, column="key")
    assert find_members(given, dataset(KEYS)).rows.tolist() == list(range(10))
    with pytest.raises(InputError, match=r"no column 'uid'; it has split, key, note: name .*roles\.a\.uids_column"):
        find_members(listed(tmp_path, text.encode(), name), dataset(KEYS))


def parquet(tmp_path: Path, table: pa.Table, **how) -> MemberList:
    pq.write_table(table, tmp_path / "list.parquet")
    return MemberList("splits.default.roles.a", tmp_path / "list.parquet", **how)


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["0", None, "1"]),
        pa.array([0, 1, 1], pa.uint64()),
        pa.array(["0", "1"], pa.large_string()),
        pa.array(["0", "1"]).dictionary_encode(),
    ],
    ids=["text", "numbers", "large text", "categories"],
)
def test_the_training_table_itself_can_be_the_list(tmp_path, dataset, values):
    table = pa.table({"caption": ["a dog"] * len(values), "key": values})
    assert find_members(parquet(tmp_path, table, column="key"), dataset(list("012"))).rows.tolist() == [0, 1]


def test_tables_whose_column_cannot_hold_uids_are_refused(tmp_path):
    for table, told in (
        (pa.table({"uid": [0.0, 1.0]}), "column 'uid' is double, but uids are texts"),
        (pa.table({"key": ["a"]}), "has no column 'uid'; it has key"),
        (pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["uid", "uid"]), "has several columns 'uid'"),
        (pa.table({"uid": pa.array([None], pa.string())}), "lists no uid"),
    ):
        with pytest.raises(InputError, match=told):
            parquet(tmp_path, table).read()


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", b"\xff\xfe\x00", b"\x80abc"], ids=["empty", "blank", "half a character", "not text"]
)
def test_a_list_that_says_nothing_is_refused_naming_the_file(tmp_path, content):
    with pytest.raises(InputError, match=r"list\.txt"):
        listed(tmp_path, content).read()


@pytest.mark.parametrize(("lost", "refused"), [(0, False), (12, False), (200, True)])
def test_some_of_a_long_list_tell_whether_it_fits_but_for_luck(tmp_path, dataset, lost, refused):
    uids = [f"key-{number:04d}" for number in range(1000)]
    # spread evenly over the list, so that the hundred uids that are looked for hold their share
    spelled = [f"KEY-{number:04d}" if lost and number % (1000 // lost) == 0 else uid for number, uid in enumerate(uids)]
    members, samples = listed(tmp_path, lines(spelled).encode()), dataset(uids)
    if not refused:
        assert find_members(members, samples, most=100).listed == 100
    else:
        with pytest.raises(InputError, match=r"of 100 that were looked for of 1,000 uids of .* \(in other case\)"):
            find_members(members, samples, most=100)
