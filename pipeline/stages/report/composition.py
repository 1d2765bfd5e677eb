"""What the page shows, made from what the stages wrote: walls, films, funnels, charts and tables. Pure."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.metrics.infinity import line_to_infinity
from pipeline.pages.charts import Extrapolation, Line, Measurement, extrapolation_chart, line_chart, short_number
from pipeline.pages.numbers import MEANINGS, Number, in_equal_digits
from pipeline.pages.page import Chart, Copies, Named, ShownLoss, ShownStep, Table, WallRow
from pipeline.pages.pictures import opaque, shrunk, strip
from pipeline.pages.story import Group, Step
from pipeline.storage.arrays import DatasetCard

STRIP_COLUMNS = 8  # half a row on a wide screen, a row on a phone
WALL_PIXELS = 1_500_000  # of all garments together; larger ones are shrunk, so that the page stays small
PAIRS = 4  # of a generated picture and its nearest, a category
FILM_PIXELS = 800_000
FILM_MOMENTS = 8
FILM_COLUMNS = 2
MAX_WORDS = 50
MAX_REASONS = 8  # a step; the rest is counted together
CHART_TITLES = {
    "loss": "Losses",
    "score": "What the discriminator says",
    "gradient": "Sizes of the gradients",
    "square": "Slope of the discriminator at real pictures",
}


def _fitting(images: NDArray[np.uint8], budget_pixels: int) -> NDArray[np.uint8]:
    """`images` (N, H, W, C) with an alpha channel, shrunk until all together have at most `budget_pixels`."""
    return opaque(shrunk(images, math.isqrt(budget_pixels // len(images))))


def wall(cells: NDArray[np.uint8], categories: list[str], columns: int, told: str) -> list[WallRow]:
    """The first `columns` of `cells` (rows, columns, H, W, C), whose rows are `categories`; `told` says what they are."""
    shown = cells[:, :columns]
    tiles = _fitting(shown.reshape(-1, *shown.shape[2:]), WALL_PIXELS)
    rows = []
    for name, row in zip(categories, np.split(tiles, len(categories)), strict=True):
        chunks = [row[start : start + STRIP_COLUMNS] for start in range(0, len(row), STRIP_COLUMNS)]
        rows.append(WallRow(name, [strip(chunk, STRIP_COLUMNS, f"{len(chunk)} {told}: {name}") for chunk in chunks]))
    return rows


def closest_pairs(cells: NDArray[np.uint8], categories: list[str]) -> list[Named]:
    """For each category the first pairs of `cells` (rows, columns, H, W, C): generated above, nearest in training below."""
    shown = cells[:, : 2 * PAIRS]
    tiles = _fitting(shown.reshape(-1, *shown.shape[2:]), WALL_PIXELS)
    named = []
    for name, row in zip(categories, np.split(tiles, len(categories)), strict=True):
        pairs = len(row) // 2
        alt = f"{name}: {pairs} generated pictures, and below each the training picture nearest to it"
        named.append(Named(name, strip(np.concatenate([row[0::2], row[1::2]]), pairs, alt)))
    return named


def copies(
    nearest: NDArray[np.uint8], look_alikes: NDArray[np.uint8], categories: list[str], numbers: Mapping[str, list[Number]]
) -> list[Copies]:
    """The closest pairs by features and by hash, cells (rows, columns, H, W, C) each, with the `numbers` of copies by kind."""
    ways = (
        ("Nearest by the classifier's features", "near_copies", nearest),
        ("Nearest by hash and thumbnail", "look_alikes", look_alikes),
    )
    return [Copies(title, MEANINGS[kind][1], numbers[kind], closest_pairs(cells, categories)) for title, kind, cells in ways]


def extremes(best: NDArray[np.uint8], worst: NDArray[np.uint8], categories: list[str]) -> list[WallRow]:
    """For each category its `best` pictures, best first, and its `worst`, worst last; cells (rows, columns, H, W, C) each."""
    rows = []
    for name, *ends in zip(categories, best[:, :STRIP_COLUMNS], worst[:, -STRIP_COLUMNS:], strict=True):
        tiles = [_fitting(end, WALL_PIXELS // (2 * len(categories))) for end in ends]
        words = ("most", "least")
        alts = [f"{len(end)} generated pictures {word} like real ones: {name}" for word, end in zip(words, tiles, strict=True)]
        rows.append(WallRow(name, [strip(end, STRIP_COLUMNS, alt) for end, alt in zip(tiles, alts, strict=True)]))
    return rows


def chosen_moments(moments: list[int], limit: int = FILM_MOMENTS) -> list[int]:
    """At most `limit` of the ascending `moments`: the first, and others to the last about equally far apart by ratio."""
    if len(moments) <= limit:
        return moments
    # The first may be 0, before any training, whose ratio to the second is no measure of the others.
    wanted = np.linspace(math.log1p(moments[1]), math.log1p(moments[-1]), limit - 1)
    return sorted({moments[0], *(min(moments[1:], key=lambda moment: abs(math.log1p(moment) - want)) for want in wanted)})


def film(sheets: Mapping[int, NDArray[np.uint8]], categories: list[str]) -> list[Named]:
    """A strip for each moment: the first pictures of `sheets`, cells (rows, columns, H, W, C) by images seen."""
    shown = {moment: cells[:, :FILM_COLUMNS].reshape(-1, *cells.shape[2:]) for moment, cells in sheets.items()}
    strips = []
    for moment, images in shown.items():
        tiles = _fitting(images, FILM_PIXELS // len(shown))
        alt = f"Generated after {moment:,} pictures seen, one row each: {', '.join(categories)}"
        strips.append(Named(f"{short_number(moment)} seen", strip(tiles, FILM_COLUMNS, alt)))
    return strips


def _versions_of(data: DatasetCard) -> int:
    """How many training pictures were made of each picture, itself the first."""
    return max(1, data.counts["train"] // max(1, data.counts["reference_train"]))


def places_shown(data: DatasetCard, limit: int) -> NDArray[np.int64]:
    """Places of at most `limit` training pictures from all over the array, the versions of a picture one after the other."""
    versions = _versions_of(data)
    shown, pictures = min(versions, STRIP_COLUMNS), data.counts["train"] // versions
    starts = np.linspace(0, pictures - 1, min(limit // shown, pictures)).astype(np.int64) * versions
    return (starts[:, None] + np.arange(shown)).ravel()


def shown_training_set(data: DatasetCard, listed: int, images: NDArray[np.uint8]) -> ShownStep:
    """The end of the funnel: what the generator sees, with the `images` (N, H, W, C) at `places_shown`."""
    count, pictures, versions = data.counts["train"], data.counts["reference_train"], _versions_of(data)
    told = f"in the training set, {data.height}×{data.width} in {'grey' if data.channels == 1 else 'colour'}"
    alt = "pictures of the training set, as the networks see them"
    if versions > 1:
        told += f", each picture in {versions} versions: itself, then changed at random"
        alt += ", each followed by what was made of it"
    tiles, together = _fitting(images, WALL_PIXELS // 4), min(versions, STRIP_COLUMNS)
    half = -(-len(tiles) // together // 2) * together
    columns = STRIP_COLUMNS // together * together
    shown = [strip(part, columns, f"{len(part)} {alt}") for part in (tiles[:half], tiles[half:]) if len(part)]
    return ShownStep(f"{count:,}", told, round(100 * pictures / max(1, listed), 2), losses=[], pictures=shown)


def shown_losses(step: Step, tiles: Mapping[str, NDArray[np.uint8]], columns: int) -> list[ShownLoss]:
    """The losses of a step with their pictures, `tiles` by SHA-256, in rows of `columns`; rare reasons are counted together."""
    shown = []
    for loss in step.losses[:MAX_REASONS]:
        there = [tiles[example] for example in loss.examples if example in tiles]
        alt = f"{len(there)} of the pictures dropped: {loss.reason}"
        shown.append(ShownLoss(f"{loss.count:,}", loss.reason, strip(np.stack(there), columns, alt) if there else None))
    rest = step.losses[MAX_REASONS:]
    if rest:
        shown.append(ShownLoss(f"{sum(loss.count for loss in rest):,}", f"{len(rest)} other reasons", None))
    return shown


def shown_groups(groups: list[Group], tiles: Mapping[str, NDArray[np.uint8]], columns: int) -> list[Named]:
    """A strip for each group of near-duplicates whose `tiles` are there, the kept picture first."""
    shown = []
    for group in groups:
        if any(member not in tiles for member in (group.kept, *group.dropped)):
            continue
        members = np.stack([tiles[member] for member in (group.kept, *group.dropped)])
        alt = f"The picture kept, then {len(group.dropped)} near-duplicates of it"
        shown.append(Named(f"{group.dropped_count} dropped", strip(members, columns, alt)))
    return shown


def shown_funnel(
    steps: list[Step], tiles: Mapping[str, NDArray[np.uint8]], groups: list[Named], columns: int
) -> list[ShownStep]:
    """The funnel with `columns` examples in a row; `groups` stand in the step that finds near-duplicates."""
    return [
        ShownStep(
            count=f"{step.count:,}",
            told=step.told,
            percent=round(100 * step.count / max(1, steps[0].count), 2),
            losses=shown_losses(step, tiles, columns),
            groups=groups if step.stage == "dedup" else [],
        )
        for step in steps
    ]


def charts(history: pd.DataFrame) -> list[Chart]:
    """A chart for each kind of column of history.csv, by the column's first word, over images seen."""
    drawn = []
    names = [name for name in history.columns if name != "images" and history[name].notna().any()]
    for kind in dict.fromkeys(name.split("_")[0] for name in names):
        lines = [
            Line(name.replace("_", " "), list(zip(history["images"], history[name], strict=True)))
            for name in names
            if name.split("_")[0] == kind
        ]
        title = CHART_TITLES.get(kind, kind)
        drawn.append(Chart(title, line_chart(title, lines, "pictures seen"), [line.name for line in lines]))
    return drawn


