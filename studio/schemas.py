"""What may be asked of the studio and what it answers, as the OpenAPI document shows them. Every number and list is bounded."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.directions import Kind
from studio.dressing import Mode

MAX_WALL = 64
MAX_ADDRESSES = 64

Address = Annotated[str, Field(min_length=16, max_length=60300, pattern=r"^[0-9A-Za-z._-]+$")]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]
Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{12}$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Truncation = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=-12, le=12)]
Category = Annotated[str, Field(max_length=80)]
Layer = Literal["stem", "block0", "block2", "block4", "conv11", "conv21", "conv31", "conv41", "conv51"]


class Request(BaseModel):
    """Base of all bodies: unknown keys and other types than the schema's are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class WallRequest(Request):
    """New garments; without a category, of all in turn."""

    category: Category | None = None
    count: Annotated[int, Field(ge=1, le=MAX_WALL)] = 16
    seed: Seed
    truncation: Truncation = 1.0


class PicturesRequest(Request):
    """Garments by their addresses."""

    addresses: Annotated[list[Address], Field(min_length=1, max_length=MAX_ADDRESSES)]


class SheetRequest(PicturesRequest):
    """A contact sheet of garments."""

    columns: Annotated[int, Field(ge=1, le=16)] = 4


class MoveRequest(Request):
    """A garment moved along directions of its category, and mixed with other categories."""

    address: Address
    amounts: Annotated[dict[Annotated[str, Field(max_length=40)], Amount], Field(max_length=64)] = {}
    mix: Annotated[dict[Category, Share], Field(max_length=4)] | None = None


class InterpolateRequest(Request):
    """Garments on the way from one to another."""

    first: Address
    second: Address
    count: Annotated[int, Field(ge=3, le=32)] = 9


class StyleMixRequest(Request):
    """Garments with the coarse layers of one and the fine layers of another."""

    coarse: Address
    fine: Address


class ProjectionRequest(Request):
    """The garment nearest to an uploaded photograph; without a category, of whichever comes nearest."""

    upload: Token
    category: Category | None = None
    negative: bool | None = None  # None: when the photograph's backdrop is light and the model's dark, or the other way round


class StyleTransferRequest(Request):
    """A garment or an upload dressed in a pattern or an upload."""

    address: Address | None = None
    upload: Token | None = None
    pattern: Annotated[str, Field(max_length=40)] | None = None
    style_upload: Token | None = None
    mode: Mode = "print"
    garment_only: bool = True
    strength: Share = 1.0
    network: Literal["efflite0", "vgg19", "compressed-vgg19"] = "efflite0"
    content_weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    style_weight: Annotated[float, Field(gt=0, le=1000)] = 10.0
    layers: Annotated[list[Layer], Field(max_length=5)] = []
    steps: Annotated[int, Field(ge=10, le=400)] = 150


class VoteRequest(Request):
    """What was thought of one garment of a wall: 1 liked, -1 disliked, 0 seen."""

    address: Address
    vote: Literal[-1, 0, 1]


class TasteRequest(Request):
    """The next wall of a category, after the votes on the last."""

    category: Category
    votes: Annotated[list[VoteRequest], Field(max_length=MAX_WALL)] = []
    count: Annotated[int, Field(ge=1, le=16)] = 8
    truncation: Truncation = 1.0
    seed: Seed


class NameRequest(Request):
    """A name."""

    name: Name


class DirectionNameRequest(Request):
    """A person's name for a direction; empty to forget it."""

    name: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")]


class PieceRequest(Request):
    """A garment, or the picture of a finished job, to keep."""

    address: Address | None = None
    job: Token | None = None
    name: Name


class Wall(BaseModel):
    """Garments: their addresses and categories, and their pixels, uint8 (N, H, W, C) in base64."""

    addresses: list[str]
    categories: list[str]
    height: int
    width: int
    channels: int
    pixels: str


class DirectionAnswer(BaseModel):
    """A slider: what it changes, in standard deviations of each measure from one side to the other."""

    id: str
    kind: Kind
    title: str
    named: bool
    explained: float
    reach: float  # the amount at either end of the slider
    effects: dict[str, float]
    strength: float


class StudioAnswer(BaseModel):
    """What the studio has open and can do."""

    version: str
    model: str
    categories: list[str]
    height: int
    width: int
    channels: int
    mixes_categories: bool
    style_layers: int  # more than 1 where styles can be mixed
    intended_use: str
    measures: dict[str, str]
    patterns: list[str]
    networks: dict[str, list[str]]  # style layers of each
    whitens: bool
    max_wall: int
    max_upload_bytes: int


class UploadAnswer(BaseModel):
    """An upload's name for a while, and its size as kept."""

    upload: str
    width: int
    height: int


class JobAnswer(BaseModel):
    """Where a job stands; its picture, once there is one, is at /api/jobs/{id}/picture."""

    id: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    share: float
    has_picture: bool
    reason: str
    result: dict[str, object]


class CollectionAnswer(BaseModel):
    """A collection."""

    id: int
    name: str
    created: str
    pieces: int


class PieceAnswer(BaseModel):
    """A kept picture; `address` brings it back to be edited while its model is open."""

    id: int
    name: str
    created: str
    address: str | None


class Problem(BaseModel):
    """What went wrong, in a sentence."""

    detail: str
