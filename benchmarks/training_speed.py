"""Training rates of this trainer, a naive loop, and a bare loop on random tensors; same networks, loss, penalty and batch.

    python -m benchmarks.training_speed

The loops take turns; medians are printed. The trainer runs with everything on; its sample sheet and checkpoint, too rare for a
round, are timed separately and spread over the images between two of them. Also printed: the trainer's operations per second
compared with the peak of one large layer at the same precision and threads, and a torch.profiler breakdown of the bare loop.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from pipeline.gan.devices import choose_device, choose_precision
from pipeline.gan.forecast import estimate_training, seconds
from pipeline.gan.losses import LOSSES
from pipeline.gan.networks import PictureShape, build_discriminator, build_generator
from pipeline.gan.penalties import gradient_square_norms, zero_centred_penalty
from pipeline.gan.processor import prepare_processor
from pipeline.gan.training import Trainer
from pipeline.imaging.contact_sheets import contact_sheet, save_png
from pipeline.params import load_params
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.training_loop import SAMPLE_NORM_BATCHES, crosses_interval, fixed_samples
from pipeline.storage.arrays import read_card, read_split
from pipeline.storage.checkpoints import save_checkpoint
from pipeline.storage.files import write_text
from pipeline.tracking.tracker import Tracker

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
PEAK_TRIES = 5
PEAK_SIDE, PEAK_CHANNELS, PEAK_BATCH, PEAK_MATRIX = 32, 128, 64, 2048
PEAK_SIDE_OF_GPU, PEAK_MATRIX_OF_GPU = 128, 8192  # what is large to a processor is little to a GPU
# Operations by what they are for; the first part of a name that is found decides.
KINDS = {
    "convolution": ("convolution", "conv"),
    "matrix products": ("mm", "linear"),
    "batch norm": ("batch_norm",),
    "optimisers": ("adam",),
    "copies and casts": ("copy_", "clone", "contiguous", "fill_", "zero_"),
    "resampling": ("upsample", "pool", "pad"),
    "element by element": (
        "add",
        "mul",
        "sub",
        "div",
        "relu",
        "softplus",
        "tanh",
        "sum",
        "mean",
        "pow",
        "threshold",
        "sigmoid",
    ),
}


class PicturesThroughPil(Dataset[tuple[Tensor, int]]):
    """The training split as in tutorials: one image at a time, through Pillow and torchvision's transforms."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self.images, self.labels = images, labels
        middle = (0.5,) * images.shape[3]
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(middle, middle)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = self.images[index]
        return self.transform(Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)), int(self.labels[index])


class PlainLoop:
    """Both networks and a training step on given batches: only forward, backward and optimiser, unless `naive`."""

    def __init__(self, params: TrainParams, shape: PictureShape, categories: int, device: torch.device, *, naive: bool) -> None:
        network = params.network
        torch.manual_seed(params.seed)
        generator = build_generator(network.name, network.generator_arguments, shape, categories, network.latent_dim)
        discriminator = build_discriminator(network.name, network.discriminator_arguments, shape, categories)
        memory_format = torch.channels_last if params.channels_last and not naive else torch.contiguous_format
        self.generator = generator.to(device).to(memory_format=memory_format)
        self.discriminator = discriminator.to(device).to(memory_format=memory_format)
        self.params, self.device, self.naive = params, device, naive
        precision = "fp32" if naive else choose_precision(params.precision, device)
        self.half = HALVES.get(precision)
        self.steps = 0
        self.optimisers = [
            torch.optim.Adam(part.parameters(), rate, (params.beta1, params.beta2), fused=None if naive else True)
            for part, rate in ((generator, params.generator_rate), (discriminator, params.discriminator_rate))
        ]

    def _score(self, pictures: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.half, enabled=self.half is not None):
            return self.discriminator(pictures, labels).float()

    def step(self, real: Tensor, labels: Tensor) -> None:
        params, loss = self.params, LOSSES[self.params.loss]
        latents = torch.randn(len(labels), params.network.latent_dim, device=self.device)
        with torch.autocast(self.device.type, self.half, enabled=self.half is not None):
            fake = self.generator(latents, labels).float()
        penalised = params.penalties.r1_gamma > 0 and self.steps % params.penalties.interval == 0
        real = real.detach().requires_grad_(penalised)
        real_scores, fake_scores = self._score(real, labels), self._score(fake.detach(), labels)
        discriminator_loss = loss.discriminator(real_scores, fake_scores)
        total = discriminator_loss
        if penalised:
            penalty = zero_centred_penalty(gradient_square_norms(real_scores, real), params.penalties.r1_gamma)
            total = total + penalty * params.penalties.interval
        self._optimise(1, total)
        self.discriminator.requires_grad_(self.naive)
        generator_loss = loss.generator(real_scores.detach(), self._score(fake, labels))
        self._optimise(0, generator_loss)
        self.discriminator.requires_grad_(True)
        if self.naive:
            self.losses = f"{discriminator_loss.item():.4f} {generator_loss.item():.4f}"
        self.steps += 1

    def _optimise(self, which: int, loss: Tensor) -> None:
        self.optimisers[which].zero_grad()
        loss.backward()
        self.optimisers[which].step()


