"""Group near-duplicates and choose a representative of each group."""

import logging
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.code_inputs import import_closure
from pipeline.errors import InputError
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.imaging.neighbours import LookAlikeLimits, Watch, look_alikes
from pipeline.stages.dedup import edited_copies as edited
from pipeline.stages.dedup.params import DedupParams
from pipeline.stages.dedup.pixel_files import PIXELS, PixelFiles
from pipeline.stages.dedup.registration_cache import COLUMNS, DIGEST_BYTES, MAP_BYTES, RegistrationCache
from pipeline.storage.known_pictures import known_tables
from pipeline.storage.memo_tables import memo_key, read_memo, write_memo
from pipeline.storage.tables import DUPLICATES, KNOWN, RAW, read_batches, read_tables, write_table
from pipeline.tracking.progress import progress
from pipeline.tracking.tracker import Tracker

# Train and none come after these: a look-alike of a test picture must leave training, not the test split.
SPLIT_RANK = {"test": 0, "validation": 1}
MEASURES = ["key", "sha256", "decoded", "width", "height", "sharpness", "phash", "phash_mirrored", *PIXELS]
PAIRS = ["first", "second", "difference", "link"]  # first < second: indices; link: as in tables.DUPLICATES

FITS = pa.schema(
    [
        pa.field("pair", pa.binary(DIGEST_BYTES), nullable=False),
        pa.field("map", pa.binary(MAP_BYTES), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in COLUMNS[2:]),
    ]
)
FITS_FILE = "fits.parquet"
KNOWN_KEY = "known-"  # prefix of the key of a picture in data/known that was not fetched

log = logging.getLogger(__name__)


@dataclass
class Memory:
    """Results that a run leaves to the next one."""

    registrations: pd.DataFrame | None = None  # from RegistrationCache.table


def best_first(pictures: pd.DataFrame, preferred_licences: list[str]) -> pd.DataFrame:
    """`pictures` in the order of preference as a representative.

    Test before validation before other splits; then largest, sharpest, most bytes, preferred licence (none last), and key.
    """
    licence_rank = {licence: rank for rank, licence in enumerate(preferred_licences)}
    some_licence = pictures["licence"].notna().map({True: len(licence_rank), False: len(licence_rank) + 1})
    ranks = pd.DataFrame(
        {
            "split": pictures["split"].map(SPLIT_RANK).fillna(len(SPLIT_RANK)),
            "area": -pictures["width"].fillna(0).astype(np.int64) * pictures["height"].fillna(0).astype(np.int64),
            "sharpness": -pictures["sharpness"].fillna(0),
            "size_bytes": -pictures["size_bytes"],
            "licence": pictures["licence"].map(licence_rank).fillna(some_licence),
            "key": pictures["key"],
        }
    )
    return pictures.loc[ranks.sort_values(list(ranks.columns)).index].reset_index(drop=True)


def groups_of(count: int, pairs: pd.DataFrame, max_group: int) -> pd.DataFrame:
    """The `representative` of each of `count` items, best first, and `difference` and `link` to it.

    `pairs` are sorted and have the columns PAIRS. The best item takes its look-alikes, then the best of the rest, and so on.
    So every member is within the limits of its own representative, not only of a neighbour, and no two representatives look
    alike. A group keeps its `max_group` closest members; the others are treated as unlike, and only their family
    (`families_of`) links them.
    """
    first, second, difference, link = (pairs[name].to_numpy() for name in PAIRS)
    representative = np.arange(count)
    differences, links, taken = np.zeros(count, dtype=np.float32), np.full(count, "", dtype=object), np.zeros(count, dtype=bool)
    starts = np.flatnonzero(np.diff(first, prepend=-1))
    for start, end in pairwise([*starts, len(first)]):
        if taken[first[start]]:
            continue
        free = np.arange(start, end)[~taken[second[start:end]]]
        closest = free[np.lexsort((second[free], difference[free]))][: max_group - 1]
        members = second[closest]
        taken[members] = True
        representative[members] = first[start]
        differences[members], links[members] = difference[closest], link[closest]
    return pd.DataFrame({"representative": representative, "difference": differences, "link": links})


