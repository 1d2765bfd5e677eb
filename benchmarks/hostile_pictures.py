"""Unusual and damaged images from collect to curate: every file must appear in a row or a count, and no stage may fail.

    python -m benchmarks.hostile_pictures FOLDER --page docs/benchmarks/hostile_pictures.md

FOLDER is any collection of files that are hard to decode: Pillow's tests (Tests/images), or a fuzzer's corpus. The files are
copied into one category, once unchanged and once with `.png` appended to each name, and every stage runs as a separate command.
Memory is the peak resident size of the decoding processes, read from /proc while they run.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from pipeline.imaging.inspect_schema import INSPECT
from pipeline.params import Params, parse_params
from pipeline.sources import folder
from pipeline.storage.files import write_text
from pipeline.storage.overrides import COLUMNS as OVERRIDES
from pipeline.storage.tables import CURATED, RAW, read_table

PRESET = Path(__file__).parents[1] / "presets" / "tiny.yaml"  # its limits let nearly everything through
CHANGES: dict[str, dict[str, Any]] = {
    "collect": {"shards": 1},
    "fetch": {"strip_metadata": False},  # so that decoders see what would be refused
    "inspect": {"max_pixels": 20_000_000, "max_memory_bytes": 200_000_000, "timeout_s": 20.0, "sketch": True},
    "curate": {"min_side_px": 1, "max_aspect": 1e6, "min_per_category": 1, "min_contrast": 0.0, "min_entropy_bits": 0.0}
    | {"min_brightness": 0.0, "max_brightness": 1.0, "max_size_ratio": 1e6},
}
POLL_S = 0.02
REASONS_SHOWN = 12


@dataclass
class Ended:
    """The outcome of a stage."""

    status: int
    traceback: bool
    seconds: float
    worker_mb: float  # peak of any process it started


def params_for(pictures: Path) -> Params:
    """The parameters of every stage, for the folder `pictures`."""
    content = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    content["collect"]["folder"]["path"] = str(pictures)
    for section, keys in CHANGES.items():
        content[section] |= keys
    return parse_params(content)


def _peak_kb(process: psutil.Process) -> int:
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def watched(command: list[str]) -> Ended:
    """Run `command`, and watch the processes that it starts."""
    peak_kb, start = 0, time.perf_counter()
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        root = psutil.Process(process.pid)
        while process.poll() is None:
            for child in root.children(recursive=True):
                peak_kb = max(peak_kb, _peak_kb(child))
            time.sleep(POLL_S)
        output.seek(0)
        said = output.read()
    return Ended(process.returncode, "Traceback" in said, time.perf_counter() - start, peak_kb / 1024)


def commands(params: Params, data: Path) -> dict[str, list[str]]:
    """The command of each stage, as Snakemake runs it."""
    manifest, forgotten, scratch = data / "manifest.parquet", data / "forgotten.csv", data / "scratch"
    by_shard, downloads = data / "manifest", data / "sources"
    shard, raw = data / "raw" / "00000.tar", data / "raw" / "00000.parquet"
    table, duplicates, overrides = data / "inspect" / "00000.parquet", data / "duplicates.parquet", data / "overrides.csv"
    options: dict[str, dict[str, Path]] = {
        "collect": {"forgotten": forgotten, "manifest": manifest, "by-shard": by_shard, "downloads": downloads}
        | {"scratch": scratch},
        "fetch": {"manifest": by_shard / "00000.parquet", "forgotten": forgotten, "downloads": downloads, "shard": shard}
        | {"table": raw, "scratch": scratch},
        "inspect": {"shard": shard, "raw-table": raw, "table": table, "scratch": scratch / "inspect"},
        "dedup": {"raw-tables": raw, "inspect-tables": table, "known": data / "known", "duplicates": duplicates}
        | {"scratch": scratch / "dedup"},
        "curate": {"raw-tables": raw, "shards": shard, "inspect-tables": table, "duplicates": duplicates}
        | {"overrides": overrides, "curated": data / "curated.parquet", "page": data / "curation.html"},
    }
    return {
        stage: [sys.executable, "-m", "pipeline", stage, "--params", getattr(params, stage).model_dump_json()]
        + [word for name, path in paths.items() for word in (f"--{name}", str(path))]
        for stage, paths in options.items()
    }


def copied(files: list[Path], category: Path, suffix: str) -> None:
    """Copy `files` into the folder `category` under unique names."""
    category.mkdir(parents=True)
    for number, file in enumerate(files):
        shutil.copyfile(file, category / f"{number:05d}-{file.stem}{file.suffix}{suffix}")


def report(files: list[Path], suffix: str, scratch: Path) -> str:
    """The fate of `files`, as Markdown."""
    pictures, data = scratch / "pictures", scratch / "data"
    copied(files, pictures / "odd", suffix)
    (data / "known").mkdir(parents=True)
    (data / "overrides.csv").write_text(",".join(OVERRIDES) + "\n")
    stages = {stage: watched(command) for stage, command in commands(params_for(pictures), data).items()}
    survey = folder.survey(pictures)
    raw = read_table(data / "raw" / "00000.parquet", RAW)
    inspected = read_table(data / "inspect" / "00000.parquet", INSPECT)
    curated = read_table(data / "curated.parquet", CURATED)
    undecodable = inspected[~inspected["decoded"].astype(bool)]
    lost = len(files) - len(raw) - survey.skipped.total()
    reasons = Counter(str(reason).split(":")[0] for reason in undecodable["reason"])
    lines = [
        f"{len(files)} files: {len(raw)} rows, {survey.skipped.total()} left out, **{lost} without a trace**.",
        f"Left out: {survey.summary() or 'none'}.",
        f"fetch: {_counts(Counter(raw['status']))}. inspect: {len(inspected) - len(undecodable)} decoded, "
        f"{len(undecodable)} not ({_counts(reasons)}).",
        f"Colour profiles: {_counts(Counter(inspected['profile'].dropna()))}.",
        f"curate: {_counts(Counter(curated['reason'].fillna('kept')))}.",
    ]
    table = "| stage | exit status | traceback | s | peak MB of a decoding process |\n|---|---|---|---|---|\n" + "".join(
        f"| {stage} | {end.status} | {'yes' if end.traceback else 'no'} | {end.seconds:.1f} | {end.worker_mb or 0:.0f} |\n"
        for stage, end in stages.items()
    )
    return "\n\n".join(lines) + f"\n\n{table}"


def _counts(counter: Counter[Any]) -> str:
    shown = [f"{name} {count}" for name, count in counter.most_common(REASONS_SHOWN)]
    rest = counter.total() - sum(count for _, count in counter.most_common(REASONS_SHOWN))
    return ", ".join(shown + ([f"others {rest}"] if rest else [])) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path, help="where to write the tables")
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    page = "# Hostile pictures\n\n`python -m benchmarks.hostile_pictures FOLDER`, with inspect.max_memory_bytes "
    page += f"{CHANGES['inspect']['max_memory_bytes']} and max_pixels {CHANGES['inspect']['max_pixels']}.\n"
    for title, suffix in {"As they are": "", "All named .png": ".png"}.items():
        with tempfile.TemporaryDirectory() as scratch:
            page += f"\n## {title}\n\n{report(files, suffix, Path(scratch))}"
    print(page)
    if options.page:
        write_text(options.page, page)


if __name__ == "__main__":
    main()
