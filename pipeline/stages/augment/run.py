"""Pack the training array and the untouched reference sets."""

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError, ParamsError
from pipeline.imaging.contact_sheets import contact_sheet, enlarged
from pipeline.imaging.decoding import UNKNOWN_PIXELS, limits_of_inspected
from pipeline.imaging.sandbox import BATCH, SandboxFailure, sandboxed_map_by_key
from pipeline.stages.augment.attributes import attributes_of
from pipeline.stages.augment.captions import pack_captions
from pipeline.stages.augment.changes import Change, changed_copies, changes_pixels, draw_change
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.augment.shrunk import Box, Request, Shrunk, shrunk
from pipeline.stages.augment.transforms import Frame, pixels_of
from pipeline.storage.arrays import (
    SPLITS,
    DatasetCard,
    SplitFile,
    has_alpha,
    new_split,
    read_split,
    split_sha256,
    write_attributes,
    write_card,
)
from pipeline.storage.checksums import write_sums
from pipeline.storage.files import sha256_of_file, whole_folder
from pipeline.storage.shards import read_shard
from pipeline.storage.tables import CURATED, read_table
from pipeline.tracking.progress import Progress
from pipeline.tracking.tracker import Tracker

BATCH_BYTES = 1 << 20  # of framed pictures in one message from the sandbox, roughly
PREVIEW_COLUMNS = 10
PREVIEW_ROWS = 2
PREVIEW_SIDE_PX = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """The slot of a picture in the arrays."""

    split: str
    index: int  # among the pictures of the split, sorted by key
    key: str
    category: str
    faces: tuple[Box, ...]  # to be blurred
    mask: bytes | None  # of the garment, if it is to be cut out or centred


def frame_of(params: AugmentParams) -> Frame:
    """The training frame that `params` describe."""
    pad_value = tuple(params.pad_value) if isinstance(params.pad_value, list) else params.pad_value
    return Frame(
        params.width,
        params.height,
        params.fit,
        params.resize_filter,
        params.upscale,
        pad_value,  # type: ignore[arg-type]  # the schema wants three
        params.ground,
        params.frame == "garment",
        params.garment_share,
    )


def change_of(key: str, copy: int, category: str, params: AugmentParams) -> Change:
    """The random change of a copy; depends only on the seed, the key, the category and the copy's number."""
    return draw_change(params, category, np.random.default_rng([params.seed, int(key, 16), copy]))


def places_of(kept: pd.DataFrame, params: AugmentParams) -> dict[str, list[Place]]:
    """The slots of each picture by the SHA-256 of its bytes; `kept` is sorted by key."""
    seen = kept["faces"].fillna("[]") if params.blur_faces else pd.Series("[]", index=kept.index)
    faces = [tuple(tuple(box) for box in json.loads(boxes)) for boxes in seen]
    places: dict[str, list[Place]] = {}
    indices = kept.groupby("split").cumcount()
    masks = [mask if params.cuts_out and isinstance(mask, bytes) else None for mask in kept["garment"]]
    for sha256, *place in zip(kept["sha256"], kept["split"], indices, kept["key"], kept["category"], faces, masks, strict=True):
        places.setdefault(sha256, []).append(Place(*place))
    return places


def most_pixels(kept: pd.DataFrame) -> int:
    """Number of pixels of the largest picture in `kept`."""
    areas = kept["width"].astype(np.float64) * kept["height"].astype(np.float64)
    return int(areas.fillna(UNKNOWN_PIXELS).max())


def changes_of(place: Place, params: AugmentParams) -> list[Change]:
    """The random changes of the further copies of a training picture; none for other splits."""
    copies = range(1, params.copies) if place.split == "train" else ()
    return [change_of(place.key, copy, place.category, params) for copy in copies]


