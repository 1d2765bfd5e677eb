"""Score the GAN's samples against the reference set."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError, ParamsError
from pipeline.gan.checkpoints import GeneratorCard, generator_sha256, load_generator
from pipeline.gan.devices import choose_device, device_name, prepare_device
from pipeline.gan.networks.parts import Generator
from pipeline.gan.sampling import OfCategories, generate_images
from pipeline.imaging import category_sheets as sheets
from pipeline.imaging.contact_sheets import contact_sheet, save_png
from pipeline.inference.latents import draw_latents, labels_in_shares, spherical_walk
from pipeline.metrics.contrast import EXTRACTOR
from pipeline.metrics.extractors import Extractor
from pipeline.metrics.memorisation import Closest
from pipeline.metrics.reference_set import (
    RealImages,
    Reference,
    as_measured,
    load_real_images,
    load_reference,
    reference_ground,
)
from pipeline.stages.evaluate.asked_attributes import AttributeMeter, asked_like_real, asked_sheets, unmeasured_entries
from pipeline.stages.evaluate.captions_recalled import refused_recall, score_recall
from pipeline.stages.evaluate.classification import confusion_table, scores_by_category
from pipeline.stages.evaluate.entries import Score, real_accuracy_entry, refused_entries, sampled_shares, score_entry
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.evaluate.scoring import (
    ClassifierResults,
    ExtractorResults,
    diversity_score,
    score_look_alikes,
    score_path_length,
    score_with_classifier,
    score_with_extractor,
)
from pipeline.storage.arrays import DatasetCard, check_dataset, read_attributes, read_card
from pipeline.storage.captions import has_captions, read_captions
from pipeline.storage.checksums import check_folder, write_sums
from pipeline.storage.files import whole_folder, write_json
from pipeline.tracking.progress import progress
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

BATCH = 250
MIN_PER_CATEGORY = 2  # samples, however rare the category is: a diversity takes two
WALK_CORNERS = 3


def check_same_data(card: GeneratorCard, data: DatasetCard, train: Path, samples: int) -> None:
    """Raise InputError if the generator was trained on other data, ParamsError if `samples` are too few for the categories."""
    if card.attributes and card.attributes != data.attributes:
        raise InputError("the generator was trained with other attributes than the data have; run train again")
    if card.text_encoder and not has_captions(train):
        raise InputError(
            "the generator was trained on captions, which the data lack; set augment.captions and run augment again"
        )
    ours, theirs = ((x.height, x.width, x.channels, x.categories) for x in (data, card))
    if ours != theirs:
        raise InputError(
            f"the generator draws {theirs}, the data are {ours} (height, width, channels, categories); run train again"
        )
    if samples < MIN_PER_CATEGORY * len(data.categories):
        raise ParamsError(f"evaluate.samples: {samples} are fewer than 2 for each of {len(data.categories)} categories")


def comparable_with_real(params: EvaluateParams, floor_pictures: int, categories: int) -> EvaluateParams:
    """`params` with no more samples than there are real images for the floor, but MIN_PER_CATEGORY for each category.

    The Fréchet distance falls with the number of images, so that more samples than that would look better than real images.
    """
    samples = max(min(params.samples, floor_pictures), MIN_PER_CATEGORY * categories)
    if samples == params.samples:
        return params
    log.warning(
        "%d samples in place of evaluate.samples, %d: there are no more training images to compare them with (at most "
        "reference.floor_pictures)",
        samples,
        params.samples,
    )
    counts = [count for count in params.fd_counts if count < samples]
    return params.model_copy(update={"samples": samples, "fd_counts": counts})


def draw_samples(
    path: Path,
    generator: Generator,
    card: GeneratorCard,
    labels: NDArray[np.int64],
    seed: int,
    attributes: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Generated images (N, H, W, C) with `labels` (N,) and `attributes` (N, A), memory-mapped at `path`."""
    latents = draw_latents(seed, len(labels), card.latent_dim)
    shape = (len(labels), card.height, card.width, card.channels)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    starts = range(0, len(labels), BATCH)
    for start in progress(starts, len(labels), what="evaluate: samples", unit="images", step=BATCH):
        batch = slice(start, start + BATCH)
        part = None if attributes is None else attributes[batch]
        images[batch] = generate_images(generator, latents[batch], labels[batch], BATCH, part)
    return images


