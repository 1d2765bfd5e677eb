"""Licences by one name: SPDX where there is one, the link otherwise."""

import re

CREATIVE_COMMONS = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/(?:licen[cs]es/([a-z-]+)|publicdomain/(zero|mark))/(\d\.\d)(?:/([a-z]{2,3})\b)?",
    re.IGNORECASE,
)
WRITTEN_OUT = re.compile(r"CC(?:[ -]?0|[ -](BY(?:[ -](?:NC|ND|SA)){0,2}))(?:[ -](\d\.\d))?", re.IGNORECASE)


def creative_commons(text: str) -> str | None:
    """The SPDX identifier (or link, where SPDX has none) of the first Creative Commons licence linked in `text`, or none."""
    match = CREATIVE_COMMONS.search(text)
    if match is None:
        return None
    elements, dedication, version, country = match.groups()
    if dedication is not None:
        link = f"https://creativecommons.org/publicdomain/{dedication.lower()}/{version}/"
        return f"CC0-{version}" if dedication.lower() == "zero" else link
    ported = f"-{country.upper()}" if country and country.lower() not in ("dee", "leg") else ""
    return f"CC-{elements.upper()}-{version}{ported}"


def licence_name(text: str | None) -> str | None:
    """The SPDX identifier of a licence given as `text` where it can be told, else the text; none when it is empty."""
    if text is None or not (plain := " ".join(text.split())):
        return None
    linked = creative_commons(plain)
    if linked is not None:
        return linked
    match = WRITTEN_OUT.fullmatch(plain)
    if match is None:
        return plain[:500]
    elements, version = match.groups()
    if elements is None:
        return f"CC0-{version or '1.0'}"
    return f"CC-{elements.upper().replace(' ', '-')}-{version}" if version else plain
