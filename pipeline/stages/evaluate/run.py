"""Measure the GAN against the reference set."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from pipeline.errors import InputError, ParamsError
from pipeline.gan.checkpoints import GeneratorCard, generator_sha256, load_generator
from pipeline.gan.devices import choose_device, device_name, prepare_device
from pipeline.gan.sampling import generate_images
from pipeline.imaging import category_sheets as sheets
from pipeline.imaging.contact_sheets import contact_sheet, save_png
from pipeline.imaging.neighbours import LookAlikeLimits
from pipeline.inference.latents import draw_latents, labels_in_equal_shares, spherical_walk
from pipeline.metrics import classifier as classifiers
from pipeline.metrics.bootstrap import deviation_of_mean
from pipeline.metrics.extractors import Extractor
from pipeline.metrics.memorisation import Closest, PerceptualHash, closest, prints_of
from pipeline.metrics.neighbours import nearest
from pipeline.metrics.path_length import path_lengths
from pipeline.metrics.reference_set import RealPictures, Reference, load_reference, real_pictures
from pipeline.metrics.scores import ScoreSettings, deviations_of, measure, statistics_of
from pipeline.stages.evaluate import judging
from pipeline.stages.evaluate.findings import Baseline, Score, accuracy_on_real, entries_of
from pipeline.stages.evaluate.judging import Diversity, Judged
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.storage.arrays import DatasetCard, check_dataset, read_card
from pipeline.storage.checksums import check_folder, write_sums
from pipeline.storage.files import whole_folder, write_json
from pipeline.tracking.progress import progress
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

DRAWN_AT_ONCE = 250
WALK_CORNERS = 3


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
    starts = range(0, len(labels), DRAWN_AT_ONCE)
    for start in progress(starts, len(labels), what="evaluate: samples", unit="pictures", step=DRAWN_AT_ONCE):
        here = slice(start, start + DRAWN_AT_ONCE)
        pictures[here] = generate_images(generator, latents[here], labels[here], DRAWN_AT_ONCE)
    return pictures


def walks_of(generator: nn.Module, card: GeneratorCard, steps: int, seed: int) -> NDArray[np.uint8]:
    """Pictures (categories * steps, H, W, C): for each category the same walk through latents, in `steps` steps."""
    walk = spherical_walk(draw_latents(seed, WALK_CORNERS, card.latent_dim), steps)
    categories = len(card.categories)
    return generate_images(generator, np.tile(walk, (categories, 1)), np.repeat(np.arange(categories), steps))


def settings_of(params: EvaluateParams) -> ScoreSettings:
    """What `params` say of the scores that need nothing but features."""
    return ScoreSettings(
        neighbours=params.neighbours,
        kid_subsets=params.kid_subsets,
        kid_subset_size=params.kid_subset_size,
        fd_counts=tuple(params.fd_counts),
        bootstraps=params.bootstraps,
        seed=params.seed,
    )


@dataclass(frozen=True)
class ExtractorScores:
    """How one extractor's features of the samples lie to those of the reference."""

    scores: list[Score]
    realism: NDArray[np.floating]  # of the first repeat
    fd_by_count: pd.DataFrame  # a row a count


def generative_scores(
    extractor: Extractor, samples: list[NDArray[np.float32]], known: Reference, real: RealPictures, params: EvaluateParams
) -> ExtractorScores:
    """Scores of each repeat's features against the reference, beside those of real training pictures and of noise."""
    settings, of_noise = settings_of(params), known.features(extractor, "noise")
    of_floor = known.features(extractor, "floor")[: params.samples]
    reference = statistics_of(known.features(extractor, "test"), settings)
    floor, ceiling, *repeats = (measure(reference, features, settings) for features in (of_floor, of_noise, *samples))
    deviations = deviations_of(reference, samples[0], repeats[0], settings)
    scores = [
        Score(
            kind,
            extractor,
            [repeat.values[kind] for repeat in repeats],
            Baseline(floor.values[kind], real.train.in_passport(len(of_floor))) if kind in floor.values else None,
            Baseline(ceiling.values[kind], known.noise) if kind in ceiling.values else None,
            deviations.get(kind),
        )
        for kind in repeats[0].values
    ]
    by_count = {count: [repeat.fd_by_count[count] for repeat in repeats] for count in repeats[0].fd_by_count}
    table = pd.DataFrame(
        {
            "extractor": extractor.name,
            "pictures": list(by_count),
            "fd": [np.mean(values) for values in by_count.values()],
            "plus_minus": [np.std(values, ddof=1) for values in by_count.values()],
            "floor": [floor.fd_by_count.get(count) for count in by_count],
        }
    )
    return ExtractorScores(scores, repeats[0].lying.realism, table)


@dataclass(frozen=True)
class Verdict:
    """What the classifier makes of the samples: scores over all repeats, and the first repeat and the test set one by one."""

    generative: ExtractorScores
    scores: list[Score]
    pictures: Judged
    test: Judged


