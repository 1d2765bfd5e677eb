import hashlib
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.sources.forgotten import Forgotten, fingerprints_of, read_forgotten, write_forgotten

DRESS, COAT = hashlib.sha256(b"dress").hexdigest(), hashlib.sha256(b"coat").hexdigest()
RAW = pd.DataFrame(
    {
        "url": ["https://a.example/1", "https://b.example/1", "https://a.example/2", "https://a.example/3"],
        "sha256": [DRESS, DRESS, COAT, None],
    }
)


def test_a_picture_is_forgotten_by_its_url_under_every_other_url_too() -> None:
    for target in ("https://a.example/1", DRESS, DRESS.upper()):
        forgotten = fingerprints_of(target, RAW)
        assert forgotten.has_url("https://a.example/1")
        assert forgotten.has_url("https://b.example/1")
        assert forgotten.has_content(DRESS)
        assert not forgotten.has_url("https://a.example/2")
        assert not forgotten.has_content(COAT)
        assert not forgotten.has_content(None)


def test_what_was_never_fetched_is_kept_out_all_the_same() -> None:
    assert fingerprints_of("https://c.example/9", RAW).has_url("https://c.example/9")
    assert fingerprints_of("https://a.example/3", RAW).contents == frozenset()


def test_the_list_is_written_and_read_back_and_tells_no_address(tmp_path: Path) -> None:
    path = tmp_path / "forgotten.csv"
    forgotten = fingerprints_of(DRESS, RAW).union(fingerprints_of("https://c.example/9", RAW))
    write_forgotten(path, forgotten)
    assert read_forgotten(path) == forgotten
    assert b"example" not in path.read_bytes()
    first = path.read_bytes()
    write_forgotten(path, forgotten)
    assert path.read_bytes() == first


def test_no_list_forgets_nothing(tmp_path: Path) -> None:
    assert read_forgotten(tmp_path / "forgotten.csv") == Forgotten()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must begin with the line kind,sha256"),
        ("kind,sha256\nurl,abc\n", "line 2"),
        (f"kind,sha256\nurl,{DRESS}\nface,{DRESS}\n", "line 3"),
        (f"kind,sha256\nurl,{DRESS},x\n", "line 2"),
    ],
)
def test_a_damaged_list_is_an_error_that_names_the_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "forgotten.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_forgotten(path)
