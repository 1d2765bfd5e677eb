"""New garments from an exported model, without torch: a contact sheet (.png) or arrays (.npz)."""

import argparse
import logging
import math
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError, known_names
from pipeline.imaging.ai_label import AI_COMMENT, ai_marks
from pipeline.imaging.contact_sheets import contact_sheet, enlarged
from pipeline.inference.attributes import attribute_row
from pipeline.inference.latents import Latents, draw_latents, labels_in_equal_shares
from pipeline.inference.onnx_generator import (
    BATCH,
    ExportedCard,
    OnnxGenerator,
    as_images,
    read_card,
    read_generator,
    runs_as_described,
)
from pipeline.inference.transparency import GROUNDS, on_ground
from pipeline.storage.arrays import has_alpha
from pipeline.storage.files import output_file, refuse_output, sha256_of_file
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from pipeline.words.prompts import checked_strength, prompt_embedding, prompt_row
from pipeline.words.vocabulary import named

log = logging.getLogger(__name__)

MAX_COUNT = 10_000
MAX_SEED = 2**32 - 1
TRUNCATION = 1.0  # none
MAX_SHEET_PIXELS = 1 << 28
VISIBLE_SIDE_PX = 128  # smaller pictures are enlarged on a sheet
TARGETS = (".png", ".npz")
TRANSPARENT = "transparent"
HEAD_NAME = "contrast.safetensors"  # as metrics/contrast.py writes it, which imports torch
NAMED_ATTRIBUTES = tuple(SEEN_ATTRIBUTES)  # have an option of their own


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a set of garments. Raises InputError if a number is out of range."""

    model_sha256: str
    category: str | None  # None: all, in equal shares
    count: int
    seed: int
    attributes: tuple[str, ...] = ()  # name=value each, for every picture
    text: str | None = None  # describes every picture
    strength: float = 1.0  # of the text
    steered_by: str | None = None  # SHA-256 of the contrastive head that the text was read with; None: by the model itself

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_COUNT:
            raise InputError(f"--count {self.count}: must be 1 to {MAX_COUNT}")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"--seed {self.seed}: must be 0 to {MAX_SEED}")


def recipe_labels(recipe: Recipe, categories: list[str]) -> NDArray[np.int64]:
    """Labels (N,) of a recipe's pictures, ascending. Raises InputError if the category is unknown."""
    if recipe.category is None:
        return labels_in_equal_shares(recipe.count, len(categories))
    if recipe.category not in categories:
        raise InputError(f"--category {recipe.category}: unknown to the model; {known_names(recipe.category, categories)}")
    return np.full(recipe.count, categories.index(recipe.category), dtype=np.int64)


def recipe_attributes(recipe: Recipe, attributes: dict[str, list[str]]) -> NDArray[np.float32] | None:
    """Attributes (N, A) of a recipe's pictures; None if it has none. Raises InputError if one is unknown."""
    row = attribute_row(recipe.attributes, attributes)
    return np.tile(row, (recipe.count, 1)) if recipe.attributes else None


def recipe_metadata(recipe: Recipe) -> dict[str, Any]:
    """The recipe in a picture's metadata; without what there is none of."""
    left_out = [] if recipe.attributes else ["attributes"]
    left_out += [] if recipe.text else ["text", "strength"]
    left_out += [] if recipe.steered_by else ["steered_by"]
    return {name: value for name, value in asdict(recipe).items() if name not in left_out}


def sha256_of_head(reference: Path) -> str | None:
    """The SHA-256 of the contrastive head in the folder `reference`; None if it has none."""
    path = reference / HEAD_NAME
    return sha256_of_file(path) if path.exists() else None


def asked_category(category: str | None, text: str | None, categories: list[str]) -> str | None:
    """The `category` that was named, else the one that `text` names, if any."""
    return category if category is not None or text is None else named(text, categories)


