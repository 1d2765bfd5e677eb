"""HEIC where pillow-heif is installed: decoded, limited and coloured like any other format. Skipped elsewhere."""

import io
from pathlib import Path

import pytest
from PIL import Image

from pipeline.imaging.decoding import UndecodableError, decode
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.stages.inspect.run import rows_of
from pipeline.storage.tables import RAW, read_tables
from studio.uploads import decoded_upload
from tests.imaging.test_heic_metadata import TELLING
from tests.stages.inspect.test_inspect_hostile import PARAMS
from tests.support.data_stages import DataStages, by_file, tiny_params
from tests.support.profiles import display_p3_profile

pillow_heif = pytest.importorskip("pillow_heif")


def heic(image: Image.Image, **options: object) -> bytes:
    pillow_heif.register_heif_opener()
    content = io.BytesIO()
    image.save(content, "HEIF", **options)
    return content.getvalue()


def test_heic_goes_from_a_folder_through_fetch_and_inspect(wardrobe: Path, tmp_path: Path) -> None:
    (wardrobe / "hat" / "telling.heic").write_bytes(TELLING)
    (wardrobe / "hat" / "cut.heic").write_bytes(TELLING[:500])
    params = tiny_params(wardrobe, collect={"shards": 1}, fetch={"strip_metadata": True})
    stages = DataStages(params, tmp_path / "data").up_to("inspect")
    raw = by_file(read_tables(stages.raw_tables, RAW))
    rows = by_file(read_tables(stages.inspect_tables, INSPECT).drop(columns="shard").merge(read_tables(stages.raw_tables, RAW)))
    assert (raw["hat/telling.heic"]["extension"], raw["hat/cut.heic"]["status"]) == ("heic", "refused")
    row = rows["hat/telling.heic"]
    assert (row["decoded"], row["format"], row["width"], row["height"]) == (True, "HEIF", 16, 16)


def test_the_colours_of_an_iphone_are_converted() -> None:
    content = heic(Image.new("RGB", (64, 64), (230, 60, 60)), quality=100, chroma=444, icc_profile=display_p3_profile())
    picture = decode(content, 10_000)
    assert picture.profile == "converted"
    assert picture.image.getpixel((30, 30)) == pytest.approx((250, 31, 49), abs=3)
    assert tuple(decoded_upload(content)[30, 30]) == pytest.approx((250, 31, 49), abs=3)


def test_more_pixels_than_allowed_are_refused_and_so_are_cut_files() -> None:
    content = heic(Image.new("RGB", (1200, 1000)), quality=10)
    assert len(content) < 10_000
    with pytest.raises(UndecodableError, match="1000000"):
        decode(content, 1_000_000)
    params = PARAMS.model_copy(update={"max_pixels": 1_000_000})
    members = [("bomb.heic", content), ("cut.heic", TELLING[:-200]), ("whole.heic", TELLING)]
    assert [row["decoded"] for row in rows_of(members, params)] == [False, False, True]
