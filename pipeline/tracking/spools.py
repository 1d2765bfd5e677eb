"""Spools read back: their events, how far each has been logged to MLflow, and the copies of files that their events keep."""

import csv
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, TypeAdapter

from pipeline.errors import InputError
from pipeline.storage.files import remove, sha256_of_file, write_json
from pipeline.tracking.tracker import KEPT

log = logging.getLogger(__name__)

COSTS = Path("logs/benchmarks")  # written by Snakemake, a line a job
COSTS_FILE, PROGRESS_FILE = "costs.json", "progress.json"
EARLIER_PROGRESS_FILE = "told.json"  # of the versions before December 2026
FROM_GOOD_TO_BAD = ("FINISHED", "KILLED", "FAILED")
ORPHAN_S = 3600.0  # a job writes its event right after the copy
MALFORMED = "malformed"  # the kind of a line that is no event


@dataclass
class Progress:
    """How much of one invocation MLflow has; kept beside its spools."""

    runs: dict[str, str] = field(default_factory=dict)  # run ids by stage, and of the parent
    offsets: dict[str, NonNegativeInt] = field(default_factory=dict)  # bytes of each spool that have been read
    waiting: dict[str, list[NonNegativeInt]] = field(
        default_factory=dict
    )  # offsets of events before those that MLflow could not take yet
    ends: dict[str, str] = field(default_factory=dict)  # the last status of each spool that has one
    shared: dict[str, str] = field(default_factory=dict)  # the invocation's tags that its stages have too
    costed: list[str] = field(default_factory=list)  # stages whose costs have been logged

    @classmethod
    def load(cls, folder: Path, *, warn: bool = False) -> "Progress":
        """What `save` wrote; nothing where there is no file yet, or a damaged one, of which it may `warn`."""
        path = folder / PROGRESS_FILE
        if not path.exists() and (folder / EARLIER_PROGRESS_FILE).exists():
            path = folder / EARLIER_PROGRESS_FILE
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes(), strict=True)
        except FileNotFoundError:
            return cls()
        except ValueError:
            if warn:
                log.warning("%s: damaged; what this run noted is logged to MLflow from the beginning", path)
            return cls()

    def save(self, folder: Path) -> None:
        """Write it beside the spools."""
        write_json(folder / PROGRESS_FILE, asdict(self))


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    return event if _is_event(event) else {"kind": MALFORMED}


def _is_event(event: object) -> bool:
    if not isinstance(event, dict):
        return False
    # `kept` names a folder that is removed afterwards, so it must not lead out of the folder of the copies.
    keeps_well = "kept" not in event or (isinstance(event["kept"], str) and re.fullmatch(r"\w+", event["kept"]) is not None)
    return isinstance(event.get("kind"), str) and isinstance(event.get("time_ms"), int) and keeps_well


def event_at(spool: Path, offset: int) -> dict[str, Any]:
    """The event whose line begins at `offset`; of kind MALFORMED where the line is none."""
    with spool.open("rb") as file:
        file.seek(offset)
        return _event(file.readline())


def new_events(spool: Path, offset: int, *, ended: bool = False) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(offset, offset behind it, event) of each line of `spool` after `offset` bytes.

    A last line without a newline is still being written, and waits, unless the spool has `ended`. A line that is no event, as a
    full disk or a power cut leaves, is of kind MALFORMED.
    """
    with spool.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n") and not ended:
                return
            begin, offset = offset, offset + len(line)
            if line.strip():  # a blank one ends half a line that has been read already
                yield begin, offset, _event(line)


def spools_in(folder: Path) -> list[Path]:
    """The spools of an invocation."""
    return sorted(path for path in folder.glob("*.jsonl") if path.is_file())


def has_unsent(folder: Path) -> bool:
    """Whether an invocation's spools hold anything that MLflow does not have yet."""
    progress = Progress.load(folder)
    return bool(progress.waiting) or any(
        spool.stat().st_size > progress.offsets.get(spool.name, 0) for spool in spools_in(folder)
    )


def stage_of_spool(spool: str) -> str:
    """The stage of a spool's file name: all shards of a stage are one run."""
    return spool.removesuffix(".jsonl").partition("-")[0]


def status_of(ends: Mapping[str, str], spools: list[str]) -> str:
    """The status of a run whose jobs have these spools: RUNNING, or the worst that one of them ended with."""
    if any(spool not in ends for spool in spools):
        return "RUNNING"
    return max((ends[spool] for spool in spools), key=FROM_GOOD_TO_BAD.index)


def kept_files(folder: Path, event: Mapping[str, Any]) -> dict[str, Path]:
    """Copies of the files that `event` is about, by their names in it; none where there was no file.

    Raises InputError where a copy is missing or not what was noted: the file now at the event's path may be another run's.
    """
    if "not_kept" in event:
        raise InputError(f"no copy was kept: {event['not_kept']}")
    if "files" not in event:
        raise InputError("noted by an earlier version, which kept no copy")
    copies = {name: folder / KEPT / event["kept"] / name for name in event["files"]}
    for name, copy in copies.items():
        if not copy.is_file() or sha256_of_file(copy) != event["files"][name]:
            raise InputError(f"its copy {copy} is missing or damaged")
    return copies


def drop_kept(folder: Path, event: Mapping[str, Any]) -> None:
    """Remove the copies that `event` keeps."""
    if event.get("kept"):
        remove(folder / KEPT / event["kept"])


def drop_orphans(folder: Path) -> None:
    """Remove copies whose event was never written, since the job was killed in between."""
    if (folder / KEPT).is_dir():
        for copies in (folder / KEPT).iterdir():
            if time.time() - copies.stat().st_mtime > ORPHAN_S:
                remove(copies)
        with suppress(OSError):  # not empty
            (folder / KEPT).rmdir()


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:  # "-" or "NA" where Snakemake could not measure, or half a line
        return None


def stage_costs(stage: str, root: Path = COSTS) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory of a stage's jobs, from Snakemake's benchmark files; empty where there are none."""
    files = [root / f"{stage}.tsv", *sorted((root / stage).glob("*.tsv"))]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files if path.exists()]
    rows = [row for text in texts for row in csv.DictReader(text.splitlines(), delimiter="\t")]
    numbers = {name: [_number(row.get(name)) for row in rows] for name in ("s", "cpu_time", "max_rss")}
    known = {name: [value for value in values if value is not None] for name, values in numbers.items()}
    if not any(known.values()):
        return {}
    return {
        "cost_wall_s": sum(known["s"]),
        "cost_cpu_s": sum(known["cpu_time"]),
        "cost_peak_mb": max(known["max_rss"], default=0.0),
    }


def note_costs(folder: Path, root: Path = COSTS) -> None:
    """Keep beside an invocation's spools what its stages cost, before the next run overwrites Snakemake's files."""
    stages = {stage_of_spool(spool.name) for spool in spools_in(folder)}
    write_json(folder / COSTS_FILE, {stage: costs for stage in sorted(stages) if (costs := stage_costs(stage, root))})


def noted_costs(folder: Path) -> dict[str, dict[str, float]]:
    """What `note_costs` kept, by stage; empty where the invocation was killed before."""
    try:
        return TypeAdapter(dict[str, dict[str, float]]).validate_json((folder / COSTS_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
