"""SHA-256 of outputs, recorded inside them, so that a stage notices a flipped bit in what it reads.

Every format carries its own record:

- a folder holds a file SHA256SUMS, which `sha256sum -c SHA256SUMS` checks as well;
- a Parquet table holds the digest of all its other bytes in its footer;
- a JSON file that is an output by itself holds its digest under `sha256` (`with_digest`);
- a shard names each picture by its SHA-256 (`shards`), and an exported model's card holds those of its ONNX files (`exported`).

A record that travels with the output is right after copying, after `dvc pull`, after `dvc checkout` of an older version, and
without DVC or git. dvc.lock is written only after a run and not at all without DVC; notes in .scratch would be those of another
version after a checkout. DVC itself does not notice: it compares sizes and times, and trusts every read-only file of its cache
(`verify` works for remotes only). Sizes and times do not change when a bit flips on the disk, so every byte is hashed.

SHA-256, because passports and dataset.json hold it already, and because processors have instructions for it: 1.6 GB/s
(docs/integrity.md has what it costs). What an older version wrote has no record and is read without a check.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.storage.files import BLOCK_BYTES, sha256_of_file, write_text

SUMS = "SHA256SUMS"
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[^\n]+)")
_IGNORED = (SUMS, ".snakemake_timestamp")

TABLE_KEY = b"atelier.sha256"  # in a Parquet footer
UNSEALED = b"0" * 64  # stands in place of the digest while it is computed
# In Thrift's compact protocol a string is its length and its bytes; 0x18 announces one, 0x40 is a length of 64.
_DIGEST_IN_FOOTER = re.compile(re.escape(TABLE_KEY) + rb"\x18\x40([0-9a-f]{64})")
_TAIL_BYTES = 1 << 16  # of a table, which hold its key-value metadata

log = logging.getLogger(__name__)


def damaged(path: Path, stage: str | None = None, why: str = "its SHA-256 is not the one recorded") -> InputError:
    """The error for a file whose bytes are not those that `stage` wrote."""
    again = f"run {stage} again (snakemake --forcerun {stage})" if stage else "run the stage that wrote it again"
    return InputError(f"{path}: damaged ({why}); delete it and run `dvc checkout {path}`, or {again}")


def write_sums(folder: Path, beside: Iterable[Path] = ()) -> None:
    """Record the SHA-256 of every file under `folder`, and of the files `beside` it, in its file SHA256SUMS."""
    inside = [path for path in folder.rglob("*") if path.is_file() and path.name not in _IGNORED]
    names = {os.path.relpath(path, folder): path for path in (*inside, *beside)}
    write_text(folder / SUMS, "".join(f"{sha256_of_file(names[name])}  {name}\n" for name in sorted(names)))


def read_sums(folder: Path, stage: str) -> dict[str, str] | None:
    """The recorded SHA-256 of each file of `folder`, by relative path; None where there is no record. Raises InputError."""
    path = folder / SUMS
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(path, stage, "it cannot be read") from error
    if not text.endswith("\n"):
        raise damaged(path, stage, "its last line is not whole")
    lines = [_LINE.fullmatch(line) for line in text[:-1].split("\n")]
    sums = {line["name"]: line["sha256"] for line in lines if line is not None}
    if len(sums) < len(lines):
        raise damaged(path, stage, "not a line for each file")
    return sums


def check_folder(folder: Path, stage: str, names: Iterable[str] | None = None) -> None:
    """Raise InputError unless the files of `folder` are as `stage` wrote them: those `names`, or all that are in it."""
    sums = read_sums(folder, stage)
    if sums is None:
        log.info("%s: no %s, read without a check; run %s again to have it", folder, SUMS, stage)
        return
    wanted = [name for name in sums if not name.startswith("..")] if names is None else list(names)
    for name in wanted:
        path = Path(os.path.normpath(folder / name))
        if name not in sums:
            raise damaged(path, stage, f"{folder / SUMS} has no line for it")
        try:
            sha256 = sha256_of_file(path)
        except OSError as error:
            raise damaged(path, stage, f"it cannot be read, but {folder / SUMS} names it") from error
        if sha256 != sums[name]:
            raise damaged(path, stage, f"its SHA-256 is not the one in {folder / SUMS}")


def with_digest(content: Mapping[str, Any]) -> dict[str, Any]:
    """`content`, an object for a JSON file without SHA256SUMS beside it, and its SHA-256 under `sha256`."""
    return {**content, "sha256": _digest(content)}


def check_digest(path: Path, content: Mapping[str, Any], stage: str) -> None:
    """Raise InputError unless `content`, read from `path`, is as `with_digest` returned it to `stage`."""
    if content.get("sha256") != _digest({key: value for key, value in content.items() if key != "sha256"}):
        raise damaged(path, stage, "its SHA-256 is not the one in it")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_parquet(path: Path, table: pa.Table, **options: int) -> None:
    """Write `table` to `path` with the SHA-256 of the file in its footer; `options` as of ParquetWriter.write_table."""
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        writer.write_table(table, **options)
        writer.add_key_value_metadata({TABLE_KEY: UNSEALED})
    found = _recorded(path)
    if found is None:
        raise RuntimeError(f"{path}: this version of pyarrow writes footers in another way; adapt _DIGEST_IN_FOOTER")
    offset, _ = found
    digest = _sha256_without(path, offset)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(digest.encode())


def check_parquet(path: Path) -> None:
    """Raise InputError when the table at `path` is not as it was written; OSError or ArrowException when it is none at all."""
    found = _recorded(path)
    if found is None:
        # Without a digest, unless the place where it stands is what was damaged.
        if any(_flipped_bits(key, TABLE_KEY) <= 1 for key in pq.read_metadata(path).metadata or {}):
            raise damaged(path, why="its footer is not as it was written")
        log.info("%s: written by an older version, read without a check", path)
        return
    offset, digest = found
    if _sha256_without(path, offset) != digest:
        raise damaged(path)


def _flipped_bits(found: bytes, written: bytes) -> int:
    """In how many bits `found` differs from `written`; all of them where the lengths differ."""
    if len(found) != len(written):
        return 8 * len(written)
    return (int.from_bytes(found) ^ int.from_bytes(written)).bit_count()


def _recorded(path: Path) -> tuple[int, str] | None:
    """Where the digest stands in the table at `path`, and the digest; None where there is none."""
    with path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
        file.seek(start)
        matches = list(_DIGEST_IN_FOOTER.finditer(file.read()))
    return (start + matches[-1].start(1), matches[-1][1].decode()) if matches else None


def _sha256_without(path: Path, offset: int) -> str:
    """Hex SHA-256 of the file at `path` with UNSEALED in place of what stands at `offset`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = offset
        while left:
            block = file.read(min(left, BLOCK_BYTES))
            if not block:
                break
            digest.update(block)
            left -= len(block)
        digest.update(UNSEALED)
        file.seek(len(UNSEALED), os.SEEK_CUR)
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
