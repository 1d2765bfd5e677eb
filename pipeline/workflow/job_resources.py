"""Memory that the jobs of a stage ask a cluster for."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.storage.files import write_text

FORECASTS = Path(".scratch/forecasts")
MANIFEST = Path("data/manifest.parquet")
HEADROOM = 1.25  # a training takes more than its forecast where it resumes, samples and saves at once
BASE_MB = 1500  # Python with pandas and Arrow, and inspect's workers
TORCH_MB = 4000  # with CUDA
STAGES_WITH_TORCH = ("reference", "train", "evaluate", "export")
# Of the stages that hold whole tables: an estimate, which a second attempt doubles.
BYTES_PER_ROW = {"collect": 3000, "dedup": 3000, "curate": 3000, "augment": 1500, "report": 3000}
_MEMORY_LINE = re.compile(r"^memory +([\d,]+) MB", re.MULTILINE)


def memory_mb(stage: str, manifest: Path = MANIFEST) -> int:
    """Megabytes that a job of `stage` holds at most, by the rows of `manifest`, none while it does not exist.

    Without what a training needs for its networks and batches.
    """
    base = TORCH_MB if stage in STAGES_WITH_TORCH else BASE_MB
    if stage not in BYTES_PER_ROW or not manifest.exists():
        return base
    return base + BYTES_PER_ROW[stage] * pq.read_metadata(manifest).num_rows // 1_000_000


def training_memory_mb(section: str, folder: Path = FORECASTS) -> int:
    """Megabytes that `python -m pipeline train --dry-run` measures for `section`, JSON, with headroom; kept in `folder`.

    Raises InputError with the line in which the dry run says why it cannot tell.
    """
    kept = folder / f"train-{hashlib.sha256(section.encode()).hexdigest()[:16]}.txt"
    if not kept.exists():
        command = [sys.executable, "-m", "pipeline", "train", "--dry-run", "--params", section]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = done.stderr.splitlines() or [f"exit status {done.returncode}"]
            raise InputError(f"train: its memory cannot be forecast: {lines[-1]}")
        write_text(kept, done.stdout)
    match = _MEMORY_LINE.search(kept.read_text(encoding="utf-8"))
    if match is None:
        raise InputError(f"{kept}: has no line `memory`; delete it, and it is measured again")
    return int(int(match[1].replace(",", "")) * HEADROOM)
