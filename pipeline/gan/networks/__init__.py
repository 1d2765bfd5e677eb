"""Generators and discriminators, by name; each is built from its arguments and the shape of the pictures.

A generator maps latents (N, D) and labels (N,) to pictures, NCHW float in [-1, 1]. A discriminator maps pictures and labels to
scores (N,), higher for more real. Unconditional is one category.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from pipeline.gan.networks.dcgan import DcganDiscriminator, DcganGenerator
from pipeline.gan.networks.parts import PictureShape
from pipeline.gan.networks.resnet import ResnetDiscriminator, ResnetGenerator

__all__ = ["DISCRIMINATORS", "GENERATORS", "PictureShape", "build_discriminator", "build_generator"]

GENERATORS: dict[str, type[nn.Module]] = {"resnet": ResnetGenerator, "dcgan": DcganGenerator}
DISCRIMINATORS: dict[str, type[nn.Module]] = {"resnet": ResnetDiscriminator, "dcgan": DcganDiscriminator}


def build_generator(
    name: str, arguments: Mapping[str, Any], shape: PictureShape, categories: int, latent_dim: int
) -> nn.Module:
    """A generator of GENERATORS with fresh weights, drawn from torch's global random state."""
    return GENERATORS[name](shape, categories, latent_dim, **arguments)


def build_discriminator(name: str, arguments: Mapping[str, Any], shape: PictureShape, categories: int) -> nn.Module:
    """A discriminator of DISCRIMINATORS with fresh weights, drawn from torch's global random state."""
    return DISCRIMINATORS[name](shape, categories, **arguments)
