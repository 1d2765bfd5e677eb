"""Lists in every format, encoding and dialect that programs write, and what is found of a folder of them."""

import codecs
import contextlib
import gzip
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SourceError
from pipeline.sources import ListedPicture, list_files
from pipeline.sources.list_source import list_pictures

TABLE = "url,caption,category\nhttps://x.example/1.jpg,Ein süßes Kleid,dress\nhttps://x.example/2.jpg,plain,coat\n"
WANTED = [("https://x.example/1.jpg", "Ein süßes Kleid", "dress"), ("https://x.example/2.jpg", "plain", "coat")]
RECORDS = [dict(zip(("url", "caption", "category"), row, strict=True)) for row in WANTED]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


def listed(path: Path, **columns: str) -> list[ListedPicture]:
    return list(list_pictures(path, columns))


def written(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


FORMS: dict[str, str | bytes] = {
    "list.csv": TABLE,
    "semicolons.csv": TABLE.replace(",", ";"),
    "tabs.csv": TABLE.replace(",", "\t"),
    "bars.csv": TABLE.replace(",", "|"),
    "commas.tsv": TABLE,
    "named-separator.csv": "sep=;\r\n" + TABLE.replace(",", ";"),
    "windows.csv": TABLE.replace("\n", "\r\n"),
    "old-mac.csv": TABLE.replace("\n", "\r"),
    "mark.csv": codecs.BOM_UTF8 + TABLE.encode(),
    "utf16.csv": TABLE.encode("utf-16"),
    "utf16-without-mark.csv": TABLE.encode("utf-16-be"),
    "excel-unicode-text.txt": TABLE.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    "windows-1252.csv": TABLE.encode("cp1252"),
    "other-case.csv": TABLE.replace("url,caption,category", " URL , Caption,CATEGORY "),
    "empty-columns.csv": TABLE.replace("\n", ",,\n") + ",,,,\n",
    "empty-lines.csv": "\n\n" + TABLE.replace("\n", "\n\n"),
    "zero-bytes.csv": TABLE.replace("plain", "pl\0ain"),
    "LIST.CSV": TABLE,
    "lines.jsonl": LINES,
    "lines-utf16.ndjson": LINES.encode("utf-16"),
    "blank-lines.ndjson": LINES.replace("\n", "\n\n"),
    "array.json": json.dumps(RECORDS),
    "lines.json": LINES,
    "by-columns.json": json.dumps({name: {str(n): record[name] for n, record in enumerate(RECORDS)} for name in RECORDS[0]}),
    "list.csv.gz": gzip.compress(TABLE.encode(), mtime=0),
    "list.tsv.gz": gzip.compress(TABLE.replace(",", "\t").encode("utf-16"), mtime=0),
    "array.json.gz": gzip.compress(json.dumps(RECORDS).encode(), mtime=0),
    "lines.jsonl.gz": gzip.compress(LINES.encode(), mtime=0),
    "unpacked-by-the-browser.csv.gz": TABLE,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_list_reads_the_same_in_every_form(tmp_path: Path, name: str) -> None:
    pictures = listed(written(tmp_path, name, FORMS[name]))
    assert [(picture.url, picture.title, picture.category) for picture in pictures] == WANTED
    assert {picture.extra for picture in pictures} == {None}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", "# mine\n\nhttps://x.example/1.jpg\r\n  https://x.example/2.jpg  \n#https://x.example/3.jpg\n"),
        ("headed.txt", "url\nhttps://x.example/1.jpg\n# not this\nhttps://x.example/2.jpg"),
        ("list.txt.gz", gzip.compress(b"https://x.example/1.jpg\nhttps://x.example/2.jpg\n", mtime=0)),
        ("strings.json", '["https://x.example/1.jpg", "https://x.example/2.jpg"]'),
        ("strings.jsonl", '"https://x.example/1.jpg"\n"https://x.example/2.jpg"\n'),
    ],
)
def test_a_list_of_bare_urls(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert [(picture.url, picture.status) for picture in listed(written(tmp_path, name, content))] == [
        ("https://x.example/1.jpg", "listed"),
        ("https://x.example/2.jpg", "listed"),
    ]


def test_a_text_file_of_a_header_alone_lists_nothing(tmp_path: Path) -> None:
    assert list(listed(written(tmp_path, "l.txt", b"url\n"))) == []


def test_rows_of_a_text_file_are_named_by_their_line(tmp_path: Path) -> None:
    pictures = listed(written(tmp_path, "l.txt", b"# mine\n\nno url\nhttps://x.example/\xff\xfe.jpg\n"))
    assert [picture.url for picture in pictures] == ["row:l.txt#3", "row:l.txt#4"]


def rows(*lines: str, name: str = "l.csv") -> Callable[[Path], list[tuple[str, str | None]]]:
    """URL (without what all have) and title of each row of a list of `lines`."""

    def read(folder: Path) -> list[tuple[str, str | None]]:
        found = listed(written(folder, name, "\n".join(lines) + "\n"))
        return [(picture.url.removeprefix("https://x.example/"), picture.title) for picture in found]

    return read


def test_a_lone_quote_in_a_tsv_is_a_character(tmp_path: Path) -> None:
    url = "https://x.example/"
    read = rows(
        "url\tcaption\tcategory",
        f'{url}1\t"open\tdress',
        f'{url}2\tsize 5"\tdress',
        f'{url}3\t"quoted, ""twice"""\tdress',
        f'{url}4\t"a\tb"\tdress',
        f'{url}5\tdress\t"open',
        f"{url}6\tplain\tdress",
        name="l.tsv",
    )
    assert read(tmp_path) == [
        ("1", '"open'),
        ("2", 'size 5"'),
        ("3", 'quoted, "twice"'),
        ("4", "a\tb"),
        ("5", "dress"),
        ("6", "plain"),
    ]


@pytest.mark.parametrize("closed", ['size 5"', '"closed', "plain"])
def test_a_lone_quote_in_a_csv_costs_its_row_and_no_other(tmp_path: Path, closed: str) -> None:
    path = tmp_path / "l.csv"
    path.write_text(
        f'url,caption,c\nhttps://x.example/1.jpg,"open,d\nhttps://x.example/2.jpg,{closed},d\nhttps://x.example/3.jpg,plain,d\n'
    )
    first, second, third = listed(path)
    assert (first.url, first.status) == ("row:l.csv#1", "refused")
    assert "double quote" in (first.reason or "")
    assert "row 2" in (first.reason or "")
    assert (second.url == "https://x.example/2.jpg") == (closed != '"closed')
    assert (third.url, third.title) == ("https://x.example/3.jpg", "plain")


@pytest.mark.parametrize("column", ["url,caption", "caption,url"])
def test_every_row_with_a_lone_quote_is_named(tmp_path: Path, column: str) -> None:
    line = '{url},"open' if column.startswith("url") else '"open,{url}'
    urls = [f"https://x.example/{n}.jpg" for n in range(200)]
    path = written(tmp_path, "l.csv", column + "\n" + "".join(line.format(url=url) + "\n" for url in urls))
    assert [picture.url for picture in listed(path)] == [f"row:l.csv#{n}" for n in range(1, 201)]


def test_quoted_line_breaks_and_both_ways_to_escape_a_quote(tmp_path: Path) -> None:
    read = rows(
        "caption,url",
        '"two\nlines, see https://y.example",https://x.example/1',
        '"a ""b"" c",https://x.example/2',
        '"5\\" heel, red",https://x.example/3',
        '"ends with \\",https://x.example/4',
        '5" heel,https://x.example/5',
    )
    assert read(tmp_path) == [
        ("1", "two\nlines, see https://y.example"),
        ("2", 'a "b" c'),
        ("3", '5" heel, red'),
        ("4", "ends with \\"),
        ("5", '5" heel'),
    ]


def test_a_quoted_field_too_long_for_csv_costs_one_row(tmp_path: Path) -> None:
    long = "y\n" * 100_000
    path = written(tmp_path, "l.csv", f'url,caption\nhttps://x.example/1,"{long}"\nhttps://x.example/2,fine\n')
    assert [picture.url for picture in listed(path)] == ["row:l.csv#1", "https://x.example/2"]


def test_the_rest_of_an_endless_line_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_files, "MAX_LINE_CHARACTERS", 100)
    path = written(tmp_path, "l.jsonl", json.dumps({"url": "x" * 1000}) + '\n{"url": "https://x.example/2"}\n')
    assert [picture.url for picture in listed(path)] == ["row:l.jsonl#1", "https://x.example/2"]


