"""What the studio can do with one generator, as blocking calls; the routes decide in which thread they run."""

import base64
from collections.abc import Generator as Steps
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.attributes import attribute_row, columns_of
from pipeline.inference.latents import slerp
from pipeline.inference.transparency import on_ground
from pipeline.words.edits import checked_change
from pipeline.words.prompts import checked_prompt, prompt_row
from pipeline.words.vocabulary import named
from studio.category_models import category_directions, category_models
from studio.cut_outs import garment_of
from studio.database import StudioDatabase
from studio.directions import Direction
from studio.dressing import DressingOrder, dressed
from studio.jobs import Progress
from studio.measures import SEEN_ON
from studio.model import Generator
from studio.patterns import PATTERNS, pattern
from studio.projection import Framing, framed_cut_out, photograph_mask, project, reframed
from studio.recipe import (
    MAX_CHANGES,
    THOUSAND,
    CategoryMix,
    Recipe,
    SeedSource,
    format_address,
    latent_source,
    normalised_mix,
    parse_address,
    single_category,
    word_change,
)
from studio.schemas import (
    GridRequest,
    InterpolationRequest,
    MoveRequest,
    StyleMixRequest,
    StyleTransferRequest,
)
from studio.sheets import OF_PHOTOGRAPH, plain_png
from studio.style_networks import PaintingOptions
from studio.taste import TasteService
from studio.uploads import Recent
from studio.word_edits import WordEdit, word_edit

PATTERN_PX = 256
COMFORTABLE_STRENGTH = 30.0  # mean change of a pixel from -2 to +2; the slider of a fainter direction reaches further
REACH, MAX_REACH = 3.0, 9.0
SLIDER_STEP = 0.1  # of studio/static/sliders.js
MID_GREY = 127.5


