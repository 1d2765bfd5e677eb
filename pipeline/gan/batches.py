"""Training batches: which images each step sees, and their division into micro-batches and processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.gan.captions import CaptionDraw
from pipeline.gan.devices import to_device
from pipeline.gan.networks.parts import RandomInputs
from pipeline.gan.processes import Processes
from pipeline.gan.recipe import Recipe
from pipeline.gan.sampling import to_pictures
from pipeline.inference.attributes import UNSAID


def epoch_order(labels: NDArray[np.int64], group: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Row order of `epoch`: shuffled, and for `group` above 1 in runs of `group` rows with the same label.

    Rows that do not fill a run are left out, different ones each epoch; a label with fewer rows than one run repeats them.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(labels))
    if group < 2:
        return order
    rows_by_label = [order[labels[order] == label] for label in np.unique(labels)]
    runs = [np.resize(rows, max(len(rows) // group, 1) * group).reshape(-1, group) for rows in rows_by_label]
    return rng.permutation(np.concatenate(runs)).reshape(-1)


def with_some_unsaid(attributes: NDArray[np.uint8], rng: torch.Generator) -> Tensor:
    """`attributes` (N, A) as float32, zero in UNSAID of the rows, so that networks also learn a category without attributes."""
    return torch.from_numpy(attributes).float() * (torch.rand(len(attributes), 1, generator=rng) >= UNSAID)


Repeats = NDArray[np.int64]  # (N,): how often an epoch shows each row


class EpochSampler:
    """Row indices of every batch, a pure function of the batch number."""

    def __init__(
        self, labels: NDArray[np.int64], batch_size: int, group: int, seed: int, repeats: Repeats | None = None
    ) -> None:
        self._batch_size, self._group, self._seed = batch_size, group, seed
        self._rows = np.arange(len(labels)) if repeats is None else np.repeat(np.arange(len(labels)), repeats)
        self._labels = labels[self._rows]
        self._epoch = -1
        self._start_epoch(0)

    def random_rows(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """`count` rows in the shares in which epochs show them."""
        return self._rows[rng.choice(len(self._rows), count)]

    def _start_epoch(self, epoch: int) -> None:
        if epoch != self._epoch:
            order = self._rows[epoch_order(self._labels, self._group, self._seed, epoch)]
            self._order = np.resize(order, max(len(order), self._batch_size))  # a dataset smaller than a batch repeats
            self._epoch = epoch

    def rows(self, batch: int) -> NDArray[np.int64]:
        """Rows of batch number `batch`; the incomplete batch at the end of an epoch is dropped."""
        epoch, position = divmod(batch, len(self._order) // self._batch_size)
        self._start_epoch(epoch)
        return self._order[position * self._batch_size : (position + 1) * self._batch_size]


@dataclass(frozen=True)
class MicroBatch:
    """The part of a batch that goes through the networks at once."""

    images: Tensor  # NCHW float32 in [-1, 1]
    labels: Tensor  # (N,)
    latents: Tensor  # (N, D)
    attributes: Tensor | None  # (N, A) of zeros and ones, or embeddings of captions (N, E), when the networks take them
    random_inputs: RandomInputs | None  # the generator's other random inputs
    rng: torch.Generator  # for augmentation, penalties and path lengths
    maps_seed: int = 0  # of the augmentation of generated images before the projected heads: the same in both steps
    mismatched: Tensor | None = None  # (N, E), embeddings of captions of other pictures

    @property
    def condition(self) -> tuple[Tensor, Tensor | None]:
        return self.labels, self.attributes

    @property
    def mismatched_condition(self) -> tuple[Tensor, Tensor] | None:
        """The same labels with captions of other pictures."""
        return None if self.mismatched is None else (self.labels, self.mismatched)


class BatchLoader:
    """Reproducible batches: images by the epoch order, latents and noise from `rng`.

    Every process draws latents, noise, captions and attribute dropout for the whole batch. So they do not depend on the number
    of micro-batches or processes, and the random state stays the same in all processes.
    """

    def __init__(
        self,
        params: Recipe,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        attributes: NDArray[np.uint8] | None,
        captions: CaptionDraw | None = None,
        *,
        group: int,
        device: torch.device,
        processes: Processes,
        rng: torch.Generator,
    ) -> None:
        """`group` is the number of neighbouring rows that share a label."""
        self._params, self._images, self._labels, self._attributes = params, images, labels, attributes
        self._captions = captions
        self._device, self._processes, self._rng = device, processes, rng
        self._memory_format = torch.channels_last if params.channels_last else torch.contiguous_format
        self._group = group
        self._sampler = EpochSampler(labels, params.batch_size, group, params.seed)

    def repeat(self, labels: Sequence[int], times: int) -> None:
        """Let epochs show every picture of `labels` so many times."""
        repeats = np.where(np.isin(self._labels, labels), times, 1)
        self._sampler = EpochSampler(self._labels, self._params.batch_size, self._group, self._params.seed, repeats)

    def random_rows(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """`count` rows in the shares in which epochs show them."""
        return self._sampler.random_rows(count, rng)

    def load(
        self, images_seen: int, draw_random_inputs: Callable[[int, torch.Generator], RandomInputs | None]
    ) -> list[MicroBatch]:
        """This process's micro-batches of the batch that follows `images_seen`."""
        size, accumulate = self._params.batch_size, self._params.accumulate
        parts = accumulate * self._processes.count
        own = slice(self._processes.index * accumulate, (self._processes.index + 1) * accumulate)
        rows = self._sampler.rows(images_seen // size)
        latents = torch.randn(size, self._params.network.latent_dim, generator=self._rng)
        attributes = None if self._attributes is None else with_some_unsaid(self._attributes[rows], self._rng)
        mismatched = None
        if self._captions is not None:
            attributes, mismatched = self._captions.own_and_mismatched(rows, self._rng)
        random_inputs = draw_random_inputs(size, self._rng)
        slices = [slice(start, start + size // parts) for start in range(0, size, size // parts)]
        # Without projected heads nothing is drawn, so that trainings without them keep their random numbers.
        seeds = [int(torch.randint(2**62, (), generator=self._rng)) if self._params.projected else 0 for _ in range(parts)]
        return [
            MicroBatch(
                self._load_images(rows[here]),
                to_device(torch.from_numpy(self._labels[rows[here]]), self._device),
                to_device(latents[here], self._device),
                None if attributes is None else to_device(attributes[here], self._device),
                None if random_inputs is None else random_inputs.select(here),
                rng,
                seed,
                None if mismatched is None else to_device(mismatched[here], self._device),
            )
            for here, rng, seed in zip(slices[own], self._part_rngs(images_seen, parts)[own], seeds[own], strict=True)
        ]

    def _load_images(self, rows: NDArray[np.int64]) -> Tensor:
        images = to_device(torch.from_numpy(self._images[rows]), self._device).permute(0, 3, 1, 2)
        return to_pictures(images).contiguous(memory_format=self._memory_format)

    def _part_rngs(self, images_seen: int, parts: int) -> list[torch.Generator]:
        """One random generator per part; with several parts, seeded by the step and the part only."""
        if parts == 1:
            return [self._rng]
        seeds = [np.random.SeedSequence((self._params.seed, images_seen, part)) for part in range(parts)]
        return [torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0])) for seed in seeds]
