"""Parquet tables between stages: schemas, and reading and writing with a check against them.

The schemas are the contract between stages; docs/tables.md is printed from them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.storage.checksums import check_parquet, write_parquet
from pipeline.storage.files import whole_file


def _field(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})


PICTURE = [
    _field("key", pa.string(), "first 16 hex digits of the SHA-256 of `url`; names the row in every later table"),
    _field(
        "url", pa.string(), "where the bytes are: https://…, file:RELATIVE, DATASET:SPLIT/INDEX, or row:FILE#NUMBER if nowhere"
    ),
    _field("source", pa.string(), "the source that listed the picture, as in collect.source"),
    _field("page", pa.string(), "the page the picture was found on", nullable=True),
    _field("title", pa.string(), "title of the product, the article or the page", nullable=True),
    _field("alt", pa.string(), "the text that stands for the picture", nullable=True),
    _field("category", pa.string(), "garment category", nullable=True),
    _field("site_category", pa.string(), "the site's own word for it, the most telling one", nullable=True),
    _field("licence", pa.string(), "licence as an SPDX identifier or a link", nullable=True),
    _field("published", pa.string(), "ISO 8601 date of publication", nullable=True),
    _field("split", pa.string(), "the source's own split (train, validation, test), where it has one", nullable=True),
    _field("price", pa.float64(), "price asked on the page", nullable=True),
    _field("currency", pa.string(), "of the price, ISO 4217", nullable=True),
    _field("also", pa.string(), "where else it was found: a JSON list of {source, page, title}", nullable=True),
    _field("extra", pa.string(), "columns of a list that are none of these, as a JSON object", nullable=True),
]

MANIFEST = pa.schema(
    [
        *PICTURE,
        _field("status", pa.string(), "`listed`, or why it will not be fetched: `refused`, `failed`"),
        _field("reason", pa.string(), "one sentence when status is not listed", nullable=True),
    ]
)

RAW = pa.schema(
    [
        *PICTURE,
        _field("status", pa.string(), "`ok`, or why there are no bytes: `failed`, `refused`"),
        _field("reason", pa.string(), "one sentence when status is not ok", nullable=True),
        _field("sha256", pa.string(), "SHA-256 of the bytes; names the tar member", nullable=True),
        _field("extension", pa.string(), "file name extension of the tar member", nullable=True),
        _field("size_bytes", pa.int64(), "length of the bytes", nullable=True),
    ]
)

INSPECT = pa.schema(
    [
        _field("key", pa.string(), "row of the manifest"),
        _field("sha256", pa.string(), "bytes of the picture"),
        _field("decoded", pa.bool_(), "whether the whole picture could be decoded"),
        _field("reason", pa.string(), "why it could not", nullable=True),
        _field("format", pa.string(), "format by content: JPEG, PNG, WEBP, GIF, …", nullable=True),
        _field("mode", pa.string(), "Pillow mode before conversion: L, RGB, P, CMYK, …", nullable=True),
        _field(
            "profile",
            pa.string(),
            "its colour profile: `none`, `sRGB`, `converted` to sRGB, or `ignored: ` and why",
            nullable=True,
        ),
        _field("width", pa.int32(), "pixels, after EXIF rotation", nullable=True),
        _field("height", pa.int32(), "pixels, after EXIF rotation", nullable=True),
        _field("sharpness", pa.float32(), "variance of the Laplacian at up to 256 px, grey levels squared", nullable=True),
        _field("brightness", pa.float32(), "mean luma in [0, 1]", nullable=True),
        _field("shadow", pa.float32(), "luma in [0, 1] that 5 % of the pixels are not above", nullable=True),
        _field("highlight", pa.float32(), "luma in [0, 1] that 99 % of the pixels are not above", nullable=True),
        _field("contrast", pa.float32(), "standard deviation of luma in [0, 0.5]", nullable=True),
        _field("colourfulness", pa.float32(), "Hasler & Süsstrunk 2003, 0 for grey", nullable=True),
        _field("entropy_bits", pa.float32(), "mean entropy of the channels' histograms, 0 to 8", nullable=True),
        _field("levels", pa.float32(), "share of the grey levels that are used, between those that are", nullable=True),
        _field("background", pa.float32(), "share of pixels close to the border's median colour, in [0, 1]", nullable=True),
        _field("cut_off", pa.float32(), "share of the middle of the picture in colours of its edge, in [0, 1]", nullable=True),
        _field(
            "second",
            pa.float32(),
            "area of the second largest piece in other colours than the edge, of the largest's",
            nullable=True,
        ),
        _field("text", pa.float32(), "letters in the longest line of letters, with text in inspect.detect", nullable=True),
        _field(
            "face", pa.float32(), "height of the largest face, of the picture's, with faces in inspect.detect", nullable=True
        ),
        _field("faces", pa.string(), "JSON list of [left, top, right, bottom] as shares of the sides", nullable=True),
        _field("clothing", pa.float32(), "probability of clothing, with clothing in inspect.detect", nullable=True),
        _field("features", pa.binary(2560), "EfficientNet-Lite0's 1,280 features, float16, little-endian", nullable=True),
        _field("phash", pa.uint64(), "imagehash.phash, 64 bits, first bit highest", nullable=True),
        _field("phash_mirrored", pa.uint64(), "the same of the mirrored picture", nullable=True),
        _field("thumbnail", pa.binary(256), "16×16 luma, box filter, row by row", nullable=True),
        _field("sketch", pa.binary(4096), "64×64 luma without its frame, box filter, with inspect.sketch", nullable=True),
    ]
)

DUPLICATES = pa.schema(
    [
        _field("key", pa.string(), "row of the manifest"),
        _field("sha256", pa.string(), "bytes of the picture"),
        _field("group", pa.string(), "key of the group's representative"),
        _field("family", pa.string(), "best of all that are linked, be it by way of others: they go to one split"),
        _field("representative", pa.bool_(), "whether this picture stands for its group"),
        _field(
            "link",
            pa.string(),
            "why it is in the group: `alone`, `representative`, `bytes`, `phash`, `mirror`, `turned`, `edited`",
        ),
        _field("distance_bits", pa.int16(), "Hamming distance between its pHash and its representative's", nullable=True),
        _field("difference", pa.float32(), "√(2 - 2 correlation) to its representative, one over the other", nullable=True),
        _field("earlier_split", pa.string(), "where an earlier run had a picture of the family (data/known/)", nullable=True),
    ]
)

CURATED = pa.schema(
    [
        _field("key", pa.string(), "row of the manifest"),
        _field("sha256", pa.string(), "bytes of the picture", nullable=True),
        _field("shard", pa.string(), "name of the raw shard that holds the bytes"),
        _field("category", pa.string(), "garment category", nullable=True),
        _field("label", pa.int16(), "index of the category among those kept, -1 when dropped"),
        _field("group", pa.string(), "duplicate group", nullable=True),
        _field("family", pa.string(), "as in data/duplicates.parquet: no family crosses a split", nullable=True),
        _field("kept", pa.bool_(), "whether the picture goes on"),
        _field("reason", pa.string(), "why it was dropped, one word or two", nullable=True),
        _field("split", pa.string(), "train, validation or test, when kept", nullable=True),
        _field("url", pa.string(), "as in the manifest"),
        _field("licence", pa.string(), "as in the manifest", nullable=True),
        _field("extra", pa.string(), "as in the manifest", nullable=True),
        _field("faces", pa.string(), "as in data/inspect", nullable=True),
        _field("width", pa.int32(), "as in data/inspect", nullable=True),
        _field("height", pa.int32(), "as in data/inspect", nullable=True),
        _field(
            "irrelevance", pa.float32(), "distance of its features to the nearest category, 1 for a typical one", nullable=True
        ),
        _field("misplacement", pa.float32(), "how much more like another category than its own, -1 to 1", nullable=True),
    ]
)


KNOWN = pa.schema(
    [
        _field("sha256", pa.string(), "bytes of the picture"),
        _field("split", pa.string(), "where it was kept"),
        _field("licence", pa.string(), "as in the manifest", nullable=True),
        _field("size_bytes", pa.int64(), "length of the bytes"),
        *(INSPECT.field(name) for name in ("width", "height", "sharpness", "phash", "phash_mirrored", "thumbnail", "sketch")),
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

    Raises InputError when the file is missing, damaged, or lacks a column.
    """
    wanted = columns or schema.names
    with _readable(path):
        check_parquet(path)
        return pq.read_table(path, columns=wanted).to_pandas(types_mapper=EXACT.get)[wanted]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """A block in which a missing or damaged table at `path` is an InputError."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such table; run the stage that writes it") from error
    except (pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"{path}: not a table of this version ({error}); delete it and run its stage again") from error


def read_rows(path: Path, schema: pa.Schema, keep: Callable[[pd.DataFrame], list[bool]]) -> pd.DataFrame:
    """The rows of the table at `path` that `keep` picks from each batch; no more than a batch is held beside them.

    Raises InputError as read_table does.
    """
    frames = [pd.DataFrame(columns=schema.names)]
    with _readable(path):
        check_parquet(path)
    with _readable(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=schema.names):
            frame = batch.to_pandas(types_mapper=EXACT.get)[schema.names]
            frames.append(frame[keep(frame)])
    return pd.concat(frames[1:] or frames, ignore_index=True)


def read_tables(paths: list[Path], schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """The tables at `paths`, one below the other, with a column `shard` that holds each file's stem."""
    frames = [read_table(path, schema, columns).assign(shard=path.stem) for path in sorted(paths)]
    return pd.concat(frames, ignore_index=True)
