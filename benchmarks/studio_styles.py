"""A sheet of garments in fabrics, one row per pair and one column per method, as docs/studio.md shows it.

Rows are garments of the model in bundled patterns and, with --style, in a picture; columns are the methods whose networks
are available. Prints the time of each method.

    python -m benchmarks.studio_styles models/export --style-weights FOLDER --style PICTURE docs/pictures/studio-styles.jpg
"""

import argparse
import time
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.dressing import SIDE_PX, DressingOrder, Mode, dressed
from studio.fonts import lettering_on
from studio.model import Generator, open_generator
from studio.patterns import pattern
from studio.recipe import Recipe, SeedSource, single_category
from studio.sheets import INK, enlarged_to, to_image
from studio.style_networks import PaintingOptions, available_networks
from studio.uploads import decoded_upload

CELL_PX, GAP_PX, HEAD_PX = 160, 8, 44
PATTERNS = ("tartan", "camouflage")
SEED = 7


def garment_of(generator: Generator, category: str, index: int) -> NDArray[np.uint8]:
    """A garment (H, W, C) of `category`."""
    label = generator.card.categories.index(category)
    return generator.pictures([Recipe(generator.version, single_category(label), SeedSource(SEED, index, 700))])[0]


def ways_of(weights: Path | None, steps: int) -> dict[str, tuple[Mode, PaintingOptions]]:
    """Every way that can be had, by its heading."""
    networks = available_networks(weights)
    paintings = {name: PaintingOptions(name, 1.0, 10.0, (), steps, 0) for name in networks}
    any_painting = paintings[networks[-1]]
    ways: dict[str, tuple[Mode, PaintingOptions]] = {
        "printed": ("print", any_painting),
        "matched": ("statistics", any_painting),
    }
    if weights is not None:
        ways["whitened"] = "whiten", any_painting
    return ways | {f"painted,\n{name}": ("paint", how) for name, how in paintings.items()}


def row_of(
    garment: NDArray[np.uint8], style: NDArray[np.uint8], ways: dict[str, tuple[Mode, PaintingOptions]], weights: Path | None
) -> list[NDArray[np.uint8]]:
    """The garment, the style, and the result of each method."""
    row = [garment, style]
    for name, (mode, how) in ways.items():
        started = time.perf_counter()
        *_, last = dressed(DressingOrder(garment, style, True, True, mode, 1.0, how), weights)
        assert last.picture is not None
        row.append(last.picture)
        print(f"{' '.join(name.split()):<28} {time.perf_counter() - started:7.1f} s")
    return row


def sheet_of(heads: list[str], rows: list[list[NDArray[np.uint8]]]) -> Image.Image:
    """`rows` of pictures under `heads`."""
    step = CELL_PX + GAP_PX
    sheet = Image.new("RGB", (len(heads) * step + GAP_PX, HEAD_PX + len(rows) * step + GAP_PX), (255, 255, 255))
    letters = lettering_on(sheet)
    for column, head in enumerate(heads):
        for line, words in enumerate(head.splitlines()):
            letters.write((GAP_PX + column * step, 8 + 17 * line), words, 13, INK, max_px=CELL_PX)
        for line, row in enumerate(rows):
            cell = enlarged_to(row[column], CELL_PX) if max(row[column].shape[:2]) < SIDE_PX else to_image(row[column])
            cell.thumbnail((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
            sheet.paste(cell.convert("RGB"), (GAP_PX + column * step, HEAD_PX + line * step))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--style-weights", type=Path, help="folder of a compressed VGG-19")
    parser.add_argument("--style", type=Path, action="append", default=[], help="a picture whose style is used")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--categories", nargs="+", default=["dress", "coat", "pullover"], help="of the rows, in turns")
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    generator, ways = open_generator(options.model), ways_of(options.style_weights, options.steps)
    styles = [pattern(name, SIDE_PX) for name in PATTERNS] + [decoded_upload(path.read_bytes()) for path in options.style]
    rows = [
        row_of(garment_of(generator, category, place), style, ways, options.style_weights)
        for place, (style, category) in enumerate(zip(styles, cycle(options.categories), strict=False))
    ]
    sheet_of(["garment", "style", *ways], rows).save(options.target, quality=88)


if __name__ == "__main__":
    main()
