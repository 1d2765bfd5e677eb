"""A sheet of 24 try-ons for docs/tryon.md: photographed garments on drawn figures and, if the networks are there, on a person.

The photographs are those of tests/photographs (CC0); the person is scikit-image's astronaut (public domain).
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

from pipeline.errors import InputError
from pipeline.imaging.garment_cutter import GarmentCutter
from pipeline.imaging.garment_kinds import Kind
from pipeline.tryon.compose import try_on
from pipeline.tryon.garments import garment_of
from pipeline.tryon.mannequins import Measures, Pose, draw_mannequin
from pipeline.tryon.person import Person, person_of_figure
from pipeline.tryon.person_models import default_folder
from pipeline.tryon.photographs import PersonFinder

COLUMNS, TILE_PX, GARMENT_PX = 6, (168, 224), 48
KINDS: dict[str, Kind] = {
    "t-shirt": "top",
    "longsleeve": "top",
    "shirt": "top",
    "dress": "dress",
    "skirt": "skirt",
    "pants": "trousers",
    "shorts": "shorts",
    "outwear": "outerwear",
}
FIGURES = (
    (Measures(), Pose()),
    (Measures(164, 37, 84, 66, 92), Pose({"left": (35.0, 20.0), "right": (50.0, 80.0)}, lean=3.0)),
    (Measures(180, 46, 108, 98, 106), Pose({"left": (18.0, -70.0), "right": (20.0, -66.0)})),
    (
        Measures(160, 42, 116, 106, 122),
        Pose({"left": (10.0, 6.0), "right": (12.0, 8.0)}, {"left": (10.0, 8.0), "right": (8.0, 3.0)}),
    ),
    (Measures(172, 39, 92, 76, 98), Pose({"left": (14.0, -25.0), "right": (20.0, 12.0)}, yaw=30.0)),
)
ON_FIGURES, ON_A_PERSON = 20, 4


def read(path: Path) -> NDArray[np.uint8]:
    """The picture in a file of the project, at most 640 pixels long."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((640, 640))
    return np.asarray(image)


def persons() -> list[Person]:
    """One person for each of the sheet's places."""
    drawn = [person_of_figure(draw_mannequin(*figure)) for figure in FIGURES]
    found = [drawn[number % len(drawn)] for number in range(ON_FIGURES)]
    return found + [PersonFinder(default_folder())(data.astronaut())] * ON_A_PERSON


def chosen(folder: Path) -> list[Path]:
    """The first garments of each category in turn; the last places get those for the upper body."""
    by_kind = [sorted((folder / name).glob("*.jpg")) for name in KINDS]
    turns = [paths[turn] for turn in range(4) for paths in by_kind if turn < len(paths)]
    upper = [path for path in turns[ON_FIGURES:] if path.parent.name in ("t-shirt", "longsleeve", "shirt", "outwear", "dress")]
    return turns[:ON_FIGURES] + upper[:ON_A_PERSON]


def tile(number: int, person: Person, garment: NDArray[np.uint8], kind: Kind) -> Image.Image:
    """The person in the garment, the garment itself in a corner, and the number."""
    page = Image.new("RGB", TILE_PX, (236, 233, 228))
    try:
        worn = Image.fromarray(try_on(person, garment, kind).picture)
    except InputError as error:
        worn = Image.fromarray(person.picture)
        print(f"{number}: {error}")
    worn.thumbnail(TILE_PX, Image.Resampling.LANCZOS)
    page.paste(worn, ((TILE_PX[0] - worn.width) // 2, (TILE_PX[1] - worn.height) // 2))
    flat = Image.fromarray(garment, "RGBA")
    flat.thumbnail((GARMENT_PX, GARMENT_PX), Image.Resampling.LANCZOS)
    page.paste(flat, (TILE_PX[0] - flat.width - 2, 2), flat)
    ImageDraw.Draw(page).text((4, 3), str(number), "black")
    return page


def main() -> None:
    """Write the sheet as a JPEG, and print which garment is at which place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder with a folder of photographs for each category")
    parser.add_argument("sheet", type=Path, help="JPEG to write")
    options = parser.parse_args()
    cutter = GarmentCutter()
    paths = chosen(options.photographs)
    rows = -(-len(paths) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE_PX[0], rows * TILE_PX[1]))
    for number, (path, person) in enumerate(zip(paths, persons(), strict=True), start=1):
        kind = KINDS[path.parent.name]
        print(f"{number}: {kind}, {path.parent.name}/{path.name}")
        corner = ((number - 1) % COLUMNS * TILE_PX[0], (number - 1) // COLUMNS * TILE_PX[1])
        sheet.paste(tile(number, person, garment_of(read(path), cutter), kind), corner)
    sheet.save(options.sheet, quality=84)


if __name__ == "__main__":
    main()
