"""Remember: what an earlier run kept is compared with, even when no source lists it any more."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pipeline.__main__ import main
from pipeline.commands import forget
from pipeline.stages.dedup.run import KNOWN_KEY
from pipeline.storage.known_pictures import read_known
from pipeline.storage.tables import CURATED, DUPLICATES, read_table
from tests.support.data_stages import DataStages, tiny_params
from tests.support.garments import draw_wardrobe

CURATE = {"split": "hash", "test_share": 0.4, "validation_share": 0.2, "min_per_category": 1}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _stages(pictures: Path, data: Path = Path("data")) -> DataStages:
    # Relative, because the split hashes URLs, and the temporary folder's name differs from run to run.
    return DataStages(tiny_params(Path(pictures.name), curate=CURATE, collect={"shards": 1}), data)


def _splits(stages: DataStages) -> "pd.Series[str]":
    """Split of each kept picture by its url before it was darkened."""
    rows = read_table(stages.curated, CURATED)
    return rows.assign(url=rows["url"].str.replace("darker-", ""))[rows["kept"]].set_index("url")["split"]


@pytest.fixture
def remembered(wardrobe: Path) -> "pd.Series[str]":
    """The splits of a first run, which is then remembered; the pictures are replaced by darker ones and some new."""
    first = _stages(wardrobe).up_to("curate")
    assert main(["remember"]) == 0
    splits = _splits(first)
    for picture in list(wardrobe.rglob("*.png")):
        Image.eval(Image.open(picture), lambda level: level * 9 // 10).save(picture.with_name(f"darker-{picture.name}"))
        picture.unlink()
    draw_wardrobe(wardrobe, ["coat"], 8, seed=3)
    return splits


def test_look_alikes_of_what_is_gone_go_to_its_split(wardrobe: Path, remembered: "pd.Series[str]") -> None:
    second = _stages(wardrobe).up_to("curate")
    splits = _splits(second)
    assert len(splits) == 48, "a look-alike of a picture that is not here is kept"
    assert splits[remembered.index].equals(remembered)
    assert set(remembered) == {"train", "test", "validation"}
    rows = read_table(second.duplicates, DUPLICATES)
    assert not rows["key"].str.startswith(KNOWN_KEY).any()
    assert rows["group"].str.startswith(KNOWN_KEY).sum() == rows["earlier_split"].notna().sum() == 40
    shutil.rmtree(second.known)
    second.dedup()
    second.curate()
    assert not _splits(second).reindex(remembered.index).equals(remembered), "by their own hashes they would be elsewhere"


@pytest.mark.usefixtures("remembered")
def test_remembering_again_adds_only_what_is_new(wardrobe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["remember"]) == 0
    assert "0 pictures remembered, 40 in all" in capsys.readouterr().out
    _stages(wardrobe).up_to("curate")
    assert main(["remember"]) == 0
    assert "48 pictures remembered, 88 in all" in capsys.readouterr().out
    assert len(list(Path("data/known").iterdir())) == 2


def test_what_was_kept_before_changes_nothing_while_it_is_here(wardrobe: Path) -> None:
    stages = _stages(wardrobe).up_to("curate")
    before = stages.curated.read_bytes()
    assert main(["remember"]) == 0
    stages.dedup()
    stages.curate()
    assert stages.curated.read_bytes() == before


def test_the_forgotten_is_not_remembered(wardrobe: Path) -> None:
    _stages(wardrobe).up_to("curate")
    assert main(["remember"]) == 0
    gone = read_known(Path("data/known"))["sha256"][7]
    assert main(["forget", gone]) == 0
    assert forget.FORGOTTEN_FILE.exists()
    left = read_known(Path("data/known"))["sha256"]
    assert len(left) == 39
    assert gone not in set(left)


def test_nothing_curated_is_one_clear_error(caplog: pytest.LogCaptureFixture) -> None:
    assert main(["remember"]) == 1
    assert "run the stage that writes it" in caplog.text


def test_hidden_files_beside_what_was_remembered_are_passed_over(wardrobe: Path) -> None:
    _stages(wardrobe).up_to("curate")
    assert main(["remember"]) == 0
    [table] = Path("data/known").glob("*.parquet")
    table.with_name(f"._{table.name}").write_bytes(b"\0\x05\x16\x07")  # as macOS leaves it on other file systems
    (Path("data/raw") / "._00000.parquet").write_bytes(b"\0\x05\x16\x07")
    assert len(read_known(Path("data/known"))) == 40
    assert main(["remember"]) == 0
    assert main(["forget", read_known(Path("data/known"))["sha256"][0]]) == 0
    assert len(read_known(Path("data/known"))) == 39
