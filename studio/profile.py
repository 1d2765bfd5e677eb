"""A designer's profile: body, colours, styles and occasions, as the studio stores it and as it is exported."""

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field

from pipeline.errors import InputError
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from pipeline.tryon.mannequins import Measures
from studio.schemas import MEASURE_LIMITS_CM, MannequinRequest, Request

COLOURS = SEEN_ATTRIBUTES["colour"].values
MAX_WORDS, MAX_WORD_CHARACTERS = 20, 40  # of styles, and of occasions
MAX_SENT = 20_000  # longer than what is accepted, so that the answer says how much may be sent

BodyShape = Literal["rectangle", "hourglass", "triangle", "inverted triangle", "round"]
# Shoulder breadth and girths in centimetres at AVERAGE_HEIGHT_CM. Examples to start a mannequin from, not a survey.
SHAPES: dict[BodyShape, tuple[float, float, float, float]] = {
    "rectangle": (39.0, 90.0, 80.0, 92.0),
    "hourglass": (39.0, 96.0, 68.0, 98.0),
    "triangle": (37.0, 88.0, 74.0, 106.0),
    "inverted triangle": (43.0, 98.0, 78.0, 92.0),
    "round": (40.0, 104.0, 104.0, 106.0),
}
AVERAGE_HEIGHT_CM = Measures().height_cm

SentWords = Annotated[list[Annotated[str, Field(max_length=MAX_SENT)]], Field(max_length=MAX_SENT)]


class BodyMeasures(Request):
    """Measures in centimetres, those of the mannequin; null where unsaid."""

    height_cm: float | None = None
    shoulder_cm: float | None = None
    chest_cm: float | None = None
    waist_cm: float | None = None
    hip_cm: float | None = None


class Profile(Request):
    """What a designer says of herself or himself. Words are any; `checked_profile` says what else holds."""

    shape: BodyShape | None = None
    measures: BodyMeasures = BodyMeasures()
    colours_liked: SentWords = Field([])
    colours_disliked: SentWords = Field([])
    styles: SentWords = Field([])
    occasions: SentWords = Field([])


EMPTY = Profile()


def checked_profile(profile: Profile) -> Profile:
    """`profile` with its words in Unicode NFKC, trimmed, and each once.

    Raises InputError if a measure is outside its range, a colour is none of COLOURS, one is both liked and not liked, or
    there are too many words, or one that is too long.
    """
    for name, value in profile.measures:
        least, largest = MEASURE_LIMITS_CM[name]
        if value is not None and not least <= value <= largest:
            raise InputError(f"{_title(name)}: {value:g} cm is not between {least:g} and {largest:g} cm")
    colours = {name: _checked_colours(name, getattr(profile, name)) for name in ("colours_liked", "colours_disliked")}
    both = set(colours["colours_liked"]) & set(colours["colours_disliked"])
    if both:
        raise InputError(f"{min(both)} is among the colours liked and among those not liked; choose one")
    words = {name: _checked_words(name, getattr(profile, name)) for name in ("styles", "occasions")}
    return profile.model_copy(update={**colours, **words})


def _title(name: str) -> str:
    return name.removesuffix("_cm").replace("_", " ")


def _checked_colours(name: str, colours: Sequence[str]) -> list[str]:
    if any(colour not in COLOURS for colour in colours):
        raise InputError(f"{_title(name)}: one is not a colour that the studio knows; it knows {', '.join(COLOURS)}")
    return list(dict.fromkeys(colours))


def _checked_words(name: str, words: Sequence[str]) -> list[str]:
    if len(words) > MAX_WORDS:
        raise InputError(f"{name}: {len(words):,} words; at most {MAX_WORDS} are kept")
    plain = [" ".join(unicodedata.normalize("NFKC", word).split()) for word in words]
    if any(len(word) > MAX_WORD_CHARACTERS for word in plain):
        raise InputError(f"{name}: a word of {max(map(len, plain)):,} characters; at most {MAX_WORD_CHARACTERS} are kept")
    if any(unicodedata.category(letter)[0] == "C" for word in plain for letter in word):
        raise InputError(f"{name}: a word has control characters; write letters")
    return list(dict.fromkeys(word for word in plain if word))


def mannequin_measures(profile: Profile) -> Measures | None:
    """The measures that the mannequin starts from: those said, the others of the shape at that height; None if none is said."""
    said = {name: value for name, value in profile.measures if value is not None}
    if not said and profile.shape is None:
        return None
    height = said.get("height_cm", AVERAGE_HEIGHT_CM)
    average = Measures()
    others = SHAPES[profile.shape] if profile.shape else (*list(vars(average).values())[1:],)
    names = ("shoulder_cm", "chest_cm", "waist_cm", "hip_cm")
    scaled = {
        name: float(np.clip(round(value * height / AVERAGE_HEIGHT_CM, 1), *MEASURE_LIMITS_CM[name]))
        for name, value in zip(names, others, strict=True)
    }
    return Measures(**({"height_cm": height} | scaled | said))


class ProfileResponse(BaseModel):
    """The stored profile, or an empty one, and the measures that the mannequin of try-on starts from."""

    stored: bool
    profile: Profile
    mannequin: MannequinRequest | None  # None: the average ones
    colours: list[str]  # to like or not
    shapes: list[str]


class ExportedVote(BaseModel):
    """A like (1), a dislike (-1) or a garment that was seen (0), on one grid of a model's category."""

    model: str
    category: str
    grid: int
    address: str
    vote: int


class ExportedProfile(BaseModel):
    """All that the studio stores of a designer's taste; `profile` may be put back as it is."""

    profile: Profile
    votes: list[ExportedVote]


class ProfileEffects(BaseModel):
    """What of the profile counts for the suggestions of a category."""

    sentences: list[str]  # one for each colour and word
    counts: bool  # whether any of it does
    categories: list[str]  # that the words name
    votes: int  # likes and dislikes of this category


def stored_profile(content: str | None) -> Profile:
    """The profile with the JSON `content`; an empty one for None."""
    return EMPTY if content is None else Profile.model_validate_json(content)


def profile_response(stored: str | None) -> ProfileResponse:
    """The response for the `stored` JSON, or for none."""
    profile = stored_profile(stored)
    measures = mannequin_measures(profile)
    return ProfileResponse(
        stored=stored is not None,
        profile=profile,
        mannequin=None if measures is None else MannequinRequest(**vars(measures)),
        colours=list(COLOURS),
        shapes=list(SHAPES),
    )
