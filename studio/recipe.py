"""Recipes of pictures, and addresses, which are recipes as text. The same address and model give the same picture.

An address is `MODEL-MIX-SOURCE`: the first 12 hex digits of the model's SHA-256; the categories and their thousandths, `3` or
`3.600_7.400`, and after a `~` the columns of the attributes asked for, if any, `3~2.14`, or the text, `3~tSTRENGTH.TEXT`, in
thousandths and as base64 of UTF-8 with `._` for `+/`; then each change in words, `~eAMOUNT.PROMPTS`, in the same way, with the
prompts without and with it on two lines; and the latent. From a seed it is `sSEED.INDEX.THOUSANDTHS-OF-TRUNCATION`; as values,
`z` and base64url of float32: one latent, or one for each style layer after style mixing.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.latents import draw_latents

THOUSAND = 1000
MAX_INDEX = 255
MAX_LATENT = 50.0  # largest magnitude of a component
MAX_STRENGTH = 2 * THOUSAND  # of a text, and of a change in words
PROMPTS_END = "\n"  # between the two of a change, none of which has control characters
MAX_CHANGES = 6  # in words, of one garment
_ADDRESS = re.compile(
    r"([0-9a-f]{12})-([0-9._]{1,200})(?:~([0-9.]{1,1000}|t\d{1,4}\.[A-Za-z0-9._]{1,1300}))?"
    rf"((?:~e\d{{1,4}}\.[A-Za-z0-9._]{{1,2600}}){{0,{MAX_CHANGES}}})"
    r"-(s(\d{1,10})\.(\d{1,3})\.(\d{1,4})|z([A-Za-z0-9_-]{1,60000}))",
    re.ASCII,
)
_SHARE = re.compile(r"(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)


@dataclass(frozen=True)
class SeedSource:
    """A latent from a seed: row `index` of `draw_latents`, times the truncation."""

    seed: int
    index: int
    truncation_thousandths: int


@dataclass(frozen=True)
class LatentSource:
    """A latent, or one for each style layer, as little-endian float32."""

    content: bytes


@dataclass(frozen=True)
class WordChange:
    """A change in words: by how much the text goes along the direction from one prompt to another."""

    before: str
    after: str
    thousandths: int  # of the length of a text's embedding, 0 to MAX_STRENGTH


CategoryMix = tuple[tuple[int, int], ...]  # (label, thousandths), ascending labels, thousandths that sum to 1000


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a picture."""

    model: str  # first 12 hex digits of the SHA-256 of the ONNX file
    mix: CategoryMix
    source: SeedSource | LatentSource
    attributes: tuple[int, ...] = ()  # the columns that are set, ascending
    text: str = ""  # what it was asked to be in words
    strength: int = THOUSAND  # of the text, in thousandths
    changes: tuple[WordChange, ...] = ()  # in words, in the order in which they were made

    @property
    def label(self) -> int:
        """The category with the largest share."""
        return max(self.mix, key=lambda part: part[1])[0]


def single_category(label: int) -> CategoryMix:
    """The mix of one category only."""
    return ((label, THOUSAND),)


def normalised_mix(shares: Mapping[int, float]) -> CategoryMix:
    """Shares of any positive sum as thousandths that sum to 1000; the largest share absorbs the rounding."""
    total = sum(shares.values())
    parts = {label: round(THOUSAND * share / total) for label, share in shares.items()}
    parts[max(parts, key=parts.__getitem__)] += THOUSAND - sum(parts.values())
    return tuple((label, part) for label, part in sorted(parts.items()) if part > 0)


def word_change(before: str, after: str, amount: float) -> WordChange:
    """The change by `amount` from the prompt `before` to `after`; a negative amount goes the other way."""
    if amount < 0:
        before, after = after, before
    return WordChange(before, after, min(round(THOUSAND * abs(amount)), MAX_STRENGTH))


def latent_source(latent: NDArray[np.float32]) -> LatentSource:
    """The source of `latent` (D,), or (L, D) with one row for each style layer, clipped to MAX_LATENT."""
    return LatentSource(np.clip(latent, -MAX_LATENT, MAX_LATENT).astype("<f4").tobytes())


def format_address(recipe: Recipe) -> str:
    """The address of `recipe`."""
    mix = "_".join(str(label) if part == THOUSAND else f"{label}.{part}" for label, part in recipe.mix)
    match recipe.source:
        case SeedSource(seed, index, truncation):
            source = f"s{seed}.{index}.{truncation}"
        case LatentSource(content):
            source = "z" + base64.urlsafe_b64encode(content).decode().rstrip("=")
    asked = "~" + ".".join(str(column) for column in recipe.attributes) if recipe.attributes else ""
    if recipe.text:
        asked = f"~t{recipe.strength}.{_encoded(recipe.text)}"
    changes = (f"~e{one.thousandths}.{_encoded(one.before + PROMPTS_END + one.after)}" for one in recipe.changes)
    return f"{recipe.model}-{mix}{asked}{''.join(changes)}-{source}"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode(), altchars=b"._").decode().rstrip("=")


