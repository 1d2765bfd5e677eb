"""The training loop: step, log, sample, checkpoint, stop; and roll back when the training diverges."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import DivergedError, TrainingError
from pipeline.gan.checkpoints import GeneratorCard, read_generator_card
from pipeline.gan.history import HISTORY_COLUMNS
from pipeline.gan.sampling import generate_images
from pipeline.gan.training import Trainer
from pipeline.gan.watchdog import COMPARED_ON, Event, FiniteCheck, Watchdog, diversity, is_finite
from pipeline.inference.latents import draw_latents
from pipeline.inference.transparency import on_ground
from pipeline.metrics.sliced_wasserstein import sliced_wasserstein
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.run_folder import RunFolder
from pipeline.stages.train.stop_request import StopRequest
from pipeline.storage.arrays import DatasetCard
from pipeline.storage.captions import Captions
from pipeline.storage.checkpoints import drop_newest_checkpoint, newest_checkpoint, newest_images_seen, save_checkpoint
from pipeline.tracking.progress import Progress
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

SAMPLE_NORM_BATCHES = 4  # batches over which batch norm is recalibrated for a sheet of samples
FINAL_NORM_BATCHES = 40  # and for the generator that the stage publishes
DIVERGED = "a loss, gradient or weight is not a finite number"
SWD_IMAGES = 512
DIVERSITY_IMAGES = 256  # real images per category whose diversity the samples' is compared with


def crosses_interval(before: int, after: int, every_kimg: float) -> bool:
    """Whether a multiple of `every_kimg` thousand images lies in (before, after]."""
    return after // (every_kimg * 1000) > before // (every_kimg * 1000)


def fixed_samples(
    trainer: Trainer, categories: int, per_category: int, norm_batches: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Samples (N, H, W, C) from latents that stay the same throughout training, and their labels (N,)."""
    latents = draw_latents(trainer.params.seed, categories * per_category, trainer.params.network.latent_dim)
    labels = np.repeat(np.arange(categories), per_category)
    return generate_images(trainer.recalibrated_average(norm_batches), latents, labels), labels


def real_diversity(images: NDArray[np.uint8], labels: NDArray[np.int64], categories: int) -> NDArray[np.float64]:
    """Diversity per category of the first DIVERSITY_IMAGES real images (N, H, W, C) of each."""
    rows = np.concatenate([np.flatnonzero(labels == category)[:DIVERSITY_IMAGES] for category in range(categories)])
    return diversity(images[rows], labels[rows], categories)


class Throughput:
    """Images per second since the last reading."""

    def __init__(self, images_seen: int) -> None:
        self._clock, self._images_seen = time.perf_counter(), images_seen

    def images_per_s(self, images_seen: int) -> float:
        """Images per second since the last call."""
        now = time.perf_counter()
        rate = (images_seen - self._images_seen) / (now - self._clock)
        self._clock, self._images_seen = now, images_seen
        return rate


