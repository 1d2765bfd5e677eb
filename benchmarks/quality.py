"""Quality of the default recipe compared with a plain conditional DCGAN in the same CPU time, over several seeds.

    python -m benchmarks.quality --seeds 0 1 2 --jobs 2

One classifier, trained on the real training split as in `reference`, measures both: Fréchet distance, precision and recall of
its penultimate features, for 10,000 generated images against the test split, and the share of images that it assigns to the
requested category.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.gan.checkpoints import load_generator
from pipeline.gan.devices import choose_device
from pipeline.gan.networks.parts import Generator
from pipeline.gan.processor import prepare_processor
from pipeline.gan.recipe import DcganParams, PenaltyParams
from pipeline.gan.sampling import generate_images
from pipeline.gan.training import Trainer
from pipeline.imaging.contact_sheets import contact_sheet, enlarged, save_png
from pipeline.inference.latents import draw_latents, labels_in_equal_shares
from pipeline.metrics.classifier import Classifier, accuracy, train_classifier
from pipeline.metrics.frechet import frechet_distance_of_features
from pipeline.metrics.manifold import build_manifold, overlap
from pipeline.params import load_params
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.run import run
from pipeline.stages.train.training_loop import FINAL_NORM_BATCHES
from pipeline.storage.arrays import read_card, read_split
from pipeline.storage.files import write_json, write_text
from pipeline.tracking.tracker import Tracker

SAMPLES = 10_000
NEIGHBOURS = 3
SHEET_COLUMNS = 16
GOALS = "Goals: fd at most 1/8 of DCGAN's, precision ≥ 0.85, recall ≥ 0.70, class accuracy ≥ 0.91, 12 CPU-minutes."


@dataclass(frozen=True)
class Judgement:
    """The classifier's scores of generated images."""

    fd: float
    precision: float
    recall: float
    class_accuracy: float


@dataclass(frozen=True)
class Run:
    """One training run and its judgement."""

    recipe: str
    seed: int
    cpu_s: float
    images_seen: int
    judged: Judgement


class Judge:
    """Compares images with the test split by a classifier's features."""

    def __init__(self, classifier: Classifier, reference: NDArray[np.uint8]) -> None:
        self.classifier = classifier
        self.reference = classifier.features(reference)
        self.manifold = build_manifold(self.reference, NEIGHBOURS)

    def __call__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Judgement:
        features = self.classifier.features(images)
        shared = overlap(self.manifold, build_manifold(features, NEIGHBOURS)).scores
        return Judgement(
            fd=frechet_distance_of_features(self.reference, features),
            precision=shared["precision"],
            recall=shared["recall"],
            class_accuracy=accuracy(softmax(self.classifier.logits(features), axis=1), labels),
        )


def _cpu_seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def plain_dcgan(recipe: TrainParams) -> TrainParams:
    """A conditional DCGAN with its paper's settings, on the same device with the same precision and threads."""
    return recipe.model_copy(
        update={
            "network": DcganParams(
                name="dcgan", latent_dim=100, generator_width=64, discriminator_width=64, max_width=256, truncation=1.0
            ),
            "loss": "non-saturating",
            "penalties": PenaltyParams(r1_gamma=0.0, r2_gamma=0.0, gradient_penalty=0.0, interval=1, weight_clip=0.0),
            "mode_seeking": 0.0,
            "diffaugment": [],
            "batch_size": 64,
            "total_kimg": 1e9,  # stopped by the clock
            "generator_rate": 2e-4,
            "discriminator_rate": 2e-4,
            "beta1": 0.5,
            "beta2": 0.999,
            "decay_share": 0.0,
            "ema_half_life_kimg": 10.0,
        }
    )