def shrunk_pictures(
    members: Iterable[tuple[str, bytes]], places: dict[str, list[Place]], max_pixels: int, params: AugmentParams
) -> Iterator[tuple[list[Place], list[Shrunk]]]:
    """The slots of each wanted picture in `members`, which are removed from `places`, and the resized picture for each slot.

    Decodes in a sandbox. Raises InputError for a picture that can no longer be decoded.
    """

    def tasks() -> Iterator[tuple[tuple[str, list[Place]], tuple[bytes, list[Request]]]]:
        for name, content in members:
            if here := places.pop(Path(name).stem, []):
                oversizes = [frozenset(change.placement.oversize for change in changes_of(place, params)) for place in here]
                requests = [Request(place.faces, place.mask, needed) for place, needed in zip(here, oversizes, strict=True)]
                yield (name, here), (content, requests)

    frame = frame_of(params)
    work = partial(shrunk, max_pixels=max_pixels, frame=frame, channels=params.packed_channels)
    batch = min(BATCH, max(1, BATCH_BYTES // (frame.width * frame.height * params.packed_channels)))
    limits = limits_of_inspected(max_pixels)
    with closing(sandboxed_map_by_key(work, tasks(), limits, processes=1, batch=batch)) as results:
        for (name, here), pictures in results:
            if isinstance(pictures, SandboxFailure):
                raise InputError(
                    f"data/raw: {name}: inspect decoded it, but augment cannot ({pictures.reason}); run inspect again"
                )
            yield here, pictures


def copies_of(picture: Shrunk, place: Place, params: AugmentParams) -> list[NDArray[np.uint8]]:
    """The changed copies of `picture`, each (H, W, C) uint8."""
    changes = changes_of(place, params)
    if not changes:
        return []
    return [pixels_of(copy, params.packed_channels) for copy in changed_copies(picture.images(), frame_of(params), changes)]


def fill(files: dict[str, SplitFile], picture: Shrunk, place: Place, params: AugmentParams) -> None:
    """Write `picture` to the reference set of its split; a training picture and its copies also to the training set."""
    files[f"reference_{place.split}"].write(place.index, picture.framed[None])
    if place.split == "train":
        pictures = [picture.framed, *copies_of(picture, place, params)]
        files["train"].write(place.index * params.copies, np.stack(pictures))


def labels_of(kept: pd.DataFrame, copies: int) -> dict[str, NDArray[np.int64]]:
    """Labels by split, for each of arrays.SPLITS; `kept` is sorted by key."""
    splits = ("train", "validation", "test")
    reference = {split: kept.loc[kept["split"] == split, "label"].to_numpy(np.int64) for split in splits}
    return {"train": reference["train"].repeat(copies)} | {f"reference_{split}": labels for split, labels in reference.items()}


def preview_of(images: NDArray[np.uint8], labels: NDArray[np.int64], copies: int) -> Image.Image:
    """A sheet with training pictures of each category; with copies, each row is one picture and its copies."""
    columns = min(copies, PREVIEW_COLUMNS) if copies > 1 else PREVIEW_COLUMNS
    step, rows = (copies, PREVIEW_ROWS) if copies > 1 else (columns, 1)
    starts = [start for label in np.unique(labels) for start in np.flatnonzero(labels == label)[: step * rows : step]]
    empty = 0 if has_alpha(images.shape[-1]) else 255
    cells = np.full((len(starts), columns, *images.shape[1:]), empty, dtype=np.uint8)
    for row, start in enumerate(starts):
        alike = np.flatnonzero(labels[start:] == labels[start])[:columns] + start
        cells[row, : len(alike)] = images[alike]
    sheet = contact_sheet(cells.reshape(-1, *images.shape[1:]), columns, gap_px=2)
    return Image.fromarray(enlarged(sheet, max(1, PREVIEW_SIDE_PX // images.shape[2])).squeeze())


def _kept_rows(curated: Path, params: AugmentParams) -> tuple[pd.DataFrame, list[str]]:
    rows = read_table(curated, CURATED)
    kept = rows[rows["kept"]].sort_values("key", ignore_index=True)
    categories = list(kept.drop_duplicates("label").sort_values("label")["category"])
    unknown = sorted(set(params.flip_categories) - {"*", *categories})
    if unknown:
        raise ParamsError(f"augment.flip_categories: no category {unknown[0]!r}; there are {', '.join(categories)}")
    return kept, categories


def run(params: AugmentParams, *, curated: Path, shards: list[Path], train: Path, track: Tracker) -> None:
    """Write the arrays, dataset.json and a preview to the folder `train`."""
    kept, categories = _kept_rows(curated, params)
    profile = {"kept": len(kept), "categories": ", ".join(categories)}
    track.dataset("curated", sha256_of_file(curated), curated, context="curated", profile=profile)
    if (params.copies > 1) != changes_pixels(params):
        log.warning("augment.copies is %d; the first copy is unchanged, only further copies get random changes", params.copies)
    if params.cuts_out and (whole := int(kept["garment"].isna().sum())):
        log.warning("in %d of %d pictures no garment was found; they stay whole", whole, len(kept))
    places = places_of(kept, params)
    labels = labels_of(kept, params.copies)
    with whole_folder(train) as folder:
        shape = (params.height, params.width, params.packed_channels)
        with ExitStack() as open_files, Progress(len(places), "augment", "pictures") as shown:
            files = {split: new_split(folder, split, labels[split], shape) for split in SPLITS}
            for file in files.values():
                open_files.callback(file.close)
            members = (member for shard in sorted(shards) for member in read_shard(shard))
            for here, pictures in shrunk_pictures(members, places, most_pixels(kept), params):
                shown.update()
                for place, picture in zip(here, pictures, strict=True):
                    fill(files, picture, place, params)
        if places:
            raise InputError(f"data/raw lacks {len(places)} of the curated pictures, the first {min(places)}; run fetch again")
        preview_of(*read_split(folder, "train"), params.copies).save(folder / "preview.png")
        counts = {split: len(labels[split]) for split in SPLITS}
        hashes = {split: split_sha256(folder, split) for split in SPLITS}
        values, flags = attributes_of(kept, params)
        if values:
            write_attributes(folder, flags["train"].repeat(params.copies, axis=0))
            write_attributes(folder, flags["test"], "reference_test")
        if params.captions:
            log.info("%d distinct captions", pack_captions(folder, kept, params))
        write_card(folder, DatasetCard(categories, *shape, params.resize_filter, counts, hashes, values))
        write_sums(folder)
    for split, count in counts.items():
        log.info("%s: %d pictures", split, count)
    track.metrics({"categories": len(categories), **{f"pictures_{split}": count for split, count in counts.items()}})
    track.picture(train / "preview.png", "training pictures")