def _endless(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def rates(params: TrainParams, train: Path, *, rounds: int, images_a_round: int) -> dict[str, list[float]]:
    """Images per second in each round, by loop."""
    images, labels = read_split(train, "train")
    categories, device = len(read_card(train).categories), choose_device(params.device)
    shape = PictureShape(*images.shape[1:])
    steps = images_a_round // params.batch_size
    trainer = Trainer(params, images, labels, categories, device)
    naive = PlainLoop(params, shape, categories, device, naive=True)
    bare = PlainLoop(params, shape, categories, device, naive=False)
    loaded = _endless(DataLoader(PicturesThroughPil(images, labels), params.batch_size, shuffle=True, drop_last=True))
    memory_format = torch.channels_last if params.channels_last else torch.contiguous_format
    random_pictures = torch.rand(params.batch_size, shape.channels, shape.height, shape.width, device=device) * 2 - 1
    random_pictures = random_pictures.contiguous(memory_format=memory_format)
    random_labels = torch.arange(params.batch_size, device=device) % categories
    with tempfile.TemporaryDirectory() as folder:
        track = Tracker(Path(folder) / "spool.jsonl")

        def with_everything() -> None:
            for _ in range(steps):
                before = trainer.images_seen
                trainer.step()
                if crosses_interval(before, trainer.images_seen, params.log_every_kimg):
                    track.metrics(trainer.history.close_row(trainer.images_seen), step=trainer.images_seen)

        def sample() -> None:
            pictures, _ = fixed_samples(trainer, categories, params.samples_per_category, SAMPLE_NORM_BATCHES)
            save_png(Path(folder) / "sample.png", contact_sheet(pictures, params.samples_per_category))

        def checkpoint() -> None:
            save_checkpoint(Path(folder), trainer.images_seen, trainer.state())

        def naively() -> None:
            for _ in range(steps):
                pictures, its_labels = next(loaded)
                naive.step(pictures.to(device), its_labels.to(device))

        def barely() -> None:
            for _ in range(steps):
                bare.step(random_pictures, random_labels)

        found: dict[str, list[float]] = {"trainer": [], "naive": [], "bare": []}
        for number in range(rounds + 1):
            round_s = {"naive": seconds(naively, device), "bare": seconds(barely, device)}
            rare = seconds(sample, device) / (params.sample_every_kimg * 1000)
            rare += seconds(checkpoint, device) / (params.checkpoint_every_kimg * 1000)
            round_s["trainer"] = seconds(with_everything, device) + rare * steps * params.batch_size
            if number:  # the first round warms up
                for name, value in round_s.items():
                    found[name].append(steps * params.batch_size / value)
    return found


def _best_s(work: Callable[[], object], device: torch.device) -> float:
    return min(seconds(work, device) for _ in range(PEAK_TRIES))


def peaks(precision: str, device: torch.device) -> dict[str, float]:
    """Operations per second of one large matrix product, and of one large 3×3 convolution, forward and backward."""
    dtype = HALVES.get(precision, torch.float32)
    gpu = device.type == "cuda"
    side, map_side = (PEAK_MATRIX_OF_GPU, PEAK_SIDE_OF_GPU) if gpu else (PEAK_MATRIX, PEAK_SIDE)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    conv = torch.nn.Conv2d(PEAK_CHANNELS, PEAK_CHANNELS, 3, padding=1, bias=False, device=device, dtype=dtype)
    conv = conv.to(memory_format=torch.channels_last)
    entering = torch.randn(PEAK_BATCH, PEAK_CHANNELS, map_side, map_side, device=device, dtype=dtype)
    entering = entering.contiguous(memory_format=torch.channels_last).requires_grad_()
    leaving = torch.randn_like(entering)
    flops = 3 * 2 * PEAK_BATCH * map_side**2 * PEAK_CHANNELS**2 * 9
    return {
        "matrix product": 2 * side**3 / _best_s(lambda: left @ right, device),
        "convolution": flops / _best_s(lambda: conv(entering).backward(leaving), device),
    }


def shares_of_time(params: TrainParams, shape: PictureShape, categories: int, device: torch.device) -> dict[str, float]:
    """Share of CPU time of each of KINDS, and of the rest, in one period of the bare loop."""
    loop = PlainLoop(params, shape, categories, device, naive=False)
    pictures = torch.rand(params.batch_size, shape.channels, shape.height, shape.width) * 2 - 1
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(params.batch_size) % categories
    loop.step(pictures, labels)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(params.penalties.interval):
            loop.step(pictures, labels)
    spent: dict[str, float] = {}
    for row in profile.key_averages():
        kind = next((kind for kind, parts in KINDS.items() if any(part in row.key.lower() for part in parts)), "the rest")
        spent[kind] = spent.get(kind, 0.0) + row.self_cpu_time_total
    total = sum(spent.values())
    return {kind: time_us / total for kind, time_us in sorted(spent.items(), key=lambda item: -item[1])}


def where_the_time_goes(params: TrainParams, train: Path, images_per_s: float) -> str:
    """Operations per second compared with the machine's peak, and shares of time, as Markdown."""
    images, labels = read_split(train, "train")
    categories, device = len(read_card(train).categories), choose_device(params.device)
    precision = choose_precision(params.precision, device)
    trainer = Trainer(params, images, labels, categories, device)
    every = {"sample_every_kimg": params.sample_every_kimg, "checkpoint_every_kimg": params.checkpoint_every_kimg}
    flops = estimate_training(trainer, SAMPLE_NORM_BATCHES, **every).training_flops
    most = peaks(precision, device)
    rate = flops * images_per_s
    beside = ", ".join(f"{of / 1e9:.0f} of one large {name} ({rate / of:.0%})" for name, of in most.items())
    lines = [f"{flops / 1e6:.0f} million operations an image: {rate / 1e9:.0f} thousand million a second, beside {beside}."]
    if device.type == "cpu":
        shares = shares_of_time(params, PictureShape(*images.shape[1:]), categories, device)
        lines += ["", "| of the bare loop's time | share |", "|---|---|"]
        lines += [f"| {kind} | {share:.0%} |" for kind, share in shares.items()]
    return "\n".join(lines) + "\n"


def table(found: dict[str, list[float]]) -> str:
    """The medians and their ratios as Markdown."""
    middle = {name: statistics.median(values) for name, values in found.items()}
    spread = {name: f"{min(values):.0f} to {max(values):.0f}" for name, values in found.items()}
    titles = {"trainer": "this trainer, everything on", "naive": "naive loop", "bare": "bare loop, random tensors"}
    rows = [
        f"| {titles[name]} | {middle[name]:.0f} | {spread[name]} | {middle['trainer'] / middle[name]:.2f} |" for name in titles
    ]
    return "\n".join(["| loop | images/s | rounds | trainer is so many times |", "|---|---|---|---|", *rows]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, default=Path("data/train"))
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/training_speed.md"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=3200, help="images per loop and round")
    options = parser.parse_args()
    params = load_params(options.params).train
    if choose_device(params.device).type == "cpu":
        prepare_processor(params.threads)
    found = rates(params, options.train, rounds=options.rounds, images_a_round=options.images)
    text = f"{table(found)}\n{where_the_time_goes(params, options.train, statistics.median(found['trainer']))}"
    device = choose_device(params.device)
    batch, precision = params.batch_size, choose_precision(params.precision, device)
    where = f"{device.type}, {torch.get_num_threads()} threads, batch {batch}, {precision}; the naive loop fp32"
    content = f"# Training speed\n\n`python -m benchmarks.training_speed`; {where}.\n\n{text}"
    write_text(options.output, content)
    sys.stdout.write(content)


if __name__ == "__main__":
    main()
