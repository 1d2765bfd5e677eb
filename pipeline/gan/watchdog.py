"""Detection of divergence, mode collapse, a winning discriminator and vanishing gradients.

Divergence (a NaN or an infinity) raises DivergedError. The others are events: pure functions of the history, so an interrupted
training reports the same ones.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.gan.devices import AsyncCopy
from pipeline.gan.recipe import WatchdogParams
from pipeline.inference.transparency import Ground, on_ground

PATIENCE_ROWS = 3  # consecutive rows of the history before a condition becomes an event
# Share of the loss at chance. A healthy discriminator stays above a third of it. Below a fiftieth the sigmoid of its scores is
# within 0.014 of 0 and 1, and a saturating loss gives the generator no gradient.
WON_SHARE = 0.02
VANISHED_SHARE = 1e-3  # share of the median gradient norm so far; healthy training stays within a factor of thirty
# An absolute limit, too: over a million weights it is 1e-7 each, where Adam's epsilon of 1e-8 begins to matter.
VANISHED_NORM = 1e-4
COMPARED_ON: Ground = "white"
GRACE_SAMPLES = 2  # the first sheets, when a generator may still produce a single image


@dataclass(frozen=True)
class Event:
    """A problem found after `images_seen` images."""

    images_seen: int
    name: str
    message: str


class FiniteCheck:
    """Checks each step for NaN and infinity: immediately on a CPU, one step late on a GPU.

    An immediate check would block until the GPU has finished the step.
    """

    def __init__(self, device: torch.device) -> None:
        self._immediate = device.type == "cpu"
        self._pending: AsyncCopy | None = None

    def all_finite(self, numbers: Tensor) -> bool:
        """Whether `numbers` (on a GPU, those of the previous call) are all finite."""
        result = AsyncCopy(torch.isfinite(numbers).all())
        if self._immediate:
            return bool(result.wait())
        before, self._pending = self._pending, result
        return before is None or bool(before.wait())


def is_finite(state: dict[str, Tensor]) -> bool:
    """Whether all floating-point tensors in `state` are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in state.values() if tensor.is_floating_point())


def has_won(losses: Sequence[float], at_chance: float) -> bool:
    """Whether the discriminator's last `losses` are negligible relative to its loss `at_chance`; never if that is 0."""
    last = losses[-PATIENCE_ROWS:]
    return at_chance > 0 and len(last) == PATIENCE_ROWS and max(last) < WON_SHARE * at_chance


def has_vanished(norms: Sequence[float]) -> bool:
    """Whether the last gradient `norms` are negligible, relative to their median or absolutely."""
    last = norms[-PATIENCE_ROWS:]
    return len(last) == PATIENCE_ROWS and max(last) < max(VANISHED_SHARE * statistics.median(norms), VANISHED_NORM)


def _conditions(history: dict[str, list[float]], at_chance: float) -> dict[str, str]:
    found = {}
    if has_won(history["loss_discriminator"], at_chance):
        found["discriminator-won"] = (
            f"the discriminator's loss is {history['loss_discriminator'][-1]:.2g}, against {at_chance:.2g} at chance: "
            "the generator learns little; lower train.discriminator_rate or raise train.penalties.r1_gamma"
        )
    for network in ("generator", "discriminator"):
        if has_vanished(history[f"gradient_{network}"]):
            found[f"vanishing-gradient-{network}"] = (
                f"the {network}'s gradient is {history[f'gradient_{network}'][-1]:.2g}: it has stopped learning; "
                "choose another train.loss or raise train.penalties.r1_gamma"
            )
    return found


def events_of_history(columns: Iterable[str], history: Sequence[Sequence[float]], at_chance: float) -> list[Event]:
    """Events that begin with the last row of `history`, whose columns are named `columns`; `at_chance` as in `has_won`."""
    names = list(columns)

    def named(rows: Sequence[Sequence[float]]) -> dict[str, list[float]]:
        return {name: [row[index] for row in rows] for index, name in enumerate(names)}

    before = _conditions(named(history[:-1]), at_chance)
    now = _conditions(named(history), at_chance)
    return [Event(int(history[-1][0]), name, message) for name, message in now.items() if name not in before]


def diversity(pictures: NDArray[np.uint8], labels: NDArray[np.int64], categories: int) -> NDArray[np.float64]:
    """RMS difference between pairs of `pictures` (N, H, W, C) of one category, per category; 0 with fewer than two.

    Those with alpha are compared on COMPARED_ON.
    """
    found, pictures = np.zeros(categories), on_ground(pictures, COMPARED_ON)
    for category in range(categories):
        of_category = pictures[labels == category].reshape(np.count_nonzero(labels == category), -1).astype(np.float64)
        if len(of_category) > 1:
            # The mean over pairs of ‖a - b‖² is twice the variance with N - 1.
            found[category] = np.sqrt(2 * of_category.var(axis=0, ddof=1).mean())
    return found


def _collapsed(shares: Sequence[Sequence[float]], limit: float) -> set[int]:
    if len(shares) <= GRACE_SAMPLES:
        return set()
    return {category for category, share in enumerate(shares[-1][1:]) if share < limit}


def events_of_diversity(shares: Sequence[Sequence[float]], categories: Sequence[str], limit: float) -> list[Event]:
    """A collapse that begins with the last row of `shares`: images seen, then relative diversity per category."""
    begun = sorted(_collapsed(shares, limit) - _collapsed(shares[:-1], limit))
    if not begun:
        return []
    which = ", ".join(f"{categories[category]} ({shares[-1][1 + category]:.2g})" for category in begun)
    message = (
        f"pictures of one category differ by less than {limit:g} of what real ones do: {which}; "
        "raise train.penalties.r1_gamma or train.mode_seeking"
    )
    return [Event(int(shares[-1][0]), "collapse", message)]


class Watchdog:
    """The state of the checks across a training: diversity and rollbacks so far. Part of every checkpoint."""

    def __init__(
        self, params: WatchdogParams, categories: Sequence[str], real_diversity: NDArray[np.float64], loss_at_chance: float
    ) -> None:
        self.params, self.categories = params, categories
        self._real_diversity, self._loss_at_chance = real_diversity, loss_at_chance
        self.shares: list[list[float]] = []
        self.rollbacks = 0

    @property
    def rate_factor(self) -> float:
        """Factor on the learning rates after the rollbacks so far."""
        return self.params.rate_factor_on_rollback**self.rollbacks

    def check_history(self, columns: Iterable[str], history: Sequence[Sequence[float]]) -> list[Event]:
        """Events that begin with the newest row."""
        return events_of_history(columns, history, self._loss_at_chance)

    def check_samples(self, images_seen: int, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[Event]:
        """Events that begin with these samples (N, H, W, C) with labels (N,)."""
        drawn = diversity(pictures, labels, len(self.categories))
        shares = np.divide(drawn, self._real_diversity, out=np.ones_like(drawn), where=self._real_diversity > 0)
        self.shares.append([float(images_seen), *shares.tolist()])
        return events_of_diversity(self.shares, self.categories, self.params.min_diversity)

    def state(self) -> dict[str, Tensor]:
        """Checkpoint entries, which `restore` reads back."""
        shares = torch.tensor(self.shares, dtype=torch.float64).reshape(-1, 1 + len(self.categories))
        return {"watchdog.shares": shares, "watchdog.returns": torch.tensor(self.rollbacks)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        self.shares = state["watchdog.shares"].tolist()
        self.rollbacks = int(state["watchdog.returns"])
