"""Train the GAN."""

import csv
import hashlib
import io
import json
import logging
import math
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from pipeline.code_inputs import import_closure
from pipeline.errors import DivergedError, StoppedError, TrainingError
from pipeline.gan.checkpoints import GeneratorCard, save_generator
from pipeline.gan.devices import choose_device, device_name, prepare_device
from pipeline.gan.forecast import estimate_training, format_estimate
from pipeline.gan.processes import Processes, process_group
from pipeline.gan.sampling import generate_images
from pipeline.gan.training import HISTORY_COLUMNS, Trainer
from pipeline.gan.watchdog import Event, FiniteCheck, Watchdog, diversity, is_finite
from pipeline.imaging.contact_sheets import contact_sheet
from pipeline.inference.latents import draw_latents
from pipeline.metrics.sliced_wasserstein import sliced_wasserstein
from pipeline.stages.train.params import TrainParams
from pipeline.storage.arrays import ATTRIBUTES, DatasetCard, check_dataset, read_attributes, read_card, read_split, split_sha256
from pipeline.storage.checkpoints import (
    checkpoint_bytes,
    delete_checkpoints,
    drop_newest_checkpoint,
    newest_checkpoint,
    newest_images_seen,
    save_checkpoint,
)
from pipeline.storage.checksums import write_sums
from pipeline.storage.files import remove, sha256_of_file, whole_file, whole_folder, write_json, write_text
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

NORM_BATCHES_OF_A_SAMPLE = 4
NORM_BATCHES_AT_THE_END = 40
DIVERGED = "a loss, gradient or weight is not a finite number"
ASSUMED_CATEGORIES, NOISE_PICTURES = 10, 1000  # of a dry run without pictures
SWD_PICTURES = 512
DIVERSITY_PICTURES = 256  # real ones of a category, with which the samples' diversity is compared


class StopRequest:
    """Which signal asked this process to stop, if any; obeyed at once while there is nothing that is not saved.

    Where several processes train together (not `alone`) it is only noted, for all of them must stop at the same step.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.all_saved = self.alone = True

    def note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self.obey()

    def obey(self) -> None:
        """Raise StoppedError when a stop was asked for and all is saved."""
        if self.signal and self.all_saved and self.alone:
            self.stop()

    def stop(self) -> NoReturn:
        """Raise StoppedError."""
        by = self.signal.name if self.signal else "a signal to another of its processes"
        raise StoppedError(f"stopped by {by}, all saved: the same command goes on from there")


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
    if params.condition == "attributes":
        digest.update(sha256_of_file(train / ATTRIBUTES).encode())
    for source in import_closure("pipeline.gan.training"):
        digest.update(source.read_bytes())
    digest.update(f"{torch.__version__} {choose_device(params.device)}".encode())
    return digest.hexdigest()[:16]


def crosses_interval(before: int, after: int, every_kimg: float) -> bool:
    """Whether a multiple of `every_kimg` thousand images lies after `before` and not after `after`."""
    return after // (every_kimg * 1000) > before // (every_kimg * 1000)


def csv_of_history(history: list[list[float]]) -> str:
    """The text of history.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HISTORY_COLUMNS)
    writer.writerows([int(row[0]), *(f"{value:.7g}" for value in row[1:])] for row in history)
    return text.getvalue()


