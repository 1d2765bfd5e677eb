"""The page of pictures of each colour and pattern."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from pipeline.__main__ import main
from pipeline.commands.attributes import values_of
from pipeline.storage.shards import write_shard
from pipeline.storage.tables import CURATED, write_table


def _row(number: int, sha256: str, **changes: Any) -> dict[str, Any]:
    empty = dict.fromkeys(CURATED.names)
    kept = {"label": 0, "kept": True, "category": "hat", "width": 32, "height": 32, "garment_colour_confidence": number / 10}
    return empty | kept | {"key": f"{number:016x}", "sha256": sha256, "shard": "00000", "url": "file:hat"} | changes


def test_half_of_the_pictures_of_a_value_are_the_least_confident() -> None:
    rows = pd.DataFrame([_row(number, str(number), garment_colour="red") for number in range(10)])
    [red] = values_of(rows, 4)
    assert (red.attribute, red.value, red.pictures) == ("colour", "red", 10)
    assert [sha256 for sha256, _ in red.shown] == ["0", "1", "2", "6"]
    assert red.shown[0][1] == "hat, 0.00"


def test_dropped_pictures_do_not_count() -> None:
    rows = pd.DataFrame([_row(1, "1", garment_colour="red"), _row(2, "2", garment_colour="blue", kept=False)])
    assert [value.value for value in values_of(rows, 4)] == ["red"]


def test_the_page_shows_each_value_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    contents = []
    for colour in ("red", "blue"):
        file = io.BytesIO()
        Image.new("RGB", (32, 32), colour).save(file, format="PNG")
        contents.append(file.getvalue())
    names = [hashlib.sha256(content).hexdigest() for content in contents]
    (tmp_path / "raw").mkdir()
    write_shard(
        tmp_path / "raw" / "00000.tar", [(f"{name}.png", one) for name, one in sorted(zip(names, contents, strict=True))]
    )
    rows = [_row(1, names[0], garment_colour="red"), _row(2, names[1], garment_colour="blue", garment_pattern="plain")]
    write_table(tmp_path / "curated.parquet", pd.DataFrame(rows), CURATED)
    assert main(["attributes", "--data", str(tmp_path), "--page", str(tmp_path / "page.html")]) in (None, 0)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert [name in text for name in ("colour: red", "colour: blue", "pattern: plain")] == [True] * 3
    assert text.count('<img src="data:image/') == 3
    assert "http" not in text.replace("http-equiv", "")


def test_data_without_garments_are_refused_with_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_table(tmp_path / "curated.parquet", pd.DataFrame([_row(1, "1")]), CURATED)
    assert main(["attributes", "--data", str(tmp_path), "--page", str(tmp_path / "page.html")]) == 1
    assert "put garment into inspect.detect" in caplog.text
    assert not (tmp_path / "page.html").exists()
