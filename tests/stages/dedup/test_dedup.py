"""Dedup: near-duplicates in one group, strangers apart, and the same choice of representative every time."""

import hashlib
import io
import logging
import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from pipeline.errors import InputError
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.stages.dedup.params import DedupParams, EditedParams
from pipeline.stages.dedup.registration import Fit, Indices, Maps, Sketches, register
from pipeline.stages.dedup.run import PAIRS, Memory, best_first, families_of, groups_of
from pipeline.stages.inspect.params import InspectParams
from pipeline.stages.inspect.run import rows_of
from pipeline.storage.known_pictures import add_known
from pipeline.storage.tables import DUPLICATES, read_table
from tests.support.data_stages import DataStages, tiny_params
from tests.support.duplicates import duplicates_among
from tests.support.edits import EDITS, jpeg
from tests.support.garments import draw_garment

PARAMS = DedupParams(
    max_distance_bits=4, max_thumbnail_difference=0.1, mirrored=False, edited=None, preferred_licences=["CC0-1.0"], max_group=50
)
EDITED = PARAMS.model_copy(
    update={"edited": EditedParams(neighbours=16, min_similarity=0.75, min_agreement=0.7, min_texture=0.6), "mirrored": True}
)


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _garment(seed: int, side_px: int = 96) -> Image.Image:
    return draw_garment(seed, np.random.default_rng(seed), side_px)


def _pictures(contents: dict[str, bytes], splits: dict[str, str] | None = None) -> pd.DataFrame:
    """The input of dedup for pictures with these keys and bytes."""
    params = InspectParams(
        max_pixels=10**6, max_memory_bytes=10**9, timeout_s=30.0, background_tolerance=9, detect=[], sketch=True
    )
    rows = rows_of([(f"{key}.png", content) for key, content in contents.items()], params)
    frame = pd.DataFrame(rows, dtype=object).assign(key=list(contents))
    frame["sha256"] = [hashlib.sha256(content).hexdigest() for content in contents.values()]
    frame["size_bytes"] = [len(content) for content in contents.values()]
    return frame.assign(split=pd.Series(list(contents)).map(splits or {}), licence=None)


def _groups(rows: pd.DataFrame) -> dict[str, list[str]]:
    return {str(group): sorted(members["key"]) for group, members in rows.groupby("group")}


def _row(rows: pd.DataFrame, key: str) -> dict[str, object]:
    [row] = rows[rows["key"] == key].to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_equal_bytes_are_one_group_even_if_undecodable() -> None:
    rows = duplicates_among(
        _pictures({"b": b"broken", "a": b"broken", "c": b"other", "e": _png(_garment(0)), "d": _png(_garment(0))}), PARAMS
    )
    assert _groups(rows) == {"a": ["a", "b"], "c": ["c"], "d": ["d", "e"]}
    assert {row.key: row.link for row in rows.itertuples()} == {
        "a": "representative",
        "b": "bytes",
        "c": "alone",
        "d": "representative",
        "e": "bytes",
    }


def test_near_duplicates_share_a_group_and_others_do_not() -> None:
    original = _garment(0)
    jpeg = io.BytesIO()
    original.save(jpeg, "JPEG", quality=40)
    contents = {
        "original": _png(original),
        "half": _png(original.resize((48, 48), Image.Resampling.BOX)),
        "jpeg": jpeg.getvalue(),
        "brighter": _png(Image.eval(original, lambda level: min(255, round(level * 1.15)))),
        **{f"stranger{seed}": _png(_garment(seed)) for seed in range(1, 20)},
    }
    groups = _groups(duplicates_among(_pictures(contents), PARAMS))
    assert len(groups) == 20
    assert max(groups.values(), key=len) == ["brighter", "half", "jpeg", "original"]


def test_mirror_image_is_a_duplicate_only_with_mirrored() -> None:
    pictures = _pictures({"a": _png(_garment(0)), "b": _png(ImageOps.mirror(_garment(0)))})
    assert len(_groups(duplicates_among(pictures, PARAMS))) == 2
    rows = duplicates_among(pictures, PARAMS.model_copy(update={"mirrored": True}))
    assert _groups(rows) == {"a": ["a", "b"]}
    assert _row(rows, "b")["link"] == "mirror"


