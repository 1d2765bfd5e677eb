"""Keep or drop every picture, with a reason, and split by families of look-alikes."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.imaging.garment_attributes import outline_columns
from pipeline.imaging.garment_kinds import kind_of_category
from pipeline.imaging.garment_masks import unpacked
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.imaging.measures import NOT_CUT_OUT, inspected_measures, limits
from pipeline.pages.tiles import load_tiles, pixel_counts
from pipeline.section import Quantile
from pipeline.stages.curate import decisions_page as decisions
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.curate.relevance import relevance_of
from pipeline.stages.curate.word_relevance import imagenet_classes, word_relevance, word_space
from pipeline.storage.drop_reasons import BY_HAND, BY_WORDS, UNDECODABLE
from pipeline.storage.files import write_text
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from pipeline.storage.overrides import DECISIONS, read_overrides
from pipeline.storage.tables import CURATED, DUPLICATES, GARMENT_ATTRIBUTES, RAW, read_table, read_tables, write_table
from pipeline.tracking.tracker import Tracker

PICTURE = ["key", "decoded", "width", "height"]
CAPTIONED = ("page", "title", "alt")  # of which augment makes captions
MEASURES = [
    *PICTURE,
    *(measure.name for measure in inspected_measures()),
    "faces",
    "garment",
    "garment_kind",
    *(field.name for field in GARMENT_ATTRIBUTES),
]
RELEVANCE = ("irrelevance", "misplacement")  # need the features of all pictures
UNTRAINED = "category not in training"
SPLITS = ("test", "validation", "train")  # a look-alike of a test picture must leave training, not the test
MIN_PICTURES = {"train": 2, "test": 2}  # that the stage reference needs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResolvedLimit:
    """A limit of one measure, resolved for the pictures at hand."""

    reason: str  # for dropping a picture beyond the limit
    values: pd.Series
    limit: float
    upper: bool
    notes: pd.Series | None = None  # on each picture, for the page

    @property
    def beyond(self) -> pd.Series:
        """Which pictures are beyond the limit; unmeasured ones are not."""
        return self.values > self.limit if self.upper else self.values < self.limit


def resolved_limits(pictures: pd.DataFrame, params: CurateParams) -> list[ResolvedLimit]:
    """The limits in force, in the order of precedence; quantiles are taken over all `pictures` that could be decoded."""
    found = []
    for key, measure, limit in limits():
        value = getattr(params, key)
        if value is None:
            continue
        values = (measure.of_table(pictures) if measure.of_table else pictures[measure.name]).astype(np.float64)
        if isinstance(value, Quantile):
            value = float(values.quantile(value.quantile))
        # Measures are stored in 32 bits, so the limit is compared as one.
        found.append(ResolvedLimit(limit.reason, values.astype(np.float32), float(np.float32(value)), limit.bound == "max"))
    if params.irrelevant_words:
        found.append(ResolvedLimit(BY_WORDS, pictures["by_words"], params.words_margin, True, pictures["nearest_words"]))
    return found


def reasons_by_fault(pictures: pd.DataFrame, params: CurateParams) -> dict[str, pd.Series]:
    """A mask of `pictures` for each fault, in the order of precedence: the first fault is the reason for dropping a picture."""
    faults = {
        "fetch failed": pictures["status"] == "failed",
        "fetch refused": pictures["status"] == "refused",
        UNDECODABLE: pictures["decoded"].ne(True),
        "no category": pictures["category"].isna(),
        BY_HAND: pictures["decision"].eq("drop"),
    }
    for limit in resolved_limits(pictures, params):  # several may have the same reason
        beyond = limit.beyond & pictures["decision"].ne("keep")
        faults[limit.reason] = faults[limit.reason] | beyond if limit.reason in faults else beyond
    return faults


def with_reasons(pictures: pd.DataFrame, params: CurateParams) -> pd.Series:
    """The reason for dropping each of `pictures`; None if it is kept.

    After a picture's own faults come duplicates (a group keeps its representative, or else its closest member without a fault,
    and whatever people keep) and then categories with too few pictures left.
    """
    found = reasons_by_fault(pictures, params)
    reasons = pd.Series(np.select(list(found.values()), list(found), ""), index=pictures.index, dtype=object)
    sound = pictures.assign(kept_by_hand=pictures["decision"].eq("keep"))[reasons == ""]
    sound = sound.sort_values(["kept_by_hand", "representative", "difference", "key"], ascending=[False, False, True, True])
    reasons[sound.index[sound.duplicated("group") & ~sound["kept_by_hand"]]] = "duplicate"
    counts = pictures.loc[reasons == "", "category"].value_counts()
    small = pictures["category"].isin(counts.index[counts < params.min_per_category])
    reasons[(reasons == "") & small] = "category too small"
    return reasons.replace("", None)


def with_decisions(pictures: pd.DataFrame, overrides: pd.DataFrame) -> pd.DataFrame:
    """`pictures` with the column `decision` and with the categories from `overrides`."""
    whole = overrides[overrides["decision"].isin(DECISIONS)]
    decisions_of = dict(zip(whole["sha256"], whole["decision"], strict=True))
    renamed = overrides[overrides["decision"] == "category"]
    category_of = dict(zip(renamed["sha256"], renamed["category"], strict=True))
    rows = list(zip(pictures["sha256"], pictures["category"], strict=True))
    return pictures.assign(
        decision=pd.Series([decisions_of.get(sha256) for sha256, _ in rows], index=pictures.index, dtype=object),
        category=pd.Series([category_of.get(sha256, own) for sha256, own in rows], index=pictures.index, dtype=object),
    )


def with_attributes(pictures: pd.DataFrame, overrides: pd.DataFrame) -> pd.DataFrame:
    """`pictures` with the attributes of their garments from `overrides`, unknown where one has no value there.

    Where people gave a picture a category of another kind of garment, what follows from the outline is measured anew.
    """
    columns = {field.name: pictures[field.name].astype(object) for field in GARMENT_ATTRIBUTES}
    kind_of = {category: kind_of_category(category) for category in pictures["category"].unique()}
    inspected = pictures["garment_kind"].fillna("")
    other = pictures["category"].map(lambda category: kind_of.get(category) or "").ne(inspected) & pictures["garment"].notna()
    for row, category, mask in pictures.loc[other, ["category", "garment"]].itertuples():
        for name, value in outline_columns(unpacked(mask), kind_of.get(category)).items():
            columns[name][row] = value
    named = overrides[overrides["decision"].isin(list(SEEN_ATTRIBUTES))]
    rows = pictures[pictures["sha256"].isin(named["sha256"])].groupby("sha256").groups
    for sha256, name, value in named[["sha256", "decision", "category"]].itertuples(index=False):
        if sha256 in rows:
            columns[f"garment_{name}"][rows[sha256]] = value or None
            columns[f"garment_{name}_confidence"][rows[sha256]] = 1.0 if value else None
    return pictures.assign(**columns)


def _features_of(pictures: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.float16]]:
    """Which of `pictures` have features, and these (M, F)."""
    measured = pictures["features"].notna().to_numpy()
    values = np.frombuffer(b"".join(pictures.loc[measured, "features"]), "<f2")
    return measured, values.reshape(measured.sum(), -1 if measured.any() else 0)


def with_word_relevance(pictures: pd.DataFrame, params: CurateParams) -> pd.DataFrame:
    """`pictures` with the columns `by_words`, NaN without features, and `nearest_words`, which of the irrelevant ones.

    Raises InputError as `word_relevance` does.
    """
    measured, features = _features_of(pictures)
    found = word_relevance(features, word_space(imagenet_classes()), params.irrelevant_words, params.relevant_words)
    rows = pictures.index[measured]
    words = np.array(params.irrelevant_words, dtype=object)[found.nearest]
    return pictures.assign(
        by_words=pd.Series(found.irrelevance, index=rows).reindex(pictures.index),
        nearest_words=pd.Series(words, index=rows, dtype=object).reindex(pictures.index),
    )


def with_relevance(pictures: pd.DataFrame) -> pd.DataFrame:
    """`pictures` with the columns `irrelevance` and `misplacement` in place of `features`."""
    measured, features = _features_of(pictures)
    labels = pictures["category"].astype("category").cat.codes.to_numpy(np.int64)
    found = relevance_of(features, labels[measured].astype(np.int64))
    columns = {"irrelevance": found.irrelevance, "misplacement": found.misplacement}
    series = {name: pd.Series(values, index=pictures.index[measured]) for name, values in columns.items()}
    return pictures.drop(columns="features").assign(
        irrelevance=series["irrelevance"].reindex(pictures.index), misplacement=series["misplacement"].reindex(pictures.index)
    )


def _share_of(family: str, seed: int) -> float:
    """A uniform hash of `family` in [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{family}".encode()).digest()[:6]) / 2**48


def splits_of(kept: pd.DataFrame, params: CurateParams) -> pd.Series:
    """Split of each picture in `kept`: the source's own, or by a hash of the family. A family is never divided.

    Pictures of an earlier run stay in their split, and so do their families, whatever the source says: a model may have been
    trained on them. Another family whose pictures come from several splits goes to test, or else to validation. If the source
    has a training split but no validation or test split, that share is taken from training.
    """
    shares = kept["family"].map(lambda family: _share_of(family, params.seed))
    drawn = [shares < params.test_share, shares < params.test_share + params.validation_share]
    hashed = pd.Series(np.select(drawn, ["test", "validation"], "train"), index=kept.index, dtype=object)
    rank_of = {split: rank for rank, split in enumerate(SPLITS)}
    earlier, given = (kept[name].map(rank_of).groupby(kept["family"]).transform("min") for name in ("earlier_split", "split"))
    ranks = earlier.where(earlier.notna(), given) if params.split == "source" else earlier
    own = ranks.map(dict(enumerate(SPLITS)))
    unlisted = {"test", "validation"} - set(kept["split"])
    lent = own.eq("train") & kept["earlier_split"].isna() & hashed.isin(unlisted)
    return hashed.where(own.isna() | lent, own)


def curated_of(pictures: pd.DataFrame, params: CurateParams) -> pd.DataFrame:
    """A row of tables.CURATED for each of `pictures`, which have the columns of tables.RAW, MEASURES and tables.DUPLICATES.

    A category without a training picture is dropped, unless no picture is for training.
    """
    reasons = with_reasons(pictures, params)
    splits = splits_of(pictures[reasons.isna()], params).reindex(pictures.index)
    trained = set(pictures.loc[splits.eq("train"), "category"])
    if trained:
        reasons[reasons.isna() & ~pictures["category"].isin(trained)] = UNTRAINED
    kept = reasons.isna()
    categories = sorted(pictures.loc[kept, "category"].unique())
    labels = pictures["category"].map({category: label for label, category in enumerate(categories)})
    return pictures.assign(
        label=labels.where(kept, -1).astype(np.int16),
        kept=kept,
        reason=reasons,
        split=splits.where(kept, None),
        garment=pictures["garment"].where(kept, None),
        **{name: pictures[name].where(kept, None) for name in CAPTIONED},
    )


def check_splits(rows: pd.DataFrame) -> None:
    """Raise InputError if `rows`, of tables.CURATED, hold no training picture; warn if a split is too small for `reference`."""
    kept = rows[rows["kept"]]
    if kept.empty:
        counted = ", ".join(f"{reason} {count}" for reason, count in rows["reason"].value_counts().items())
        raise InputError(f"curate: none of {len(rows)} pictures is kept; reasons: {counted}")
    counts = kept["split"].value_counts()
    counted = ", ".join(f"{split} {count}" for split, count in counts.items())
    if "train" not in counts:
        keys = "curate.split, curate.test_share or curate.validation_share"
        raise InputError(f"curate: no picture is in the training split ({counted}); change {keys}, or add pictures")
    for split, least in MIN_PICTURES.items():
        if counts.get(split, 0) < least:
            log.warning(
                "split %s has %d pictures, reference needs %d; raise curate.test_share", split, counts.get(split, 0), least
            )


def _page(rows: pd.DataFrame, limits: list[ResolvedLimit], shards: list[Path], masks: Mapping[str, bytes]) -> str:
    calls = [
        call for limit in limits for call in decisions.close_calls(rows, limit.reason, limit.values, limit.limit, limit.notes)
    ]
    groups = decisions.groups(rows)
    shown = decisions.within_budget(groups, decisions.MAX_PICTURES)
    pixels = pixel_counts(rows, decisions.wanted(shown, calls))
    tiles = load_tiles(shards, pixels, decisions.TILE_SIDE_PX)
    for call in calls:
        if call.reason == NOT_CUT_OUT and call.sha256 in tiles and isinstance(mask := masks.get(call.sha256), bytes):
            tiles[call.sha256] = decisions.with_faint_ground(tiles[call.sha256], mask)
    return decisions.page_of(rows, shown, len(groups) - len(shown), calls, tiles)


def run(
    params: CurateParams,
    *,
    raw_tables: list[Path],
    shards: list[Path],
    inspect_tables: list[Path],
    duplicates: Path,
    overrides: Path,
    curated: Path,
    page: Path,
    track: Tracker,
) -> None:
    """Write a row for every row of the manifest, sorted by key, and the page of decisions to review."""
    groups = read_table(duplicates, DUPLICATES).drop(columns="sha256")
    by_features = any(getattr(params, key) is not None for key, measure, _ in limits() if measure.name in RELEVANCE)
    by_words = bool(params.irrelevant_words)
    measures = [*MEASURES, "features"] if by_features or by_words else MEASURES
    by_hand = read_overrides(overrides)
    pictures = (
        read_tables(raw_tables, RAW)
        .merge(
            read_tables(inspect_tables, INSPECT, measures).drop(columns="shard"), on="key", how="left", validate="one_to_one"
        )
        .merge(groups, on="key", how="left", validate="one_to_one")
        .sort_values("key", ignore_index=True)
        .pipe(with_decisions, by_hand)
        .pipe(with_attributes, by_hand)
    )
    pictures = with_word_relevance(pictures, params) if by_words else pictures
    pictures = with_relevance(pictures) if by_features else pictures.assign(irrelevance=np.nan, misplacement=np.nan)
    unknown = len(set(by_hand["sha256"]) - set(pictures["sha256"]))
    if unknown:
        log.warning("%s: %d of its %d pictures have not been fetched", overrides, unknown, len(by_hand))
    rows = curated_of(pictures, params)
    check_splits(rows)
    write_table(curated, rows, CURATED)
    masks = dict(zip(pictures["sha256"], pictures["garment"], strict=True))
    write_text(page, _page(rows, resolved_limits(pictures, params), shards, masks))
    reasons, splits = rows["reason"].value_counts(), rows["split"].value_counts()
    log.info("%d of %d pictures kept in %d categories", rows["kept"].sum(), len(rows), rows["label"].max() + 1)
    for name, count in [*reasons.items(), *splits.items()]:
        log.info("%s: %d", name, count)
    track.artifact(page)
    track.metrics({"pictures": len(rows), "kept": rows["kept"].sum(), "categories": rows["label"].max() + 1})
    track.metrics({f"dropped_{str(name).replace(' ', '_')}": count for name, count in reasons.items()})
    track.metrics({f"split_{name}": count for name, count in splits.items()})
    track.metrics({"by_hand": pictures["decision"].notna().sum()})
