"""A generator on disk: weights as safetensors, and a card with everything needed to rebuild the network."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from pipeline.errors import InputError
from pipeline.gan.networks import PictureShape, build_generator
from pipeline.gan.networks.parts import Generator
from pipeline.storage.files import sha256_of_file, write_json

WEIGHTS, CARD = "generator.safetensors", "generator.json"
CAPTION_SAMPLE = "caption_sample.npy"  # embeddings of some training captions, if any, on which export measures
CHECKPOINT = "checkpoint.pt"  # beside them: the state of the whole training
PROJECTED_EXTRACTOR = "efflite0"  # whose network train.projected uses


@dataclass(frozen=True)
class GeneratorCard:
    """What generator.json holds."""

    network: str
    arguments: dict[str, Any]  # of the network's class, besides shape, categories and latent_dim
    categories: list[str]  # in label order
    height: int
    width: int
    channels: int
    latent_dim: int
    images_seen: int
    recipe: dict[str, Any] = field(default_factory=dict)  # the parameters it was trained with
    attributes: dict[str, list[str]] = field(default_factory=dict)  # values of each; in order, its attribute columns
    condition: str = "category"  # none: labels are accepted and ignored

    resumed_across: list[str] = field(default_factory=list)  # what changed in mid-training, if it was resumed anyway
    started_through: str | None = None  # trained_through of the model that the training started from
    text_encoder: str | None = None  # of the captions, if it was trained on them
    text_dim: int = 0  # of their embeddings

    @property
    def trained_through(self) -> str | None:
        """Name of the feature extractor that the generator was trained through; scores by it would say nothing."""
        return PROJECTED_EXTRACTOR if self.recipe.get("projected") else self.started_through

    @property
    def conditional_categories(self) -> int:
        """Number of categories that the network distinguishes."""
        return 1 if self.condition == "none" else len(self.categories)

    @property
    def optional_condition(self) -> dict[str, int]:
        """Name and width of what the network takes besides the label: `attributes`, `text`, or nothing."""
        if self.text_dim:
            return {"text": self.text_dim}
        return {"attributes": count_of(self.attributes)} if self.attributes else {}


def count_of(attributes: Mapping[str, Sequence[str]]) -> int:
    """Number of values of all `attributes`: the width of a network's attribute input."""
    return sum(len(values) for values in attributes.values())


def save_generator(folder: Path, generator: nn.Module, card: GeneratorCard) -> None:
    """Write weights and card into `folder`."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(weights))  # save_file would write it with mode 0600
    content = asdict(card)
    for name in ("resumed_across", "started_through", "text_encoder", "text_dim"):
        if not content[name]:
            del content[name]  # left out when empty, as in cards of older versions
    write_json(folder / CARD, content)


def read_generator_card(folder: Path) -> GeneratorCard:
    """The card of the generator in `folder`. Raises InputError."""
    try:
        return GeneratorCard(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder / CARD}: cannot be read ({error}); run train again") from error


def generator_sha256(folder: Path) -> str:
    """SHA-256 of the weights in `folder`, which identifies the generator."""
    return sha256_of_file(folder / WEIGHTS)


def load_generator(folder: Path, device: torch.device) -> tuple[Generator, GeneratorCard]:
    """The generator in `folder`, in `eval` mode without gradients, and its card. Raises InputError."""
    card = read_generator_card(folder)
    shape = PictureShape(card.height, card.width, card.channels)
    width = sum(card.optional_condition.values())
    generator = build_generator(card.network, card.arguments, shape, card.conditional_categories, card.latent_dim, width)
    if card.text_dim:
        generator.expect_texts(torch.zeros(card.conditional_categories, card.text_dim))
    try:
        generator.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        what = str(error).splitlines()[0].rstrip(":")  # torch lists every tensor after the first line
        raise InputError(f"{folder / WEIGHTS}: not this generator's weights ({what}); run train again") from error
    return generator.to(device).eval().requires_grad_(False), card
