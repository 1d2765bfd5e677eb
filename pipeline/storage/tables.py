"""Parquet tables between stages: schemas, and reading and writing with a check against them.

The schemas are the contract between stages; docs/tables.md is printed from them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.storage.checksums import check_parquet, write_parquet
from pipeline.storage.files import whole_file
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES


def column(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})


PICTURE = [
    column("key", pa.string(), "first 16 hex digits of the SHA-256 of `url`; names the row in every later table"),
    column(
        "url", pa.string(), "where the bytes are: https://…, file:RELATIVE, DATASET:SPLIT/INDEX, or row:FILE#NUMBER if nowhere"
    ),
    column("source", pa.string(), "the source that listed the picture, as in collect.source"),
    column("page", pa.string(), "the page the picture was found on", nullable=True),
    column("title", pa.string(), "title of the product, the article or the page", nullable=True),
    column("alt", pa.string(), "the text that stands for the picture", nullable=True),
    column("category", pa.string(), "garment category", nullable=True),
    column("site_category", pa.string(), "the site's own word for it, the most telling one", nullable=True),
    column("licence", pa.string(), "licence as an SPDX identifier or a link", nullable=True),
    column("published", pa.string(), "ISO 8601 date of publication", nullable=True),
    column("split", pa.string(), "the source's own split (train, validation, test), where it has one", nullable=True),
    column("price", pa.float64(), "price asked on the page", nullable=True),
    column("currency", pa.string(), "of the price, ISO 4217", nullable=True),
    column("also", pa.string(), "where else it was found: a JSON list of {source, page, title}", nullable=True),
    column("extra", pa.string(), "columns of a list that are none of these, as a JSON object", nullable=True),
]

MANIFEST = pa.schema(
    [
        *PICTURE,
        column("status", pa.string(), "`listed`, or why it will not be fetched: `refused`, `failed`"),
        column("reason", pa.string(), "one sentence when status is not listed", nullable=True),
    ]
)

RAW = pa.schema(
    [
        *PICTURE,
        column("status", pa.string(), "`ok`, or why there are no bytes: `failed`, `refused`"),
        column("reason", pa.string(), "one sentence when status is not ok", nullable=True),
        column("sha256", pa.string(), "SHA-256 of the bytes; names the tar member", nullable=True),
        column("extension", pa.string(), "file name extension of the tar member", nullable=True),
        column("size_bytes", pa.int64(), "length of the bytes", nullable=True),
    ]
)

DUPLICATES = pa.schema(
    [
        column("key", pa.string(), "row of the manifest"),
        column("sha256", pa.string(), "bytes of the picture"),
        column("group", pa.string(), "key of the group's representative"),
        column("family", pa.string(), "best of all that are linked, be it by way of others: they go to one split"),
        column("representative", pa.bool_(), "whether this picture stands for its group"),
        column(
            "link",
            pa.string(),
            "why it is in the group: `alone`, `representative`, `bytes`, `phash`, `mirror`, `turned`, `edited`",
        ),
        column("distance_bits", pa.int16(), "Hamming distance between its pHash and its representative's", nullable=True),
        column("difference", pa.float32(), "√(2 - 2 correlation) to its representative, one over the other", nullable=True),
        column("earlier_split", pa.string(), "where an earlier run had a picture of the family (data/known/)", nullable=True),
    ]
)

COLOUR_DETAILS = [
    column("garment_colour_share", pa.float32(), "share of the garment's pixels in its colour", nullable=True),
    column(
        "garment_second_colour",
        pa.string(),
        "the next one, where it covers 0.15 of the garment and is clearly another",
        nullable=True,
    ),
]

GARMENT_ATTRIBUTES = [  # with garment in inspect.detect
    *(
        field
        for name, seen in SEEN_ATTRIBUTES.items()
        for field in (
            column(f"garment_{name}", pa.string(), seen.meaning, nullable=True),
            column(f"garment_{name}_confidence", pa.float32(), seen.confidence, nullable=True),
        )
    ),
    *COLOUR_DETAILS,
]

CURATED = pa.schema(
    [
        column("key", pa.string(), "row of the manifest"),
        column("sha256", pa.string(), "bytes of the picture", nullable=True),
        column("shard", pa.string(), "name of the raw shard that holds the bytes"),
        column("category", pa.string(), "garment category", nullable=True),
        column("label", pa.int16(), "index of the category among those kept, -1 when dropped"),
        column("group", pa.string(), "duplicate group", nullable=True),
        column("family", pa.string(), "as in data/duplicates.parquet: no family crosses a split", nullable=True),
        column("kept", pa.bool_(), "whether the picture goes on"),
        column("reason", pa.string(), "why it was dropped, one word or two", nullable=True),
        column("split", pa.string(), "train, validation or test, when kept", nullable=True),
        column("url", pa.string(), "as in the manifest"),
        column("licence", pa.string(), "as in the manifest", nullable=True),
        column("extra", pa.string(), "as in the manifest", nullable=True),
        column("page", pa.string(), "as in the manifest, when kept", nullable=True),
        column("title", pa.string(), "as in the manifest, when kept", nullable=True),
        column("alt", pa.string(), "as in the manifest, when kept", nullable=True),
        column("faces", pa.string(), "as in data/inspect", nullable=True),
        column("garment", pa.binary(), "as in data/inspect, when kept", nullable=True),
        *GARMENT_ATTRIBUTES,
        column("width", pa.int32(), "as in data/inspect", nullable=True),
        column("height", pa.int32(), "as in data/inspect", nullable=True),
        column(
            "irrelevance", pa.float32(), "distance of its features to the nearest category, 1 for a typical one", nullable=True
        ),
        column("misplacement", pa.float32(), "how much more like another category than its own, -1 to 1", nullable=True),
    ]
)

TRENDS = pa.schema(
    [
        column("series", pa.string(), "what is followed, as on the page: `colour red`, `dress: pattern striped`"),
        column("dimension", pa.string(), f"`category`, `{'`, `'.join(SEEN_ATTRIBUTES)}`, `price` or `style`"),
        column("value", pa.string(), "of the dimension"),
        column("category", pa.string(), "the garment category that it is a share of, if not of all pictures", nullable=True),
        column("date", pa.string(), "first day of the week or month, ISO 8601"),
        column("forecast", pa.bool_(), "whether the share is forecast"),
        column("count", pa.int64(), "pictures of the value, each group of near-duplicates once", nullable=True),
        column("pictures", pa.int64(), "dated pictures that it is a share of; 0 where a week is missing", nullable=True),
        column("share", pa.float64(), "share, adjusted for which sites were crawled; the median where forecast", nullable=True),
        column("low_80", pa.float64(), "lower end of the forecast's 80 % interval", nullable=True),
        column("high_80", pa.float64(), "its upper end", nullable=True),
        column("low_95", pa.float64(), "lower end of the 95 % interval: Wilson's where not forecast", nullable=True),
        column("high_95", pa.float64(), "its upper end", nullable=True),
    ]
)


KNOWN = pa.schema(
    [
        column("sha256", pa.string(), "bytes of the picture"),
        column("split", pa.string(), "where it was kept"),
        column("licence", pa.string(), "as in the manifest", nullable=True),
        column("size_bytes", pa.int64(), "length of the bytes"),
        column("width", pa.int32(), "pixels, after EXIF rotation", nullable=True),
        column("height", pa.int32(), "pixels, after EXIF rotation", nullable=True),
        column("sharpness", pa.float32(), "as in data/inspect", nullable=True),
        column("phash", pa.uint64(), "imagehash.phash, 64 bits, first bit highest", nullable=True),
        column("phash_mirrored", pa.uint64(), "the same of the mirrored picture", nullable=True),
        column("thumbnail", pa.binary(256), "16×16 luma, box filter, row by row", nullable=True),
        column("sketch", pa.binary(4096), "64×64 luma without its frame, box filter, with inspect.sketch", nullable=True),
    ]
)


BATCH_ROWS = 16_384  # rows written in one piece, and read at once by who wants few of them
# Hashes with an empty row among them would become floats, which hold only 53 of their 64 bits.
EXACT = {pa.uint64(): pd.UInt64Dtype()}


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write the columns of `schema` from `frame`, whole or not at all; equal frames give equal bytes.

    Raises InputError when a column is missing, of another type, or null where the schema forbids it.
    """
    missing = [name for name in schema.names if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}")
    # The meanings stay out of the file: better words for a column must not look like new content.
    bare = pa.schema([field.remove_metadata() for field in schema])
    try:
        table = pa.Table.from_pandas(frame[schema.names], schema=bare, preserve_index=False)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise InputError(f"{path}: column {field.name} has empty rows")
    with whole_file(path) as partial:
        write_parquet(partial, table.replace_schema_metadata(None), row_group_size=BATCH_ROWS)


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """The table at `path` (all columns of `schema`, or the `columns` named).

    A column that may be null and that an earlier version did not write is null. Raises InputError when the file is missing,
    damaged, or lacks another column.
    """
    wanted = columns or schema.names
    with _readable(path):
        check_parquet(path)
        return _frame_of(pq.read_table(path, columns=_stored(path, schema, wanted)), schema, wanted)


