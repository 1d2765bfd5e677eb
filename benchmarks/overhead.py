"""What orchestration costs: `python -m benchmarks.overhead` runs the whole pipeline once and prints three tables.

Overhead is the wall time in which no stage's process was running: Snakemake's and DVC's own work and the wait for MLflow. It
runs `snakemake --forceall`, so it takes as long as the default run.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

from pipeline.params import STAGES

NO_TORCH = ("collect", "fetch", "inspect", "dedup", "curate", "augment", "report", "generate")
LIMITS = {"overhead": 0.10, "nothing_to_do_s": 8.0, "peak_mb": 3000.0}


def job_intervals(spools: Path, benchmarks: Path) -> list[tuple[float, float]]:
    """(start, end) in seconds since the epoch of each job's process: it ended with its spool, and Snakemake timed it."""
    intervals = []
    for spool in spools.glob("*.jsonl"):
        stage, _, shard = spool.stem.partition("-")
        timed = benchmarks / (f"{stage}/{shard}.tsv" if shard else f"{stage}.tsv")
        if stage in STAGES:
            end_s = json.loads(spool.read_text(encoding="utf-8").splitlines()[-1])["time_ms"] / 1000
            row = next(csv.DictReader(timed.read_text(encoding="utf-8").splitlines(), delimiter="\t"))
            intervals.append((end_s - float(row["s"]), end_s))
    return intervals


def covered_s(intervals: list[tuple[float, float]]) -> float:
    """Seconds in which at least one interval is open."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def peak_mb(benchmarks: Path) -> dict[str, float]:
    """Largest resident memory of each stage's jobs, in MB."""
    peaks = {}
    for stage in STAGES:
        files = [path for path in [benchmarks / f"{stage}.tsv", *(benchmarks / stage).glob("*.tsv")] if path.exists()]
        rows = [row for path in files for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t")]
        peaks[stage] = max(float(row["max_rss"]) for row in rows if row["max_rss"] not in ("-", "NA"))
    return peaks


def _wall_s(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def _imports_torch(stage: str) -> bool:
    code = f"import sys, pipeline.stages.{stage}.run; sys.exit('torch' in sys.modules)"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode != 0


def main() -> None:
    """Run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--as-it-is", action="store_true", help="do not force what is up to date (first run in a fresh clone)")
    parser.add_argument("--cores", type=int, default=8, help="given to Snakemake")
    options = parser.parse_args()
    command = ["snakemake", "--cores", str(options.cores), "--resources", "gpu=1"]
    known = set(Path("logs/tracking").glob("*"))
    whole_s = _wall_s(command if options.as_it_is else [*command, "--forceall"])
    of_this_run = set(Path("logs/tracking").glob("*")) - known
    if not of_this_run:
        sys.exit("no stage ran, for everything was up to date: leave out --as-it-is")
    stages_s = covered_s(job_intervals(of_this_run.pop(), Path("logs/benchmarks")))
    nothing_s = sorted(_wall_s(command) for _ in range(3))[1]

    print("| what | measured | limit |\n|---|---|---|")
    print(f"| whole run | {whole_s:.1f} s | |")
    print(f"| no stage running | {whole_s - stages_s:.1f} s = {1 - stages_s / whole_s:.1%} | {LIMITS['overhead']:.0%} |")
    print(f"| `snakemake` with nothing to do (median of 3) | {nothing_s:.1f} s | {LIMITS['nothing_to_do_s']:.0f} s |")
    print("\n| stage | peak MB (limit 3,000) | imports torch |\n|---|---|---|")
    peaks = peak_mb(Path("logs/benchmarks"))
    for stage in STAGES:
        torch = str(_imports_torch(stage)).lower() if stage in NO_TORCH else "needs it"
        print(f"| {stage} | {peaks[stage]:,.0f} | {torch} |")


if __name__ == "__main__":
    main()
