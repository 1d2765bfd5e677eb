"""A person's taste as the studio knows it: votes and profile of the database, and the garments suggested by them."""

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.onnx_generator import as_images
from pipeline.words.encoder import text_encoder
from pipeline.words.prompts import prompt_row
from studio.category_models import CategoryModels, PerCategory
from studio.database import StudioDatabase
from studio.model import Generator
from studio.profile import ProfileEffects, stored_profile
from studio.recipe import Recipe, latent_source, parse_address, single_category
from studio.schemas import SuggestionRequest
from studio.stated_taste import StatedTaste, WordEffect, stated_taste
from studio.suggestions import Votes, suggested_latents
from studio.taste_features import Features

WORD_GARMENTS = 64  # drawn to see what a word changes


class TasteService:
    """The taste stored in a database, for garments of one generator."""

    def __init__(self, generator: Generator, database: StudioDatabase, models: PerCategory[CategoryModels]) -> None:
        self._generator = generator
        self._database = database
        self._models = models
        self._stated: dict[int, tuple[str | None, StatedTaste]] = {}  # by category, of the stored profile only
        self._lock = Lock()  # between a look at the stored profile and what is kept of it

    def suggested(self, request: SuggestionRequest) -> list[Recipe]:
        """The next garments of a category, sampled from the preference model of all votes, those of `request` included.

        Raises InputError if a vote is on a garment of another category.
        """
        label = self._generator.label_of(request.category)
        version, database = self._generator.version, self._database
        new_votes = [(vote.address, vote.vote) for vote in request.votes]
        voted = [parse_address(address) for address, _ in new_votes]
        self._generator.inputs_of(voted)
        if any(recipe.label != label for recipe in voted):
            raise InputError(f"a vote is on a garment of another category than {request.category}; load the suggestions again")
        if any(vote for _, vote in new_votes):
            database.add_votes(version, request.category, new_votes)
        stored = database.votes(version, request.category)
        latents, _ = self._generator.inputs_of([parse_address(vote.address) for vote in stored])
        if latents.ndim == 3:  # the page sends no style mixes, but a client may
            latents = latents.mean(axis=1)
        votes = Votes(
            latents, np.array([one.grid for one in stored], np.int64), np.array([one.vote for one in stored], np.int64)
        )
        found = suggested_latents(
            self._models[label].known,
            lambda some: self._look(label, some),
            self.stated(label).weights,
            votes,
            request.count,
            np.random.default_rng(request.seed),
            request.truncation,
        )
        return [Recipe(version, single_category(label), latent_source(latent)) for latent in found]

    def _look(self, label: int, latents: NDArray[np.float32]) -> Features:
        pictures = as_images(self._generator.draw_category(latents, label))
        return self._models[label].features.of(pictures)

    def stated(self, label: int) -> StatedTaste:
        """What the stored profile says of a category; a model that was trained on captions draws garments for its words."""
        content = self._database.profile()
        kept_content, kept = self._stated.get(label, (None, None))
        if kept is not None and kept_content == content:
            return kept
        features, categories = self._models[label].known.features, self._generator.card.categories
        stated = stated_taste(stored_profile(content), features, categories, *self._word_effect(label))
        with self._lock:
            if self._database.profile() == content:  # it may have been deleted meanwhile
                self._stated[label] = (content, stated)
        return stated

    def _word_effect(self, label: int) -> tuple[WordEffect | None, str]:
        """What a word changes in the garments of a category, and why that is not known where it is not."""
        if not self._generator.card.text_dim:
            return None, "this model was not trained on text"
        try:
            text_encoder()
        except InputError as error:
            return None, str(error)
        known, mix = self._models[label].known, np.eye(len(self._generator.card.categories), dtype=np.float32)[label]
        latents = known.latents[:WORD_GARMENTS]

        def effect(word: str) -> Features:
            text = np.repeat(prompt_row(word, 1.0, self._generator.card), len(latents), axis=0)
            asked = as_images(self._generator.draw(latents, np.repeat(mix[None], len(latents), axis=0), text=text))
            return self._models[label].features.of(asked).mean(axis=0) - known.features[: len(latents)].mean(axis=0)

        return effect, ""

    def effects(self, category: str) -> ProfileEffects:
        """What of the profile and of the votes counts for garments of `category`. Raises InputError."""
        stated = self.stated(self._generator.label_of(category))
        votes = sum(vote.vote != 0 for vote in self._database.votes(self._generator.version, category))
        return ProfileEffects(
            sentences=list(stated.sentences), counts=bool(stated.weights.any()), categories=list(stated.categories), votes=votes
        )

    def delete_profile(self) -> None:
        """Delete the profile and all votes, on disk and in memory."""
        with self._lock:
            try:
                self._database.delete_profile()
            finally:
                self._stated.clear()
