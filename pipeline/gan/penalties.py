"""Gradient penalties and regularisers as in their papers."""

import torch
from torch import Tensor

from pipeline.gan.networks.convolution import no_weight_gradients


def gradient_square_norms(scores: Tensor, pictures: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Squared norm (N,) of the gradient of the summed `scores` at each image; itself differentiable.

    `scale` multiplies the scores before the gradient is computed and divides the gradient afterwards, so that half precision
    holds it.
    """
    with no_weight_gradients():
        (gradients,) = torch.autograd.grad(scores.sum() * scale, pictures, create_graph=True)
    return (gradients.float() / scale).square().sum(dim=(1, 2, 3))


def zero_centred_penalty(square_norms: Tensor, gamma: float) -> Tensor:
    """gamma/2 · E ‖∇D‖²: R1 at real pictures, R2 at generated ones; Mescheder et al. 2018, equation 9."""
    return square_norms.mean() * (gamma / 2)


def one_centred_penalty(square_norms: Tensor, weight: float) -> Tensor:
    """weight · E (‖∇D‖ - 1)², at points between real and generated; Gulrajani et al. 2017, equation 3."""
    return (torch.sqrt(square_norms + 1e-12) - 1).square().mean() * weight


def mode_seeking_loss(pictures: Tensor, latents: Tensor, labels: Tensor) -> Tensor:
    """Mean ratio of latent distance to image distance over neighbouring pairs with the same label; a scalar.

    Distances are mean absolute differences. Mao et al. 2019, equation 4, inverted so that it is minimised: distant latents with
    similar images cost most. Images NCHW, latents (N, D), labels (N,); rows 0 and 1 are a pair, 2 and 3, …
    """
    pairs = len(pictures) // 2 * 2
    of_pictures = (pictures[0:pairs:2] - pictures[1:pairs:2]).abs().mean(dim=(1, 2, 3))
    of_latents = (latents[0:pairs:2] - latents[1:pairs:2]).abs().mean(dim=1)
    alike = (labels[0:pairs:2] == labels[1:pairs:2]).float()
    # The authors' epsilon: identical images have a large cost, not an infinite one.
    return (alike / (of_pictures / of_latents + 1e-5)).sum() / alike.sum().clamp(min=1)


def path_lengths(pictures: Tensor, styles: Tensor, directions: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Path lengths ‖Jᵀy‖ (N,) of `pictures` NCHW with respect to `styles` (N, L, D), RMS over the L layers; differentiable.

    Karras et al. 2020, equation 4, with y = `directions` (NCHW, standard normal) scaled by 1/√(HW), so that lengths do
    not depend on the image size; `scale` as in gradient_square_norms.
    """
    along = (pictures * directions).sum() / (pictures.shape[2] * pictures.shape[3]) ** 0.5
    with no_weight_gradients():
        (gradients,) = torch.autograd.grad(along * scale, styles, create_graph=True)
    return (gradients.float() / scale).square().sum(dim=2).mean(dim=1).sqrt()


def interpolate(real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Images linearly interpolated from `real` to `fake` by `shares` (N,) in [0, 1]."""
    return torch.lerp(real, fake, shares[:, None, None, None])
