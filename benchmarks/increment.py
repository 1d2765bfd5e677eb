"""The cost of a run with one percent new images, compared with a run from scratch.

    python -m benchmarks.increment FOLDER --page docs/benchmarks/increment.md

The images of FOLDER pass through inspect and dedup as Snakemake runs them: first all but the last percent, then all; then again
with nothing new, which is the fixed cost of a run; then all without the memo tables, which must give the same bytes.
"""

import argparse
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.params import Params, load_params
from pipeline.storage.files import write_text
from pipeline.tracking.tracker import Tracker

PRESET = Path(__file__).parents[1] / "presets" / "colour-64.yaml"


class Stages:
    """The stages up to dedup on one folder; imported lazily, because inspect's workers import this module."""

    def __init__(self, params: Params, pictures: Path, data: Path) -> None:
        source = params.collect.model_copy(update={"folder": params.collect.folder.model_copy(update={"path": str(pictures)})})
        self._params = params.model_copy(update={"collect": source})
        self.scratch = data / "scratch"
        self.duplicates = data / "duplicates.parquet"
        self._paths = {"forgotten": data / "forgotten.csv", "downloads": data / "sources"}
        self._manifest, self._by_shard = data / "manifest.parquet", data / "manifest"
        self._shards = [data / "raw" / f"{number:05d}.tar" for number in range(params.collect.shards)]
        self._raw = [shard.with_suffix(".parquet") for shard in self._shards]
        self._inspected = [data / "inspect" / path.name for path in self._raw]
        self._known = data / "known"

    def fetch(self) -> None:
        """Fetch the pictures that the folder contains now into shards."""
        from pipeline.stages.collect import run as collect
        from pipeline.stages.fetch import run as fetch

        written = {"manifest": self._manifest, "by_shard": self._by_shard}
        collect.run(self._params.collect, **self._paths, **written, scratch=self.scratch, track=Tracker())
        for shard, table in zip(self._shards, self._raw, strict=True):
            paths = {"manifest": self._by_shard / table.name, "shard": shard, "table": table, "scratch": self.scratch / "web"}
            fetch.run(self._params.fetch, **self._paths, **paths, track=Tracker())

    def inspect(self) -> None:
        """Run inspect."""
        from pipeline.stages.inspect import run as inspect

        for shard, raw, table in zip(self._shards, self._raw, self._inspected, strict=True):
            inspect.run(self._params.inspect, shard=shard, raw_table=raw, table=table, scratch=self.scratch, track=Tracker())

    def dedup(self) -> None:
        """Run dedup."""
        from pipeline.stages.dedup import run as dedup

        dedup.run(
            self._params.dedup,
            raw_tables=self._raw,
            inspect_tables=self._inspected,
            known=self._known,
            duplicates=self.duplicates,
            scratch=self.scratch,
            track=Tracker(),
        )


def _cost(work: Callable[[], None]) -> float:
    """Wall seconds of `work`; CPU time would miss inspect's workers, which another process waits for."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _costs(stages: Stages) -> dict[str, float]:
    stages.fetch()
    return {name: _cost(partial(getattr(Stages, name), stages)) for name in ("inspect", "dedup")}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--page", type=Path, help="where to write the table")
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.jpg"), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    files = files[: options.pictures]
    new = max(1, round(0.01 * len(files)))
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch) / "pictures"
        stages = Stages(load_params(PRESET), pictures, Path(scratch) / "data")
        (pictures / "all").mkdir(parents=True)
        costs = []
        for part in (files[:-new], files[-new:], []):
            for file in part:
                shutil.copy(file, pictures / "all")
            costs.append(_costs(stages))
            print(costs[-1], flush=True)
        added = stages.duplicates.read_bytes()
        shutil.rmtree(stages.scratch)
        costs.append(_costs(stages))
        assert stages.duplicates.read_bytes() == added, "what was remembered changed the result"
    lines = [
        "# A hundredth more pictures",
        "",
        f"`python -m benchmarks.increment FOLDER --pictures {options.pictures}`: seconds, with presets/colour-64.yaml.",
        "",
        f"| | {len(files) - new} pictures | {new} more | nothing new | all {len(files)}, nothing remembered "
        f"| share of the {new} | less nothing new |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage in ("inspect", "dedup"):
        first, more, nothing, whole = (cost[stage] for cost in costs)
        shares = f"{more / whole:.3f} | {(more - nothing) / whole:.3f}"
        lines.append(f"| {stage} | {first:.1f} | {more:.1f} | {nothing:.1f} | {whole:.1f} | {shares} |")
    lines += ["", "The runs of more, of nothing new and with nothing remembered gave the same bytes."]
    page = "\n".join(lines) + "\n"
    print(page)
    if options.page:
        write_text(options.page, page)


if __name__ == "__main__":
    main()
