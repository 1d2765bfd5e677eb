"""JSON in the scripts of web pages: parsed strictly if it is valid, else as far as possible."""

import html
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 200  # of leniently parsed values; deeper ones are dropped
MAX_DIGITS = 300  # of a number; no float has more
SCHEMA_ORG = re.compile(r"^(?:https?://(?:www\.)?schema\.org/|schema:)(?=\w)", re.IGNORECASE)
TOKEN = re.compile(
    r"""
      (?P<ignored> [\s\ufeff]+ | //[^\n]* | /\*.*?(?:\*/|\Z) | <!\[CDATA\[ | \]\]> | <!-- | --> )
    | (?P<string> "(?:[^"\\]|\\.)*" )
    | (?P<cut> "(?:[^"\\]|\\.)*\\?\Z )
    | (?P<word> [-+\w.@]+ )
    | (?P<sign> [{}\[\],:] )
    | (?P<stray> . )
    """,
    re.VERBOSE | re.DOTALL,
)
ESCAPE = re.compile(r'\\(?:(?P<known>["\\/bfnrt]|u[0-9a-fA-F]{4})|)')
OTHER_QUOTES = str.maketrans("'“”„", '""""')
INNER_QUOTE = re.compile(
    r"""(?<![{\[,:\s\\])"(?!\s*(?:[,:}\]]|\Z))"""
)  # a quote without JSON punctuation beside it, as in 5" heel
CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class ParsedJson:
    """The result of parsing one script."""

    values: list[Any]  # objects and arrays
    valid: bool  # the script is one valid JSON value


def read_json(text: str) -> ParsedJson:
    """The JSON objects and arrays in `text`, ignoring whatever surrounds them. Never raises."""
    try:
        value = json.loads(text, strict=False, object_pairs_hook=parse_object)
    except (ValueError, RecursionError):  # a number of thousands of digits is a ValueError too
        return ParsedJson(_parse_leniently(text), valid=False)
    return ParsedJson([value] if isinstance(value, dict | list) else [], valid=True)


def parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON-LD object without the schema.org prefix in its keys; of equal keys the last counts, of `image` all."""
    thing: dict[str, Any] = {}
    for key, value in pairs:
        _put(thing, key, value)
    return thing


def _put(thing: dict[str, Any], key: str, value: Any) -> None:
    key = SCHEMA_ORG.sub("", key)
    key = key.lower() if key.startswith("@") else key
    if key == "image" and key in thing:
        value = [thing[key], value]
    thing[key] = value


def _parse_leniently(text: str) -> list[Any]:
    """The outermost objects and arrays of invalid JSON, without parts that are cut off, stray or nested too deeply."""
    if '"' not in text:
        text = html.unescape(text) if "&quot;" in text else text.translate(OTHER_QUOTES)
    parsed = _LenientParser(text, closes_inner=True)
    escaped = INNER_QUOTE.sub(r"\"", text)
    if len(escaped) > len(text) and (other := _LenientParser(escaped, closes_inner=True)).members > parsed.members:
        text, parsed = escaped, other
    if parsed.misfits:
        # The bracket is superfluous, or an earlier one is missing: take the reading that keeps more members.
        parsed = max(parsed, _LenientParser(text, closes_inner=False), key=lambda each: each.members)
    return parsed.outermost


class _LenientParser:
    """A lenient JSON parser. `closes_inner`: a mismatched bracket closes everything up to the one it matches."""

    def __init__(self, text: str, *, closes_inner: bool) -> None:
        self.outermost: list[Any] = []
        self.members = 0  # of all objects
        self.misfits = 0
        self._stack: list[_OpenContainer] = []
        self._too_deep = 0  # open brackets below MAX_DEPTH
        self._closes_inner = closes_inner
        for kind, token in _tokens(text):
            if kind == "sign":
                self._take_sign(token)
            elif self._stack and not self._too_deep:
                self.members += self._stack[-1].add_scalar(kind, token)

    def _take_sign(self, sign: str) -> None:
        if sign in "{[":
            self._open({} if sign == "{" else [])
        elif sign in "}]":
            self._close(dict if sign == "}" else list)
        elif not self._stack:
            if sign == "," and self.outermost and isinstance(self.outermost[-1], dict):
                self._stack.append(_OpenContainer(self.outermost[-1]))  # closed too early: more members follow
        elif not self._too_deep:
            if sign == ":" and len(self._stack) > 1 and isinstance(self._stack[-2].container, dict):
                self._end_array_before_key()
            self._stack[-1].separate(sign)

    def _end_array_before_key(self) -> None:
        """Handle a colon in an array: its end is missing, and its last string is a key of the enclosing object."""
        if (key := self._stack[-1].take_back_key()) is not None:
            self._stack.pop()
            self._stack[-1].add_scalar("string", json.dumps(key))

    def _open(self, container: dict[str, Any] | list[Any]) -> None:
        if self._too_deep or len(self._stack) == MAX_DEPTH:
            self._too_deep += 1
            return
        if self._stack and self._stack[-1].add(container):
            self.members += isinstance(self._stack[-1].container, dict)
        else:
            self.outermost.append(container)
        self._stack.append(_OpenContainer(container))

    def _close(self, kind: type) -> None:
        if self._too_deep:
            self._too_deep -= 1
        elif self._stack and isinstance(self._stack[-1].container, kind):
            self._stack.pop()
        elif any(isinstance(each.container, kind) for each in self._stack):
            self.misfits += 1
            while self._closes_inner and not isinstance(self._stack.pop().container, kind):
                pass


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in TOKEN.finditer(text):
        if (kind := match.lastgroup or "stray") in ("string", "word", "sign"):
            yield kind, match[0]


class _OpenContainer:
    """An object or array whose end has not been read yet."""

    def __init__(self, container: dict[str, Any] | list[Any]) -> None:
        self.container = container
        self._key: str | None = None
        self._expects_value = False

    def add(self, value: Any) -> bool:
        """Whether `value` was accepted: an object accepts one only after a key and a colon."""
        if isinstance(self.container, list):
            self.container.append(value)
            return True
        if self._key is None or not self._expects_value:
            return False
        _put(self.container, self._key, value)
        self._key, self._expects_value = None, False
        return True

    def add_scalar(self, kind: str, token: str) -> bool:
        """Whether a string or a word was accepted as the value of a member; it may also be a key."""
        value = _string(token) if kind == "string" else token
        if isinstance(self.container, dict) and not self._expects_value:
            self._key = value
            return False
        return self.add(value if kind == "string" else _constant(token)) and isinstance(self.container, dict)

    def take_back_key(self) -> str | None:
        """Remove and return the last string of an array; none if there is none."""
        if isinstance(self.container, list) and self.container and isinstance(self.container[-1], str):
            return str(self.container.pop())
        return None

    def separate(self, sign: str) -> None:
        """Handle a colon or a comma."""
        self._expects_value = sign == ":" and self._key is not None
        if sign == ",":
            self._key = None


def _string(token: str) -> str:
    """The text of a quoted string."""
    try:
        text: str = json.loads(token, strict=False)
    except ValueError:
        text = json.loads(ESCAPE.sub(lambda escape: escape[0] if escape["known"] else "", token), strict=False)
    return text


def _constant(word: str) -> Any:
    """The value of a bare word; none if JSON does not know it."""
    if word in CONSTANTS:
        return CONSTANTS[word]
    try:
        number = float(word) if len(word) <= MAX_DIGITS else math.nan
    except ValueError:
        return None
    return (int(number) if number.is_integer() and "." not in word else number) if math.isfinite(number) else None
