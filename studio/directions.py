"""Directions of latent space that change one thing about a garment, and what else they change.

Found without labels: the closed form of SeFa (Shen & Zhou 2021, equation 5) on the layers that latents enter, and the principal
components of an early activation, regressed on latents (GANSpace, Härkönen et al. 2020, section 3.2). Found with labels: ridge
regression on latents, within a category, of measured attributes and of the judge's logits for other categories. All directions
are unit vectors; amounts are in standard deviations of the latents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import BATCH, as_images
from pipeline.inference.transparency import on_ground
from studio.measures import MEASURES, SEEN_ON, measure
from studio.model import Generator

SAMPLES = 1024
EFFECT_SAMPLES = 64
EFFECT_AMOUNT = 2.0
PER_KIND = 6
MAX_LIKENESSES = 4  # directions towards other categories
MIN_EXPLAINED = 0.15  # share of an attribute's variance, on held-out samples; below it a slider would promise too much
MIN_OWN_EFFECT = 0.5  # effect of a measured or classified direction on the attribute it was fitted to
FIT_SEED, EFFECT_SEED = 7, 8

Kind = Literal["measured", "classified", "activation", "closed-form"]


@dataclass(frozen=True)
class Direction:
    """A direction and the effects of moving along it."""

    name: str  # `measured-sleeve`, `classified-6`, `activation-2`, `closed-form-1`
    kind: Kind
    title: str  # shown until somebody names the direction
    vector: NDArray[np.float32]  # (D,), length 1
    explained: float  # share of the variance of the attribute or layer
    effects: dict[str, float]  # change of each measure from -2 to +2, in that measure's standard deviations
    strength: float  # mean absolute change of a pixel from -2 to +2, grey levels


@dataclass(frozen=True)
class Samples:
    """Drawn and measured garments of one category."""

    latents: NDArray[np.float32]  # (N, D)
    pictures: NDArray[np.uint8]  # (N, H, W, C)
    measures: dict[str, NDArray[np.float32]]  # (N,) each
    likenesses: dict[str, NDArray[np.float32]]  # (N,) each, to other categories; empty without a judge


def likeness_name(label: int) -> str:
    """The name, among the measures, of the likeness to a category."""
    return f"classified-{label}"


def likeness_title(category: str) -> str:
    """The title of the likeness to `category`."""
    return f"Like {category}"


def likenesses(generator: Generator, pictures: NDArray[np.uint8], label: int) -> dict[str, NDArray[np.float32]]:
    """The judge's logits of every other category minus that of `label`, for `pictures` (N, H, W, C)."""
    if generator.judge is None:
        return {}
    scores = generator.judge.scores(pictures)
    return {likeness_name(other): scores[:, other] - scores[:, label] for other in range(scores.shape[1]) if other != label}


def draw_samples(generator: Generator, label: int, count: int = SAMPLES) -> Samples:
    """`count` measured garments of category `label`; always the same ones."""
    latents = draw_latents(FIT_SEED, count, generator.card.latent_dim)
    pictures = as_images(generator.draw_category(latents, label))
    return Samples(latents, pictures, measure(pictures), likenesses(generator, pictures, label))


def closed_form(jacobian: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The `count` unit directions (K, D) that the layers with `jacobian` (O, D) amplify most, and their shares of the sum."""
    values, vectors = np.linalg.eigh(jacobian.T @ jacobian)
    order = np.argsort(values)[::-1][:count]
    return vectors[:, order].T, values[order] / max(values.sum(), 1e-12)


def activation_directions(
    latents: NDArray[np.float32], activations: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit directions (K, D) of the principal components of `activations` (N, F), and their shares of variance."""
    centred = activations - activations.mean(axis=0)
    variances, coordinates = np.linalg.eigh((centred @ centred.T).astype(np.float64))  # N < F
    order = np.argsort(variances)[::-1][:count]
    vectors = coordinates[:, order].T @ latents  # least squares: the coordinates are orthonormal
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12), variances[order] / max(variances.sum(), 1e-12)