@pytest.mark.parametrize(
    ("contents", "splits", "best"),
    [
        ({"a": _png(_garment(0, 64)), "b": _png(_garment(0, 128))}, {}, "b"),  # the larger
        ({"a": _png(_garment(0, 64)), "b": _png(_garment(0, 128))}, {"a": "test", "b": "train"}, "a"),  # the test picture
        ({"a": _png(_garment(0, 64)), "b": _png(_garment(0, 128))}, {"a": "validation", "b": "train"}, "a"),
        ({"a": _png(_garment(0, 64)), "b": _png(_garment(0, 64))}, {}, "a"),  # the first key
        ({"a": _png(_garment(0, 64).resize((128, 128))), "b": _png(_garment(0, 128))}, {}, "b"),  # the sharper
    ],
)
def test_best_picture_is_the_representative(contents: dict[str, bytes], splits: dict[str, str], best: str) -> None:
    pictures = _pictures(contents, splits)
    for order in ([0, 1], [1, 0]):
        assert set(duplicates_among(pictures.iloc[order], PARAMS)["group"]) == {best}


def test_ties_are_broken_by_bytes_and_then_by_licence() -> None:
    same: dict[str, object] = {"width": 64, "height": 64, "sharpness": 9.0, "split": None}
    rows = [("a", 900, None), ("b", 900, "CC-BY-4.0"), ("c", 900, "CC0-1.0"), ("d", 500, "CC0-1.0"), ("e", 950, None)]
    pictures = pd.DataFrame([same | {"key": key, "size_bytes": size, "licence": licence} for key, size, licence in rows])
    assert best_first(pictures, ["CC0-1.0"])["key"].tolist() == ["e", "c", "b", "a", "d"]


def _pairs(edges: list[tuple[int, int, int]]) -> pd.DataFrame:
    rows = [(first, second, bits / 100, "phash") for first, second, bits in sorted(edges)]
    return pd.DataFrame(rows, columns=PAIRS)


def test_group_members_are_close_to_the_representative_not_to_a_neighbour() -> None:
    groups = groups_of(5, _pairs([(0, 1, 3), (1, 2, 3), (2, 3, 3), (3, 4, 3)]), max_group=50)
    assert groups["representative"].tolist() == [0, 0, 2, 2, 4]


def test_max_group_keeps_the_closest_members() -> None:
    groups = groups_of(6, _pairs([(0, second, 6 - second) for second in range(1, 6)]), max_group=3)
    assert groups["representative"].tolist() == [0, 1, 2, 3, 0, 0]
    assert groups["difference"].tolist() == pytest.approx([0, 0, 0, 0, 0.02, 0.01])


def test_family_is_the_connected_component() -> None:
    pairs = _pairs([(0, 3, 1), (3, 4, 1), (1, 2, 1)])
    assert families_of(6, pairs).tolist() == [0, 1, 1, 0, 0, 5]
    assert groups_of(6, pairs, max_group=50)["representative"].tolist() == [0, 1, 1, 0, 4, 5]
    assert families_of(3, _pairs([])).tolist() == [0, 1, 2]


def test_members_beyond_max_group_stay_in_the_family() -> None:
    versions = {f"v{side}": _png(_garment(0, 96).resize((side, side))) for side in range(160, 196, 4)}
    contents = versions | {f"stranger{seed}": _png(_garment(seed)) for seed in range(1, 12)}
    rows = duplicates_among(_pictures(contents), PARAMS.model_copy(update={"max_group": 3}))
    assert rows["group"].value_counts().max() == 3
    assert rows.loc[rows["key"].isin(versions), "family"].nunique() == 1
    assert rows["family"].nunique() == 12
    assert rows["family"].isin(rows.loc[rows["representative"], "key"]).all()


def test_members_are_within_the_limits_and_representatives_are_not() -> None:
    generator = random.Random(0)
    edges = {tuple(sorted(generator.sample(range(200), 2))): generator.randrange(5) for _ in range(600)}
    groups = groups_of(200, _pairs([(first, second, bits) for (first, second), bits in edges.items()]), max_group=200)
    representative = groups["representative"].to_numpy()
    for item, best in enumerate(representative):
        assert best == item or (best, item) in edges
    chosen = set(representative)
    assert not [edge for edge in edges if chosen.issuperset(edge)]


