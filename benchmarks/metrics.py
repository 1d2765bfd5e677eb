"""What measuring costs: distances beside clean-fid's own functions, features beside the bare network, the classifier.

    python -m benchmarks.metrics --train data/train

Everything runs on the CPU with `--threads` threads (clean-fid with as many as numpy takes). Features and pictures are
random. Differences are from clean-fid in double precision; single precision is what evaluate gives and what is timed.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch
from cleanfid import fid as clean_fid
from numpy.typing import NDArray

from pipeline.gan.training import chosen_precision
from pipeline.metrics.classifier import accuracy, train_classifier
from pipeline.metrics.extractors import BATCH, efflite0, onnx_session
from pipeline.metrics.frechet import frechet_distance, mean_and_covariance
from pipeline.metrics.kernel import kernel_distances
from pipeline.metrics.manifold import manifold_of, overlap
from pipeline.params import load_params
from pipeline.store.arrays import read_card, read_split

PICTURES = 10_000
FEATURES = 1280
SUBSETS = 30
RATE_PICTURES = 2_000
CPU = torch.device("cpu")
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What `work` returns, and its wall seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def features(seed: int, count: int, dim: int) -> NDArray[np.float32]:
    """Rectified, correlated numbers, as pooled features are (N, D)."""
    numbers = np.random.default_rng(seed)
    mixing = np.random.default_rng(dim).standard_normal((dim, dim), dtype=np.float32) / dim**0.5
    return np.maximum(numbers.standard_normal((count, dim), dtype=np.float32) @ mixing + 0.05 * seed, 0)


def told(what: str, ours_s: float, theirs_s: float, difference: float) -> None:
    """Print one row of the table of distances."""
    sys.stdout.write(f"| {what} | {ours_s:.2f} | {theirs_s:.2f} | {theirs_s / ours_s:.1f} | {difference:.1e} |\n")


def distances() -> None:
    """Print the Fréchet and the kernel distance beside clean-fid's."""
    sys.stdout.write("| distance | ours, s | clean-fid, s | times faster | relative difference |\n|---|---|---|---|---|\n")
    for dim in (FEATURES, 2048):
        moments = [moment for seed in (0, 1) for moment in mean_and_covariance(features(seed, PICTURES, dim))]
        mine, ours_s = timed(lambda moments=moments: frechet_distance(*moments))  # type: ignore[misc]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            expected, theirs_s = timed(lambda moments=moments: clean_fid.frechet_distance(*moments))  # type: ignore[misc]
        told(f"Fréchet, {dim} features", ours_s, theirs_s, abs(mine / expected - 1))
    real, samples = features(0, PICTURES, FEATURES), features(1, PICTURES, FEATURES)
    each, ours_s = timed(lambda: kernel_distances(real, samples, subsets=SUBSETS, subset_size=1000, seed=0))
    _, theirs_s = timed(lambda: clean_fid.kernel_distance(real, samples, SUBSETS))
    np.random.seed(0)  # noqa: NPY002 clean-fid draws from it
    exact = clean_fid.kernel_distance(real.astype(np.float64), samples.astype(np.float64), SUBSETS)
    told(f"kernel, {FEATURES} features, {SUBSETS} × 1,000 of {PICTURES:,}", ours_s, theirs_s, abs(each.mean() / exact - 1))


def manifolds() -> None:
    """Print what precision, recall, density and coverage take."""
    for dim in (128, FEATURES):
        sets = [features(seed, PICTURES, dim) for seed in (0, 1)]
        _, seconds = timed(lambda sets=sets: overlap(*(manifold_of(rows, 3) for rows in sets)))  # type: ignore[misc]
        sys.stdout.write(f"Precision, recall, density, coverage of 2 × {PICTURES:,} × {dim}: {seconds:.1f} s\n")


def rates(side_px: int, threads: int) -> tuple[float, float]:
    """Images per second of the bare network, on a batch that lies ready, and of the extractor, resizing and all."""
    images = np.random.default_rng(0).integers(0, 256, (RATE_PICTURES, 32, 32, 1), dtype=np.uint8)
    batch = np.random.default_rng(0).uniform(0, 255, (BATCH, 3, side_px, side_px)).astype(np.float32)
    with TemporaryDirectory() as folder:
        extractor = efflite0(side_px, exported=Path(folder), threads=threads, device=CPU)
        session = onnx_session(next(Path(folder).glob("*.onnx")), threads)
    extractor.of_batch(images[:BATCH])
    session.run(None, {"pictures": batch})
    _, ours_s = timed(lambda: extractor.features(images))
    _, bare_s = timed(lambda: [session.run(None, {"pictures": batch}) for _ in range(RATE_PICTURES // BATCH)])
    return RATE_PICTURES // BATCH * BATCH / bare_s, RATE_PICTURES / ours_s


def extraction(sides_px: list[int], threads: int) -> None:
    """Print the extractor's rate beside the bare network's."""
    sys.stdout.write("| EfficientNet-Lite0 | bare network, images/s | with resizing, images/s | share |\n|---|---|---|---|\n")
    for side_px in sides_px:
        bare, ours = rates(side_px, threads)
        sys.stdout.write(f"| {side_px} px | {bare:.0f} | {ours:.0f} | {ours / bare:.2f} |\n")


def classifier(train: Path, threads: int) -> None:
    """Print what the classifier of `params.yaml` costs and how often it is right."""
    recipe = load_params(Path("params.yaml")).reference.classifier
    (images, labels), (unseen, wanted) = read_split(train, "reference_train"), read_split(train, "reference_test")
    categories = len(read_card(train).categories)
    cpu_start = time.process_time()
    trained, seconds = timed(
        lambda: train_classifier(
            images, labels, categories, **recipe.model_dump(), threads=threads, precision=chosen_precision("auto", CPU)
        )
    )
    cpu_s = time.process_time() - cpu_start
    right = accuracy(trained.probabilities(unseen), wanted)
    sys.stdout.write(
        f"Classifier: {seconds:.0f} s, {cpu_s:.0f} CPU-seconds, accuracy {right:.4f} on {len(wanted):,} test pictures\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, help="data/train; without it the classifier is left out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sides-px", type=int, nargs="+", default=[64, 112])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    distances()
    manifolds()
    extraction(options.sides_px, options.threads)
    if options.train:
        classifier(options.train, options.threads)


if __name__ == "__main__":
    main()
