"""Generators and discriminators by name, built from their arguments and the image shape.

A generator maps latents (N, D), labels (N,) and attributes (N, A) of zeros and ones to images, NCHW float in [-1, 1], with
alpha premultiplied (inference/transparency.py). A discriminator maps images, labels and attributes to scores (N,), higher for
more real. An unconditional network has one category and ignores the labels; the attributes are optional. Tensors with an entry
for each category or attribute are declared (parts.Entries), so that `train.start_from` takes them over by name.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from pipeline.gan.networks.dcgan import DcganDiscriminator, DcganGenerator
from pipeline.gan.networks.parts import Generator, PictureShape
from pipeline.gan.networks.resnet import ResnetDiscriminator, ResnetGenerator
from pipeline.gan.networks.stylegan2 import Stylegan2Discriminator, Stylegan2Generator

__all__ = ["DISCRIMINATORS", "GENERATORS", "PictureShape", "build_discriminator", "build_generator"]

GENERATORS: dict[str, Callable[..., Generator]] = {
    "dcgan": DcganGenerator,
    "resnet": ResnetGenerator,
    "stylegan2": Stylegan2Generator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "dcgan": DcganDiscriminator,
    "resnet": ResnetDiscriminator,
    "stylegan2": Stylegan2Discriminator,
}


def build_generator(
    name: str,
    arguments: Mapping[str, Any],
    shape: PictureShape,
    categories: int,
    latent_dim: int,
    attributes: int = 0,
) -> Generator:
    """A generator of GENERATORS, initialised from torch's global random state."""
    return GENERATORS[name](shape, categories, latent_dim, attributes, **arguments)


def build_discriminator(
    name: str, arguments: Mapping[str, Any], shape: PictureShape, categories: int, attributes: int = 0
) -> nn.Module:
    """A discriminator of DISCRIMINATORS, initialised from torch's global random state."""
    return DISCRIMINATORS[name](shape, categories, attributes, **arguments)
