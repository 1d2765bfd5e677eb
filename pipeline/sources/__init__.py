"""Sources of pictures: each lists its pictures for `collect` and reads their bytes for `fetch`."""

import re
from dataclasses import dataclass
from typing import Literal

# Names of the three splits in lists and folders.
SPLIT_NAMES = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "valid", "val", "vali", "dev", "devel", "development"),
    "test": ("test", "testing", "tst"),
}
SPLITS = tuple(SPLIT_NAMES)
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
SPLIT_SUFFIX = re.compile(r"[\s_-]*(?:set|split)$")  # as in `train_set` and `Testset`


@dataclass(frozen=True)
class ListedPicture:
    """One picture as its source lists it: the columns of tables.MANIFEST except the key."""

    url: str
    source: str
    page: str | None = None
    title: str | None = None
    alt: str | None = None
    category: str | None = None
    site_category: str | None = None
    licence: str | None = None
    published: str | None = None
    split: str | None = None
    price: float | None = None
    currency: str | None = None
    also: str | None = None
    extra: str | None = None
    status: Literal["listed", "refused", "failed"] = "listed"
    reason: str | None = None


@dataclass(frozen=True)
class FetchOutcome:
    """The outcome of fetching a picture: the columns that tables.RAW adds to those of tables.MANIFEST."""

    status: Literal["ok", "refused", "failed"]
    reason: str | None = None
    sha256: str | None = None
    extension: str | None = None
    size_bytes: int | None = None


def split_of(name: str) -> str | None:
    """The split that `name` stands for in any case (train, validation or test), or none."""
    normalized = name.strip().casefold()
    return SPLIT_OF.get(normalized) or SPLIT_OF.get(SPLIT_SUFFIX.sub("", normalized))
