"""What every section of params.yaml is built from: a strict base class, types with units and ranges, one-line errors."""

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError


class Section(BaseModel):
    """Base of every section: frozen, strict, complete."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class BelowError(ValueError):
    """What is wrong with a key below the section that was checked."""

    def __init__(self, key: str, told: str) -> None:
        super().__init__(told)
        self.key = key


def existing_path(path: str) -> str:
    if not Path(path).exists():
        raise ValueError(f"no such file or folder: {path}")
    return path


def regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def contact(contact: str) -> str:
    printable = contact.isprintable() and contact.isascii()
    if contact and not (printable and ("@" in contact or contact.startswith(("http://", "https://")))):
        raise ValueError("must be an e-mail address or a web page at which the owner of a site can reach you")
    return contact


def as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Count = Annotated[int, Field(ge=1)]


Seed = Annotated[int, Field(ge=0, lt=2**32)]


Share = Annotated[float, Field(ge=0, le=1)]


Positive = Annotated[float, Field(gt=0)]


NotNegative = Annotated[float, Field(ge=0)]


Grey = Annotated[int, Field(ge=0, le=255)]


ExistingPath = Annotated[str, AfterValidator(existing_path)]


Pattern = Annotated[str, AfterValidator(regular_expression)]


Address = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class Quantile(Section):
    """A limit that the pictures themselves set: this share of them lies below it."""

    quantile: Annotated[float, Field(gt=0, lt=1)]


Number = TypeVar("Number")


AS_NUMBER, AS_QUANTILE = "as a number", "as a quantile"  # which of the two a mistake is in; no keys of the file


Limit = Annotated[
    Annotated[Number, Tag(AS_NUMBER)] | Annotated[Quantile, Tag(AS_QUANTILE)],
    Discriminator(lambda limit: AS_QUANTILE if isinstance(limit, dict | Quantile) else AS_NUMBER),
]


def one_line(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    keys = [str(part) for part in first["loc"] if part not in (AS_NUMBER, AS_QUANTILE)]
    cause = first.get("ctx", {}).get("error")
    match first["type"]:
        case "extra_forbidden":
            told = "unknown key"
        case "missing":
            told = "missing"
        case _ if isinstance(cause, BelowError):
            keys.append(cause.key)
            told = str(cause)
        case _:
            told = f"{first['msg'].removeprefix('Value error, ')} (it is {first['input']!r})"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {'.'.join(keys)}: {told}{more}"
