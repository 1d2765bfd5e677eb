"""Names and texts in the form that MLflow takes: it refuses, or cuts with a word on the terminal, what is otherwise."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

NAME_CHARACTERS = 250  # the longest name of a parameter, metric or tag
PARAM_CHARACTERS = 6000
TAG_CHARACTERS = 8000
DESCRIPTION_CHARACTERS = 5000  # of a registered model's version, in a database that enforces it
DATASET_NAME_CHARACTERS = 500
DIGEST_CHARACTERS = 36  # the longest digest of a dataset
ITEMS_PER_CALL = 100  # MLflow takes at most 100 parameters or tags at once, and 1,000 metrics
CHARACTERS_PER_CALL = 100_000  # MLflow takes at most a million bytes at once, and JSON writes six for some characters


class _Valued(Protocol):
    @property
    def value(self) -> Any: ...


Item = TypeVar("Item", bound=_Valued)


def safe_name(name: str, *, ascii_only: bool = False) -> str:
    """`name` where MLflow takes it; else with other characters as `_`, cut, with a digest of the whole to keep it unique."""
    replaced = re.sub(r"[^\w.\- /]", "_", name, flags=re.ASCII if ascii_only else re.UNICODE)
    # MLflow makes paths of names.
    kept = "/".join(part for part in replaced.split("/") if part not in ("", ".", ".."))
    if name and kept == name and len(name) <= NAME_CHARACTERS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{kept[: NAME_CHARACTERS - 7]}-{digest}"


def safe_text(value: Any, max_characters: int) -> str:
    """`value` as text that any database keeps, ending in … where it was too long."""
    text = str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return text if len(text) <= max_characters else f"{text[: max_characters - 1]}…"


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """`items` in groups that MLflow takes in one call."""
    batch: list[Item] = []
    characters = 0
    for item in items:
        size = NAME_CHARACTERS + len(str(item.value))
        if batch and (len(batch) == ITEMS_PER_CALL or characters + size > CHARACTERS_PER_CALL):
            yield batch
            batch, characters = [], 0
        batch.append(item)
        characters += size
    if batch:
        yield batch
