"""What the rows of a list come to: values of any type, names of splits, and pictures on this machine."""

import json
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.sources import ListedPicture, split_of
from pipeline.sources.cells import cell_price, cell_texts, json_value
from pipeline.sources.folder import read_picture
from pipeline.sources.list_source import list_pictures, picture_from_row

URL = "https://x.example/1.jpg"


def picture(**row: object) -> ListedPicture:
    return picture_from_row({"url": URL, **row}, {}, "l.csv#1", 1)


@pytest.mark.parametrize(
    "missing",
    [
        None,
        float("nan"),
        np.nan,
        pd.NA,
        pd.NaT,
        Decimal("NaN"),
        "nan",
        "NaN",
        "None",
        "NULL",
        "<NA>",
        "NaT",
        "N/A",
        "\\N",
        " ",
        [],
        [None],
        {},
    ],
)
def test_a_missing_value_is_none_however_it_is_written(missing: object) -> None:
    row = picture(title=missing, category=missing, split=missing, price=missing, published=missing, licence=missing)
    assert (row.title, row.category, row.split, row.price, row.published, row.licence, row.extra) == (None,) * 7


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (1.0, ["1"]),
        (np.float32(2.0), ["2"]),
        (np.int64(3), ["3"]),
        (2.5, ["2.5"]),
        (["dress", "gown"], ["dress", "gown"]),
        (("dress", None, "nan", "gown"), ["dress", "gown"]),
        (np.array(["dress", "gown"], dtype=object), ["dress", "gown"]),
        ("['dress', 'gown']", ["dress", "gown"]),
        ('["dress", "gown"]', ["dress", "gown"]),
        ("['dress' 'gown']", ["dress", "gown"]),
        ("[dress, gown]", ["[dress, gown]"]),
        (b"dress", ["dress"]),
        (b"\xff\xfe", []),
        ({"name": "dress"}, []),
        (Decimal("1.50"), ["1.50"]),
        (pd.Timestamp("2025-02-03"), ["2025-02-03 00:00:00"]),
        (float("inf"), ["inf"]),
    ],
)
def test_the_texts_in_a_cell(value: object, texts: list[str]) -> None:
    assert cell_texts(value) == texts


def test_a_cell_written_to_take_long_takes_no_time() -> None:
    assert cell_texts("[" + "'a' " * 50_000 + "!") != []


def test_values_nested_without_end_are_cut() -> None:
    value: object = "deep"
    for _ in range(900):
        value = [value]
    json.dumps(json_value(value))


@pytest.mark.parametrize(
    ("label", "category"), [(1.0, "1"), ("1.0", "1"), ("10.00", "10"), ("1.5", "1.5"), ("Size 1.0", "Size 1.0")]
)
def test_a_label_is_the_same_with_a_gap_in_its_column_and_without(label: object, category: str) -> None:
    assert picture(category=label).category == category


def test_a_mapping_is_no_text_and_is_kept() -> None:
    row = picture(category={"name": "dress"}, title={})
    assert (row.category, row.title, row.extra) == (None, None, '{"category": {"name": "dress"}}')


def test_of_several_categories_the_first_counts_and_all_are_kept() -> None:
    row = picture(category=["dress", "gown"], title=["A", "B"], tags=np.array(["x", "y"]), codes=[1.0, None])
    assert (row.category, row.title) == ("dress", "A, B")
    assert json.loads(row.extra or "") == {"category": ["dress", "gown"], "tags": ["x", "y"], "codes": [1, None]}


@pytest.mark.parametrize(
    ("value", "price"),
    [
        (10.125, 10.125),
        (np.float64(5), 5.0),
        (Decimal("1.50"), 1.5),
        (0, 0.0),
        (-1, None),
        (True, None),
        ("$10 - $20", 10.0),
        ([19.9, 25], 19.9),
    ],
)
def test_the_price_in_a_cell(value: object, price: float | None) -> None:
    assert cell_price(value) == price


def test_a_parquet_file_of_pandas_own_types(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "url": [f"https://x.example/{n}" for n in range(3)],
            "label": [1, None, 2],
            "caption": [["dress", "gown"], None, np.array(["hat"])],
            "garment": pd.Categorical(["a", None, "b"]),
            "stock": pd.array([1, None, 3], dtype="Int64"),
            "date": pd.Series(["2025-02-03", None, "2025-02-04"], dtype="datetime64[ns]"),
            "picture": [b"\xff\xd8\xff", None, b"\x89PNG\x80"],
        }
    )
    frame.to_parquet(tmp_path / "l.parquet")
    rows = list(list_pictures(tmp_path / "l.parquet", {}))
    assert [(row.category, row.title, row.published, row.extra) for row in rows] == [
        ("1", "dress, gown", "2025-02-03T00:00:00", '{"garment": "a", "stock": 1}'),
        (None, None, None, None),
        ("2", "hat", "2025-02-04T00:00:00", '{"garment": "b", "stock": 3}'),
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Train", "TRAIN", " training ", "train_set", "Trainset")),
        *((name, "validation") for name in ("validation", "valid", "val", "dev", "VAL", "Dev", "validation split")),
        *((name, "test") for name in ("test", "TEST", "testing", "test-set")),
        *((name, None) for name in ("fold3", "holdout", "", "trains", "unset")),
    ],
)
def test_the_names_of_splits(name: str, split: str | None) -> None:
    assert split_of(name) == split
    assert picture(split=name).split == split


