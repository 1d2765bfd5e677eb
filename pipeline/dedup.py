"""Group near-duplicates and choose one of each group."""

import logging
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.images.neighbours import PAIRS, Limits, Watch, look_alikes
from pipeline.images.quality import THUMBNAIL_SIDE_PX
from pipeline.params import DedupParams
from pipeline.store.tables import DUPLICATES, INSPECT, RAW, read_tables, write_table
from pipeline.store.tracking import Tracker

# Then train and none: a look-alike of a test picture must leave training, not the test.
SPLIT_RANK = {"test": 0, "validation": 1}
MEASURES = ["key", "decoded", "width", "height", "sharpness", "phash", "phash_mirrored", "thumbnail"]

log = logging.getLogger(__name__)


def best_first(pictures: pd.DataFrame) -> pd.DataFrame:
    """`pictures` in the order in which they may stand for a group: test, then validation split; largest; sharpest; by key."""
    ranks = pd.DataFrame(
        {
            "split": pictures["split"].map(SPLIT_RANK).fillna(len(SPLIT_RANK)),
            "area": -pictures["width"].fillna(0).astype(np.int64) * pictures["height"].fillna(0).astype(np.int64),
            "sharpness": -pictures["sharpness"].fillna(0),
            "key": pictures["key"],
        }
    )
    return pictures.loc[ranks.sort_values(["split", "area", "sharpness", "key"]).index].reset_index(drop=True)


def sketches_of(pictures: pd.DataFrame) -> NDArray[np.int64]:
    """(N,) the same number for pictures that no measure of likeness can tell apart, rising in order of appearance.

    Such pictures share their group, so thousands of blank ones cost no more than one.
    """
    hashes = pictures[["phash", "phash_mirrored"]].fillna(0).astype(np.uint64).to_numpy()
    sketches = [
        first.tobytes() + thumbnail if decoded else sha256.encode()
        for decoded, first, thumbnail, sha256 in zip(
            pictures["decoded"], hashes, pictures["thumbnail"], pictures["sha256"], strict=True
        )
    ]
    return pd.factorize(pd.Series(sketches, dtype=object))[0]


def groups_of(count: int, pairs: pd.DataFrame, max_group: int) -> pd.DataFrame:
    """The `representative` of each of `count` items, best first, and `distance_bits` and `mirrored` of the link to it.

    `pairs` are sorted and have the columns neighbours.PAIRS. The best item takes all that look like it, then the best of those
    left, and so on. So every member is within the limits of its own representative, never only of a neighbour's, and no two
    representatives look alike. Of more than `max_group`, the closest stay; the others go on as if they were not alike.
    """
    first, second, bits, difference, mirror = (pairs[name].to_numpy() for name in PAIRS)
    representative = np.arange(count)
    distance_bits, mirrored, taken = np.zeros(count, dtype=np.int16), np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    starts = np.flatnonzero(np.diff(first, prepend=-1))
    for start, end in pairwise([*starts, len(first)]):
        if taken[first[start]]:
            continue
        free = np.arange(start, end)[~taken[second[start:end]]]
        closest = free[np.lexsort((second[free], bits[free], difference[free]))][: max_group - 1]
        members = second[closest]
        taken[members] = True
        representative[members] = first[start]
        distance_bits[members], mirrored[members] = bits[closest], mirror[closest]
    return pd.DataFrame({"representative": representative, "distance_bits": distance_bits, "mirrored": mirrored})


def duplicates_of(pictures: pd.DataFrame, params: DedupParams, watch: Watch = iter) -> pd.DataFrame:
    """A row of tables.DUPLICATES for each of `pictures`, which have the columns of tables.RAW and MEASURES."""
    pictures = best_first(pictures)
    sketch = sketches_of(pictures)
    decoded = pictures["decoded"].to_numpy(dtype=bool)
    _, leads = np.unique(sketch, return_index=True)  # row of the best picture of each sketch
    seen = leads[decoded[leads]]
    thumbnails = np.frombuffer(b"".join(pictures["thumbnail"].iloc[seen]), dtype=np.uint8)
    hashes, mirrored_hashes = (pictures[name].iloc[seen].to_numpy(dtype=np.uint64) for name in ("phash", "phash_mirrored"))
    pairs = look_alikes(
        hashes,
        mirrored_hashes if params.mirrored else None,
        thumbnails.reshape(-1, THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX),
        Limits(params.max_distance_bits, params.max_thumbnail_difference),
        watch=watch,
    )
    pairs["first"], pairs["second"] = sketch[seen[pairs["first"]]], sketch[seen[pairs["second"]]]
    groups = groups_of(len(leads), pairs, params.max_group).iloc[sketch].reset_index(drop=True)
    head = pictures.iloc[leads[groups["representative"]]].reset_index(drop=True)
    same_bytes = pictures["sha256"] == head["sha256"]
    representative = pictures["key"] == head["key"]
    size = head.groupby("key")["key"].transform("size")
    link = np.select(
        [representative & (size == 1), representative, same_bytes, groups["mirrored"]],
        ["alone", "representative", "bytes", "mirror"],
        "phash",
    )
    return pd.DataFrame(
        {
            "key": pictures["key"],
            "sha256": pictures["sha256"],
            "group": head["key"],
            "representative": representative,
            "link": link,
            "distance_bits": groups["distance_bits"].astype(object).where(~representative, None),
        }
    )


def run(params: DedupParams, *, raw_tables: list[Path], inspect_tables: list[Path], duplicates: Path, track: Tracker) -> None:
    """Write a row for every picture that was fetched, sorted by key."""
    raw = read_tables(raw_tables, RAW, ["key", "sha256", "split"]).dropna(subset="sha256")
    pictures = raw.merge(read_tables(inspect_tables, INSPECT, MEASURES), on="key", validate="one_to_one")
    if pictures.empty:
        raise InputError("data/raw: not one picture was fetched; the column reason of its tables says why")
    rows = duplicates_of(pictures, params, watch=partial(tqdm, desc="dedup", unit=" comparisons", mininterval=1.0))
    write_table(duplicates, rows.sort_values("key"), DUPLICATES)
    sizes = rows["group"].value_counts()
    links = rows["link"].value_counts()
    log.info("%d pictures, %d groups of more than one, the largest of %d", len(rows), (sizes > 1).sum(), sizes.max())
    log.info("linked: %s", ", ".join(f"{link} {count}" for link, count in links.items()))
    if (sizes >= params.max_group).any():
        log.warning("groups as large as dedup.max_group: are the limits too wide?")
    track.metrics({"pictures": len(rows), "groups": len(sizes), "largest_group": sizes.max()})
    track.metrics({f"link_{link}": count for link, count in links.items()})
