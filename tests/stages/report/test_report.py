import base64
import hashlib
import io
import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.imaging import category_sheets as sheets
from pipeline.imaging.contact_sheets import contact_sheet
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.pages import charts, story
from pipeline.pages.numbers import with_digits_of, with_equal_decimals
from pipeline.pages.pictures import split_sheet
from pipeline.section import Setting
from pipeline.stages.report import composition
from pipeline.stages.report import run as report
from pipeline.stages.report.composition import best_and_worst, choose_moments, training_set_rows, training_set_step
from pipeline.stages.report.params import ReportParams
from pipeline.storage.arrays import SPLITS, DatasetCard, read_card, split_sha256, write_card
from pipeline.storage.checksums import with_digest
from pipeline.storage.files import write_json
from pipeline.storage.shards import write_shard
from pipeline.storage.tables import CURATED, DUPLICATES, MANIFEST, RAW, read_table, write_table
from pipeline.tracking.tracker import Tracker
from tests.support.splits import write_split

PARAMS = ReportParams(title="Gowns & <frocks>", pictures_per_category=16)
CATEGORIES = ["bag", "dress", "t-shirt"]
SHARDS = ("00000", "00001")


def png(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def drawn(count: int, side: int, channels: int) -> NDArray[np.uint8]:
    """Images (count, side, side, channels): a random rectangle each, with noise like a photograph's."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side] / side
    pictures = []
    for _ in range(count):
        x, y, radius = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.15, 0.3)
        shape = (abs(columns - x) < radius) & (abs(rows - y) < 1.5 * radius)
        colour = rng.uniform(60, 255, channels)
        pictures.append(shape[..., None] * colour + rng.normal(0, 12, (side, side, channels)))
    return np.clip(pictures, 0, 255).astype(np.uint8)


# Where images are lost, by their number modulo 12; the others are kept.
LOST = {1: "fetch failed", 2: "undecodable", 3: "bytes", 4: "phash", 5: "dark"}


def rows_of_picture(n: int, shard: str, content: bytes) -> dict[str, dict[str, object]]:
    """The rows of image `n` in the tables, by table."""
    lost = LOST.get(n % 12)
    listed: dict[str, object] = dict.fromkeys(MANIFEST.names) | {
        "key": f"{n:016x}",
        "url": f"file:pictures/{n}.png",
        "source": "folder",
        "category": CATEGORIES[n % 3],
        "licence": "CC0-1.0" if n % 4 else None,
        "status": "listed",
    }
    fetched, decoded, kept = lost != "fetch failed", lost not in ("fetch failed", "undecodable"), lost is None
    duplicate = lost in ("bytes", "phash")
    bytes_of = {
        "sha256": hashlib.sha256(content).hexdigest() if fetched else None,
        "extension": ".png",
        "size_bytes": 100 if fetched else None,
    }
    group = f"{n - n % 12 if duplicate else n:016x}"
    rows: dict[str, dict[str, object]] = {
        "manifest": listed,
        "raw": listed | bytes_of | {"status": "ok" if fetched else "failed", "reason": None if fetched else "no such file"},
        "curated": dict.fromkeys(CURATED.names)
        | listed
        | bytes_of
        | {
            "shard": shard,
            "label": n % 3 if kept else -1,
            "group": group,
            "family": group,
            "kept": kept,
            "reason": "duplicate" if duplicate else lost,
        }
        | {"split": ("test" if n % 2 else "train") if kept else None},
    }
    if fetched:
        measured = dict.fromkeys(INSPECT.names) | {"reason": None if decoded else "truncated", "decoded": decoded}
        rows["inspect"] = measured | {"key": listed["key"], "sha256": bytes_of["sha256"]}
    if decoded:
        link = {
            "link": lost if duplicate else "representative",
            "representative": not duplicate,
            "distance_bits": None,
            "difference": None,
            "earlier_split": None,
        }
        rows["duplicates"] = {"key": listed["key"], "sha256": bytes_of["sha256"], "group": group, "family": group} | link
    return rows


def write_rows(path: Path, rows: list[dict[str, dict[str, object]]], table: str, schema: pa.Schema) -> None:
    frame = pd.DataFrame([row[table] for row in rows if table in row], dtype=object)
    write_table(path, frame, schema)


def write_data(folder: Path, pictures: NDArray[np.uint8]) -> None:
    """The tables of a run, from the manifest to the curated one, and two shards."""
    rows = []
    for place, shard in enumerate(SHARDS):
        numbers = range(place, len(pictures), len(SHARDS))
        contents = [png(pictures[n]) for n in numbers]
        here = [rows_of_picture(n, shard, content) for n, content in zip(numbers, contents, strict=True)]
        write_rows(folder / "raw" / f"{shard}.parquet", here, "raw", RAW)
        write_rows(folder / "inspect" / f"{shard}.parquet", here, "inspect", INSPECT)
        members = [(f"{row['raw']['sha256']}.png", content) for content, row in zip(contents, here, strict=True)]
        write_shard(folder / "raw" / f"{shard}.tar", [member for member in members if not member[0].startswith("None")])
        rows += here
    write_rows(folder / "manifest.parquet", rows, "manifest", MANIFEST)
    write_rows(folder / "duplicates.parquet", rows, "duplicates", DUPLICATES)
    write_rows(folder / "curated.parquet", rows, "curated", CURATED)


def write_model(folder: Path, side: int, channels: int) -> None:
    """The training arrays, and what train writes."""
    train, gan = folder / "train", folder / "gan"
    train.mkdir()
    for split in SPLITS:
        count = 0 if split == "reference_validation" else 6
        write_split(train, split, drawn(6, side, channels)[:count], np.arange(count, dtype=np.int64) % 3)
    hashes = {split: split_sha256(train, split) for split in SPLITS}
    write_card(train, DatasetCard(CATEGORIES, side, side, channels, "lanczos", dict.fromkeys(SPLITS, 6), hashes))
    (gan / "samples").mkdir(parents=True)
    sheet = contact_sheet(drawn(3 * 16, side, channels), 16)
    for seen in (64, 1000, 19_000):
        Image.fromarray(sheet.squeeze()).save(gan / "samples" / f"{seen:08d}.png", compress_level=1)
    card = {
        "network": "resnet",
        "arguments": {"width": 32},
        "categories": CATEGORIES,
        "images_seen": 19_000,
        "recipe": {"loss": "hinge"},
    }
    write_json(gan / "generator.json", {**card, "height": side, "width": side, "channels": channels, "latent_dim": 64})
    (gan / "generator.safetensors").write_bytes(b"weights")
    rows = np.arange(1, 301) * 64
    history = pd.DataFrame({"images": rows, "loss_discriminator": 1 + 1 / rows, "loss_generator": 2 - 1 / rows})
    history.assign(score_real=np.log(rows), score_fake=-np.log(rows)).to_csv(gan / "history.csv", index=False)


def write_evaluation(folder: Path, images: NDArray[np.uint8]) -> None:
    folder.mkdir()
    labels = np.arange(len(images)) % len(CATEGORIES)
    scores = np.linspace(0, 1, len(images))
    nearest = np.arange(len(images))[::-1].copy()
    for name, sheet in {
        "grid": sheets.first_of_each(images, labels, len(CATEGORIES), 16),
        "walks": sheets.first_of_each(images, labels, len(CATEGORIES), 16),
        "best_worst": sheets.best_and_worst(images, labels, len(CATEGORIES), 16, scores),
        "look_alikes": sheets.beside_their_nearest(images, labels, len(CATEGORIES), 16, images, nearest[::-1], scores),
        "nearest": sheets.beside_their_nearest(images, labels, len(CATEGORIES), 16, images, nearest, scores),
    }.items():
        Image.fromarray(sheet.squeeze()).save(folder / f"{name}.png", compress_level=1)
    judged = pd.DataFrame({"category": CATEGORIES, "samples": 16, "class_accuracy": 0.5}).assign(
        fd=[np.nan, *range(1, len(CATEGORIES))]
    )
    judged.to_csv(folder / "per_category.csv", index=False)
    by_count = pd.DataFrame(
        {"pictures": [2500, 5000, 10_000], "fd": [16.0, 14.0, 13.0], "plus_minus": 0.5, "floor": [2.0, 1, np.nan]}
    )
    by_count.insert(0, "extractor", "efflite0")
    by_count.to_csv(folder / "fd_by_count.csv", index=False)


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    write_data(tmp_path, drawn(60, 28, 1))
    write_model(tmp_path, 32, 1)
    write_evaluation(tmp_path / "evaluation", drawn(48, 32, 1))
    write_json(tmp_path / "metrics.json", METRICS)
    write_json(tmp_path / "trends.json", with_digest(TRENDS))
    return tmp_path


METRICS: dict[str, dict[str, object]] = {
    "class_accuracy": {
        "value": 0.93124,
        "plus_minus": 0.0021,
        "plus_minus_bootstrap": 0.0034,
        "bootstrap": "drawn again",
        "floor": 0.9222,
        "floor_pictures": {"split": "reference_test", "pictures": 9995},
        "ceiling": 0.0987,
        "ceiling_pictures": {"split": "uniform noise", "pictures": 1000},
        "flag": "better than real",
        "passport": {"samples": {"pictures": 10000, "repeats": 3}},
    },
    "class_accuracy_real": {"value": 0.9222, "plus_minus": 0.003, "passport": {"reference": {"split": "reference_test"}}},
    "fd_efflite0": {
        "value": 12.345,
        "plus_minus": 0.21,
        "floor": 1.5,
        "passport": {
            "extractor": {"name": "efflite0", "weights_sha256": "ab" * 32},
            "samples": {"pictures": 10000, "repeats": 3},
        },
    },
    "fid": {"absent": "no Inception weights here; set reference.inception_weights"},
    "precision_classifier": {
        "value": 0.8612,
        "plus_minus": 0.004,
        "floor": 0.88,
        "passport": {"extractor": {"name": "classifier"}, "samples": {"repeats": 3}, "settings": {"neighbours": 3}},
    },
    "near_copies_classifier": {"value": 0.0044, "plus_minus": 0.0002, "floor": 0.01, "passport": {"samples": {"repeats": 3}}},
}


RISING = {"name": "colour red", "direction": "rises", "change": 0.3, "low_80": 0.1, "high_80": 0.52}
TRENDS = {"coverage": {"dated": 1200, "pictures": 1500}, "reason": "", "series": [RISING]}


def make(folder: Path, params: ReportParams = PARAMS, name: str = "index") -> str:
    report.run(
        params,
        manifest=folder / "manifest.parquet",
        raw_tables=[folder / "raw" / f"{shard}.parquet" for shard in SHARDS],
        shards=[folder / "raw" / f"{shard}.tar" for shard in SHARDS],
        inspect_tables=[folder / "inspect" / f"{shard}.parquet" for shard in SHARDS],
        duplicates=folder / "duplicates.parquet",
        curated=folder / "curated.parquet",
        train=folder / "train",
        gan=folder / "gan",
        metrics=folder / "metrics.json",
        evaluation=folder / "evaluation",
        trends=folder / "trends.json",
        page=folder / f"{name}.html",
        summary=folder / f"{name}.md",
        settings=[Setting("train.seed", "3", "0"), Setting("train.loss", "hinge", "hinge"), Setting("report.title", "A", "A")],
        track=Tracker(),
    )
    return (folder / f"{name}.html").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """What a browser would load, what a screen reader would say, and whether every tag is closed."""

    VOID = ("br", "img", "link", "meta", "line", "polyline", "circle")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.loaded: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.captions = self.tables = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in self.VOID:
            self.open_tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset", "data", "poster", "action")]
        self.loaded += [given.get("href") or ""] if tag in ("link", "use", "image") else []
        self.links += [given["href"] or ""] if tag == "a" else []
        self.ids += [given["id"] or ""] if "id" in given else []
        self.images += [given] if tag == "img" else []
        self.tables += tag == "table"
        self.captions += tag == "caption"

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_page_is_well_formed_and_self_contained(artefacts: Path) -> None:
    html = make(artefacts)
    page = Reader(html)
    assert page.open_tags == []
    assert page.loaded
    assert all(address.startswith(("data:", "#")) for address in page.loaded)
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(set(page.ids)) == len(page.ids)
    assert "<script" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_every_picture_has_alt_text_and_every_table_a_caption(artefacts: Path) -> None:
    page = Reader(make(artefacts))
    assert len(page.images) > 20
    assert all(image.get("alt") for image in page.images)
    assert [image["alt"] for image in page.images].count("8 generated images: dress") == 2
    assert page.tables == page.captions == 3


def test_unmapped_words_are_listed_most_frequent_first() -> None:
    words = ["Headwear", "Scarves", "Headwear", "Dresses", None]
    manifest = pd.DataFrame({"category": [None, None, None, "dress", None], "site_category": words})
    table = composition.unmapped_words_table(story.count_unmapped_words(manifest))
    assert table.cells == [["Headwear", "2"], ["Scarves", "1"]]
    many = pd.DataFrame({"word": [f"word {n}" for n in range(60)], "images": range(60, 0, -1)})
    assert composition.unmapped_words_table(many).cells[-1] == ["10 other words", "55"]


def test_pictures_have_the_size_and_format_of_their_tags(artefacts: Path) -> None:
    for image in Reader(make(artefacts)).images:
        kind, content = (image["src"] or "").split(";base64,")
        with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
            assert kind == f"data:image/{(picture.format or '').lower()}"
            assert picture.size == (int(image["width"] or 0), int(image["height"] or 0))


def test_trends_are_said_in_sentences_or_why_there_are_none(artefacts: Path) -> None:
    page = make(artefacts)
    assert "1,200 of 1,500 pictures have a date of publication." in page
    assert "What surely rises, in the coming half-year against the year before: colour red (+30 %, +10 to +52 %)." in page
    assert "What surely falls, in the coming half-year against the year before: nothing." in page
    write_json(artefacts / "trends.json", with_digest(TRENDS | {"reason": "None of 3 pictures has a date.", "series": []}))
    assert "None of 3 pictures has a date." in make(artefacts)


def test_gallery_shows_the_pixels_of_grid_png(artefacts: Path) -> None:
    images = [image["src"] or "" for image in Reader(make(artefacts)).images]
    with Image.open(io.BytesIO(base64.b64decode(images[0].split(",")[1]))) as strip:
        first = np.asarray(strip)[:32, :32]
    with Image.open(artefacts / "evaluation" / "grid.png") as grid:
        assert (first[..., 0] == np.asarray(grid)[:32, :32]).all()
    assert (first[..., 1] == 255).all()


def test_sections_are_in_order_and_the_title_is_escaped(artefacts: Path) -> None:
    html = make(artefacts)
    order = [
        html.index(f'id="{name}"')
        for name in ("garments", "learning", "copies", "data", "training", "numbers", "card", "again")
    ]
    assert order == sorted(order)
    assert "<h1>Gowns &amp; &lt;frocks&gt;</h1>" in html
    assert "Gowns & <frocks>" in (artefacts / "index.md").read_text(encoding="utf-8")


def test_settings_are_listed_by_stage_and_changed_ones_are_bold_beside_their_default(artefacts: Path) -> None:
    html = make(artefacts)
    assert "<summary>train: 2 keys, 1 changed</summary>" in html
    assert "<dt>train.seed</dt><dd><strong>3</strong> (default 0)</dd>" in html
    assert "<dt>train.loss</dt><dd>hinge</dd>" in html


def test_funnel_counts_every_image(artefacts: Path) -> None:
    text = Reader(make(artefacts)).text
    for left, label in ((60, "listed"), (55, "fetched"), (50, "decodable"), (40, "distinct"), (35, "good enough")):
        assert f"{left} {label}" in text
    assert "6 in the training set, 32×32, grey" in text
    for lost in ("−5 no such file", "−5 truncated", "−5 identical files", "−5 look-alikes", "−5 too dark"):
        assert lost in text


@pytest.mark.parametrize(("versions", "columns", "rows"), [(1, 8, (2, 2)), (3, 6, (3, 3)), (4, 8, (2, 2)), (11, 8, (2, 2))])
def test_training_images_are_shown_next_to_their_variations(versions: int, columns: int, rows: tuple[int, int]) -> None:
    counts = dict.fromkeys(SPLITS, 40) | {"train": 40 * versions}
    data = DatasetCard(CATEGORIES, 16, 16, 1, "lanczos", counts, dict.fromkeys(SPLITS, ""))
    places = training_set_rows(data, 32)
    together = min(versions, 8)
    assert len(places) == 32 // together * together
    assert (places.reshape(-1, together) - places[::together, None] == np.arange(together)).all()
    assert places[0] == 0 < 39 * versions == places[-together]
    images = np.zeros((40 * versions, 16, 16, 1), np.uint8)
    step = training_set_step(data, 100, images[places])
    assert [(picture.width_px, picture.height_px) for picture in step.pictures] == [
        (17 * columns - 1, 17 * count - 1) for count in rows
    ]
    assert (f"{versions} versions" in step.label) == (versions > 1)


def test_duplicate_families_across_splits_are_counted(artefacts: Path) -> None:
    make(artefacts)
    assert "more than one split: 0." in (artefacts / "index.md").read_text()
    rows = read_table(artefacts / "curated.parquet", CURATED)
    rows["family"] = [f"{int(key, 16) // 2:016x}" for key in rows["key"]]
    write_table(artefacts / "curated.parquet", rows, CURATED)
    pairs = rows[rows["kept"]].groupby("family")["split"].nunique()
    assert f"<p>{(pairs > 1).sum()} groups of near-duplicates" in make(artefacts)
    assert (pairs > 1).sum() > 5


def test_scores_are_shown_with_baselines_and_passport(artefacts: Path) -> None:
    text = Reader(make(artefacts)).text
    assert "fd_efflite0 generated 12.3 ± 0.2 repeats real images 1.5 Passport extractor name efflite0" in text
    assert "samples pictures 10000 samples repeats 3" in text
    assert "fid absent: no Inception weights here; set reference.inception_weights" in text
    accuracy = "generated 0.931 ± 0.002 repeats · ± 0.003 bootstrap real images 0.922 noise 0.0987"
    assert f"class_accuracy {accuracy} ⚑ better than real Passport" in text
    assert "plus minus bootstrap drawn again floor pictures 9995 floor split reference_test" in text
    assert "ceiling pictures 1000 ceiling split uniform noise" in text
    assert "class_accuracy_real real images 0.922 ± 0.003 standard error" in text
    assert "Precision 0.861 ± 0.004 repeats real images 0.88" in text


def test_flag_is_shown_at_the_top_and_links_to_its_score(artefacts: Path) -> None:
    page = Reader(make(artefacts))
    assert "1 suspicious score class_accuracy better than real" in page.text
    assert page.links.count("#number-class_accuracy") == 2
    flagless = {name: {key: entry[key] for key in entry if key != "flag"} for name, entry in METRICS.items()}
    write_json(artefacts / "metrics.json", flagless)
    assert "⚑" not in make(artefacts)
    assert "⚑" not in (artefacts / "index.md").read_text(encoding="utf-8")


def test_closest_pairs_are_shown_by_features_and_by_hash(artefacts: Path) -> None:
    page = Reader(make(artefacts))
    pairs = [image["src"] for image in page.images if "nearest training image below" in (image["alt"] or "")]
    assert len(pairs) == 2 * len(CATEGORIES)
    assert pairs[: len(CATEGORIES)] != pairs[len(CATEGORIES) :]
    assert "generated 0.0044 ± 0.0002 repeats" in page.text


def test_sources_and_licences_are_counted(artefacts: Path) -> None:
    text = Reader(make(artefacts)).text
    assert "folder CC0-1.0 45 25" in text
    assert "folder unknown 15 10" in text


def test_the_card_names_licences_of_training_pictures_only(artefacts: Path) -> None:
    curated = read_table(artefacts / "curated.parquet", CURATED)
    curated["licence"] = curated["split"].map({"train": "CC-BY-4.0", "test": "tested only"}).fillna("dropped")
    write_table(artefacts / "curated.parquet", curated, CURATED)
    assert "images under CC-BY-4.0. Near-duplicates" in Reader(make(artefacts)).text


def test_summary_holds_the_same_scores(artefacts: Path) -> None:
    make(artefacts)
    summary = (artefacts / "index.md").read_text(encoding="utf-8")
    assert "| Fréchet distance (`fd_efflite0`) | 12.3 | 0.2 |  | 1.5 |  |" in summary
    assert "| Class accuracy (`class_accuracy`) | 0.931 ⚑ | 0.002 | 0.003 | 0.922 | 0.0987 |" in summary
    assert "| absent: no Inception weights here" in summary
    assert "- ⚑ `class_accuracy`: better than real" in summary
    assert "| fetched | 55 | 5 no such file |" in summary


def test_equal_artefacts_give_equal_bytes_in_any_folder(artefacts: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(artefacts, elsewhere)
    assert make(artefacts) == make(elsewhere)
    assert (artefacts / "index.md").read_bytes() == (elsewhere / "index.md").read_bytes()
    assert str(artefacts) not in (artefacts / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("channels", [1, 3])
def test_page_with_large_images_stays_under_five_megabytes(tmp_path: Path, channels: int) -> None:
    write_data(tmp_path, drawn(60, 300, channels))
    write_model(tmp_path, 256, channels)
    write_evaluation(tmp_path / "evaluation", drawn(48, 256, channels))
    write_json(tmp_path / "metrics.json", METRICS)
    write_json(tmp_path / "trends.json", with_digest(TRENDS))
    page = Reader(make(tmp_path))
    assert (tmp_path / "index.html").stat().st_size < 5_000_000
    assert any((image["src"] or "").startswith("data:image/webp") for image in page.images)


@pytest.mark.parametrize(
    "name", ["gan/generator.json", "metrics.json", "evaluation/grid.png", "manifest.parquet", "raw/00001.tar"]
)
def test_missing_file_is_named(artefacts: Path, name: str) -> None:
    (artefacts / name).unlink()
    with pytest.raises(InputError, match=re.escape(f"{Path(name).name}:")):
        make(artefacts)
    assert not (artefacts / "index.html").exists()


def test_what_each_value_of_a_measured_attribute_draws_is_shown(artefacts: Path) -> None:
    before = Reader(make(artefacts))
    card = json.loads((artefacts / "gan" / "generator.json").read_text(encoding="utf-8"))
    attributes = {"colour": ["black", "red"], "season": ["winter"]}
    write_json(artefacts / "gan" / "generator.json", card | {"attributes": attributes})
    Image.new("L", (2 * 32, 3 * 32)).save(artefacts / "evaluation" / "asked_colour.png")
    page = Reader(make(artefacts))
    assert set(page.ids) - set(before.ids) == {"asked-colour", "asked-colour-title"}
    assert "#asked-colour" in page.links
    assert "black, red" in page.text


def test_a_sheet_beyond_what_pillow_opens_from_strangers_is_read(artefacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert report._cells(artefacts / "evaluation" / "grid.png", read_card(artefacts / "train")).shape[2:] == (32, 32, 1)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_sheet_of_another_size_is_refused(artefacts: Path) -> None:
    Image.new("L", (100, 96)).save(artefacts / "evaluation" / "grid.png")
    with pytest.raises(InputError, match=r"grid\.png: .*32×32"):
        make(artefacts)
    Image.new("L", (512, 64)).save(artefacts / "evaluation" / "grid.png")
    with pytest.raises(InputError, match=r"grid\.png: 2 rows"):
        make(artefacts)


def test_report_imports_neither_torch_nor_matplotlib_at_the_start() -> None:
    program = "import sys, pipeline.stages.report.run; sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def points_of(svg: str, style: str) -> list[tuple[float, float]]:
    """Coordinates in px of the paths and markers of the CSS class `style`."""
    groups = [part.partition('<g class="')[0] for part in svg.split(f'<g class="{style}">')[1:]]
    drawn = [re.sub("(?s)<defs>.*?</defs>", "", group) for group in groups]
    found = [re.findall(r'[ML] ([0-9.]+) ([0-9.]+)|<use [^>]*x="([0-9.]+)" y="([0-9.]+)"', part) for part in drawn]
    return [(round(float(x or u), 3), round(float(y or v), 3)) for part in found for x, y, u, v in part]


def test_a_category_of_two_words_is_quoted_in_the_printed_command() -> None:
    assert "generate --category 'polo shirt' --count" in report._commands("polo shirt")
    assert "generate --category dress --count" in report._commands("dress")


def test_a_long_line_ends_at_its_last_point() -> None:
    points = [(float(place), 0.0) for place in range(999)] + [(999.0, 100.0)]
    svg = charts.line_chart("Losses", [charts.Line("loss", points)], "pictures")
    assert "loss ends at 100." in svg
    thinned = charts.thin(points)
    assert len(thinned) <= charts.MAX_POINTS
    assert thinned[-1] == (999.0, 100.0)


def test_line_chart_is_to_scale_and_leaves_out_nan() -> None:
    line = charts.Line("loss", [(0.0, 0.0), (50.0, math.nan), (100.0, 10.0)])
    svg = charts.line_chart("Losses", [line], "pictures")
    left, right = charts.LEFT_PX, charts.WIDTH_PX - charts.RIGHT_PX
    bottom, top = charts.HEIGHT_PX - charts.BOTTOM_PX, charts.TOP_PX
    assert points_of(svg, "line line-0") == [(left, bottom), (right, top)]
    assert 'aria-label="Losses: loss ends at 10."' in svg
    assert "#" not in svg  # no colour: the page's style sheet has those of light and of dark


@pytest.mark.parametrize("value", [0.0, 3.0, -2e9, 1e-7])
def test_line_chart_of_equal_values_stays_in_its_frame(value: float) -> None:
    svg = charts.line_chart("", [charts.Line("", [(0.0, value), (1.0, value)])], "")
    assert len(points_of(svg, "line line-0")) == 2
    assert all(0 <= y <= charts.HEIGHT_PX for _, y in points_of(svg, "line line-0"))


def test_extrapolation_chart_ends_in_a_ring_at_infinity(artefacts: Path) -> None:
    by_count = pd.read_csv(artefacts / "evaluation" / "fd_by_count.csv")
    chart = composition.bias_charts(by_count)[0]
    assert chart.names == ["generated", "real images"]
    assert "generated 16 of 2,500, 14 of 5,000, 13 of 10,000, 12 of infinitely many; real images 2 of 2,500" in chart.svg
    # y from 0 to 20, x from 1/infinity to 1/2500.
    bottom, height = charts.HEIGHT_PX - charts.BOTTOM_PX, charts.HEIGHT_PX - charts.TOP_PX - charts.BOTTOM_PX
    width = charts.WIDTH_PX - charts.LEFT_PX - charts.RIGHT_PX
    assert (charts.LEFT_PX, bottom - 0.6 * height) in points_of(chart.svg, "mark-0 open")
    assert (charts.LEFT_PX + 0.25 * width, round(bottom - 0.65 * height, 3)) in points_of(chart.svg, "mark-0")
    assert ">∞<" in chart.svg
    assert composition.bias_charts(by_count[:1]) == []


def test_thin_averages_consecutive_points() -> None:
    points = [(float(n), float(n % 2)) for n in range(1001)]
    thin = charts.thin(points, 101)
    assert len(thin) == 101
    assert thin[0] == (4.5, 0.5)


@pytest.mark.parametrize(
    ("value", "plus_minus", "shown"),
    [(12.345, 0.21, "12.3"), (0.8612, 0.004, "0.861"), (123.4, 20.0, "123"), (0.5, 0.0, "0.5"), (2e-5, 0.0, "0.00002")],
)
def test_digits_follow_plus_minus(value: float, plus_minus: float, shown: str) -> None:
    assert with_digits_of(value, plus_minus) == shown


def test_columns_have_equal_decimals() -> None:
    assert with_equal_decimals([1.0, 0.43, math.nan, 12.345]) == ["1.0", "0.4", "–", "12.3"]
    assert with_equal_decimals([1000.0, 998.0], 0) == ["1,000", "998"]
    assert with_equal_decimals([0.0, 0.0]) == ["0", "0"]
    assert with_equal_decimals([math.nan]) == ["–"]


def test_worst_samples_are_shown_last() -> None:
    worst = np.arange(12, dtype=np.uint8).reshape(1, 12, 1, 1, 1)
    row = best_and_worst(worst[:, ::-1], worst, ["dress"])[0]
    shown = []
    for picture in row.pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1]))) as strip:
            shown.append(np.asarray(strip)[0, ::2, 0].tolist())
    assert shown == [[11, 10, 9, 8, 7, 6, 5, 4], [4, 5, 6, 7, 8, 9, 10, 11]]


def test_moments_are_spaced_by_ratio() -> None:
    moments = [2**n - 1 for n in range(15)]
    assert choose_moments(moments, 8) == [0, 1, 7, 31, 127, 1023, 4095, 16383]
    assert choose_moments([5, 6], 8) == [5, 6]
    assert choose_moments([0, *range(25_000, 280_000, 25_000), 280_000], 8)[:3] == [0, 25_000, 50_000]
    assert len(choose_moments([0, *range(25_000, 280_000, 25_000), 280_000], 8)) >= 6


def test_split_sheet_inverts_contact_sheet() -> None:
    images = drawn(6, 16, 3)
    for gap_px in (0, 2):
        cells = split_sheet(contact_sheet(images, 3, gap_px=gap_px), 16, 16, gap_px)
        assert (cells.reshape(images.shape) == images).all()
