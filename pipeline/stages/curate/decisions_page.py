"""reports/curation.html: every duplicate group and the pictures closest to a limit, for review.

A click on a picture adds a line for overrides.csv, to be copied.
"""

import io
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pipeline.pages.page import template_environment
from pipeline.pages.pictures import data_uri
from pipeline.pages.story import count_leaking_families

TEMPLATES = Path(__file__).parent / "templates"
TILE_SIDE_PX = 96
CLOSE_CALLS = 24  # per limit
MAX_PICTURES = 3000  # on the page; groups with the least similar members come first, further ones are only counted
MEMBER_COLUMNS = ["sha256", "representative", "kept", "reason", "link", "difference", "category"]
LINKS = {"bytes": "same file", "phash": "look-alike", "mirror": "mirrored", "turned": "turned", "edited": "edited"}


@dataclass(frozen=True)
class Shown:
    """A picture on the page and the decision on it."""

    sha256: str
    kept: bool
    reason: str  # for dropping it; empty if it was kept
    caption: str
    category: str
    order: float  # review priority, higher first


@dataclass(frozen=True)
class ShownGroup:
    """A duplicate group, the representative first."""

    key: str
    members: list[Shown]

    @property
    def order(self) -> float:
        """The largest difference of a member to the representative."""
        return max(member.order for member in self.members)

    @property
    def category(self) -> str:
        """The category of the representative."""
        return self.members[0].category


def close_calls(
    rows: pd.DataFrame, reason: str, values: pd.Series, limit: float, notes: pd.Series | None = None
) -> list[Shown]:
    """The pictures in `rows` dropped for `reason` whose `values` are nearest to `limit`, nearest first, with their `notes`."""
    dropped = rows[rows["reason"] == reason].assign(value=values, note="" if notes is None else " (" + notes + ")")
    dropped["distance"] = (dropped["value"] - limit).abs()
    nearest = dropped.sort_values(["distance", "key"]).head(CLOSE_CALLS).to_dict("records")
    return [
        Shown(
            row["sha256"],
            False,
            reason,
            f"{reason}{row['note']}: {row['value']:.4g}, limit {limit:.4g}",
            row["category"],
            -row["distance"],
        )
        for row in nearest
    ]


def _member(row: dict[Hashable, Any]) -> Shown:
    how = "representative" if row["representative"] else f"{LINKS[row['link']]}, {row['difference']:.2f} apart"
    reason = row["reason"] if isinstance(row["reason"], str) else ""
    became = f"; {reason}" if reason not in ("", "duplicate") else ""
    order = 0.0 if row["representative"] else float(row["difference"])
    return Shown(row["sha256"], bool(row["kept"]), reason, how + became, row["category"] or "", order)


def groups(rows: pd.DataFrame) -> list[ShownGroup]:
    """Every group with more than one decodable picture, the group with the least similar member first."""
    together = rows[rows["decoded"].eq(True) & rows["group"].notna() & rows.duplicated("group", keep=False)]
    ordered = together.sort_values(["representative", "difference", "key"], ascending=[False, True, True])
    members: dict[str, list[Shown]] = {}
    for row in ordered[["group", *MEMBER_COLUMNS]].to_dict("records"):
        members.setdefault(str(row["group"]), []).append(_member(row))
    shown = [ShownGroup(key, pictures) for key, pictures in members.items()]
    return sorted(shown, key=lambda group: (-group.order, group.key))


def within_budget(found: list[ShownGroup], budget: int) -> list[ShownGroup]:
    """As many of the first groups in `found` as hold at most `budget` pictures together."""
    total = np.cumsum([len(group.members) for group in found])
    return found[: int(np.searchsorted(total, budget, side="right"))]


def wanted(found: list[ShownGroup], calls: list[Shown]) -> set[str]:
    """SHA-256 of the pictures on the page."""
    return {member.sha256 for group in found for member in group.members} | {call.sha256 for call in calls}


def with_faint_ground(tile: NDArray[np.uint8], mask_png: bytes) -> NDArray[np.uint8]:
    """The tile (H, W, 4) with all but its garment faint; the mask covers the opaque part of the tile."""
    left, top, right, bottom = Image.fromarray(tile[..., 3]).getbbox() or (0, 0, *tile.shape[1::-1])
    mask = np.asarray(Image.open(io.BytesIO(mask_png)).convert("L").resize((right - left, bottom - top))) > 127
    faint = tile.copy()
    faint[top:bottom, left:right, 3][~mask] //= 5
    return faint


def page_of(
    rows: pd.DataFrame, found: list[ShownGroup], hidden: int, calls: list[Shown], tiles: Mapping[str, NDArray[np.uint8]]
) -> str:
    """The self-contained HTML page; `hidden` is the number of groups that it does not show."""
    return (
        template_environment(TEMPLATES, autoescape=True)
        .get_template("decisions.html.j2")
        .render(
            groups=[group for group in found if all(member.sha256 in tiles for member in group.members)],
            hidden=hidden,
            calls=[call for call in calls if call.sha256 in tiles],
            uris={sha256: data_uri(tile, lossless=False) for sha256, tile in sorted(tiles.items())},
            pictures=len(rows),
            kept=int(rows["kept"].sum()),
            reasons=rows["reason"].value_counts().sort_index().to_dict(),
            crossing=count_leaking_families(rows),
            categories=sorted(rows["category"].dropna().unique()),
            side_px=TILE_SIDE_PX,
        )
    )
