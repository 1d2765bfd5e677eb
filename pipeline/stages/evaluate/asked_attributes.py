"""Whether generated pictures have the attributes asked for, by the measures that named those of the real ones."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.gan.checkpoints import GeneratorCard
from pipeline.gan.networks.parts import Generator
from pipeline.gan.sampling import generate_images
from pipeline.imaging.contact_sheets import contact_sheet
from pipeline.imaging.garment_attributes import SeenGarment, measured
from pipeline.imaging.garment_cutter import GarmentCutter
from pipeline.imaging.garment_kinds import kind_of_category
from pipeline.imaging.garment_patterns import PatternClassifier
from pipeline.imaging.outline_numbers import NUMBERS as SLEEVE_NUMBERS
from pipeline.imaging.pattern_numbers import NUMBERS as PATTERN_NUMBERS
from pipeline.inference.attributes import Attributes, columns_of
from pipeline.inference.latents import draw_latents
from pipeline.inference.transparency import Ground, on_ground
from pipeline.metrics.reference_set import RealImages, Reference
from pipeline.metrics.sampling_error import deviation_of_mean
from pipeline.stages.evaluate.entries import Baseline, Score
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.storage.arrays import colour_channels, has_alpha, read_attributes
from pipeline.storage.captions import Captions, read_captions
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

MEASURED = tuple(SEEN_ATTRIBUTES)  # attributes that a picture shows; columns of a list cannot be measured
BY_NETWORK = {name: seen.network for name, seen in SEEN_ATTRIBUTES.items() if seen.network}
HOW_MEASURED = {  # in words, and the numbers that were fitted
    "colour": ("the eleven basic terms by limits in CIELAB", None),
    "pattern": ("a linear map of EfficientNet-Lite0's features", PATTERN_NUMBERS),
    "length": ("length relative to the width, by limits between anchors of the outline", None),
    "sleeve": ("a linear map of the outline's profile", SLEEVE_NUMBERS),
    "fit": ("width of the hem or the legs relative to the waist or chest, by limits between anchors of the outline", None),
}
OPAQUE = 127
NEEDS_COLOUR = ("colour", "pattern")
MAX_COLUMNS = 12  # of a sheet
TOO_FEW = "too few test pictures have a value; raise evaluate.attribute_samples"

Flags = NDArray[np.float32]


@dataclass(frozen=True)
class AttributeMeasure:
    """The measure of an attribute, in the place of an extractor."""

    name: str

    @property
    def passport_entry(self) -> dict[str, str]:
        """The passport's `extractor`."""
        measure, numbers = HOW_MEASURED[self.name]
        entry = {"name": self.name, "measure": measure}
        return entry | ({"numbers_sha256": hashlib.sha256(numbers.encode()).hexdigest()} if numbers else {})


def _measured_names(card: GeneratorCard) -> list[str]:
    grey = NEEDS_COLOUR if colour_channels(card.channels) == 1 else ()
    names = [name for name in MEASURED if name in card.attributes and name not in grey]
    return [name for name in names if card.trained_through != BY_NETWORK.get(name, "")]


def unmeasured_entries(card: GeneratorCard, scored: Collection[str]) -> dict[str, dict[str, str]]:
    """Entries for the attributes that could not be measured, with the reason; `scored` are the names of the scores."""
    reasons = {
        name: TOO_FEW if name in MEASURED else "nothing measures this attribute in a picture"
        for name in card.attributes
        if f"met_{name}" not in scored
    }
    if colour_channels(card.channels) == 1:
        reasons |= {name: "the pictures are grey" for name in NEEDS_COLOUR if name in card.attributes}
    for name, extractor in BY_NETWORK.items():
        if name in card.attributes and card.trained_through == extractor:
            reasons[name] = f"{extractor} measures it, and the generator was trained through {extractor} (train.projected)"
    return {f"met_{name}": {"absent": reason} for name, reason in reasons.items()}


