"""The generator as ONNX in several precisions, checked against torch, with a card of what it draws and how it may be used."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import ExportError, InputError
from pipeline.gan.checkpoints import GeneratorCard, count_of, generator_sha256, load_generator
from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import CARD_NAME, JUDGE_NAME, MODEL_NAME, ExportedCard, variant_name, write_exported
from pipeline.metrics.classifier import Classifier, load_classifier
from pipeline.metrics.reference_set import load_classifier_test_features
from pipeline.stages.export.onnx_graphs import OPSET, as_onnx, judge_as_onnx
from pipeline.stages.export.params import ExportParams
from pipeline.stages.export.parity import Parities, Parity, judge_difference
from pipeline.stages.export.precision_choice import EXACT, chosen_precision, variants_of
from pipeline.stages.export.precisions import in_fp16, in_int8
from pipeline.stages.export.speed import onnx_draw, providers, speeds_of
from pipeline.storage.checksums import check_folder, write_sums
from pipeline.storage.files import whole_folder
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

SPEED_ROUNDS = 5
JUDGED_PICTURES, JUDGE_SEED = 32, 3
JUDGE_MAX_DIFFERENCE = 1e-3  # of a probability
INTENDED_USE = (
    "Ideas, mood boards and research. Not for passing pictures off as photographs, as a brand's designs or as a person's work: "
    "show them as made by AI."
)


def judge_of(reference: Path, made: GeneratorCard) -> tuple[Classifier, NDArray[np.float32]]:
    """The classifier in `reference` and its features (N, 128) of the real test pictures. Raises InputError."""
    classifier = load_classifier(reference)
    card = classifier.card
    sees = card.height, card.width, card.channels, card.n_categories
    draws = made.height, made.width, made.channels, len(made.categories)
    if sees != draws:
        raise InputError(
            f"{reference}: the classifier sees {sees}, the generator draws {draws} (height, width, channels, categories); "
            "run reference and train again"
        )
    return classifier, load_classifier_test_features(reference)


def checked_judge(classifier: Classifier) -> bytes:
    """`classifier` as ONNX. Raises ExportError when it thinks otherwise than torch of random pictures."""
    card = classifier.card
    noise = draw_latents(JUDGE_SEED, JUDGED_PICTURES, card.height * card.width * card.channels)
    pictures = np.clip(127.5 + 60 * noise, 0, 255).astype(np.uint8).reshape(-1, card.height, card.width, card.channels)
    judge = judge_as_onnx(classifier)
    difference = judge_difference(classifier, judge, pictures)
    if not difference <= JUDGE_MAX_DIFFERENCE:
        raise ExportError(f"{JUDGE_NAME}: its probabilities differ from torch's by {difference:.2g}; run reference again")
    return judge


def tell_parity(precision: str, model: bytes, parity: Parity, track: Tracker) -> None:
    """Log and track how far one precision is from torch."""
    log.info(
        "%s: %s bytes; differs from torch by at most %.2g, on average by %.2g; fd_classifier %.3f",
        precision,
        f"{len(model):,}",
        parity.max_difference,
        parity.mean_difference,
        parity.fd_classifier,
    )
    found = vars(parity) | {"onnx_bytes": len(model)}
    track.metrics({f"{name}_{precision}": value for name, value in found.items()})


def tell_speed(models: Mapping[str, bytes], made: GeneratorCard, track: Tracker) -> None:
    """Log and track how fast each precision is under each provider. No output holds it: no two runs of a clock agree."""
    for provider in providers():
        ways = {precision: onnx_draw(model, provider, threads=1) for precision, model in models.items()}
        for precision, speed in speeds_of(ways, made.latent_dim, len(made.categories), SPEED_ROUNDS).items():
            log.info(
                "%s under %s: %.2f ms a picture, %.0f pictures/s",
                precision,
                provider,
                speed.latency_ms,
                speed.pictures_per_s,
            )
            where = f"{precision}_{provider.removesuffix('ExecutionProvider').lower()}"
            track.metrics({f"latency_ms_{where}": speed.latency_ms, f"pictures_per_s_{where}": speed.pictures_per_s})


def about(card: ExportedCard) -> str:
    """Markdown that describes a registered version."""
    size = f"{card.height}×{card.width}×{card.channels}"
    return (
        f"Draws {', '.join(card.categories)} at {size}; trained on {card.images_seen:,} looks at pictures.\n\n"
        f"`latents` (N, {card.latent_dim}) standard normal and `labels` (N,) give `pictures` NCHW in [-1, 1].\n\n"
        f"{card.intended_use}"
    )


def run(params: ExportParams, *, reference: Path, gan: Path, export: Path, track: Tracker) -> None:
    """Write generator.onnx, its other precisions, judge.onnx and the card into `export` and ask for its registration.

    Raises ExportError, InputError.
    """
    check_folder(reference, "reference")
    check_folder(gan, "train")
    generator, made = load_generator(gan, torch.device("cpu"))
    classifier, of_test = judge_of(reference, made)
    categories, attributes = len(made.categories), count_of(made.attributes)
    if attributes and params.precisions != [EXACT]:
        log.info("%s alone: the converters to fewer bits do not know inputs that need not be given", EXACT)
        params = params.model_copy(update={"precisions": [EXACT]})
    measured = Parities(
        generator,
        classifier,
        of_test,
        latent_dim=made.latent_dim,
        categories=categories,
        check_latents=params.check_latents,
        attributes=attributes,
    )
    exact = as_onnx(generator, made.latent_dim, attributes)
    parities = {EXACT: measured.of(exact)}
    tell_parity(EXACT, exact, parities[EXACT], track)
    if not parities[EXACT].max_difference <= params.max_difference:  # so that "not a number" is refused, too
        raise ExportError(
            f"{export}: ONNX differs from torch by {parities[EXACT].max_difference:.2g}, over export.max_difference "
            f"({params.max_difference:g}); train again, or raise it in params.yaml if such pictures will do"
        )
    fewer_bits: dict[str, Callable[[], bytes]] = {
        "fp16": lambda: in_fp16(exact),
        "int8": lambda: in_int8(exact, made.latent_dim, categories),
    }
    models = {EXACT: exact} | {name: make() for name, make in fewer_bits.items() if name in params.precisions}
    for precision in list(models)[1:]:
        parities[precision] = measured.of(models[precision])
        tell_parity(precision, models[precision], parities[precision], track)
    tell_speed(models, made, track)
    chosen = chosen_precision(parities, params)
    variants = variants_of(models, parities, chosen, params)
    judge = checked_judge(classifier)
    of_chosen = next(variant for variant in variants if variant.precision == chosen)
    card = ExportedCard(
        categories=made.categories,
        height=made.height,
        width=made.width,
        channels=made.channels,
        latent_dim=made.latent_dim,
        images_seen=made.images_seen,
        network=made.network,
        opset=OPSET,
        precision=chosen,
        onnx_sha256=of_chosen.sha256,
        judge_sha256=hashlib.sha256(judge).hexdigest(),
        variants=variants,
        max_difference=of_chosen.max_difference,
        checked_latents=params.check_latents,
        intended_use=INTENDED_USE,
        attributes=made.attributes,
    )
    files = {variant_name(precision, chosen): model for precision, model in models.items()} | {JUDGE_NAME: judge}
    with whole_folder(export) as partial:
        write_exported(partial, files, card)
        write_sums(partial)
    for name in (CARD_NAME, JUDGE_NAME):
        track.artifact(export / name)
    track.model(export / MODEL_NAME, params.registered_name, generator_sha256(gan), about(card))
