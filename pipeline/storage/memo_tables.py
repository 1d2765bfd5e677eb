"""Cached results of earlier runs: tables that are valid while their key matches, and that may be deleted at any time.

A stage writes the same bytes with and without them.
"""

import hashlib
import logging
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.storage.checksums import check_parquet, write_parquet
from pipeline.storage.files import whole_file
from pipeline.storage.tables import EXACT

TERMS = b"terms"

log = logging.getLogger(__name__)


def memo_key(settings: str, code: Iterable[Path], packages: Iterable[str]) -> str:
    """A digest of what decides a result besides its input: settings, source files or folders, package versions."""
    digest = hashlib.sha256(settings.encode())
    for path in code:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    for package in packages:
        digest.update(f"\0{package} {version(package)}".encode())
    return digest.hexdigest()


def read_memo(path: Path, terms: str, schema: pa.Schema) -> pd.DataFrame:
    """The rows of the table at `path`; none when it is missing, damaged, or was written with another key (`terms`)."""
    try:
        check_parquet(path)
        table = pq.read_table(path, columns=schema.names)
    except FileNotFoundError:
        return schema.empty_table().to_pandas(types_mapper=EXACT.get)
    except (InputError, OSError, pa.ArrowException, KeyError):
        log.warning("%s: damaged; its rows are computed again", path)
        return schema.empty_table().to_pandas(types_mapper=EXACT.get)
    if (table.schema.metadata or {}).get(TERMS) != terms.encode():
        return schema.empty_table().to_pandas(types_mapper=EXACT.get)
    return table.to_pandas(types_mapper=EXACT.get)[schema.names]


def write_memo(path: Path, terms: str, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write the columns of `schema` from `frame` to `path` in place of the rows cached there."""
    bare = pa.schema([field.remove_metadata() for field in schema], metadata={TERMS: terms.encode()})
    table = pa.Table.from_pandas(frame[schema.names], schema=bare, preserve_index=False)
    with whole_file(path) as partial:
        write_parquet(partial, table.replace_schema_metadata(bare.metadata))
