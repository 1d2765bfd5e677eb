"""Train the GAN."""

import logging
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.gan.captions import CaptionDraw
from pipeline.gan.devices import choose_device, device_name, prepare_device
from pipeline.gan.forecast import estimate_training, format_estimate
from pipeline.gan.processes import Processes, process_group
from pipeline.gan.starting import Start
from pipeline.gan.training import Trainer
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.resume import find_resume_point, misfit, run_identity
from pipeline.stages.train.run_folder import RunFolder
from pipeline.stages.train.start import log_start, start_from_folder
from pipeline.stages.train.stop_request import StopRequest, stop_requests
from pipeline.stages.train.training_loop import FINAL_NORM_BATCHES, SAMPLE_NORM_BATCHES, TrainingLoop
from pipeline.storage.arrays import DatasetCard, check_dataset, read_attributes, read_card, read_split
from pipeline.storage.captions import NO_CAPTION, Captions, read_captions
from pipeline.storage.checkpoints import delete_checkpoints, newest_checkpoint
from pipeline.storage.files import remove
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

CAPTION_SAMPLES = 256  # embeddings of training captions that are kept beside the generator
DRY_RUN_CATEGORIES, DRY_RUN_IMAGES = 10, 1000  # of noise, when there is no dataset yet


def dry_run(params: TrainParams, shape: tuple[int, int, int], train: Path) -> str:
    """What `run` would take, as lines: measured over a few steps on the images in `train` or, if there are none, on noise.

    `shape` (H, W, C) is the shape of the noise images.
    """
    device, processes = choose_device(params.device), Processes(0, params.processes)
    prepare_device(device, params.threads)
    if (train / "dataset.json").exists():
        trainer, _, _ = _trainer(params, train, read_card(train), device, processes)
        description = f"{len(trainer.images):,} of {train}"
    else:
        categories, count = DRY_RUN_CATEGORIES, max(params.batch_size, DRY_RUN_IMAGES)
        images = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
        trainer = Trainer(params, images, np.arange(count) % categories, categories, device, processes=processes)
        without = "the size of the dataset"
        if params.condition in ("attributes", "text"):
            without += f" and what the condition {params.condition} adds to the networks"
        description = (
            f"noise of {categories} categories, because {train} does not exist yet: memory and disk are without {without}"
        )
    estimate = estimate_training(
        trainer,
        SAMPLE_NORM_BATCHES,
        sample_every_kimg=params.sample_every_kimg,
        checkpoint_every_kimg=params.checkpoint_every_kimg,
    )
    where = f"{device_name(device)}, {trainer.precision}, {torch.get_num_threads()} threads"
    return f"{'on':<15}{where}\n{'pictures':<15}{description}\n{format_estimate(estimate, params.keep_checkpoints)}"


def _trainer(
    params: TrainParams, train: Path, data: DatasetCard, device: torch.device, processes: Processes
) -> tuple[Trainer, Captions | None, Start | None]:
    """The training of `data`, in `train`, before its first step, its captions, and what a model it starts from gave it.

    Raises InputError and ParamsError.
    """
    images, labels = read_split(train, "train")
    attributes = read_attributes(train) if params.condition == "attributes" else None
    captions = read_captions(train) if params.condition == "text" else None
    drawn = CaptionDraw(captions, labels, len(data.categories)) if captions else None
    trainer = Trainer(params, images, labels, len(data.categories), device, attributes, processes, drawn)
    start = start_from_folder(params.start_from, trainer, data) if params.start_from else None
    return trainer, captions, start


def caption_sample(captions: Captions) -> NDArray[np.float32]:
    """Embeddings (M, E) of at most CAPTION_SAMPLES of the captions that the pictures have, evenly spaced."""
    used = np.unique(captions.rows[captions.rows != NO_CAPTION])  # the file also holds those of test pictures
    return captions.embeddings[used[np.linspace(0, len(used) - 1, min(len(used), CAPTION_SAMPLES)).astype(np.int64)]]


def run(params: TrainParams, *, train: Path, gan: Path, scratch: Path, track: Tracker, resume_anyway: bool = False) -> None:
    """Write the trained GAN into `gan`. An interrupted training resumes from `scratch`, bit-identically.

    With `resume_anyway` it resumes even if something that decides its result has changed, which its card then records.
    """
    device = choose_device(params.device)
    with stop_requests() as request, process_group(params.processes, device) as processes:
        request.alone = processes.count == 1
        _run(params, train, gan, scratch, request, track, device, processes, resume_anyway=resume_anyway)


def _run(
    params: TrainParams,
    train: Path,
    gan: Path,
    scratch: Path,
    request: StopRequest,
    track: Tracker,
    device: torch.device,
    processes: Processes,
    *,
    resume_anyway: bool,
) -> None:
    check_dataset(train)
    data = read_card(train)
    track.tags({"device": device_name(device)})
    track.dataset("train", data.sha256["train"], train, context="training", profile=data.profile("train"))
    prepare_device(device, params.threads)
    trainer, captions, start = _trainer(params, train, data, device, processes)
    point = processes.from_first(
        lambda: find_resume_point(scratch, run_identity(params, train, device), resume_anyway=resume_anyway)
    )
    folder = RunFolder(point.folder, params.samples_per_category, track)
    loop = TrainingLoop(trainer, params, data, folder, request, track, point.resumed_across, captions)
    state = processes.from_first(lambda: newest_checkpoint(folder.folder))
    if state is None:
        if params.start_from is not None and start is not None:
            log_start(params.start_from.folder, start)
        loop.begin()
    else:
        try:
            loop.restore(state)
        except (RuntimeError, ValueError, LookupError) as error:
            raise misfit(folder.folder, error) from error
        log.info("resuming from image %d", trainer.images_seen)
    log.info(
        "training for %d images on %s in %s with %d threads",
        trainer.total_images,
        device,
        trainer.precision,
        torch.get_num_threads(),
    )
    clock, cpu_clock = time.perf_counter(), time.process_time()
    loop.run()
    if not processes.is_first:
        return
    request.alone = True  # no other process waits for this one any more
    request.stop_if_saved()
    loop.sample(FINAL_NORM_BATCHES)
    seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu_clock
    track.metrics({"train_seconds": seconds, "train_cpu_seconds": cpu_seconds}, step=trainer.images_seen)
    sample = caption_sample(captions) if captions else None
    folder.publish(gan, trainer.average, loop.card(), loop.state(), trainer.history.rows, sample)
    request.finished = True
    remove(folder.folder / "best")
    delete_checkpoints(scratch)
    log.info("trained in %.0f s, %.0f CPU-seconds", seconds, cpu_seconds)
