"""Parameters as one level of names and values, as MLflow and comparisons want them."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _parts(annotation: Any) -> Iterator[Any]:
    """`annotation` and all that it is made of: the members of unions, what lists and dicts hold."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def names_of_dicts(section: type[BaseModel], prefix: str = "") -> frozenset[str]:
    """Dotted names of the fields below `section` that hold a dict, whose keys users choose."""
    names: set[str] = set()
    for name, field in section.model_fields.items():
        for part in _parts(field.annotation):
            if get_origin(part) is dict:
                names.add(f"{prefix}{name}")
            elif isinstance(part, type) and issubclass(part, BaseModel):
                names |= names_of_dicts(part, f"{prefix}{name}.")
    return frozenset(names)


def flat(params: Mapping[str, Any], whole: Collection[str] = (), prefix: str = "") -> dict[str, Any]:
    """Nested parameters as one level, keys joined with dots.

    A dict whose dotted name is in `whole`, or with a key that cannot be a field's name, stays whole, as JSON.
    """
    level: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if not isinstance(value, dict):
            level[name] = value
        elif value and name not in whole and all(FIELD_NAME.fullmatch(str(inner)) for inner in value):
            level |= flat(value, whole, f"{name}.")
        else:
            level[name] = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return level