def families_of(count: int, pairs: pd.DataFrame) -> NDArray[np.int64]:
    """The best item that each of `count` items, best first, is linked to by `pairs`, directly or indirectly.

    Chains can join unrelated pictures: no reason to drop any, but reason enough to keep all of them in one split.
    """
    links = coo_array((np.ones(len(pairs)), (pairs["first"], pairs["second"])), shape=(count, count))
    _, part = connected_components(links, directed=False)
    _, best = np.unique(part, return_index=True)
    return best[part]


def pairs_of(pictures: pd.DataFrame, pixels: PixelFiles, params: DedupParams, watch: Watch, memory: Memory) -> pd.DataFrame:
    """Pairs of look-alikes among the decoded `pictures`, best first; sorted, columns PAIRS."""
    places = pictures["place"].to_numpy()
    hashes, mirrored_hashes = (pictures[name].to_numpy(dtype=np.uint64) for name in ("phash", "phash_mirrored"))
    alike = look_alikes(
        hashes,
        mirrored_hashes if params.mirrored else None,
        pixels.thumbnails(places),
        LookAlikeLimits(params.max_distance_bits, params.max_thumbnail_difference),
        watch=watch,
    )
    pairs = alike.assign(link=np.where(alike["mirrored"], "mirror", "phash"))[PAIRS]
    if params.edited is not None:
        limits = edited.EditLimits(**params.edited.model_dump(), mirrored=params.mirrored)
        sketches = pixels.sketches(places)
        cache = RegistrationCache(sketches, memory.registrations)
        found = edited.edited_pairs(sketches, limits, cache, watch)
        memory.registrations = cache.table()
        found["difference"] = np.sqrt(2 - 2 * found["agreement"])
        found["link"] = edited.links_of(found["orientation"].to_numpy())
        pairs = pd.concat([pairs, found[PAIRS]]).drop_duplicates(["first", "second"])
    return pairs.sort_values(["first", "second"], ignore_index=True)


def duplicates_of(
    pictures: pd.DataFrame, pixels: PixelFiles, params: DedupParams, watch: Watch = iter, memory: Memory | None = None
) -> pd.DataFrame:
    """A row of tables.DUPLICATES for each of `pictures`, which have the columns of tables.RAW and of what `pixels` took.

    Uses the results of earlier runs in `memory` and replaces them with those of this run.
    """
    pictures = best_first(pictures, params.preferred_licences)
    # Pictures with the same likeness share their group, so thousands of blank ones cost no more than one.
    likeness = pd.factorize(pictures["likeness"])[0]
    decoded = pictures["decoded"].to_numpy(dtype=bool)
    _, leads = np.unique(likeness, return_index=True)  # row of the best picture of each likeness
    seen = leads[decoded[leads]]
    pairs = pairs_of(pictures.iloc[seen], pixels, params, watch, memory or Memory())
    pairs["first"], pairs["second"] = likeness[seen[pairs["first"]]], likeness[seen[pairs["second"]]]
    groups = groups_of(len(leads), pairs, params.max_group).iloc[likeness].reset_index(drop=True)
    head = pictures.iloc[leads[groups["representative"]]].reset_index(drop=True)
    family = pictures["key"].to_numpy()[leads[families_of(len(leads), pairs)[likeness]]]
    same_bytes = pictures["sha256"] == head["sha256"]
    representative = pictures["key"] == head["key"]
    size = head.groupby("key")["key"].transform("size")
    own = [representative & (size == 1), representative, same_bytes, groups["link"] != ""]
    link = np.select(own, ["alone", "representative", "bytes", groups["link"]], "phash")
    hashes = [frame["phash"].fillna(0).to_numpy(dtype=np.uint64) for frame in (pictures, head)]
    distance_bits = pd.Series(np.bitwise_count(hashes[0] ^ hashes[1]).astype(np.int16))
    return pd.DataFrame(
        {
            "key": pictures["key"],
            "sha256": pictures["sha256"],
            "group": head["key"],
            "family": family,
            "representative": representative,
            "link": link,
            "distance_bits": distance_bits.astype(object).where(~representative, None),
            "difference": groups["difference"].astype(object).where(~representative, None),
        }
    )


def fetched_pictures(raw_tables: list[Path], inspect_tables: list[Path], pixels: PixelFiles) -> pd.DataFrame:
    """The fetched pictures with their measures; `pixels` takes theirs. Raises InputError where there are none."""
    raw = read_tables(raw_tables, RAW, ["key", "sha256", "split", "licence", "size_bytes"]).dropna(subset="sha256")
    inspected = read_pictures(inspect_tables, INSPECT, MEASURES, pixels).drop(columns="sha256")
    pictures = raw.drop(columns="shard").merge(inspected, on="key", validate="one_to_one")
    if pictures.empty:
        raise InputError("data/raw: no picture was fetched; see the column reason of its tables")
    return pictures