def test_the_stage_writes_a_row_for_every_fetched_picture(
    wardrobe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(wardrobe / "hat" / "000.png", wardrobe / "dress" / "again.png")
    (wardrobe / "hat" / "text.png").write_text("no picture")
    (wardrobe / "hat" / "empty.png").write_bytes(b"")
    stages = DataStages(tiny_params(wardrobe), tmp_path / "data").up_to("inspect")
    with caplog.at_level(logging.INFO):
        stages.dedup()
    rows = read_table(stages.duplicates, DUPLICATES)
    assert len(rows) == 42
    assert rows["key"].is_monotonic_increasing
    assert rows.groupby("group")["representative"].sum().eq(1).all()
    assert rows.loc[rows["representative"], "group"].eq(rows.loc[rows["representative"], "key"]).all()
    assert rows["link"].value_counts().to_dict() == {"alone": 40, "representative": 1, "bytes": 1}
    assert "1 groups of more than one, the largest of 2" in caplog.text


def test_grouping_again_gives_the_same_bytes(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe), tmp_path / "data").up_to("dedup")
    before = stages.duplicates.read_bytes()
    stages.raw_tables.reverse()
    stages.inspect_tables.reverse()
    stages.dedup()
    assert stages.duplicates.read_bytes() == before


def test_nothing_fetched_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "hat").mkdir(parents=True)
    (tmp_path / "pictures" / "hat" / "empty.png").write_bytes(b"")
    stages = DataStages(tiny_params(tmp_path / "pictures"), tmp_path / "data").up_to("inspect")
    with pytest.raises(InputError, match="data/raw"):
        stages.dedup()


def test_known_pictures_without_sketches_and_edited_is_an_input_error(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe, inspect={"sketch": True}, dedup={"edited": {}}), tmp_path / "data").up_to(
        "inspect"
    )
    measures = read_table(stages.inspect_tables[0], INSPECT)
    add_known(stages.known, measures.assign(split="train", licence=None, size_bytes=1, sketch=None))
    with pytest.raises(InputError, match="has pictures without sketches"):
        stages.dedup()


def test_photographs_have_one_duplicate_pair_and_no_false_one(photographs: list[Path]) -> None:
    files = {path.stem: path.read_bytes() for path in photographs}
    half = io.BytesIO()
    name = next(iter(files))
    Image.open(photographs[0]).reduce(2).save(half, "JPEG", quality=30)
    rows = duplicates_among(_pictures(files | {"half": half.getvalue()}), PARAMS)
    assert [members for members in _groups(rows).values() if len(members) > 1] == [sorted([name, "half"])]


def test_edited_copies_of_a_photograph_join_its_group(photographs: list[Path]) -> None:
    files = photographs[3:15]
    first = Image.open(files[0]).convert("RGB")
    edits = {name.replace(" ", "_"): jpeg(edit(first), 90) for name, edit in EDITS.items()}
    contents = {path.stem: path.read_bytes() for path in files} | edits
    rows = duplicates_among(_pictures(contents), EDITED)
    [together] = [members for members in _groups(rows).values() if len(members) > 1]
    assert together[0] == files[0].stem
    assert set(edits) <= set(together)
    assert {_row(rows, key)["link"] for key in ("mirrored", "turned_90°", "crop_12_%")} == {"mirror", "turned", "edited"}


def test_edits_are_found_in_any_order(photographs: list[Path]) -> None:
    files = photographs[:4]
    edits = {f"{path.stem}-cut": jpeg(EDITS["crop 12 %"](Image.open(path).convert("RGB")), 90) for path in files}
    pictures = _pictures({path.stem: path.read_bytes() for path in files} | edits)
    rows = [duplicates_among(pictures.iloc[order], EDITED) for order in (np.arange(8), np.arange(8)[::-1])]
    assert _groups(rows[0]) == _groups(rows[1])
    assert sorted(map(len, _groups(rows[0]).values())) == [2, 2, 2, 2]


def test_cached_registrations_are_reused_and_do_not_change_the_result(
    photographs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = photographs[:7]
    edits = {f"{path.stem}-cut": jpeg(EDITS["crop 12 %"](Image.open(path).convert("RGB")), 90) for path in files}
    pictures = _pictures({path.stem: path.read_bytes() for path in files} | edits)
    fitted: list[int] = []

    def counted(sketches: Sketches, still: Indices, moving: Indices, guesses: Maps) -> Fit:
        fitted.append(len(still))
        return register(sketches, still, moving, guesses)

    monkeypatch.setattr("pipeline.stages.dedup.registration_cache.register", counted)
    memory = Memory()
    duplicates_among(pictures.iloc[:-2], EDITED, memory=memory)
    fitted.clear()
    more = duplicates_among(pictures, EDITED, memory=memory)
    known = memory.registrations
    assert known is not None
    assert 0 < sum(fitted) < len(known), "only new pairs are compared"
    fitted.clear()
    assert duplicates_among(pictures, EDITED, memory=memory).equals(more)
    assert sum(fitted) == 0
    assert duplicates_among(pictures, EDITED).equals(more)
