"""examples/openclipart.py makes rows of drawings from strangers, and says of each that is left out why."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from examples.openclipart import main
from PIL import Image

from dejavu.config import load_config

PUBLIC_DOMAIN = "http://web.resource.org/cc/PublicDomain"
SVG = """<?xml version="1.0"?>
{doctype}<svg xmlns="http://www.w3.org/2000/svg"><metadata>
<rdf:RDF xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><cc:Work rdf:about="">
<dc:title>{title}</dc:title><dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject>
<dc:publisher><cc:Agent><dc:title>Open Clip Art Library</dc:title></cc:Agent></dc:publisher>
<dc:creator><cc:Agent><dc:title>Jo Painter</dc:title></cc:Agent></dc:creator>
<cc:license rdf:resource="{licence}"/></cc:Work></rdf:RDF></metadata><text>not a title</text></svg>"""
# nine levels of ten entities each would expand to a gigabyte
BOMB = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "0123456789"}">' for i in range(9))


def svg(title="Kiwi", keywords=("fruit", "food"), doctype="", licence=PUBLIC_DOMAIN) -> str:
    items = "".join(f"<rdf:li>{keyword}</rdf:li>" for keyword in keywords)
    return SVG.format(title=title, keywords=items, doctype=doctype, licence=licence)


def png(size=(6, 4), color=(255, 0, 0, 255)) -> bytes:
    """A bar of one colour on a larger, transparent page."""
    page = Image.new("RGBA", (40, 60), (0, 0, 0, 0))
    page.paste(Image.new("RGBA", size, color), (30, 50))
    buffer = io.BytesIO()
    page.save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def package(tmp_path):
    """Where ``dpkg -x`` puts a package, and what adds a drawing to it."""
    root = tmp_path / "root" / "usr" / "share" / "openclipart"
    (root / "png").mkdir(parents=True)

    def add(name: str, text: str | bytes, picture: bytes | None = None) -> None:
        path = root / "svg" / f"{name}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        target = root / "png" / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(png() if picture is None else picture)

    add("food/kiwi", svg())
    add.root = root
    return add


def made(package, capsys, output="out") -> tuple[dict[str, dict], str]:
    """The rows by id, and what was printed."""
    folder = package.root.parents[2]
    main([str(folder), str(folder.parent / output)])
    table = pq.read_table(folder.parent / output / "openclipart.parquet")
    return {row["id"]: row for row in table.to_pylist()}, capsys.readouterr().out


def test_a_row_has_title_and_keywords_but_neither_the_author_nor_where_it_was_filed(package, capsys):
    given = ["Fruit", " united_nations  member", "fruit", "hash", "unsorted", "Jo Painter", "11", "t", "red, green", ""]
    package("food/apple", svg("  Red\n Apple &amp; pear ", given))
    rows, printed = made(package, capsys)
    assert list(rows) == ["food/apple", "food/kiwi"]
    assert rows["food/apple"]["caption"] == "Red Apple & pear"
    assert rows["food/apple"]["objects"] == ["fruit", "green", "red", "united nations member"]
    assert "     2  drawings in the set" in printed and "left out" not in printed


def test_a_picture_is_a_square_on_white_without_the_page_around_it(package, capsys):
    package("food/wide", svg("wide"), png((8, 4), (0, 0, 255, 255)))
    pixels = np.asarray(Image.open(io.BytesIO(made(package, capsys)[0]["food/wide"]["image"])).convert("RGB"))
    expected = np.full((8, 8, 3), 255)
    expected[2:6] = (0, 0, 255)
    np.testing.assert_array_equal(pixels, expected)


def test_a_large_picture_is_made_small(package, capsys):
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((1000, 500)).save(buffer, format="PNG")
    package("food/large", svg("large"), buffer.getvalue())
    assert Image.open(io.BytesIO(made(package, capsys)[0]["food/large"]["image"])).size == (224, 224)


LEFT_OUT = {
    "malformed": (svg()[:-9], None, "the SVG is not well-formed"),
    "no_xml": (b"\x00\xff\x00", None, "the SVG is not well-formed"),
    "unknown_encoding": (svg().replace('"1.0"', '"1.0" encoding="none-such"', 1), None, "the SVG is not well-formed"),
    "entity_bomb": (svg("&e8;", doctype=f"<!DOCTYPE svg [{BOMB}]>"), None, "the SVG declares entities"),
    "entity_of_a_file": (
        svg("&e;", doctype='<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/hostname">]>'),
        None,
        "the SVG declares entities",
    ),
    "entity_in_utf_16": (
        svg("&e;", doctype='<!DOCTYPE svg [<!ENTITY e "x">]>')
        .replace('"1.0"', '"1.0" encoding="utf-16"', 1)
        .encode("utf-16"),
        None,
        "the SVG declares entities",
    ),
    "large": (svg() + "\n" * (10 << 20), None, "the SVG is larger than 10 MiB"),
    "licence": (svg(licence=""), None, "the SVG does not say that it is in the public domain"),
    "title": (svg(" "), None, "no title"),
    "keyword": (svg(keywords=["fruit", "Fruit", "hash"]), None, "fewer than 2 keywords"),
    "no_picture": (svg(), b"GIF89a", "the PNG: image cannot be decoded"),
    "cut_picture": (svg(), png()[:60], "the PNG: image cannot be decoded"),
    "empty_picture": (svg(), png(color=(9, 9, 9, 0)), "the PNG has one colour only"),
}


@pytest.mark.parametrize(("text", "picture", "reason"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_cannot_be_used_is_left_out_and_counted(package, capsys, text, picture, reason):
    package("food/odd", text, picture)
    rows, printed = made(package, capsys)
    assert list(rows) == ["food/kiwi"]
    assert f"     1  left out: {reason}" in printed


def test_icon_themes_and_links_are_left_out(package, capsys):
    package("computer/icons/flat-theme/action/go", svg("go"))
    os.symlink("kiwi.svg", package.root / "svg" / "food" / "again.svg")
    rows, printed = made(package, capsys)
    assert list(rows) == ["food/kiwi"]
    assert "     1  left out: an icon theme" in printed
    assert "     1  left out: a link to another drawing" in printed


def test_the_title_of_a_whole_collection_is_no_caption(package, capsys):
    for number in range(13):
        package(f"shapes/star{number}", svg("Stars" if number else "STARS"))
    for number in range(12):
        package(f"weather/cloud{number}", svg("Cloud"))
    rows, printed = made(package, capsys)
    assert len(rows) == 12 + 1 and not any(name.startswith("shapes") for name in rows)
    assert "    13  left out: a title that more than 12 drawings have" in printed


def test_a_picture_may_be_a_link_within_the_package_and_none_out_of_it(package, capsys):
    outside = package.root.parents[3] / "secret.png"
    outside.write_bytes(png())
    for name, target in {"same": "kiwi.png", "secret": str(outside), "gone": "nowhere.png"}.items():
        package(f"food/{name}", svg(name))
        link = package.root / "png" / "food" / f"{name}.png"
        link.unlink()
        link.symlink_to(target)
    rows, printed = made(package, capsys)
    assert set(rows) == {"food/kiwi", "food/same"}
    assert rows["food/same"]["image"] == rows["food/kiwi"]["image"]
    assert "     2  left out: no PNG" in printed


def test_the_same_packages_give_the_same_bytes(package, capsys):
    package("animals/zebra", svg("Zebra", ["animal", "zebra"]))
    folder = package.root.parents[3]
    for output in ("one", "two"):
        made(package, capsys, output)
    one, two = ((folder / output / "openclipart.parquet").read_bytes() for output in ("one", "two"))
    assert one == two


def test_what_is_missing_is_one_sentence_and_writes_nothing(package, tmp_path):
    with pytest.raises(SystemExit) as error:
        main([str(tmp_path), str(tmp_path / "out")])
    assert f"{tmp_path} has no folders svg and png" in str(error.value)
    (package.root / "png" / "food" / "kiwi.png").unlink()
    with pytest.raises(SystemExit) as error:
        main([str(package.root), str(tmp_path / "out")])
    assert "no drawing that can be used" in str(error.value) and "1  left out: no PNG" in str(error.value)
    assert not list((tmp_path / "out").iterdir())


def test_its_configuration_reads_what_the_script_writes(repository: Path, package, capsys):
    given = yaml.safe_load((repository / "config/openclipart.yaml").read_text())
    load_config(given, repository / "workflow/schemas/config.schema.yaml", repository)
    made(package, capsys)
    written = pq.read_schema(package.root.parents[3] / "out" / "openclipart.parquet").names
    assert given["datasets"]["openclipart"]["columns"] == dict(
        zip(("key", "image", "caption", "objects"), written, strict=True)
    )
