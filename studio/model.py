"""An exported generator, opened for the studio: it draws recipes, and mixes categories and styles where its graph allows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.onnx_generator import (
    JUDGE_NAME,
    MODEL_NAME,
    ExportedCard,
    OnnxJudge,
    as_images,
    read_card,
    read_model,
    refuse_other_shape,
    runs_as_described,
)
from studio.graph import LABELS, LATENTS, MIX, PICTURES, read_graph, with_category_mix, with_style_layers
from studio.recipe import Recipe, recipe_latents, recipe_mixes

BATCH = 32  # bounds the memory of a large draw
VERSION_DIGITS = 12


def session_of(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session on `model`, from its bytes, so that nothing beside it can be read."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # a warning for each unused initialiser says nothing to a designer
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Generator:
    """A generator that draws from latents (N, D) and shares of categories (N, C)."""

    card: ExportedCard
    version: str  # first 12 hex digits of the ONNX file's SHA-256
    graph: onnx.ModelProto  # takes `mix` if mixes_categories, else `labels`
    mixes_categories: bool
    session: onnxruntime.InferenceSession
    style_layers: int  # that take a latent each; 1 where the network cannot mix styles
    styled_session: onnxruntime.InferenceSession | None
    judge: OnnxJudge | None  # what tells the model's categories apart, where it came with the model

    def feeds(self, latents: NDArray[np.float32], mixes: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        """Inputs of the graph. A graph that cannot mix takes the category with the largest share."""
        if self.mixes_categories:
            return {LATENTS: latents, MIX: mixes}
        return {LATENTS: latents, LABELS: mixes.argmax(axis=1)}

    def draw(self, latents: NDArray[np.float32], mixes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pictures, NCHW in [-1, 1], of latents (N, D), or one a layer of style (N, L, D), and shares of categories (N, C)."""
        session = self.session if latents.ndim == 2 else self.styled_session
        assert session is not None  # latents_of gives a latent a layer only where there are layers
        batches = [slice(start, start + BATCH) for start in range(0, len(latents), BATCH)]
        return np.concatenate([session.run([PICTURES], self.feeds(latents[rows], mixes[rows]))[0] for rows in batches])

    def draw_category(self, latents: NDArray[np.float32], label: int) -> NDArray[np.float32]:
        """Pictures, NCHW in [-1, 1], of latents (N, D) or (N, L, D), all of one category."""
        return self.draw(latents, np.eye(len(self.card.categories), dtype=np.float32)[[label] * len(latents)])

    def inputs_of(self, recipes: list[Recipe]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Latents (N, D) and shares of categories (N, C). Raises InputError when a recipe is another model's.

        The latents are (N, L, D) as soon as one recipe has a latent for each layer of style.
        """
        strangers = {recipe.model for recipe in recipes} - {self.version}
        if strangers:
            raise InputError(
                f"made by model {strangers.pop()}, and the studio has {self.version} open; open that one to see it"
            )
        return recipe_latents(recipes, self.card.latent_dim, self.style_layers), recipe_mixes(
            recipes, len(self.card.categories)
        )

    def pictures(self, recipes: list[Recipe]) -> NDArray[np.uint8]:
        """Pictures (N, H, W, C) of `recipes`. Raises InputError when one is another model's."""
        return as_images(self.draw(*self.inputs_of(recipes)))


def open_judge(folder: Path, card: ExportedCard) -> OnnxJudge | None:
    """The classifier beside the generator in `folder`, where its card names one. Raises InputError."""
    if card.judge_sha256 is None or not (folder / JUDGE_NAME).exists():
        return None
    return OnnxJudge(read_model(folder, card.judge_sha256, JUDGE_NAME), threads=1)


def open_generator(folder: Path, *, threads: int = 1) -> Generator:
    """The exported generator in `folder`. Raises InputError when it is missing, damaged, unsafe or not what its card says."""
    card = read_card(folder)
    graph = read_graph(read_model(folder, card.onnx_sha256), str(folder / MODEL_NAME))
    with runs_as_described(folder):
        mixed = with_category_mix(graph)
        opened = mixed or graph
        styled, layers = with_style_layers(opened) or (None, 1)
        generator = Generator(
            card,
            card.onnx_sha256[:VERSION_DIGITS],
            opened,
            mixed is not None,
            session_of(opened, threads),
            layers,
            session_of(styled, threads) if styled else None,
            open_judge(folder, card),
        )
        shape = generator.draw_category(np.zeros((2, card.latent_dim), np.float32), len(card.categories) - 1).shape
    refuse_other_shape(folder, shape[1:], card)
    return generator
