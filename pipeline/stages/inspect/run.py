"""Decode and measure one shard's pictures."""

import itertools
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline.code_inputs import import_closure
from pipeline.imaging.colour import CONVERTED, IGNORED, NONE, SRGB
from pipeline.imaging.decoding import UndecodableError, decode
from pipeline.imaging.garment_kinds import Kind, kind_of_category
from pipeline.imaging.hashing import phash_pixels, phashes
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.imaging.measures import MEASURES, MeasuredPicture
from pipeline.imaging.resizing import garment_input, network_input, thumbnail
from pipeline.imaging.sandbox import SandboxFailure, SandboxLimits, sandboxed_map_by_key
from pipeline.imaging.sketches import sketch
from pipeline.stages.inspect.params import InspectParams
from pipeline.storage.content_memo import ContentMemo
from pipeline.storage.memo_tables import memo_key
from pipeline.storage.reasons import reason_lines
from pipeline.storage.shards import read_shard
from pipeline.storage.tables import RAW, read_table, write_table
from pipeline.tracking.progress import progress
from pipeline.tracking.tracker import Tracker

BATCH = 1024
NO_KINDS: Mapping[str, Kind | None] = MappingProxyType({})
MEASURED = pa.schema([field for field in INSPECT if field.name != "key"])  # independent of the row of the manifest

log = logging.getLogger(__name__)


def measure_picture(content: bytes, params: InspectParams) -> dict[str, object]:
    """The columns of INSPECT for one picture, with the input pixels of each hash in place of the hash."""
    try:
        picture = decode(content, params.max_pixels)
    except UndecodableError as error:
        return {"decoded": False, "reason": str(error)}
    grey = picture.image.convert("L")
    measured = MeasuredPicture(picture.image, params.background_tolerance, grey)
    seen_by_phash = phash_pixels(grey)
    return {
        "decoded": True,
        "format": picture.format,
        "mode": picture.mode,
        "profile": picture.profile,
        "width": picture.image.width,
        "height": picture.image.height,
        **{name: measure.of_picture(measured) for name, measure in MEASURES.items() if measure.of_picture},
        "phash": seen_by_phash,
        "phash_mirrored": seen_by_phash[:, ::-1],  # the input for the mirrored picture: the filter is symmetric
        "thumbnail": thumbnail(grey).tobytes(),
        "sketch": sketch(grey).tobytes() if params.sketch else None,
        **_detected(picture.image, grey, params.detect),
    }


def _detected(image: Image.Image, grey: Image.Image, detect: Collection[str]) -> dict[str, object]:
    """The columns of the detectors named in `detect`; `seen` and `to_cut_out`, for networks, which run outside the sandbox."""
    found: dict[str, object] = {}
    if "text" in detect:
        from pipeline.stages.inspect.text_letters import count_text_letters  # imports OpenCV

        found["text"] = count_text_letters(grey)
    if "faces" in detect:
        from pipeline.imaging.faces import face_share, faces_of

        boxes = faces_of(grey)
        found |= {"face": face_share(boxes), "faces": json.dumps([[round(side, 4) for side in box] for box in boxes])}
    if "clothing" in detect:
        found["seen"] = network_input(image)
    if "garment" in detect:
        found["to_cut_out"] = garment_input(image)
    return found


def _with_features(rows: Iterator[dict[str, object]]) -> Iterator[dict[str, object]]:
    """`rows` with the columns that the network computes from `seen`."""
    from pipeline.stages.inspect.clothing import ClothingClassifier  # imports torch

    classify = ClothingClassifier()
    for row in rows:
        if "seen" in row:
            clothing, features = classify(row.pop("seen"))  # type: ignore[arg-type]
            row |= {"clothing": clothing, "features": features.astype("<f2").tobytes()}
        yield row


def _with_masks(rows: Iterator[dict[str, object]], kinds: Mapping[str, Kind | None]) -> Iterator[dict[str, object]]:
    """`rows` with the garment's mask and its numbers in place of `to_cut_out`; `kinds` of garments by SHA-256."""
    from pipeline.imaging.garment_attributes import SeenGarment, attribute_columns
    from pipeline.imaging.garment_cutter import GarmentCutter  # imports torch
    from pipeline.imaging.garment_masks import packed
    from pipeline.imaging.garment_patterns import PatternClassifier

    cut, pattern_of = GarmentCutter(), PatternClassifier()
    for row in rows:
        if "to_cut_out" in row:
            picture: NDArray[np.uint8] = row.pop("to_cut_out")  # type: ignore[assignment]
            mask = cut(picture)
            kind = kinds.get(str(row["sha256"]))
            garment = SeenGarment(picture, mask.pixels, kind, pattern_of)
            row |= {
                "garment": packed(mask.pixels) if mask.pixels.any() else None,
                "garment_confidence": mask.confidence,
                "garment_coverage": mask.coverage,
                "garment_border": mask.border_share,
                "garment_pieces": mask.pieces,
                "garment_raggedness": mask.raggedness,
                "garment_kind": kind,
                **attribute_columns(garment),
            }
        yield row


