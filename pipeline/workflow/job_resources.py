"""What the jobs of a stage ask a cluster for: memory, and a GPU where there is one."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.code_inputs import import_closure
from pipeline.errors import InputError
from pipeline.imaging.measures import limits
from pipeline.params import Params
from pipeline.storage.files import write_text
from pipeline.storage.memo_tables import memo_key

FORECASTS = Path(".scratch/forecasts")
MANIFEST = Path("data/manifest.parquet")
DATASET = Path("data/train/dataset.json")
HEADROOM = 1.25  # a training takes more than its forecast where it resumes, samples and saves at once
BASE_MB = 1500  # Python with pandas and Arrow, and inspect's workers
TORCH_MB = 4000  # with CUDA
STAGES_WITH_TORCH = ("reference", "train", "evaluate", "export")
# Of the stages that hold whole tables: an estimate, which a second attempt doubles.
BYTES_PER_ROW = {"collect": 3000, "dedup": 3000, "curate": 3000, "trends": 3000, "augment": 1500, "report": 3000}
# Of its features: 2,560 in the table, as an object, and joined, and in 32 bits twice; 12.4 kB on 30,000 pictures, once read.
FEATURES_BYTES_PER_ROW = 15_000
_MEMORY_LINE = re.compile(r"^memory +([\d,]+) MB", re.MULTILINE)


def has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded; found without torch, whose import takes seconds."""
    return Path("/dev/nvidiactl").exists()


def _reads_features(stage: str, params: Params) -> bool:
    """Whether `stage` holds the features of all pictures."""
    if "clothing" not in params.inspect.detect:
        return False
    limits_on_features = (key for key, measure, _ in limits() if measure.stage == "curate" and measure.detector == "clothing")
    by_features = bool(params.curate.irrelevant_words) or any(
        getattr(params.curate, key) is not None for key in limits_on_features
    )
    return stage == "trends" or (stage == "curate" and by_features)


def memory_mb(stage: str, params: Params, manifest: Path = MANIFEST) -> int:
    """Megabytes that a job of `stage` holds at most, by the rows of `manifest`, none while it does not exist.

    Without what a training needs for its networks and batches.
    """
    base = TORCH_MB if stage in STAGES_WITH_TORCH else BASE_MB
    if stage not in BYTES_PER_ROW or not manifest.exists():
        return base
    bytes_per_row = BYTES_PER_ROW[stage] + FEATURES_BYTES_PER_ROW * _reads_features(stage, params)
    return base + bytes_per_row * pq.read_metadata(manifest).num_rows // 1_000_000


def training_memory_mb(params: Params, *, dataset: Path = DATASET, folder: Path = FORECASTS) -> int:
    """Megabytes that `python -m pipeline train --dry-run` measures for the section `train` of `params`, with headroom.

    Kept in `folder`, for the images' shape, the `dataset` as its card describes it, and the code of the training.
    Raises InputError with the line in which the dry run says why it cannot tell.
    """
    section = params.train.model_dump_json()
    shape = (params.augment.height, params.augment.width, params.augment.packed_channels)
    card = dataset.read_text(encoding="utf-8") if dataset.exists() else ""
    terms = memo_key(f"{section} {shape} {card}", import_closure("pipeline.stages.train.run"), ("torch",))
    kept = folder / f"train-{terms[:16]}.txt"
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