def test_columns_of_one_name_are_kept_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    [picture] = listed(written(tmp_path, "l.csv", "url,tag,tag,URL\nhttps://x.example/1,a,b,https://x.example/2\n"))
    assert (picture.url, json.loads(picture.extra or "")) == (
        "https://x.example/1",
        {"tag": "a", "tag.1": "b", "URL": "https://x.example/2"},
    )
    [line] = caplog.messages
    assert "l.csv" in line
    assert "tag, url" in line


def test_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    arrays = [pa.array(["https://x.example/1"]), pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.table(arrays, names=["url", "tag", "tag"]), tmp_path / "l.parquet")
    [picture] = listed(tmp_path / "l.parquet")
    assert json.loads(picture.extra or "") == {"tag": "a", "tag.1": "b"}


def test_a_value_that_no_calendar_has_costs_its_row(tmp_path: Path) -> None:
    dates = pa.array([2**62, 5], pa.timestamp("us"))
    pq.write_table(pa.table({"url": ["https://x.example/1", "https://x.example/2"], "date": dates}), tmp_path / "l.parquet")
    assert [picture.url for picture in listed(tmp_path / "l.parquet")] == ["row:l.parquet#1", "https://x.example/2"]


def test_a_column_that_the_parameters_name_and_the_list_lacks_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed(written(tmp_path, "l.csv", "url,label\nhttps://x.example/1,dress\n"), category="garment")
    assert ["category: garment" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "https://x.example/1.jpg,nice\nhttps://x.example/2.jpg,nicer\n"),
        ("l.tsv", "https://x.example/1.jpg\tnice\n"),
        ("l.csv.gz", gzip.compress(b"https://x.example/1.jpg\n", mtime=0)),
        ("l.csv", "link,caption\nhttps://x.example/1.jpg,nice\n"),
    ],
)
def test_a_list_without_a_header_is_one_line_that_says_so(tmp_path: Path, name: str, content: str | bytes) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(SourceError) as caught:
        listed(path)
    message = str(caught.value)
    assert all(word in message for word in (str(path), "url", "header", "collect.list.columns"))
    assert "\n" not in message


