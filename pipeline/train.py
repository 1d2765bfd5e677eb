"""Train the GAN."""

import csv
import hashlib
import io
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pipeline.errors import StoppedError
from pipeline.gan.checkpoints import GeneratorCard, save_generator
from pipeline.gan.latents import draw_latents
from pipeline.gan.processor import prepare_processor
from pipeline.gan.sampling import pictures_of
from pipeline.gan.training import HISTORY_COLUMNS, Trainer, chosen_device, device_name
from pipeline.images.sheets import contact_sheet
from pipeline.params import TrainParams
from pipeline.store.arrays import DatasetCard, read_card, read_split, split_sha256
from pipeline.store.checkpoints import checkpoint_bytes, delete_checkpoints, newest_checkpoint, save_checkpoint
from pipeline.store.files import sha256_of_file, whole_file, whole_folder, write_text
from pipeline.store.tracking import Tracker

log = logging.getLogger(__name__)

NORM_BATCHES_OF_A_SAMPLE = 4
NORM_BATCHES_AT_THE_END = 40


class StopRequest:
    """Which signal asked this process to stop, if any; obeyed at once while there is nothing that is not saved."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.all_saved = True

    def note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self.obey()

    def obey(self) -> None:
        """Raise StoppedError when a stop was asked for and all is saved."""
        if self.signal and self.all_saved:
            raise StoppedError(f"stopped by {self.signal.name}, all saved: the same command goes on from there")


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """SIGTERM and SIGINT noted, instead of obeyed at once, while the block runs."""
    request = StopRequest()
    before = {number: signal.signal(number, request.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_identity(params: TrainParams, train: Path) -> str:
    """Hex digits that change with whatever decides the result: parameters, data, this code, torch."""
    digest = hashlib.sha256()
    digest.update(params.model_dump_json().encode())
    digest.update(split_sha256(train, "train").encode())
    digest.update(sha256_of_file(train / "train_labels.npy").encode())
    for source in sorted((Path(__file__).parent / "gan").rglob("*.py")):
        digest.update(source.read_bytes())
    digest.update(f"{torch.__version__} {chosen_device(params.device)}".encode())
    return digest.hexdigest()[:16]


def passed(before: int, after: int, every_kimg: float) -> bool:
    """Whether a multiple of `every_kimg` thousand images lies after `before` and not after `after`."""
    return after // (every_kimg * 1000) > before // (every_kimg * 1000)


def csv_of_history(history: list[list[float]]) -> str:
    """The text of history.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HISTORY_COLUMNS)
    writer.writerows([int(row[0]), *(f"{value:.7g}" for value in row[1:])] for row in history)
    return text.getvalue()


