"""The scratch folder of one training: sample sheets, the table of events, the best generator."""

import csv
import io
import json
import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.gan.checkpoints import CAPTION_SAMPLE, CHECKPOINT, GeneratorCard, save_generator
from pipeline.gan.history import history_csv
from pipeline.gan.watchdog import Event
from pipeline.imaging.contact_sheets import contact_sheet, save_png
from pipeline.storage.checkpoints import checkpoint_bytes
from pipeline.storage.checksums import write_sums
from pipeline.storage.files import recover_folder, whole_folder, write_json, write_text
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def _complete_lines(path: Path) -> str:
    """The complete lines of the text at `path`, or nothing; a power cut leaves a torn last line or NUL bytes."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return "".join(line.decode("utf-8", "replace") for line in lines if line.endswith(b"\n") and b"\0" not in line)


def append_event(path: Path, event: Event) -> None:
    """Append `event` to the table at `path`, unless it was written before an interruption."""
    text = _complete_lines(path) or "images,name,message\n"
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([event.images_seen, event.name, event.message])
    if line.getvalue() not in text:
        write_text(path, text + line.getvalue())


def best_swd(path: Path) -> float:
    """The distance in the score file at `path`; infinite if the file is missing or damaged."""
    try:
        return float(json.loads(path.read_bytes())["swd"])
    except (OSError, ValueError, TypeError, KeyError):
        return math.inf


class RunFolder:
    """Writes samples, events and the best generator of one training, and logs them to `track`."""

    def __init__(self, folder: Path, samples_per_category: int, track: Tracker) -> None:
        self.folder, self._columns, self._track = folder, samples_per_category, track

    def write_samples(self, images: NDArray[np.uint8], images_seen: int) -> None:
        """Write one sheet of samples (N, H, W, C), one row per category."""
        self._write_sheet(images, "samples", self.folder / "samples" / f"{images_seen:08d}.png", images_seen)

    def write_event(self, event: Event, images: NDArray[np.uint8], images_seen: int) -> None:
        """Log `event` and append it to events.csv, with a sheet of current samples."""
        log.warning("image %d, %s: %s", event.images_seen, event.name, event.message)
        append_event(self.folder / "events.csv", event)
        self._track.event(event.name, event.message, step=event.images_seen)
        sheet = self.folder / "events" / f"{images_seen:08d}-{event.name}.png"
        self._write_sheet(images, f"event-{event.name}", sheet, images_seen)

    def _write_sheet(self, images: NDArray[np.uint8], series: str, path: Path, images_seen: int) -> None:
        save_png(path, contact_sheet(images, self._columns))
        self._track.picture(path, series, step=images_seen)

    def keep_if_best(self, swd: float, generator: nn.Module, card: GeneratorCard, state: Mapping[str, Tensor]) -> None:
        """Replace the best generator if `swd` is below its distance."""
        best = self.folder / "best"
        recover_folder(best)
        if swd >= best_swd(best / "score.json"):
            return
        with whole_folder(best) as partial:
            save_generator(partial, generator, card)
            (partial / CHECKPOINT).write_bytes(checkpoint_bytes(state))
            write_json(partial / "score.json", {"images_seen": card.images_seen, "swd": swd})

    def publish(
        self,
        gan: Path,
        generator: nn.Module,
        card: GeneratorCard,
        state: Mapping[str, Tensor],
        history: list[list[float]],
        captions: NDArray[np.float32] | None = None,
    ) -> None:
        """Write the finished training into `gan`, whole or not at all; `captions` (M, E) are embeddings for export."""
        with whole_folder(gan) as partial:
            save_generator(partial, generator, card)
            # The full training state: train.start_from reads it, no other stage does.
            (partial / CHECKPOINT).write_bytes(checkpoint_bytes(state))
            write_text(partial / "history.csv", history_csv(history))
            if captions is not None:
                np.save(partial / CAPTION_SAMPLE, captions)
            shutil.copytree(self.folder / "samples", partial / "samples")
            if (self.folder / "events.csv").exists():
                shutil.copy(self.folder / "events.csv", partial)
                shutil.copytree(self.folder / "events", partial / "events")
            if (self.folder / "best").exists():
                shutil.copytree(self.folder / "best", partial / "best")
            write_sums(partial)
