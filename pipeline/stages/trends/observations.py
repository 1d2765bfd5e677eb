"""What was published when, and where: a row for each group of near-duplicates, with what its picture shows."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.storage.drop_reasons import OF_NO_GARMENT
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

STRAY_QUANTILE, STRAY_DAYS = 0.995, 56  # a date this much after nearly all others is a mistake
LATEST_FROM, LONG_GAP_DAYS = 0.9, 5 * 365  # and so is one of the latest tenth after a gap this long
EARLIEST = pd.Timestamp("1990-01-01")
PRICE_BANDS = ("low", "middle", "high")
LEAST_CONFIDENCE = 0.2  # of an attribute
DIMENSIONS = ("category", *SEEN_ATTRIBUTES, "price", "style")


@dataclass(frozen=True)
class Coverage:
    """How much of the pictures the series rest on."""

    pictures: int  # groups of near-duplicates
    dated: int
    sites: int  # of the dated
    first: str | None
    last: str | None
    stray: int  # that have only dates before 1990, after `until`, or long after all others
    sites_by_pictures: Mapping[str, int]


def day_of(text: object) -> pd.Timestamp | None:
    """The day, in UTC, of an ISO 8601 date or time; None where it is neither. Times without a zone are taken as UTC."""
    try:
        moment = datetime.fromisoformat(str(text))
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
        return pd.Timestamp(moment.date())
    except (ValueError, OverflowError):
        return None


def site_of(page: object, url: str, source: str) -> str:
    """The host of the page, or of the picture; the source where neither is on the web."""
    for address in (page, url):
        if isinstance(address, str) and address.startswith(("http:", "https:")):
            with suppress(ValueError):  # of brackets that hold no address
                if host := urlsplit(address).hostname:
                    return host.removeprefix("www.")
    return source


def _last_dense(days: pd.Series) -> pd.Timestamp:
    ordered = days.sort_values(ignore_index=True)
    last = ordered.iloc[int(STRAY_QUANTILE * (len(ordered) - 1))]
    latest = ordered[int(LATEST_FROM * (len(ordered) - 1)) :]
    after_gap = latest[latest.diff() > pd.Timedelta(days=LONG_GAP_DAYS)]
    if len(after_gap):
        last = min(last, ordered[after_gap.index[0] - 1])
    return pd.Timestamp(last) + pd.Timedelta(days=STRAY_DAYS)


def stray_dates(days: pd.Series, until: str | None) -> pd.Series:
    """Which of `days` are no dates of publication: before 1990, after `until`, or long after nearly all others."""
    known = days.dropna()
    if known.empty:
        return pd.Series(False, index=days.index)
    last = pd.Timestamp(until) if until else _last_dense(known)
    return (days < EARLIEST) | (days > last)


def price_bands(prices: pd.Series, groups: pd.Series) -> pd.Series:
    """The third of its group (currency and category) that each price falls into, None without a price."""
    ranks = prices.groupby(groups).rank(pct=True)
    names = np.array(PRICE_BANDS, dtype=object)
    found = names[np.clip(np.ceil(ranks.fillna(1) * 3).astype(int) - 1, 0, 2)]
    return pd.Series(found, index=prices.index, dtype=object).where(prices.notna(), None)


def style_clusters(features: list[bytes], count: int, seed: int) -> NDArray[np.intp]:
    """The cluster of each picture's features (float16), the most frequent first."""
    from sklearn.cluster import MiniBatchKMeans

    vectors = np.frombuffer(b"".join(features), "<f2").reshape(len(features), -1).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
    found = MiniBatchKMeans(count, random_state=seed, n_init=3).fit_predict(vectors)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    return np.asarray(np.argsort(order)[found])


def _confident(values: pd.Series, confidence: pd.Series) -> pd.Series:
    return values.where(confidence.fillna(0) >= LEAST_CONFIDENCE, None)


def observations_of(pictures: pd.DataFrame, *, until: str | None, styles: int, seed: int) -> tuple[pd.DataFrame, Coverage]:
    """A row for each group of near-duplicates that shows a garment and has a date, and what is left out.

    `pictures` has columns of tables.CURATED, MANIFEST and INSPECT. The first date of a group's members counts, and what the
    member with that date shows. Columns: day, site, sha256, and DIMENSIONS, None where unknown.
    """
    shown = pictures[pictures["group"].notna() & ~pictures["reason"].isin(OF_NO_GARMENT)]
    days = pd.to_datetime(shown["published"].map(day_of, na_action="ignore"))
    stray = stray_dates(days, until)
    first = shown.assign(day=days.mask(stray)).sort_values(["day", "key"], na_position="last").drop_duplicates("group")
    dated = first[first["day"].notna()].reset_index(drop=True)
    site = [site_of(*row) for row in zip(dated["page"], dated["url"], dated["source"], strict=True)]
    rows = pd.DataFrame(
        {
            "day": dated["day"],
            "site": pd.Series(site, dtype=object),
            "sha256": dated["sha256"],
            "category": dated["category"],
            **{name: _confident(dated[f"garment_{name}"], dated[f"garment_{name}_confidence"]) for name in SEEN_ATTRIBUTES},
            "price": price_bands(dated["price"], dated["currency"].fillna("") + "/" + dated["category"].fillna("")),
            "style": _styles(dated["features"], styles, seed),
        }
    )
    only_stray = stray.groupby(shown["group"]).any() & ~(days.notna() & ~stray).groupby(shown["group"]).any()
    coverage = Coverage(
        pictures=len(first),
        dated=len(rows),
        sites=rows["site"].nunique(),
        first=str(rows["day"].min().date()) if len(rows) else None,
        last=str(rows["day"].max().date()) if len(rows) else None,
        stray=int(only_stray.sum()),
        sites_by_pictures={str(name): int(count) for name, count in rows["site"].value_counts().items()},
    )
    return rows, coverage


def _styles(features: pd.Series, count: int, seed: int) -> pd.Series:
    known = features[features.notna()]
    named = pd.Series(None, index=features.index, dtype=object)
    if count and len(known) >= 10 * count:
        named[known.index] = [f"{number + 1}" for number in style_clusters(list(known), count, seed)]
    return named
