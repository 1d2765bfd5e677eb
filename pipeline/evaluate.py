"""Measure the GAN against the reference set."""

import hashlib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from tqdm import tqdm

from pipeline.errors import InputError, ParamsError
from pipeline.gan.checkpoints import GeneratorCard, load_generator
from pipeline.gan.latents import draw_latents, labels_in_equal_shares
from pipeline.gan.sampling import pictures_of
from pipeline.gan.training import chosen_precision
from pipeline.metrics import classifier as classifiers
from pipeline.metrics import efflite0, extractors, judging, sheets
from pipeline.metrics.classifier import Classifier
from pipeline.metrics.extractors import Extractor
from pipeline.metrics.findings import Score, accuracy_on_real, entries_of
from pipeline.metrics.judging import Judged
from pipeline.metrics.neighbours import nearest
from pipeline.metrics.passport import library_versions
from pipeline.metrics.scores import ScoreSettings, reference_of, scores_of
from pipeline.params import EvaluateParams
from pipeline.store.arrays import DatasetCard, read_card, read_split, split_sha256
from pipeline.store.files import whole_file, whole_folder, write_json
from pipeline.store.tracking import Tracker

log = logging.getLogger(__name__)

DRAWN_AT_ONCE = 250


@dataclass(frozen=True)
class Split:
    """Real pictures (N, H, W, C), memory-mapped, and their labels (N,)."""

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sha256: str  # of the images' file

    def in_passport(self, pictures: int) -> dict[str, str | int]:
        """How so many pictures of this split stand in a passport."""
        return {"split": self.name, "sha256": self.sha256, "pictures": pictures}


@dataclass(frozen=True)
class RealPictures:
    """The reference, and the untouched training pictures, of which `floor_rows` stand in for samples."""

    test: Split
    train: Split
    floor_rows: NDArray[np.int64]


def code_of_extractors() -> str:
    """SHA-256 of the code that decides what features are."""
    sources = (classifiers.__file__, efflite0.__file__, extractors.__file__)
    return hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()


def chosen_device(wanted: str) -> torch.device:
    """The device of that name; for `auto` CUDA where there is one. Raises ParamsError."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ParamsError("evaluate.device: cuda, but torch sees no CUDA device; set it to auto or cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def real_split(train: Path, name: str) -> Split:
    """The split `name` of the data in `train`. Raises InputError when it has fewer than two pictures."""
    images, labels = read_split(train, name)
    if len(images) < 2:
        raise InputError(f"{train}: split {name} has {len(images)} pictures, evaluating needs 2; set curate.test_share")
    return Split(name, images, labels, split_sha256(train, name))


def real_pictures(train: Path, samples: int, seed: int) -> RealPictures:
    """What `samples` generated pictures are measured against. Raises InputError when there is too little."""
    test, real = real_split(train, "reference_test"), real_split(train, "reference_train")
    if len(test.images) < samples // 2:
        log.warning("only %d reference pictures for %d samples: distances are biased", len(test.images), samples)
    count = min(samples, len(real.images))
    return RealPictures(test, real, np.sort(np.random.default_rng(seed).choice(len(real.images), count, replace=False)))


def check_same_data(card: GeneratorCard, data: DatasetCard, samples: int) -> None:
    """Raise InputError when the generator is for other pictures, ParamsError when `samples` do not reach every category."""
    ours, theirs = ((x.height, x.width, x.channels, x.categories) for x in (data, card))
    if ours != theirs:
        raise InputError(
            f"the generator draws {theirs}, the data are {ours} (height, width, channels, categories); run train again"
        )
    if samples < 2 * len(data.categories):
        raise ParamsError(f"evaluate.samples: {samples} are fewer than 2 for each of {len(data.categories)} categories")


def drawn_samples(
    path: Path, generator: nn.Module, card: GeneratorCard, labels: NDArray[np.int64], seed: int
) -> NDArray[np.uint8]:
    """Generated pictures (N, H, W, C) of `labels` (N,), memory-mapped at `path`."""
    latents = draw_latents(seed, len(labels), card.latent_dim)
    shape = (len(labels), card.height, card.width, card.channels)
    pictures = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for start in tqdm(range(0, len(labels), DRAWN_AT_ONCE), desc="draw", unit_scale=DRAWN_AT_ONCE, unit="img", mininterval=1.0):
        here = slice(start, start + DRAWN_AT_ONCE)
        pictures[here] = pictures_of(generator, latents[here], labels[here], DRAWN_AT_ONCE)
    return pictures


def key_of(*parts: str) -> str:
    """Sixteen hex digits that change with any of `parts`."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def trained_classifier(
    params: EvaluateParams, real: Split, categories: int, device: torch.device, scratch: Path
) -> tuple[Classifier, str]:
    """The classifier of the `real` training pictures, from `scratch` where it was trained before, and its weights' SHA-256."""
    labels_sha256 = hashlib.sha256(real.labels.tobytes()).hexdigest()
    recipe = params.classifier.model_dump_json()
    key = key_of(recipe, real.sha256, labels_sha256, torch.__version__, device.type, str(params.threads), code_of_extractors())
    folder = scratch / f"classifier-{key}"
    if not folder.exists():
        trained = classifiers.train_classifier(
            real.images,
            real.labels,
            categories,
            **params.classifier.model_dump(),
            threads=params.threads,
            device=device,
            precision=chosen_precision("auto", device),
        )
        with whole_folder(folder) as partial:
            classifiers.save_classifier(partial, trained)
    # Read back even when just trained, so that both ways give the same bytes.
    return classifiers.load_classifier(folder, device), classifiers.classifier_sha256(folder)


