"""Pictures that must not come back: forgotten.csv, which holds fingerprints and no addresses.

A line names a picture by the SHA-256 of its URL or of its bytes. A list of what was to be forgotten must not itself tell where
it was.
"""

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.store.files import write_text

HEADER = ["kind", "sha256"]
KINDS = ("url", "bytes")
SHA256 = re.compile(r"[0-9a-f]{64}")


def url_fingerprint(url: str) -> str:
    """Hex SHA-256 of `url`; its first 16 digits are the row's key."""
    return hashlib.sha256(url.encode()).hexdigest()


@dataclass(frozen=True)
class Forgotten:
    """Fingerprints of what is never to be listed, fetched or kept again."""

    urls: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()

    def has_url(self, url: str) -> bool:
        """Whether the picture at `url` is to stay forgotten."""
        return bool(self.urls) and url_fingerprint(url) in self.urls

    def has_content(self, sha256: str | None) -> bool:
        """Whether the bytes of this SHA-256 are to stay forgotten."""
        return sha256 in self.contents

    def with_(self, other: "Forgotten") -> "Forgotten":
        """Both together."""
        return Forgotten(self.urls | other.urls, self.contents | other.contents)


def everything_of(target: str, raw: pd.DataFrame) -> Forgotten:
    """All fingerprints of the picture that `target` names, a URL or the SHA-256 of its bytes.

    `raw` has the columns `url` and `sha256` of every row fetched: the same bytes under other addresses go too, and so does
    whatever else was found at the same address.
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
    """The fingerprints in the file at `path`; none when there is no file. Raises InputError that names the line."""
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        return Forgotten()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if rows[:1] != [HEADER]:
        raise InputError(f"{path}: must begin with the line {','.join(HEADER)}")
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != 2 or row[0] not in found or not SHA256.fullmatch(row[1]):
            raise InputError(f"{path}: line {number}: must be {' or '.join(KINDS)}, a comma, and 64 hex digits")
        found[row[0]].add(row[1])
    return Forgotten(frozenset(found["url"]), frozenset(found["bytes"]))


def write_forgotten(path: Path, forgotten: Forgotten) -> None:
    """Write `forgotten` to `path`, sorted, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([("url", digest) for digest in sorted(forgotten.urls)])
    writer.writerows([("bytes", digest) for digest in sorted(forgotten.contents)])
    write_text(path, text.getvalue())