def test_a_parquet_list_without_urls_names_its_columns(tmp_path: Path) -> None:
    pd.DataFrame({"link": ["https://x.example/1"]}).to_parquet(tmp_path / "l.parquet")
    with pytest.raises(SourceError, match="link"):
        listed(tmp_path / "l.parquet")
    assert len(listed(tmp_path / "l.parquet", url="link")) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv.gz", gzip.compress(TABLE.encode(), mtime=0)[:40]),
        ("l.json", b'[{"url": '),
        ("l.json", b"7"),
        ("l.json", b"[" * 100_000),
        ("l.parquet", b""),
    ],
)
def test_a_damaged_list_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(SourceError) as caught:
        listed(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["l.csv", "l.tsv", "l.txt", "l.json", "l.jsonl"])
def test_a_list_without_rows_is_named(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert listed(written(tmp_path, name, "\n\n")) == []
    assert ["l." in message and "no rows" in message for message in caplog.messages] == [True]


CLUTTER = [
    "._a.csv",
    ".hidden.csv",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "~$a.csv",
    "a.csv~",
    ".~lock.a.csv#",
    ".a.csv.swp",
    "README.md",
    "readme.txt",
    "LICENSE",
    "LICENCE.txt",
]


def test_what_systems_and_people_leave_beside_lists_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path, "a.csv", "url\nhttps://x.example/1\n")
    for name in CLUTTER:
        written(tmp_path, name, b"\0\x05\x16\x07")
    assert [picture.url for picture in listed(tmp_path)] == ["https://x.example/1"]
    assert caplog.messages == []


def test_what_is_no_list_by_its_name_is_named_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path, "a.csv", "url\nhttps://x.example/1\n")
    for name in ("b.xlsx", "c.csv.part", "d.csv.crdownload", "e.CSV.zip"):
        written(tmp_path, name, "x")
    (tmp_path / "f.csv").mkdir()
    (tmp_path / "g").touch()
    with caplog.at_level(logging.WARNING):
        assert len(listed(tmp_path)) == 1
    [line] = caplog.messages
    assert all(name in line for name in ("b.xlsx", "c.csv.part", "d.csv.crdownload", "e.CSV.zip", "f.csv", "1 more"))


def test_a_link_to_nothing_among_lists_is_one_line(tmp_path: Path) -> None:
    written(tmp_path, "a.csv", "url\nhttps://x.example/1\n")
    (tmp_path / "b.csv").symlink_to("gone.csv")
    with pytest.raises(SourceError, match=r"b\.csv"):
        listed(tmp_path)


def test_a_pipe_among_lists_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(SourceError, match=r"a\.csv"):
        listed(tmp_path)


