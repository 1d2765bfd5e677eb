"""The cost of scores compared with clean-fid's and torch-fidelity's functions, and of features compared with the bare network.

    python -m benchmarks.metrics --train data/train

Everything runs on the CPU with `--threads` threads (scipy and numpy with OMP_NUM_THREADS). Features and images are random. The
other projects' commands download weights first, so their functions are called with our features. Differences from clean-fid
are measured in double precision; times are for single precision, as in evaluate.
"""

import argparse
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
from scipy.special import softmax
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from pipeline.gan.devices import choose_precision
from pipeline.inference.onnx_generator import onnx_session
from pipeline.metrics.classifier import accuracy, inception_score, train_classifier
from pipeline.metrics.extractors import BATCH, efflite0
from pipeline.metrics.frechet import frechet_distance, mean_and_covariance
from pipeline.metrics.kernel import draw_subsets, kernel_distances
from pipeline.metrics.manifold import build_manifold, overlap
from pipeline.params import load_params
from pipeline.storage.arrays import read_card, read_split

FEATURES = 1280
SUBSETS = 30
RATE_PICTURES = 2_000
CPU = torch.device("cpu")
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """The result of `work`, and its wall seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def best_of(work: Callable[[], Result], times: int = 2) -> tuple[Result, float]:
    """The result of `work`, and its shortest wall seconds; the first run includes loading."""
    runs = [timed(work) for _ in range(times)]
    return runs[0][0], min(seconds for _, seconds in runs)


def features(seed: int, count: int, dim: int) -> NDArray[np.float32]:
    """Rectified, correlated numbers (N, D), like pooled features."""
    numbers = np.random.default_rng(seed)
    mixing = np.random.default_rng(dim).standard_normal((dim, dim), dtype=np.float32) / dim**0.5
    return np.maximum(numbers.standard_normal((count, dim), dtype=np.float32) @ mixing + 0.05 * seed, 0)


def print_row(what: str, rival: str, ours_s: float, theirs_s: float, difference: float) -> None:
    """Print one row of the table of scores."""
    print(f"| {what} | {rival} | {ours_s:.2f} | {theirs_s:.2f} | {theirs_s / ours_s:.1f} | {difference:.1e} |", flush=True)


def frechet(pictures: int) -> None:
    """Compare the Fréchet distance with clean-fid's, which uses scipy's `sqrtm`."""
    for dim in (FEATURES, 2048):
        moments = [moment for seed in (0, 1) for moment in mean_and_covariance(features(seed, pictures, dim))]
        mine, ours_s = best_of(lambda moments=moments: frechet_distance(*moments))  # type: ignore[misc]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            expected, theirs_s = timed(lambda moments=moments: clean_fid.frechet_distance(*moments))  # type: ignore[misc]
        print_row(f"Fréchet distance, {dim} features", "clean-fid", ours_s, theirs_s, abs(mine / expected - 1))


def scores(pictures: int) -> None:
    """Compare the other scores with clean-fid's and torch-fidelity's on the same features."""
    real, samples = (features(seed, pictures, FEATURES) for seed in (0, 1))
    rows, others = torch.tensor(samples), torch.tensor(real)
    size = min(1000, pictures)
    drawn = draw_subsets((pictures, pictures), SUBSETS, size, 0)
    distances, ours_s = best_of(lambda: kernel_distances(real, samples, drawn))
    what = f"kernel distance, {SUBSETS} × {size:,} of {pictures:,}"
    np.random.seed(0)  # noqa: NPY002 clean-fid draws from it
    exact = clean_fid.kernel_distance(real.astype(np.float64), samples.astype(np.float64), SUBSETS, size)
    _, theirs_s = timed(lambda: clean_fid.kernel_distance(real, samples, SUBSETS, size))
    print_row(what, "clean-fid", ours_s, theirs_s, abs(distances.mean() / exact - 1))
    theirs, theirs_s = timed(
        lambda: kid_features_to_metric(rows, others, kid_subsets=SUBSETS, kid_subset_size=size, rng_seed=0, verbose=False)
    )
    expected = theirs["kernel_inception_distance_mean"]
    print_row(what, "torch-fidelity", ours_s, theirs_s, abs(distances.mean() / expected - 1))

    mine, ours_s = best_of(lambda: overlap(build_manifold(real, 3), build_manifold(samples, 3)).scores)
    theirs, theirs_s = timed(lambda: prc_features_to_metric(rows, others, prc_neighborhood=3, verbose=False))
    apart = max(abs(mine[kind] - theirs[kind]) for kind in ("precision", "recall"))
    print_row(f"precision, recall (ours: and density, coverage) of {pictures:,}", "torch-fidelity", ours_s, theirs_s, apart)

    logits = samples[:, :10] * 3
    score, ours_s = best_of(lambda: inception_score(softmax(logits, axis=1)))
    theirs, theirs_s = timed(lambda: isc_features_to_metric(torch.tensor(logits), splits=1, shuffle=False))
    print_row(
        "inception score, 10 categories", "torch-fidelity", ours_s, theirs_s, abs(score / theirs["inception_score_mean"] - 1)
    )


def rates(side_px: int, threads: int) -> tuple[float, float]:
    """Images per second of the bare network on a prepared batch, and of the extractor including resizing."""
    images = np.random.default_rng(0).integers(0, 256, (RATE_PICTURES, 32, 32, 1), dtype=np.uint8)
    batch = np.random.default_rng(0).uniform(0, 255, (BATCH, 3, side_px, side_px)).astype(np.float32)
    with TemporaryDirectory() as folder:
        exported = Path(folder) / "efflite0.onnx"
        extractor = efflite0(side_px, exported=exported, threads=threads, device=CPU)
        session = onnx_session(exported.read_bytes(), threads=threads, spin=False)
    extractor.features(images[:BATCH])
    session.run(None, {"pictures": batch})
    _, ours_s = best_of(lambda: extractor.features(images), 3)
    _, bare_s = best_of(lambda: [session.run(None, {"pictures": batch}) for _ in range(RATE_PICTURES // BATCH)], 3)
    return RATE_PICTURES // BATCH * BATCH / bare_s, RATE_PICTURES / ours_s


def extraction(sides_px: list[int], threads: int) -> None:
    """Compare the rates of the extractor and of the bare network."""
    print("| EfficientNet-Lite0 | bare network, images/s | extractor, images/s | share |\n|---|---|---|---|")
    for side_px in sides_px:
        bare, ours = rates(side_px, threads)
        print(f"| {side_px} px | {bare:.0f} | {ours:.0f} | {ours / bare:.2f} |", flush=True)


def classifier(train: Path, threads: int) -> None:
    """Print the cost and the accuracy of the classifier of params.yaml."""
    recipe = load_params(Path("params.yaml")).reference.classifier
    (images, labels), (unseen, wanted) = read_split(train, "reference_train"), read_split(train, "reference_test")
    categories = len(read_card(train).categories)
    cpu_start = time.process_time()
    trained, seconds = timed(
        lambda: train_classifier(
            images, labels, categories, **recipe.model_dump(), threads=threads, precision=choose_precision("auto", CPU)
        )
    )
    cpu_s = time.process_time() - cpu_start
    right = accuracy(trained.probabilities(unseen), wanted)
    print(f"Classifier: {seconds:.0f} s, {cpu_s:.0f} CPU-seconds, accuracy {right:.4f} on {len(wanted):,} test pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, help="data/train; without it the classifier is not measured")
    parser.add_argument("--pictures", type=int, default=10_000, help="in each of the two sets of features")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sides-px", type=int, nargs="+", default=[64, 112])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| score | beside | ours, s | theirs, s | times faster | relative difference |\n|---|---|---|---|---|---|")
    frechet(options.pictures)
    scores(options.pictures)
    print()
    extraction(options.sides_px, options.threads)
    if options.train:
        classifier(options.train, options.threads)


if __name__ == "__main__":
    main()
