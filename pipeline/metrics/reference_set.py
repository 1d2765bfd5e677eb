"""What generated pictures are measured against: features of real pictures, and the extractors that gave them, as files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.metrics import extractors
from pipeline.metrics.classifier import Classifier, classifier_sha256, load_classifier
from pipeline.metrics.extractors import CLASSIFIER, INCEPTION_FILE, Extractor
from pipeline.metrics.memorisation import PerceptualHash
from pipeline.metrics.modules import of_module
from pipeline.metrics.params import ModuleParams
from pipeline.metrics.passport import library_versions
from pipeline.storage.arrays import read_split, split_sha256
from pipeline.storage.files import write_json

CARD, EFFLITE0, FLOOR_ROWS = "reference.json", "efflite0.onnx", "floor_rows.npy"


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
    """The reference, and the training pictures before any augmentation."""

    test: Split
    train: Split


@dataclass(frozen=True)
class ReferenceCard:
    """What reference.json holds."""

    efflite0_px: int
    modules: list[dict[str, Any]]  # as in params.yaml
    sha256: dict[str, str]  # of the images of each split
    extractors: list[dict[str, str]]  # as they stand in passports
    noise: dict[str, str | int]  # as it stands in passports
    absent: dict[str, str]  # scores that cannot be measured, with the reason
    libraries: dict[str, str]


@dataclass(frozen=True)
class Reference:
    """Extractors, and what they make of the real pictures."""

    folder: Path
    pretrained: list[Extractor]
    own: Extractor  # the classifier
    classifier: Classifier
    noise: dict[str, str | int]  # as it stands in passports
    absent: dict[str, str]

    def prints(self, of: str) -> NDArray[np.void]:
        """Hashes and thumbnails (N,), of the dtype memorisation.PRINT, of the pictures `test` or `train`."""
        return np.load(prints_path(self.folder, of))

    def features(self, extractor: Extractor, of: str) -> NDArray[np.float32]:
        """Features (N, D) of the pictures `test`, `floor` or `noise`; the classifier has those of `train`, too."""
        if extractor is self.own and of == "floor":
            return self.features(extractor, "train")[np.load(self.folder / FLOOR_ROWS)]
        return np.load(features_path(self.folder, extractor, of))


def features_path(folder: Path, extractor: Extractor, of: str) -> Path:
    """Where the features of `test`, `floor`, `noise` or `train` are; the classifier's floor is rows of `train`."""
    return folder / f"{extractor.name}_{of}.npy"


def own_test_features(folder: Path) -> NDArray[np.float32]:
    """The classifier's features (N, 128) of the real test pictures. Raises InputError."""
    path = folder / f"{CLASSIFIER}_test.npy"
    try:
        return np.load(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run reference again") from error


def prints_path(folder: Path, of: str) -> Path:
    """Where the hashes and thumbnails of `test` or `train` are."""
    return folder / f"{PerceptualHash().name}_{of}.npy"


def _real_split(train: Path, name: str) -> Split:
    images, labels = read_split(train, name)
    if len(images) < 2:
        raise InputError(f"{train}: split {name} has {len(images)} pictures, evaluating needs 2; set curate.test_share")
    return Split(name, images, labels, split_sha256(train, name))


def real_pictures(train: Path) -> RealPictures:
    """The real pictures of the data in `train`. Raises InputError when a split has fewer than two."""
    return RealPictures(_real_split(train, "reference_test"), _real_split(train, "reference_train"))


def pretrained_in(
    folder: Path, efflite0_px: int, modules: list[ModuleParams], threads: int, device: torch.device
) -> list[Extractor]:
    """Extractors trained on other pictures: EfficientNet-Lite0, Inception where `folder` has it, and `modules`."""
    found = [extractors.efflite0(efflite0_px, exported=folder / EFFLITE0, threads=threads, device=device)]
    if (folder / INCEPTION_FILE).exists():
        found.append(extractors.inception(folder / INCEPTION_FILE, device=device))
    return found + [of_module(module, device) for module in modules]


def write_reference_card(
    folder: Path,
    used: list[Extractor],
    real: RealPictures,
    efflite0_px: int,
    modules: list[ModuleParams],
    noise: dict[str, str | int],
    absent: dict[str, str],
) -> None:
    """Write reference.json into `folder`."""
    sha256 = {split.name: split.sha256 for split in (real.test, real.train)}
    card = ReferenceCard(
        efflite0_px,
        [module.model_dump() for module in modules],
        sha256,
        [each.in_passport for each in used],
        noise,
        absent,
        library_versions(),
    )
    write_json(folder / CARD, asdict(card))


def _differences(card: ReferenceCard, real: RealPictures, used: list[Extractor]) -> dict[str, tuple[Any, Any]]:
    """What has changed since the reference was made, by name: then and now."""
    now = {
        "pictures": {split.name: split.sha256 for split in (real.test, real.train)},
        "libraries": library_versions(),
        "extractors": [each.in_passport for each in used],
    }
    then = {"pictures": card.sha256, "libraries": card.libraries, "extractors": card.extractors}
    return {name: (then[name], now[name]) for name in now if then[name] != now[name]}


def load_reference(folder: Path, real: RealPictures, threads: int, device: torch.device) -> Reference:
    """The reference in `folder`. Raises InputError when it is damaged, or of other pictures, libraries or devices than here."""
    try:
        card = ReferenceCard(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder / CARD}: cannot be read ({error}); run reference again") from error
    modules = [ModuleParams.model_validate(module) for module in card.modules]
    pretrained = pretrained_in(folder, card.efflite0_px, modules, threads, device)
    classifier = load_classifier(folder, device)
    own = extractors.of_classifier(classifier, classifier_sha256(folder))
    for name, (then, now) in _differences(card, real, [*pretrained, own]).items():
        raise InputError(f"{folder}: made with other {name} ({then}, here {now}); run reference again")
    return Reference(folder, pretrained, own, classifier, card.noise, card.absent)