def read_pictures(paths: list[Path], schema: pa.Schema, columns: list[str], pixels: PixelFiles) -> pd.DataFrame:
    """The `columns` of the tables at `paths`, but what `pixels` returns for the pixels."""
    parts = [pixels.take(rows) for path in sorted(paths) for rows in read_batches(path, schema, columns)]
    return pd.concat(parts or [pixels.take(pd.DataFrame(columns=columns))], ignore_index=True)


def with_known(pictures: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """`pictures`, followed by those of `known` (tables.KNOWN) that are not among them, with keys of their own."""
    absent = known[~known["sha256"].isin(pictures["sha256"])]
    keys = KNOWN_KEY + absent["sha256"].str[:16]
    return pd.concat([pictures, absent.assign(key=keys, decoded=True)], ignore_index=True) if len(absent) else pictures


def earlier_splits(rows: pd.DataFrame, known: pd.DataFrame) -> pd.Series:
    """The split in which `known` has a picture of the family of each of `rows` (tables.DUPLICATES); test takes precedence."""
    splits = rows["sha256"].map(dict(zip(known["sha256"], known["split"], strict=True)))
    ranks = splits.map(SPLIT_RANK).fillna(len(SPLIT_RANK)).where(splits.notna())
    names = dict(enumerate([*SPLIT_RANK, "train"]))
    return ranks.groupby(rows["family"]).transform("min").map(names).astype(object).replace(np.nan, None)


def run(
    params: DedupParams,
    *,
    raw_tables: list[Path],
    inspect_tables: list[Path],
    known: Path,
    duplicates: Path,
    scratch: Path,
    track: Tracker,
) -> None:
    """Write a row for every fetched picture, sorted by key; pictures in the folder `known` are compared, too.

    `scratch` caches pair registrations, so that the next run registers only new pairs.
    """
    watch = partial(progress, what="dedup", unit="blocks of comparisons")
    terms = memo_key("", import_closure("pipeline.stages.dedup.registration_cache"), ("numpy", "scipy"))
    memory = Memory(read_memo(scratch / FITS_FILE, terms, FITS))
    with closing(PixelFiles(scratch, sketches=params.edited is not None)) as pixels:
        pictures = fetched_pictures(raw_tables, inspect_tables, pixels)
        earlier = read_pictures(known_tables(known), KNOWN, KNOWN.names, pixels).drop_duplicates("sha256", ignore_index=True)
        if params.edited is not None and not earlier["sketched"].all():
            raise InputError(
                f"{known}: has pictures without sketches; set dedup.edited to null, or run `remember` again with inspect.sketch"
            )
        rows = duplicates_of(with_known(pictures, earlier), pixels, params, watch, memory)
    if memory.registrations is not None and params.edited is not None:
        write_memo(scratch / FITS_FILE, terms, memory.registrations, FITS)
    rows = rows.assign(earlier_split=earlier_splits(rows, earlier))
    rows = rows[~rows["key"].str.startswith(KNOWN_KEY)]
    write_table(duplicates, rows.sort_values("key"), DUPLICATES)
    sizes, families = rows["group"].value_counts(), rows["family"].value_counts()
    links = rows["link"].value_counts()
    log.info("%d pictures, %d groups of more than one, the largest of %d", len(rows), (sizes > 1).sum(), sizes.max())
    log.info("linked: %s", ", ".join(f"{link} {count}" for link, count in links.items()))
    if (sizes >= params.max_group).any():
        full = int((sizes >= params.max_group).sum())
        log.warning("%d groups have dedup.max_group (%d) pictures; lower the limits of dedup", full, params.max_group)
    if families.max() > params.max_group:
        log.warning(
            "%d pictures are linked, most of them indirectly, and share a split; lower the limits of dedup", families.max()
        )
    track.metrics({"pictures": len(rows), "groups": len(sizes), "largest_group": sizes.max(), "known": len(earlier)})
    track.metrics({"largest_family": families.max()})
    track.metrics({f"link_{link}": count for link, count in links.items()})