def draw_walks(generator: Generator, card: GeneratorCard, steps: int, seed: int) -> NDArray[np.uint8]:
    """Images (categories · steps, H, W, C): the same walk through latents for each category."""
    walk = spherical_walk(draw_latents(seed, WALK_CORNERS, card.latent_dim), steps)
    categories = len(card.categories)
    return generate_images(generator, np.tile(walk, (categories, 1)), np.repeat(np.arange(categories), steps))


def write_evaluation(
    folder: Path,
    images: NDArray[np.uint8],
    results: ClassifierResults,
    look_alikes: Closest,
    training_images: NDArray[np.uint8],
    categories: list[str],
    params: EvaluateParams,
) -> None:
    """Write the contact sheets of the first repeat's `images` and the tables for plots into `folder`."""
    samples = results.samples
    layout = images, samples.labels, len(categories), params.pictures_per_category
    save_png(folder / "grid.png", sheets.first_of_each(*layout))
    save_png(folder / "best_worst.png", sheets.best_and_worst(*layout, results.by_features.realism))
    for name, rows, distances in (
        ("nearest", samples.training_rows, samples.training_distances),
        ("look_alikes", look_alikes.rows, look_alikes.differences),
    ):
        save_png(folder / f"{name}.png", sheets.beside_their_nearest(*layout, training_images, rows, distances))
    table = scores_by_category(samples, results.test, categories, params.near_copy_quantile)
    table.to_csv(folder / "per_category.csv", index=False, lineterminator="\n")
    confusion_table(samples, categories).to_csv(folder / "confusion.csv", index=False, lineterminator="\n")


def metrics_entries(
    scores: list[Score],
    results: ClassifierResults,
    known: Reference,
    real: RealImages,
    params: EvaluateParams,
    card: GeneratorCard,
) -> dict[str, dict[str, Any]]:
    """The content of metrics.json."""
    reference = real.test.passport_entry(len(real.test.images))
    categories = sampled_shares(results.samples.labels)
    entries = {score.name: score_entry(score, params, reference, categories) for score in scores}
    entries["class_accuracy_real"] = real_accuracy_entry(results.test.correct, known.classifier_extractor, reference)
    entries |= {name: {"absent": reason} for name, reason in known.absent.items()}
    if card.trained_through:
        entries |= refused_entries(card.trained_through)
    entries |= unmeasured_entries(card, entries) | refused_recall(card)
    if card.condition == "none":
        absent = {"absent": "the generator is unconditional; its scores by category mean nothing either"}
        entries |= {name: absent for name in entries if name.startswith("class_accuracy") and name != "class_accuracy_real"}
    return entries


