"""What ten thousand, a million and a hundred million pictures take.

    python -m benchmarks.scale PROJECT 10000 1000000 --page docs/benchmarks/scale.md

PROJECT is a folder in which a pipeline has run. The stages that work on tables only (collect, dedup without
`edited`, curate) run on tables of the given sizes, each in a process of its own, whose CPU time and peak memory the kernel
reports. Their rows repeat those of PROJECT with other keys, hashes and thumbnails; one in ten is a copy of another with 1 to 4
bits of its hash flipped. A hundred million are on the line through the smallest and the largest size. What the stages that
decode pictures take is in proportion to the pictures, so it comes from the CPU times that Snakemake noted in PROJECT.

With --scratch FOLDER, tables and costs stay there, and what is there already is not done again.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.neighbours import COPIED, planted
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.imaging.resizing import THUMBNAIL_SIDE_PX
from pipeline.params import Params, load_params
from pipeline.storage.files import write_json, write_text
from pipeline.storage.tables import RAW, read_tables, write_table
from pipeline.tracking.tracker import Tracker

MANY = 100_000_000  # pictures: extrapolated
MB, GB = 1e6, 1e9
SHARD_PICTURES = 10_000  # rows of a shard's tables
TABLES = "tables"
TABLE_STAGES = ("collect", "dedup", "curate")
PIXEL_STAGES = ("fetch", "inspect", "augment")


@dataclass(frozen=True)
class Cost:
    """What one stage took."""

    cpu_s: float
    peak_mb: float
    written_bytes: int


def redrawn(rows: pd.DataFrame, start: int, hashes: NDArray[np.uint64], sources: NDArray[np.int64]) -> pd.DataFrame:
    """`rows` with the identities of pictures number `start` and further, of the given `hashes`.

    Pictures with the same number in `sources` have the same thumbnail, and those with different ones unrelated thumbnails.
    """
    numbers = range(start, start + len(rows))
    digests = [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]
    thumbnails = [
        np.random.default_rng(int(source)).integers(0, 256, THUMBNAIL_SIDE_PX**2, dtype=np.uint8).tobytes()
        for source in sources
    ]
    drawn: dict[str, list[str] | list[bytes] | NDArray[np.uint64]] = {
        "key": [digest[:16] for digest in digests],
        "url": [f"https://shop.example/{digest}.jpg" for digest in digests],
        "sha256": digests,
        "phash": hashes,
        "phash_mirrored": ~hashes,
        "thumbnail": thumbnails,
    }
    return rows.assign(**{name: values for name, values in drawn.items() if name in rows})


def write_tables(project: Path, count: int, folder: Path) -> None:
    """Tables of data/raw and data/inspect with `count` pictures under `folder`, and the list that collect would read."""
    raw = read_tables(sorted((project / "data" / "raw").glob("*.parquet")), RAW)
    raw = raw.dropna(subset="sha256")
    inspected = read_tables(sorted((project / "data" / "inspect").glob("*.parquet")), INSPECT)
    rng = np.random.default_rng(count)
    hashes, _ = planted(count, rng)
    sources = np.arange(count)
    copies = int(COPIED * count)
    sources[count - copies :] = sources[:copies]
    pairs = raw[["key"]].reset_index(drop=True)
    inspected = inspected.set_index("key").loc[pairs["key"]].reset_index()
    lists = folder / "lists"
    lists.mkdir(parents=True)
    for shard, start in enumerate(range(0, count, SHARD_PICTURES)):
        end = min(count, start + SHARD_PICTURES)
        places = np.arange(start, end) % len(raw)
        for name, table, schema in (("raw", raw, RAW), ("inspect", inspected, INSPECT)):
            rows = redrawn(table.iloc[places].reset_index(drop=True), start, hashes[start:end], sources[start:end])
            if name == "raw":
                rows = rows.assign(shard=f"{shard:05d}", split=None)
                rows[["url", "category"]].to_csv(lists / f"{shard:05d}.csv", index=False)
            write_table(folder / name / f"{shard:05d}.parquet", rows, schema)


def run_stage(stage: str, params: Params, folder: Path) -> None:
    """Run one of TABLE_STAGES on the tables under `folder`."""
    raw, inspected = sorted((folder / "raw").glob("*.parquet")), sorted((folder / "inspect").glob("*.parquet"))
    scratch, track = folder / "scratch", Tracker()
    if stage == "collect":
        from pipeline.stages.collect import run as collect

        listed = params.collect.list.model_copy(update={"path": str(folder / "lists")})
        collect.run(
            params.collect.model_copy(update={"source": ["list"], "list": listed}),
            forgotten=Path("forgotten.csv"),
            manifest=folder / "manifest.parquet",
            by_shard=folder / "manifest",
            downloads=folder / "sources",
            scratch=scratch,
            track=track,
        )
    elif stage == "dedup":
        from pipeline.stages.dedup import run as dedup

        dedup.run(
            params.dedup.model_copy(update={"edited": None}),
            raw_tables=raw,
            inspect_tables=inspected,
            known=folder / "known",
            duplicates=folder / "duplicates.parquet",
            scratch=scratch,
            track=track,
        )
    else:
        from pipeline.stages.curate import run as curate

        curate.run(
            params.curate,
            raw_tables=raw,
            shards=[],
            inspect_tables=inspected,
            duplicates=folder / "duplicates.parquet",
            overrides=Path("overrides.csv"),
            curated=folder / "curated.parquet",
            page=folder / "curation.html",
            track=track,
        )


OUTPUTS = {"collect": ("manifest.parquet",), "dedup": ("duplicates.parquet",), "curate": ("curated.parquet", "curation.html")}


def in_its_own_process(project: Path, what: str, folder: Path, count: int) -> tuple[float, float]:
    """CPU seconds and peak MB of TABLES or of a stage.

    The tables are written by a process of their own, too: a new process starts with the peak of the one that starts it.
    """
    command = [sys.executable, "-m", "benchmarks.scale", str(project), str(count), "--only", what, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    cpu_s, peak_mb = map(float, done.stdout.split()[-2:])
    return cpu_s, peak_mb


def costs_of(project: Path, count: int, folder: Path) -> dict[str, Cost]:
    """What each of TABLE_STAGES takes for `count` pictures; `folder` has or gets their tables and the costs."""
    (folder / "known").mkdir(parents=True, exist_ok=True)
    if not (folder / "written").exists():
        in_its_own_process(project, TABLES, folder, count)
        (folder / "written").touch()
    costs = {}
    for stage in TABLE_STAGES:
        kept = folder / f"{stage}.json"
        if not kept.exists():
            cpu_s, peak_mb = in_its_own_process(project, stage, folder, count)
            written = sum((folder / name).stat().st_size for name in OUTPUTS[stage])
            write_json(kept, asdict(Cost(cpu_s, peak_mb, written)))
        costs[stage] = Cost(**json.loads(kept.read_text()))
        print(f"{stage} {count:,}: {costs[stage]}", file=sys.stderr, flush=True)
    return costs


def on_line(costs: dict[int, Cost], count: int) -> Cost:
    """What `count` pictures take, on the line through the smallest and the largest of `costs`."""
    small, large = min(costs), max(costs)
    share = (count - small) / (large - small)

    def at(figure: Callable[[Cost], float]) -> float:
        return figure(costs[small]) + share * (figure(costs[large]) - figure(costs[small]))

    return Cost(at(lambda cost: cost.cpu_s), at(lambda cost: cost.peak_mb), int(at(lambda cost: cost.written_bytes)))


def noted(project: Path, stage: str) -> Cost | None:
    """What `stage` took in `project` by the files that Snakemake wrote, and the bytes that it left there, if it has run."""
    notes = sorted((project / "logs" / "benchmarks").glob(f"{stage}.tsv")) or sorted(
        (project / "logs" / "benchmarks" / stage).glob("*.tsv")
    )
    if not notes:
        return None
    rows = pd.concat([pd.read_csv(path, sep="\t") for path in notes])
    folder = {"fetch": "raw", "inspect": "inspect", "augment": "train"}[stage]
    written = sum(path.stat().st_size for path in (project / "data" / folder).iterdir())
    return Cost(rows["cpu_time"].sum(), rows["max_rss"].max(), written)


def amount(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """`value` in the largest unit that it reaches: 3 digits."""
    scale, unit = next(((scale, unit) for scale, unit in units if value >= scale), units[-1])
    return f"{value / scale:,.3g} {unit}"


BYTES = ((1e12, "TB"), (GB, "GB"), (MB, "MB"))
TIMES = ((3600.0, "core-hours"), (1.0, "core-seconds"))


def _cell(cost: Cost) -> str:
    memory, written = amount(cost.peak_mb * MB, BYTES), amount(cost.written_bytes, BYTES)
    return f"{amount(cost.cpu_s, TIMES)}, {memory}, writes {written}"


def page(options: argparse.Namespace, costs: dict[int, dict[str, Cost]]) -> str:
    """The page: what was measured, and what follows for MANY pictures."""
    counts = sorted(options.counts)
    small, large = counts[0], counts[-1]
    lines = [
        "# Ten thousand, a million, a hundred million pictures",
        "",
        f"`python -m benchmarks.scale PROJECT {' '.join(map(str, options.counts))}`: stages that read tables: CPU time, "
        "peak memory, bytes written, measured.",
        "",
        "| stage | " + " | ".join(f"{count:,} pictures" for count in counts) + f" | {MANY:,}, on the line through these |",
        "|---|" + "---|" * (len(counts) + 1),
    ]
    for stage in TABLE_STAGES:
        by_count = {count: costs[count][stage] for count in counts}
        cells = [_cell(cost) for cost in by_count.values()]
        lines.append(f"| {stage} | " + " | ".join([*cells, _cell(on_line(by_count, MANY))]) + " |")
    pictures = len(read_tables(sorted((options.project / "data" / "raw").glob("*.parquet")), RAW, ["key"]))
    lines += [
        "",
        f"The line: cost(N) = cost({small:,}) + (N - {small:,}) · (cost({large:,}) - cost({small:,})) / {large - small:,}.",
        "",
        f"Stages that decode pictures, in proportion to the {pictures:,} pictures in PROJECT, by what Snakemake noted there:",
        "",
        "| stage | CPU ms a picture | KB written a picture | memory of a job | "
        + " | ".join(f"{count:,} pictures" for count in [*counts, MANY])
        + " |",
        "|---|---|---|---|" + "---|" * (len(counts) + 1),
    ]
    for stage in PIXEL_STAGES:
        cost = noted(options.project, stage)
        if cost is None:
            continue
        cells = [
            f"{amount(cost.cpu_s * count / pictures, TIMES)}, {amount(cost.written_bytes * count / pictures, BYTES)}"
            for count in [*counts, MANY]
        ]
        each = [f"{1000 * cost.cpu_s / pictures:.1f}", f"{cost.written_bytes / pictures / 1000:.1f}"]
        lines.append(f"| {stage} | " + " | ".join([*each, amount(cost.peak_mb * MB, BYTES), *cells]) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("counts", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--page", type=Path, help="where to write the tables")
    parser.add_argument("--scratch", type=Path, help="where tables and costs stay")
    parser.add_argument("--only", nargs=2, metavar=("WHAT", "FOLDER"), help="internal: one step, in this process")
    options = parser.parse_args()
    if options.only:
        what, folder = options.only
        cpu = time.process_time()
        if what == TABLES:
            write_tables(options.project, options.counts[0], Path(folder))
        else:
            run_stage(what, load_params(options.project / "params.yaml"), Path(folder))
        print(time.process_time() - cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    if len(set(options.counts)) < 2:
        parser.error("needs two sizes at least, for the line through them")
    with tempfile.TemporaryDirectory() as passing:
        scratch = options.scratch or Path(passing)
        costs = {count: costs_of(options.project, count, scratch / str(count)) for count in options.counts}
    text = page(options, costs)
    print(text)
    if options.page:
        write_text(options.page, text)


if __name__ == "__main__":
    main()
