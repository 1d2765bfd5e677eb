"""The data stages run one after the other in a folder, with the tiny preset."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline.params import Params, parse_params
from pipeline.stages.augment import run as augment
from pipeline.stages.collect import run as collect
from pipeline.stages.curate import run as curate
from pipeline.stages.dedup import run as dedup
from pipeline.stages.fetch import run as fetch
from pipeline.stages.inspect import run as inspect
from pipeline.storage.overrides import COLUMNS as OVERRIDES
from pipeline.tracking.tracker import Tracker

TINY = Path(__file__).parents[2] / "presets" / "tiny.yaml"


def tiny_params(pictures: Path, **changes: dict[str, Any]) -> Params:
    """The tiny preset for the folder `pictures`, with `changes` to the keys of its sections."""
    content = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    content["collect"]["folder"]["path"] = str(pictures)
    for section, keys in changes.items():
        content[section] |= keys
    return parse_params(content)


def by_file(rows: pd.DataFrame) -> dict[str, dict[Any, Any]]:
    """Each of `rows`, which have a column url, by folder/name of its file."""
    return {"/".join(record["url"].split("/")[-2:]): record for record in rows.to_dict("records")}


class DataStages:
    """The six data stages over one folder, each a method."""

    def __init__(self, params: Params, data: Path) -> None:
        self.params = params
        self.manifest = data / "manifest.parquet"
        self.forgotten, self.scratch = data / "forgotten.csv", data / "scratch"
        names = [f"{shard:05d}" for shard in range(params.collect.shards)]
        self.by_shard, self._downloads = data / "manifest", data / "sources"
        self.listed = [self.by_shard / f"{name}.parquet" for name in names]
        self.shards = [data / "raw" / f"{name}.tar" for name in names]
        self.raw_tables = [shard.with_suffix(".parquet") for shard in self.shards]
        self.inspect_tables = [data / "inspect" / f"{name}.parquet" for name in names]
        self.duplicates, self.curated, self.train = data / "duplicates.parquet", data / "curated.parquet", data / "train"
        self.known = data / "known"
        self.overrides, self.page = data / "overrides.csv", data / "curation.html"
        self.overrides.parent.mkdir(parents=True, exist_ok=True)
        self.overrides.write_text(",".join(OVERRIDES) + "\n")
        self._track = Tracker()

    def collect(self) -> None:
        paths = {"manifest": self.manifest, "by_shard": self.by_shard, "forgotten": self.forgotten, "scratch": self.scratch}
        collect.run(self.params.collect, **paths, downloads=self._downloads, track=self._track)

    def fetch(self) -> None:
        for manifest, shard, table in zip(self.listed, self.shards, self.raw_tables, strict=True):
            paths = {"manifest": manifest, "forgotten": self.forgotten, "shard": shard, "table": table}
            fetch.run(self.params.fetch, **paths, downloads=self._downloads, scratch=self.scratch, track=self._track)

    def inspect(self) -> None:
        for shard, raw_table, table in zip(self.shards, self.raw_tables, self.inspect_tables, strict=True):
            paths = {"shard": shard, "raw_table": raw_table, "table": table, "scratch": self.scratch / "inspect"}
            inspect.run(self.params.inspect, **paths, track=self._track)

    def dedup(self) -> None:
        dedup.run(
            self.params.dedup,
            raw_tables=self.raw_tables,
            inspect_tables=self.inspect_tables,
            known=self.known,
            duplicates=self.duplicates,
            scratch=self.scratch / "dedup",
            track=self._track,
        )

    def curate(self) -> None:
        inputs = {"raw_tables": self.raw_tables, "inspect_tables": self.inspect_tables}
        curate.run(
            self.params.curate,
            **inputs,
            shards=self.shards,
            duplicates=self.duplicates,
            overrides=self.overrides,
            curated=self.curated,
            page=self.page,
            track=self._track,
        )

    def augment(self) -> None:
        augment.run(self.params.augment, curated=self.curated, shards=self.shards, train=self.train, track=self._track)

    def up_to(self, last: str) -> "DataStages":
        """Run the stages as far as `last`."""
        stages = ["collect", "fetch", "inspect", "dedup", "curate", "augment"]
        for stage in stages[: stages.index(last) + 1]:
            getattr(self, stage)()
        return self
