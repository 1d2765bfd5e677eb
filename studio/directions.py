"""Directions of latent space along which one thing about a garment changes, and what else changes with it.

Found without labels: the closed form of SeFa (Shen & Zhou 2021, equation 5) from the first layers, and the principal directions
of early activations, regressed on latents (GANSpace, Härkönen et al. 2020, section 3.2). Found with them: ridge regression on
latents, within a category, of measured attributes and of what the classifier sees of other categories. All are unit vectors; an
amount is in standard deviations of the latents.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import as_images
from studio.graph import first_layers, tapped
from studio.measures import MEASURES, measure
from studio.model import BATCH, Generator, session_of

SAMPLES = 1024
EFFECT_SAMPLES = 64
EFFECT_AMOUNT = 2.0
PER_KIND = 6
LIKENESSES = 4  # categories towards which a slider may lead
MIN_EXPLAINED = 0.15  # of an attribute's variance, on samples not fitted; below it a slider would promise too much
MIN_OWN_EFFECT = 0.5  # of a measured or classified direction on what it was learned from
FIT_SEED, EFFECT_SEED = 7, 8

Kind = Literal["measured", "classified", "activation", "closed-form"]


@dataclass(frozen=True)
class Direction:
    """A direction and what moving along it does."""

    name: str  # `measured-sleeve`, `classified-6`, `activation-2`, `closed-form-1`
    kind: Kind
    title: str  # what it is called until a person names it
    vector: NDArray[np.float32]  # (D,), length 1
    explained: float  # share of the variance that it stands for, of the attribute or of the layer
    effects: dict[str, float]  # change of each measure from -2 to +2, in that measure's standard deviations
    strength: float  # mean absolute change of a pixel from -2 to +2, grey levels


@dataclass(frozen=True)
class Samples:
    """Garments of one category, drawn and measured."""

    latents: NDArray[np.float32]  # (N, D)
    pictures: NDArray[np.uint8]  # (N, H, W, C)
    measures: dict[str, NDArray[np.float32]]  # (N,) each
    likenesses: dict[str, NDArray[np.float32]]  # (N,) each, to other categories; empty where there is no judge


def likeness_name(label: int) -> str:
    """What the likeness to a category is called among the measures."""
    return f"classified-{label}"


def likeness_title(category: str) -> str:
    """What people are shown for it."""
    return f"Like {category}"


def likenesses(generator: Generator, pictures: NDArray[np.uint8], label: int) -> dict[str, NDArray[np.float32]]:
    """How much more the judge thinks of each other category than of `label`, in logits, for `pictures` (N, H, W, C)."""
    if generator.judge is None:
        return {}
    scores = generator.judge.scores(pictures)
    return {likeness_name(other): scores[:, other] - scores[:, label] for other in range(scores.shape[1]) if other != label}


def draw_samples(generator: Generator, label: int, count: int = SAMPLES) -> Samples:
    """`count` measured garments of category `label`, always the same."""
    latents = draw_latents(FIT_SEED, count, generator.card.latent_dim)
    pictures = as_images(generator.draw_category(latents, label))
    return Samples(latents, pictures, measure(pictures), likenesses(generator, pictures, label))


def closed_form(jacobian: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The `count` unit directions (K, D) that the layers `jacobian` (O, D) stretch most, and their shares of the stretch."""
    values, vectors = np.linalg.eigh(jacobian.T @ jacobian)
    order = np.argsort(values)[::-1][:count]
    return vectors[:, order].T, values[order] / max(values.sum(), 1e-12)


