"""What goes wrong while a GAN trains, found in the numbers it leaves behind.

Numbers that are not finite end a step with DivergedError. Collapse, a discriminator that has won and vanishing gradients are
events: functions of the history alone, so an interrupted training finds the same ones again.
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

PATIENCE_ROWS = 3  # of the history, one after the other, before something is an event
# Of the loss of a discriminator that knows nothing. A healthy one loses a third to all of that; below a fiftieth the logistic
# function of its scores is within 0.014 of 0 and 1, and a saturating loss teaches the generator nothing.
WON_SHARE = 0.02
VANISHED_SHARE = 1e-3  # of the median gradient norm so far, which healthy training stays within a factor of thirty of
# Also when it never was larger: spread over a million weights it is 1e-7 each, where Adam's 1e-8 begins to count.
VANISHED_NORM = 1e-4
GRACE_SAMPLES = 2  # the first ones, in which a generator may still draw one picture


@dataclass(frozen=True)
class Event:
    """Something that went wrong when so many images had been seen."""

    images_seen: int
    name: str
    message: str


class FiniteCheck:
    """Says of the numbers of each step whether all were finite: at once on a CPU, with the next step's on a GPU.

    Asking a GPU at once would have it wait for the answer to be read before it is given the next step.
    """

    def __init__(self, device: torch.device) -> None:
        self._at_once = device.type == "cpu"
        self._asked: AsyncCopy | None = None

    def all_finite(self, numbers: Tensor) -> bool:
        """Whether `numbers`, on a GPU those of the call before, hold neither NaN nor infinity."""
        asked = AsyncCopy(torch.isfinite(numbers).all())
        if self._at_once:
            return bool(asked.wait())
        before, self._asked = self._asked, asked
        return before is None or bool(before.wait())


def is_finite(state: dict[str, Tensor]) -> bool:
    """Whether no tensor of floats in `state` holds NaN or infinity."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in state.values() if tensor.is_floating_point())


def has_won(losses: Sequence[float], at_chance: float) -> bool:
    """Whether the discriminator's last `losses` are next to nothing, measured by its loss `at_chance`; 0: no such measure."""
    last = losses[-PATIENCE_ROWS:]
    return at_chance > 0 and len(last) == PATIENCE_ROWS and max(last) < WON_SHARE * at_chance


def has_vanished(norms: Sequence[float]) -> bool:
    """Whether the last gradient `norms` are next to nothing, measured by their median."""
    last = norms[-PATIENCE_ROWS:]
    return len(last) == PATIENCE_ROWS and max(last) < max(VANISHED_SHARE * statistics.median(norms), VANISHED_NORM)


def _conditions(history: dict[str, list[float]], at_chance: float) -> dict[str, str]:
    found = {}
    if has_won(history["loss_discriminator"], at_chance):
        found["discriminator-won"] = (
            f"the discriminator's loss is {history['loss_discriminator'][-1]:.2g}, of {at_chance:.2g} where it knows nothing: "
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
    """Events that begin with the last row of `history`, whose `columns` have names; `at_chance` as in `has_won`."""
    names = list(columns)

    def named(rows: Sequence[Sequence[float]]) -> dict[str, list[float]]:
        return {name: [row[index] for row in rows] for index, name in enumerate(names)}

    before = _conditions(named(history[:-1]), at_chance)
    now = _conditions(named(history), at_chance)
    return [Event(int(history[-1][0]), name, message) for name, message in now.items() if name not in before]


def diversity(pictures: NDArray[np.uint8], labels: NDArray[np.int64], categories: int) -> NDArray[np.float64]:
    """Root mean square difference of two `pictures` (N, H, W, C) of one category, per category; 0 where there are not two."""
    found = np.zeros(categories)
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
    """A collapse that begins with the last of `shares`: rows of images seen and each category's diversity by real pictures'."""
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
    """What has been seen so far, and how often the training has returned to a checkpoint; part of every checkpoint itself."""

    def __init__(
        self, params: WatchdogParams, categories: Sequence[str], real_diversity: NDArray[np.float64], loss_at_chance: float
    ) -> None:
        self.params, self.categories = params, categories
        self._real_diversity, self._loss_at_chance = real_diversity, loss_at_chance
        self.shares: list[list[float]] = []
        self.returns = 0

    @property
    def rate_factor(self) -> float:
        """What the learning rates are multiplied by after the returns so far."""
        return self.params.rate_on_return**self.returns

    def check_history(self, columns: Iterable[str], history: Sequence[Sequence[float]]) -> list[Event]:
        """Events that begin with the newest row."""
        return events_of_history(columns, history, self._loss_at_chance)

    def check_samples(self, images_seen: int, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[Event]:
        """Events that begin with these samples (N, H, W, C), labels (N,)."""
        drawn = diversity(pictures, labels, len(self.categories))
        shares = np.divide(drawn, self._real_diversity, out=np.ones_like(drawn), where=self._real_diversity > 0)
        self.shares.append([float(images_seen), *shares.tolist()])
        return events_of_diversity(self.shares, self.categories, self.params.min_diversity)

    def state(self) -> dict[str, Tensor]:
        """What `restore` takes."""
        shares = torch.tensor(self.shares, dtype=torch.float64).reshape(-1, 1 + len(self.categories))
        return {"watchdog.shares": shares, "watchdog.returns": torch.tensor(self.returns)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self.shares = state["watchdog.shares"].tolist()
        self.returns = int(state["watchdog.returns"])
