"""The default recipe compared with DCGAN as in PyTorch's example: how long ours takes to reach its quality after half an hour.

    python -m benchmarks.public_recipe --minutes 30

The example's settings (Radford et al. 2016): 64×64, all garments together, Adam (2e-4, 0.5), batch 64, binary cross-entropy,
weights from N(0, 0.02), images through Pillow and a DataLoader, fp32. Its images are measured after reduction to our size; the
score of real images after the same reduction shows what that costs. Both use the same number of threads. Scoring is not timed.

lightweight-gan, the other popular recipe, does not start without CUDA.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.quality import SAMPLES, Judge, Judgement, drawn_by
from pipeline.gan.devices import choose_device
from pipeline.gan.processor import prepare_processor
from pipeline.gan.training import Trainer
from pipeline.metrics.classifier import load_classifier
from pipeline.params import load_params
from pipeline.stages.train.training_loop import crosses_interval
from pipeline.storage.arrays import read_card, read_split
from pipeline.storage.files import write_text

SIDE_PX, LATENT_DIM, WIDTH, BATCH, RATE, BETA1 = 64, 100, 64, 64, 2e-4, 0.5
OURS_EVERY_KIMG = 2.0  # between two looks at whether it is as good


def _resized(picture: NDArray[np.uint8], side_px: int) -> Image.Image:
    grey = picture.shape[2] == 1
    return Image.fromarray(picture[:, :, 0] if grey else picture).resize((side_px, side_px), Image.Resampling.BILINEAR)


class _Pictures(Dataset[Tensor]):
    def __init__(self, images: NDArray[np.uint8]) -> None:
        middle = (0.5,) * images.shape[3]
        self.images = images
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(middle, middle)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(_resized(self.images[index], SIDE_PX))


def _generator(channels: int) -> nn.Module:
    widths = [WIDTH * 8, WIDTH * 4, WIDTH * 2, WIDTH]
    layers: list[nn.Module] = [nn.ConvTranspose2d(LATENT_DIM, widths[0], 4, 1, 0, bias=False)]
    for before, after in pairwise(widths):
        layers += [nn.BatchNorm2d(before), nn.ReLU(True), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
    last = nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=False)
    return nn.Sequential(*layers, nn.BatchNorm2d(widths[-1]), nn.ReLU(True), last, nn.Tanh())


def _discriminator(channels: int) -> nn.Module:
    widths = [WIDTH, WIDTH * 2, WIDTH * 4, WIDTH * 8]
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False), nn.Flatten(0))


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class ExampleLoop:
    """The example's networks, and its training step on images from a DataLoader."""

    def __init__(self, images: NDArray[np.uint8], seed: int) -> None:
        torch.manual_seed(seed)
        channels = images.shape[3]
        self.generator = _generator(channels).apply(_draw_weights)
        self.discriminator = _discriminator(channels).apply(_draw_weights)
        self.optimisers = [
            torch.optim.Adam(network.parameters(), RATE, (BETA1, 0.999)) for network in (self.generator, self.discriminator)
        ]
        self.loader = DataLoader(_Pictures(images), BATCH, shuffle=True, drop_last=True)
        self.images_seen = 0

    def steps(self) -> Iterator[None]:
        """Yield after each training step, endlessly."""
        loss, (of_generator, of_discriminator) = nn.BCEWithLogitsLoss(), self.optimisers
        ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)
        while True:
            for real in self.loader:
                fake = self.generator(torch.randn(BATCH, LATENT_DIM, 1, 1))
                of_discriminator.zero_grad()
                loss(self.discriminator(real), ones).backward()
                loss(self.discriminator(fake.detach()), zeros).backward()
                of_discriminator.step()
                of_generator.zero_grad()
                loss(self.discriminator(fake), ones).backward()
                of_generator.step()
                self.images_seen += BATCH
                yield

    def pictures(self, count: int, side_px: int) -> NDArray[np.uint8]:
        """`count` samples (N, side_px, side_px, C) with batch norm in training mode, as in the example."""
        latents = torch.randn(count, LATENT_DIM, 1, 1, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            drawn = [self.generator(some).mul(127.5).add(127.5).round().byte() for some in latents.split(BATCH * 4)]
        large = torch.cat(drawn).permute(0, 2, 3, 1).numpy()
        small = np.stack([np.asarray(_resized(picture, side_px)) for picture in large])
        return small.reshape(count, side_px, side_px, -1)


def example(images: NDArray[np.uint8], judge: Judge, minutes: float, looks: int) -> Iterator[tuple[float, int, Judgement]]:
    """(seconds of training, images seen, samples) at equal intervals, the last after `minutes`."""
    loop, side_px, unknown = ExampleLoop(images, seed=0), images.shape[1], np.zeros(SAMPLES, np.int64)
    steps, spent_s = loop.steps(), 0.0
    for look in range(1, looks + 1):
        clock = time.perf_counter()
        while spent_s + time.perf_counter() - clock < 60 * minutes * look / looks:
            next(steps)
        spent_s += time.perf_counter() - clock
        yield spent_s, loop.images_seen, judge(loop.pictures(SAMPLES, side_px), unknown)


def ours(trainer: Trainer, judge: Judge, categories: int, fd: float) -> tuple[float, int, Judgement]:
    """(seconds of training, images seen, samples) when the Fréchet distance first reaches `fd`, or at the end."""
    spent_s, clock = 0.0, time.perf_counter()
    for before, after in trainer.steps():
        if crosses_interval(before, after, OURS_EVERY_KIMG) or after == trainer.total_images:
            spent_s += time.perf_counter() - clock
            judged = judge(*drawn_by(trainer, categories))
            if judged.fd <= fd:
                break
            clock = time.perf_counter()
    return spent_s, trainer.images_seen, judged


def _row(name: str, spent_s: float, seen: int, judged: Judgement) -> str:
    return (
        f"| {name} | {spent_s / 60:.1f} | {seen:,} | {seen / spent_s:.0f} | {judged.fd:.2f} "
        f"| {judged.precision:.3f} | {judged.recall:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, default=Path("data/train"))
    parser.add_argument("--reference", type=Path, default=Path("models/reference"), help="folder of the classifier")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the example's training (default: 30)")
    parser.add_argument("--looks", type=int, default=6, help="how often the example is judged (default: 6)")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/public_recipe.md"))
    options = parser.parse_args()
    params = load_params(options.params).train
    prepare_processor(params.threads)
    judge = Judge(load_classifier(options.reference), read_split(options.train, "reference_test")[0])
    images, labels = read_split(options.train, "train")
    categories, side_px = len(read_card(options.train).categories), images.shape[1]
    real, real_labels = read_split(options.train, "reference_train")
    real, real_labels = real[:SAMPLES], real_labels[:SAMPLES]
    there_and_back = [
        _resized(np.asarray(_resized(picture, SIDE_PX)).reshape(SIDE_PX, SIDE_PX, -1), side_px) for picture in real
    ]
    floors = {
        "real training pictures": judge(real, real_labels),
        "the same, enlarged and reduced": judge(
            np.stack([np.asarray(one) for one in there_and_back]).reshape(real.shape), real_labels
        ),
    }
    rows = []
    for spent_s, seen, judged in example(images, judge, options.minutes, options.looks):
        rows.append(_row("PyTorch's DCGAN example", spent_s, seen, judged))
        sys.stdout.write(f"{rows[-1]}\n")
        sys.stdout.flush()
    trainer = Trainer(params, images, labels, categories, choose_device(params.device))
    spent_s, seen, ours_judged = ours(trainer, judge, categories, judged.fd)
    rows.append(_row("the default recipe", spent_s, seen, ours_judged))
    rows += [
        f"| {name} | | | | {floor.fd:.2f} | {floor.precision:.3f} | {floor.recall:.3f} |" for name, floor in floors.items()
    ]
    command = f"python -m benchmarks.public_recipe --minutes {options.minutes:g}"
    content = [
        "# Beside a public recipe",
        "",
        f"`{command}`, {params.threads} threads, 10,000 pictures judged by the classifier of the stage `reference`.",
        "",
        "| recipe | minutes | images seen | images/s | fd | precision | recall |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    write_text(options.output, "\n".join(content) + "\n")
    sys.stdout.write("\n".join(content) + "\n")


if __name__ == "__main__":
    main()