def with_hashes(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """`rows` with hashes in place of their input pixels."""
    whole = [row for row in rows if row["decoded"]]
    for column in ("phash", "phash_mirrored"):
        if whole:
            for row, value in zip(whole, phashes(np.stack([row[column] for row in whole])), strict=True):  # type: ignore[misc]
                row[column] = value
    return rows


def _sandboxed_rows(members: Iterable[tuple[str, bytes]], params: InspectParams) -> Iterator[dict[str, object]]:
    """`measure_picture` of each of `members`, in a sandbox, with the column sha256."""
    limits = SandboxLimits(params.max_memory_bytes, params.timeout_s)
    with closing(sandboxed_map_by_key(partial(measure_picture, params=params), members, limits, processes=1)) as results:
        for name, result in results:
            measured = {"decoded": False, "reason": result.reason} if isinstance(result, SandboxFailure) else result
            yield {"sha256": Path(name).stem} | measured


def rows_of(
    members: Iterable[tuple[str, bytes]], params: InspectParams, kinds: Mapping[str, Kind | None] = NO_KINDS
) -> Iterator[dict[str, object]]:
    """A row of INSPECT without `key` for each (name, content), in order; `kinds` of their garments by SHA-256."""
    rows = _sandboxed_rows(members, params)
    if "clothing" in params.detect:
        rows = _with_features(rows)
    if "garment" in params.detect:
        rows = _with_masks(rows, kinds)
    while batch := list(itertools.islice(rows, BATCH)):
        yield from with_hashes(batch)


def kinds_of(raw: pd.DataFrame) -> dict[str, Kind | None]:
    """The kind of garment of each picture by its SHA-256: that of the first row's category, where several have its bytes."""
    first = raw.drop_duplicates("sha256")
    return {sha256: kind_of_category(category) for sha256, category in zip(first["sha256"], first["category"], strict=True)}


def same_kind(measured: pd.DataFrame, kinds: Mapping[str, Kind | None]) -> pd.Series:
    """Which of the rows `measured` earlier had the kind of garment that they have now."""
    now = [kinds.get(sha256) or "" for sha256 in measured["sha256"]]
    return measured["garment_kind"].fillna("") == pd.Series(now, index=measured.index, dtype=object)


def measuring_key(params: InspectParams) -> str:
    """The memo key: everything that a picture's measures depend on besides its bytes."""
    code = import_closure(__name__)
    packages = {
        "text": ["opencv-python-headless"],
        "faces": ["opencv-python-headless"],
        "clothing": ["torch"],
        "garment": ["torch", "opencv-python-headless"],
    }
    used = [package for detector in params.detect for package in packages[detector]]
    return memo_key(params.model_dump_json(), code, ("numpy", "pillow", "scipy", *used))


def measured_and_cached(rows: Iterator[dict[str, object]], memo: ContentMemo) -> pd.DataFrame:
    """The frame of `rows`, of which `memo` gets those of decodable pictures as they come, so that a killed job goes on.

    Undecodable pictures are tried again: the cause may have been temporary, such as a busy machine.
    """
    # dtype=object: with a missing hash, pandas would convert the others to floats, which hold only 53 of their 64 bits.
    frames = [pd.DataFrame(columns=MEASURED.names, dtype=object)]
    while batch := list(itertools.islice(rows, BATCH)):
        frames.append(pd.DataFrame(batch, columns=MEASURED.names, dtype=object))
        memo.add(frames[-1][frames[-1]["decoded"].astype(bool)])
    return pd.concat(frames, ignore_index=True)


def run(params: InspectParams, *, shard: Path, raw_table: Path, table: Path, scratch: Path, track: Tracker) -> None:
    """Write a row for every fetched picture, in the order of `raw_table`.

    `scratch` caches the measures of all shards' pictures, so that only new ones are measured, whichever shard they are in.
    """
    raw = read_table(raw_table, RAW, ["key", "sha256", "category"]).dropna(subset="sha256")
    kinds = kinds_of(raw) if "garment" in params.detect else {}
    contents = raw["sha256"].unique()
    memo = ContentMemo(scratch, measuring_key(params), MEASURED, shard.stem)
    before = memo.known(contents)
    before = before[same_kind(before, kinds)]
    known = set(before["sha256"])
    members = (member for member in read_shard(shard) if Path(member[0]).stem not in known)
    shown = progress(members, len(contents), what=f"inspect {shard.stem}", unit="pictures", initial=len(known))
    new = measured_and_cached(rows_of(shown, params, kinds), memo)
    memo.keep(contents)
    measured = pd.concat([before.astype(object), new], ignore_index=True)
    rows = raw[["key", "sha256"]].merge(measured, on="sha256", how="left", validate="many_to_one")
    write_table(table, rows, INSPECT)
    bad, profiles = rows[~rows["decoded"].astype(bool)], rows["profile"].dropna()
    log.info("%d pictures, %d undecodable, %d newly measured", len(rows), len(bad), len(new))
    for line in reason_lines(bad["reason"], bad["sha256"]):
        log.info("undecodable: %s", line)
    for outcome, count in profiles[~profiles.isin((NONE, SRGB))].value_counts().items():
        log.info("colour profile %s: %d", outcome, count)
    track.metrics({"pictures": len(rows), "undecodable": len(bad), "measured_anew": len(new)})
    ignored = int(profiles.str.startswith(IGNORED).sum())
    track.metrics({"profiles_converted": int(profiles.eq(CONVERTED).sum()), "profiles_ignored": ignored})
