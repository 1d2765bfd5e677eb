"""Checkpoints of a training run. They are written atomically; the last few are kept; a damaged one is skipped.

A checkpoint is a flat dict of tensors in one file, `<images seen>-<SHA-256 of the content>.pt`.
"""

import hashlib
import io
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.storage.files import write_bytes

log = logging.getLogger(__name__)

NAME = re.compile(r"(?P<images_seen>\d{10})-(?P<sha256>[0-9a-f]{64})\.pt")


def checkpoint_bytes(state: Mapping[str, Tensor]) -> bytes:
    """The bytes of a checkpoint file of `state`; equal states give equal bytes."""
    buffer = io.BytesIO()
    torch.save({name: tensor.detach().cpu() for name, tensor in state.items()}, buffer)
    return buffer.getvalue()


def read_checkpoint(content: bytes) -> dict[str, Tensor]:
    """The state in the bytes of a checkpoint, on the CPU; nothing in them is executed."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _checkpoints(folder: Path) -> list[tuple[Path, str]]:
    """Files and digests of the checkpoints in `folder`, newest first."""
    found = [(path, match["sha256"]) for path in folder.glob("*.pt") if (match := NAME.fullmatch(path.name))]
    return sorted(found, reverse=True)


def save_checkpoint(folder: Path, images_seen: int, state: Mapping[str, Tensor], *, keep: int = 2) -> Path:
    """The new checkpoint's file; of the older ones all but `keep - 1` are deleted.

    Raises TrainingError when it cannot be written; those already there stay.
    """
    content = checkpoint_bytes(state)
    path = folder / f"{images_seen:010d}-{hashlib.sha256(content).hexdigest()}.pt"
    try:
        write_bytes(path, content)
    except OSError as error:
        raise TrainingError(
            f"{folder}: checkpoint at {images_seen} images not written ({os.strerror(error.errno or 0)}); "
            f"free {(len(content) >> 20) + 1} MB and run the same command again"
        ) from error
    older = [other for other, _ in _checkpoints(folder) if other != path]
    for other in older[keep - 1 :]:
        other.unlink()
    return path


def newest_checkpoint(folder: Path) -> dict[str, Tensor] | None:
    """The state in the newest checkpoint of `folder` whose SHA-256 matches its name; None when there is none."""
    for path, sha256 in _checkpoints(folder):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            return read_checkpoint(content)
        log.warning("%s: damaged; using the one before it", path)
        path.unlink()
    return None


def newest_images_seen(folder: Path) -> int | None:
    """Images seen in the newest checkpoint of `folder`, damaged or not."""
    paths = _checkpoints(folder)
    return int(paths[0][0].name[:10]) if paths else None


def drop_newest_checkpoint(folder: Path) -> None:
    """Delete the newest checkpoint of `folder` if there is one before it."""
    paths = _checkpoints(folder)
    if len(paths) > 1:
        paths[0][0].unlink()


def delete_checkpoints(folder: Path) -> None:
    """Delete every checkpoint under `folder`."""
    for path in folder.rglob("*.pt"):
        if NAME.fullmatch(path.name):
            path.unlink()
