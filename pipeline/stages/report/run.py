"""Show pictures, numbers and where they come from on one page."""

import json
import logging
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pipeline import __version__
from pipeline.errors import InputError
from pipeline.imaging.category_sheets import GAP_PX
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.pages import story
from pipeline.pages.numbers import flattened, headlines_of, kinds_of, of_kind
from pipeline.pages.page import Page, Pairs, ShownStep, as_html, as_markdown
from pipeline.pages.pictures import cells_of_sheet
from pipeline.pages.tiles import shown_pixels, tiles_of
from pipeline.stages.report import composition
from pipeline.stages.report.model_card import model_card
from pipeline.stages.report.params import ReportParams
from pipeline.storage.arrays import DatasetCard, check_dataset, read_card, read_split
from pipeline.storage.checksums import check_folder
from pipeline.storage.files import sha256_of_file, write_bytes, write_text
from pipeline.storage.tables import CURATED, DUPLICATES, MANIFEST, RAW, read_table, read_tables
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"

EXAMPLES = 6  # pictures shown of each loss
GROUPS = 8  # groups of near-duplicates shown
GROUP_MEMBERS = 3  # dropped pictures shown of each
TRAINING_PICTURES = 32
EXAMPLE_SIDE_PX = 64
MAX_PAGE_BYTES = 5_000_000
VERSIONS = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "pandas",
    "scipy",
    "clean-fid",
    "onnxruntime",
    "snakemake",
    "dvc",
    "mlflow",
)
COMMANDS = """\
git checkout COMMIT && make run          # everything, from nothing
dvc pull                                 # or bring the results from the remote
snakemake --cores 8 --resources gpu=1    # or run what is out of date
dvc repro                                # the same, after a change of params.yaml
python -m pipeline generate --category {category} --count 16 --seed 1 out.png
mlflow ui                                # what each stage did
python -m pipeline compare               # this run beside earlier ones, and what each cost: reports/runs.html"""


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the stage that writes it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold an object; run the stage that writes it again")
    return content