def draw_garments(
    generator: OnnxGenerator, card: ExportedCard, recipe: Recipe, latents: Latents | None = None
) -> NDArray[np.uint8]:
    """Pictures (N, H, W, C) of a recipe, in the order of its labels; from `latents` (N, D) in place of those of its seed."""
    latents = draw_latents(recipe.seed, recipe.count, card.latent_dim) if latents is None else latents
    labels, attributes = recipe_labels(recipe, card.categories), recipe_attributes(recipe, card.attributes)
    read = recipe.text is not None and recipe.steered_by is None
    text = np.tile(prompt_row(recipe.text or "", recipe.strength, card), (recipe.count, 1)) if read else None
    drawn = np.empty((recipe.count, card.height, card.width, card.channels), np.uint8)
    for start in range(0, recipe.count, BATCH):  # all pictures as floats would take four times the memory
        rows = slice(start, start + BATCH)
        condition = {"attributes": attributes, "text": text}
        parts = {name: None if one is None else one[rows] for name, one in condition.items()}
        drawn[rows] = as_images(generator.pictures(latents[rows], labels[rows], **parts))
    return drawn


def steered_latents(generator: OnnxGenerator, card: ExportedCard, recipe: Recipe, reference: Path) -> Latents:
    """Latents (N, D) of a recipe, steered towards its text by the head in `reference`; the more, the greater its strength.

    Raises InputError as `prompt_embedding` and `likeness_to` do.
    """
    from pipeline.metrics.steering import ROUNDS, STEPS, likeness_to, steered  # imports torch

    text = prompt_embedding(recipe.text or "", card.categories)
    rounds = round(ROUNDS * checked_strength(recipe.strength))
    log.info(
        "the model takes no text: %s steers its latents, which draws %d pictures",
        reference,
        recipe.count * (1 + rounds * STEPS),
    )
    likeness = likeness_to(text, reference)
    labels, attributes = recipe_labels(recipe, card.categories), recipe_attributes(recipe, card.attributes)

    def score(latents: Latents, garments: NDArray[np.int64]) -> NDArray[np.float32]:
        asked = None if attributes is None else attributes[garments]
        return likeness(as_images(generator.pictures(latents, labels[garments], attributes=asked)))

    start = draw_latents(recipe.seed, recipe.count, card.latent_dim)
    found = steered(start, score, np.random.default_rng([recipe.seed, 1]), rounds)
    log.info("likeness to the text: %.2f before, %.2f after, on average", found.before.mean(), found.after.mean())
    return found.latents


def sheet_columns(labels: NDArray[np.int64]) -> int:
    """Columns of a sheet: one category per row if all have the same count and it fits, else about square."""
    shares = np.unique(labels, return_counts=True)[1]
    one_row_each = len(shares) > 1 and shares.min() == shares.max() <= 32
    return int(shares[0]) if one_row_each else math.ceil(math.sqrt(len(labels)))


def write_sheet(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, ground: str) -> None:
    """Write `images` (N, H, W, C) as one PNG whose metadata say that AI made it, and from which recipe.

    `ground` is what is behind images with alpha; `transparent` keeps it.
    """
    if ground != TRANSPARENT:
        images = on_ground(images, ground)  # type: ignore[arg-type]  # one of GROUNDS
    times = max(1, VISIBLE_SIDE_PX // max(images.shape[1:3]))
    sheet = enlarged(contact_sheet(images, sheet_columns(labels)), times)
    with output_file(path) as partial:
        Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet).save(
            partial, format="PNG", pnginfo=ai_marks(recipe_metadata(recipe))
        )


def sheet_ground(asked: str | None, count: int) -> str:
    """The ground of a sheet of `count` garments: the one `asked` for, else none for a single garment and white for several."""
    return asked or (TRANSPARENT if count == 1 else "white")


def write_arrays(
    path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, categories: list[str]
) -> None:
    """Write `images` (N, H, W, C), `labels` and the recipe as one .npz, readable without pickle."""
    words: dict[str, Any] = {"text": np.str_(recipe.text), "strength": np.float64(recipe.strength)} if recipe.text else {}
    words |= {"steered_by": np.str_(recipe.steered_by)} if recipe.steered_by else {}
    with output_file(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            images=images,
            labels=labels,
            categories=np.array(categories, dtype=np.str_),
            attributes=np.array(recipe.attributes, dtype=np.str_),
            seed=np.int64(recipe.seed),
            truncation=np.float64(TRUNCATION),
            model_sha256=np.str_(recipe.model_sha256),
            ai_generated=np.bool_(True),
            comment=np.str_(AI_COMMENT),
            **words,
        )


