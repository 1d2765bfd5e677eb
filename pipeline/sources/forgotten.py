"""forgotten.csv: SHA-256 fingerprints of pictures that must not be listed, fetched or kept again.

A line holds the SHA-256 of a URL or of the bytes of a picture. Addresses are not stored, because the list itself would reveal
them.
"""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.storage.edited_csv import SHA256, read_edited_csv, sha256_of
from pipeline.storage.files import write_text

HEADER = ["kind", "sha256"]
KINDS = ("url", "bytes")


def url_fingerprint(url: str) -> str:
    """Hex SHA-256 of `url`; the first 16 digits are the key of its row."""
    return hashlib.sha256(url.encode()).hexdigest()


@dataclass(frozen=True)
class Forgotten:
    """Fingerprints of URLs and of contents."""

    urls: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()

    def has_url(self, url: str) -> bool:
        """Whether the picture at `url` is forgotten."""
        return bool(self.urls) and url_fingerprint(url) in self.urls

    def has_content(self, sha256: str | None) -> bool:
        """Whether content with this SHA-256 is forgotten."""
        return sha256 in self.contents

    def union(self, other: "Forgotten") -> "Forgotten":
        """The union of both."""
        return Forgotten(self.urls | other.urls, self.contents | other.contents)


def fingerprints_of(target: str, raw: pd.DataFrame) -> Forgotten:
    """All fingerprints of the picture that `target` names, a URL or the SHA-256 of its bytes.

    `raw` has the columns `url` and `sha256` of every fetched row. The same bytes under other URLs are included, and so is
    everything else that was fetched from those URLs.
    """
    wanted = target.lower() if SHA256.fullmatch(target.lower()) else None
    urls = set() if wanted else {target}
    contents = {wanted} if wanted else set()
    while True:
        related = raw[raw["url"].isin(urls) | raw["sha256"].isin(contents)]
        more_urls, more_contents = urls | set(related["url"]), contents | set(related["sha256"].dropna())
        if (more_urls, more_contents) == (urls, contents):
            return Forgotten(frozenset(map(url_fingerprint, urls)), frozenset(contents))
        urls, contents = more_urls, more_contents


def read_forgotten(path: Path) -> Forgotten:
    """The fingerprints in the file at `path`; empty if there is no file. Raises InputError that names the line."""
    if not path.exists():
        return Forgotten()
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for line, row in read_edited_csv(path, HEADER):
        try:
            if row["kind"].lower() not in found:
                raise ValueError(f"kind is {row['kind']!r}, not one of {', '.join(KINDS)}")
            found[row["kind"].lower()].add(sha256_of(row["sha256"]))
        except ValueError as error:
            raise InputError(f"{path}: line {line}: {error}") from None
    return Forgotten(frozenset(found["url"]), frozenset(found["bytes"]))


def write_forgotten(path: Path, forgotten: Forgotten) -> None:
    """Write `forgotten` to `path`, sorted and atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([("url", digest) for digest in sorted(forgotten.urls)])
    writer.writerows([("bytes", digest) for digest in sorted(forgotten.contents)])
    write_text(path, text.getvalue())
