"""overrides.csv and forgotten.csv as people and spreadsheets save them."""

import codecs
import io
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.sources.forgotten import read_forgotten
from pipeline.storage.encodings import encoding_of
from pipeline.storage.overrides import COLUMNS, read_overrides

DRESS, COAT = "ab" * 32, "cd" * 32
PLAIN = f"sha256,decision,category,reason\n{DRESS},drop,,ugly\n{COAT},category,robe d'été,\n"
WANTED = [[DRESS, "drop", "", "ugly"], [COAT, "category", "robe d'été", ""]]

SAVED_AS = {
    "UTF-8 with a byte-order mark": codecs.BOM_UTF8 + PLAIN.encode(),
    "Windows line ends": PLAIN.replace("\n", "\r\n").encode(),
    "old Mac line ends": PLAIN.replace("\n", "\r").encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "a line that names the separator": b"sep=;\r\n" + PLAIN.replace(",", ";").encode(),
    "UTF-16": PLAIN.replace(",", "\t").encode("utf-16"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "Windows-1252": PLAIN.encode("cp1252"),
    "quotes": "\n".join(",".join(f'"{field}"' for field in line.split(",")) for line in PLAIN.splitlines()).encode(),
    "upper case": PLAIN.replace(DRESS, DRESS.upper())
    .replace("sha256,decision", "SHA256,Decision")
    .replace("drop", "Drop")
    .encode(),
    "blanks around fields": PLAIN.replace(",", " , ").replace("\n", "  \n").encode(),
    "empty rows and columns": ("\n".join(f"{line},," for line in PLAIN.splitlines()) + "\n,,,,,\n\n  \n").encode(),
    "an empty line above": b"\n" + PLAIN.encode(),
    "pandas with its index": PLAIN.replace("sha256", ",sha256")
    .replace(DRESS, f"0,{DRESS}")
    .replace(COAT, f"1,{COAT}")
    .replace("drop,,", "drop,nan,")
    .encode(),
    "pandas with its index read back": PLAIN.replace("sha256", "Unnamed: 0,sha256")
    .replace(DRESS, f"0,{DRESS}")
    .replace(COAT, f"1,{COAT}")
    .encode(),
    "text marks, formulas and invisible signs": PLAIN.replace(DRESS, f"'{DRESS}")
    .replace(COAT, f'"=""\u200b{COAT}"""')
    .encode(),
    "two byte-order marks": 2 * codecs.BOM_UTF8 + PLAIN.encode(),
    "an end-of-file sign": PLAIN.encode() + b"\x1a",
}


@pytest.mark.parametrize("content", SAVED_AS.values(), ids=SAVED_AS)
def test_overrides_are_the_same_however_a_spreadsheet_saves_them(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "overrides.csv").write_bytes(content)
    assert read_overrides(tmp_path / "overrides.csv").to_numpy().tolist() == WANTED


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + f"kind,sha256\r\nurl,{DRESS}\r\nbytes,{COAT}\r\n".encode(),
        f'"kind";"sha256"\n"URL";"{DRESS.upper()}"\n;\nbytes;{COAT} ;\n'.encode(),
        f"Kind\tSHA256\nurl\t{DRESS}\nbytes\t{COAT}\n".encode("utf-16"),
    ],
)
def test_forgotten_pictures_are_the_same_however_a_spreadsheet_saves_them(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "forgotten.csv").write_bytes(content)
    forgotten = read_forgotten(tmp_path / "forgotten.csv")
    assert (forgotten.urls, forgotten.contents) == ({DRESS}, {COAT})


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("1.23E+45,drop,,", "line 2"),
        (f"{DRESS},drop,,\n\n1,2345E+63;drop,,", "line 4"),
        (f'{DRESS},drop,,"never closed\n{COAT},drop,,', "line 2"),
        (f'{DRESS},drop,,"two\nlines"\n{COAT},maybe,,', "line 4"),
    ],
)
def test_a_row_that_a_spreadsheet_spoilt_is_named_by_its_line(tmp_path: Path, rows: str, line: str) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text(f"{','.join(COLUMNS)}\n{rows}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"overrides\.csv: {line}: [^\n]+$"):
        read_overrides(path)


def test_a_wrong_first_line_is_shown_with_what_cannot_be_seen_in_it(tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text("sha256,decision,cat\u200begory,reason\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"\\u200b"):
        read_overrides(path)


def test_an_endless_first_line_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text("x" * 200_000, encoding="utf-8")
    with pytest.raises(InputError, match=r"overrides\.csv: line 1: field larger than field limit"):
        read_overrides(path)


def test_a_reason_keeps_its_commas(tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text(f"{','.join(COLUMNS)}\n{DRESS},drop,,ugly, and blurred\n", encoding="utf-8")
    assert read_overrides(path)["reason"].tolist() == ["ugly, and blurred"]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        ("Größe à 5 €".encode(), "utf-8"),
        ("Größe à 5 €".encode("cp1252"), "cp1252"),
        ("Größe\n".encode() + "Größe\n".encode("cp1252"), "utf-8"),
        (b"dress,\xff\xfe\n", "utf-8"),
        ("платье".encode("cp1251"), "utf-8"),
        (b"\x81\x8d", "utf-8"),
        ("dress".encode("utf-16-be"), "utf-16-be"),
        ("dress".encode("utf-32"), "utf-32"),
        (b"a\0b\0\0\0\0\0", "utf-8"),
    ],
)
def test_the_encoding_of_text(content: bytes, encoding: str) -> None:
    file = io.BytesIO(content)
    assert encoding_of(file) == encoding
    assert file.tell() == 0