def features_of(extractor: Extractor, split: Split, rows: NDArray[np.int64] | None, scratch: Path) -> NDArray[np.float32]:
    """Features of `split`, or of its `rows`, from `scratch` where they were computed before."""
    key = key_of(
        split.sha256,
        extractor.name,
        extractor.weights_sha256,
        f"{extractor.height_px}x{extractor.width_px}",
        extractor.resize_filter,
        extractor.runtime,
        str(library_versions()),
        code_of_extractors(),
        "all" if rows is None else hashlib.sha256(rows.tobytes()).hexdigest(),
    )
    path = scratch / f"features-{key}.npy"
    if not path.exists():
        features = extractor.features(split.images if rows is None else split.images[rows])
        with whole_file(path) as partial, partial.open("wb") as file:
            np.save(file, features)
    return np.load(path)


def settings_of(params: EvaluateParams) -> ScoreSettings:
    """What `params` say of the scores that need nothing but features."""
    return ScoreSettings(params.neighbours, params.kid_subsets, params.kid_subset_size, params.seed)


def generative_scores(
    extractor: Extractor,
    of_test: NDArray[np.float32],
    of_floor: NDArray[np.float32],
    samples: list[NDArray[np.float32]],
    real: RealPictures,
    settings: ScoreSettings,
) -> tuple[list[Score], NDArray[np.floating]]:
    """Scores of each repeat's features against `of_test`, beside those of `of_floor`; realism of the first repeat."""
    reference = reference_of(of_test, settings)
    floors, _ = scores_of(reference, of_floor, settings)
    repeats = [scores_of(reference, features, settings) for features in samples]
    pictures = real.train.in_passport(len(of_floor))
    scores = [Score(kind, extractor, [values[kind] for values, _ in repeats], floors[kind], pictures) for kind in floors]
    return scores, repeats[0][1]


@dataclass(frozen=True)
class Verdict:
    """What the classifier makes of the samples: scores over all repeats, and the first repeat and the test set one by one."""

    scores: list[Score]
    pictures: Judged
    realism: NDArray[np.floating]  # of `pictures`
    test: Judged


def verdict_of(
    classifier: Classifier,
    extractor: Extractor,
    samples: list[NDArray[np.uint8]],
    labels: NDArray[np.int64],
    real: RealPictures,
    params: EvaluateParams,
    scratch: Path,
) -> Verdict:
    """The verdict of `classifier`, which is also `extractor`, on each repeat's pictures with these `labels`."""
    trained_on = features_of(extractor, real.train, None, scratch)
    of_test = features_of(extractor, real.test, None, scratch)

    def judged(labels: NDArray[np.int64], features: NDArray[np.float32]) -> Judged:
        return Judged(
            labels, features, classifiers.probabilities_of(classifier.scores(features)), *nearest(features, trained_on)
        )

    features = [extractor.features(images) for images in samples]
    settings = settings_of(params)
    generative, realism = generative_scores(extractor, of_test, trained_on[real.floor_rows], features, real, settings)
    repeats, test = [judged(labels, of_repeat) for of_repeat in features], judged(real.test.labels, of_test)
    floors, *values = (judging.judged_scores(pictures, test, params.near_copy_quantile) for pictures in (test, *repeats))
    pictures = real.test.in_passport(len(of_test))
    scores = [Score(kind, extractor, [of_repeat[kind] for of_repeat in values], floors[kind], pictures) for kind in floors]
    return Verdict(generative + scores, repeats[0], realism, test)