def _extrapolated(name: str, counts: pd.Series, values: pd.Series, plus_minus: pd.Series) -> Extrapolation:
    at_infinity, slope = line_to_infinity(dict(zip(counts, values, strict=True)))
    points = [Measurement(*row) for row in zip(counts.tolist(), values.tolist(), plus_minus.tolist(), strict=True)]
    return Extrapolation(name, points, at_infinity, slope)


def bias_charts(by_count: pd.DataFrame) -> list[Chart]:
    """A chart for each extractor of fd_by_count.csv that has two counts or more: generated pictures beside real ones."""
    drawn = []
    for extractor, rows in by_count.groupby("extractor", sort=False):
        if len(rows) < 2:
            continue
        lines = [_extrapolated("generated", rows["pictures"], rows["fd"], rows["plus_minus"])]
        real = rows[rows["floor"].notna()]
        if len(real) > 1:
            lines.append(_extrapolated("real pictures", real["pictures"], real["floor"], 0 * real["floor"]))
        title = f"Fréchet distance by {extractor}"
        svg = extrapolation_chart(title, lines, "pictures, spaced as 1 over their number")
        drawn.append(Chart(title, svg, [line.name for line in lines]))
    return drawn


def table_of_categories(counts: pd.DataFrame) -> Table:
    """Pictures per category, and in all."""
    total = [f"{value:,}" for value in counts.sum()]
    cells = [[name, *(f"{value:,}" for value in row)] for name, row in zip(counts.index, counts.to_numpy(), strict=True)]
    return Table(
        "Pictures per category: listed, and kept in each split", ["category", *counts.columns], [*cells, ["all", *total]]
    )


