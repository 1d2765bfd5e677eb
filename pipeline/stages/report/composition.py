"""The pictures, charts and tables of the page, from what the stages wrote. Pure."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.metrics.sampling_error import extrapolate_to_infinity
from pipeline.metrics.score_kinds import KINDS
from pipeline.pages.charts import Extrapolation, Line, Measurement, extrapolation_chart, line_chart, short_number
from pipeline.pages.numbers import FormattedScore, with_equal_decimals
from pipeline.pages.page import Chart, CopyCheck, FunnelLoss, FunnelStep, GalleryRow, LabelledPicture, Table
from pipeline.pages.pictures import fit_budget, strip
from pipeline.pages.story import Group, Step
from pipeline.storage.arrays import DatasetCard

STRIP_COLUMNS = 8  # half a row on a wide screen, a whole row on a phone
GALLERY_PIXELS = 1_500_000  # of all images together; larger ones are shrunk to keep the page small
PAIRS_PER_CATEGORY = 4
FILM_PIXELS = 800_000
FILM_MOMENTS = 8
FILM_COLUMNS = 2
MAX_WORDS = 50
TRENDS_NAMED = 5  # rising, and falling
MAX_REASONS = 8  # per step; the others are counted together
CHART_TITLES = {
    "loss": "Losses",
    "score": "Discriminator scores",
    "gradient": "Gradient norms",
    "square": "Gradient penalty at real images",
}


def _rows_of_tiles(cells: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """`cells` (rows, columns, H, W, C) row by row, shrunk together to the gallery's budget."""
    return np.split(fit_budget(cells.reshape(-1, *cells.shape[2:]), GALLERY_PIXELS), len(cells))


def gallery(cells: NDArray[np.uint8], categories: list[str], columns: int, description: str) -> list[GalleryRow]:
    """The first `columns` of `cells` (categories, columns, H, W, C); `description` says what they are, for the alt text."""
    rows = []
    for name, row in zip(categories, _rows_of_tiles(cells[:, :columns]), strict=True):
        chunks = [row[start : start + STRIP_COLUMNS] for start in range(0, len(row), STRIP_COLUMNS)]
        rows.append(GalleryRow(name, [strip(chunk, STRIP_COLUMNS, f"{len(chunk)} {description}: {name}") for chunk in chunks]))
    return rows


def closest_pairs(cells: NDArray[np.uint8], categories: list[str]) -> list[LabelledPicture]:
    """The first pairs per category of `cells` (rows, columns, H, W, C): generated above, nearest training image below."""
    pictures = []
    for name, row in zip(categories, _rows_of_tiles(cells[:, : 2 * PAIRS_PER_CATEGORY]), strict=True):
        pairs = len(row) // 2
        alt = f"{name}: {pairs} generated images, with the nearest training image below each"
        pictures.append(LabelledPicture(name, strip(np.concatenate([row[0::2], row[1::2]]), pairs, alt)))
    return pictures


def copy_checks(
    nearest: NDArray[np.uint8],
    look_alikes: NDArray[np.uint8],
    categories: list[str],
    scores: Mapping[str, list[FormattedScore]],
) -> list[CopyCheck]:
    """The closest pairs by features and by hash (cells (rows, columns, H, W, C) each), with the `scores` by kind."""
    checks = (
        ("Nearest by the classifier's features", "near_copies", nearest),
        ("Nearest by hash and thumbnail", "look_alikes", look_alikes),
    )
    return [
        CopyCheck(title, KINDS[kind].meaning, scores[kind], closest_pairs(cells, categories)) for title, kind, cells in checks
    ]