def _sheet(path: Path, data: DatasetCard) -> NDArray[np.uint8]:
    try:
        with Image.open(path, formats=("PNG",)) as image:  # which the pipeline itself wrote
            sheet = np.asarray(image.convert("L" if data.channels == 1 else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the stage that writes it again") from error
    return sheet.reshape(*sheet.shape[:2], -1)


def _cells(path: Path, data: DatasetCard, gap_px: int = 0) -> NDArray[np.uint8]:
    """Pictures (rows, columns, H, W, C) of the contact sheet at `path`, one row a category."""
    try:
        cells = cells_of_sheet(_sheet(path, data), data.height, data.width, gap_px)
    except ValueError as error:
        raise InputError(f"{path}: not a sheet of {data.height}×{data.width} pictures; run its stage again") from error
    if len(cells) != len(data.categories):
        raise InputError(f"{path}: {len(cells)} rows for {len(data.categories)} categories; run its stage again")
    return cells


def _samples(folder: Path, data: DatasetCard) -> dict[int, NDArray[np.uint8]]:
    """Cells of some of the sample sheets in `folder`, by images seen, ascending."""
    sheets = {int(path.stem): path for path in sorted(folder.glob("*.png"))}
    return {moment: _cells(sheets[moment], data) for moment in composition.chosen_moments(list(sheets))}


def _best_and_worst(path: Path, data: DatasetCard) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The two halves of the sheet at `path`, which has half a picture's width between them."""
    sheet = _sheet(path, data)
    half = (sheet.shape[1] - data.width // 2) // 2
    return cells_of_sheet(sheet[:, :half], data.height, data.width), cells_of_sheet(sheet[:, -half:], data.height, data.width)


def _data_story(
    raw_tables: list[Path], shards: list[Path], inspect_tables: list[Path], duplicates: Path, curated: Path
) -> tuple[pd.DataFrame, list[ShownStep]]:
    """What became of each row of the manifest, and the funnel with its pictures."""
    rows = story.fates(
        read_tables(raw_tables, RAW, ["key", "status", "reason"]),
        read_tables(inspect_tables, INSPECT, ["key", "decoded", "reason"]),
        read_table(duplicates, DUPLICATES, ["key", "link"]),
        read_table(curated, CURATED),
    )
    steps, groups = story.funnel(rows, EXAMPLES), story.duplicate_groups(rows, GROUPS, GROUP_MEMBERS)
    examples = [example for step in steps for loss in step.losses for example in loss.examples]
    examples += [example for group in groups for example in (group.kept, *group.dropped)]
    tiles = tiles_of(shards, shown_pixels(rows, set(examples)), EXAMPLE_SIDE_PX)
    return rows, composition.shown_funnel(steps, tiles, composition.shown_groups(groups, tiles, 1 + GROUP_MEMBERS), EXAMPLES)


def _training_set(train: Path, data: DatasetCard, listed: int) -> ShownStep:
    """The end of the funnel, with pictures from all over the training array, each beside what was made of it."""
    images, _ = read_split(train, "train")
    return composition.shown_training_set(data, listed, images[composition.places_shown(data, TRAINING_PICTURES)])


def _dek(data: DatasetCard, images_seen: int, kept: int, listed: int) -> str:
    return (
        f"{len(data.categories)} categories of garment, drawn at {data.height}×{data.width} pixels by a generator that has "
        f"learned from {images_seen:,} looks at real ones. {kept:,} of {listed:,} pictures were good enough, and different "
        "enough, to take part."
    )


def _settings(data: DatasetCard, model: dict[str, Any]) -> list[tuple[str, Pairs]]:
    """What the artefacts say of how they were made."""
    versions = {"python": platform.python_version(), "atelier": __version__, **{name: version(name) for name in VERSIONS}}
    return [
        ("Training data", flattened({k: v for k, v in asdict(data).items() if k != "sha256"})),
        ("Generator", flattened({k: v for k, v in model.items() if k not in ("categories", "recipe")})),
        ("Training", flattened(model["recipe"])),
        ("Versions", flattened(versions)),
    ]


def _fingerprints(manifest: Path, curated: Path, data: DatasetCard, gan: Path) -> Pairs:
    """SHA-256 of what the run stands on."""
    files = {
        "manifest": sha256_of_file(manifest),
        "curated": sha256_of_file(curated),
        **{f"{split} pictures": sha256 for split, sha256 in data.sha256.items()},
        "generator": sha256_of_file(gan / "generator.safetensors"),
    }
    return list(files.items())


def run(
    params: ReportParams,
    *,
    manifest: Path,
    raw_tables: list[Path],
    shards: list[Path],
    inspect_tables: list[Path],
    duplicates: Path,
    curated: Path,
    train: Path,
    gan: Path,
    metrics: Path,
    evaluation: Path,
    page: Path,
    summary: Path,
    track: Tracker,
) -> None:
    """Write the report as HTML to `page` and in short as Markdown to `summary`. Raises InputError."""
    check_dataset(train)
    check_folder(gan, "train")
    check_folder(evaluation, "evaluate")
    check_folder(evaluation, "evaluate", [os.path.relpath(metrics, evaluation)])
    data, model = read_card(train), _json(gan / "generator.json")
    rows, funnel = _data_story(raw_tables, shards, inspect_tables, duplicates, curated)
    listed = read_table(manifest, MANIFEST, ["key", "source", "licence", "category", "site_category"])
    licences = story.by_licence(rows, listed)
    kinds = kinds_of(_json(metrics))
    grid = _cells(evaluation / "grid.png", data)
    content = Page(
        title=params.title,
        version=__version__,
        dek=_dek(data, model["images_seen"], int(rows["kept"].sum()), len(rows)),
        wall=composition.wall(grid, data.categories, params.pictures_per_category, "generated pictures"),
        wall_columns=min(params.pictures_per_category, grid.shape[1]),
        headlines=headlines_of(kinds),
        film=composition.film(_samples(gan / "samples", data), data.categories),
        walks=composition.wall(
            _cells(evaluation / "walks.png", data), data.categories, params.pictures_per_category, "steps of a walk"
        ),
        extremes=composition.extremes(*_best_and_worst(evaluation / "best_worst.png", data), data.categories),
        copies=composition.copies(
            _cells(evaluation / "nearest.png", data, GAP_PX),
            _cells(evaluation / "look_alikes.png", data, GAP_PX),
            data.categories,
            {kind: of_kind(kinds, kind) for kind in ("near_copies", "look_alikes")},
        ),
        funnel=[*funnel, _training_set(train, data, len(rows))],
        crossing=story.crossing(rows),
        categories=composition.table_of_categories(story.by_category(rows)),
        unmapped_words=composition.table_of_unmapped_words(story.by_unmapped_word(listed)),
        charts=composition.charts(pd.read_csv(gan / "history.csv")),
        numbers=kinds,
        bias=composition.bias_charts(pd.read_csv(evaluation / "fd_by_count.csv")),
        judgements=composition.table_of_judgements(pd.read_csv(evaluation / "per_category.csv")),
        licences=composition.table_of_licences(licences),
        settings=_settings(data, model),
        card=model_card(data, model["images_seen"], sorted(set(licences["licence"]))),
        commands=COMMANDS.format(category=data.categories[0]),
        fingerprints=_fingerprints(manifest, curated, data, gan),
    )
    html = as_html(content, TEMPLATES / "page.html.j2").encode()
    if len(html) > MAX_PAGE_BYTES:
        log.warning("%s: %d bytes; lower report.pictures_per_category for a lighter page", page, len(html))
    write_bytes(page, html)
    words = as_markdown(content, TEMPLATES / "summary.md.j2")
    write_text(summary, words)
    track.note(words)
    track.artifact(page)
    track.metrics({"page_bytes": len(html)})