def sample_sheet(trainer: Trainer, categories: int, norm_batches: int) -> NDArray[np.uint8]:
    """One row of pictures a category, of latents that stay the same through training, (H, W, C)."""
    columns = trainer.params.samples_per_category
    latents = draw_latents(trainer.params.seed, categories * columns, trainer.params.network.latent_dim)
    labels = np.repeat(np.arange(categories), columns)
    return contact_sheet(pictures_of(trainer.measured_average(norm_batches), latents, labels), columns)


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write `image` (H, W, 1 or 3) as PNG."""
    with whole_file(path) as partial:
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(partial, format="PNG")


def card_of(trainer: Trainer, data: DatasetCard) -> GeneratorCard:
    """The card of the generator in `trainer`."""
    network = trainer.params.network
    return GeneratorCard(
        network=network.name,
        arguments=dict(network.generator_arguments),
        categories=data.categories,
        height=data.height,
        width=data.width,
        channels=data.channels,
        latent_dim=network.latent_dim,
        images_seen=trainer.images_seen,
        recipe=trainer.params.model_dump(mode="json"),
    )


def _show_samples(trainer: Trainer, categories: int, folder: Path, norm_batches: int, track: Tracker) -> None:
    sheet = folder / "samples" / f"{trainer.images_seen:08d}.png"
    save_png(sheet, sample_sheet(trainer, categories, norm_batches))
    track.picture(sheet, "samples", step=trainer.images_seen)


def train_to_the_end(trainer: Trainer, categories: int, folder: Path, request: StopRequest, track: Tracker) -> None:
    """Train until `total_kimg`, leaving checkpoints and sample sheets in `folder`.

    Raises TrainingError; raises StoppedError after the step during which a stop was requested, and a checkpoint.
    """
    params = trainer.params
    rate_clock = time.perf_counter()
    rate_images = trainer.images_seen
    bar = tqdm(total=trainer.total_images, initial=trainer.images_seen, unit="img", desc="train", mininterval=1.0)
    with bar:
        if trainer.images_seen == 0:
            _show_samples(trainer, categories, folder, NORM_BATCHES_OF_A_SAMPLE, track)
        for before, after in trainer.steps():
            request.all_saved = False
            bar.update(after - before)
            if passed(before, after, params.log_every_kimg) or after == trainer.total_images:
                row = trainer.new_history_row()
                seconds = time.perf_counter() - rate_clock
                track.metrics(
                    {
                        **{name: row[name] for name in HISTORY_COLUMNS[1:]},
                        "rate": trainer.discriminator_optimiser.param_groups[0]["lr"],
                        "images_per_s": (after - rate_images) / seconds,
                    },
                    step=after,
                )
                rate_clock, rate_images = time.perf_counter(), after
            if passed(before, after, params.sample_every_kimg) and after < trainer.total_images:
                _show_samples(trainer, categories, folder, NORM_BATCHES_OF_A_SAMPLE, track)
            ended = after == trainer.total_images
            if request.signal or ended or passed(before, after, params.checkpoint_every_kimg):
                trainer.check()
                save_checkpoint(folder, after, trainer.state(), keep=params.keep_checkpoints)
                request.all_saved = True
                request.obey()


def run(params: TrainParams, *, train: Path, gan: Path, scratch: Path, track: Tracker) -> None:
    """Write the trained GAN into `gan`; what an interrupted run left in `scratch` is gone on with, to the same bytes."""
    with stop_requests() as request:
        _run(params, train, gan, scratch, request, track)


def _run(params: TrainParams, train: Path, gan: Path, scratch: Path, request: StopRequest, track: Tracker) -> None:
    data = read_card(train)
    images, labels = read_split(train, "train")
    device = chosen_device(params.device)
    track.tags({"device": device_name(device)})
    track.dataset("train", data.sha256["train"], train, context="training", profile=data.profile("train"))
    if device.type == "cpu":
        prepare_processor(params.threads)
    else:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
    trainer = Trainer(params, images, labels, len(data.categories), device)
    folder = scratch / run_identity(params, train)
    state = newest_checkpoint(folder)
    if state is not None:
        trainer.restore(state)
        log.info("going on from image %d", trainer.images_seen)
    log.info("%d images, %s, %s, %d threads", trainer.total_images, device, trainer.precision, torch.get_num_threads())
    clock, cpu_clock = time.perf_counter(), time.process_time()
    train_to_the_end(trainer, len(data.categories), folder, request, track)
    _show_samples(trainer, len(data.categories), folder, NORM_BATCHES_AT_THE_END, track)
    track.metrics(
        {"train_seconds": time.perf_counter() - clock, "train_cpu_seconds": time.process_time() - cpu_clock},
        step=trainer.images_seen,
    )
    with whole_folder(gan) as partial:
        save_generator(partial, trainer.average, card_of(trainer, data))
        (partial / "checkpoint.pt").write_bytes(checkpoint_bytes(trainer.state()))
        write_text(partial / "history.csv", csv_of_history(trainer.history))
        shutil.copytree(folder / "samples", partial / "samples")
    delete_checkpoints(scratch)
    log.info("trained in %.0f s, %.0f CPU-seconds", time.perf_counter() - clock, time.process_time() - cpu_clock)
