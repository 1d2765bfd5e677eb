"""Build the report: images, scores and their provenance on one page."""

import json
import logging
import os
import platform
import shlex
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pipeline import __version__
from pipeline.errors import InputError
from pipeline.imaging.category_sheets import GAP_PX
from pipeline.imaging.decoding import pillow_within
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.pages import story
from pipeline.pages.numbers import flatten, group_by_kind, headlines, scores_of_kind
from pipeline.pages.page import AskedSheet, FunnelStep, Page, Pairs, StageSettings, render_html, render_markdown
from pipeline.pages.pictures import MODES, split_sheet
from pipeline.pages.tiles import load_tiles, pixel_counts
from pipeline.section import Setting
from pipeline.stages.report import composition
from pipeline.stages.report.model_card import model_card
from pipeline.stages.report.params import ReportParams
from pipeline.storage.arrays import DatasetCard, check_dataset, read_card, read_split
from pipeline.storage.checksums import check_digest, check_folder
from pipeline.storage.files import sha256_of_file, write_bytes, write_text
from pipeline.storage.tables import CURATED, DUPLICATES, MANIFEST, RAW, read_table, read_tables
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"

EXAMPLES = 6  # images shown of each loss
GROUPS = 8  # groups of near-duplicates shown
GROUP_MEMBERS = 3  # dropped images shown of each
TRAINING_IMAGES = 32
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
git checkout COMMIT && make run          # everything, from scratch
dvc pull                                 # or fetch the results from the remote
snakemake --cores 8 --resources gpu=1    # or run whatever is out of date
dvc repro                                # the same, after a change to params.yaml
python -m pipeline generate --category {category} --count 16 --seed 1 out.png
mlflow ui                                # browse the stages of every run
python -m pipeline compare               # compare this run with earlier ones: reports/runs.html"""


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
        with pillow_within(None), Image.open(path, formats=("PNG",)) as image:  # written by the pipeline itself
            sheet = np.asarray(image.convert(MODES[data.channels]))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the stage that writes it again") from error
    return sheet.reshape(*sheet.shape[:2], -1)


def _cells(path: Path, data: DatasetCard, gap_px: int = 0) -> NDArray[np.uint8]:
    """Images (rows, columns, H, W, C) of the contact sheet at `path`, one row per category."""
    try:
        cells = split_sheet(_sheet(path, data), data.height, data.width, gap_px)
    except ValueError as error:
        raise InputError(f"{path}: not a sheet of {data.height}×{data.width} images; run its stage again") from error
    if len(cells) != len(data.categories):
        raise InputError(f"{path}: {len(cells)} rows for {len(data.categories)} categories; run its stage again")
    return cells


def _samples(folder: Path, data: DatasetCard) -> dict[int, NDArray[np.uint8]]:
    """Cells of a selection of the sample sheets in `folder`, by images seen, ascending."""
    sheets = {int(path.stem): path for path in sorted(folder.glob("*.png"))}
    return {moment: _cells(sheets[moment], data) for moment in composition.choose_moments(list(sheets))}


