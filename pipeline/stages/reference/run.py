"""Prepare what generated images are measured against: a classifier of the real images, and their features."""

import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.gan.devices import choose_device, choose_precision, device_name, prepare_device
from pipeline.metrics.classifier import Classifier, accuracy, classifier_sha256, save_classifier, train_classifier
from pipeline.metrics.contrast import EXTRACTOR, save_head, train_head
from pipeline.metrics.extractors import INCEPTION_FILE, Extractor, ExtractorOptions, classifier_extractor, inception_weights
from pipeline.metrics.memorisation import fingerprint
from pipeline.metrics.reference_set import (
    FLOOR_ROWS,
    RealImages,
    as_measured,
    features_path,
    fingerprints_path,
    load_real_images,
    pretrained_extractors,
    write_reference_card,
)
from pipeline.stages.reference.params import ReferenceParams
from pipeline.storage.arrays import check_dataset, read_card
from pipeline.storage.captions import Captions, has_captions, read_captions
from pipeline.storage.checksums import write_sums
from pipeline.storage.files import whole_folder
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def _train(
    params: ReferenceParams, images: NDArray[np.uint8], labels: NDArray[np.int64], categories: int, device: torch.device
) -> Classifier:
    return train_classifier(
        images,
        labels,
        categories,
        **params.classifier.model_dump(),
        threads=params.threads,
        device=device,
        precision=choose_precision("auto", device),
    )


def _save_features(folder: Path, extractor: Extractor, images: dict[str, NDArray[np.uint8]]) -> None:
    for name, pixels in images.items():
        np.save(features_path(folder, extractor, name), extractor.features(pixels))
        log.info("%s: features of %d images (%s)", extractor.name, len(pixels), name)


def run(params: ReferenceParams, *, train: Path, reference: Path, scratch: Path, track: Tracker) -> None:
    """Write the classifier, the weights of the other extractors, and the features of the real images into `reference`.

    Downloads are kept in `scratch`. Raises InputError, SourceError and ParamsError.
    """
    check_dataset(train)
    data, real = read_card(train), load_real_images(train, params.ground)
    device = choose_device(params.device, "reference")
    track.tags({"device": device_name(device)})
    for split in ("reference_train", "reference_test"):
        track.dataset(split, data.sha256[split], train, context="reference", profile=data.profile(split))
    weights = inception_weights(params.inception_weights, scratch)
    prepare_device(device, params.threads)
    with tempfile.TemporaryDirectory() as folder:
        splits = (real.train, real.test)
        captions = read_captions(train, "reference_train") if has_captions(train) else None
        images = [as_measured(split.images, split.ground, Path(folder) / f"{split.name}.npy") for split in splits]
        share = _measured(params, real, (images[0], images[1]), len(data.categories), reference, weights, device, captions)
    log.info("the classifier recognises %.4f of the real test images", share)
    track.metrics({"class_accuracy_real": share})


def _measured(
    params: ReferenceParams,
    real: RealImages,
    images: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    categories: int,
    reference: Path,
    weights: Path | str,
    device: torch.device,
    captions: Captions | None,
) -> float:
    """The classifier's accuracy on the test images, after writing `reference`.

    `images` are those of training and test, without alpha; `captions` those of the training images, if they have any.
    """
    train_images, test_images = images
    floor_count = min(params.floor_pictures, len(train_images))
    floor_rows = np.random.default_rng(params.seed).choice(len(train_images), floor_count, replace=False)
    noise_shape = (params.noise_pictures, *test_images.shape[1:])
    noise = np.random.default_rng(params.seed).integers(0, 256, noise_shape, dtype=np.uint8)
    modules = [module.model_dump() for module in params.modules]
    with whole_folder(reference) as folder:
        classifier = _train(params, train_images, real.train.labels, categories, device)
        save_classifier(folder, classifier)
        own = classifier_extractor(classifier, classifier_sha256(folder))
        _save_features(folder, own, {"test": test_images, "train": train_images, "noise": noise})
        if captions is not None:
            seen = np.load(features_path(folder, own, "train"))
            save_head(folder, train_head(seen, captions, params.seed, params.threads), own.name)
        if isinstance(weights, Path):
            shutil.copyfile(weights, folder / INCEPTION_FILE)  # so that the reference is complete wherever it is pulled
        pretrained = pretrained_extractors(ExtractorOptions(folder, params.efflite0_px, params.threads, device), modules)
        for extractor in pretrained:
            _save_features(folder, extractor, {"test": test_images, "floor": train_images[floor_rows], "noise": noise})
            if extractor.name == EXTRACTOR and captions is not None:
                save_head(folder, train_head(extractor.features(train_images), captions, params.seed, params.threads))
        np.save(folder / FLOOR_ROWS, floor_rows)
        np.save(fingerprints_path(folder, "test"), fingerprint(test_images))
        np.save(fingerprints_path(folder, "train"), fingerprint(train_images))
        absent = {"fid": weights} if isinstance(weights, str) else {}
        noise_entry: dict[str, str | int] = {"split": "uniform noise", "pictures": len(noise), "seed": params.seed}
        write_reference_card(folder, [*pretrained, own], real, categories, params.efflite0_px, modules, noise_entry, absent)
        write_sums(folder)
    test_features = np.load(features_path(reference, own, "test"))
    return accuracy(softmax(classifier.logits(test_features), axis=1), real.test.labels)