class StudioService:
    """One generator, the models of its categories, and what designers uploaded and stored."""

    def __init__(self, generator: Generator, database: StudioDatabase, style_weights: Path | None) -> None:
        self.generator = generator
        self.card = generator.card
        self.database = database
        self.style_weights = style_weights
        self.uploads: Recent[NDArray[np.uint8]] = Recent()
        self._models = category_models(generator)
        self._directions = category_directions(generator)
        self.taste = TasteService(generator, database, self._models)

    def label_of(self, category: str) -> int:
        """The label of `category`. Raises InputError."""
        return self.generator.label_of(category)

    def upload(self, name: str) -> NDArray[np.uint8]:
        """The upload called `name`. Raises InputError."""
        picture = self.uploads.get(name)
        if picture is None:
            raise InputError("this upload is no longer here; send the picture again")
        return picture

    def new_garments(self, request: GridRequest) -> list[Recipe]:
        """New garments, of one category or of all in turn. Raises InputError."""
        count, categories, category = request.count, len(self.card.categories), request.category
        text, strength = "", THOUSAND
        if request.text is not None:
            prompt_row(request.text, request.strength, self.card)  # refuses what the model cannot read
            text, strength = checked_prompt(request.text), round(THOUSAND * request.strength)
            category = category or named(text, self.card.categories)
        labels = [self.label_of(category)] * count if category else [n % categories for n in range(count)]
        truncation, asked = round(THOUSAND * request.truncation), self.columns_asked(request.attributes)
        sources = [SeedSource(request.seed, n, truncation) for n in range(count)]
        return [
            Recipe(self.generator.version, single_category(label), source, asked, text, strength)
            for label, source in zip(labels, sources, strict=True)
        ]

    def columns_asked(self, attributes: Mapping[str, str]) -> tuple[int, ...]:
        """The columns of `attributes`, values by name. Raises InputError if the model does not know one."""
        row = attribute_row([f"{name}={value}" for name, value in attributes.items()], self.card.attributes, "attribute")
        return tuple(int(column) for column in np.flatnonzero(row))

    def moved(self, request: MoveRequest) -> Recipe:
        """The garment after its moves. Raises InputError."""
        recipe = parse_address(request.address)
        latent = self.generator.inputs_of([recipe])[0][0]
        if request.amounts:
            known = {direction.name: direction.vector for direction in self._directions[recipe.label]}
            unknown = set(request.amounts) - set(known)
            if unknown:
                raise InputError(f"there is no direction {unknown.pop()!r} for this category")
            moves = (np.float32(amount) * known[name] for name, amount in request.amounts.items())
            latent = latent + sum(moves, np.float32(0))
        source = latent_source(latent) if request.amounts else recipe.source
        asked = recipe.attributes if request.attributes is None else self.columns_asked(request.attributes)
        changes = (*recipe.changes, *(word_change(one.before, one.after, one.amount) for one in request.words if one.amount))
        if len(changes) > MAX_CHANGES:
            raise InputError(f"a garment takes at most {MAX_CHANGES} changes in words; undo one, or ask for several at once")
        return replace(recipe, mix=self._mixed(recipe, request.mix), source=source, attributes=asked, changes=changes)

    def word_edit(self, address: str, words: str) -> WordEdit:
        """The change `words` of the garment at `address`, with its effects. Raises InputError."""
        recipe = parse_address(address)
        self.generator.inputs_of([recipe])
        checked_change(words, self.card)  # before the models of the category are fitted
        return word_edit(self.generator, recipe, words, self._models[recipe.label].spreads)

    def _mixed(self, recipe: Recipe, mix: dict[str, float] | None) -> CategoryMix:
        if not mix:
            return recipe.mix
        shares = {self.label_of(category): share for category, share in mix.items() if share > 0}
        if not shares:
            raise InputError("a mix needs a category with a share above 0")
        if not self.generator.mixes_categories:
            return single_category(max(shares, key=shares.__getitem__))
        return normalised_mix(shares)

    def interpolated(self, request: InterpolationRequest) -> list[Recipe]:
        """Garments from the first to the second one, both included; latents by slerp, mixes linearly.

        Attributes, text and changes in words are those of the nearer end. Raises InputError.
        """
        ends = [parse_address(request.first), parse_address(request.second)]
        (first, second), (first_mix, second_mix) = self.generator.inputs_of(ends)
        between = []
        for share in np.linspace(0, 1, request.count, dtype=np.float32)[1:-1]:
            shares = (1 - share) * first_mix + share * second_mix
            mix = normalised_mix({int(label): float(shares[label]) for label in np.flatnonzero(shares)})
            nearer = ends[int(share > 0.5)]
            between.append(replace(nearer, mix=mix, source=latent_source(slerp(first, second, share))))
        return [ends[0], *between, ends[1]]

    def style_mixed(self, request: StyleMixRequest) -> list[Recipe]:
        """Garments with the first 1, 2, … style layers of `request.coarse` and the other layers of `request.fine`.

        All else is as in the coarse garment. Raises InputError if the network has only one style layer.
        """
        layers = self.generator.style_layers
        if layers < 2:
            raise InputError("this model has no style layers to mix; interpolate between the garments instead")
        ends = [parse_address(request.coarse), parse_address(request.fine)]
        latents, _ = self.generator.inputs_of(ends)
        coarse, fine = (np.broadcast_to(latent, (layers, self.card.latent_dim)) for latent in latents)
        mixed = [np.concatenate([coarse[:cut], fine[cut:]]) for cut in range(1, layers)]
        return [replace(ends[0], source=latent_source(latent)) for latent in mixed]

    def has_directions(self, address: str) -> bool:
        """Whether the directions for the garment at `address` are cached. Raises InputError."""
        return self._label_at(address) in self._directions

    def find_directions(self, address: str) -> None:
        """Find and cache the directions for the garment at `address`. Raises InputError."""
        self._directions[self._label_at(address)]

    def _label_at(self, address: str) -> int:
        recipe = parse_address(address)
        self.generator.inputs_of([recipe])
        return recipe.label

    def directions_with_reach(self, label: int) -> list[tuple[Direction, float]]:
        """Directions of a category, each with the largest amount of its slider.

        It is a multiple of SLIDER_STEP, because a browser counts the steps from the end, and 0 must be among them.
        """

        def reach(one: Direction) -> float:
            longest = min(REACH * max(COMFORTABLE_STRENGTH / max(one.strength, 1e-3), 1.0), MAX_REACH)
            return round(round(longest / SLIDER_STEP) * SLIDER_STEP, 3)

        return [(one, reach(one)) for one in self._directions[label]]

    def projected(self, photograph: NDArray[np.uint8], label: int | None, negative: bool | None) -> Steps[Progress, None, None]:
        """Ever nearer garments to `photograph` (H, W, 3), with the photograph as the model sees it in the result."""
        labels = [label] if label is not None else list(range(len(self.card.categories)))
        targets = self._targets(photograph, {one: self._models[one].framing for one in labels}, negative)
        pictures = {one: picture for one, (picture, _) in targets.items()}
        for share, nearest in project(self.generator, pictures, lambda one: self._models[one].encoder):
            target, inverted = targets[nearest.label]
            seen = on_ground(target[None], SEEN_ON)[0]
            backdrop = self._models[nearest.label].framing.backdrop
            recipe = Recipe(self.generator.version, single_category(nearest.label), latent_source(nearest.latent))
            picture = self.generator.pictures([recipe])[0]
            difference = on_ground(picture[None], SEEN_ON)[0].astype(np.float32) - seen
            result = {
                "address": format_address(recipe),
                "category": self.card.categories[nearest.label],
                "distance": round(float(np.sqrt((difference**2).mean())), 2),
                "distance_of_backdrop": round(float(np.sqrt(((seen - backdrop) ** 2).mean())), 2),
                "negative": inverted,
                "seen_as": base64.b64encode(plain_png(target)).decode(),
            }
            yield Progress(share, picture, result)

    def _targets(
        self, photograph: NDArray[np.uint8], framings: Mapping[int, Framing], negative: bool | None
    ) -> dict[int, tuple[NDArray[np.uint8], bool]]:
        """The garment of `photograph` as the model would draw it in each category, and whether light and dark were swapped."""
        if self.generator.alpha:
            shown = 255 - photograph if negative else photograph
            cut = garment_of(shown)
            if cut is None:
                mask = photograph_mask(shown)
                cut = np.dstack([shown, np.where(mask, np.uint8(255), np.uint8(0))])
            return {
                label: (framed_cut_out(cut, self.generator, framing), bool(negative)) for label, framing in framings.items()
            }
        mask = photograph_mask(photograph)
        border = np.concatenate([photograph[0], photograph[-1], photograph[:, 0], photograph[:, -1]])
        is_light = float(np.median(border)) > MID_GREY
        targets = {}
        for label, framing in framings.items():
            swapped = is_light != (float(framing.backdrop.mean()) > MID_GREY) if negative is None else negative
            targets[label] = reframed(photograph, mask, self.generator, framing, negative=swapped), swapped
        return targets

    def styled(self, request: StyleTransferRequest) -> tuple[Steps[Progress, None, None], dict[str, object]]:
        """The work of dressing a garment in a style, and the recipe of its result. Raises InputError."""
        if (request.address is None) == (request.upload is None) or (request.pattern is None) == (request.style_upload is None):
            raise InputError("name one garment (address or upload) and one style (pattern or style_upload)")
        if request.mode == "whiten" and self.style_weights is None:
            raise InputError("whitening needs the compressed VGG-19; start the studio with --style-weights")
        if request.pattern is not None and request.pattern not in PATTERNS:
            raise InputError(f"there is no pattern {request.pattern!r}")
        style = self.upload(request.style_upload) if request.style_upload else pattern(request.pattern or "", PATTERN_PX)
        if request.address:
            content = self.generator.pictures([parse_address(request.address)])[0]
        else:
            content = self.upload(request.upload or "")
        order = DressingOrder(
            content=content,
            style=style,
            generated=request.address is not None,
            garment_only=request.garment_only,
            mode=request.mode,
            strength=request.strength,
            painting=PaintingOptions(
                request.network,
                request.content_weight,
                request.style_weight,
                tuple(request.layers),
                request.steps,
                seed=0,
            ),
        )
        recipe = request.model_dump(mode="json", exclude_none=True, exclude={"upload", "style_upload"})
        if request.upload is not None:
            recipe |= OF_PHOTOGRAPH
        return dressed(order, self.style_weights), recipe | {"model_sha256": self.card.onnx_sha256}

    def recipe_metadata(self, address: str) -> dict[str, object]:
        """What the metadata of a downloaded picture hold. Raises InputError."""
        recipe = parse_address(address)
        mix = {self.card.categories[label]: share / THOUSAND for label, share in recipe.mix}
        metadata: dict[str, object] = {"address": address, "model_sha256": self.card.onnx_sha256, "categories": mix}
        if recipe.attributes:
            columns = columns_of(self.card.attributes)
            metadata["attributes"] = [columns[column] for column in recipe.attributes]
        if recipe.text:
            metadata |= {"text": recipe.text, "strength": recipe.strength / THOUSAND}
        if recipe.changes:
            metadata["changes"] = [
                {"before": one.before, "after": one.after, "amount": one.thousandths / THOUSAND} for one in recipe.changes
            ]
        if isinstance(recipe.source, SeedSource):
            metadata |= {"seed": recipe.source.seed, "index": recipe.source.index}
            metadata |= {"truncation": recipe.source.truncation_thousandths / THOUSAND}
        return metadata
