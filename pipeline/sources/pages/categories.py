"""Mapping of a site's categories to ours."""

import re
from collections.abc import Iterable, Mapping

LEVELS = re.compile(r"\s*(?:>|»|›|/|\||→)\s*")


def normalize_word(word: str) -> str:
    """`word` for comparison: lower case, with spaces, hyphens and underscores alike."""
    return " ".join(re.split(r"[\s_-]+", word.casefold())).strip()


def match_category(words: Iterable[str], mapping: Mapping[str, str]) -> str | None:
    """Our category for a site's `words`, the most specific first, or none.

    A word may be a path (`Women > Tops > T-Shirts`): it is looked up whole, then from its last level to its first.
    """
    known = {normalize_word(word): category for word, category in mapping.items()}
    for word in words:
        for candidate in (word, *reversed(LEVELS.split(word))):
            if (category := known.get(normalize_word(candidate))) is not None:
                return category
    return None
