"""An exported generator, opened for the studio: it draws recipes, and mixes categories and styles."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, known_names
from pipeline.inference.attributes import columns_of
from pipeline.inference.onnx_generator import (
    EARLY_LAYERS_NAME,
    JUDGE_NAME,
    ExportedCard,
    OnnxGenerator,
    OnnxJudge,
    as_images,
    onnx_session,
    read_card,
    read_model,
    refuse_other_shape,
    runs_as_described,
)
from pipeline.storage.arrays import has_alpha
from pipeline.words.edits import PromptPair, change_direction, within_strength
from pipeline.words.prompts import prompt_row
from studio.recipe import THOUSAND, Recipe, WordChange, recipe_attributes, recipe_latents, recipe_mixes

log = logging.getLogger(__name__)

VERSION_DIGITS = 12


@dataclass(frozen=True)
class Generator:
    """A generator that draws from latents (N, D) and category shares (N, C)."""

    card: ExportedCard
    version: str  # first 12 hex digits of the ONNX file's SHA-256
    network: OnnxGenerator
    early_layers: Any  # onnxruntime session of early_layers.onnx; None for exports of an earlier version
    judge: OnnxJudge | None  # classifies pictures by the model's categories, if it was exported

    @property
    def alpha(self) -> bool:
        """Whether the generator draws garments with alpha, on no ground."""
        return has_alpha(self.card.channels)

    @property
    def mixes_categories(self) -> bool:
        """Whether the graph has the inputs `category_mix` and `layer_latents`."""
        return self.card.style_layers > 0

    @property
    def style_layers(self) -> int:
        """Number of layers that take a latent each; 1 if styles cannot be mixed."""
        return max(self.card.style_layers, 1)

    def label_of(self, category: str) -> int:
        """The label of `category`. Raises InputError."""
        if category not in self.card.categories:
            raise InputError(f"there is no category {category!r}; {known_names(category, self.card.categories)}")
        return self.card.categories.index(category)

    def draw(
        self,
        latents: NDArray[np.float32],
        mixes: NDArray[np.float32],
        attributes: NDArray[np.float32] | None = None,
        text: NDArray[np.float32] | None = None,
        text_change: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Pictures, NCHW in [-1, 1], of latents (N, D), or (N, L, D) with one per style layer, category shares (N, C), and
        attributes (N, A) or texts and their changes (N, E).

        A graph that cannot mix draws the category with the largest share.
        """
        asked = {"attributes": attributes, "text": text, "text_change": text_change}
        if not self.mixes_categories:
            return self.network.pictures(latents, mixes.argmax(axis=1), **asked)
        labels = np.full(len(mixes), -1)  # no category besides `category_mix`
        if latents.ndim == 2:
            return self.network.pictures(latents, labels, category_mix=mixes, **asked)
        origin = np.zeros_like(latents[:, 0])
        return self.network.pictures(origin, labels, category_mix=mixes, layer_latents=latents, **asked)

    def draw_category(self, latents: NDArray[np.float32], label: int) -> NDArray[np.float32]:
        """Pictures, NCHW in [-1, 1], of latents (N, D) or (N, L, D), all of one category."""
        return self.draw(latents, np.eye(len(self.card.categories), dtype=np.float32)[[label] * len(latents)])

    def inputs_of(self, recipes: list[Recipe]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Latents (N, D) and category shares (N, C); latents are (N, L, D) if one recipe has a latent for each style layer.

        Raises InputError if a recipe is of another model.
        """
        others = {recipe.model for recipe in recipes} - {self.version}
        if others:
            raise InputError(f"this picture is of model {others.pop()}, and the studio has {self.version} open; open that one")
        mixes = recipe_mixes(recipes, len(self.card.categories))
        return recipe_latents(recipes, self.card.latent_dim, self.style_layers), mixes

    def pictures(self, recipes: list[Recipe]) -> NDArray[np.uint8]:
        """Pictures (N, H, W, C) of `recipes`, with alpha straight.

        Raises InputError if one is of another model, or has a text that the model cannot read.
        """
        attributes = recipe_attributes(recipes, len(columns_of(self.card.attributes)))
        return as_images(self.draw(*self.inputs_of(recipes), attributes, self._texts(recipes), self._text_changes(recipes)))

    def _texts(self, recipes: list[Recipe]) -> NDArray[np.float32] | None:
        """Texts (N, E) of `recipes`, zeros without one; None if none has any. Raises InputError as prompt_row does."""
        said = [(recipe.text, recipe.strength) for recipe in recipes]
        if not any(text for text, _ in said):
            return None
        nothing = np.zeros(self.card.text_dim, np.float32)
        rows = {one: prompt_row(one[0], one[1] / THOUSAND, self.card)[0] if one[0] else nothing for one in set(said)}
        return np.stack([rows[one] for one in said])

    def _text_changes(self, recipes: list[Recipe]) -> NDArray[np.float32] | None:
        """The sums (N, E) of the changes in words of `recipes`; None if none has any. Raises InputError as change_step does."""
        if not any(recipe.changes for recipe in recipes):
            return None
        rows = {changes: self._text_change(changes) for changes in {recipe.changes for recipe in recipes}}
        return np.stack([rows[recipe.changes] for recipe in recipes])

    def _text_change(self, changes: tuple[WordChange, ...]) -> NDArray[np.float32]:
        """The sum (E,) of `changes`, no longer than MAX_STRENGTH."""
        row = np.zeros(self.card.text_dim, np.float32)
        for one in changes:
            direction = change_direction(PromptPair(one.before, one.after), self.card)
            row = row + np.float32(one.thousandths / THOUSAND) * direction
        return within_strength(row)


def open_generator(folder: Path, *, threads: int = 1) -> Generator:
    """The exported generator in `folder`. Raises InputError if it is missing, damaged, unsafe or unlike its card."""
    card = read_card(folder)
    content = read_model(folder, card.onnx_sha256)
    early_layers = judge = None
    if not card.style_layers:
        log.warning(
            "%s: exported by an earlier version, so the studio mixes neither categories nor styles and has fewer sliders; "
            "`snakemake --forcerun export` exports it again",
            folder,
        )
    with runs_as_described(folder):
        network = OnnxGenerator(content, threads=threads)
        if card.early_layers_sha256 is not None and (folder / EARLY_LAYERS_NAME).exists():
            early_layers = onnx_session(read_model(folder, card.early_layers_sha256, EARLY_LAYERS_NAME), threads=threads)
        if card.judge_sha256 is not None and (folder / JUDGE_NAME).exists():
            judge = OnnxJudge(read_model(folder, card.judge_sha256, JUDGE_NAME), threads=threads)
        generator = Generator(card, card.onnx_sha256[:VERSION_DIGITS], network, early_layers, judge)
        shape = generator.draw_category(np.zeros((2, card.latent_dim), np.float32), len(card.categories) - 1).shape
    refuse_other_shape(folder, shape[1:], card)
    return generator
