"""Style transfer through a feature network: Gatys' optimisation, and whitening and colouring where decoders exist.

Runs in a sandbox on one thread (see `dressing`), because importing torch is slow and its threads would delay other requests.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from studio.features import FeatureNetwork, autoencoder, feature_network
from studio.style_networks import PaintingOptions

MAX_JITTER_PX = 8  # without jitter the network's stride leaves a grid on the picture
LEARNING_RATE = 0.03
SMOOTHNESS = 2e-3
PREVIEW_EVERY = 10


def gram(features: Tensor) -> Tensor:
    """Gram matrices (N, C, C) of features (N, C, H, W), per position."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def _relative_error(features: Tensor, target: Tensor) -> Tensor:
    return ((features - target) ** 2).sum() / (target**2).sum().clamp_min(1e-8)


def _roughness(picture: Tensor) -> Tensor:
    across, down = picture.diff(dim=3), picture.diff(dim=2)
    return (across**2).mean() + (down**2).mean()


def _as_tensor(picture: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


def _as_array(picture: Tensor) -> NDArray[np.float32]:
    return picture.detach()[0].clamp(0, 1).permute(1, 2, 0).contiguous().numpy()


def _loss(
    network: FeatureNetwork,
    picture: Tensor,
    content: Tensor,
    style_grams: dict[str, Tensor],
    options: PaintingOptions,
    shift: tuple[int, int],
) -> Tensor:
    features = network(torch.cat([picture, content]).roll(shift, dims=(2, 3)))
    content_features = features[network.content_layer]
    content_loss = _relative_error(content_features[:1], content_features[1:].detach())
    style_loss = torch.stack([_relative_error(gram(features[name][:1]), target) for name, target in style_grams.items()]).mean()
    loss = options.content_weight * content_loss + options.style_weight * style_loss
    return loss + SMOOTHNESS * options.style_weight * _roughness(picture)


def painted(
    content: NDArray[np.float32], style: NDArray[np.float32], options: PaintingOptions, compressed_folder: Path | None
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Previews (H, W, 3) in [0, 1], each with the share of the steps done; the last one is the result. Raises InputError."""
    rng = np.random.default_rng(options.seed)
    network = feature_network(options.network, compressed_folder)
    layers = [name for name in network.style_layers if name in options.layers] or network.style_layers
    style_grams = {name: gram(features) for name, features in network(_as_tensor(style)).items() if name in layers}
    target = _as_tensor(content)
    picture = target.clone().requires_grad_()
    optimiser = torch.optim.Adam([picture], lr=LEARNING_RATE)
    for step in range(1, options.steps + 1):
        shift = tuple(int(move) for move in rng.integers(-MAX_JITTER_PX, MAX_JITTER_PX + 1, size=2))
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, 2 * (1 - (step - 1) / options.steps))
        optimiser.zero_grad()
        _loss(network, picture, target, style_grams, options, (shift[0], shift[1])).backward()
        optimiser.step()
        with torch.no_grad():
            picture.clamp_(0, 1)
        if step % PREVIEW_EVERY == 0 or step == options.steps:
            yield step / options.steps, _as_array(picture)


def _whitened_coloured(content: Tensor, style: Tensor) -> Tensor:
    """Features (1, C, H, W) of `content` with the mean and covariance of `style`; Li et al. 2017, equations 2 and 3."""

    def parts(features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        flat = features[0].flatten(1).double()
        mean = flat.mean(dim=1, keepdim=True)
        values, vectors = torch.linalg.eigh((flat - mean) @ (flat - mean).T / flat.shape[1])
        return flat - mean, mean, values.clamp_min(1e-5), vectors

    centred, _, values, vectors = parts(content)
    _, mean, style_values, style_vectors = parts(style)
    white = vectors @ ((vectors.T @ centred) * values.rsqrt()[:, None])
    coloured = style_vectors @ ((style_vectors.T @ white) * style_values.sqrt()[:, None]) + mean
    return coloured.float().view_as(content)


def whitened(
    content: NDArray[np.float32], style: NDArray[np.float32], strength: float, folder: Path
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """The picture after each of five levels of whitening and colouring, deep to shallow, blended by `strength` in [0, 1]."""
    picture, wanted = _as_tensor(content), _as_tensor(style)
    with torch.no_grad():
        for done, level in enumerate((5, 4, 3, 2, 1), start=1):
            encode, decode = autoencoder(folder, level)
            features = encode(picture)
            mixed = features + strength * (_whitened_coloured(features, encode(wanted)) - features)
            picture = functional.interpolate(decode(mixed), size=content.shape[:2], mode="bilinear").clamp(0, 1)
            yield done / 5, _as_array(picture)
