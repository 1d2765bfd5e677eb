"""What happened to each image on the way from the manifest to the training set, from the tables. Pure pandas."""

from dataclasses import dataclass

import pandas as pd

from pipeline.storage.reasons import by_kind

# The reasons in the tables, as a reader understands them who has not seen the tables.
LINKS = {
    "bytes": "identical files",
    "phash": "look-alikes",
    "mirror": "mirror images",
    "turned": "rotated copies",
    "edited": "edited copies",
}
REASONS = {
    "aspect": "too long or too wide",
    "odd size": "unusual size",
    "dark": "too dark",
    "bright": "too bright",
    "flat": "too little contrast",
    "low information": "hardly any detail",
    "few levels": "too few grey levels",
    "blurry": "blurred",
    "grey": "no colour",
    "cut off": "cut off at the frame",
    "more than one": "more than one garment",
    "text over it": "text or a watermark on top",
    "face": "shows a face",
    "not clothing": "no clothing",
    "irrelevant": "unlike all categories",
    "wrong category": "more like another category",
    "by hand": "dropped by hand",
}


@dataclass(frozen=True)
class Loss:
    """Images lost in one step for one reason."""

    reason: str
    count: int
    examples: list[str]  # SHA-256 of some of them


@dataclass(frozen=True)
class Step:
    """The images left after one step."""

    stage: str
    label: str  # what those left have in common
    count: int
    losses: list[Loss]  # most frequent first


@dataclass(frozen=True)
class Group:
    """A kept image and its dropped near-duplicates, by SHA-256."""

    kept: str
    dropped: list[str]  # the first of them
    dropped_count: int


def trace(raw: pd.DataFrame, inspected: pd.DataFrame, duplicates: pd.DataFrame, curated: pd.DataFrame) -> pd.DataFrame:
    """The curated rows, sorted by key, with `lost_at` (stage) and `lost_to` (reason); both are empty for kept images."""
    rows = (
        curated.merge(raw[["key", "status", "reason"]].rename(columns={"reason": "fetch_reason"}), on="key", how="left")
        .merge(inspected[["key", "decoded", "reason"]].rename(columns={"reason": "inspect_reason"}), on="key", how="left")
        .merge(duplicates[["key", "link"]], on="key", how="left")
        .sort_values("key", ignore_index=True)
    )
    rows["lost_at"] = "curate"
    rows["lost_to"] = rows["reason"].replace(REASONS).fillna("no reason given")
    for stage, lost, reason in (
        ("dedup", rows["reason"].eq("duplicate"), rows["link"].map(LINKS)),
        ("inspect", rows["decoded"].ne(True), by_kind(rows["inspect_reason"])),
        ("fetch", rows["status"].ne("ok"), by_kind(rows["fetch_reason"])),
    ):
        rows.loc[lost, "lost_at"] = stage
        rows.loc[lost, "lost_to"] = reason[lost].fillna(rows["lost_to"])
    rows.loc[rows["kept"], ["lost_at", "lost_to"]] = ""
    return rows


def funnel(rows: pd.DataFrame, examples: int) -> list[Step]:
    """The steps from the manifest to the kept images; each loss with up to `examples` images, if their pixels exist."""
    kept = rows["split"].value_counts()
    uses = (("train", "to train on"), ("validation", "to tune on"), ("test", "held out for evaluation"))
    labels = {
        "collect": "listed",
        "fetch": "fetched",
        "inspect": "decodable",
        "dedup": "distinct",
        "curate": "good enough: " + ", ".join(f"{kept[split]:,} {use}" for split, use in uses if split in kept),
    }
    steps, left = [], len(rows)
    for stage, label in labels.items():
        lost = rows[rows["lost_at"] == stage]
        shown = examples if stage in ("dedup", "curate") else 0  # images lost earlier have no pixels
        # Rows are sorted by key, a hash, so the first ones are a random sample.
        losses = [Loss(str(reason), len(part), list(part["sha256"][:shown])) for reason, part in lost.groupby("lost_to")]
        left -= len(lost)
        steps.append(Step(stage, label, left, sorted(losses, key=lambda loss: (-loss.count, loss.reason))))
    return steps


def duplicate_groups(rows: pd.DataFrame, limit: int, members: int) -> list[Group]:
    """Up to `limit` groups of near-duplicates that are not identical files, with up to `members` dropped ones each."""
    alike = rows[(rows["lost_at"] == "dedup") & rows["link"].isin(LINKS.keys() - {"bytes"})]
    kept = rows[rows["kept"] & rows["group"].isin(alike["group"])]
    kept_of_group = dict(zip(kept["group"], kept["sha256"], strict=True))
    groups = [(str(group), list(part["sha256"])) for group, part in alike.groupby("group") if group in kept_of_group]
    return [Group(kept_of_group[group], dropped[:members], len(dropped)) for group, dropped in groups[:limit]]


def count_leaking_families(rows: pd.DataFrame) -> int:
    """Number of near-duplicate families with kept images in more than one split; anything but 0 is a bug."""
    kept = rows[rows["kept"]]
    return int((kept.groupby("family")["split"].nunique() > 1).sum())


def count_by_category(rows: pd.DataFrame) -> pd.DataFrame:
    """Images listed, and in each non-empty split, one row per category, by name."""
    counts = pd.DataFrame({"listed": rows.groupby("category").size()})
    for split in ("train", "validation", "test"):
        if (in_split := rows["split"].eq(split)).any():
            counts[split] = rows[in_split].groupby("category").size()
    return counts.fillna(0).astype(int).sort_index()


def count_unmapped_words(manifest: pd.DataFrame) -> pd.DataFrame:
    """Images without a category, by the site's word for it, most frequent first."""
    words = manifest.loc[manifest["category"].isna(), "site_category"].dropna()
    counts = words.groupby(words).size().rename_axis("word").reset_index(name="images")
    return counts.sort_values(["images", "word"], ascending=[False, True], ignore_index=True)


def training_licences(rows: pd.DataFrame) -> list[str]:
    """The licences of the pictures that the model was trained on, of `rows` of tables.CURATED."""
    return sorted(set(rows.loc[rows["split"] == "train", "licence"].fillna("unknown")))


def count_by_licence(rows: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Images listed and kept by source and licence, most frequent first."""
    joined = manifest[["key", "source", "licence"]].merge(rows[["key", "kept"]], on="key", how="left")
    joined["licence"] = joined["licence"].fillna("unknown")
    counts = joined.groupby(["source", "licence"], as_index=False).agg(listed=("key", "size"), kept=("kept", "sum"))
    return counts.astype({"kept": int}).sort_values(
        ["listed", "source", "licence"], ascending=[False, True, True], ignore_index=True
    )
