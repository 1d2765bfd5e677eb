"""Licences by their SPDX identifier, or by link if they have none."""

import re

CREATIVE_COMMONS = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/(?:licen[cs]es/([a-z-]+)|publicdomain/(zero|mark))/(\d\.\d)(?:/([a-z]{2,3})\b)?",
    re.IGNORECASE,
)
WRITTEN_OUT = re.compile(r"CC(?:[ -]?0|[ -](BY(?:[ -](?:NC|ND|SA)){0,2}))(?:[ -](\d\.\d))?", re.IGNORECASE)


def creative_commons(text: str) -> str | None:
    """The SPDX identifier (or link, if SPDX has none) of the first Creative Commons licence linked in `text`, or none."""
    match = CREATIVE_COMMONS.search(text)
    if match is None:
        return None
    elements, dedication, version, country = match.groups()
    if dedication is not None:
        link = f"https://creativecommons.org/publicdomain/{dedication.lower()}/{version}/"
        return f"CC0-{version}" if dedication.lower() == "zero" else link
    ported = f"-{country.upper()}" if country else ""
    return f"CC-{elements.upper()}-{version}{ported}"


def licence_name(text: str | None) -> str | None:
    """The SPDX identifier of the licence in `text` if it is recognised, else the text; none if it is empty."""
    if text is None or not (name := " ".join(text.split())):
        return None
    linked = creative_commons(name)
    if linked is not None:
        return linked
    match = WRITTEN_OUT.fullmatch(name)
    if match is None:
        return name[:500]
    elements, version = match.groups()
    if elements is None:
        return f"CC0-{version or '1.0'}"
    return f"CC-{elements.upper().replace(' ', '-')}-{version}" if version else name
