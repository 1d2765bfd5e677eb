"""The generator as ONNX in several precisions, compared with torch, with a card that describes it."""

import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import ExportError, InputError
from pipeline.gan.checkpoints import CAPTION_SAMPLE, GeneratorCard, generator_sha256, load_generator
from pipeline.gan.networks.parts import Generator
from pipeline.inference.attributes import columns_of, drawn_attributes
from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import (
    CARD_NAME,
    EARLY_LAYERS_NAME,
    JUDGE_NAME,
    MODEL_NAME,
    ExportedCard,
    variant_name,
    write_exported,
)
from pipeline.inference.texts import MAX_STRENGTH, drawn_texts
from pipeline.inference.transparency import Ground
from pipeline.metrics.classifier import Classifier, load_classifier
from pipeline.metrics.reference_set import category_shares, load_classifier_test_features, reference_ground
from pipeline.stages.export.onnx_graphs import (
    OPSET,
    early_layers_as_onnx,
    generator_as_onnx,
    judge_as_onnx,
    optional_inputs,
    with_defaults,
)
from pipeline.stages.export.params import ExportParams
from pipeline.stages.export.parity import DrawCondition, Parities, Parity, judge_difference
from pipeline.stages.export.precision_choice import EXACT, chosen_precision, variants_of
from pipeline.stages.export.precisions import CALIBRATION_LATENTS, CALIBRATION_SEED, in_fp16, in_int8
from pipeline.stages.export.speed import onnx_draw, providers, speeds_of
from pipeline.storage.arrays import UNREADABLE_ARRAY, colour_channels, has_alpha
from pipeline.storage.checksums import check_folder, write_sums
from pipeline.storage.files import whole_folder
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

SPEED_ROUNDS = 5
JUDGE_PICTURES, JUDGE_SEED = 32, 3
JUDGE_MAX_DIFFERENCE = 1e-3  # of a probability
COLOURS = ["red", "green", "blue"]
CHANNEL_MEANINGS = {
    1: ["grey"],
    2: ["grey × alpha", "2 alpha - 1"],
    3: COLOURS,
    4: [*(f"{colour} × alpha" for colour in COLOURS), "2 alpha - 1"],
}  # colours in [-1, 1], alpha in [0, 1]: inference/transparency.py
INTENDED_USE = (
    "Ideas, mood boards and research. Not for passing pictures off as photographs, as a brand's designs or as a person's work: "
    "show them as made by AI."
)


def load_judge(reference: Path, generator_card: GeneratorCard) -> tuple[Classifier, NDArray[np.float32]]:
    """The classifier in `reference` and its features (N, 128) of the real test pictures. Raises InputError."""
    classifier = load_classifier(reference)
    card, made = classifier.card, generator_card
    sees = card.height, card.width, card.channels, card.n_categories
    draws = made.height, made.width, colour_channels(made.channels), len(made.categories)
    if sees != draws:
        raise InputError(
            f"{reference}: the classifier sees {sees}, the generator draws {draws} (height, width, channels of colour, "
            "categories); run reference and train again"
        )
    return classifier, load_classifier_test_features(reference)


def checked_judge(classifier: Classifier, ground: Ground | None) -> bytes:
    """`classifier` as ONNX, on `ground` if pictures have alpha.

    Raises ExportError if its probabilities for random pictures differ from torch's.
    """
    card = classifier.card
    noise = draw_latents(JUDGE_SEED, JUDGE_PICTURES, card.height * card.width * card.channels)
    pictures = np.clip(127.5 + 60 * noise, 0, 255).astype(np.uint8).reshape(-1, card.height, card.width, card.channels)
    if ground is not None:  # transparent or opaque: in between, torch's classifier sees rounded levels
        pictures = np.concatenate([pictures, np.where(pictures[..., :1] < 128, np.uint8(0), np.uint8(255))], axis=-1)
    judge = judge_as_onnx(classifier, ground)
    difference = judge_difference(classifier, judge, pictures, ground)
    if not difference <= JUDGE_MAX_DIFFERENCE:
        raise ExportError(f"{JUDGE_NAME}: its probabilities differ from torch's by {difference:.2g}; run reference again")
    return judge


def condition_draw(gan: Path, made: GeneratorCard, max_strength: float = 1.0) -> DrawCondition:
    """Draws attributes or texts as in training, texts at strengths up to `max_strength`; nothing if the generator takes none.

    Raises InputError if the sample of captions in `gan` is missing.
    """
    if made.text_dim:
        try:
            sample: NDArray[np.float32] = np.load(gan / CAPTION_SAMPLE)
        except UNREADABLE_ARRAY as error:
            raise InputError(f"{gan / CAPTION_SAMPLE}: cannot be read ({error}); run train again") from error
        return lambda seed, count: {"text": drawn_texts(seed, count, sample, max_strength)}
    if made.attributes:
        return lambda seed, count: {"attributes": drawn_attributes(seed, count, made.attributes)}
    return lambda _seed, _count: {}


def export_precisions(
    generator: Generator, made: GeneratorCard, precisions: list[str], condition: DrawCondition
) -> dict[str, bytes]:
    """The generator's graph in fp32 and each other one of `precisions`, fp32 first; int8 is calibrated on `condition`."""
    categories, width = len(made.categories), made.optional_condition
    shapes = optional_inputs(generator, made.latent_dim, categories, width)
    required = generator_as_onnx(generator, made.latent_dim, categories, width)
    calibration = condition(CALIBRATION_SEED, CALIBRATION_LATENTS)
    converters: dict[str, Callable[[], bytes]] = {
        EXACT: lambda: required,
        "fp16": lambda: in_fp16(required),
        "int8": lambda: in_int8(required, made.latent_dim, categories, shapes, calibration),
    }
    return {name: with_defaults(convert(), shapes) for name, convert in converters.items() if name in precisions}


