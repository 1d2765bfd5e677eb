"""Requests and responses of the API, as its OpenAPI document shows them. Every number and list has bounds."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from pipeline.imaging.garment_kinds import Kind as GarmentKind
from pipeline.tryon.body import JOINTS
from pipeline.tryon.fitting import Fit
from pipeline.words.prompts import MAX_PROMPT_CHARACTERS
from studio.directions import Kind
from studio.dressing import Mode
from studio.recipe import MAX_CHANGES

MAX_GRID = MAX_ADDRESSES = 64
MAX_SUGGESTED = 16

Address = Annotated[str, Field(min_length=16, max_length=60300, pattern=r"^[0-9A-Za-z._~-]+$")]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]
RANDOM_NAME = r"^[A-Za-z0-9_-]{12}$"
RandomName = Annotated[str, Field(pattern=RANDOM_NAME)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Truncation = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=-12, le=12)]
Pixel = Annotated[float, Field(ge=-2048, le=4096)]
Place = Annotated[list[Pixel], Field(min_length=2, max_length=2)]
JointName = Literal[JOINTS]  # type: ignore[valid-type]
Category = Annotated[str, Field(max_length=80)]
Text = Annotated[str, Field(max_length=20_000)]  # a longer one than is read, so that the answer says how long it may be
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]+$")]
Strength = Annotated[float, Field(ge=0, le=2)]
AskedAttributes = Annotated[
    dict[Annotated[str, Field(max_length=80)], Annotated[str, Field(max_length=200)]], Field(max_length=64)
]
Layer = Literal["stem", "block0", "block2", "block4", "conv11", "conv21", "conv31", "conv41", "conv51"]


class Request(BaseModel):
    """Base of all request bodies; rejects unknown keys and converts no types."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class GridRequest(Request):
    """New garments of a category, or of all categories in turn."""

    category: Category | None = None
    attributes: AskedAttributes = {}
    text: Text | None = None  # in words; names the category where `category` is null
    strength: Strength = 1.0  # of the text
    count: Annotated[int, Field(ge=1, le=MAX_GRID)] = 16
    seed: Seed
    truncation: Truncation = 1.0


class PicturesRequest(Request):
    """Garments at these addresses."""

    addresses: Annotated[list[Address], Field(min_length=1, max_length=MAX_ADDRESSES)]


class SheetRequest(PicturesRequest):
    """A contact sheet of garments."""

    columns: Annotated[int, Field(ge=1, le=16)] = 4


class WordsRequest(Request):
    """A change of a garment in words."""

    address: Address
    words: Text


class WordsMoved(Request):
    """How far a garment goes from the prompt without a change in words to the one with it."""

    before: Prompt
    after: Prompt
    amount: Annotated[float, Field(ge=-2, le=2)]


class MoveRequest(Request):
    """A garment moved along directions of its category or in words, mixed with other categories, or with other attributes."""

    address: Address
    words: Annotated[list[WordsMoved], Field(max_length=MAX_CHANGES)] = []  # further ones, beside those that it has
    attributes: AskedAttributes | None = None  # None: as they are
    amounts: Annotated[dict[Annotated[str, Field(max_length=40)], Amount], Field(max_length=64)] = {}
    mix: Annotated[dict[Category, Share], Field(max_length=4)] | None = None


class InterpolationRequest(Request):
    """`count` garments from the first to the second one, both included."""

    first: Address
    second: Address
    count: Annotated[int, Field(ge=3, le=32)] = 9


class StyleMixRequest(Request):
    """Garments with the coarse style layers of one garment and the fine ones of another."""

    coarse: Address
    fine: Address


class ProjectionRequest(Request):
    """The garment nearest to an uploaded photograph, in one category or in all."""

    upload: RandomName
    category: Category | None = None
    negative: bool | None = None  # swap light and dark; None: if the backdrops of photograph and model differ


class StyleTransferRequest(Request):
    """A garment or an upload dressed in a pattern or an upload."""

    address: Address | None = None
    upload: RandomName | None = None
    pattern: Annotated[str, Field(max_length=40)] | None = None
    style_upload: RandomName | None = None
    mode: Mode = "print"
    garment_only: bool = True
    strength: Share = 1.0
    network: Literal["efflite0", "vgg19", "compressed-vgg19"] = "efflite0"
    content_weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    style_weight: Annotated[float, Field(gt=0, le=1000)] = 10.0
    layers: Annotated[list[Layer], Field(max_length=5)] = []
    steps: Annotated[int, Field(ge=10, le=400)] = 150


class VoteRequest(Request):
    """A vote on one garment of a grid: 1 liked, -1 disliked, 0 seen."""

    address: Address
    vote: Literal[-1, 0, 1]


class SuggestionRequest(Request):
    """The next garments of a category, after votes on the last ones."""

    category: Category
    votes: Annotated[list[VoteRequest], Field(max_length=MAX_SUGGESTED)] = []
    count: Annotated[int, Field(ge=1, le=MAX_SUGGESTED)] = 8
    truncation: Truncation = 1.0
    seed: Seed


MEASURE_LIMITS_CM = {  # the least and the largest
    "height_cm": (80, 230),
    "shoulder_cm": (20, 70),
    "chest_cm": (45, 180),
    "waist_cm": (40, 180),
    "hip_cm": (45, 190),
}


def _measure(name: str) -> FieldInfo:
    least, largest = MEASURE_LIMITS_CM[name]
    limits: FieldInfo = Field(ge=least, le=largest)
    return limits


