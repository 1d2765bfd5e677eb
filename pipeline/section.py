"""Building blocks of the sections of params.yaml: a strict base class, types with ranges, and one-line errors."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails


class Section(BaseModel):
    """Base class of every section: immutable, strictly typed, unknown keys refused, described by attribute docstrings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )


class FieldError(ValueError):
    """An error in a key below the section that a validator checks; `key` is relative to that section."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def check_path_exists(path: str) -> str:
    if not Path(path).exists():
        raise ValueError(f"no such file or folder: {path}")
    return path


def check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def dotted(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings by their dotted keys, as in `network.latent_dim`."""
    values: dict[str, Any] = {}
    for key, value in content.items():
        values |= dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values


def as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
GreyLevel = Annotated[int, Field(ge=0, le=255)]
ExistingPath = Annotated[str, AfterValidator(check_path_exists)]
Pattern = Annotated[str, AfterValidator(check_pattern)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class Quantile(Section):
    """A limit relative to the pictures at hand."""

    quantile: Annotated[float, Field(gt=0, lt=1)]
    """Share of the pictures whose measure lies below the limit."""


Number = TypeVar("Number")
_NUMBER, _QUANTILE = "number", "quantile"  # union tags, which pydantic reports between the keys
NumberOrQuantile = Annotated[
    Annotated[Number, Tag(_NUMBER)] | Annotated[Quantile, Tag(_QUANTILE)],
    Discriminator(lambda limit: _QUANTILE if isinstance(limit, dict | Quantile) else _NUMBER),
]


class Setting(NamedTuple):
    """A key of params.yaml with its value and its default, as text."""

    key: str
    value: str
    default: str

    @property
    def is_default(self) -> bool:
        return self.value == self.default


class Key(NamedTuple):
    """One key of params.yaml, from the JSON schema of its section."""

    schema: dict[str, Any]
    """Its JSON schema, references resolved one level deep."""
    required: bool
    variants: tuple[str, ...]
    """Where the keys depend on a sibling key `name`, the names that have this one; else empty."""


def keys_of(section: type[Section]) -> dict[str, Key]:
    """Every key below `section`, by dotted name; keys of list items follow `[]`, as in `sites[].start`."""
    root = section.model_json_schema()
    keys: dict[str, Key] = {}

    def sections_in(schema: dict[str, Any], suffix: str = "") -> list[tuple[str, dict[str, Any]]]:
        if "$ref" in schema:
            return [(suffix, root["$defs"][schema["$ref"].rpartition("/")[2]])]
        members = [member for union in ("anyOf", "oneOf", "allOf") for member in schema.get(union, [])]
        found = [pair for member in members for pair in sections_in(member, suffix)]
        return found + (sections_in(schema["items"], f"{suffix}[]") if isinstance(schema.get("items"), dict) else [])

    def add(prefix: str, schema: dict[str, Any], variant: tuple[str, ...]) -> None:
        for name, field in schema["properties"].items():
            key, required = f"{prefix}{name}", name in schema.get("required", [])
            if (other := keys.get(key)) is None:
                keys[key] = Key(field, required, variant)
            else:  # the same key of another variant
                names = [*other.schema.get("enum", [other.schema.get("const")]), field.get("const")]
                merged = {**other.schema, "enum": names} if name == "name" else other.schema
                keys[key] = Key(merged, other.required and required, other.variants + variant)
            nested = [pair for pair in sections_in(field) if "quantile" not in pair[1]["properties"]]
            for suffix, below in nested:
                tag = below["properties"].get("name", {}).get("const") if len(nested) > 1 else None
                add(f"{key}{suffix}.", below, (tag,) if tag else ())

    add("", root, ())
    return keys


def _unknown_key(section: type[Section], parts: list[str], variant: str | None) -> str:
    """What to say about the unknown key `parts` of `section`: the nearest known key, or the section it belongs to."""
    *parents, name = parts
    known = [key.replace("[]", "").split(".") for key in keys_of(section)]
    siblings = [key[-1] for key in known if key[:-1] == parents]
    if name in siblings:
        return f"unknown key; {parents[-1]}.name {variant} has none of this name"
    elsewhere = [".".join(key[:-1]) for key in known if key[-1] == name and len(key) > 1]
    if elsewhere:
        return f"unknown key; {name} is a key of {' and '.join(dict.fromkeys(elsewhere))}"
    if nearest := difflib.get_close_matches(name, siblings, n=1):
        return f"unknown key; did you mean {nearest[0]}?"
    if nearest := difflib.get_close_matches(name, [key[-1] for key in known], n=1, cutoff=0.8):
        places = [".".join(key) for key in known if key[-1] == nearest[0]]
        return f"unknown key; did you mean {places[0]}?"
    return f"unknown key; there are {', '.join(siblings)}"


def _without_tags(section: type[Section], location: tuple[int | str, ...]) -> tuple[list[str], str | None]:
    """The keys in `location` without the tags of unions, and the last tag."""
    known = {key.replace("[]", "") for key in keys_of(section)}
    parts: list[str] = []
    tag = None
    for place, part in enumerate(location):
        fields = ".".join([*(known_part for known_part in parts if not known_part.isdigit()), str(part)])
        above = fields.rpartition(".")[0]
        has_fields = any(key.startswith(f"{above}.") for key in known)
        if part in (_NUMBER, _QUANTILE) or (
            isinstance(part, str) and fields not in known and has_fields and place < len(location) - 1
        ):
            tag = str(part)
        else:
            parts.append(str(part))
    return parts, tag


def _message(section: type[Section], error: ErrorDetails) -> tuple[list[str], str]:
    """The keys that lead to the error and what is wrong there."""
    parts, tag = _without_tags(section, error["loc"])
    cause = error.get("ctx", {}).get("error")
    match error["type"]:
        case "extra_forbidden":
            return parts, _unknown_key(section, [part for part in parts if not part.isdigit()], tag)
        case "missing" if len(parts) == 1 and "$ref" in str(keys_of(section)[parts[0]].schema):
            return parts, f"missing; write `{parts[0]}: {{}}` for its defaults"
        case "missing":
            return parts, "missing"
        case "union_tag_invalid":
            context = error["ctx"]
            return [*parts, "name"], f"must be one of {context['expected_tags']} (it is {context['tag']!r})"
        case _ if isinstance(cause, FieldError):
            return [*parts, cause.key], str(cause)
    return parts, f"{error['msg'].removeprefix('Value error, ')} (it is {error['input']!r})"


def format_error(
    error: ValidationError, section: type[Section], where: str, renamed: Mapping[str, str] = MappingProxyType({})
) -> str:
    """One line: `where`, the first key of `section` that is wrong, what is wrong with it, and how many more are.

    `renamed` has the new names of keys, and of values as `KEY: VALUE`.
    """
    first = error.errors(include_url=False)[0]
    parts, message = _message(section, first)
    key = ".".join(part for part in parts if not part.isdigit())
    if new := renamed.get(key) or renamed.get(f"{key}: {first['input']}"):
        message = f"the new name of {parts[-1] if key in renamed else first['input']} is {new}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {'.'.join(parts)}: {message}{more}"