def configure(command: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    command.add_argument(
        "--category", help="draw only this category (default: the one that --text names, else all, equally often)"
    )
    command.add_argument(
        "--attribute", action="append", default=[], metavar="NAME=VALUE", help="such as season=winter; several may be given"
    )
    for name in NAMED_ATTRIBUTES:
        command.add_argument(
            f"--{name}",
            dest="attribute",
            action="append",
            type=partial("{}={}".format, name),
            help=f"short for --attribute {name}=…",
        )
    command.add_argument("--text", help='what to draw, in English, German or Chinese, such as "long red dress"')
    command.add_argument("--strength", type=float, help="of the text, 0 to 2: 0 ignores it, 2 exaggerates (default: 1)")
    command.add_argument("--count", type=int, default=16, help=f"pictures, 1 to {MAX_COUNT} (default: 16)")
    command.add_argument(
        "--seed", type=int, default=0, help="the same seed and model bring back the same pictures (default: 0)"
    )
    command.add_argument(
        "--ground",
        choices=[TRANSPARENT, *GROUNDS],
        help="behind the garments of a model that draws alpha, in a .png (default: transparent for one garment, else white)",
    )
    command.add_argument(
        "--model", type=Path, default=Path("models/export"), help="folder of an exported model (default: models/export)"
    )
    command.add_argument(
        "--reference",
        type=Path,
        help="folder of reference, whose contrastive head steers a model that takes no text (default: beside that of --model)",
    )
    command.add_argument("target", type=Path, help="file to write: .png for a contact sheet, .npz for arrays (docs/gan.md)")


def refuse_without_effect(options: argparse.Namespace, card: ExportedCard) -> None:
    """Raise InputError if an option was given that changes nothing about what this model is asked for."""
    reasons = {
        "strength": "without --text" if options.text is None else None,
        "reference": "without --text" if options.text is None else "on a model that takes text" if card.text_dim else None,
        "ground": "on arrays" if options.target.suffix.lower() == ".npz" else None,
    }
    if not has_alpha(card.channels):
        reasons["ground"] = "on a model that draws no alpha"
    for name, reason in reasons.items():
        if reason and (value := getattr(options, name)) is not None:
            raise InputError(f"--{name} {value}: has no effect {reason}; leave it out")


def run(options: argparse.Namespace) -> None:
    """Write the target file, whole or not at all. Raises InputError."""
    target: Path = options.target
    as_sheet = target.suffix.lower() == ".png"
    if target.suffix.lower() not in TARGETS:
        raise InputError(f"{target}: must end in {' or '.join(TARGETS)}")
    refuse_output(target)
    card = read_card(options.model)
    refuse_without_effect(options, card)
    category = asked_category(options.category, options.text, card.categories)
    asked = tuple(options.attribute)
    reference = options.reference or options.model.parent / "reference"
    steered_by = sha256_of_head(reference) if options.text is not None and not card.text_dim else None
    strength = 1.0 if options.strength is None else options.strength
    recipe = Recipe(card.onnx_sha256, category, options.count, options.seed, asked, options.text, strength, steered_by)
    labels = recipe_labels(recipe, card.categories)
    recipe_attributes(recipe, card.attributes)
    if recipe.text is not None:  # what cannot be drawn is refused before the model is loaded
        checked_strength(recipe.strength)
        prompt_embedding(recipe.text, card.categories) if steered_by else prompt_row(recipe.text, recipe.strength, card)
    if as_sheet and recipe.count * max(card.height * card.width, VISIBLE_SIDE_PX**2) > MAX_SHEET_PIXELS:
        raise InputError(f"--count {recipe.count}: too many {card.height}×{card.width} pictures for one sheet; write an .npz")
    generator = read_generator(options.model, card)
    latents = steered_latents(generator, card, recipe, reference) if steered_by else None
    with runs_as_described(options.model):
        images = draw_garments(generator, card, recipe, latents)
    if as_sheet:
        write_sheet(target, images, labels, recipe, sheet_ground(options.ground, recipe.count))
    else:
        write_arrays(target, images, labels, recipe, card.categories)