def drawn_like_real(
    labels: NDArray[np.int64], real_labels: NDArray[np.int64], real_flags: NDArray[np.uint8] | Flags, seed: int
) -> Flags:
    """Attributes (N, A) for `labels` (N,): each those of a real picture of its category, drawn at random; none without one."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((len(labels), real_flags.shape[1]), np.float32)
    for label in np.unique(labels):
        of_real = real_flags[real_labels == label]
        if len(of_real):
            rows[labels == label] = of_real[rng.integers(len(of_real), size=(labels == label).sum())]
    return rows


def captions_like_real(
    labels: NDArray[np.int64], real_labels: NDArray[np.int64], captions: Captions, seed: int
) -> NDArray[np.float32]:
    """Embeddings (N, E) for `labels` (N,): each of a caption of a real picture of its category, drawn at random."""
    columns = np.random.default_rng((seed, 3)).integers(captions.rows.shape[1], size=len(captions.rows))
    return drawn_like_real(labels, real_labels, captions.embeddings_of(columns), seed)


def asked_like_real(
    card: GeneratorCard, train: Path, labels: NDArray[np.int64], real: RealImages, params: EvaluateParams
) -> list[Flags] | list[None]:
    """For each repeat the attributes or captions to ask for, those of test pictures; None if the generator takes none."""
    if card.text_dim:
        captions = read_captions(train, "reference_test")
        return [captions_like_real(labels, real.test.labels, captions, params.seed + n) for n in range(params.repeats)]
    if not card.attributes:
        return [None] * params.repeats
    flags = read_attributes(train, "reference_test")
    return [drawn_like_real(labels, real.test.labels, flags, params.seed + n) for n in range(params.repeats)]


def columns_slice(attributes: Attributes, name: str) -> slice:
    """The columns of the attribute `name`."""
    names = list(attributes)
    start = sum(len(attributes[other]) for other in names[: names.index(name)])
    return slice(start, start + len(attributes[name]))


def asked_values(flags: Flags | NDArray[np.uint8], attributes: Attributes, name: str) -> list[str | None]:
    """The value of the attribute `name` in each row of `flags` (N, A); None where none or several are set."""
    own = flags[:, columns_slice(attributes, name)] > 0
    return [attributes[name][int(row.argmax())] if row.sum() == 1 else None for row in own]


def is_met(measured: Iterable[str | None], asked: Sequence[str | None]) -> NDArray[np.float64]:
    """1 where `measured` is what was `asked`, else 0; only where something was."""
    pairs = [(seen, wanted) for seen, wanted in zip(measured, asked, strict=True) if wanted is not None]
    return np.array([float(seen == wanted) for seen, wanted in pairs])


def with_other_value(flags: Flags, attributes: Attributes, name: str, rng: np.random.Generator) -> Flags:
    """`flags` (N, A) with another value of the attribute `name` in each row, at random; the same if it has one only."""
    columns, count = columns_slice(attributes, name), len(attributes[name])
    own = flags[:, columns]
    steps = rng.integers(1, max(2, count), size=len(flags))
    value = np.where(own.any(axis=1), (own.argmax(axis=1) + steps) % count, rng.integers(count, size=len(flags)))
    changed = flags.copy()
    changed[:, columns] = np.eye(count, dtype=np.float32)[value]
    return changed


def asked_sheets(generator: Generator, card: GeneratorCard, seed: int) -> dict[str, NDArray[np.uint8]]:
    """By measured attribute, a sheet of one latent: a row for each category, a column for each value, at most MAX_COLUMNS."""
    sheets = {}
    categories, every = len(card.categories), columns_of(card.attributes)
    for name in (name for name in MEASURED if name in card.attributes):
        values = card.attributes[name][:MAX_COLUMNS]
        row = np.array([[column == f"{name}={value}" for column in every] for value in values], np.float32)
        labels = np.repeat(np.arange(categories), len(values))
        latents = np.repeat(draw_latents(seed, 1, card.latent_dim), len(labels), axis=0)
        images = generate_images(generator, latents, labels, attributes=np.tile(row, (categories, 1)))
        sheets[name] = contact_sheet(images, len(values))
    return sheets


class AttributeMeter:
    """Measures the attributes of packed pictures, real or generated, and scores them."""

    def __init__(self, known: Reference, card: GeneratorCard, ground: Ground | None, params: EvaluateParams) -> None:
        self._known, self._card, self._ground, self._params = known, card, ground, params
        self._cut, self._pattern_of = GarmentCutter(), PatternClassifier()
        self._names = _measured_names(card)
        self._kinds = [kind_of_category(category) for category in card.categories]

    def measured(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> pd.DataFrame:
        """A row for each of `images` (N, H, W, C) of the categories `labels`: what is measured, None where unknown."""
        rows = []
        for image, label in zip(images, labels, strict=True):
            colours = image[..., : colour_channels(image.shape[-1])]
            picture = np.ascontiguousarray(np.broadcast_to(colours, (*image.shape[:2], 3)))
            mask = (image[..., -1] > OPAQUE).astype(np.uint8) if has_alpha(image.shape[-1]) else self._cut(picture).pixels
            seen = measured(SeenGarment(picture, mask, self._kinds[label], self._pattern_of), self._names)
            rows.append([seen[name].value if name in seen else None for name in self._names])
        return pd.DataFrame(rows, columns=self._names, dtype=object)

    def scores(
        self,
        generator: Generator,
        labels: NDArray[np.int64],
        drawn: list[NDArray[np.uint8]],
        asked: Sequence[Flags | None],
        real: RealImages,
        real_flags: NDArray[np.uint8],
    ) -> list[Score]:
        """Shares of samples with the attributes asked for (floor: the test pictures), and with the category kept.

        None for an attribute that no test picture, or no sample of a repeat, is asked for.
        """
        attributes, names = self._card.attributes, self._names
        if not names:
            return []
        rows = self._rows(len(labels), 0)
        of_real = self._rows(len(real.test.images), 1)
        seen_real = self.measured(real.test.images[of_real], real.test.labels[of_real])
        met: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
        kept = []
        for repeat, (images, flags) in enumerate(zip(drawn, asked, strict=True)):
            assert flags is not None
            seen = self.measured(images[rows], labels[rows])
            for name in names:
                met[name].append(is_met(seen[name], asked_values(flags[rows], attributes, name)))
            if "colour" in names:
                kept.append(self._category_kept(generator, labels, images, flags, rows, self._params.seed + repeat))
        found = []
        for name in names:
            met_by_real = is_met(seen_real[name], asked_values(real_flags[of_real], attributes, name))
            if not len(met_by_real) or not all(len(one) for one in met[name]):
                continue
            floor = Baseline(float(met_by_real.mean()), real.test.passport_entry(len(of_real)))
            values, deviation = [float(one.mean()) for one in met[name]], deviation_of_mean(met[name][0])
            found.append(Score("met", AttributeMeasure(name), values, floor, bootstrap=deviation))
        if kept:
            judge = self._known.classifier_extractor
            values = [float(one.mean()) for one in kept]
            found.append(Score("category_kept", judge, values, None, bootstrap=deviation_of_mean(kept[0])))
        return found

    def _rows(self, count: int, stream: int) -> NDArray[np.int64]:
        rng = np.random.default_rng((self._params.seed, stream))
        return np.sort(rng.permutation(count)[: self._params.attribute_samples])

    def _category_kept(
        self,
        generator: Generator,
        labels: NDArray[np.int64],
        images: NDArray[np.uint8],
        flags: Flags,
        rows: NDArray[np.int64],
        seed: int,
    ) -> NDArray[np.float64]:
        """1 where the classifier sees the same category with another colour asked for, the latent being the same."""
        other = with_other_value(flags[rows], self._card.attributes, "colour", np.random.default_rng((seed, 2)))
        latents = draw_latents(seed, len(labels), self._card.latent_dim)[rows]
        again = generate_images(generator, latents, labels[rows], attributes=other)
        first, second = (self._seen_categories(one) for one in (images[rows], again))
        return (first == second).astype(np.float64)

    def _seen_categories(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        measured = images if self._ground is None else on_ground(images, self._ground)
        features = self._known.classifier_extractor.features(measured)
        return self._known.classifier.logits(features).argmax(axis=1)
