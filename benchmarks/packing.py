"""Pictures packed by augment: seconds and peak memory.

    python -m benchmarks.packing FOLDER --pictures 100000 --page docs/benchmarks/packing.md

The photographs in FOLDER, shrunk to 96 px, over and over, each with bytes at its end that make it a file of its own, packed at
64×64 in colour. Every case runs in a process of its own, whose peak memory is the kernel's figure.
"""

import argparse
import hashlib
import io
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.photographs import photographs
from pipeline.params import load_params
from pipeline.stages.augment import run as augment
from pipeline.stages.augment.params import AugmentParams
from pipeline.storage.files import write_text
from pipeline.storage.shards import write_shard
from pipeline.storage.tables import CURATED, write_table
from pipeline.tracking.tracker import Tracker

PRESET = Path(__file__).parents[1] / "presets" / "colour-64.yaml"
SIDE_PX = 96  # of the pictures that are packed
CASES: dict[str, dict[str, object]] = {
    "as they are": {"copies": 1, "flip_categories": []},
    "each with a changed copy": {"copies": 2},
}


def _files(folder: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """(category, bytes) of `count` different files."""
    small: list[tuple[str, bytes]] = []
    for path, image in photographs(sorted(folder.rglob("*.jpg"))):
        content = io.BytesIO()
        image.thumbnail((SIDE_PX, SIDE_PX))
        image.save(content, "JPEG", quality=90)
        small.append((path.parent.name, content.getvalue()))
    for number, (category, picture) in enumerate(itertools.islice(itertools.cycle(small), count)):
        yield category, picture + number.to_bytes(4)  # decoders stop at the end of the picture


def prepare(folder: Path, count: int, scratch: Path) -> None:
    """One shard of `count` pictures and the table that keeps them all."""
    rows = []

    def members() -> Iterator[tuple[str, bytes]]:
        for category, content in _files(folder, count):
            sha256 = hashlib.sha256(content).hexdigest()
            rows.append({"key": sha256[:16], "sha256": sha256, "category": category, "width": SIDE_PX, "height": SIDE_PX})
            yield f"{sha256}.jpg", content

    write_shard(scratch / "00000.tar", members())
    pictures = pd.DataFrame(rows).sort_values("key", ignore_index=True)
    pictures["label"] = pictures["category"].astype("category").cat.codes
    pictures = pictures.assign(group=pictures["key"], url=pictures["key"], shard="00000", kept=True, split="train")
    write_table(scratch / "curated.parquet", pictures.reindex(columns=CURATED.names), CURATED)


def measure(scratch: Path, case: str) -> str:
    """A row of the table."""
    params = AugmentParams.model_validate(load_params(PRESET).augment.model_dump() | CASES[case])
    shards, start = [scratch / "00000.tar"], time.perf_counter()
    augment.run(params, curated=scratch / "curated.parquet", shards=shards, train=scratch / "train", track=Tracker())
    elapsed_s = time.perf_counter() - start
    written_mb = sum(path.stat().st_size for path in (scratch / "train").iterdir()) / 1e6
    return f"| {case} | {elapsed_s:.0f} | {written_mb:.0f} | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--page", type=Path, help="where to write the table")
    parser.add_argument("--cases", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--prepared", action="store_true", help="measure the first of the cases in FOLDER; used by itself")
    options = parser.parse_args()
    if options.prepared:
        print(measure(options.folder, options.cases[0]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        prepare(options.folder, options.pictures, Path(scratch))
        command = [sys.executable, "-m", "benchmarks.packing", scratch, "--prepared", "--cases"]
        runs = [subprocess.run([*command, case], check=True, stdout=subprocess.PIPE, text=True) for case in options.cases]
    page = (
        f"# Packing\n\n`python -m benchmarks.packing FOLDER --pictures {options.pictures}`: {options.pictures:,} photographs "
        f"of {SIDE_PX} px into arrays of 64×64 in colour, and the reference set beside them.\n\n"
        "| | seconds | MB written | peak MB |\n|---|---|---|---|\n" + "".join(run.stdout for run in runs)
    )
    print(page)
    if options.page:
        write_text(options.page, page)


if __name__ == "__main__":
    main()
