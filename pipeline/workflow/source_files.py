"""The files that collect and dedup read besides their parameters: pictures of a folder, lists, tables of known pictures."""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError, SourceError
from pipeline.sources.folder import SCHEME, path_of_url, picture_paths
from pipeline.stages.collect.params import CollectParams
from pipeline.workflow import versioning
from pipeline.workflow.versioning import printable

KNOWN_FOLDER = Path("data/known")
FORGOTTEN_FILE = Path("forgotten.csv")


def is_plain(path: str) -> bool:
    """Whether `path` can be an input of a rule.

    Snakemake expands braces, and stores the names of inputs in UTF-8 files, one on each line.
    """
    return path.isprintable() and "{" not in path and path == path.strip()


def _file_state(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "unreadable"
    return f"{state.st_size}\0{state.st_mtime_ns}" if stat.S_ISREG(state.st_mode) else "not a regular file"


def state_of(paths: Iterable[Path]) -> str:
    """A digest of the names, sizes and modification times of files; names need not be UTF-8."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(os.fsencode(path) + f"\0{_file_state(path)}\0".encode())
    return digest.hexdigest()


def state_of_listed(manifest: Path) -> str:
    """A digest as `state_of` has it, of the files that the table `manifest` lists; of none where there is no such table."""
    try:
        urls = pq.read_table(manifest, columns=["url"])["url"].to_pylist()
    except (OSError, pa.ArrowException):  # missing or damaged: collect runs first
        urls = []
    return state_of(path_of_url(url) for url in urls if url.startswith(f"{SCHEME}:"))


def pictures_of_folder(params: CollectParams) -> list[Path]:
    """The pictures of a folder source."""
    return picture_paths(Path(params.folder.path)) if "folder" in params.source else []


def files_of_lists(params: CollectParams) -> list[Path]:
    """The files of the source `list`. Raises SourceError when one of them is not a readable file."""
    if "list" not in params.source:
        return []
    from pipeline.sources.list_source import list_paths  # with an HTTP client, which other sources do not need

    paths = list_paths(Path(params.list.path))
    for path in paths:
        for bad, why in versioning.unversionable(path):
            raise SourceError(f"collect.list.path: {printable(bad)}: {why}; remove it")
    return paths


def known_tables() -> list[str]:
    """The tables of the pictures that earlier runs kept, and the folder's README. Raises InputError."""
    if not KNOWN_FOLDER.is_dir():
        raise InputError(f"{KNOWN_FOLDER}: no such folder, but dedup and DVC read it; make it: mkdir -p {KNOWN_FOLDER}")
    paths = sorted(str(path) for path in KNOWN_FOLDER.glob("[!.]*") if path.suffix in (".md", ".parquet"))
    for path in paths:
        if not is_plain(path):
            raise InputError(f"{printable(path)}: not written by `python -m pipeline remember`; remove it")
    return paths
