"""One shard fetched and written in a process of its own, to be killed."""

import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import Any

from pipeline.errors import AtelierError
from pipeline.sources.web.fetcher import Outcome, Terms, Wanted, fetch
from pipeline.sources.web.forgotten import Forgotten
from pipeline.sources.web.scratch import Bodies
from pipeline.store.files import write_json
from pipeline.store.shards import write_shard
from tests.web_params import web


def wanted(urls: list[str], licence: str | None = None) -> list[Wanted]:
    """Rows for `urls`."""
    return [Wanted(hashlib.sha256(url.encode()).hexdigest()[:16], url, licence) for url in urls]


def terms(**changes: Any) -> Terms:
    """Terms for tests; what is not theirs goes to the web parameters."""
    names = {field.name for field in dataclasses.fields(Terms)} - {"web"}
    ours = {name: value for name, value in changes.items() if name in names}
    given = {"max_bytes": 100_000, "strip_metadata": False, "licences": None, "refresh": False, "forgotten": Forgotten()}
    return Terms(web(**{name: value for name, value in changes.items() if name not in names}), **{**given, **ours})


def fetched(urls: list[str], scratch: Path, **changes: Any) -> list[Outcome]:
    """How each of `urls` ends."""
    rows = wanted(urls)
    outcomes = fetch(rows, terms(**changes), scratch, "0", progress=lambda _: None)
    return [outcomes[row.key] for row in rows]


def fetch_shard(urls: list[str], scratch: Path, out: Path, changes: dict[str, Any]) -> None:
    """Write `out` (tar) and its table beside it, as the stage does."""
    try:
        rows = wanted(urls)
        outcomes = fetch(rows, terms(**changes), scratch, "0", progress=lambda _: None)
        bodies = Bodies(scratch / "bodies")
        kept = {outcome.sha256: outcome.extension for outcome in outcomes.values() if outcome.sha256 is not None}
        write_shard(out, ((f"{digest}.{extension}", bodies.get(digest)) for digest, extension in sorted(kept.items())))
        write_json(out.with_suffix(".json"), [{"key": row.key, **dataclasses.asdict(outcomes[row.key])} for row in rows])
    except AtelierError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