def table_of_unmapped_words(counts: pd.DataFrame) -> Table:
    """Words of sites for which there is no category."""
    cells = [[str(word), f"{pictures:,}"] for word, pictures in counts.head(MAX_WORDS).to_numpy()]
    rest = counts["pictures"][MAX_WORDS:]
    if len(rest):
        cells.append([f"{len(rest)} other words", f"{rest.sum():,}"])
    return Table("Words that collect.crawl.categories does not know: their pictures are left out", list(counts.columns), cells)


def table_of_judgements(judged: pd.DataFrame) -> Table:
    """per_category.csv of an evaluation."""
    columns = [name.replace("_", " ") for name in judged.columns]
    counts = ("samples", "reference")
    shown = [in_equal_digits(judged[name].astype(float).tolist(), 0 if name in counts else 3) for name in judged.columns[1:]]
    cells = [list(row) for row in zip(judged["category"], *shown, strict=True)]
    return Table("Each category by itself, by the classifier's features; beside it the same of real pictures", columns, cells)


def table_of_licences(counts: pd.DataFrame) -> Table:
    """Pictures per source and licence."""
    cells = [[str(source), str(licence), f"{listed:,}", f"{kept:,}"] for source, licence, listed, kept in counts.to_numpy()]
    return Table("Pictures by source and licence", list(counts.columns), cells, words=2)