def log_scores(entries: dict[str, dict[str, Any]], evaluation: Path, track: Tracker) -> None:
    """Log the scores and send them to MLflow."""
    for name, entry in entries.items():
        if "absent" in entry:
            log.warning("%s is absent: %s", name, entry["absent"])
            continue
        baselines = [f"{word}: {entry[key]:.4g}" for key, word in (("floor", "real"), ("ceiling", "noise")) if key in entry]
        suffix = f" ({', '.join(baselines)})" if baselines else ""
        log.info("%s %.4g ± %.2g%s", name, entry["value"], entry["plus_minus"], suffix)
        if "flag" in entry:
            log.warning("%s is %s", name, entry["flag"])
    track.metrics({name: entry["value"] for name, entry in entries.items() if "value" in entry})
    for baseline in ("floor", "ceiling"):
        track.metrics({f"{baseline}_{name}": entry[baseline] for name, entry in entries.items() if baseline in entry})
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
    """Write metrics.json, the bare values, and the folder of contact sheets and tables. Raises InputError and ParamsError."""
    check_dataset(train)
    check_folder(reference, "reference")
    check_folder(gan, "train")
    data, device = read_card(train), choose_device(params.device, "evaluate")
    generator, card = load_generator(gan, device)
    check_same_data(card, data, train, params.samples)
    track.tags({"device": device_name(device)})
    track.dataset(
        "reference_test", data.sha256["reference_test"], train, context="evaluation", profile=data.profile("reference_test")
    )
    prepare_device(device, params.threads)
    real = load_real_images(train, reference_ground(reference))
    ground = real.test.ground
    if len(real.test.images) < params.samples // 2:
        log.warning("only %d reference images for %d samples: distances are biased", len(real.test.images), params.samples)
    known = load_reference(reference, real, params.threads, device)
    params = comparable_with_real(params, len(known.features(known.classifier_extractor, "floor")), len(data.categories))
    shares = np.bincount(real.test.labels, minlength=len(data.categories)) / len(real.test.labels)
    labels = labels_in_shares(params.samples, shares, MIN_PER_CATEGORY)
    by_extractor: list[ExtractorResults] = []
    other_scores: list[Score] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{repeat}.npy" for repeat in range(params.repeats)]
        asked = asked_like_real(card, train, labels, real, params)
        drawn = [
            draw_samples(path, generator, card, labels, params.seed + n, flags)
            for n, (path, flags) in enumerate(zip(paths, asked, strict=True))
        ]
        samples = [as_measured(images, ground, Path(folder) / f"{n}-measured.npy") for n, images in enumerate(drawn)]
        log.info("%d × %d samples drawn", params.repeats, params.samples)

        def recall_by(extractor: Extractor, features: list[NDArray[np.float32]]) -> Score:
            texts, captions = [rows for rows in asked if rows is not None], read_captions(train, "reference_test")
            real_features = known.features(extractor, "test")
            return score_recall(reference, extractor.name, features, texts, real_features, captions, real, params)

        impartial = [extractor for extractor in known.pretrained if extractor.name != card.trained_through]
        for extractor in impartial:
            features = [extractor.features(images) for images in samples]
            by_extractor.append(score_with_extractor(extractor, features, known, real, params))
            other_scores.append(diversity_score(extractor, features, labels, known, real))
            if extractor.name == EXTRACTOR and card.text_dim:
                other_scores.append(recall_by(extractor, features))
            log.info("measured with %s", extractor.name)
        results = score_with_classifier(known, samples, labels, real, params)
        if card.text_dim:
            other_scores.append(recall_by(known.classifier_extractor, results.features))
        by_extractor.append(results.by_features)
        look_alike_score, look_alikes = score_look_alikes(samples, known, real, params)
        extractors = [*impartial, known.classifier_extractor]
        measured = OfCategories(generator, ground)
        other_scores += [look_alike_score, *score_path_length(measured, card, extractors, params)]
        all_scores = [*(score for one in by_extractor for score in one.scores), *results.scores, *other_scores]
        if card.attributes:
            meter = AttributeMeter(known, card, ground, params)
            flags_of_real = read_attributes(train, "reference_test")
            all_scores += meter.scores(generator, labels, drawn, asked, real, flags_of_real)
        entries = metrics_entries(all_scores, results, known, real, params, card)
        write_json(scores, {name: entry["value"] for name, entry in entries.items() if "value" in entry})
        write_json(metrics, entries)
        with whole_folder(evaluation) as partial:
            write_evaluation(partial, drawn[0], results, look_alikes, real.train.images, data.categories, params)
            walks = draw_walks(generator, card, params.pictures_per_category, params.seed)
            save_png(partial / "walks.png", contact_sheet(walks, params.pictures_per_category))
            for name, sheet in asked_sheets(generator, card, params.seed).items():
                save_png(partial / f"asked_{name}.png", sheet)
            by_count = pd.concat([one.fd_by_count for one in by_extractor])
            by_count.to_csv(partial / "fd_by_count.csv", index=False, lineterminator="\n")
            write_sums(partial, beside=[metrics, scores])
    log_scores(entries, evaluation, track)
    track.evaluated(metrics, generator_sha256(gan))
