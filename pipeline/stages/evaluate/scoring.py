"""All scores of the samples: by each extractor's features, by the classifier's answers, by hash, and along latent paths."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from pipeline.gan.checkpoints import GeneratorCard
from pipeline.imaging.neighbours import LookAlikeLimits
from pipeline.inference.latents import labels_in_equal_shares
from pipeline.metrics.extractors import Extractor
from pipeline.metrics.memorisation import Closest, PerceptualHash, find_closest, fingerprint
from pipeline.metrics.neighbours import nearest_neighbours
from pipeline.metrics.path_length import path_lengths
from pipeline.metrics.reference_set import RealImages, Reference
from pipeline.metrics.sampling_error import deviation_of_mean
from pipeline.metrics.scores import ScoreSettings, bootstrap_deviations, reference_statistics, score_samples
from pipeline.stages.evaluate.classification import Classified, Diversity, classifier_deviations, classifier_scores
from pipeline.stages.evaluate.entries import Baseline, Score
from pipeline.stages.evaluate.params import EvaluateParams


def score_settings(params: EvaluateParams) -> ScoreSettings:
    """The part of `params` that the scores of features depend on."""
    return ScoreSettings(
        neighbours=params.neighbours,
        kid_subsets=params.kid_subsets,
        kid_subset_size=params.kid_subset_size,
        fd_counts=tuple(params.fd_counts),
        bootstraps=params.bootstraps,
        seed=params.seed,
    )


@dataclass(frozen=True)
class ExtractorResults:
    """How one extractor's features of the samples compare with those of the reference."""

    scores: list[Score]
    realism: NDArray[np.floating]  # (N,), of the first repeat
    fd_by_count: pd.DataFrame  # one row per count


def score_with_extractor(
    extractor: Extractor, samples: list[NDArray[np.float32]], known: Reference, real: RealImages, params: EvaluateParams
) -> ExtractorResults:
    """Compare each repeat's features with the reference's; the floor is real training images, the ceiling noise."""
    settings, noise_features = score_settings(params), known.features(extractor, "noise")
    floor_features = known.features(extractor, "floor")[: params.samples]
    reference = reference_statistics(known.features(extractor, "test"), settings)
    floor, ceiling, *repeats = (
        score_samples(reference, features, settings) for features in (floor_features, noise_features, *samples)
    )
    deviations = bootstrap_deviations(reference, samples[0], repeats[0], settings)
    scores = [
        Score(
            kind,
            extractor,
            [repeat.values[kind] for repeat in repeats],
            Baseline(floor.values[kind], real.train.passport_entry(len(floor_features))) if kind in floor.values else None,
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
    return ExtractorResults(scores, repeats[0].overlap.realism, table)


@dataclass(frozen=True)
class ClassifierResults:
    """Scores by the classifier over all repeats, and its answers for the first repeat and for the test set."""

    by_features: ExtractorResults
    scores: list[Score]
    features: list[NDArray[np.float32]]  # (N, F) of each repeat
    samples: Classified
    test: Classified


def score_with_classifier(
    reference: Reference,
    samples: list[NDArray[np.uint8]],
    labels: NDArray[np.int64],
    real: RealImages,
    params: EvaluateParams,
) -> ClassifierResults:
    """Scores of each repeat's images with `labels` (N,): by the classifier's features and by its answers."""
    classifier, extractor = reference.classifier, reference.classifier_extractor
    train_features, test_features, noise_features = (reference.features(extractor, name) for name in ("train", "test", "noise"))

    def classify(labels: NDArray[np.int64], features: NDArray[np.float32]) -> Classified:
        probabilities = softmax(classifier.logits(features), axis=1)
        return Classified(labels, features, probabilities, *nearest_neighbours(features, train_features))

    sample_features = [extractor.features(images) for images in samples]
    by_features = score_with_extractor(extractor, sample_features, reference, real, params)
    repeats, test = [classify(labels, features) for features in sample_features], classify(real.test.labels, test_features)
    noise = classify(labels_in_equal_shares(len(noise_features), classifier.card.n_categories), noise_features)
    quantile = params.near_copy_quantile
    floors, ceilings, *values = (classifier_scores(images, test, quantile) for images in (test, noise, *repeats))
    deviations = classifier_deviations(repeats[0], test, quantile, params.bootstraps, params.seed)
    floor_images = real.test.passport_entry(len(test_features))
    scores = [
        Score(
            kind,
            extractor,
            [repeat[kind] for repeat in values],
            Baseline(floors[kind], floor_images),
            Baseline(ceilings[kind], reference.noise),
            deviations[kind],
        )
        for kind in floors
    ]
    return ClassifierResults(by_features, scores, sample_features, repeats[0], test)


def diversity_score(
    extractor: Extractor, samples: list[NDArray[np.float32]], labels: NDArray[np.int64], known: Reference, real: RealImages
) -> Score:
    """Diversity by the features of each repeat; the floor is the test images."""
    categories, test_features = known.classifier.card.n_categories, known.features(extractor, "test")
    repeats = [Diversity.of(labels, features, categories) for features in samples]
    floor_images = real.test.passport_entry(len(test_features))
    floor = Baseline(Diversity.of(real.test.labels, test_features, categories).value, floor_images)
    return Score("diversity", extractor, [repeat.value for repeat in repeats], floor, bootstrap=repeats[0].deviation)


def score_look_alikes(
    samples: list[NDArray[np.uint8]], reference: Reference, real: RealImages, params: EvaluateParams
) -> tuple[Score, Closest]:
    """Share of images that look like a training image (floor: the test images), and the closest ones to the first repeat."""
    train, test = reference.fingerprints("train"), reference.fingerprints("test")
    limits = LookAlikeLimits(params.look_alikes.max_distance_bits, params.look_alikes.max_thumbnail_difference)
    test_closest = find_closest(test, train, limits.distance_bits)
    repeats = [find_closest(fingerprint(images), train, limits.distance_bits) for images in samples]
    score = Score(
        "look_alikes",
        PerceptualHash(),
        [float(repeat.within(limits).mean()) for repeat in repeats],
        Baseline(float(test_closest.within(limits).mean()), real.test.passport_entry(len(test))),
        bootstrap=deviation_of_mean(repeats[0].within(limits).astype(np.float64)),
    )
    return score, repeats[0]


def score_path_length(
    generator: nn.Module, card: GeneratorCard, extractors: list[Extractor], params: EvaluateParams
) -> list[Score]:
    """The perceptual path length by each extractor; none if `ppl_paths` is 0 or the latent has one dimension."""
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
