"""Pairs that a user owns, of a garment and a person who wears it, as a CSV file lists them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, known_names
from pipeline.imaging.garment_anchors import find_anchors
from pipeline.imaging.garment_kinds import KINDS, Kind
from pipeline.storage.edited_csv import read_edited_csv
from pipeline.storage.files import sha256_of_file
from pipeline.tryon.learned_warp import proportions
from pipeline.tryon.learning import LearningPair, measured
from pipeline.tryon.matching import matched, worn_garment
from pipeline.tryon.person import Person
from pipeline.tryon.photographs import person_by_hand, refuse_without_legs
from pipeline.tryon.picture_files import read_anchors, read_picture

LEAST_IOU = 0.5  # of the garment in the photograph and the try-on that is most like it
COLUMNS = ("garment", "person", "kind", "anchors")


@dataclass(frozen=True)
class ListedPair:
    """A row of the file, its paths beside the file's own."""

    line: int
    garment: Path
    person: Path
    kind: str
    anchors: Path | None  # joints set by hand


def listed_pairs(path: Path) -> list[ListedPair]:
    """The rows of a CSV file with COLUMNS. Raises InputError."""
    found = []
    for line, row in read_edited_csv(path, COLUMNS):
        garment, person, anchors = (path.parent / row[name] for name in ("garment", "person", "anchors"))
        missing = [name for name in ("garment", "person", "kind") if not row[name]]
        if missing:
            raise InputError(f"{path}: line {line}: {missing[0]}: is empty; each row names a garment, a person and a kind")
        found.append(ListedPair(line, garment, person, row["kind"].casefold(), anchors if row["anchors"] else None))
    return found


def learning_pair(
    row: ListedPair,
    find_person: Callable[[NDArray[np.uint8]], Person] | None,
    cut_out: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> LearningPair:
    """What is learned from the pictures of a row. Raises InputError that says why nothing can be.

    `find_person` is needed where joints are not set by hand.
    """
    if row.kind not in KINDS:
        raise InputError(f"kind {row.kind!r}: is none; {known_names(row.kind, KINDS)}")
    picture = read_picture(row.person)
    flat = read_picture(row.garment, alpha=True)
    kind: Kind = row.kind
    joints = read_anchors(row.anchors, picture) if row.anchors else None
    try:
        if joints is not None:
            person = person_by_hand(picture, joints)
        elif find_person is not None:
            person = find_person(picture)
        else:
            raise InputError("its joints are not set by hand, and no networks that find people are given")
        refuse_without_legs(person, kind)
    except InputError as error:
        raise InputError(f"{row.person.name}: {error}") from None
    try:
        garment = cut_out(flat)
        anchors = find_anchors(garment, kind)
    except InputError as error:
        raise InputError(f"{row.garment.name}: {error}") from None
    worn = worn_garment(person, garment, anchors)
    pair = LearningPair(sha256_of_file(row.garment), kind, proportions(anchors, person.body), worn, matched(worn))
    if measured(pair, pair.numbers).iou < LEAST_IOU:
        raise InputError(f"{row.person.name}: no garment of the shape of {row.garment.name} is found on this person")
    return pair
