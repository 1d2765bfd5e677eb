"""What generated images are measured against: the features of real images and the extractors that computed them, as files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.transparency import Ground, on_ground
from pipeline.metrics.classifier import Classifier, classifier_sha256, load_classifier
from pipeline.metrics.extractors import CLASSIFIER, PRETRAINED, Extractor, ExtractorOptions, classifier_extractor
from pipeline.metrics.memorisation import PerceptualHash
from pipeline.metrics.modules import module_extractor
from pipeline.metrics.passport import library_versions
from pipeline.storage.arrays import UNREADABLE_ARRAY, colour_channels, has_alpha, read_split, split_sha256
from pipeline.storage.files import write_json

CARD, FLOOR_ROWS = "reference.json", "floor_rows.npy"
COMPOSITED_AT_ONCE = 1024  # images


@dataclass(frozen=True)
class Split:
    """Real images (N, H, W, C), memory-mapped, and their labels (N,)."""

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sha256: str  # of the file of images
    ground: Ground | None  # on which images with alpha are measured; None without alpha

    def passport_entry(self, count: int) -> dict[str, str | int]:
        """The passport's description of `count` images of this split."""
        entry: dict[str, str | int] = {"split": self.name, "sha256": self.sha256, "pictures": count}
        return entry | ({"ground": self.ground} if self.ground else {})


@dataclass(frozen=True)
class RealImages:
    """The reference, and the training images before augmentation."""

    test: Split
    train: Split


@dataclass(frozen=True)
class ReferenceCard:
    """The content of reference.json."""

    efflite0_px: int
    modules: list[dict[str, Any]]  # as in params.yaml
    sha256: dict[str, str]  # of the images of each split
    extractors: list[dict[str, str]]  # their passport entries
    noise: dict[str, str | int]  # its passport entry
    absent: dict[str, str]  # scores that cannot be measured, with the reason
    libraries: dict[str, str]
    test_counts: list[int]  # test images of each category
    ground: Ground | None = None  # behind images with alpha


@dataclass(frozen=True)
class Reference:
    """Extractors, and the features of real images and of noise."""

    folder: Path
    pretrained: list[Extractor]
    classifier_extractor: Extractor
    classifier: Classifier
    noise: dict[str, str | int]  # its passport entry
    absent: dict[str, str]

    def fingerprints(self, split: str) -> NDArray[np.void]:
        """Hashes and thumbnails (N,), dtype memorisation.FINGERPRINT, of the split `test` or `train`."""
        return np.load(fingerprints_path(self.folder, split))

    def features(self, extractor: Extractor, images: str) -> NDArray[np.float32]:
        """Features (N, D) of the images `test`, `floor` or `noise`; from the classifier also of `train`."""
        if extractor is self.classifier_extractor and images == "floor":
            return self.features(extractor, "train")[np.load(self.folder / FLOOR_ROWS)]
        return np.load(features_path(self.folder, extractor, images))


def features_path(folder: Path, extractor: Extractor, images: str) -> Path:
    """The file of the features of `test`, `floor`, `noise` or `train`; the classifier's floor is rows of its `train`."""
    return folder / f"{extractor.name}_{images}.npy"


def fingerprints_path(folder: Path, split: str) -> Path:
    """The file of the hashes and thumbnails of `test` or `train`."""
    return folder / f"{PerceptualHash().name}_{split}.npy"


def load_classifier_test_features(folder: Path) -> NDArray[np.float32]:
    """The classifier's features (N, 128) of the real test images. Raises InputError."""
    path = folder / f"{CLASSIFIER}_test.npy"
    try:
        return np.load(path)
    except UNREADABLE_ARRAY as error:
        raise InputError(f"{path}: cannot be read ({error}); run reference again") from error


def _load_split(train: Path, name: str, ground: Ground | None) -> Split:
    images, labels = read_split(train, name)
    if len(images) < 2:
        raise InputError(f"{train}: split {name} has {len(images)} images, but evaluate needs 2; set curate.test_share")
    return Split(name, images, labels, split_sha256(train, name), ground if has_alpha(images.shape[-1]) else None)