def log_parity(precision: str, model: bytes, parity: Parity, track: Tracker) -> None:
    """Log and track the differences of one precision from torch."""
    log.info(
        "%s: %s bytes; differs from torch by at most %.2g, on average by %.2g; fd_classifier %.3f",
        precision,
        f"{len(model):,}",
        parity.max_difference,
        parity.mean_difference,
        parity.fd_classifier,
    )
    values = vars(parity) | {"onnx_bytes": len(model)}
    track.metrics({f"{name}_{precision}": value for name, value in values.items()})


def log_speed(models: Mapping[str, bytes], made: GeneratorCard, track: Tracker) -> None:
    """Log and track the speed of each precision under each provider. It is in no output, because no two runs agree on it."""
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


def model_description(card: ExportedCard) -> str:
    """Markdown that describes a registered version."""
    size = f"{card.height}×{card.width}×{card.channels}"
    channels = f", the channels {', '.join(card.channel_meanings)}" if card.alpha else ""
    columns = ", ".join(columns_of(card.attributes))
    attributes = f"; optionally `attributes` (N, A) of zeros and ones: {columns}" if columns else ""
    if card.text_dim:
        attributes = (
            f"; optionally `text` (N, {card.text_dim}), a unit vector by {card.text_encoder}, times 0 to {MAX_STRENGTH:g}, and "
            "`text_change`, which is added to it"
        )
    return (
        f"Draws {', '.join(card.categories)} at {size}; trained on {card.images_seen:,} pictures, repeats included.\n\n"
        f"Input: `latents` (N, {card.latent_dim}), standard normal, and `labels` (N,){attributes}. "
        f"Output: `pictures`, NCHW in [-1, 1]{channels}.\n\n"
        f"{card.intended_use}"
    )


def checked_parities(
    models: Mapping[str, bytes], measured: Parities, params: ExportParams, track: Tracker
) -> dict[str, Parity]:
    """The parity of each of `models` whose pictures are finite, fp32 first.

    Raises ExportError if fp32 differs from torch by more than the limit, or overflows.
    """
    parities: dict[str, Parity] = {}
    for precision, model in models.items():
        parity = measured.of(model)
        if precision != EXACT and not math.isfinite(parity.mean_difference):
            log.warning("%s is not exported: its pictures overflow", precision)
            continue
        parities[precision] = parity
        log_parity(precision, model, parity, track)
        if precision == EXACT and not parity.max_difference <= params.max_difference:  # NaN fails too
            raise ExportError(
                f"{MODEL_NAME}: ONNX differs from torch by {parity.max_difference:.2g}, over export.max_difference "
                f"({params.max_difference:g}); train again, or raise it in params.yaml if such pictures will do"
            )
    return parities


def run(params: ExportParams, *, reference: Path, gan: Path, export: Path, track: Tracker) -> None:
    """Write the generator in all precisions, early_layers.onnx, judge.onnx and the card into `export`, and register it.

    Raises ExportError, InputError.
    """
    check_folder(reference, "reference")
    check_folder(gan, "train")
    generator, made = load_generator(gan, torch.device("cpu"))
    classifier, test_features = load_judge(reference, made)
    alpha = has_alpha(made.channels)
    ground = reference_ground(reference) if alpha else None
    measured = Parities(
        generator,
        classifier,
        test_features,
        latent_dim=made.latent_dim,
        shares=category_shares(reference),
        check_latents=params.check_latents,
        condition=condition_draw(gan, made),
        ground=ground,
    )
    models = export_precisions(generator, made, list(params.precisions), condition_draw(gan, made, MAX_STRENGTH))
    parities = checked_parities(models, measured, params, track)
    models = {precision: model for precision, model in models.items() if precision in parities}
    log_speed(models, made, track)
    chosen = chosen_precision(parities, params)
    variants = variants_of(models, parities, chosen, params)
    judge, early_layers = checked_judge(classifier, ground), early_layers_as_onnx(generator, made.latent_dim)
    chosen_variant = next(variant for variant in variants if variant.precision == chosen)
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
        onnx_sha256=chosen_variant.sha256,
        judge_sha256=hashlib.sha256(judge).hexdigest(),
        variants=variants,
        max_difference=chosen_variant.max_difference,
        checked_latents=params.check_latents,
        intended_use=INTENDED_USE,
        attributes=made.attributes,
        style_layers=generator.style_layers,
        early_layers_sha256=hashlib.sha256(early_layers).hexdigest(),
        alpha=alpha,
        channel_meanings=CHANNEL_MEANINGS[made.channels],
        text_encoder=made.text_encoder,
        text_dim=made.text_dim,
        trained_through=made.trained_through,
    )
    files = {variant_name(precision, chosen): model for precision, model in models.items()}
    with whole_folder(export) as partial:
        write_exported(partial, files | {JUDGE_NAME: judge, EARLY_LAYERS_NAME: early_layers}, card)
        write_sums(partial)
    for name in (CARD_NAME, JUDGE_NAME, EARLY_LAYERS_NAME):
        track.artifact(export / name)
    track.model(export / MODEL_NAME, params.registered_name, generator_sha256(gan), model_description(card))