def _parse_mix(text: str) -> CategoryMix:
    matches = [_SHARE.fullmatch(part) for part in text.split("_")]
    mix = tuple((int(match[1]), int(match[2] or THOUSAND)) for match in matches if match)
    labels = [label for label, _ in mix]
    in_order = labels == sorted(set(labels)) and all(part > 0 for _, part in mix)
    if None in matches or not in_order or sum(part for _, part in mix) != THOUSAND:
        raise InputError(f"the shares in this address do not add up: {text}")
    return mix


def _parse_attributes(text: str | None) -> tuple[int, ...]:
    columns = tuple(int(part) if 0 < len(part) < 6 else -1 for part in text.split(".")) if text else ()
    if list(columns) != sorted(set(columns)) or min(columns, default=0) < 0:
        raise InputError(f"the attributes in this address are not ascending numbers: {text}")
    return columns


def _parse_text(asked: str) -> tuple[str, int]:
    """The text and its strength in thousandths in `tSTRENGTH.TEXT` or `eSTRENGTH.TEXT`."""
    strength, _, encoded = asked[1:].partition(".")
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"._", validate=True).decode()
    except ValueError:
        raise InputError("the text in this address is incomplete") from None
    if int(strength) > MAX_STRENGTH:
        raise InputError("the strength of the text in this address is out of range")
    return text, int(strength)


def _parse_changes(asked: str) -> tuple[WordChange, ...]:
    """The changes in `~eAMOUNT.PROMPTS~eAMOUNT.PROMPTS…`."""
    changes = []
    for part in asked.split("~")[1:]:
        prompts, amount = _parse_text(part)
        before, _, after = prompts.partition(PROMPTS_END)
        if not before or not after or PROMPTS_END in after:
            raise InputError("a change in words in this address has not two prompts")
        changes.append(WordChange(before, after, amount))
    return tuple(changes)


def parse_address(address: str) -> Recipe:
    """The recipe in `address`. Raises InputError."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError("this is not the address of a picture; copy all of it")
    model, mix, asked, changed, _, seed, index, truncation, latent = match.groups()
    text, strength = _parse_text(asked) if asked and asked.startswith("t") else ("", THOUSAND)
    attributes = () if text else _parse_attributes(asked)
    said = (attributes, text, strength, _parse_changes(changed))
    if latent is None:
        if int(seed) >= 2**32 or int(index) > MAX_INDEX or int(truncation) > THOUSAND:
            raise InputError("this address has a seed, an index or a truncation out of range")
        return Recipe(model, _parse_mix(mix), SeedSource(int(seed), int(index), int(truncation)), *said)
    try:
        content = base64.b64decode(latent + "=" * (-len(latent) % 4), altchars=b"-_", validate=True)
        values = np.frombuffer(content, "<f4")
    except ValueError:
        raise InputError("the latent in this address is incomplete") from None
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > MAX_LATENT:
        raise InputError("the latent in this address is out of range")
    return Recipe(model, _parse_mix(mix), LatentSource(content), *said)


def recipe_latents(recipes: list[Recipe], dim: int, layers: int = 1) -> NDArray[np.float32]:
    """Latents (N, D) of `recipes`, or (N, L, D) if one of them has a latent for each of the L style `layers`.

    Raises InputError if a latent has another size.
    """
    counts: dict[int, int] = {}
    for recipe in recipes:
        if isinstance(recipe.source, SeedSource):
            counts[recipe.source.seed] = max(counts.get(recipe.source.seed, 0), recipe.source.index + 1)
    draws = {seed: draw_latents(seed, count, dim) for seed, count in counts.items()}
    rows: list[NDArray[np.float32]] = []
    for recipe in recipes:
        match recipe.source:
            case SeedSource(seed, index, truncation):
                rows.append(draws[seed][index] * np.float32(truncation / THOUSAND))
            case LatentSource(content):
                if len(content) not in (4 * dim, 4 * dim * layers):
                    raise InputError(f"this address has {len(content) // 4} numbers, the model takes {dim}")
                latent = np.frombuffer(content, "<f4").astype(np.float32)
                rows.append(latent if len(latent) == dim else latent.reshape(layers, dim))
    if all(row.ndim == 1 for row in rows):
        return np.stack(rows) if rows else np.empty((0, dim), np.float32)
    return np.stack([np.broadcast_to(row, (layers, dim)) for row in rows])


def recipe_mixes(recipes: list[Recipe], categories: int) -> NDArray[np.float32]:
    """Category shares (N, C) of `recipes`. Raises InputError for a label that is not below `categories`."""
    mixes = np.zeros((len(recipes), categories), np.float32)
    for row, recipe in enumerate(recipes):
        for label, part in recipe.mix:
            if label >= categories:
                raise InputError(f"this address names category {label}, the model has 0 to {categories - 1}")
            mixes[row, label] = part / THOUSAND
    return mixes


def recipe_attributes(recipes: list[Recipe], columns: int) -> NDArray[np.float32] | None:
    """Attributes (N, A) of `recipes`; None if none has any. Raises InputError for a column that is not below `columns`."""
    if not any(recipe.attributes for recipe in recipes):
        return None
    rows = np.zeros((len(recipes), columns), np.float32)
    for row, recipe in enumerate(recipes):
        if recipe.attributes and recipe.attributes[-1] >= columns:
            raise InputError(f"this address asks for attribute {recipe.attributes[-1]}, the model has {columns}")
        rows[row, list(recipe.attributes)] = 1
    return rows