def drawn(
    generator: Generator, latent_dim: int, seed: int, categories: int, samples: int = SAMPLES
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` images and labels in equal shares, from latents that were not used in training."""
    labels = labels_in_equal_shares(samples, categories)
    return generate_images(generator, draw_latents(10_000 + seed, samples, latent_dim), labels), labels


def drawn_by(trainer: Trainer, categories: int, samples: int = SAMPLES) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`drawn` by the current EMA generator, with recalibrated batch norm."""
    params = trainer.params
    average = trainer.recalibrated_average(FINAL_NORM_BATCHES)
    return drawn(average, params.network.latent_dim, params.seed, categories, samples)


def floor_of(judge: Judge, train: Path, samples: int = SAMPLES) -> Judgement:
    """The score of `count` random real training images."""
    images, labels = read_split(train, "reference_train")
    some = np.sort(np.random.default_rng(0).choice(len(images), min(samples, len(images)), replace=False))
    return judge(images[some], labels[some])


def _save_sheet(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    rows = [images[labels == category][:SHEET_COLUMNS] for category in np.unique(labels)]
    save_png(path, enlarged(contact_sheet(np.concatenate(rows), SHEET_COLUMNS), 2))


def judged_recipe(params: TrainParams, train: Path, judge: Judge, sheets: Path) -> Run:
    """The recipe, trained by the train stage and loaded from its files."""
    with TemporaryDirectory() as folder:
        gan, scratch = Path(folder) / "gan", Path(folder) / "scratch"
        cpu_s = _cpu_seconds(lambda: run(params, train=train, gan=gan, scratch=scratch, track=Tracker()))
        generator, card = load_generator(gan, choose_device(params.device))
    images, labels = drawn(generator, card.latent_dim, params.seed, len(card.categories))
    _save_sheet(sheets / f"recipe-{params.seed}.png", images, labels)
    return Run("recipe", params.seed, cpu_s, card.images_seen, judge(images, labels))


def judged_dcgan(params: TrainParams, train: Path, judge: Judge, sheets: Path, cpu_budget_s: float) -> list[Run]:
    """The DCGAN after `cpu_budget_s` of training: its weights, and their EMA with recalibrated batch norm."""
    images, labels = read_split(train, "train")
    categories = len(read_card(train).categories)
    trainer = Trainer(params, images, labels, categories, choose_device(params.device))
    start = time.process_time()
    while time.process_time() - start < cpu_budget_s:
        trainer.step()
    cpu_s = time.process_time() - start
    runs = []
    for name, generator in (
        ("DCGAN", trainer.generator),
        ("DCGAN, averaged", trainer.recalibrated_average(FINAL_NORM_BATCHES)),
    ):
        pictures, wanted = drawn(generator, params.network.latent_dim, params.seed, categories)
        _save_sheet(sheets / f"{name.replace(', ', '-').lower()}-{params.seed}.png", pictures, wanted)
        runs.append(Run(name, params.seed, cpu_s, trainer.images_seen, judge(pictures, wanted)))
    return runs


def judged_seed(recipe: TrainParams, train: Path, judge: Judge, sheets: Path) -> list[Run]:
    """The recipe, then the DCGAN, without anything else in the process."""
    prepare_processor(recipe.threads)
    ours = judged_recipe(recipe, train, judge, sheets)
    return [ours, *judged_dcgan(plain_dcgan(recipe), train, judge, sheets, ours.cpu_s)]


def _row(name: str, seed: str, cpu: str, images: str, judged: Judgement) -> str:
    return (
        f"| {name} | {seed} | {cpu} | {images} | {judged.fd:.2f} | {judged.precision:.3f} | {judged.recall:.3f} "
        f"| {judged.class_accuracy:.3f} |"
    )


def _row_of(one: Run) -> str:
    return _row(one.recipe, str(one.seed), f"{one.cpu_s:.0f}", f"{one.images_seen:,}", one.judged)


def _summary(runs: list[Run]) -> str:
    """Mean ± standard deviation of each score over the seeds."""
    parts = []
    for name, digits in (("fd", 2), ("precision", 3), ("recall", 3), ("class_accuracy", 3)):
        values = [getattr(run.judged, name) for run in runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        parts.append(f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}")
    return f"| {runs[0].recipe} | all | {statistics.mean(run.cpu_s for run in runs):.0f} | | {' | '.join(parts)} |"


def table(runs: list[Run], floor: Judgement) -> str:
    """All runs, their means, the floor, and the ratio of the distances, as Markdown."""
    lines = [
        "| recipe | seed | CPU-s | images seen | fd | precision | recall | class accuracy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    by_recipe: dict[str, list[Run]] = {}
    for one in runs:
        by_recipe.setdefault(one.recipe, []).append(one)
    for of_recipe in by_recipe.values():
        lines += map(_row_of, of_recipe)
        lines.append(_summary(of_recipe))
    lines.append(_row("real training pictures", "–", "–", "–", floor))
    mean_fd = {name: statistics.mean(one.judged.fd for one in of_recipe) for name, of_recipe in by_recipe.items()}
    ratios = [f"{mean_fd[name] / mean_fd['recipe']:.1f} ({name})" for name in mean_fd if name != "recipe"]
    summary = f"fd over the recipe's: {', '.join(ratios)}. The recipe's fd over the floor: {mean_fd['recipe'] / floor.fd:.1f}."
    return "\n".join([*lines, "", summary, "", GOALS]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, default=Path("data/train"))
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/quality.md"))
    parser.add_argument("--sheets", type=Path, default=Path("reports/benchmarks"), help="folder for sample sheets to look at")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time; each takes train.threads cores")
    options = parser.parse_args()
    params = load_params(options.params)
    prepare_processor(params.train.threads)
    images, labels = read_split(options.train, "reference_train")
    reference, reference_labels = read_split(options.train, "reference_test")
    categories = len(read_card(options.train).categories)
    classifier = train_classifier(
        images, labels, categories, threads=params.reference.threads, **params.reference.classifier.model_dump()
    )
    judge = Judge(classifier, reference)
    judge_accuracy = accuracy(classifier.probabilities(reference), reference_labels)
    floor = floor_of(judge, options.train)
    recipes = [params.train.model_copy(update={"seed": seed}) for seed in options.seeds]
    judged = partial(judged_seed, train=options.train, judge=judge, sheets=options.sheets)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        runs = []
        for of_seed in pool.map(judged, recipes):
            runs += of_seed
            # A seed takes half an hour: what is known is said, should the rest never come.
            sys.stdout.writelines(f"{_row_of(one)}\n" for one in of_seed)
            sys.stdout.flush()
    command = f"python -m benchmarks.quality --seeds {' '.join(map(str, options.seeds))} --jobs {options.jobs}"
    right = f"the judge is right about {judge_accuracy:.3f} of the real test pictures"
    content = f"# Quality\n\n`{command}`; {right}.\n\n{table(runs, floor)}"
    write_text(options.output, content)
    write_json(
        options.output.with_suffix(".json"),
        {"judge_accuracy": judge_accuracy, "floor": asdict(floor), "runs": [asdict(one) for one in runs]},
    )
    sys.stdout.write(content)


if __name__ == "__main__":
    main()
