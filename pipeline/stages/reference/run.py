"""Prepare what generated pictures are measured against: a classifier of the real ones, and their features."""

import logging
import shutil
from pathlib import Path

import numpy as np

from pipeline.gan.devices import choose_device, choose_precision, device_name, prepare_device
from pipeline.metrics import classifier as classifiers
from pipeline.metrics import extractors
from pipeline.metrics.memorisation import prints_of
from pipeline.metrics.reference_set import (
    FLOOR_ROWS,
    features_path,
    pretrained_in,
    prints_path,
    real_pictures,
    write_reference_card,
)
from pipeline.stages.reference.params import ReferenceParams
from pipeline.storage.arrays import check_dataset, read_card
from pipeline.storage.checksums import write_sums
from pipeline.storage.files import whole_folder
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def run(params: ReferenceParams, *, train: Path, reference: Path, scratch: Path, track: Tracker) -> None:
    """Write the classifier, the other extractors' networks, and features of the real pictures into `reference`.

    Downloads are kept in `scratch`.
    """
    check_dataset(train)
    data, real = read_card(train), real_pictures(train)
    categories, device = len(data.categories), choose_device(params.device, "reference")
    track.tags({"device": device_name(device)})
    for split in ("reference_train", "reference_test"):
        track.dataset(split, data.sha256[split], train, context="reference", profile=data.profile(split))
    weights = extractors.inception_weights(params.inception_weights, scratch)
    prepare_device(device, params.threads)
    floor_count = min(params.floor_pictures, len(real.train.images))
    floor_rows = np.random.default_rng(params.seed).choice(len(real.train.images), floor_count, replace=False)
    noise = np.random.default_rng(params.seed).integers(
        0, 256, (params.noise_pictures, *real.test.images.shape[1:]), dtype=np.uint8
    )
    with whole_folder(reference) as folder:
        trained = classifiers.train_classifier(
            real.train.images,
            real.train.labels,
            categories,
            **params.classifier.model_dump(),
            threads=params.threads,
            device=device,
            precision=choose_precision("auto", device),
        )
        classifiers.save_classifier(folder, trained)
        own = extractors.of_classifier(trained, classifiers.classifier_sha256(folder))
        of_test = own.features(real.test.images)
        np.save(features_path(folder, own, "test"), of_test)
        np.save(features_path(folder, own, "train"), own.features(real.train.images))
        np.save(features_path(folder, own, "noise"), own.features(noise))
        if isinstance(weights, Path):
            shutil.copyfile(weights, folder / extractors.INCEPTION_FILE)  # so that the reference is whole wherever it is pulled
        pretrained = pretrained_in(folder, params.efflite0_px, params.modules, params.threads, device)
        for extractor in pretrained:
            np.save(features_path(folder, extractor, "test"), extractor.features(real.test.images))
            np.save(features_path(folder, extractor, "floor"), extractor.features(real.train.images[floor_rows]))
            np.save(features_path(folder, extractor, "noise"), extractor.features(noise))
            log.info("%s: features of %d and %d pictures", extractor.name, len(real.test.images), floor_count)
        np.save(folder / FLOOR_ROWS, floor_rows)
        for of, pictures in (("test", real.test), ("train", real.train)):
            np.save(prints_path(folder, of), prints_of(pictures.images))
        absent = {"fid": weights} if isinstance(weights, str) else {}
        of_noise: dict[str, str | int] = {"split": "uniform noise", "pictures": len(noise), "seed": params.seed}
        write_reference_card(folder, [*pretrained, own], real, params.efflite0_px, params.modules, of_noise, absent)
        write_sums(folder)
    right = classifiers.accuracy(classifiers.probabilities_of(trained.scores(of_test)), real.test.labels)
    log.info("the classifier is right about %.4f of the real test pictures", right)
    track.metrics({"class_accuracy_real": right})
