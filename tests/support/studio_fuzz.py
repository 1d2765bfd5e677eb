"""Hooks for schemathesis, which runs in its own process: valid addresses and categories get it past the first check.

Some schema-valid addresses and all schema-valid categories are replaced with ones of the model.
"""

import os
import zlib
from typing import Any

import schemathesis
from pydantic import TypeAdapter, ValidationError

from studio.schemas import Address, Category

ADDRESS_VARIABLE, CATEGORY, DIRECTION = "STUDIO_ADDRESS", "dress", "closed-form-1"
ADDRESS_KEYS = {"address", "addresses", "first", "second", "coarse", "fine"}
ANY_ADDRESS, ANY_CATEGORY = TypeAdapter(Address), TypeAdapter(Category)


def _fits(schema: TypeAdapter[str], value: str) -> bool:
    try:
        schema.validate_python(value)
    except ValidationError:
        return False
    return True


def _known(value: Any, key: str) -> Any:
    match value:
        case dict() if len(value) == 1 and key in ("mix", "amounts"):
            return {CATEGORY if key == "mix" else DIRECTION: one for one in value.values()}
        case dict():
            return {name: _known(one, name) for name, one in value.items()}
        case list():
            return [_known(one, key) for one in value]
        case str() if key in ADDRESS_KEYS and _fits(ANY_ADDRESS, value) and zlib.crc32(value.encode()) % 4:
            return os.environ[ADDRESS_VARIABLE]
        case str() if key == "category" and _fits(ANY_CATEGORY, value):
            return CATEGORY
    return value


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """`body` with addresses and categories of the studio's own."""
    return _known(body, "")


@schemathesis.hook
def map_query(_context: Any, query: Any) -> Any:
    """`query` with a category of the studio's own."""
    return _known(query, "")


@schemathesis.hook
def map_path_parameters(_context: Any, path: Any) -> Any:
    """`path` with an address of the studio's own."""
    return _known(path, "")