def test_unknown_splits_are_counted_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = ["val", "fold3", "holdout", "fold3", "", "train"]
    lines = "".join(f"https://x.example/{n},{split}\n" for n, split in enumerate(splits))
    (tmp_path / "l.csv").write_text(f"url,split\n{lines}", encoding="utf-8")
    rows = list(list_pictures(tmp_path / "l.csv", {}))
    assert [row.split for row in rows] == ["validation", None, None, None, None, "train"]
    assert rows[1].extra == '{"split": "fold3"}'
    [line] = caplog.messages
    assert all(part in line for part in ("l.csv", "fold3: 2", "holdout: 1"))


def test_thousands_of_unknown_splits_are_still_one_short_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = "".join(f"https://x.example/{n},fold{n}\n" for n in range(2000))
    (tmp_path / "l.csv").write_text(f"url,split\n{lines}", encoding="utf-8")
    assert len(list(list_pictures(tmp_path / "l.csv", {}))) == 2000
    assert [len(message) < 1000 for message in caplog.messages] == [True]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder for lists with pictures in it, and a secret beside it."""
    folder = tmp_path / "lists"
    (folder / "img").mkdir(parents=True)
    for name in ("a.jpg", "a b.jpg", "100%25.png"):
        (folder / "img" / name).write_bytes(name.encode())
    (folder / "notes.txt.secret").write_bytes(b"secret")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "img" / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "img" / "loop.jpg").symlink_to("loop.jpg")
    return folder


@pytest.mark.parametrize(
    ("written", "content"),
    [
        ("img/a.jpg", b"a.jpg"),
        ("./img/../img/a.jpg", b"a.jpg"),
        ("img/a b.jpg", b"a b.jpg"),
        ("img/100%25.png", b"100%25.png"),
        ("{folder}/img/a.jpg", b"a.jpg"),
        ("file://{folder}/img/a%20b.jpg", b"a b.jpg"),
        ("file:{folder}/img/a.jpg", b"a.jpg"),
        ("file://localhost{folder}/img/a.jpg", b"a.jpg"),
        ("FILE:img/a.jpg", b"a.jpg"),
    ],
)
def test_a_list_may_name_pictures_within_its_folder(shelf: Path, written: str, content: bytes) -> None:
    (shelf / "l.jsonl").write_text(json.dumps({"url": written.format(folder=shelf), "page": "https://x.example/"}))
    [row] = list_pictures(shelf / "l.jsonl", {})
    assert row.status == "listed"
    assert read_picture(row.url, row.page, 1000) == content
    assert json.loads(row.extra or "") == {"page": "https://x.example/"}


@pytest.mark.parametrize(
    "written",
    [
        "../secret.jpg",
        "img/../../secret.jpg",
        "{folder}/../secret.jpg",
        "file://{folder}/../secret.jpg",
        "file://{folder}/%2e%2e/secret.jpg",
        "img/out.jpg",
        "img/loop.jpg",
        "img/none.jpg",
        "/etc/passwd",
        "file:///etc/passwd",
        "file:notes.txt.secret",
        "notes.txt.secret",
        "file://host/a.jpg",
        "//x.example/a.jpg",
        "x.example/a.jpg",
        "x" * 5000 + ".jpg",
        "a\0.jpg",
        "file:a%00.jpg",
        "\ud83d.jpg",
        "file://[/a.jpg",
        ".",
        "file:",
    ],
)
def test_a_list_names_nothing_else_on_this_machine(shelf: Path, written: str) -> None:
    (shelf / "l.jsonl").write_text(json.dumps({"url": written.format(folder=shelf)}))
    [row] = list_pictures(shelf / "l.jsonl", {})
    assert (row.url, row.status) == ("row:l.jsonl#1", "refused")
    assert "secret" not in (row.reason or "")


def test_the_address_of_a_local_picture_is_as_relative_as_its_lists(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shelf.parent)
    (shelf / "l.csv").write_text(f"url\n{os.fspath(shelf)}/img/a.jpg\n")
    [row] = list_pictures(Path("lists/l.csv"), {})
    assert row.url == "file:lists/img/a.jpg"
