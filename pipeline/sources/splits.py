"""The names of the three splits in lists and folders."""

import re

SPLIT_NAMES = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "valid", "val", "vali", "dev", "devel", "development"),
    "test": ("test", "testing", "tst"),
}
SPLITS = tuple(SPLIT_NAMES)
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
SPLIT_SUFFIX = re.compile(r"[\s_-]*(?:set|split)$")  # as in `train_set` and `Testset`


def split_of(name: str) -> str | None:
    """The split that `name` stands for in any case (train, validation or test), or none."""
    normalized = name.strip().casefold()
    return SPLIT_OF.get(normalized) or SPLIT_OF.get(SPLIT_SUFFIX.sub("", normalized))