def verdict_of(
    reference: Reference,
    samples: list[NDArray[np.uint8]],
    labels: NDArray[np.int64],
    real: RealPictures,
    params: EvaluateParams,
) -> Verdict:
    """The classifier's verdict on each repeat's pictures with these `labels`."""
    classifier, extractor = reference.classifier, reference.own
    trained_on, of_test, of_noise = (reference.features(extractor, of) for of in ("train", "test", "noise"))

    def judged(labels: NDArray[np.int64], features: NDArray[np.float32]) -> Judged:
        return Judged(
            labels, features, classifiers.probabilities_of(classifier.scores(features)), *nearest(features, trained_on)
        )

    features = [extractor.features(images) for images in samples]
    generative = generative_scores(extractor, features, reference, real, params)
    repeats, test = [judged(labels, of_repeat) for of_repeat in features], judged(real.test.labels, of_test)
    noise = judged(labels_in_equal_shares(len(of_noise), classifier.card.n_categories), of_noise)
    quantile = params.near_copy_quantile
    floors, ceilings, *values = (judging.judged_scores(pictures, test, quantile) for pictures in (test, noise, *repeats))
    deviations = judging.judged_deviations(repeats[0], test, quantile, params.bootstraps, params.seed)
    pictures = real.test.in_passport(len(of_test))
    scores = [
        Score(
            kind,
            extractor,
            [of_repeat[kind] for of_repeat in values],
            Baseline(floors[kind], pictures),
            Baseline(ceilings[kind], reference.noise),
            deviations[kind],
        )
        for kind in floors
    ]
    return Verdict(generative, scores, repeats[0], test)


def diversity_score(
    extractor: Extractor, samples: list[NDArray[np.float32]], labels: NDArray[np.int64], known: Reference, real: RealPictures
) -> Score:
    """Variety within a category by the features of each repeat, beside that of the test pictures."""
    categories, of_test = known.classifier.card.n_categories, known.features(extractor, "test")
    repeats = [Diversity.of(labels, features, categories) for features in samples]
    floor = Baseline(Diversity.of(real.test.labels, of_test, categories).value, real.test.in_passport(len(of_test)))
    return Score("diversity", extractor, [each.value for each in repeats], floor, bootstrap=repeats[0].deviation)


def memorised(
    samples: list[NDArray[np.uint8]], reference: Reference, real: RealPictures, params: EvaluateParams
) -> tuple[Score, Closest]:
    """Share of each repeat's pictures that look like a training picture, beside that of test pictures; the first's closest."""
    trained_on, of_test = reference.prints("train"), reference.prints("test")
    limits = LookAlikeLimits(params.look_alikes.max_distance_bits, params.look_alikes.max_thumbnail_difference)
    test, *repeats = (
        closest(prints, trained_on, limits.distance_bits) for prints in (of_test, *(prints_of(images) for images in samples))
    )
    score = Score(
        "look_alikes",
        PerceptualHash(),
        [float(repeat.within(limits).mean()) for repeat in repeats],
        Baseline(float(test.within(limits).mean()), real.test.in_passport(len(of_test))),
        bootstrap=deviation_of_mean(repeats[0].within(limits).astype(np.float64)),
    )
    return score, repeats[0]


def path_scores(generator: nn.Module, card: GeneratorCard, extractors: list[Extractor], params: EvaluateParams) -> list[Score]:
    """The perceptual path length by each extractor; none where none is asked for, or the latent is one number."""
    if not params.ppl_paths or card.latent_dim < 2:
        return []
    labels = labels_in_equal_shares(params.ppl_paths, len(card.categories))
    repeats = [path_lengths(generator, extractors, labels, card.latent_dim, params.seed + n) for n in range(params.repeats)]
    return [
        Score(
            "ppl",
            extractor,
            [float(lengths[extractor.name].mean()) for lengths in repeats],
            None,
            bootstrap=deviation_of_mean(repeats[0][extractor.name]),
        )
        for extractor in extractors
    ]


def write_evaluation(
    folder: Path,
    images: NDArray[np.uint8],
    verdict: Verdict,
    alike: Closest,
    trained_on: NDArray[np.uint8],
    categories: list[str],
    params: EvaluateParams,
) -> None:
    """Fill `folder` with `images` of the first repeat, those `trained_on` that are nearest, and tables for plots."""
    pictures = verdict.pictures
    count, columns, labels = len(categories), params.pictures_per_category, pictures.labels
    save_png(folder / "grid.png", sheets.first_of_each(images, labels, count, columns))
    save_png(folder / "best_worst.png", sheets.best_and_worst(images, labels, count, columns, verdict.generative.realism))
    nearest_by_features = sheets.beside_their_nearest(
        images, labels, count, columns, trained_on, pictures.training_rows, pictures.training_distances
    )
    save_png(folder / "nearest.png", nearest_by_features)
    save_png(
        folder / "look_alikes.png",
        sheets.beside_their_nearest(images, labels, count, columns, trained_on, alike.rows, alike.differences),
    )
    table = judging.by_category(pictures, verdict.test, categories, params.near_copy_quantile)
    table.to_csv(folder / "per_category.csv", index=False, lineterminator="\n")
    judging.confusion(pictures, categories).to_csv(folder / "confusion.csv", index=False, lineterminator="\n")


