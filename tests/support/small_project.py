"""A tiny project whose stages have all run, and the command line of each stage, for tests of what stages read."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.__main__ import main
from pipeline.params import STAGES, Params, parse_params
from pipeline.storage.overrides import COLUMNS
from tests.support.data_stages import TINY
from tests.support.garments import draw_wardrobe

SHARDS = ("00000", "00001")
RAW, TARS = ([f"data/raw/{shard}.{kind}" for shard in SHARDS] for kind in ("parquet", "tar"))
LISTED = [f"data/manifest/{shard}.parquet" for shard in SHARDS]
INSPECTED = [f"data/inspect/{shard}.parquet" for shard in SHARDS]
OF_EVALUATE = {"metrics": "reports/metrics.json", "scores": "reports/scores.json", "evaluation": "reports/evaluation"}

Paths = dict[str, str | list[str]]
# What each stage reads and writes, as options of its command; of a stage by shard, those of the first one.
INPUTS: dict[str, Paths] = {
    "collect": {"forgotten": "forgotten.csv", "downloads": "data/sources"},
    "fetch": {"manifest": LISTED[0], "forgotten": "forgotten.csv", "downloads": "data/sources"},
    "inspect": {"shard": TARS[0], "raw-table": RAW[0]},
    "dedup": {"raw-tables": RAW, "inspect-tables": INSPECTED, "known": "data/known"},
    "curate": {
        "raw-tables": RAW,
        "shards": TARS,
        "inspect-tables": INSPECTED,
        "duplicates": "data/duplicates.parquet",
        "overrides": "overrides.csv",
    },
    "trends": {
        "manifest": "data/manifest.parquet",
        "inspect-tables": INSPECTED,
        "curated": "data/curated.parquet",
        "shards": TARS,
        "signals": "signals.csv",
    },
    "augment": {"curated": "data/curated.parquet", "shards": TARS},
    "reference": {"train": "data/train"},
    "train": {"train": "data/train"},
    "evaluate": {"train": "data/train", "reference": "models/reference", "gan": "models/gan"},
    "report": {
        "manifest": "data/manifest.parquet",
        "raw-tables": RAW,
        "shards": TARS,
        "inspect-tables": INSPECTED,
        "duplicates": "data/duplicates.parquet",
        "curated": "data/curated.parquet",
        "train": "data/train",
        "gan": "models/gan",
        "metrics": "reports/metrics.json",
        "evaluation": "reports/evaluation",
        "trends": "reports/trends.json",
    },
    "export": {"reference": "models/reference", "gan": "models/gan"},
}
OUTPUTS: dict[str, dict[str, str]] = {
    "collect": {"manifest": "data/manifest.parquet", "by-shard": "data/manifest"},
    "fetch": {"shard": TARS[0], "table": RAW[0]},
    "inspect": {"table": INSPECTED[0]},
    "dedup": {"duplicates": "data/duplicates.parquet"},
    "curate": {"curated": "data/curated.parquet", "page": "reports/curation.html"},
    "trends": {"trends": "data/trends.parquet", "summary": "reports/trends.json", "page": "reports/trends.html"},
    "augment": {"train": "data/train"},
    "reference": {"reference": "models/reference"},
    "train": {"gan": "models/gan"},
    "evaluate": OF_EVALUATE,
    "report": {"page": "reports/index.html", "summary": "reports/summary.md"},
    "export": {"export": "models/export"},
}
WITH_SCRATCH = {"collect", "fetch", "inspect", "dedup", "reference", "train"}


def command_of(stage: str, outputs: dict[str, str], scratch: str, params: Params) -> list[str]:
    """The arguments with which `python -m pipeline` runs `stage` in the project's folder."""
    paths: Paths = {**INPUTS[stage], **outputs}
    if stage in WITH_SCRATCH:
        paths["scratch"] = scratch
    options = [word for name, value in paths.items() for word in (f"--{name}", *([value] if isinstance(value, str) else value))]
    return [stage, "--params", getattr(params, stage).model_dump_json(), *options]


def read_params() -> Params:
    """The parameters of the project in the working folder."""
    return parse_params(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")))


def run_stage(stage: str, outputs: dict[str, str] | None = None, scratch: str | None = None) -> int:
    """Exit status of `stage`, which writes `outputs`, or for each shard in turn its own outputs of the project."""
    params = read_params()
    status = 0
    for shard in SHARDS if outputs is None and stage in ("fetch", "inspect") else SHARDS[:1]:
        command = command_of(stage, OUTPUTS[stage] if outputs is None else outputs, scratch or f".scratch/{stage}", params)
        status = max(status, main([word.replace(SHARDS[0], shard) if "/" in word else word for word in command]))
    return status


def write_project(**changes: dict[str, Any]) -> None:
    """Write params.yaml, the tiny preset with `changes` and as little work as will do, and what people write beside it."""
    content = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    content["augment"] |= {"copies": 1, "rotate_degrees": 0.0, "flip_categories": []}
    content["train"] |= {"total_kimg": 0.032, "sample_every_kimg": 0.016, "checkpoint_every_kimg": 1.0, "precision": "fp32"}
    content["evaluate"] |= {"samples": 20, "kid_subset_size": 10, "fd_counts": [], "ppl_paths": 0}
    content["export"] |= {"precisions": ["fp32"]}
    for section, values in changes.items():
        content[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    Path("forgotten.csv").write_text("kind,sha256\n", encoding="utf-8")
    Path("overrides.csv").write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    Path("signals.csv").write_text("date\n", encoding="utf-8")
    Path("data/known").mkdir(parents=True, exist_ok=True)


def make_project() -> None:
    """Draw a wardrobe into the working folder and run every stage on it; all are remembered in data/known/."""
    draw_wardrobe(Path("data/pictures"), ["shirt", "trousers", "dress", "hat", "shoe"], 12, seed=0, side_px=32)
    write_project()
    for stage in STAGES:
        assert run_stage(stage) == 0, stage
    assert main(["remember"]) == 0
