"""The latent whose garment is nearest to a photograph: an encoder's guess, then damped Gauss-Newton.

Both work on any exported generator, without gradients and torch: the encoder is a ridge regression of latents on small pictures
of drawn garments, and derivatives are finite differences of one batch of pictures.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.inference.onnx_generator import as_pictures
from pipeline.inference.transparency import on_ground, premultiplied, with_bled_colour
from pipeline.storage.arrays import has_alpha
from studio.directions import Samples
from studio.measures import GREY_WEIGHTS, OPAQUE, SEEN_ON, backdrops
from studio.model import Generator

ENCODER_SIDE_PX = 16
ENCODER_PENALTY = 3.0
DIFFERENCE_STEP = 0.03
PRIOR_WEIGHT = 0.02  # of the latent's squared length, relative to squared differences of pixels in [-1, 1]
CANDIDATES, SHORT_STEPS, LONG_STEPS = 3, 3, 12
GREY_LEVELS_PER_UNIT = 127.5
DEFAULT_FRAME_SHARE = 0.86  # if the samples are empty


def _small(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Box-averaged pictures as rows (N, F) in [-1, 1]; those with alpha premultiplied."""
    if has_alpha(pictures.shape[-1]):
        levels = (premultiplied(pictures).transpose(0, 2, 3, 1) + 1) * np.float32(GREY_LEVELS_PER_UNIT)
        return _averaged(levels)
    return _averaged(pictures)