def read_batches(path: Path, schema: pa.Schema, columns: list[str]) -> Iterator[pd.DataFrame]:
    """What `read_table` returns, some thousands of rows at a time, for columns that would fill the memory together."""
    with _readable(path):
        check_parquet(path)
        stored = _stored(path, schema, columns)
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=stored):
                yield _frame_of(pa.Table.from_batches([batch]), schema, columns)


def _stored(path: Path, schema: pa.Schema, wanted: list[str]) -> list[str]:
    """The columns `wanted` without those that may be null and that the table at `path` does not have."""
    stored = set(pq.read_schema(path).names)
    return [name for name in wanted if name in stored or not schema.field(name).nullable]


def _frame_of(table: pa.Table, schema: pa.Schema, wanted: list[str]) -> pd.DataFrame:
    for name in wanted:
        if name not in table.column_names:
            table = table.append_column(schema.field(name), pa.nulls(len(table), schema.field(name).type))
    return table.to_pandas(types_mapper=EXACT.get)[wanted]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """A block in which a missing or damaged table at `path` is an InputError."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such table; run the stage that writes it") from error
    except (pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"{path}: not a table of this version ({error}); delete it and run its stage again") from error


def read_tables(paths: list[Path], schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """The tables at `paths`, one below the other, with a column `shard` that holds each file's stem; no rows without paths."""
    frames = [read_table(path, schema, columns).assign(shard=path.stem) for path in sorted(paths)]
    nothing = _frame_of(schema.empty_table(), schema, columns or schema.names).assign(shard="")
    return pd.concat(frames or [nothing], ignore_index=True)