def activation_directions(
    latents: NDArray[np.float32], activations: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit directions (K, D) of the principal components of `activations` (N, F), and their shares of variance."""
    centred = activations - activations.mean(axis=0)
    variances, coordinates = np.linalg.eigh((centred @ centred.T).astype(np.float64))  # N is smaller than F
    order = np.argsort(variances)[::-1][:count]
    vectors = coordinates[:, order].T @ latents  # least squares: the coordinates are orthonormal
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12), variances[order] / max(variances.sum(), 1e-12)


def regress_direction(latents: NDArray[np.float32], values: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Unit direction (D,) along which `values` (N,) grow, and the share of variance explained on a quarter not fitted."""
    fitted = len(latents) * 3 // 4
    z, target = latents[:fitted].astype(np.float64), values[:fitted].astype(np.float64)
    penalty = 0.01 * fitted * np.eye(latents.shape[1])
    weights = np.linalg.solve(z.T @ z + penalty, z.T @ (target - target.mean()))
    rest = values[fitted:] - target.mean()
    left = rest - latents[fitted:] @ weights
    explained = 1 - float((left**2).sum() / max((rest**2).sum(), 1e-12))
    return weights / max(float(np.linalg.norm(weights)), 1e-12), explained


def orthogonalised(vector: NDArray[np.float64], others: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """`vector` (D,) less what it shares with `others`, at length 1, so that they stay as they are (Shen et al. 2020, 3.3)."""
    if not others:
        return vector
    span, _ = np.linalg.qr(np.stack(others, axis=1))
    rest = vector - span @ (span.T @ vector)
    return rest / max(float(np.linalg.norm(rest)), 1e-12)


def _tap(generator: Generator, name: str, latents: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    """The tensor `name` of the graph, flattened to (N, F)."""
    session = session_of(tapped(generator.graph, [name]), threads=1)
    mixes = np.eye(len(generator.card.categories), dtype=np.float32)[[label] * len(latents)]
    rows = [slice(start, start + BATCH) for start in range(0, len(latents), BATCH)]
    parts = [session.run([name], generator.feeds(latents[part], mixes[part]))[0] for part in rows]
    return np.concatenate([part.reshape(len(part), -1) for part in parts]).astype(np.float32)


def _first_layers_jacobian(generator: Generator, names: list[str], label: int) -> NDArray[np.float64]:
    """Derivatives (O, D) of the layers that latents enter first. They are linear, so one difference is exact."""
    dim = generator.card.latent_dim
    probes = np.concatenate([np.zeros((1, dim), np.float32), np.eye(dim, dtype=np.float32)])
    outputs = [_tap(generator, name, probes, label).astype(np.float64) for name in names]
    return np.concatenate([(output[1:] - output[0]).T for output in outputs])


def measure_effects(
    generator: Generator, label: int, vector: NDArray[np.float32], spreads: dict[str, float]
) -> tuple[dict[str, float], float]:
    """Change of each measure from -2 to +2 along `vector`, in `spreads`, and the mean absolute change of a pixel."""
    latents = draw_latents(EFFECT_SEED, EFFECT_SAMPLES, generator.card.latent_dim)
    ends = [as_images(generator.draw_category(latents + side * EFFECT_AMOUNT * vector, label)) for side in (-1, 1)]
    before, after = (measure(end) | likenesses(generator, end, label) for end in ends)
    changes = {name: float((after[name] - before[name]).mean() / max(spread, 1e-6)) for name, spread in spreads.items()}
    return changes, float(np.abs(ends[1].astype(np.int16) - ends[0]).mean())


def find_directions(generator: Generator, label: int, samples: Samples) -> list[Direction]:
    """Directions for garments of category `label`: measured, classified, activations', closed form's; the best first."""
    spreads = {name: float(values.std()) for name, values in samples.measures.items()}
    found: list[tuple[Kind, str, str, NDArray[np.float64], float]] = []
    for name, values in samples.measures.items():
        if spreads[name] > 1e-6:
            vector, explained = regress_direction(samples.latents, values)
            if explained >= MIN_EXPLAINED:
                found.append(("measured", f"measured-{name}", MEASURES[name], vector, explained))
    found.sort(key=lambda row: -row[4])
    found = [
        (*row[:3], orthogonalised(row[3], [earlier[3] for earlier in found[:place]]), row[4]) for place, row in enumerate(found)
    ]
    towards = [(*regress_direction(samples.latents, values), name) for name, values in samples.likenesses.items()]
    towards = sorted((one for one in towards if one[1] >= MIN_EXPLAINED), key=lambda one: -one[1])[:LIKENESSES]
    for vector, explained, name in towards:
        # Not made orthogonal to the others: to become a coat, a shirt's sleeves must grow.
        spreads[name] = float(samples.likenesses[name].std())
        title = likeness_title(generator.card.categories[int(name.rpartition("-")[2])])
        found.append(("classified", name, title, vector, explained))
    layers, activation = first_layers(generator.graph.graph)
    if activation is not None:
        activations = _tap(generator, activation, samples.latents, label)
        vectors, shares = activation_directions(samples.latents, activations, PER_KIND)
        for n, (vector, share) in enumerate(zip(vectors, shares, strict=True), start=1):
            found.append(("activation", f"activation-{n}", f"Principal {n}", vector, float(share)))
    if layers:
        vectors, shares = closed_form(_first_layers_jacobian(generator, layers, label), PER_KIND)
        for n, (vector, share) in enumerate(zip(vectors, shares, strict=True), start=1):
            found.append(("closed-form", f"closed-form-{n}", f"Closed form {n}", vector, float(share)))
    directions = []
    for kind, direction, title, vector, explained in found:
        small = vector.astype(np.float32)
        effects, strength = measure_effects(generator, label, small, spreads)
        own = effects.get(direction.removeprefix("measured-"), MIN_OWN_EFFECT)  # the network's own directions promise nothing
        if own >= MIN_OWN_EFFECT:
            directions.append(Direction(direction, kind, title, small, explained, effects, strength))
    return directions