def _averaged(pictures: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    count, height, width, channels = pictures.shape
    rows, columns = max(height // ENCODER_SIDE_PX, 1), max(width // ENCODER_SIDE_PX, 1)
    cut = pictures[:, : height // rows * rows, : width // columns * columns]
    blocks = cut.reshape(count, height // rows, rows, width // columns, columns, channels)
    return (blocks.mean(axis=(2, 4), dtype=np.float32) / GREY_LEVELS_PER_UNIT - 1).reshape(count, -1)


@dataclass(frozen=True)
class Encoder:
    """A linear map from pictures of one category to latents."""

    weights: NDArray[np.float32]  # (F, D)
    mean: NDArray[np.float32]  # (F,)

    def guess(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Latent (D,) of `picture` (H, W, C)."""
        return (_small(picture[None])[0] - self.mean) @ self.weights


def fit_encoder(samples: Samples) -> Encoder:
    """The ridge regression of latents on small pictures of `samples`."""
    rows = _small(samples.pictures).astype(np.float64)
    middle = rows.mean(axis=0)
    centred = rows - middle
    gram = centred.T @ centred + ENCODER_PENALTY * np.eye(centred.shape[1])
    weights = np.linalg.solve(gram, centred.T @ samples.latents)
    return Encoder(weights.astype(np.float32), middle.astype(np.float32))


def photograph_mask(photograph: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mask (H, W) of the garment: the largest connected part that differs from the backdrop, by Otsu's threshold."""
    smooth = ndimage.gaussian_filter(photograph.astype(np.float32), sigma=(1.5, 1.5, 0))
    difference = np.sqrt(((smooth - backdrops(photograph[None])[0]) ** 2).sum(axis=-1))
    counts, edges = np.histogram(difference, bins=128)
    middles = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts), counts.sum() - np.cumsum(counts)
    mean_below = np.cumsum(counts * middles) / np.maximum(below, 1)
    mean_above = ((counts * middles).sum() - np.cumsum(counts * middles)) / np.maximum(above, 1)
    threshold = middles[np.argmax(below * above * (mean_below - mean_above) ** 2)]
    # Otsu's threshold splits a garment with a bright print; a lower one keeps its darker part.
    pieces, found = ndimage.label(ndimage.binary_closing(difference > 0.7 * threshold, iterations=2))
    if not found:
        return np.ones(difference.shape, np.bool_)
    sizes = ndimage.sum_labels(np.ones_like(pieces), pieces, np.arange(1, found + 1))
    return ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(sizes)))


@dataclass(frozen=True)
class Framing:
    """Backdrop and size of a model's garments in their frames."""

    backdrop: NDArray[np.float32]  # (C,) grey levels, without alpha
    share: float  # of the frame's side that the longer side of a garment takes


def fit_framing(samples: Samples) -> Framing:
    """The median framing of `samples`."""
    longer = np.maximum(samples.measures["width"], samples.measures["length"])
    share = float(np.median(longer)) or DEFAULT_FRAME_SHARE
    return Framing(np.median(backdrops(on_ground(samples.pictures, SEEN_ON)), axis=0), share)


def reframed(
    photograph: NDArray[np.uint8], mask: NDArray[np.bool_], generator: Generator, framing: Framing, *, negative: bool
) -> NDArray[np.uint8]:
    """The garment of `photograph` (H, W, 3) under `mask`, as a picture (h, w, C) framed like those of a model without alpha.

    `negative` inverts it, as some datasets invert pictures taken on white.
    """
    card = generator.card
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    cloth = photograph[box].astype(np.float32)
    if card.channels == 1:
        cloth = (cloth @ GREY_WEIGHTS)[..., None]
    if negative:
        cloth = 255 - cloth
    flat = np.where(mask[box][..., None], cloth, framing.backdrop)
    scale = framing.share * min(card.height / flat.shape[0], card.width / flat.shape[1])
    size = (max(round(flat.shape[1] * scale), 1), max(round(flat.shape[0] * scale), 1))
    shrunk = [
        np.asarray(Image.fromarray(flat[..., channel]).resize(size, Image.Resampling.BOX)) for channel in range(card.channels)
    ]
    frame = np.tile(framing.backdrop, (card.height, card.width, 1))
    top, left = (card.height - size[1]) // 2, (card.width - size[0]) // 2
    frame[top : top + size[1], left : left + size[0]] = np.stack(shrunk, axis=-1)
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def framed_cut_out(cut_out: NDArray[np.uint8], generator: Generator, framing: Framing) -> NDArray[np.uint8]:
    """A garment, straight RGBA (H, W, 4), as a picture (h, w, 2 or 4) framed like those of a model with alpha."""
    card = generator.card
    image = Image.fromarray(cut_out)
    image = image.crop(image.getchannel("A").point(lambda alpha: 255 * (alpha >= OPAQUE)).getbbox())
    scale = framing.share * min(card.height / image.height, card.width / image.width)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    frame = Image.new("RGBA", (card.width, card.height))
    frame.paste(image.resize(size, Image.Resampling.BOX), ((card.width - size[0]) // 2, (card.height - size[1]) // 2))
    return with_bled_colour(np.asarray(frame if card.channels == 4 else frame.convert("LA"))[None])[0]


@dataclass(frozen=True)
class Projection:
    """A latent and the distance of its garment from the target."""

    label: int
    latent: NDArray[np.float32]  # (D,)
    distance: float  # root mean square over the picture, grey levels


class Descent:
    """Levenberg-Marquardt on pixels of one category: squared differences plus a Gaussian prior on the latent."""

    def __init__(self, generator: Generator, target: NDArray[np.uint8], label: int, latent: NDArray[np.float32]) -> None:
        self._generator = generator
        self._target = as_pictures(target[None])[0].ravel()
        self.label = label
        # The encoder extrapolates badly for garments of other categories; shorten such a guess to a likely length.
        self.latent = latent * min(1.0, len(latent) ** 0.5 / max(float(np.linalg.norm(latent)), 1e-6))
        self._damping = 1.0
        self._difference = self._differences(self.latent[None])[0]

    def _differences(self, latents: NDArray[np.float32]) -> NDArray[np.float64]:
        drawn = self._generator.draw_category(latents.astype(np.float32), self.label)
        return drawn.reshape(len(latents), -1).astype(np.float64) - self._target

    def _loss(self, difference: NDArray[np.float64], latent: NDArray[np.float32]) -> float:
        return float(difference @ difference + PRIOR_WEIGHT * latent @ latent)

    @property
    def distance(self) -> float:
        """Root mean square difference, grey levels."""
        return float(np.sqrt((self._difference**2).mean()) * GREY_LEVELS_PER_UNIT)

    def step(self) -> None:
        """Move to a better latent, or increase the damping."""
        dim = len(self.latent)
        probes = self.latent + DIFFERENCE_STEP * np.eye(dim, dtype=np.float32)
        jacobian = (self._differences(probes) - self._difference).T / DIFFERENCE_STEP  # (pixels, D)
        normal = jacobian.T @ jacobian + PRIOR_WEIGHT * np.eye(dim)
        slope = jacobian.T @ self._difference + PRIOR_WEIGHT * self.latent
        for _ in range(4):
            tried = (self.latent - np.linalg.solve(normal + self._damping * np.eye(dim), slope)).astype(np.float32)
            difference = self._differences(tried[None])[0]
            if self._loss(difference, tried) < self._loss(self._difference, self.latent):
                self.latent, self._difference = tried, difference
                self._damping = max(self._damping / 4, 1e-3)
                return
            self._damping *= 4

    def result(self) -> Projection:
        """The current latent and its distance."""
        return Projection(self.label, self.latent, self.distance)


def project(
    generator: Generator, targets: Mapping[int, NDArray[np.uint8]], encoder_of: Callable[[int], Encoder]
) -> Iterator[tuple[float, Projection]]:
    """Ever nearer garments to any of `targets` (H, W, C) by label, each with the share of the work done.

    Each target is framed like the garments of its category.
    Starts from the encoder's guess for every category, improves the nearest few for some steps, and the best one to the end.
    """
    total = min(CANDIDATES, len(targets)) * SHORT_STEPS + LONG_STEPS
    starts = [Descent(generator, target, label, encoder_of(label).guess(target)) for label, target in targets.items()]
    starts.sort(key=lambda descent: descent.distance)
    yield 0.0, starts[0].result()
    running = starts[:CANDIDATES]
    done = 0
    for descent in running:
        for _ in range(SHORT_STEPS):
            descent.step()
            done += 1
        yield done / total, min(running, key=lambda one: one.distance).result()
    best = min(running, key=lambda descent: descent.distance)
    for _ in range(LONG_STEPS):
        best.step()
        done += 1
        yield done / total, best.result()
