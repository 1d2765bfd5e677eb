"""The data's story from the tables: how many pictures came how far, and which were lost where and why. Pure pandas."""

from dataclasses import dataclass

import pandas as pd

from pipeline.storage.reasons import by_kind

# The tables' words for a reader who has not seen the tables.
LINKS = {
    "bytes": "copies of a file",
    "phash": "look-alikes",
    "mirror": "mirror images",
    "turned": "turned copies",
    "edited": "edited copies",
}
REASONS = {
    "aspect": "too long or too wide",
    "odd size": "of another size than the others",
    "dark": "too dark",
    "bright": "too bright",
    "flat": "too little contrast",
    "low information": "next to nothing to see",
    "few levels": "reduced to few levels",
    "blurry": "blurred",
    "grey": "without colour",
    "cut off": "cut off at the frame",
    "more than one": "more than one garment",
    "text over it": "text or a watermark over it",
    "face": "with a person's face",
    "not clothing": "without clothing",
    "irrelevant": "unlike every category",
    "wrong category": "more like another category",
    "by hand": "dropped by hand",
}


@dataclass(frozen=True)
class Loss:
    """Pictures lost in one step for one reason."""

    reason: str
    count: int
    examples: list[str]  # SHA-256 of some of them


@dataclass(frozen=True)
class Step:
    """What was left after one step."""

    stage: str
    told: str  # what is true of those left
    count: int
    losses: list[Loss]  # most first


@dataclass(frozen=True)
class Group:
    """A kept picture and those dropped for being near-duplicates of it, by SHA-256."""

    kept: str
    dropped: list[str]
    dropped_count: int  # of which `dropped` are the first


def fates(raw: pd.DataFrame, inspected: pd.DataFrame, duplicates: pd.DataFrame, curated: pd.DataFrame) -> pd.DataFrame:
    """A row for each row of the manifest, by key: the curated columns, and `lost_at` and `lost_to`, empty where it was kept."""
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
    """Steps from the manifest to what was kept, each loss with up to `examples` pictures where they can be shown."""
    kept = rows["split"].value_counts()
    uses = (("train", "to learn from"), ("validation", "to tune by"), ("test", "held back to judge by"))
    told = {
        "collect": "listed",
        "fetch": "fetched",
        "inspect": "whole pictures",
        "dedup": "different from each other",
        "curate": "good enough: " + ", ".join(f"{kept[split]:,} {use}" for split, use in uses if split in kept),
    }
    steps, left = [], len(rows)
    for stage, what in told.items():
        lost = rows[rows["lost_at"] == stage]
        shown = examples if stage in ("dedup", "curate") else 0  # earlier losses have no pixels
        # Rows are in the order of keys, which are hashes: the first are as good as drawn at random.
        losses = [Loss(str(reason), len(part), list(part["sha256"][:shown])) for reason, part in lost.groupby("lost_to")]
        left -= len(lost)
        steps.append(Step(stage, what, left, sorted(losses, key=lambda loss: (-loss.count, loss.reason))))
    return steps


def duplicate_groups(rows: pd.DataFrame, limit: int, members: int) -> list[Group]:
    """Up to `limit` groups of look-alikes whose bytes differ, with up to `members` dropped ones each."""
    alike = rows[(rows["lost_at"] == "dedup") & rows["link"].isin(LINKS.keys() - {"bytes"})]
    kept = rows[rows["kept"] & rows["group"].isin(alike["group"])]
    kept_of_group = dict(zip(kept["group"], kept["sha256"], strict=True))
    groups = [(str(group), list(part["sha256"])) for group, part in alike.groupby("group") if group in kept_of_group]
    return [Group(kept_of_group[group], dropped[:members], len(dropped)) for group, dropped in groups[:limit]]


def crossing(rows: pd.DataFrame) -> int:
    """Families of near-duplicates that have kept pictures in more than one split: none, or something is wrong."""
    kept = rows[rows["kept"]]
    return int((kept.groupby("family")["split"].nunique() > 1).sum())


def by_category(rows: pd.DataFrame) -> pd.DataFrame:
    """Pictures listed and in each split that has some, one row a category, in its order by name."""
    counts = pd.DataFrame({"listed": rows.groupby("category").size()})
    for split in ("train", "validation", "test"):
        if (here := rows["split"].eq(split)).any():
            counts[split] = rows[here].groupby("category").size()
    return counts.fillna(0).astype(int).sort_index()


def by_unmapped_word(manifest: pd.DataFrame) -> pd.DataFrame:
    """Pictures without a category for each word of their site, most first."""
    words = manifest.loc[manifest["category"].isna(), "site_category"].dropna()
    counts = words.groupby(words).size().rename_axis("word").reset_index(name="pictures")
    return counts.sort_values(["pictures", "word"], ascending=[False, True], ignore_index=True)


def by_licence(rows: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Pictures listed and kept for each source and licence, most first."""
    joined = manifest[["key", "source", "licence"]].merge(rows[["key", "kept"]], on="key", how="left")
    joined["licence"] = joined["licence"].fillna("not known")
    counts = joined.groupby(["source", "licence"], as_index=False).agg(listed=("key", "size"), kept=("kept", "sum"))
    return counts.astype({"kept": int}).sort_values(
        ["listed", "source", "licence"], ascending=[False, True, True], ignore_index=True
    )
