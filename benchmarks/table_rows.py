"""What the stages that hold whole tables take by the number of pictures, on made-up rows.

    python -m benchmarks.table_rows 10000 1000000 --page docs/benchmarks/table_rows.md

Keys, hashes, thumbnails and measures are random; no picture looks like another. Every count and step runs in a process of its
own, whose CPU seconds and peak memory are the kernel's figures. Pixels are not touched.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.imaging.inspect_schema import INSPECT
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.curate.run import MEASURES as CURATED_BY
from pipeline.stages.curate.run import curated_of, with_decisions
from pipeline.stages.dedup import run as dedup
from pipeline.stages.dedup.params import DedupParams
from pipeline.stages.fetch.run import shard_of
from pipeline.storage.files import write_text
from pipeline.storage.overrides import COLUMNS as OVERRIDES
from pipeline.storage.tables import CURATED, DUPLICATES, MANIFEST, RAW, read_rows, read_table, read_tables, write_table
from pipeline.tracking.tracker import Tracker

CATEGORIES = ("dress", "hat", "shirt", "shoe", "trousers")
SHARD_ROWS = 1000  # pictures in a shard
Paths = dict[str, Path]


def _filled(schema: pa.Schema, given: dict[str, object], count: int, rng: np.random.Generator) -> pd.DataFrame:
    """`given`, and in the other columns nothing where that is allowed, else random numbers."""
    columns: dict[str, object] = {}
    for field in schema:
        if field.name in given:
            columns[field.name] = given[field.name]
        elif pa.types.is_floating(field.type) and field.name != "price":
            columns[field.name] = rng.random(count, dtype=np.float32)
        else:
            columns[field.name] = [None] * count
    return pd.DataFrame(columns)


def make(paths: Paths, count: int) -> None:
    """Write the tables of `count` pictures."""
    rng = np.random.default_rng(count)
    keys = pd.Series(rng.permutation(count).astype(np.uint64)).map(
        lambda number: f"{number * 11400714819323198485 % 2**64:016x}"
    )
    sha256 = [rng.bytes(32).hex() for _ in range(count)]
    listed = {
        "key": keys,
        "url": "https://shop.example/pictures/" + keys + ".jpg",
        "source": "manifest",
        "category": np.array(CATEGORIES)[rng.integers(0, len(CATEGORIES), count)],
    }
    write_table(paths["manifest"], _filled(MANIFEST, {**listed, "status": "listed"}, count, rng), MANIFEST)
    fetched = {**listed, "status": "ok", "sha256": sha256, "extension": "jpg", "size_bytes": rng.integers(10**4, 10**6, count)}
    write_table(paths["raw"], _filled(RAW, fetched, count, rng), RAW)
    thumbnails = rng.integers(0, 256, (count, 256), dtype=np.uint8)
    seen = {
        "key": keys,
        "sha256": sha256,
        "decoded": True,
        "width": 512,
        "height": 512,
        "phash": rng.integers(0, 2**64, count, dtype=np.uint64),
        "phash_mirrored": rng.integers(0, 2**64, count, dtype=np.uint64),
        "thumbnail": [row.tobytes() for row in thumbnails],
    }
    write_table(paths["inspect"], _filled(INSPECT, seen, count, rng), INSPECT)


def fetch_choice(paths: Paths, count: int) -> None:
    """Read the rows of one shard, as every job of fetch does."""
    shards = max(1, count // SHARD_ROWS)
    read_rows(paths["manifest"], MANIFEST, lambda rows: [shard_of(key, shards) == 0 for key in rows["key"]])


def run_dedup(paths: Paths, _: int) -> None:
    """Group look-alikes."""
    dedup.run(
        DedupParams(),
        raw_tables=[paths["raw"]],
        inspect_tables=[paths["inspect"]],
        known=paths["folder"] / "known",
        duplicates=paths["duplicates"],
        scratch=paths["folder"],
        track=Tracker(),
    )


def run_curate(paths: Paths, _: int) -> None:
    """Decide and split, without the page of pictures."""
    pictures = (
        read_tables([paths["raw"]], RAW)
        .merge(read_tables([paths["inspect"]], INSPECT, CURATED_BY).drop(columns="shard"), on="key", how="left")
        .merge(read_table(paths["duplicates"], DUPLICATES).drop(columns="sha256"), on="key", how="left")
        .sort_values("key", ignore_index=True)
        .pipe(with_decisions, pd.DataFrame(columns=OVERRIDES))
        .assign(irrelevance=np.nan, misplacement=np.nan)
    )
    write_table(paths["curated"], curated_of(pictures, CurateParams()), CURATED)


STEPS: dict[str, Callable[[Paths, int], None]] = {
    "make": make,
    "fetch, rows of one shard": fetch_choice,
    "dedup": run_dedup,
    "curate": run_curate,
}


def _paths(folder: Path) -> Paths:
    names = ("manifest", "raw", "inspect", "duplicates", "curated")
    return {"folder": folder, **{name: folder / f"{name}.parquet" for name in names}}


def rows_of_table(count: int) -> list[str]:
    """A row of the table for each step."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for step in STEPS:
            command = [sys.executable, "-m", "benchmarks.table_rows", str(count), "--step", step, "--folder", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            if step != "make":
                rows.append(f"| {count:,} | {step} | {done.stdout.splitlines()[-1]} |\n")
        sizes = {path.stem: path.stat().st_size for path in Path(name).glob("*.parquet")}
    stored = ", ".join(f"{stem} {size / count:,.0f}" for stem, size in sorted(sizes.items()))
    return [*rows, f"| {count:,} | bytes a row on disk: {stored} | | |\n"]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("counts", type=int, nargs="+")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        STEPS[options.step](_paths(options.folder), options.counts[0])
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(f"{used.ru_utime + used.ru_stime:.1f} | {used.ru_maxrss / 1024:,.0f}")
        return
    counts = " ".join(map(str, options.counts))
    text = f"# Tables by the number of pictures\n\n`python -m benchmarks.table_rows {counts}`: one process a step.\n\n"
    text += "| pictures | step | CPU seconds | peak MB |\n|---|---|---|---|\n"
    text += "".join(row for count in options.counts for row in rows_of_table(count))
    print(text)
    if options.page:
        write_text(options.page, text)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
