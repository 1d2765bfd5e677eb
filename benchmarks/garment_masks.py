"""Masks of garments against known ones: on held-out composites, beside two ways without a network. Also a page to judge by eye.

    python -m benchmarks.garment_masks ../shared/data/clothing-dataset-small --page docs/benchmarks/garment_masks.md
    python -m benchmarks.garment_masks ../shared/data/clothing-dataset-small --sheet masks.png --count 200

Garments and backgrounds of the composites come from photographs that the clothing map was not fitted to; garments are those
whose mask is confident by both ways. The page to judge by eye shows held-out photographs drawn at random, each beside its
cut-out, with its number and confidence.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from benchmarks.garment_composites import (
    CutOut,
    Pixels,
    agreement,
    colour_grab_cut,
    composites,
    ground_of,
    iou,
    photographs,
    read,
    rectangle_grab_cut,
)
from pipeline.imaging.cut_outs import cut_out
from pipeline.imaging.garment_cutter import GarmentCutter
from pipeline.imaging.garment_masks import shrunk
from pipeline.storage.files import write_text
from studio.projection import photograph_mask

SIDE_PX = 256
SURE_BY_COLOUR = 0.92
LIMIT = 0.66  # of min_garment_confidence, in presets
TILE_PX, COLUMNS = 120, 10
VERDICTS = Path("docs/benchmarks/garment_masks_by_eye.csv")


def held_out_composites(folder: Path, count: int) -> list[CutOut]:
    """`count` composites of held-out photographs."""
    pictures = [read(path, SIDE_PX) for path in photographs(folder, held_out=True)]
    cuts = []
    for picture in pictures:
        mask, confidence = agreement(picture)
        if confidence >= SURE_BY_COLOUR and not mask[1:-1, 1:-1][[0, -1]].any() and not mask[1:-1, 1:-1][:, [0, -1]].any():
            enlarged = cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            cuts.append(CutOut(picture, np.asarray(enlarged, np.uint8)))
    grounds = [ground for ground in map(ground_of, cuts) if ground is not None]
    print(f"{len(cuts)} garments, {len(grounds)} backgrounds from {len(pictures)} held-out photographs", flush=True)
    return composites(cuts, grounds, count, seed=2)


def row(name: str, found: list[float], seconds: float) -> str:
    """A row of the table: mean IoU, shares above 0.90 and below 0.80, CPU milliseconds a picture."""
    values = np.array(found)
    return (
        f"| {name} | {len(values)} | {values.mean():.3f} | {(values > 0.9).mean():.3f} | {(values < 0.8).mean():.3f} "
        f"| {seconds / len(values) * 1000:.0f} |"
    )


def timed(way: Callable[[Pixels], Pixels], cases: list[CutOut]) -> tuple[list[float], float]:
    """IoU of each case, and CPU seconds of all."""
    started = time.process_time()
    masks = [way(case.picture) for case in cases]
    seconds = time.process_time() - started
    return [iou(mask, case.mask) for mask, case in zip(masks, cases, strict=True)], seconds


def studio_mask(picture: Pixels) -> Pixels:
    """The mask that the studio uses for photographs, at the same size as the others."""
    return photograph_mask(shrunk(picture)).astype(np.uint8)


def sheet(folder: Path, count: int) -> Image.Image:
    """Held-out photographs beside their cut-outs on magenta, with number and confidence."""
    rng, cutter = np.random.default_rng(7), GarmentCutter()
    paths = photographs(folder, held_out=True)
    chosen = [paths[index] for index in rng.permutation(len(paths))[:count]]
    page = Image.new("RGB", (2 * TILE_PX * COLUMNS, TILE_PX * -(-count // COLUMNS)), "black")
    draw = ImageDraw.Draw(page)
    for number, path in enumerate(chosen):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((2 * TILE_PX, 2 * TILE_PX))
        mask = cutter(np.asarray(picture))
        cut = cut_out(picture, mask.pixels)
        ground = Image.new("RGBA", cut.size, "magenta")
        corner = (number % COLUMNS * 2 * TILE_PX, number // COLUMNS * TILE_PX)
        for offset, tile in ((0, picture), (TILE_PX, Image.alpha_composite(ground, cut).convert("RGB"))):
            tile.thumbnail((TILE_PX, TILE_PX))
            page.paste(tile, (corner[0] + offset, corner[1]))
        draw.text(
            (corner[0] + 2, corner[1] + 2), f"{number} {mask.confidence:.2f}", "yellow", stroke_width=1, stroke_fill="black"
        )
        print(f"{number},{path.parent.name}/{path.name},{mask.confidence:.2f}")
    return page


def by_eye(verdicts: Path) -> str:
    """What was seen on the sheet: a person's verdict on each photograph."""
    table = pd.read_csv(verdicts)
    trusted = table[table["confidence"] >= LIMIT]
    fine = (trusted["verdict"] != "bad").mean()
    return (
        f"By eye, on {len(table)} held-out photographs drawn at random ([verdicts]({verdicts.name}), on the sheet of "
        f"`--sheet masks.png --count 200`): {len(trusted) / len(table):.1%} have a confidence of at least {LIMIT}; "
        f"{fine:.1%} of those are good or have a small fault. Without the limit: {(table['verdict'] != 'bad').mean():.1%}."
    )


def main() -> None:
    """Print the table, and write it with --page; or write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.sheet:
        sheet(options.photographs, options.count).save(options.sheet)
        return
    cases = held_out_composites(options.photographs, options.count)
    cutter = GarmentCutter()
    started = time.process_time()
    masks = [cutter(case.picture) for case in cases]
    seconds = time.process_time() - started
    found = [iou(mask.pixels, case.mask) for mask, case in zip(masks, cases, strict=True)]
    trusted = [value for value, mask in zip(found, masks, strict=True) if mask.confidence >= LIMIT]
    lines = [
        "# Cutting garments out",
        "",
        f"`python -m benchmarks.garment_masks FOLDER --count {options.count}`: composites of held-out photographs of "
        "clothing-dataset-small, whose masks are known; intersection over union (IoU), CPU time on one core.",
        "",
        "| way | composites | mean IoU | above 0.90 | below 0.80 | ms |",
        "|---|---|---|---|---|---|",
        row("clothing map and colours (`inspect.detect: [garment]`)", found, seconds),
        row(f"the same, confidence at least {LIMIT}", trusted, seconds * len(trusted) / len(found)),
        row("GrabCut from the border's colours", *timed(colour_grab_cut, cases)),
        row("GrabCut from a centred rectangle", *timed(rectangle_grab_cut, cases)),
        row("the studio's mask by the backdrop's colour", *timed(studio_mask, cases)),
        "",
        by_eye(VERDICTS),
    ]
    print("\n".join(lines))
    if options.page:
        write_text(options.page, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