def regress_direction(latents: NDArray[np.float32], values: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Unit direction (D,) along which `values` (N,) increase, and the share of variance it explains on a held-out quarter."""
    fitted = len(latents) * 3 // 4
    z, target = latents[:fitted].astype(np.float64), values[:fitted].astype(np.float64)
    penalty = 0.01 * fitted * np.eye(latents.shape[1])
    weights = np.linalg.solve(z.T @ z + penalty, z.T @ (target - target.mean()))
    rest = values[fitted:] - target.mean()
    left = rest - latents[fitted:] @ weights
    explained = 1 - float((left**2).sum() / max((rest**2).sum(), 1e-12))
    return weights / max(float(np.linalg.norm(weights)), 1e-12), explained


def explained_along(vector: NDArray[np.float64], latents: NDArray[np.float32], values: NDArray[np.float32]) -> float:
    """The share of the variance of `values` (N,) that moving along `vector` (D,) explains on the held-out quarter.

    One number is fitted, on the other three: the slope along `vector`.
    """
    fitted = len(latents) * 3 // 4
    along = latents @ vector
    middle, mean = along[:fitted].mean(), values[:fitted].mean()
    centred, rest = along[:fitted] - middle, values[fitted:] - mean
    slope = float(centred @ (values[:fitted] - mean) / max(float(centred @ centred), 1e-12))
    left = rest - slope * (along[fitted:] - middle)
    return 1 - float((left**2).sum() / max(float((rest**2).sum()), 1e-12))


def orthogonalised(vector: NDArray[np.float64], others: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The unit vector (D,) along the part of `vector` orthogonal to `others`; Shen et al. 2020, section 3.3."""
    if not others:
        return vector
    span, _ = np.linalg.qr(np.stack(others, axis=1))
    rest = vector - span @ (span.T @ vector)
    return rest / max(float(np.linalg.norm(rest)), 1e-12)


def _early_layers(
    generator: Generator, latents: NDArray[np.float32], label: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Outputs (N, O) of the layers that latents enter, and an early activation (N, F)."""
    labels = np.full(len(latents), label)
    rows = [slice(start, start + BATCH) for start in range(0, len(latents), BATCH)]
    parts = [generator.early_layers.run(None, {"latents": latents[part], "labels": labels[part]}) for part in rows]
    entered, activation = (np.concatenate(outputs) for outputs in zip(*parts, strict=True))
    return entered, activation


def measure_effects(
    generator: Generator, label: int, vector: NDArray[np.float32], spreads: dict[str, float]
) -> tuple[dict[str, float], float]:
    """`effects_between` the two ends of `vector` (D,), at -2 and +2."""
    latents = effect_latents(generator)
    ends = [as_images(generator.draw_category(latents + side * EFFECT_AMOUNT * vector, label)) for side in (-1, 1)]
    return effects_between(generator, label, ends, spreads)


def effect_latents(generator: Generator) -> NDArray[np.float32]:
    """The latents (N, D) of the garments on which effects are measured."""
    return draw_latents(EFFECT_SEED, EFFECT_SAMPLES, generator.card.latent_dim)


def spreads_of(samples: Samples) -> dict[str, float]:
    """The standard deviation of each measure and likeness over `samples`."""
    return {name: float(values.std()) for name, values in (samples.measures | samples.likenesses).items()}


def effects_between(
    generator: Generator, label: int, ends: Sequence[NDArray[np.uint8]], spreads: dict[str, float]
) -> tuple[dict[str, float], float]:
    """Change of each measure between two `ends` (N, H, W, C), relative to `spreads`, and the mean absolute change of a pixel.

    The ends are the same garments of category `label`, moved one way and the other.
    """
    before, after = (measure(end) | likenesses(generator, end, label) for end in ends)
    changes = {name: float((after[name] - before[name]).mean() / max(spread, 1e-6)) for name, spread in spreads.items()}
    seen = [on_ground(end, SEEN_ON) for end in ends]
    return changes, float(np.abs(seen[1].astype(np.int16) - seen[0]).mean())


@dataclass(frozen=True)
class _Candidate:
    """A direction whose effects are not measured yet."""

    kind: Kind
    name: str
    title: str
    vector: NDArray[np.float64]  # (D,)
    explained: float


def _measured(samples: Samples) -> list[_Candidate]:
    """Directions of measured attributes, best explained first, each orthogonal to the others.

    What one explains is counted after it was made orthogonal to those that the regression explains better.
    """
    fitted = [
        (*regress_direction(samples.latents, values), name) for name, values in samples.measures.items() if values.std() > 1e-6
    ]
    fitted = sorted((one for one in fitted if one[1] >= MIN_EXPLAINED), key=lambda one: -one[1])
    kept: list[_Candidate] = []
    for regressed, _, name in fitted:
        vector = orthogonalised(regressed, [one.vector for one in kept])
        explained = explained_along(vector, samples.latents, samples.measures[name])
        if explained >= MIN_EXPLAINED:
            kept.append(_Candidate("measured", f"measured-{name}", MEASURES[name], vector, explained))
    return sorted(kept, key=lambda one: -one.explained)


def _classified(generator: Generator, samples: Samples) -> list[_Candidate]:
    """Directions towards other categories, best explained first.

    They are not orthogonalised: when a shirt becomes a coat, its sleeves must change.
    """
    fitted = [(*regress_direction(samples.latents, values), name) for name, values in samples.likenesses.items()]
    fitted = sorted((one for one in fitted if one[1] >= MIN_EXPLAINED), key=lambda one: -one[1])[:MAX_LIKENESSES]
    categories = generator.card.categories
    return [
        _Candidate("classified", name, likeness_title(categories[int(name.rpartition("-")[2])]), vector, explained)
        for vector, explained, name in fitted
    ]


def _unsupervised(generator: Generator, label: int, samples: Samples) -> Iterator[_Candidate]:
    """Directions of an early activation and of the layers that latents enter."""
    if generator.early_layers is None:
        return
    _, activations = _early_layers(generator, samples.latents, label)
    found = zip(*activation_directions(samples.latents, activations, PER_KIND), strict=True)
    for n, (vector, share) in enumerate(found, start=1):
        yield _Candidate("activation", f"activation-{n}", f"Principal {n}", vector, float(share))
    # The layers are linear, so one difference from 0 is their exact derivative.
    dim = generator.card.latent_dim
    probes = np.concatenate([np.zeros((1, dim), np.float32), np.eye(dim, dtype=np.float32)])
    entered = _early_layers(generator, probes, label)[0].astype(np.float64)
    found = zip(*closed_form((entered[1:] - entered[0]).T, PER_KIND), strict=True)
    for n, (vector, share) in enumerate(found, start=1):
        yield _Candidate("closed-form", f"closed-form-{n}", f"Closed form {n}", vector, float(share))


def find_directions(generator: Generator, label: int, samples: Samples) -> list[Direction]:
    """Directions for garments of category `label`: measured, classified, activation, closed-form; in each kind best first."""
    classified = _classified(generator, samples)
    known = spreads_of(samples)
    spreads = {name: known[name] for name in (*samples.measures, *(one.name for one in classified))}
    directions = []
    for one in [*_measured(samples), *classified, *_unsupervised(generator, label, samples)]:
        vector = one.vector.astype(np.float32)
        effects, strength = measure_effects(generator, label, vector, spreads)
        own_effect = effects.get(one.name.removeprefix("measured-"), MIN_OWN_EFFECT)  # unsupervised directions have none
        if own_effect >= MIN_OWN_EFFECT:
            directions.append(Direction(one.name, one.kind, one.title, vector, one.explained, effects, strength))
    return directions
