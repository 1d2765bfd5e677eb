"""Keep or drop every picture, with a reason, and split by duplicate group."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.params import CurateParams
from pipeline.store.tables import CURATED, DUPLICATES, INSPECT, RAW, read_table, read_tables, write_table
from pipeline.store.tracking import Tracker

MEASURES = ["key", "decoded", "width", "height", "sharpness", "brightness", "contrast", "entropy_bits"]

log = logging.getLogger(__name__)


def faults(pictures: pd.DataFrame, params: CurateParams) -> dict[str, pd.Series]:
    """Which of `pictures` has each fault of its own, in the order of precedence: the first one is the reason for dropping it.

    First what stops a picture from being looked at, then what it shows, from coarse to fine.
    """
    short, long = pictures[["width", "height"]].min(axis=1), pictures[["width", "height"]].max(axis=1)
    return {
        "fetch failed": pictures["status"] == "failed",
        "fetch refused": pictures["status"] == "refused",
        "undecodable": pictures["decoded"].ne(True),
        "no category": pictures["category"].isna(),
        "too small": short < params.min_side_px,
        "aspect": long > params.max_aspect * short,
        "dark": pictures["brightness"] < params.min_brightness,
        "bright": pictures["brightness"] > params.max_brightness,
        "flat": pictures["contrast"] < params.min_contrast,
        "low information": pictures["entropy_bits"] < params.min_entropy_bits,
        "blurry": pictures["sharpness"] < params.min_sharpness,
    }


def with_reasons(pictures: pd.DataFrame, params: CurateParams) -> pd.Series:
    """Why each of `pictures` is dropped, one reason each, None where it is kept.

    After its own faults: a duplicate of a better picture (a group keeps its representative, or its closest member without a
    fault), and then a category with too few left.
    """
    found = faults(pictures, params)
    reasons = pd.Series(np.select(list(found.values()), list(found), ""), index=pictures.index, dtype=object)
    sound = pictures[reasons == ""].sort_values(["representative", "distance_bits", "key"], ascending=[False, True, True])
    reasons[sound.index[sound.duplicated("group")]] = "duplicate"
    counts = pictures.loc[reasons == "", "category"].value_counts()
    small = pictures["category"].isin(counts.index[counts < params.min_per_category])
    reasons[(reasons == "") & small] = "category too small"
    return reasons.replace("", None)


def _share_of(group: str, seed: int) -> float:
    """Where `group` stands in [0, 1), evenly spread and the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:6]) / 2**48


def splits_of(kept: pd.DataFrame, params: CurateParams) -> pd.Series:
    """Split of each picture of `kept`, all of a group in one: the source's own, or by hash of the group.

    Where the source has a training split but no validation or no test split, that share is taken from training.
    """
    shares = kept["group"].map(lambda group: _share_of(group, params.seed))
    drawn = [shares < params.test_share, shares < params.test_share + params.validation_share]
    hashed = pd.Series(np.select(drawn, ["test", "validation"], "train"), index=kept.index, dtype=object)
    if params.split == "hash":
        return hashed
    own = kept["split"]
    unlisted = {"test", "validation"} - set(own)
    return hashed.where(own.isna() | ((own == "train") & hashed.isin(unlisted)), own)


def curated_of(pictures: pd.DataFrame, params: CurateParams) -> pd.DataFrame:
    """A row of tables.CURATED for each of `pictures`, with the columns of tables.RAW, MEASURES and tables.DUPLICATES."""
    reasons = with_reasons(pictures, params)
    kept = reasons.isna()
    categories = sorted(pictures.loc[kept, "category"].unique())
    labels = pictures["category"].map({category: label for label, category in enumerate(categories)})
    return pictures.assign(
        label=labels.where(kept, -1).astype(np.int16),
        kept=kept,
        reason=reasons,
        split=splits_of(pictures[kept], params).reindex(pictures.index),
    )


def run(
    params: CurateParams, *, raw_tables: list[Path], inspect_tables: list[Path], duplicates: Path, curated: Path, track: Tracker
) -> None:
    """Write a row for every row of the manifest, sorted by key."""
    groups = read_table(duplicates, DUPLICATES).drop(columns="sha256")
    pictures = (
        read_tables(raw_tables, RAW)
        .merge(
            read_tables(inspect_tables, INSPECT, MEASURES).drop(columns="shard"), on="key", how="left", validate="one_to_one"
        )
        .merge(groups, on="key", how="left", validate="one_to_one")
        .sort_values("key", ignore_index=True)
    )
    rows = curated_of(pictures, params)
    if not rows["kept"].any():
        told = ", ".join(f"{reason} {count}" for reason, count in rows["reason"].value_counts().items())
        raise InputError(f"curate: none of {len(rows)} pictures is kept; reasons: {told}")
    write_table(curated, rows, CURATED)
    reasons, splits = rows["reason"].value_counts(), rows["split"].value_counts()
    log.info("%d of %d pictures kept in %d categories", rows["kept"].sum(), len(rows), rows["label"].max() + 1)
    for name, count in [*reasons.items(), *splits.items()]:
        log.info("%s: %d", name, count)
    track.metrics({"pictures": len(rows), "kept": rows["kept"].sum(), "categories": rows["label"].max() + 1})
    track.metrics({f"dropped_{str(name).replace(' ', '_')}": count for name, count in reasons.items()})
    track.metrics({f"split_{name}": count for name, count in splits.items()})