class TrainingLoop:
    """A trainer with its watchdog, its checkpoints and its run folder."""

    def __init__(
        self,
        trainer: Trainer,
        params: TrainParams,
        data: DatasetCard,
        folder: RunFolder,
        request: StopRequest,
        track: Tracker,
        resumed_across: Sequence[str] = (),
        captions: Captions | None = None,
    ) -> None:
        """`resumed_across`, the changes across which the training has been resumed, and `captions` are for the card."""
        self.trainer, self.data, self.folder, self.request, self.track = trainer, data, folder, request, track
        self.params, self.processes = params, trainer.processes
        real = real_diversity(trainer.images, trainer.labels, len(data.categories))
        self.watchdog = Watchdog(self.params.watchdog, data.categories, real, trainer.loss_at_chance)
        self._resumed_across, self._captions = list(resumed_across), captions
        start = params.start_from
        self._started_through = read_generator_card(Path(start.folder)).trained_through if start else None
        self._rolled_back_to: int | None = None

    def run(self) -> None:
        """Train until `total_kimg`.

        Raises TrainingError if the training keeps diverging, and StoppedError after the checkpoint that follows a stop request.
        """
        trainer, params = self.trainer, self.params
        finite, throughput = FiniteCheck(trainer.device), Throughput(trainer.images_seen)
        with Progress(
            trainer.total_images, "train", "images", initial=trainer.images_seen, enabled=self.processes.is_first
        ) as progress:
            while trainer.images_seen < trainer.total_images:
                before = trainer.images_seen
                try:
                    trainer.step()  # batch, discriminator, generator, EMA
                    self.request.all_saved = False
                    if not finite.all_finite(trainer.history.sums):
                        raise DivergedError
                    after = trainer.images_seen
                    ended = after == trainer.total_images
                    progress.move_to(after)
                    if ended or crosses_interval(before, after, params.log_every_kimg):
                        self._log(throughput.images_per_s(after))
                    if crosses_interval(before, after, params.sample_every_kimg) and not ended:
                        self.sample(SAMPLE_NORM_BATCHES)
                    stopping = self.processes.any(self.request.signal is not None)
                    if stopping or ended or crosses_interval(before, after, params.checkpoint_every_kimg):
                        self._save_checkpoint()
                    if stopping:
                        self.request.stop()
                except DivergedError:
                    self._roll_back()
                    finite, throughput = FiniteCheck(trainer.device), Throughput(trainer.images_seen)
                    progress.move_to(trainer.images_seen)

    def state(self) -> dict[str, Tensor]:
        """The content of a checkpoint."""
        return self.trainer.state() | self.watchdog.state()

    def begin(self) -> None:
        """Write the first samples and the first checkpoint."""
        self.sample(SAMPLE_NORM_BATCHES)
        self._save_checkpoint()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from the checkpoint `state`."""
        self.trainer.restore(state)
        self.watchdog.restore(state)
        self.trainer.rate_factor = self.watchdog.rate_factor

    def card(self) -> GeneratorCard:
        """The card of the generator as it is now."""
        network, data, conditional = self.params.network, self.data, self.params.condition == "attributes"
        return GeneratorCard(
            network=network.name,
            arguments=dict(network.generator_arguments),
            categories=data.categories,
            height=data.height,
            width=data.width,
            channels=data.channels,
            latent_dim=network.latent_dim,
            images_seen=self.trainer.images_seen,
            recipe=self.params.model_dump(mode="json"),
            condition=self.params.condition,
            attributes=data.attributes if conditional else {},
            resumed_across=self._resumed_across,
            started_through=self._started_through,
            text_encoder=self._captions.encoder if self._captions else None,
            text_dim=self._captions.embeddings.shape[1] if self._captions else 0,
        )

    def _log(self, images_per_s: float) -> None:
        """Add a row to the history, and log it."""
        trainer = self.trainer
        row = trainer.history.close_row(trainer.images_seen)
        metrics = {name: row[name] for name in HISTORY_COLUMNS[1:]}
        if self.params.ada is not None:
            metrics["ada_p"] = trainer.ada.p
        metrics |= {"rate": trainer.discriminator_optimiser.rate, "images_per_s": images_per_s}
        self.track.metrics(metrics, step=trainer.images_seen)
        for event in self.watchdog.check_history(HISTORY_COLUMNS, trainer.history.rows):
            self._report(event)

    def sample(self, norm_batches: int) -> None:
        """Write a sheet of samples, check their diversity and, with `best_by`, keep the best generator."""
        if not self.processes.is_first:
            return
        images_seen = self.trainer.images_seen
        images, labels = fixed_samples(self.trainer, len(self.data.categories), self.params.samples_per_category, norm_batches)
        self.folder.write_samples(images, images_seen)
        events = self.watchdog.check_samples(images_seen, images, labels)
        self.track.metrics({"diversity": float(np.mean(self.watchdog.shares[-1][1:]))}, step=images_seen)
        for event in events:
            self._report(event)
        if self.params.best_by == "swd" and images_seen:
            swd = self._sliced_wasserstein()
            self.track.metrics({"swd": swd}, step=images_seen)
            self.folder.keep_if_best(swd, self.trainer.average, self.card(), self.state())

    def _sliced_wasserstein(self) -> float:
        """Sliced Wasserstein distance between fixed real images and EMA samples with the same labels."""
        trainer, seed = self.trainer, self.params.seed
        rows = np.sort(np.random.default_rng(seed).permutation(len(trainer.labels))[:SWD_IMAGES])
        latents = draw_latents(seed, len(rows), self.params.network.latent_dim)
        samples = generate_images(trainer.average, latents, trainer.labels[rows])
        real, fake = (on_ground(images, COMPARED_ON) for images in (trainer.images[rows], samples))
        return sliced_wasserstein(real, fake, seed)

    def _report(self, event: Event) -> None:
        if self.processes.is_first:
            images, _ = fixed_samples(
                self.trainer, len(self.data.categories), self.params.samples_per_category, SAMPLE_NORM_BATCHES
            )
            self.folder.write_event(event, images, self.trainer.images_seen)

    def _save_checkpoint(self) -> None:
        """Write a checkpoint. Raises DivergedError instead if the state is not finite."""
        state = self.state()
        if self.processes.any(not is_finite(state)):
            raise DivergedError
        if self.processes.is_first:
            save_checkpoint(self.folder.folder, self.trainer.images_seen, state, keep=self.params.keep_checkpoints)
        self.request.all_saved = True
        self.request.stop_if_saved()

    def _roll_back(self) -> None:
        """Return to the last checkpoint (the one before, if it has diverged from there already) and cut the learning rates."""
        rollbacks, images_seen = self.watchdog.rollbacks, self.trainer.images_seen
        if rollbacks == self.params.watchdog.max_rollbacks:
            fp16 = ", or set train.precision to fp32 because fp16 ends at 65504" if self.trainer.precision == "fp16" else ""
            raise TrainingError(
                f"training diverged before image {images_seen}: {DIVERGED}, after {rollbacks} rollbacks to a checkpoint with "
                "smaller rates; lower train.generator_rate and train.discriminator_rate or raise train.penalties.r1_gamma"
                + fp16
            )
        state = self.processes.from_first(self._last_good_state)
        if state is None:
            raise TrainingError(
                f"{self.folder.folder}: training diverged and its checkpoints are gone; run the same command again"
            )
        factor = self.params.watchdog.rate_factor_on_rollback ** (rollbacks + 1)
        message = f"{DIVERGED}: back to image {int(state['images_seen'])}, rates × {factor:g}"
        self._report(Event(images_seen, "diverged", message))
        self.restore(state)
        self.watchdog.rollbacks = rollbacks + 1
        self.trainer.rate_factor = self.watchdog.rate_factor
        self._rolled_back_to = self.trainer.images_seen

    def _last_good_state(self) -> dict[str, Tensor] | None:
        if self._rolled_back_to == newest_images_seen(self.folder.folder):
            drop_newest_checkpoint(self.folder.folder)
        return newest_checkpoint(self.folder.folder)