def announce(entries: dict[str, dict[str, Any]], evaluation: Path, track: Tracker) -> None:
    """Log and track what was found."""
    for name, entry in entries.items():
        if "absent" in entry:
            log.warning("%s is absent: %s", name, entry["absent"])
            continue
        marks = [f"{word}: {entry[key]:.4g}" for key, word in (("floor", "real"), ("ceiling", "noise")) if key in entry]
        told = f" ({', '.join(marks)})" if marks else ""
        log.info("%s %.4g ± %.2g%s", name, entry["value"], entry["plus_minus"], told)
        if "flag" in entry:
            log.warning("%s is %s", name, entry["flag"])
    track.metrics({name: entry["value"] for name, entry in entries.items() if "value" in entry})
    for beside in ("floor", "ceiling"):
        track.metrics({f"{beside}_{name}": entry[beside] for name, entry in entries.items() if beside in entry})
    for picture in sorted(evaluation.glob("*.png")):
        track.picture(picture, picture.stem)
    track.artifact(evaluation)


def run(
    params: EvaluateParams,
    *,
    train: Path,
    reference: Path,
    gan: Path,
    metrics: Path,
    scores: Path,
    evaluation: Path,
    track: Tracker,
) -> None:
    """Write the numbers with their passports, the bare numbers, and the folder of pictures and tables. Raises InputError."""
    check_dataset(train)
    check_folder(reference, "reference")
    check_folder(gan, "train")
    data, device = read_card(train), choose_device(params.device, "evaluate")
    generator, card = load_generator(gan, device)
    check_same_data(card, data, params.samples)
    track.tags({"device": device_name(device)})
    track.dataset(
        "reference_test", data.sha256["reference_test"], train, context="evaluation", profile=data.profile("reference_test")
    )
    prepare_device(device, params.threads)
    real = real_pictures(train)
    if len(real.test.images) < params.samples // 2:
        log.warning("only %d reference pictures for %d samples: distances are biased", len(real.test.images), params.samples)
    known = load_reference(reference, real, params.threads, device)
    labels = labels_in_equal_shares(params.samples, len(data.categories))
    found: list[ExtractorScores] = []
    others: list[Score] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{repeat}.npy" for repeat in range(params.repeats)]
        samples = [drawn_samples(path, generator, card, labels, params.seed + n) for n, path in enumerate(paths)]
        log.info("%d × %d samples drawn", params.repeats, params.samples)
        for extractor in known.pretrained:
            features = [extractor.features(images) for images in samples]
            found.append(generative_scores(extractor, features, known, real, params))
            others.append(diversity_score(extractor, features, labels, known, real))
            log.info("measured with %s", extractor.name)
        verdict = verdict_of(known, samples, labels, real, params)
        found.append(verdict.generative)
        look_alikes, alike = memorised(samples, known, real, params)
        others += [look_alikes, *path_scores(generator, card, [*known.pretrained, known.own], params)]
        in_passport = real.test.in_passport(len(real.test.images))
        scores_found = [*(score for each in found for score in each.scores), *verdict.scores, *others]
        entries = entries_of(scores_found, params, in_passport)
        entries["class_accuracy_real"] = accuracy_on_real(verdict.test.right, known.own, in_passport)
        entries |= {name: {"absent": reason} for name, reason in known.absent.items()}
        if card.condition == "none":
            absent = {"absent": "the generator is unconditional; nor do the numbers by category say anything"}
            entries |= {name: absent for name in entries if name.startswith("class_accuracy") and name != "class_accuracy_real"}
        write_json(scores, {name: entry["value"] for name, entry in entries.items() if "value" in entry})
        write_json(metrics, entries)
        with whole_folder(evaluation) as partial:
            write_evaluation(partial, samples[0], verdict, alike, real.train.images, data.categories, params)
            walks = walks_of(generator, card, params.pictures_per_category, params.seed)
            save_png(partial / "walks.png", contact_sheet(walks, params.pictures_per_category))
            by_count = pd.concat([each.fd_by_count for each in found])
            by_count.to_csv(partial / "fd_by_count.csv", index=False, lineterminator="\n")
            write_sums(partial, beside=[metrics, scores])
    announce(entries, evaluation, track)
    track.evaluated(metrics, generator_sha256(gan))