def best_and_worst(best: NDArray[np.uint8], worst: NDArray[np.uint8], categories: list[str]) -> list[GalleryRow]:
    """For each category the `best` images, best first, and the `worst`, worst last; cells (rows, columns, H, W, C) each."""
    rows = []
    for name, *ends in zip(categories, best[:, :STRIP_COLUMNS], worst[:, -STRIP_COLUMNS:], strict=True):
        pictures = []
        for extreme, end in zip(("most", "least"), ends, strict=True):
            tiles = fit_budget(end, GALLERY_PIXELS // (2 * len(categories)))
            pictures.append(strip(tiles, STRIP_COLUMNS, f"the {len(end)} {extreme} realistic generated images: {name}"))
        rows.append(GalleryRow(name, pictures))
    return rows


def choose_moments(moments: list[int], limit: int = FILM_MOMENTS) -> list[int]:
    """At most `limit` of the ascending `moments`: the first, the last, and others spaced evenly by ratio between them."""
    if len(moments) <= limit:
        return moments
    # The first may be 0 (before any training), so the spacing starts at the second.
    targets = np.linspace(math.log1p(moments[1]), math.log1p(moments[-1]), limit - 1)
    return sorted({moments[0], *(min(moments[1:], key=lambda moment: abs(math.log1p(moment) - log)) for log in targets)})


def training_film(sheets: Mapping[int, NDArray[np.uint8]], categories: list[str]) -> list[LabelledPicture]:
    """A strip for each moment: the first images of `sheets`, cells (rows, columns, H, W, C) by images seen."""
    strips = []
    for moment, cells in sheets.items():
        shown = cells[:, :FILM_COLUMNS].reshape(-1, *cells.shape[2:])
        tiles = fit_budget(shown, FILM_PIXELS // len(sheets))
        alt = f"Generated after {moment:,} images seen, one row per category: {', '.join(categories)}"
        strips.append(LabelledPicture(f"{short_number(moment)} seen", strip(tiles, FILM_COLUMNS, alt)))
    return strips


def _copies_per_image(data: DatasetCard) -> int:
    """Number of training images made of each original, including itself."""
    return max(1, data.counts["train"] // max(1, data.counts["reference_train"]))


def training_set_rows(data: DatasetCard, limit: int) -> NDArray[np.int64]:
    """Rows of at most `limit` training images spread over the array, the copies of an original next to each other."""
    copies = _copies_per_image(data)
    shown, originals = min(copies, STRIP_COLUMNS), data.counts["train"] // copies
    starts = np.linspace(0, originals - 1, min(limit // shown, originals)).astype(np.int64) * copies
    return (starts[:, None] + np.arange(shown)).ravel()


def training_set_step(data: DatasetCard, listed: int, images: NDArray[np.uint8]) -> FunnelStep:
    """The last step of the funnel: the training set, with `images` (N, H, W, C) at `training_set_rows`."""
    count, originals, copies = data.counts["train"], data.counts["reference_train"], _copies_per_image(data)
    label = f"in the training set, {data.height}×{data.width}, {data.colours}"
    alt = "images of the training set, as the networks see them"
    if copies > 1:
        label += f", each image in {copies} versions: the original and random changes of it"
        alt += ", each original followed by its variations"
    tiles, together = fit_budget(images, GALLERY_PIXELS // 4), min(copies, STRIP_COLUMNS)
    half = -(-len(tiles) // together // 2) * together
    columns = STRIP_COLUMNS // together * together
    shown = [strip(part, columns, f"{len(part)} {alt}") for part in (tiles[:half], tiles[half:]) if len(part)]
    return FunnelStep(f"{count:,}", label, round(100 * originals / max(1, listed), 2), losses=[], pictures=shown)


def funnel_losses(step: Step, tiles: Mapping[str, NDArray[np.uint8]], columns: int) -> list[FunnelLoss]:
    """The losses of a step, with example `tiles` (by SHA-256) in rows of `columns`; rare reasons are counted together."""
    shown = []
    for loss in step.losses[:MAX_REASONS]:
        examples = [tiles[sha256] for sha256 in loss.examples if sha256 in tiles]
        picture = strip(np.stack(examples), columns, f"{len(examples)} images dropped: {loss.reason}") if examples else None
        shown.append(FunnelLoss(f"{loss.count:,}", loss.reason, picture))
    rest = step.losses[MAX_REASONS:]
    if rest:
        shown.append(FunnelLoss(f"{sum(loss.count for loss in rest):,}", f"{len(rest)} other reasons", None))
    return shown


def group_strips(groups: list[Group], tiles: Mapping[str, NDArray[np.uint8]], columns: int) -> list[LabelledPicture]:
    """A strip for each group of near-duplicates whose `tiles` are all present, the kept image first."""
    shown = []
    for group in groups:
        members = [group.kept, *group.dropped]
        if all(sha256 in tiles for sha256 in members):
            alt = f"the image kept, then {len(group.dropped)} near-duplicates of it"
            picture = strip(np.stack([tiles[sha256] for sha256 in members]), columns, alt)
            shown.append(LabelledPicture(f"{group.dropped_count} dropped", picture))
    return shown


def funnel_steps(
    steps: list[Step], tiles: Mapping[str, NDArray[np.uint8]], groups: list[LabelledPicture], columns: int
) -> list[FunnelStep]:
    """The funnel with `columns` examples in a row; the step `dedup` shows `groups`."""
    return [
        FunnelStep(
            count=f"{step.count:,}",
            label=step.label,
            percent=round(100 * step.count / max(1, steps[0].count), 2),
            losses=funnel_losses(step, tiles, columns),
            groups=groups if step.stage == "dedup" else [],
        )
        for step in steps
    ]


def training_charts(history: pd.DataFrame) -> list[Chart]:
    """One chart over images seen for all columns of history.csv that share their first word."""
    drawn = []
    names = [name for name in history.columns if name != "images" and history[name].notna().any()]
    for kind in dict.fromkeys(name.split("_")[0] for name in names):
        lines = [
            Line(name.replace("_", " "), list(zip(history["images"], history[name], strict=True)))
            for name in names
            if name.split("_")[0] == kind
        ]
        title = CHART_TITLES.get(kind, kind)
        drawn.append(Chart(title, line_chart(title, lines, "images seen"), [line.name for line in lines]))
    return drawn


def _extrapolate(name: str, counts: pd.Series, values: pd.Series, plus_minus: pd.Series) -> Extrapolation:
    at_infinity, slope = extrapolate_to_infinity(dict(zip(counts, values, strict=True)))
    points = [Measurement(*row) for row in zip(counts.tolist(), values.tolist(), plus_minus.tolist(), strict=True)]
    return Extrapolation(name, points, at_infinity, slope)


def bias_charts(by_count: pd.DataFrame) -> list[Chart]:
    """One chart for each extractor of fd_by_count.csv with two counts or more: generated images beside real ones."""
    drawn = []
    for extractor, rows in by_count.groupby("extractor", sort=False):
        if len(rows) < 2:
            continue
        lines = [_extrapolate("generated", rows["pictures"], rows["fd"], rows["plus_minus"])]
        real = rows[rows["floor"].notna()]
        if len(real) > 1:
            lines.append(_extrapolate("real images", real["pictures"], real["floor"], 0 * real["floor"]))
        title = f"Fréchet distance by {extractor}"
        svg = extrapolation_chart(title, lines, "images, on a scale of 1/count")
        drawn.append(Chart(title, svg, [line.name for line in lines]))
    return drawn


def category_table(counts: pd.DataFrame) -> Table:
    """Images per category, and in total."""
    total = [f"{value:,}" for value in counts.sum()]
    cells = [[name, *(f"{value:,}" for value in row)] for name, row in zip(counts.index, counts.to_numpy(), strict=True)]
    return Table(
        "Images per category: listed, and kept in each split", ["category", *counts.columns], [*cells, ["all", *total]]
    )


def unmapped_words_table(counts: pd.DataFrame) -> Table:
    """The sites' words for which there is no category."""
    cells = [[str(word), f"{count:,}"] for word, count in counts.head(MAX_WORDS).to_numpy()]
    rest = counts["images"][MAX_WORDS:]
    if len(rest):
        cells.append([f"{len(rest)} other words", f"{rest.sum():,}"])
    return Table("Words missing from collect.crawl.categories; their images are left out", list(counts.columns), cells)


def per_category_table(scores: pd.DataFrame) -> Table:
    """per_category.csv of an evaluation."""
    columns = [name.replace("_", " ") for name in scores.columns]
    counts = ("samples", "reference")
    shown = [
        with_equal_decimals(scores[name].astype(float).tolist(), 0 if name in counts else 3) for name in scores.columns[1:]
    ]
    cells = [list(row) for row in zip(scores["category"], *shown, strict=True)]
    return Table("Scores by category, from the classifier's features; those of real images beside them", columns, cells)


def trend_sentences(trends: dict[str, Any]) -> list[str]:
    """What `trends` (reports/trends.json) says, in sentences: how much has a date, and what surely rises or falls most."""
    coverage = trends["coverage"]
    sentences = [f"{coverage['dated']:,} of {coverage['pictures']:,} pictures have a date of publication."]
    if trends["reason"]:
        return [*sentences, trends["reason"]]
    for direction in ("rises", "falls"):
        sure = [one for one in trends["series"] if one["direction"] == direction]
        named = "; ".join(
            f"{one['name']} ({100 * one['change']:+.0f} %, {100 * one['low_80']:+.0f} to {100 * one['high_80']:+.0f} %)"
            for one in sure[:TRENDS_NAMED]
        )
        sentences.append(f"What surely {direction}, in the coming half-year against the year before: {named or 'nothing'}.")
    return [*sentences, "reports/trends.html shows every series."]


def licence_table(counts: pd.DataFrame) -> Table:
    """Images by source and licence."""
    cells = [[str(source), str(licence), f"{listed:,}", f"{kept:,}"] for source, licence, listed, kept in counts.to_numpy()]
    return Table("Images by source and licence", list(counts.columns), cells, text_columns=2)