def load_real_images(train: Path, ground: Ground | None = None) -> RealImages:
    """The real images of the dataset in `train`, to be measured on `ground` if they have alpha.

    Raises InputError if a split has fewer than two.
    """
    return RealImages(_load_split(train, "reference_test", ground), _load_split(train, "reference_train", ground))


def as_measured(images: NDArray[np.uint8], ground: Ground | None, path: Path) -> NDArray[np.uint8]:
    """`images` (N, H, W, C) as extractors see them: on `ground`, memory-mapped at `path`; as they are if it is None."""
    if ground is None:
        return images
    shape = (*images.shape[:-1], colour_channels(images.shape[-1]))
    composites = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, len(images), COMPOSITED_AT_ONCE):
        here = slice(start, start + COMPOSITED_AT_ONCE)
        composites[here] = on_ground(images[here], ground)
    return composites


def pretrained_extractors(options: ExtractorOptions, modules: list[dict[str, Any]]) -> list[Extractor]:
    """All extractors of PRETRAINED whose weights are present, and the user's `modules` (arguments of module_extractor)."""
    built = [entry.build(options) for entry in PRETRAINED.values()]
    found = [extractor for extractor in built if extractor is not None]
    return found + [module_extractor(**module, device=options.device) for module in modules]


def write_reference_card(
    folder: Path,
    extractors: list[Extractor],
    real: RealImages,
    categories: int,
    efflite0_px: int,
    modules: list[dict[str, Any]],
    noise: dict[str, str | int],
    absent: dict[str, str],
) -> None:
    """Write reference.json into `folder`."""
    sha256 = {split.name: split.sha256 for split in (real.test, real.train)}
    entries = [extractor.passport_entry for extractor in extractors]
    counts = np.bincount(real.test.labels, minlength=categories).tolist()
    card = ReferenceCard(efflite0_px, modules, sha256, entries, noise, absent, library_versions(), counts, real.test.ground)
    content = asdict(card)
    if card.ground is None:
        del content["ground"]  # left out without alpha, as in cards of older versions
    write_json(folder / CARD, content)


def _read_card(folder: Path) -> ReferenceCard:
    try:
        return ReferenceCard(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder / CARD}: cannot be read ({error}); run reference again") from error


def reference_ground(folder: Path) -> Ground | None:
    """The ground on which the reference in `folder` was measured; None for images without alpha. Raises InputError."""
    return _read_card(folder).ground


def category_shares(folder: Path) -> NDArray[np.float64]:
    """Each category's share of the test images that the reference in `folder` was made with. Raises InputError."""
    counts = np.array(_read_card(folder).test_counts, dtype=np.float64)
    return counts / counts.sum()


def _differences(card: ReferenceCard, real: RealImages, extractors: list[Extractor]) -> dict[str, tuple[Any, Any]]:
    """What has changed since the reference was made, by name: (then, now)."""
    now = {
        "images": {split.name: split.sha256 for split in (real.test, real.train)},
        "libraries": library_versions(),
        "extractors": [extractor.passport_entry for extractor in extractors],
    }
    then = {"images": card.sha256, "libraries": card.libraries, "extractors": card.extractors}
    return {name: (then[name], now[name]) for name in now if then[name] != now[name]}


def load_reference(folder: Path, real: RealImages, threads: int, device: torch.device) -> Reference:
    """The reference in `folder`. Raises InputError if it is damaged, or made with other images, libraries or extractors."""
    card = _read_card(folder)
    pretrained = pretrained_extractors(ExtractorOptions(folder, card.efflite0_px, threads, device), card.modules)
    classifier = load_classifier(folder, device)
    own = classifier_extractor(classifier, classifier_sha256(folder))
    for name, (then, now) in _differences(card, real, [*pretrained, own]).items():
        raise InputError(f"{folder}: made with other {name} ({then}, now {now}); run reference again")
    return Reference(folder, pretrained, own, classifier, card.noise, card.absent)
