"""Style transfer through a feature network: Gatys' optimisation, and whitening and colouring where there are decoders.

Runs in a process of its own (see `jobs`), because torch is slow to import and would hold up everybody else.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from studio.dressing import Painting
from studio.features import FeatureNetwork, autoencoder, feature_network

MAX_JITTER_PX = 8  # moves the networks' stride about, which otherwise prints its grid on the picture
LEARNING_RATE = 0.03
SMOOTHNESS = 2e-3
PREVIEW_EVERY = 10


def on_one_thread() -> None:
    """Leave the other cores to whoever draws walls meanwhile; torch's threads would spin where there is no core for them."""
    torch.set_num_threads(1)


def gram(features: Tensor) -> Tensor:
    """Gram matrices (N, C, C) of features (N, C, H, W), per position."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    return ((found - wanted) ** 2).sum() / (wanted**2).sum().clamp_min(1e-8)


def _roughness(picture: Tensor) -> Tensor:
    across, down = picture.diff(dim=3), picture.diff(dim=2)
    return (across**2).mean() + (down**2).mean()


def _as_tensor(picture: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


def _as_array(picture: Tensor) -> NDArray[np.float32]:
    return picture.detach()[0].clamp(0, 1).permute(1, 2, 0).contiguous().numpy()


def _loss(
    network: FeatureNetwork, picture: Tensor, content: Tensor, style: dict[str, Tensor], how: Painting, shift: tuple[int, int]
) -> Tensor:
    both = network(torch.cat([picture, content]).roll(shift, dims=(2, 3)))
    kept = both[network.content_layer]
    of_style = torch.stack([_relative(gram(both[name][:1]), wanted) for name, wanted in style.items()]).mean()
    loss = how.content_weight * _relative(kept[:1], kept[1:].detach()) + how.style_weight * of_style
    return loss + SMOOTHNESS * how.style_weight * _roughness(picture)


def optimised(
    content: NDArray[np.float32], style: NDArray[np.float32], how: Painting, compressed_folder: Path | None
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """The picture as it comes to be, (H, W, 3) in [0, 1], with the share of the steps done. Raises InputError."""
    rng = np.random.default_rng(how.seed)
    network = feature_network(how.network, compressed_folder)
    layers = [name for name in network.style_layers if name in how.layers] or network.style_layers
    wanted = {name: gram(features) for name, features in network(_as_tensor(style)).items() if name in layers}
    target = _as_tensor(content)
    picture = target.clone().requires_grad_()
    optimiser = torch.optim.Adam([picture], lr=LEARNING_RATE)
    for step in range(1, how.steps + 1):
        shift = tuple(int(move) for move in rng.integers(-MAX_JITTER_PX, MAX_JITTER_PX + 1, size=2))
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, 2 * (1 - (step - 1) / how.steps))
        optimiser.zero_grad()
        _loss(network, picture, target, wanted, how, (shift[0], shift[1])).backward()
        optimiser.step()
        with torch.no_grad():
            picture.clamp_(0, 1)
        if step % PREVIEW_EVERY == 0 or step == how.steps:
            yield step / how.steps, _as_array(picture)


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


def transformed(
    content: NDArray[np.float32], style: NDArray[np.float32], strength: float, folder: Path
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """The picture after each of five levels, deep to shallow, of whitening and colouring mixed in by `strength` in [0, 1]."""
    picture, wanted = _as_tensor(content), _as_tensor(style)
    with torch.no_grad():
        for done, level in enumerate((5, 4, 3, 2, 1), start=1):
            encode, decode = autoencoder(folder, level)
            features = encode(picture)
            mixed = features + strength * (_whitened_coloured(features, encode(wanted)) - features)
            picture = functional.interpolate(decode(mixed), size=content.shape[:2], mode="bilinear").clamp(0, 1)
            yield done / 5, _as_array(picture)