def _best_and_worst(path: Path, data: DatasetCard) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The two halves of the sheet at `path`, which are half an image width apart."""
    sheet = _sheet(path, data)
    half = (sheet.shape[1] - data.width // 2) // 2
    return split_sheet(sheet[:, :half], data.height, data.width), split_sheet(sheet[:, -half:], data.height, data.width)


def _data_story(
    raw_tables: list[Path], shards: list[Path], inspect_tables: list[Path], duplicates: Path, curated: Path
) -> tuple[pd.DataFrame, list[FunnelStep]]:
    """The fate of each row of the manifest (see `story.trace`), and the funnel with examples."""
    rows = story.trace(
        read_tables(raw_tables, RAW, ["key", "status", "reason"]),
        read_tables(inspect_tables, INSPECT, ["key", "decoded", "reason"]),
        read_table(duplicates, DUPLICATES, ["key", "link"]),
        read_table(curated, CURATED),
    )
    steps, groups = story.funnel(rows, EXAMPLES), story.duplicate_groups(rows, GROUPS, GROUP_MEMBERS)
    examples = [example for step in steps for loss in step.losses for example in loss.examples]
    examples += [example for group in groups for example in (group.kept, *group.dropped)]
    tiles = load_tiles(shards, pixel_counts(rows, set(examples)), EXAMPLE_SIDE_PX)
    return rows, composition.funnel_steps(steps, tiles, composition.group_strips(groups, tiles, 1 + GROUP_MEMBERS), EXAMPLES)


def _training_set(train: Path, data: DatasetCard, listed: int) -> FunnelStep:
    """The last step of the funnel, with examples from the training array."""
    images, _ = read_split(train, "train")
    return composition.training_set_step(data, listed, images[composition.training_set_rows(data, TRAINING_IMAGES)])


def _summary(data: DatasetCard, images_seen: int, kept: int, listed: int) -> str:
    return (
        f"Garments of {len(data.categories)} categories at {data.height}×{data.width} pixels, by a generator that saw "
        f"{images_seen:,} real images in training, counting repetitions. {kept:,} of {listed:,} listed images were good and "
        "distinct enough to be used."
    )


def _artefacts(data: DatasetCard, model: dict[str, Any]) -> list[tuple[str, Pairs]]:
    """How the artefacts were made, as they record it themselves."""
    versions = {"python": platform.python_version(), "atelier": __version__, **{name: version(name) for name in VERSIONS}}
    return [
        ("Training data", flatten({k: v for k, v in asdict(data).items() if k != "sha256"})),
        ("Generator", flatten({k: v for k, v in model.items() if k not in ("categories", "recipe")})),
        ("Versions", flatten(versions)),
    ]


def _asked_sheets(evaluation: Path, data: DatasetCard, attributes: dict[str, list[str]]) -> list[AskedSheet]:
    """The sheets of the attributes that evaluate measured."""
    sheets = []
    for name, values in attributes.items():
        path = evaluation / f"asked_{name}.png"
        if path.exists():
            cells = _cells(path, data)
            rows = composition.gallery(cells, data.categories, cells.shape[1], f"garments, each of another {name}")
            sheets.append(AskedSheet(name, values[: cells.shape[1]], rows))
    return sheets


def _by_stage(settings: list[Setting]) -> list[StageSettings]:
    groups = groupby(settings, lambda setting: setting.key.partition(".")[0])
    return [StageSettings(stage, list(group)) for stage, group in groups]


def _commands(category: str) -> str:
    """The commands that reproduce the run, and draw garments of `category`, for a shell."""
    return COMMANDS.format(category=shlex.quote(category))


def _fingerprints(manifest: Path, curated: Path, data: DatasetCard, gan: Path) -> Pairs:
    """SHA-256 of the data and of the generator."""
    files = {
        "manifest": sha256_of_file(manifest),
        "curated": sha256_of_file(curated),
        **{f"{split} images": sha256 for split, sha256 in data.sha256.items()},
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
    trends: Path,
    page: Path,
    summary: Path,
    settings: list[Setting],
    track: Tracker,
) -> None:
    """Write the report as HTML to `page`, and a short version as Markdown to `summary`. Raises InputError.

    `settings` are the keys of params.yaml that the page lists.
    """
    check_dataset(train)
    check_folder(gan, "train")
    check_folder(evaluation, "evaluate")
    check_folder(evaluation, "evaluate", [os.path.relpath(metrics, evaluation)])
    data, model = read_card(train), _json(gan / "generator.json")
    rows, funnel = _data_story(raw_tables, shards, inspect_tables, duplicates, curated)
    listed = read_table(manifest, MANIFEST, ["key", "source", "licence", "category", "site_category"])
    licences = story.count_by_licence(rows, listed)
    score_groups = group_by_kind(_json(metrics))
    outlook = _json(trends)
    check_digest(trends, outlook, "trends")
    grid = _cells(evaluation / "grid.png", data)
    content = Page(
        title=params.title,
        version=__version__,
        summary=_summary(data, model["images_seen"], int(rows["kept"].sum()), len(rows)),
        gallery=composition.gallery(grid, data.categories, params.pictures_per_category, "generated images"),
        gallery_columns=min(params.pictures_per_category, grid.shape[1]),
        headlines=headlines(score_groups),
        film=composition.training_film(_samples(gan / "samples", data), data.categories),
        walks=composition.gallery(
            _cells(evaluation / "walks.png", data), data.categories, params.pictures_per_category, "steps of a walk"
        ),
        extremes=composition.best_and_worst(*_best_and_worst(evaluation / "best_worst.png", data), data.categories),
        copies=composition.copy_checks(
            _cells(evaluation / "nearest.png", data, GAP_PX),
            _cells(evaluation / "look_alikes.png", data, GAP_PX),
            data.categories,
            {kind: scores_of_kind(score_groups, kind) for kind in ("near_copies", "look_alikes")},
        ),
        funnel=[*funnel, _training_set(train, data, len(rows))],
        leaking_families=story.count_leaking_families(rows),
        categories=composition.category_table(story.count_by_category(rows)),
        unmapped_words=composition.unmapped_words_table(story.count_unmapped_words(listed)),
        trends=composition.trend_sentences(outlook),
        charts=composition.training_charts(pd.read_csv(gan / "history.csv")),
        numbers=score_groups,
        bias=composition.bias_charts(pd.read_csv(evaluation / "fd_by_count.csv")),
        per_category=composition.per_category_table(pd.read_csv(evaluation / "per_category.csv")),
        licences=composition.licence_table(licences),
        artefacts=_artefacts(data, model),
        settings=_by_stage(settings),
        card=model_card(data, model["images_seen"], story.training_licences(rows)),
        commands=_commands(data.categories[0]),
        fingerprints=_fingerprints(manifest, curated, data, gan),
        asked=_asked_sheets(evaluation, data, model.get("attributes", {})),
    )
    html = render_html(content, TEMPLATES / "page.html.j2").encode()
    if len(html) > MAX_PAGE_BYTES:
        log.warning("%s: %d bytes; lower report.pictures_per_category for a lighter page", page, len(html))
    write_bytes(page, html)
    text = render_markdown(content, TEMPLATES / "summary.md.j2")
    write_text(summary, text)
    track.note(text)
    track.artifact(page)
    track.metrics({"page_bytes": len(html)})