def chosen_extractors(params: EvaluateParams, device: torch.device, scratch: Path) -> tuple[list[Extractor], dict[str, str]]:
    """The extractors trained on other pictures that are at hand, and the names of the scores that are not, with the reason."""
    weights = extractors.inception_weights(Path(params.inception_weights) if params.inception_weights else None)
    folder = scratch / f"exported-{code_of_extractors()[:16]}"
    lite = extractors.efflite0(params.efflite0_px, exported=folder, threads=params.threads, device=device)
    if isinstance(weights, str):
        return [lite], {"fid": weights}
    return [lite, extractors.inception(weights, device=device)], {}


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write `image` (H, W, 1 or 3) as PNG."""
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(path, format="PNG")


def write_evaluation(
    folder: Path,
    images: NDArray[np.uint8],
    verdict: Verdict,
    trained_on: NDArray[np.uint8],
    categories: list[str],
    params: EvaluateParams,
) -> None:
    """Fill `folder` with `images` of the first repeat, those `trained_on` that are nearest, and tables for plots."""
    pictures = verdict.pictures
    count, columns, labels = len(categories), params.pictures_per_category, pictures.labels
    save_png(folder / "grid.png", sheets.first_of_each(images, labels, count, columns))
    save_png(folder / "best_worst.png", sheets.best_and_worst(images, labels, count, columns, verdict.realism))
    closest = sheets.beside_their_nearest(
        images, labels, count, columns, trained_on, pictures.training_rows, pictures.training_distances
    )
    save_png(folder / "nearest.png", closest)
    table = judging.by_category(pictures, verdict.test, categories, params.near_copy_quantile)
    table.to_csv(folder / "per_category.csv", index=False, lineterminator="\n")
    judging.confusion(pictures, categories).to_csv(folder / "confusion.csv", index=False, lineterminator="\n")


def announce(entries: dict[str, dict[str, Any]], evaluation: Path, track: Tracker) -> None:
    """Log and track what was found."""
    for name, entry in entries.items():
        if "absent" in entry:
            log.warning("%s is absent: %s", name, entry["absent"])
            continue
        beside = f" (real: {entry['floor']:.4g})" if "floor" in entry else ""
        flag = f": {entry['flag']}" if "flag" in entry else ""
        log.info("%s %.4g ± %.2g%s%s", name, entry["value"], entry["plus_minus"], beside, flag)
    track.metrics({name: entry["value"] for name, entry in entries.items() if "value" in entry})
    track.metrics({f"floor_{name}": entry["floor"] for name, entry in entries.items() if "floor" in entry})
    for picture in sorted(evaluation.glob("*.png")):
        track.picture(picture, picture.stem)
    track.artifact(evaluation)


def run(
    params: EvaluateParams,
    *,
    train: Path,
    gan: Path,
    metrics: Path,
    scores: Path,
    evaluation: Path,
    scratch: Path,
    track: Tracker,
) -> None:
    """Write the numbers with their passports, the bare numbers, and the folder of pictures and tables.

    `scratch` keeps the classifier and the features of real pictures; the outputs are the same without it.
    """
    data, device = read_card(train), chosen_device(params.device)
    generator, card = load_generator(gan, device)
    check_same_data(card, data, params.samples)
    torch.set_num_threads(params.threads)
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    scratch.mkdir(parents=True, exist_ok=True)
    real = real_pictures(train, params.samples, params.seed)
    labels = labels_in_equal_shares(params.samples, len(data.categories))
    others, absent = chosen_extractors(params, device, scratch)
    classifier, weights_sha256 = trained_classifier(params, real.train, len(data.categories), device, scratch)
    log.info("classifier ready")
    own = extractors.of_classifier(classifier, weights_sha256)
    found: list[Score] = []
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        paths = [Path(folder) / f"{repeat}.npy" for repeat in range(params.repeats)]
        samples = [drawn_samples(path, generator, card, labels, params.seed + n) for n, path in enumerate(paths)]
        log.info("%d × %d samples drawn", params.repeats, params.samples)
        for extractor in others:
            of_test = features_of(extractor, real.test, None, scratch)
            of_floor = features_of(extractor, real.train, real.floor_rows, scratch)
            features = [extractor.features(images) for images in samples]
            found += generative_scores(extractor, of_test, of_floor, features, real, settings_of(params))[0]
            log.info("measured with %s", extractor.name)
        verdict = verdict_of(classifier, own, samples, labels, real, params, scratch)
        with whole_folder(evaluation) as partial:
            write_evaluation(partial, samples[0], verdict, real.train.images, data.categories, params)
    reference = real.test.in_passport(len(real.test.images))
    entries = entries_of(found + verdict.scores, params, reference)
    entries["class_accuracy_real"] = accuracy_on_real(verdict.test.right, own, reference)
    entries |= {name: {"absent": reason} for name, reason in absent.items()}
    write_json(scores, {name: entry["value"] for name, entry in entries.items() if "value" in entry})
    write_json(metrics, entries)
    announce(entries, evaluation, track)
