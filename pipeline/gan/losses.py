"""Adversarial losses as in their papers. A higher score (N,) means more real.

params.yaml accepts the names of LOSSES. torch is imported where it is used, because reading params.yaml must not take seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AdversarialLoss:
    """Two functions of real and generated scores, each a scalar to minimise, and the row of docs/gan.md that describes them."""

    discriminator: "Callable[[Tensor, Tensor], Tensor]"
    generator: "Callable[[Tensor, Tensor], Tensor]"
    source: str  # papers
    goes_with: str  # parameters, as Markdown
    pairs: bool = False  # the generator's loss uses the real scores, too
    signed: bool = True  # a positive score says real: what `ada` follows
    lipschitz: bool = False  # needs weight clipping or a gradient penalty


def softplus(x: "Tensor") -> "Tensor":
    """log(1 + exp(x))."""
    from torch.nn import functional

    return functional.softplus(x)


def _minimax_discriminator(real: "Tensor", fake: "Tensor") -> "Tensor":
    return softplus(-real).mean() + softplus(fake).mean()


def discriminator_loss(loss: AdversarialLoss, real: "Tensor", fake: "Tensor", mismatched: "Tensor | None") -> "Tensor":
    """The discriminator's `loss` on scores (N,); `mismatched` are those of the real pictures with captions of others.

    Such a pair is as wrong as a generated picture: Reed et al. 2016, algorithm 1, where each has half of the weight.
    """
    if mismatched is None:
        return loss.discriminator(real, fake)
    return (loss.discriminator(real, fake) + loss.discriminator(real, mismatched)) / 2


LAZY_R1 = "`r1_gamma`, every `interval` steps"

LOSSES = {
    # Goodfellow et al. 2014, equation 1: E log D(x) + E log(1 - D(G(z))) with D the sigmoid of the score.
    "minimax": AdversarialLoss(
        _minimax_discriminator, lambda _, fake: -softplus(fake).mean(), "Goodfellow et al. 2014", LAZY_R1
    ),
    # Goodfellow et al. 2014, section 3: the generator maximises log D(G(z)) instead.
    "non-saturating": AdversarialLoss(
        _minimax_discriminator, lambda _, fake: softplus(-fake).mean(), "Goodfellow et al. 2014", LAZY_R1
    ),
    # Arjovsky et al. 2017, equation 2; needs weight clipping or a gradient penalty.
    "wgan": AdversarialLoss(
        lambda real, fake: fake.mean() - real.mean(),
        lambda _, fake: -fake.mean(),
        "Arjovsky et al. 2017",
        "`weight_clip` 0.01, or `gradient_penalty` 10 (Gulrajani et al. 2017); `discriminator_steps` 5",
        signed=False,
        lipschitz=True,
    ),
    # Lim & Ye 2017; Miyato et al. 2018, equations 16 and 17.
    "hinge": AdversarialLoss(
        lambda real, fake: (1 - real).relu().mean() + (1 + fake).relu().mean(),
        lambda _, fake: -fake.mean(),
        "Lim & Ye 2017",
        "`r1_gamma`",
    ),
    # Jolicoeur-Martineau 2018, section 4.1 (paired); Huang et al. 2024, equation 2.
    "relativistic": AdversarialLoss(
        lambda real, fake: softplus(fake - real).mean(),
        lambda real, fake: softplus(real - fake).mean(),
        "Jolicoeur-Martineau 2018, in pairs; Huang et al. 2024 (R3GAN)",
        "`r1_gamma` and `r2_gamma`",
        pairs=True,
        signed=False,
    ),
}
