"""Try-on for the studio: persons and garments of this session, in memory only, and the pictures of one on the other."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.imaging.garment_kinds import Kind
from pipeline.imaging.outlines import Point
from pipeline.tryon import person_models
from pipeline.tryon.body import ANCHORS, Body, body_of
from pipeline.tryon.compose import try_on
from pipeline.tryon.fitting import Fit
from pipeline.tryon.learned_warp import WARP, read_warp
from pipeline.tryon.mannequins import Measures, Pose, draw_mannequin
from pipeline.tryon.person import Person, person_of_figure
from pipeline.tryon.photographs import PersonFinder, person_by_hand, refuse_without_legs
from studio.jobs import Progress
from studio.measures import garment_masks
from studio.sheets import OF_PHOTOGRAPH
from studio.uploads import Recent

if TYPE_CHECKING:
    from pipeline.imaging.garment_cutter import GarmentCutter

SMALLEST_GARMENT_PX = 256  # drawn garments are enlarged to this before they are warped


@dataclass(frozen=True)
class Sitter:
    """A person to try garments on: found or drawn, or a photograph whose joints are to be set by hand."""

    picture: NDArray[np.uint8]  # (H, W, 3)
    person: Person | None
    body: Body  # without a person a guess to start from
    is_photograph: bool

    @property
    def anchors(self) -> dict[str, Point]:
        """The joints that may be dragged: all of a person, the eight anchors otherwise."""
        points = self.body.points
        return dict(points) if self.person is not None else {name: points[name] for name in ANCHORS}


@dataclass(frozen=True)
class KeptSitter:
    """A person and the jobs that hold pictures of this person."""

    sitter: Sitter
    jobs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Garment:
    """A garment that is cut out, and the recipe that it was drawn by, or None if it was photographed."""

    picture: NDArray[np.uint8]  # (h, w, 4)
    recipe: dict[str, object] | None


@dataclass(frozen=True)
class WornPiece:
    """A garment and how it is worn."""

    garment: Garment
    kind: Kind
    fit: Fit


class TryOnService:
    """Persons and garments of the session. Thread-safe."""

    def __init__(self, models: Path | None, forget_job: Callable[[str], None] = lambda _: None) -> None:
        """`forget_job` removes a job with its picture.

        Raises InputError if the folder of person models holds a learned warp that is damaged.
        """
        self._models = models or person_models.default_folder()
        learned = self._models / WARP
        self._warp = read_warp(learned) if learned.is_file() else None
        self._forget_job = forget_job
        self._sitters: Recent[KeptSitter] = Recent(self._forget_pictures)
        self._garments: Recent[Garment] = Recent()
        self._lock = Lock()  # networks are used by one thread at a time
        self._finder: PersonFinder | None = None
        self._cutter: GarmentCutter | None = None

    @property
    def finds_people(self) -> bool:
        """Whether the networks that find people are installed."""
        return person_models.are_here(self._models)

    def add_mannequin(self, measures: Measures) -> tuple[str, Sitter]:
        """The name of a mannequin drawn to `measures`, and the mannequin."""
        figure = draw_mannequin(measures, Pose())
        return self._add(Sitter(figure.picture, person_of_figure(figure), figure.body, is_photograph=False), None)

    def add_photograph(self, picture: NDArray[np.uint8], name: str | None = None) -> tuple[str, Sitter]:
        """The name of a photographed person, `name` if given, and what was found; without networks only a first guess.

        Raises InputError.
        """
        if not self.finds_people:
            body = guessed_body(picture.shape[0], picture.shape[1])
            return self._add(Sitter(picture, None, body, is_photograph=True), name)
        with self._lock:
            if self._finder is None:
                self._finder = PersonFinder(self._models)
            person = self._finder(picture)
        return self._add(Sitter(picture, person, person.body, is_photograph=True), name)

    def _add(self, sitter: Sitter, name: str | None) -> tuple[str, Sitter]:
        return self._sitters.add(KeptSitter(sitter), name), sitter

    def sitter(self, name: str) -> Sitter:
        """The person called `name`. Raises InputError."""
        kept = self._sitters.get(name)
        if kept is None:
            raise InputError("this person is no longer here; send the photograph or the measures again")
        return kept.sitter

    def forget_sitter(self, name: str) -> None:
        """Remove a person, and the jobs that hold pictures of this person, from memory."""
        self._sitters.remove(name)

    def _forget_pictures(self, kept: KeptSitter) -> None:
        for job in kept.jobs:
            self._forget_job(job)

    def add_job(self, sitter: str, job: str) -> None:
        """Note that `job` holds a picture of a person."""
        kept = self._sitters.get(sitter)
        if kept is None:
            self._forget_job(job)
        else:
            kept.jobs.append(job)

    def renew(self, names: Sequence[str]) -> None:
        """Count the persons and garments called `names` as used now."""
        for name in names:
            self._sitters.get(name)
            self._garments.get(name)

    def forget_unused(self) -> None:
        """Forget persons and garments that no page uses any more."""
        self._sitters.forget_unused()
        self._garments.forget_unused()

    def add_drawn_garment(self, picture: NDArray[np.uint8], recipe: dict[str, object]) -> str:
        """The name of a garment that the model drew, as `picture` (H, W, C), by `recipe`."""
        return self._garments.add(Garment(drawn_garment(picture), recipe))

    def add_photographed_garment(self, picture: NDArray[np.uint8], name: str | None = None) -> str:
        """The name of a garment cut out of a photograph (H, W, 3), `name` if given. Raises InputError."""
        from pipeline.imaging.garment_cutter import GarmentCutter  # torch, which drawn garments do not need
        from pipeline.tryon.garments import garment_of

        with self._lock:
            if self._cutter is None:
                self._cutter = GarmentCutter()
            return self._garments.add(Garment(garment_of(picture, self._cutter), None), name)

    def forget_garment(self, name: str) -> None:
        """Remove a garment from memory."""
        self._garments.remove(name)

    def garment(self, name: str) -> Garment:
        """The garment called `name`. Raises InputError."""
        garment = self._garments.get(name)
        if garment is None:
            raise InputError("this garment is no longer here; choose it again")
        return garment

    def recipe(self, sitter: Sitter, pieces: Sequence[WornPiece]) -> dict[str, object]:
        """How a person wears `pieces`, for the marks of the picture."""
        worn: dict[str, object] = {"tryon": [{"kind": one.kind, "fit": one.fit} for one in pieces]}
        if sitter.is_photograph or any(one.garment.recipe is None for one in pieces):
            worn |= OF_PHOTOGRAPH
        return worn | ({"warp_sha256": self._warp.sha256} if self._warp else {})

    def worn(
        self, sitter: Sitter, pieces: Sequence[WornPiece], anchors: Mapping[str, Point]
    ) -> Generator[Progress, None, None]:
        """The pictures of a person in more and more of `pieces`, the first one innermost. Raises InputError."""
        person = posed(sitter, anchors)
        for number, piece in enumerate(pieces, start=1):
            refuse_without_legs(person, piece.kind)
            picture = try_on(person, piece.garment.picture, piece.kind, fit=piece.fit, warp=self._warp).picture
            person = replace(person, picture=picture)
            yield Progress(number / len(pieces), picture)


def posed(sitter: Sitter, anchors: Mapping[str, Point]) -> Person:
    """The person with some joints where they were dragged. Raises InputError if one that is needed is not set."""
    if sitter.person is None:
        return person_by_hand(sitter.picture, anchors)
    return replace(sitter.person, body=sitter.body.moved(anchors)) if anchors else sitter.person


def guessed_body(height: int, width: int) -> Body:
    """A body that stands in the middle of a picture, to drag its anchors from."""
    span = min(0.24 * height, 0.4 * width)
    middle, shoulders = width / 2, 0.28 * height
    return body_of(
        {
            "left_shoulder": np.array([middle - span / 2, shoulders]),
            "right_shoulder": np.array([middle + span / 2, shoulders]),
        }
    )


def drawn_garment(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A drawn garment (H, W, C) as RGBA: its own alpha if it has four channels, else by its plain backdrop; enlarged."""
    if picture.shape[-1] == 4:
        garment = picture
    else:
        mask = garment_masks(picture[None])[0].astype(np.uint8) * 255
        garment = np.dstack([picture if picture.shape[-1] == 3 else picture.repeat(3, axis=-1), mask])
    factor = max(SMALLEST_GARMENT_PX / max(garment.shape[:2]), 1.0)
    larger = cv2.resize(garment, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger, np.uint8)
