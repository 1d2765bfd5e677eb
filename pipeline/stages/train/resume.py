"""Which stopped training in the scratch folder can be resumed, and what has changed since if none can.

A training resumes if everything that decides its result is the same: parameters, data, code, torch and device. These parts are
stored beside its checkpoints, so that a refusal can name what changed.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from pipeline.code_inputs import ROOT, import_closure
from pipeline.errors import TrainingError
from pipeline.gan.training import images_per_step, rate_scale, total_images
from pipeline.section import dotted
from pipeline.stages.train.params import TrainParams
from pipeline.storage.arrays import ATTRIBUTES, split_sha256
from pipeline.storage.captions import EMBEDDINGS, rows_file
from pipeline.storage.checkpoints import newest_images_seen
from pipeline.storage.files import remove, sha256_of_file, write_json

log = logging.getLogger(__name__)

IDENTITY = "identity.json"
# What is observed or kept of a training, and how often, does not decide which generator comes out. The device is a part of
# its own.
WITHOUT_EFFECT = (
    "checkpoint_every_kimg",
    "device",
    "keep_checkpoints",
    "log_every_kimg",
    "sample_every_kimg",
    "samples_per_category",
    "start_from.folder",
    "watchdog.max_rollbacks",
    "watchdog.min_diversity",
)
SCHEDULE = ("total_kimg", "decay_share")  # they decide the result only once the learning rate has begun to fall
NAMED_CHANGES = 4  # in a line; the others are counted


@dataclass(frozen=True)
class RunIdentity:
    """Everything that decides the result of a training."""

    recipe: Mapping[str, Any]  # the section train, flat
    data: Mapping[str, str]  # SHA-256 by file
    code: Mapping[str, str]  # SHA-256 by path
    torch: str  # version
    device: str
    step_images: int  # images per step, with which the schedule is computed


@dataclass(frozen=True)
class ResumePoint:
    """The folder of a training, and the changes across which it has been resumed."""

    folder: Path
    resumed_across: list[str] = field(default_factory=list)


def run_identity(params: TrainParams, train: Path, device: torch.device) -> RunIdentity:
    """The identity of the training that `params` and the dataset in `train` describe."""
    data = {"train": split_sha256(train, "train"), "labels": sha256_of_file(train / "train_labels.npy")}
    if params.condition == "attributes":
        data["attributes"] = sha256_of_file(train / ATTRIBUTES)
    if params.condition == "text":
        data["captions"] = sha256_of_file(train / rows_file("train"))
        data["caption embeddings"] = sha256_of_file(train / EMBEDDINGS)
    sources = [*import_closure("pipeline.gan.training"), *import_closure("pipeline.gan.watchdog")]
    return RunIdentity(
        recipe=dotted(params.model_dump(mode="json")),
        data=data,
        code={source.relative_to(ROOT).as_posix(): sha256_of_file(source) for source in sources},
        torch=torch.__version__,
        device=device.type,
        step_images=images_per_step(params),
    )


def changes(old: RunIdentity, new: RunIdentity, images_seen: int) -> list[str]:
    """What decides the first `images_seen` images and differs, one phrase each; empty if a training may be resumed."""
    found = []
    for key in sorted({*old.recipe, *new.recipe}):
        before, after = old.recipe.get(key), new.recipe.get(key)
        if before == after or key in WITHOUT_EFFECT:
            continue
        if key not in SCHEDULE:
            found.append(f"train.{key} {_shown(before)} → {_shown(after)}")
        elif not (_at_full_rate(old, images_seen) and _at_full_rate(new, images_seen)):
            found.append(f"train.{key} {_shown(before)} → {_shown(after)} (the learning rate already follows it)")
    found += [f"data/train: {name}" for name in _different(old.data, new.data)]
    found += [f"code: {path}" for path in _different(old.code, new.code)]
    if old.torch != new.torch:
        found.append(f"torch {old.torch} → {new.torch}")
    if old.device != new.device:
        found.append(f"device {old.device} → {new.device}")
    return found


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _at_full_rate(identity: RunIdentity, images_seen: int) -> bool:
    """Whether the learning rate of `identity` has not begun to fall, and the training not ended, at `images_seen`."""
    total = total_images(identity.recipe["total_kimg"], identity.step_images)
    return images_seen <= total and rate_scale(images_seen, total, identity.recipe["decay_share"]) == 1


@dataclass(frozen=True)
class _Stopped:
    """A stopped training in the scratch folder; `changes` is empty if it can be resumed."""

    point: ResumePoint
    images_seen: int
    changes: list[str]


def find_resume_point(scratch: Path, identity: RunIdentity, *, resume_anyway: bool) -> ResumePoint:
    """The folder under `scratch` to train in: that of the stopped training to resume, or a new one.

    A stopped training of another identity is resumed only with `resume_anyway`. Otherwise one line says what changed and how to
    resume it; its checkpoints stay until the new training is finished.
    """
    stopped = sorted(_stopped_trainings(scratch, identity), key=lambda one: (one.images_seen, one.point.folder.name))
    same = [one for one in stopped if not one.changes]
    if stopped and (resume_anyway or same):
        chosen = stopped[-1] if resume_anyway else same[-1]
        point = chosen.point
        if chosen.changes:
            across = f"image {chosen.images_seen}: {_summary(chosen.changes)}"
            log.warning("%s: resuming across a change at %s", point.folder, across)
            point = ResumePoint(point.folder, [*point.resumed_across, across])
        _write(point, identity)
        return point
    if stopped:
        last = stopped[-1]
        log.warning(
            "%s: not resumed from image %d, because its result would differ: %s; starting anew, and keeping its checkpoints "
            "until the new training ends. To resume it instead, stop and run `python -m pipeline train --resume-anyway …` "
            "or set ATELIER_RESUME_ANYWAY=1 for snakemake",
            last.point.folder,
            last.images_seen,
            _summary(last.changes),
        )
    point = ResumePoint(_new_folder(scratch))
    _write(point, identity)
    return point


def _new_folder(scratch: Path) -> Path:
    """A folder name that is not taken, after deleting what finished trainings left behind."""
    numbers = []
    for folder in scratch.glob("run-*"):
        numbers += [int(number)] if (number := folder.name.removeprefix("run-")).isdecimal() else []
        if newest_images_seen(folder) is None:
            remove(folder)
    return scratch / f"run-{max(numbers, default=0) + 1:04d}"


def _stopped_trainings(scratch: Path, identity: RunIdentity) -> Iterator[_Stopped]:
    for folder in scratch.glob("*/"):
        images_seen = newest_images_seen(folder)
        if images_seen is None:
            continue
        try:
            stored = json.loads((folder / IDENTITY).read_bytes())
            point = ResumePoint(folder, list(stored["resumed_across"]))
            different = changes(RunIdentity(**stored["identity"]), identity, images_seen)
        except (OSError, ValueError, TypeError, KeyError):  # written by an older version, or damaged
            point, different = ResumePoint(folder), [f"no readable {IDENTITY} says what it was trained with"]
        yield _Stopped(point, images_seen, different)


def _write(point: ResumePoint, identity: RunIdentity) -> None:
    write_json(point.folder / IDENTITY, {"identity": asdict(identity), "resumed_across": point.resumed_across})


def _summary(found: list[str]) -> str:
    more = f" and {len(found) - NAMED_CHANGES} more" if len(found) > NAMED_CHANGES else ""
    return ", ".join(found[:NAMED_CHANGES]) + more


def misfit(folder: Path, error: Exception) -> TrainingError:
    """The error for a checkpoint in `folder` that does not fit the networks of params.yaml."""
    reason = str(error).splitlines()[0].rstrip(":")
    return TrainingError(f"{folder}: its checkpoints do not fit this training ({reason}); run without --resume-anyway")
