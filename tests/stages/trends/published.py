"""Tables of pictures whose trends are planted, for tests of the stage."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.imaging.inspect_schema import INSPECT
from pipeline.stages.trends import run as trends
from pipeline.stages.trends.params import TrendsParams
from pipeline.storage.shards import write_shard
from pipeline.storage.tables import CURATED, MANIFEST, write_table
from pipeline.tracking.tracker import Tracker


@dataclass
class Published:
    """Pictures added one by one; `write` makes the tables of the stages before."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def add(self, day: object, **values: object) -> None:
        """One picture; `values` are columns of the manifest, of data/inspect or of data/curated."""
        number = f"{len(self.rows):016x}"
        plain = {"page": "https://one.example/p", "category": "dress", "group": number, "garment_colour": "red", "reason": None}
        self.rows.append({"key": number, "sha256": number * 4, "published": day} | plain | values)

    def frame(self) -> pd.DataFrame:
        """All columns that the stage reads, one table."""
        names = dict.fromkeys(name for schema in (CURATED, MANIFEST, INSPECT) for name in schema.names)
        frame = pd.DataFrame(self.rows).reindex(columns=list(names)).astype(object).replace(np.nan, None)
        fixed = {"url": "https://one.example/p.jpg", "source": "list", "shard": "00000", "status": "listed", "label": -1}
        fixed |= {"kept": False, "decoded": True, "garment_colour_confidence": 1.0, "garment_pattern_confidence": 1.0}
        return frame.assign(**{name: frame[name].where(frame[name].notna(), value) for name, value in fixed.items()})


def run_trends(
    folder: Path, published: Published, signals: str = "date\n", *, track: Tracker | None = None, **params: Any
) -> None:
    """Run the stage on `published` in `folder`."""
    frame = published.frame()
    for name, schema in (("manifest", MANIFEST), ("curated", CURATED), ("00000", INSPECT)):
        write_table(folder / f"{name}.parquet", frame, schema)
    write_shard(folder / "00000.tar", [])
    (folder / "signals.csv").write_text(signals)
    trends.run(
        TrendsParams(**params),
        manifest=folder / "manifest.parquet",
        inspect_tables=[folder / "00000.parquet"],
        curated=folder / "curated.parquet",
        shards=[folder / "00000.tar"],
        signals=folder / "signals.csv",
        trends=folder / "trends.parquet",
        summary=folder / "trends.json",
        page=folder / "trends.html",
        track=track or Tracker(),
    )
