import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import SourceError
from pipeline.sources import ListedPicture
from pipeline.sources.list_source import list_pictures


def listed(path: Path, **columns: str) -> list[ListedPicture]:
    return list(list_pictures(path, columns))


ROWS: list[dict[str, object]] = [
    {
        "url": "https://x.example/1.jpg",
        "caption": "A red dress",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "similarity": 0.3,
    },
    {"url": "https://x.example/2.jpg", "caption": None, "license": None, "similarity": None},
]


def written(rows: list[dict[str, object]], path: Path) -> Path:
    frame = pd.DataFrame(rows)
    match path.suffix:
        case ".parquet":
            frame.to_parquet(path)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        case suffix:
            frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.jsonl", "list.parquet"])
def test_img2datasets_columns_in_every_format(tmp_path: Path, name: str) -> None:
    first, second = listed(written(ROWS, tmp_path / name))
    assert (first.url, first.title, first.licence) == ("https://x.example/1.jpg", "A red dress", "CC-BY-4.0")
    assert float(json.loads(first.extra or "")["similarity"]) == 0.3
    assert (second.url, second.title, second.licence, second.status) == ("https://x.example/2.jpg", None, None, "listed")


def test_the_names_of_laion_and_names_that_are_told(tmp_path: Path) -> None:
    path = written([{"URL": "https://x.example/1.jpg", "TEXT": "Boots", "garment": "boots", "WIDTH": 300}], tmp_path / "l.csv")
    [picture] = listed(path, category="garment")
    assert (picture.title, picture.category, json.loads(picture.extra or "")) == ("Boots", "boots", {"WIDTH": "300"})


def test_a_folder_of_lists_in_the_order_of_their_names(tmp_path: Path) -> None:
    written(ROWS[:1], tmp_path / "b.csv")
    written(ROWS[1:], tmp_path / "a.jsonl")
    (tmp_path / "readme.txt").write_text("not a list", encoding="utf-8")
    assert [picture.url[-5] for picture in listed(tmp_path)] == ["2", "1"]


CSV = b"""url,caption
https://x.example/1.jpg,fine
,no url
not a url,nonsense
file:///etc/passwd,a file
https://x.example/2.jpg,too,many
https://x.example/3.jpg
https://x.example/4.jpg,\xff\xfe

https://x.example/5.jpg,fine too
"""


def test_bad_rows_of_a_csv_are_rows_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(CSV)
    assert [(picture.url, picture.status, picture.reason) for picture in listed(tmp_path / "l.csv")] == [
        ("https://x.example/1.jpg", "listed", None),
        ("row:l.csv#2", "refused", "row 2: no url"),
        ("row:l.csv#3", "refused", "row 3: the URL contains spaces or control characters"),
        ("row:l.csv#4", "refused", "row 4: a file outside the folder of the list"),
        ("row:l.csv#5", "refused", "row 5: 3 fields, where the header has 2"),
        ("row:l.csv#6", "refused", "row 6: 1 fields, where the header has 2"),
        ("row:l.csv#7", "refused", "row 7: not UTF-8"),
        ("https://x.example/5.jpg", "listed", None),
    ]


def test_blanks_in_an_address_are_encoded_and_two_addresses_in_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("url\n https://x.example/a b.jpg \nhttps://x.example/1.jpg https://x.example/2.jpg\n", encoding="utf-8")
    assert [(picture.url, picture.status) for picture in listed(path)] == [
        ("https://x.example/a%20b.jpg", "listed"),
        ("row:l.csv#2", "refused"),
    ]


def test_bad_lines_of_jsonl_are_rows_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(b'{"url": "https://x.example/1.jpg"}\n{broken\n[1]\n\xff\xfe\n{"url": 7}\n' + b"[" * 100_000 + b"\n{}")
    assert [picture.reason for picture in listed(path)] == [
        None,
        "row 2: not JSON",
        "row 3: not a JSON object",
        "row 4: not JSON",
        "row 5: not an absolute URL: no scheme",
        "row 6: not JSON",
        "row 7: no url",
    ]


def test_a_field_too_long_for_csv_costs_its_row(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        f"url,caption\nhttps://x.example/1.jpg,{'x' * 200_000}\nhttps://x.example/2.jpg,y\n", encoding="utf-8"
    )
    first, second = listed(tmp_path / "l.csv")
    assert (first.status, first.reason) == ("refused", "row 1: field larger than field limit (131072)")
    assert second.url == "https://x.example/2.jpg"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("l.parquet", b"PAR1 no", "cannot be read"), ("l.xlsx", b"", "must end in"), ("missing.csv", None, "cannot be read")],
)
def test_a_list_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        listed(tmp_path / name)


def test_an_empty_folder_and_an_unknown_column_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="in this folder"):
        listed(tmp_path)
    with pytest.raises(SourceError, match="colour is not one of our columns"):
        listed(tmp_path, colour="hue")


def test_an_empty_list_is_empty(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(b"")
    assert listed(tmp_path / "l.csv") == []
