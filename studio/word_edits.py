"""Changes of a garment in words, as sliders whose effects are measured like those of every other one."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.words.edits import PromptPair, change_step, checked_change, prompt_pair
from studio.directions import effect_latents, effects_between
from studio.model import Generator
from studio.recipe import Recipe, latent_source, single_category, word_change
from studio.seen_attributes import colour_shown

EFFECT_AMOUNT = 1.0  # effects are from -1 to +1: the model saw texts of that length, and draws no garments much beyond
REACH = 1.5


@dataclass(frozen=True)
class WordEdit:
    """A change in words and the effects of moving along it."""

    words: str
    pair: PromptPair
    step: float  # distance of the two prompts: the amount by which the one becomes the other
    effects: dict[str, float]  # change of each measure from -1 to +1, in that measure's standard deviations
    strength: float  # mean absolute change of a pixel from -1 to +1, grey levels


def word_edit(generator: Generator, recipe: Recipe, words: str, spreads: dict[str, float]) -> WordEdit:
    """The change `words` of the garment of `recipe`, measured on others of its category; `spreads` of each measure there.

    They are drawn with the text of `recipe`. Raises InputError as checked_change does.
    """
    change = checked_change(words, generator.card)
    category = generator.card.categories[recipe.label]
    pair = prompt_pair(change, category, colour_shown(generator.pictures([recipe])[0], category))
    step = float(np.linalg.norm(change_step(pair, generator.card)))
    others = replace(recipe, mix=single_category(recipe.label))
    latents = effect_latents(generator)

    def moved(amount: float) -> NDArray[np.uint8]:
        changes = (*recipe.changes, word_change(pair.before, pair.after, amount))
        return generator.pictures([replace(others, changes=changes, source=latent_source(latent)) for latent in latents])

    ends = [moved(side * EFFECT_AMOUNT) for side in (-1, 1)]
    effects, strength = effects_between(generator, recipe.label, ends, spreads)
    return WordEdit(change, pair, min(step, REACH), effects, strength)
