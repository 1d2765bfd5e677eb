"""The training history: losses, scores and gradient norms, averaged between two rows."""

import csv
import io

import torch
from torch import Tensor

from pipeline.errors import DivergedError

STEP_COLUMNS = (
    "loss_discriminator",
    "loss_generator",
    "score_real",
    "score_fake",
    "gradient_discriminator",
    "gradient_generator",
)
PENALTY_COLUMNS = ("loss_penalty", "square_gradient_real")  # averaged over the penalised steps only
HISTORY_COLUMNS = ("images", *STEP_COLUMNS, *PENALTY_COLUMNS)


class History:
    """Rows so far, and the sums of the row in progress, which stay on the device so that no step waits for it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.rows: list[list[float]] = []
        self._reset_sums()

    def _reset_sums(self) -> None:
        self._sums = torch.zeros(len(STEP_COLUMNS), device=self._device)
        self._penalty_sums = torch.zeros(len(PENALTY_COLUMNS), device=self._device)
        self._steps = self._penalty_steps = 0

    def add_step(self, values: Tensor) -> None:
        """Count one step with `values` in the order of STEP_COLUMNS."""
        self._sums += values
        self._steps += 1

    def add_penalty(self, values: Tensor) -> None:
        """Count one penalised discriminator step with `values` in the order of PENALTY_COLUMNS."""
        self._penalty_sums += values
        self._penalty_steps += 1

    @property
    def sums(self) -> Tensor:
        """Sums since the last row, STEP_COLUMNS then PENALTY_COLUMNS; a single NaN makes its sum NaN."""
        return torch.cat([self._sums, self._penalty_sums])

    def close_row(self, images_seen: int) -> dict[str, float]:
        """Averages since the last row, keyed by HISTORY_COLUMNS and appended to `rows`. Raises DivergedError."""
        if not torch.isfinite(self.sums).all():
            raise DivergedError
        averages = (self._sums / max(self._steps, 1)).tolist()
        penalty_averages = (self._penalty_sums / max(self._penalty_steps, 1)).tolist()
        row = [float(images_seen), *averages, *penalty_averages]
        self.rows.append(row)
        self._reset_sums()
        return dict(zip(HISTORY_COLUMNS, row, strict=True))

    def state(self) -> dict[str, Tensor]:
        """Checkpoint entries, which `restore` reads back."""
        return {
            "history": torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(HISTORY_COLUMNS)),
            "sums": self._sums,
            "penalty_sums": self._penalty_sums,
            "steps": torch.tensor([self._steps, self._penalty_steps]),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        self.rows = state["history"].tolist()
        self._sums = state["sums"].to(self._device)
        self._penalty_sums = state["penalty_sums"].to(self._device)
        self._steps, self._penalty_steps = state["steps"].tolist()


def history_csv(rows: list[list[float]]) -> str:
    """The text of history.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HISTORY_COLUMNS)
    writer.writerows([int(row[0]), *(f"{value:.7g}" for value in row[1:])] for row in rows)
    return text.getvalue()
