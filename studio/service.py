"""The studio at work: one generator and all that is asked of it, as plain calls that block; `app` decides where they run."""

import base64
import io
import json
from collections.abc import Generator as Steps
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError, known_names
from pipeline.inference.onnx_generator import as_images
from studio.category_models import acquaintances, directions
from studio.database import StudioDatabase
from studio.directions import Direction, slerp
from studio.dressing import DressingOrder, dressed
from studio.jobs import Progress
from studio.model import Generator
from studio.patterns import PATTERNS, pattern
from studio.projection import photograph_mask, project, reframed
from studio.recipe import MAX_INDEX, THOUSAND, Drawn, Mix, Recipe, address_of, given, mix_of, only, recipe_at
from studio.schemas import InterpolateRequest, MoveRequest, StyleMixRequest, StyleTransferRequest, TasteRequest, WallRequest
from studio.style_networks import PaintingOptions
from studio.taste import candidate_latents, chosen, comparisons
from studio.uploads import RecentPictures

PATTERN_PX = 256
COMFORTABLE_STRENGTH = 30.0  # mean change of a pixel from -2 to +2; a fainter slider reaches further
REACH, MAX_REACH = 3.0, 9.0
MID_GREY = 127.5


class StudioService:
    """One generator, what is known of its categories, and what designers brought."""

    def __init__(self, generator: Generator, shelf: StudioDatabase, style_weights: Path | None) -> None:
        self.generator = generator
        self.card = generator.card
        self.shelf = shelf
        self.style_weights = style_weights
        self.uploads = RecentPictures()
        self._known = acquaintances(generator)
        self._directions = directions(generator)

    def label_of(self, category: str) -> int:
        """The label of `category`. Raises InputError."""
        if category not in self.card.categories:
            raise InputError(f"there is no category {category!r}; {known_names(category, self.card.categories)}")
        return self.card.categories.index(category)

    def upload(self, name: str) -> NDArray[np.uint8]:
        """The upload called `name`. Raises InputError."""
        picture = self.uploads.get(name)
        if picture is None:
            raise InputError("this upload is no longer here; send the picture again")
        return picture

    def wall(self, ask: WallRequest) -> list[Recipe]:
        """New garments."""
        categories = len(self.card.categories)
        labels = [self.label_of(ask.category)] * ask.count if ask.category else [n % categories for n in range(ask.count)]
        truncation = round(THOUSAND * ask.truncation)
        return [
            Recipe(self.generator.version, only(label), Drawn(ask.seed, min(n, MAX_INDEX), truncation))
            for n, label in enumerate(labels)
        ]

    def moved(self, ask: MoveRequest) -> Recipe:
        """The garment of `ask` after its moves. Raises InputError."""
        recipe = recipe_at(ask.address)
        latent = self.generator.inputs_of([recipe])[0][0]
        if ask.amounts:
            known = {direction.name: direction.vector for direction in self._directions[recipe.label]}
            unknown = set(ask.amounts) - set(known)
            if unknown:
                raise InputError(f"there is no direction {unknown.pop()!r} for this category")
            latent = latent + sum((np.float32(amount) * known[name] for name, amount in ask.amounts.items()), np.float32(0))
        return Recipe(self.generator.version, self._mixed(recipe, ask.mix), given(latent) if ask.amounts else recipe.source)

    def _mixed(self, recipe: Recipe, mix: dict[str, float] | None) -> Mix:
        if not mix:
            return recipe.mix
        shares = {self.label_of(category): share for category, share in mix.items() if share > 0}
        if not shares:
            raise InputError("a mix needs a category with a share above 0")
        return mix_of(shares) if self.generator.mixes_categories else only(max(shares, key=shares.__getitem__))

    def between(self, ask: InterpolateRequest) -> list[Recipe]:
        """Garments from the first to the second of `ask`, both included. Raises InputError."""
        ends = [recipe_at(ask.first), recipe_at(ask.second)]
        latents, mixes = self.generator.inputs_of(ends)
        shares = np.linspace(0, 1, ask.count, dtype=np.float32)[1:-1]
        way = []
        layers = latents.reshape(2, -1, self.card.latent_dim).swapaxes(0, 1)  # one, or one for each layer of style
        arcs = np.stack([slerp(first, second, shares) for first, second in layers], axis=1)
        for latent, share in zip(arcs, shares, strict=True):
            mixed = (1 - share) * mixes[0] + share * mixes[1]
            mix = mix_of({int(label): float(mixed[label]) for label in np.flatnonzero(mixed)})
            way.append(Recipe(self.generator.version, mix, given(latent)))
        return [ends[0], *way, ends[1]]

    def styles(self, ask: StyleMixRequest) -> list[Recipe]:
        """Garments that take 1, 2, … layers of style, the coarsest first, from `ask.coarse` and the others from `ask.fine`.

        The category is that of the coarse one. Raises InputError where the network has no layers of style.
        """
        layers = self.generator.style_layers
        if layers < 2:
            raise InputError("this model has no layers of style to mix; go from one garment to the other instead")
        ends = [recipe_at(ask.coarse), recipe_at(ask.fine)]
        latents, _ = self.generator.inputs_of(ends)
        coarse, fine = (np.broadcast_to(latent, (layers, self.card.latent_dim)) for latent in latents)
        mixed = [np.concatenate([coarse[:cut], fine[cut:]]) for cut in range(1, layers)]
        return [Recipe(self.generator.version, ends[0].mix, given(latent)) for latent in mixed]

    def has_sliders(self, address: str) -> bool:
        """Whether the directions for the garment at `address` were found already. Raises InputError."""
        return self._label_at(address) in self._directions

    def find_sliders(self, address: str) -> None:
        """Find the directions for the garment at `address`. Raises InputError."""
        self._directions[self._label_at(address)]

    def _label_at(self, address: str) -> int:
        recipe = recipe_at(address)
        self.generator.inputs_of([recipe])
        return recipe.label

    def sliders(self, label: int) -> list[tuple[Direction, float]]:
        """Directions of a category and how far their sliders reach."""
        found = self._directions[label]
        return [(one, min(REACH * max(COMFORTABLE_STRENGTH / max(one.strength, 1e-3), 1.0), MAX_REACH)) for one in found]

    def next_wall(self, ask: TasteRequest) -> list[Recipe]:
        """Garments that lean to the taste that all votes on the category show, after those of `ask` were remembered."""
        label = self.label_of(ask.category)
        votes = [(vote.address, vote.vote) for vote in ask.votes]
        self.generator.inputs_of([recipe_at(address) for address, _ in votes])
        if any(vote for _, vote in votes):
            self.shelf.add_wall_of_votes(self.generator.version, ask.category, votes)
        remembered = self.shelf.votes(self.generator.version, ask.category)
        rng = np.random.default_rng(ask.seed)
        seen_latents, _ = self.generator.inputs_of([recipe_at(vote.address) for vote in remembered])
        if seen_latents.ndim == 3:  # only a hand-made ask brings garments of mixed styles here
            seen_latents = seen_latents.mean(axis=1)
        marks = np.array([vote.vote for vote in remembered], np.int64)
        candidates = candidate_latents(seen_latents[marks > 0], self.card.latent_dim, ask.truncation, rng)
        eye = self._known[label].eye
        looks = eye.look(as_images(self.generator.draw_category(candidates, label)))
        seen = eye.look(as_images(self.generator.draw_category(seen_latents, label))) if remembered else looks[:0]
        compared = comparisons(np.array([vote.wall for vote in remembered], np.int64), marks)
        best = chosen(seen, compared, looks, ask.count, rng)
        return [Recipe(self.generator.version, only(label), given(candidates[place])) for place in best]

    def projected(self, photograph: NDArray[np.uint8], label: int | None, negative: bool | None) -> Steps[Progress, None, None]:
        """The nearest garment to `photograph` (H, W, 3) as it comes nearer, and what of the photograph the model is shown."""
        labels = [label] if label is not None else list(range(len(self.card.categories)))
        framing = self._known[labels[0]].framing
        border = np.concatenate([photograph[0], photograph[-1], photograph[:, 0], photograph[:, -1]])
        light = float(np.median(border)) > MID_GREY, float(framing.backdrop.mean()) > MID_GREY
        turn = light[0] != light[1] if negative is None else negative
        target = reframed(photograph, photograph_mask(photograph), self.generator, framing, negative=turn)
        shown = base64.b64encode(png_of(target)).decode()
        for share, found in project(self.generator, target, lambda one: self._known[one].encoder, labels):
            recipe = Recipe(self.generator.version, only(found.label), given(found.latent))
            picture = self.generator.pictures([recipe])[0]
            drawn = picture.astype(np.float32) - target
            result = {
                "address": address_of(recipe),
                "category": self.card.categories[found.label],
                "distance": round(float(np.sqrt((drawn**2).mean())), 2),
                "distance_of_backdrop": round(float(np.sqrt(((target - framing.backdrop) ** 2).mean())), 2),
                "negative": turn,
                "seen_as": shown,
            }
            yield Progress(share, picture, result)

    def styled(self, ask: StyleTransferRequest) -> tuple[Steps[Progress, None, None], dict[str, object]]:
        """The steps of dressing what `ask` names, and the recipe that goes with the result. Raises InputError."""
        if (ask.address is None) == (ask.upload is None) or (ask.pattern is None) == (ask.style_upload is None):
            raise InputError("name one garment (address or upload) and one style (pattern or style_upload)")
        if ask.mode == "whiten" and self.style_weights is None:
            raise InputError("whitening needs the compressed VGG-19; start the studio with --style-weights")
        if ask.pattern is not None and ask.pattern not in PATTERNS:
            raise InputError(f"there is no pattern {ask.pattern!r}")
        style = self.upload(ask.style_upload) if ask.style_upload else pattern(ask.pattern or "", PATTERN_PX)
        content = self.generator.pictures([recipe_at(ask.address)])[0] if ask.address else self.upload(ask.upload or "")
        how = PaintingOptions(ask.network, ask.content_weight, ask.style_weight, tuple(ask.layers), ask.steps, seed=0)
        order = DressingOrder(content, style, ask.address is not None, ask.garment_only, ask.mode, ask.strength, how)
        recipe = {key: value for key, value in ask.model_dump(mode="json").items() if value is not None}
        return dressed(order, self.style_weights), recipe | {"model_sha256": self.card.onnx_sha256}

    def recipe_card(self, address: str) -> dict[str, object]:
        """What a downloaded picture says of how it was made."""
        recipe = recipe_at(address)
        mix = {self.card.categories[label]: share / THOUSAND for label, share in recipe.mix}
        card: dict[str, object] = {"address": address, "model_sha256": self.card.onnx_sha256, "categories": mix}
        if isinstance(recipe.source, Drawn):
            card |= {"seed": recipe.source.seed, "index": recipe.source.index}
            card |= {"truncation": recipe.source.truncation_thousandths / THOUSAND}
        return card


def png_of(picture: NDArray[np.uint8]) -> bytes:
    """`picture` (H, W, C) as a PNG without a mark: for what people brought, not for what AI made."""
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, format="PNG")
    return file.getvalue()


def picture_of(png: bytes) -> NDArray[np.uint8]:
    """The picture (H, W, 3) of a PNG that the studio wrote itself."""
    return np.asarray(Image.open(io.BytesIO(png), formats=("PNG",)).convert("RGB"))


def recipe_in(text: str) -> dict[str, object]:
    """The recipe kept with a piece."""
    return dict(json.loads(text))
