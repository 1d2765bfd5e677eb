"""The cost of a run with one percent new images, compared with a run from scratch.

    python -m benchmarks.increment FOLDER --page docs/benchmarks/increment.md

The images of FOLDER pass through the stages up to dedup, in jobs of the shards whose rows have changed, as Snakemake runs
them: first all but the last percent, then all; then again with nothing new, which is the fixed cost of a run; then all with
nothing remembered, which must give the same bytes. One process runs all jobs, so what it costs to start each is not counted.
"""

import argparse
import hashlib
import math
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from pipeline.params import Params, load_params
from pipeline.storage.files import sha256_of_file, write_text
from pipeline.tracking.tracker import Tracker

PRESET = Path(__file__).parents[1] / "presets" / "colour-64.yaml"
STAGES = ("collect", "fetch", "inspect", "dedup")


class Stages:
    """The stages up to dedup on one folder; imported lazily, because inspect's workers import this module."""

    def __init__(self, params: Params, pictures: Path, data: Path, *, shards: int, rows_per_turn: int) -> None:
        folder = params.collect.folder.model_copy(update={"path": str(pictures)})
        collect = params.collect.model_copy(update={"folder": folder, "shards": shards, "rows_per_turn": rows_per_turn})
        self._params = params.model_copy(update={"collect": collect})
        self.scratch = data / "scratch"
        self.duplicates = data / "duplicates.parquet"
        self._paths = {"forgotten": data / "forgotten.csv", "downloads": data / "sources"}
        self._manifest, self._by_shard = data / "manifest.parquet", data / "manifest"
        self._shards = [data / "raw" / f"{number:05d}.tar" for number in range(shards)]
        self._raw = [shard.with_suffix(".parquet") for shard in self._shards]
        self._inspected = [data / "inspect" / path.name for path in self._raw]
        self._known = data / "known"
        self._rows: dict[str, str] = {}  # SHA-256 of the rows of each shard when its jobs last ran
        self.changed: list[int] = []  # the shards whose rows are other ones since

    def forget(self) -> None:
        """Forget what was computed before."""
        shutil.rmtree(self.scratch)
        self._rows = {}

    def collect(self) -> None:
        """List the pictures that the folder contains now."""
        from pipeline.stages.collect import run as collect

        written = {"manifest": self._manifest, "by_shard": self._by_shard}
        collect.run(self._params.collect, **self._paths, **written, scratch=self.scratch, track=Tracker())
        rows = {table.name: sha256_of_file(self._by_shard / table.name) for table in self._raw}
        self.changed = [number for number, table in enumerate(self._raw) if rows[table.name] != self._rows.get(table.name)]
        self._rows = rows

    def fetch(self) -> None:
        """Run fetch."""
        from pipeline.stages.fetch import run as fetch

        for shard, table in ((self._shards[number], self._raw[number]) for number in self.changed):
            paths = {"manifest": self._by_shard / table.name, "shard": shard, "table": table, "scratch": self.scratch / "web"}
            fetch.run(self._params.fetch, **self._paths, **paths, track=Tracker())

    def inspect(self) -> None:
        """Run inspect."""
        from pipeline.stages.inspect import run as inspect

        for number in self.changed:
            paths = {"shard": self._shards[number], "raw_table": self._raw[number], "table": self._inspected[number]}
            inspect.run(self._params.inspect, **paths, scratch=self.scratch, track=Tracker())

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


def _cpu_seconds() -> float:
    """CPU seconds so far of this process and of all that it started, with those that have ended."""
    this = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (this, *this.children(recursive=True)))


def _cost(work: Callable[[], None]) -> float:
    """CPU seconds of `work`, which other work on the machine hardly changes."""
    start = _cpu_seconds()
    work()
    return _cpu_seconds() - start


def _costs(stages: Stages) -> dict[str, float]:
    return {name: _cost(partial(getattr(Stages, name), stages)) for name in STAGES}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--page", type=Path, help="where to write the table")
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.jpg"), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    files = files[: options.pictures]
    new = max(1, round(0.01 * len(files)))
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch) / "pictures"
        rows_per_turn = math.ceil(len(files) / options.shards)
        stages = Stages(
            load_params(PRESET), pictures, Path(scratch) / "data", shards=options.shards, rows_per_turn=rows_per_turn
        )
        (pictures / "all").mkdir(parents=True)
        costs, jobs = [], []
        for name, part in (("first", files[:-new]), ("second", files[-new:]), ("none", [])):  # the second are listed last
            for file in part:
                shutil.copy(file, pictures / "all" / f"{name}-{file.name}")
            costs.append(_costs(stages))
            jobs.append(len(stages.changed))
            print(jobs[-1], costs[-1], flush=True)
        added = stages.duplicates.read_bytes()
        stages.forget()
        costs.append(_costs(stages))
        jobs.append(len(stages.changed))
        assert stages.duplicates.read_bytes() == added, "what was remembered changed the result"
    lines = [
        "# A hundredth more pictures",
        "",
        f"`python -m benchmarks.increment FOLDER --pictures {options.pictures} --shards {options.shards}`: CPU"
        " seconds, with presets/colour-64.yaml.",
        "",
        f"| | {len(files) - new} pictures | {new} more | nothing new | all {len(files)}, nothing remembered "
        f"| share of the {new} | less nothing new |",
        "|---|---|---|---|---|---|---|",
        "| jobs of fetch, and of inspect | " + " | ".join(map(str, jobs)) + " | | |",
    ]
    seconds = {stage: [cost[stage] for cost in costs] for stage in STAGES}
    seconds["all four"] = [sum(cost.values()) for cost in costs]
    for stage, measured in seconds.items():
        _, more, nothing, whole = measured
        cells = [*(f"{each:.1f}" for each in measured), f"{more / whole:.3f}", f"{(more - nothing) / whole:.3f}"]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    lines += ["", "The runs of more, of nothing new and with nothing remembered gave the same bytes."]
    page = "\n".join(lines) + "\n"
    print(page)
    if options.page:
        write_text(options.page, page)


if __name__ == "__main__":
    main()