def fixed_samples(
    trainer: Trainer, categories: int, samples_per_category: int, norm_batches: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures (N, H, W, C) of latents that stay the same through training, `samples_per_category` each, and labels (N,)."""
    latents = draw_latents(trainer.params.seed, categories * samples_per_category, trainer.params.network.latent_dim)
    labels = np.repeat(np.arange(categories), samples_per_category)
    return generate_images(trainer.measured_average(norm_batches), latents, labels), labels


def real_diversity(images: NDArray[np.uint8], labels: NDArray[np.int64], categories: int) -> NDArray[np.float64]:
    """Diversity per category of real pictures (N, H, W, C), of the first DIVERSITY_PICTURES of each."""
    rows = np.concatenate([np.flatnonzero(labels == category)[:DIVERSITY_PICTURES] for category in range(categories)])
    return diversity(images[rows], labels[rows], categories)


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
        condition=trainer.params.condition,
        attributes=data.attributes if trainer.params.condition == "attributes" else {},
    )


def _whole_lines(path: Path) -> str:
    """The lines of the table at `path` that end and hold text; none where there is no file. A power cut leaves others."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return "".join(line.decode("utf-8", "replace") for line in lines if line.endswith(b"\n") and b"\0" not in line)


def _note(path: Path, event: Event) -> None:
    """Add `event` to the table at `path`, unless it was there before an interruption."""
    text = _whole_lines(path) or "images,name,told\n"
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([event.images_seen, event.name, event.told])
    if line.getvalue() not in text:
        write_text(path, text + line.getvalue())


def _best_swd(path: Path) -> float:
    """The distance in the score at `path`; infinite where there is none yet, or only a damaged one."""
    try:
        return float(json.loads(path.read_bytes())["swd"])
    except (OSError, ValueError, TypeError, KeyError):
        return math.inf


class Training:
    """A training as the stage runs it: a trainer, what watches it, and the folder of its checkpoints, samples and events."""

    def __init__(
        self,
        trainer: Trainer,
        params: TrainParams,
        data: DatasetCard,
        folder: Path,
        request: StopRequest,
        track: Tracker,
    ) -> None:
        self.trainer, self.data, self.folder, self.request, self.track = trainer, data, folder, request, track
        self.params, self.processes = params, trainer.processes
        real = real_diversity(trainer.images, trainer.labels, len(data.categories))
        self.watchdog = Watchdog(self.params.watchdog, data.categories, real, trainer.loss_at_chance)
        self._returned_to: int | None = None

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds."""
        return self.trainer.state() | self.watchdog.state()

    def _restore(self, state: dict[str, Tensor]) -> None:
        self.trainer.restore(state)
        self.watchdog.restore(state)
        self.trainer.rate_factor = self.watchdog.rate_factor

    def start(self) -> None:
        """Go on from the newest checkpoint, or make the first one."""
        state = self.processes.from_first(lambda: newest_checkpoint(self.folder))
        if state is None:
            self.show_samples(NORM_BATCHES_OF_A_SAMPLE)
            self._save()
        else:
            self._restore(state)
            log.info("going on from image %d", self.trainer.images_seen)

    def to_the_end(self) -> None:
        """Train until `total_kimg`, leaving checkpoints, samples and events in the folder.

        Raises TrainingError; raises StoppedError after the step during which a stop was requested, and a checkpoint.
        """
        trainer = self.trainer
        with tqdm(
            total=trainer.total_images,
            initial=trainer.images_seen,
            unit="img",
            desc="train",
            mininterval=1.0,
            disable=not self.processes.is_first,
        ) as bar:
            while trainer.images_seen < trainer.total_images:
                try:
                    self._train(bar)
                except DivergedError:
                    self._go_back()
                    bar.n = trainer.images_seen

    def _train(self, bar: "tqdm[NoReturn]") -> None:
        trainer, params = self.trainer, self.params
        finite = FiniteCheck(trainer.device)
        clock, images_then = time.perf_counter(), trainer.images_seen
        for before, after in trainer.steps():
            self.request.all_saved = False
            if not finite.all_finite(trainer.sums):
                raise DivergedError
            bar.update(after - before)
            ended = after == trainer.total_images
            if ended or crosses_interval(before, after, params.log_every_kimg):
                self._log_row((after - images_then) / (time.perf_counter() - clock))
                clock, images_then = time.perf_counter(), after
            if crosses_interval(before, after, params.sample_every_kimg) and not ended:
                self.show_samples(NORM_BATCHES_OF_A_SAMPLE)
            stopping = self.processes.any(self.request.signal is not None)
            if stopping or ended or crosses_interval(before, after, params.checkpoint_every_kimg):
                self._save()
            if stopping:
                self.request.stop()

    def _log_row(self, images_per_s: float) -> None:
        trainer = self.trainer
        row = trainer.new_history_row()
        losses = {name: row[name] for name in HISTORY_COLUMNS[1:]}
        rate = trainer.discriminator_optimiser.param_groups[0]["lr"]
        ada = {"ada_p": trainer.ada_p} if self.params.ada is not None else {}
        self.track.metrics({**losses, **ada, "rate": rate, "images_per_s": images_per_s}, step=trainer.images_seen)
        for event in self.watchdog.look_at_history(HISTORY_COLUMNS, trainer.history):
            self._tell(event)

    def show_samples(self, norm_batches: int) -> None:
        """Leave a sheet of samples, one row a category, with batch norm measured over so many batches."""
        if not self.processes.is_first:
            return
        pictures, labels = fixed_samples(
            self.trainer, len(self.data.categories), self.params.samples_per_category, norm_batches
        )
        self._show(pictures, "samples", "samples")
        events = self.watchdog.look_at_samples(self.trainer.images_seen, pictures, labels)
        self.track.metrics({"diversity": float(np.mean(self.watchdog.shares[-1][1:]))}, step=self.trainer.images_seen)
        for event in events:
            self._tell(event)
        if self.params.best_by == "swd" and self.trainer.images_seen:
            self._keep_if_best(self._swd())

    def _swd(self) -> float:
        """Sliced Wasserstein distance between fixed real pictures and the averaged generator's of their labels."""
        trainer, seed = self.trainer, self.params.seed
        rows = np.sort(np.random.default_rng(seed).permutation(len(trainer.labels))[:SWD_PICTURES])
        latents = draw_latents(seed, len(rows), self.params.network.latent_dim)
        return sliced_wasserstein(trainer.images[rows], generate_images(trainer.average, latents, trainer.labels[rows]), seed)

    def _keep_if_best(self, swd: float) -> None:
        self.track.metrics({"swd": swd}, step=self.trainer.images_seen)
        best = self.folder / "best"
        if swd >= _best_swd(best / "score.json"):
            return
        with whole_folder(best) as partial:
            save_generator(partial, self.trainer.average, card_of(self.trainer, self.data))
            (partial / "checkpoint.pt").write_bytes(checkpoint_bytes(self.state()))
            write_json(partial / "score.json", {"images_seen": self.trainer.images_seen, "swd": swd})

    def _show(self, pictures: NDArray[np.uint8], series: str, folder: str, suffix: str = "") -> None:
        sheet = self.folder / folder / f"{self.trainer.images_seen:08d}{suffix}.png"
        save_png(sheet, contact_sheet(pictures, self.params.samples_per_category))
        self.track.picture(sheet, series, step=self.trainer.images_seen)

    def _tell(self, event: Event) -> None:
        """Note `event` with the samples of this moment."""
        if not self.processes.is_first:
            return
        log.warning("image %d, %s: %s", event.images_seen, event.name, event.told)
        _note(self.folder / "events.csv", event)
        self.track.event(event.name, event.told, step=event.images_seen)
        pictures, _ = fixed_samples(
            self.trainer, len(self.data.categories), self.params.samples_per_category, NORM_BATCHES_OF_A_SAMPLE
        )
        self._show(pictures, f"event-{event.name}", "events", f"-{event.name}")

    def _save(self) -> None:
        state = self.state()
        if self.processes.any(not is_finite(state)):
            raise DivergedError
        if self.processes.is_first:
            save_checkpoint(self.folder, self.trainer.images_seen, state, keep=self.params.keep_checkpoints)
        self.request.all_saved = True
        self.request.obey()

    def _go_back(self) -> None:
        """To the last checkpoint, or when the training diverged from there already, the one before; with smaller rates."""
        returns, at = self.watchdog.returns, self.trainer.images_seen
        if returns == self.params.watchdog.max_returns:
            raise TrainingError(
                f"training diverged before image {at}: {DIVERGED}, after {returns} returns to a checkpoint with smaller rates; "
                "lower train.generator_rate and train.discriminator_rate or raise train.penalties.r1_gamma"
                + (", or set train.precision to fp32, for fp16 ends at 65504" if self.trainer.precision == "fp16" else "")
            )
        state = self.processes.from_first(self._last_good_state)
        if state is None:
            raise TrainingError(f"{self.folder}: training diverged, and its checkpoints have gone; run the same command again")
        factor = self.params.watchdog.rate_on_return ** (returns + 1)
        told = f"{DIVERGED}: back to image {int(state['images_seen'])}, rates × {factor:g}"
        self._tell(Event(at, "diverged", told))
        self._restore(state)
        self.watchdog.returns = returns + 1
        self.trainer.rate_factor = self.watchdog.rate_factor
        self._returned_to = self.trainer.images_seen

    def _last_good_state(self) -> dict[str, Tensor] | None:
        if self._returned_to == newest_images_seen(self.folder):
            drop_newest_checkpoint(self.folder)
        return newest_checkpoint(self.folder)


def dry_run(params: TrainParams, shape: tuple[int, int, int], train: Path) -> str:
    """What `run` would take, as lines: measured by a few steps on the pictures in `train` or, if there are none, on noise.

    `shape` (H, W, C) is that of the noise.
    """
    if (train / "dataset.json").exists():
        categories = len(read_card(train).categories)
        images, labels = read_split(train, "train")
        told = f"{len(images):,} of {train}"
    else:
        categories, count = ASSUMED_CATEGORIES, max(params.batch_size, NOISE_PICTURES)
        noise = np.random.default_rng(0)
        images = noise.integers(0, 256, (count, *shape), dtype=np.uint8)
        labels = np.arange(count) % categories
        told = (
            f"noise of {categories} categories, for {train} is not there yet: its pictures count neither as memory nor as disk"
        )
    device = choose_device(params.device)
    prepare_device(device, params.threads)
    trainer = Trainer(params, images, labels, categories, device, processes=Processes(0, params.processes))
    found = estimate_training(
        trainer,
        NORM_BATCHES_OF_A_SAMPLE,
        sample_every_kimg=params.sample_every_kimg,
        checkpoint_every_kimg=params.checkpoint_every_kimg,
    )
    where = f"{device_name(device)}, {trainer.precision}, {torch.get_num_threads()} threads"
    return f"{'on':<15}{where}\n{'pictures':<15}{told}\n{format_estimate(found, params.keep_checkpoints)}"


def run(params: TrainParams, *, train: Path, gan: Path, scratch: Path, track: Tracker) -> None:
    """Write the trained GAN into `gan`; what an interrupted run left in `scratch` is gone on with, to the same bytes."""
    device = choose_device(params.device)
    with stop_requests() as request, process_group(params.processes, device) as processes:
        request.alone = processes.count == 1
        _run(params, train, gan, scratch, request, track, device, processes)


def _run(
    params: TrainParams,
    train: Path,
    gan: Path,
    scratch: Path,
    request: StopRequest,
    track: Tracker,
    device: torch.device,
    processes: Processes,
) -> None:
    check_dataset(train)
    data = read_card(train)
    images, labels = read_split(train, "train")
    track.tags({"device": device_name(device)})
    track.dataset("train", data.sha256["train"], train, context="training", profile=data.profile("train"))
    prepare_device(device, params.threads)
    attributes = read_attributes(train) if params.condition == "attributes" else None
    trainer = Trainer(params, images, labels, len(data.categories), device, attributes, processes)
    folder = scratch / run_identity(params, train)
    training = Training(trainer, params, data, folder, request, track)
    training.start()
    log.info("%d images, %s, %s, %d threads", trainer.total_images, device, trainer.precision, torch.get_num_threads())
    clock, cpu_clock = time.perf_counter(), time.process_time()
    training.to_the_end()
    if not processes.is_first:
        return
    request.alone = True  # nobody waits for this process any more
    request.obey()
    training.show_samples(NORM_BATCHES_AT_THE_END)
    track.metrics(
        {"train_seconds": time.perf_counter() - clock, "train_cpu_seconds": time.process_time() - cpu_clock},
        step=trainer.images_seen,
    )
    with whole_folder(gan) as partial:
        save_generator(partial, trainer.average, card_of(trainer, data))
        (partial / "checkpoint.pt").write_bytes(checkpoint_bytes(training.state()))
        write_text(partial / "history.csv", csv_of_history(trainer.history))
        shutil.copytree(folder / "samples", partial / "samples")
        if (folder / "events.csv").exists():
            shutil.copy(folder / "events.csv", partial)
            shutil.copytree(folder / "events", partial / "events")
        if (folder / "best").exists():
            shutil.copytree(folder / "best", partial / "best")
        write_sums(partial)
    remove(folder / "best")
    delete_checkpoints(scratch)
    log.info("trained in %.0f s, %.0f CPU-seconds", time.perf_counter() - clock, time.process_time() - cpu_clock)
