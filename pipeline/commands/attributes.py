"""A page of pictures of each colour, pattern, length, … that `inspect` saw, to be checked by eye."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.pages.page import template_environment
from pipeline.pages.pictures import data_uri
from pipeline.pages.tiles import load_tiles, pixel_counts
from pipeline.storage.files import output_file, refuse_output
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from pipeline.storage.tables import CURATED, read_table

TEMPLATES = Path(__file__).parent / "templates"
DEFAULT_PAGE, DEFAULT_COUNT, MAX_COUNT = Path("reports/attributes.html"), 50, 500
CONFIDENCE = {name: f"garment_{name}_confidence" for name in SEEN_ATTRIBUTES} | {"second_colour": "garment_colour_confidence"}
TILE_SIDE_PX = 96


@dataclass(frozen=True)
class Value:
    """A value of an attribute: how many kept pictures have it, and some of them, the least confident first."""

    attribute: str
    value: str
    pictures: int
    shown: list[tuple[str, str]]  # SHA-256 and caption


def values_of(rows: pd.DataFrame, count: int) -> list[Value]:
    """Each value of the garments' attributes among the kept `rows` of tables.CURATED, with `count` pictures at most.

    Half of them are the least confident, the others spread over the rest, so that both doubtful and sure ones are seen.
    """
    kept, found = rows[rows["kept"]], []
    for name, confidence in CONFIDENCE.items():
        for value, having in kept.dropna(subset=[f"garment_{name}"]).groupby(f"garment_{name}"):
            ordered = having.sort_values([confidence, "key"], ignore_index=True)
            doubtful, rest = ordered[: count // 2], ordered[count // 2 :]
            spread = rest.iloc[:: max(1, -(-len(rest) // (count - count // 2)))]
            shown = pd.concat([doubtful, spread])
            captions = [f"{category}, {sure:.2f}" for category, sure in zip(shown["category"], shown[confidence], strict=True)]
            found.append(Value(name, str(value), len(having), list(zip(shown["sha256"], captions, strict=True))))
    return found


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline attributes`."""
    command.add_argument("--data", type=Path, default=Path("data"), help="folder of the pipeline's data (default: data)")
    command.add_argument("--page", type=Path, default=DEFAULT_PAGE, help=f"file to write (default: {DEFAULT_PAGE})")
    command.add_argument(
        "--count", type=int, default=DEFAULT_COUNT, help=f"pictures of each value, 2 to {MAX_COUNT} (default: {DEFAULT_COUNT})"
    )


def run(options: argparse.Namespace) -> None:
    """Write the page, whole or not at all. Raises InputError."""
    if not 2 <= options.count <= MAX_COUNT:
        raise InputError(f"--count {options.count}: must be 2 to {MAX_COUNT}")
    refuse_output(options.page)
    rows = read_table(options.data / "curated.parquet", CURATED)
    values = values_of(rows, options.count)
    if not values:
        raise InputError(f"{options.data}/curated.parquet: no garment was looked for; put garment into inspect.detect")
    wanted = {sha256 for value in values for sha256, _ in value.shown}
    pixels = pixel_counts(rows.assign(decoded=True), wanted)
    tiles = load_tiles(sorted((options.data / "raw").glob("*.tar")), pixels, TILE_SIDE_PX)
    uris = {sha256: data_uri(tile, lossless=False) for sha256, tile in sorted(tiles.items())}
    html = (
        template_environment(TEMPLATES, autoescape=True)
        .get_template("attributes.html.j2")
        .render(values=values, uris=uris, side_px=TILE_SIDE_PX, pictures=int(rows["kept"].sum()))
    )
    with output_file(options.page) as partial:
        partial.write_text(html, encoding="utf-8")