A, B = "https://x.example/a.jpg", "https://x.example/b.jpg"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", f"'url','caption'\n'{A}','x, \"y\"'\n'{B}','z'\n"),  # single quotes
        ("l.csv", f'url, caption\n{A}, "x, ""y"""\n{B}, z\n'),  # blanks behind commas
        ("l.csv", f'"url,caption"\n"{A},""x, """"y"""""""\n"{B},z"\n'),  # each line quoted once more
        ("l.csv", f'My export\n\n# of today\nurl,caption\n{A},"x, ""y"""\n{B},z\n'),
        ("l.csv", f'#url,caption\n{A},"x, ""y"""\n{B},z\n'),
        ("l.csv", f'\ufeff\ufeffurl,caption\n{A},"x, ""y"""\n{B},z\n'),
        ("l.csv", f'url,caption\n"=HYPERLINK(""{A}"",""here"")","x, ""y"""\n"=""{B}""",z\n'),  # formulas of Excel
        ("l.csv", f'url,caption\n<{A}>,"x, ""y"""\n\'{B},z\n'),
        ("l.csv", f'url,caption\n\u200b{A}\u200b,"x, ""y"""\n“{B}”,z\n'),
        ("l.tsv", f'\turl\tcaption\n0\t{A}\tx, "y"\n1\t{B}\tz\n'),
        ("l.json", json.dumps({"url": [A, B], "caption": ['x, "y"', "z"]})),  # pandas: list, index, split, values, table
        ("l.json", json.dumps({"0": {"url": A, "caption": 'x, "y"'}, "1": {"url": B, "caption": "z"}})),
        ("l.json", json.dumps({"columns": ["url", "caption"], "index": [0, 1], "data": [[A, 'x, "y"'], [B, "z"]]})),
        ("l.json", json.dumps([["url", "caption"], [A, 'x, "y"'], [B, "z"]])),
        ("l.json", json.dumps({"schema": {}, "data": [{"url": A, "caption": 'x, "y"'}, {"url": B, "caption": "z"}]})),
        ("l.jsonl", f'[{{"url": "{A}", "caption": "x, \\"y\\""}},\n{{"url": "{B}", "caption": "z"}}]\n'),
    ],
)
def test_rows_are_read_in_every_dialect(tmp_path: Path, name: str, content: str) -> None:
    written(tmp_path, name, content)
    assert [(row.url, row.title) for row in listed(tmp_path)] == [(A, 'x, "y"'), (B, "z")]


@pytest.mark.parametrize("content", [f'"{A}",\n"{B}"\n', f"- {A}\n2. {B}\n", f"{A}\tx\n{B}\ty\n", f"<{A}>\n<{B}>\n"])
def test_urls_on_lines_are_read_without_what_is_around_them(tmp_path: Path, content: str) -> None:
    written(tmp_path, "l.txt", content)
    assert [row.url for row in listed(tmp_path)] == [A, B]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("order", [("url", "caption", "note"), ("caption", "url", "note"), ("note", "caption", "url")])
def test_no_stray_quote_hides_a_row(tmp_path: Path, delimiter: str, order: tuple[str, ...]) -> None:
    random = np.random.default_rng(len(delimiter) + len(order[0]))
    for trial in range(15):
        lines = [delimiter.join(order)]
        for number in range(30):
            cells = {"url": f"https://x.example/{number}.jpg", "caption": "a red dress", "note": "cheap"}
            lines.append(delimiter.join(cells[name] for name in order))
        text = "\n".join(lines) + "\n"
        for place in sorted(random.integers(len(lines[0]) + 1, len(text), random.integers(1, 8)), reverse=True):
            text = text[:place] + '"' + text[place:]
        pictures = listed(written(tmp_path, f"{trial}.csv", text))
        assert len(pictures) == 30, text
        for number, picture in enumerate(pictures):
            assert picture.status == "refused" or f"/{number}.jpg" in picture.url.replace('"', ""), text
            assert "https" not in f"{picture.title}{picture.extra}" or picture.status == "refused", text


def test_damaged_lists_are_rows_or_one_line(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, content in FORMS.items():
        plain = content.encode() if isinstance(content, str) else content
        for trial in range(6):
            damaged = bytearray(plain)
            for place in random.integers(0, len(damaged), 4):
                damaged[place] = random.choice(np.frombuffer(b'"\0\n\r,;\t\xff\xc3[{\\', np.uint8))
            cut = bytes(damaged[: random.integers(1, len(damaged) + 1)]) if trial % 2 else bytes(damaged)
            with contextlib.suppress(SourceError):
                pictures = listed(written(tmp_path, name, cut))
                assert all(picture.reason is None or "\n" not in picture.reason for picture in pictures)
