"""Machine-readable reservations of rights.

`X-Robots-Tag` and robots meta tags (noai, noimageai, noindex, noimageindex, none, unavailable_after), and the TDM Reservation
Protocol (W3C community group, 10 May 2024: response header, meta tag, /.well-known/tdmrep.json). Any reservation counts. The
protocol lets a header permit what the file reserves; we do not look for it, because we would have to request a reserved
resource.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from multidict import CIMultiDictProxy
from protego import Protego
from yarl import URL

from pipeline.web.robots import PRODUCT_TOKEN
from pipeline.web.values import parse_datetime

RESERVING_DIRECTIVES = ("noai", "noimageai", "noindex", "noimageindex", "none")
DIRECTIVES_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
WEEKDAY = re.compile(r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*", re.IGNORECASE)


@dataclass(frozen=True)
class Directive:
    """One directive of an X-Robots-Tag header or a robots meta tag."""

    agent: str | None  # lower case; none: all
    name: str  # lower case
    value: str


def robots_directives(header: str) -> list[Directive]:
    """The directives of one X-Robots-Tag value: `name, name`, `agent: name, name` or `agent: name, other: name`."""
    found: list[Directive] = []
    agent: str | None = None
    for token in (part.strip() for part in header.split(",")):
        last = found[-1] if found else None
        if last is not None and last.name == "unavailable_after" and WEEKDAY.fullmatch(last.value):
            # The comma was part of a date: "Friday, 25-Jun-10 15:00:00 GMT".
            found[-1] = Directive(last.agent, last.name, f"{last.value}, {token}")
            continue
        head, colon, rest = (part.strip() for part in token.partition(":"))
        if colon and head.lower() not in DIRECTIVES_WITH_VALUE:
            agent, token = head.lower().partition("/")[0].strip(), rest  # the version is ignored, as in robots.txt
            head, colon, rest = (part.strip() for part in token.partition(":"))
        if head:
            found.append(Directive(agent, head.lower(), rest))
    return found


def _reserves(directive: Directive, now: datetime) -> bool:
    if directive.agent not in (None, "*", PRODUCT_TOKEN.lower()):
        return False
    if directive.name == "unavailable_after":
        until = parse_datetime(directive.value)
        return until is None or until <= now  # an unreadable date is not a permission
    return directive.name in RESERVING_DIRECTIVES


def header_reservation(headers: CIMultiDictProxy[str], now: datetime) -> str | None:
    """The reservation in the headers of a response, or none."""
    for value in headers.getall("X-Robots-Tag", []):
        for directive in robots_directives(value):
            if _reserves(directive, now):
                return f"X-Robots-Tag: {directive.name}"
    if headers.get("tdm-reservation", "").strip() == "1":
        return _with_policy("tdm-reservation header", headers.get("tdm-policy"))
    return None


def meta_reservation(metas: Iterable[tuple[str, str]], now: datetime) -> str | None:
    """The reservation in the (name, content) meta tags of a page, or none."""
    named = [(name.strip().lower(), content) for name, content in metas]
    for name, content in named:
        if name in ("robots", PRODUCT_TOKEN.lower()):
            for directive in robots_directives(content):
                if _reserves(directive, now):
                    return f"robots meta tag: {directive.name}"
    by_name = dict(reversed(named))
    if by_name.get("tdm-reservation", "").strip() == "1":
        return _with_policy("tdm-reservation meta tag", by_name.get("tdm-policy"))
    return None


def forbids_following(directives: Iterable[Directive]) -> bool:
    """Whether a page with these directives forbids following its links."""
    return any(
        directive.agent in (None, "*", PRODUCT_TOKEN.lower()) and directive.name in ("nofollow", "none")
        for directive in directives
    )


def _with_policy(where: str, policy: str | None) -> str:
    return f"{where}, policy {policy.strip()[:200]}" if policy else where


@dataclass(frozen=True)
class TdmRule:
    """One rule of a tdmrep.json."""

    location: Protego  # disallows the location of the rule: the protocol uses the patterns of robots.txt
    reserved: bool
    policy: str | None


def parse_tdmrep(content: bytes) -> list[TdmRule]:
    """The rules of a /.well-known/tdmrep.json in order; an invalid file or rule counts as unset."""
    try:
        rules = json.loads(content)
    except (ValueError, RecursionError):
        return []
    found = []
    for rule in rules if isinstance(rules, list) else []:
        location = rule.get("location") if isinstance(rule, Mapping) else None
        if isinstance(location, str) and location.isprintable() and str(rule.get("tdm-reservation")) in ("0", "1"):
            policy = rule.get("tdm-policy")
            found.append(
                TdmRule(
                    Protego.parse(f"User-agent: *\nDisallow: {location}"),
                    str(rule["tdm-reservation"]) == "1",
                    policy if isinstance(policy, str) else None,
                )
            )
    return found


def tdmrep_reservation(rules: list[TdmRule], url: URL) -> str | None:
    """The reservation of `url` in tdmrep.json, or none; the first rule that matches decides."""
    for rule in rules:
        if not rule.location.can_fetch(str(url), PRODUCT_TOKEN):
            return _with_policy("tdmrep.json", rule.policy) if rule.reserved else None
    return None