class MannequinRequest(Request):
    """Measures of a mannequin in centimetres; chest, waist and hip are girths."""

    height_cm: Annotated[float, _measure("height_cm")] = 170.0
    shoulder_cm: Annotated[float, _measure("shoulder_cm")] = 39.0
    chest_cm: Annotated[float, _measure("chest_cm")] = 92.0
    waist_cm: Annotated[float, _measure("waist_cm")] = 76.0
    hip_cm: Annotated[float, _measure("hip_cm")] = 98.0


class KeptRequest(Request):
    """Uploads, persons and garments that a page still uses."""

    names: Annotated[list[RandomName], Field(max_length=256)]


class PersonRequest(Request):
    """An uploaded photograph of a person, and the name that the person is to have."""

    upload: RandomName
    name: RandomName | None = None


class TryOnGarmentRequest(Request):
    """A garment to try on: drawn, or cut out of an upload, then with the name that it is to have."""

    address: Address | None = None
    upload: RandomName | None = None
    name: RandomName | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "TryOnGarmentRequest":
        if (self.address is None) == (self.upload is None):
            raise ValueError("name either an address or an upload")
        return self


class WornGarmentRequest(Request):
    """A garment and how it is worn."""

    garment: RandomName
    kind: GarmentKind
    fit: Fit = "regular"


class TryOnRequest(Request):
    """A person in one to four garments, the first one innermost, with joints (x, y) in pixels where they were dragged."""

    person: RandomName
    garments: Annotated[list[WornGarmentRequest], Field(min_length=1, max_length=4)]
    anchors: Annotated[dict[JointName, Place], Field(max_length=len(JOINTS))] = {}


class NameRequest(Request):
    """A name."""

    name: Name


class DirectionNameRequest(Request):
    """A person's name for a direction; empty deletes the name."""

    name: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")]


class PieceRequest(Request):
    """A garment, or the latest picture of a job, to store in a collection."""

    address: Address | None = None
    job: RandomName | None = None
    name: Name


class Grid(BaseModel):
    """Drawn garments; `pixels` is base64 of uint8 (N, H, W, C), the last of 2 or 4 channels alpha, colours straight."""

    addresses: list[str]
    categories: list[str]
    height: int
    width: int
    channels: int
    pixels: str


class TrendRequest(Request):
    """Garments that follow the trend called `name`."""

    name: Annotated[str, Field(max_length=200)]
    count: Annotated[int, Field(ge=1, le=MAX_GRID)] = 16
    seed: Seed


class TrendResponse(BaseModel):
    """A series of the stage trends; changes are relative to the year before, with their 80 % interval."""

    name: str
    pictures: int
    direction: str
    change: float | None
    low_80: float | None
    high_80: float | None
    note: str
    not_drawn: str  # why the model cannot draw it; empty if it can


class TrendsResponse(BaseModel):
    """All trends, sure rises first; `reason` says why there are none."""

    reason: str
    trends: list[TrendResponse]


class TrendGrid(BaseModel):
    """Garments that follow a trend: fewer than asked for where the model draws few of them."""

    grid: Grid | None  # None if there is not one
    looked_at: int  # garments that they were chosen from
    how: str  # they were found, and how sure that is, in sentences


class DirectionResponse(BaseModel):
    """A slider. `effects` are the changes of each measure from -2 to +2, in standard deviations of that measure."""

    id: str
    kind: Kind
    title: str
    named: bool
    explained: float
    reach: float  # the slider goes from -reach to reach
    effects: dict[str, float]
    strength: float


class WordsResponse(BaseModel):
    """A slider for a change in words, from the prompt `before` to `after`; `effects` and `strength` are from -1 to +1."""

    words: str
    before: str
    after: str
    step: float  # the amount by which the one prompt becomes the other
    reach: float  # the slider goes from -reach to reach
    effects: dict[str, float]
    strength: float


class StudioResponse(BaseModel):
    """The open model and what the studio can do with it."""

    version: str
    model: str
    categories: list[str]
    height: int
    width: int
    channels: int
    alpha: bool  # whether the last channel is alpha; colours are straight
    mixes_categories: bool
    style_layers: int  # 1 if styles cannot be mixed
    intended_use: str
    attributes: dict[str, list[str]]  # values of each that the model takes
    takes_text: bool
    measures: dict[str, str]
    patterns: list[str]
    networks: dict[str, list[str]]  # style layers by network
    whitens: bool
    max_grid: int
    max_upload_bytes: int


class UploadResponse(BaseModel):
    """The temporary name of an upload, and the size of the stored copy."""

    upload: str
    width: int
    height: int


class JobResponse(BaseModel):
    """The state of a job; its latest picture is at /api/jobs/{id}/picture."""

    id: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    share: float
    has_picture: bool
    reason: str
    result: dict[str, object]


class TryOnResponse(BaseModel):
    """What can be tried on; without networks that find people, the anchors are set by hand."""

    kinds: list[GarmentKind]
    fits: list[Fit]
    anchors: list[str]
    finds_people: bool


class PersonResponse(BaseModel):
    """The temporary name of a person, the size of the picture, and joints (x, y) in its pixels."""

    person: str
    width: int
    height: int
    anchors: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]]
    found: bool  # False: all anchors are guesses, to be set by hand


class GarmentResponse(BaseModel):
    """The temporary name of a garment."""

    garment: str


class CollectionResponse(BaseModel):
    """A collection."""

    id: int
    name: str
    created: str
    pieces: int


class PieceResponse(BaseModel):
    """A stored picture; it can be edited at `address` while its model is open."""

    id: int
    name: str
    created: str
    address: str | None


class ErrorResponse(BaseModel):
    """What went wrong, as a sentence."""

    detail: str
