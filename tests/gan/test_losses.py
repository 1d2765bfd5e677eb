"""Losses and penalties against their closed forms."""

import math
from pathlib import Path

import pytest
import torch

from pipeline.gan.losses import LOSSES
from pipeline.gan.penalties import (
    gradient_square_norms,
    interpolate,
    mode_seeking_loss,
    one_centred_penalty,
    path_lengths,
    zero_centred_penalty,
)
from tests.support.contributing import check_example
from tests.support.project import ROOT

REAL, FAKE = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 0.25])


def _log_one_plus_exp(values: list[float]) -> float:
    return sum(math.log1p(math.exp(value)) for value in values) / len(values)


EXPECTED = {
    "minimax": (_log_one_plus_exp([-2.0, -0.5]) + _log_one_plus_exp([-1.0, 0.25]), -_log_one_plus_exp([-1.0, 0.25])),
    "non-saturating": (_log_one_plus_exp([-2.0, -0.5]) + _log_one_plus_exp([-1.0, 0.25]), _log_one_plus_exp([1.0, -0.25])),
    "wgan": (-0.375 - 1.25, 0.375),
    "hinge": ((0 + 0.5) / 2 + (0 + 1.25) / 2, 0.375),
    "relativistic": (_log_one_plus_exp([-3.0, -0.25]), _log_one_plus_exp([3.0, 0.25])),
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_are_their_papers_formulas(name: str) -> None:
    loss = LOSSES[name]
    discriminator, generator = EXPECTED[name]
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-6)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(generator, rel=1e-6)


def test_a_scale_on_the_way_changes_no_penalty() -> None:
    weights = torch.tensor([3.0, -4.0], requires_grad=True)
    pictures = torch.ones(5, 2, 1, 1, requires_grad=True)
    found = []
    for scale in (1.0, torch.tensor(1024.0)):
        square_norms = gradient_square_norms((pictures.flatten(1) * weights).sum(dim=1), pictures, scale)
        assert square_norms.tolist() == [25.0] * 5
        found.append(torch.autograd.grad(square_norms.mean(), weights)[0].tolist())
    assert found == [[6.0, -8.0]] * 2


def test_only_losses_that_say_so_look_at_real_scores_in_the_generator() -> None:
    for name, loss in LOSSES.items():
        moved = loss.generator(REAL + 1, FAKE).item() != loss.generator(REAL, FAKE).item()
        assert moved == loss.pairs, name


def test_a_linear_score_has_its_weights_as_gradient() -> None:
    weights = torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2)
    pictures = torch.randn(5, 1, 1, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    square_norms = gradient_square_norms((pictures * weights).sum(dim=(1, 2, 3)), pictures)
    assert square_norms.tolist() == pytest.approx([25.0] * 5)
    assert zero_centred_penalty(square_norms, 0.1).item() == pytest.approx(0.1 / 2 * 25)
    assert one_centred_penalty(square_norms, 10.0).item() == pytest.approx(10 * (5 - 1) ** 2)


def test_path_lengths_of_a_linear_map_are_those_of_its_transpose() -> None:
    random = torch.Generator().manual_seed(0)
    matrix = torch.randn(3 * 4 * 5, 2 * 6, generator=random)
    styles = torch.randn(7, 2, 6, generator=random).requires_grad_()
    pictures = (styles.flatten(1) @ matrix.T).reshape(7, 3, 4, 5)
    directions = torch.randn(7, 3, 4, 5, generator=random)
    moved = (directions.flatten(1) @ matrix).reshape(7, 2, 6) / math.sqrt(4 * 5)
    expected = moved.square().sum(dim=2).mean(dim=1).sqrt()
    torch.testing.assert_close(path_lengths(pictures, styles, directions), expected)


def test_the_penalty_reaches_the_weights() -> None:
    weights = torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2).requires_grad_()
    pictures = torch.zeros(2, 1, 1, 2, requires_grad=True)
    zero_centred_penalty(gradient_square_norms((pictures * weights).sum(dim=(1, 2, 3)), pictures), 2.0).backward()
    assert weights.grad is not None
    assert weights.grad.flatten().tolist() == pytest.approx([6.0, 8.0])  # of γ/2 · ‖w‖² with γ = 2


def test_mode_seeking_counts_neighbours_of_one_label() -> None:
    latents = torch.tensor([[0.0], [2.0], [0.0], [1.0], [5.0]])  # 2 apart, 1 apart, and one over
    pictures = torch.tensor([0.0, 0.5, 0.0, 0.25, 9.0]).reshape(5, 1, 1, 1)
    same, other = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 0, 0])
    assert mode_seeking_loss(pictures, latents, same).item() == pytest.approx((2 / 0.5 + 1 / 0.25) / 2, rel=1e-3)
    assert mode_seeking_loss(pictures, latents, other).item() == pytest.approx(2 / 0.5, rel=1e-3)
    assert mode_seeking_loss(pictures, latents, torch.arange(5)).item() == 0


def test_mode_seeking_drives_equal_pictures_apart() -> None:
    spread = torch.tensor(0.1, requires_grad=True)
    latents = torch.tensor([[-1.0], [1.0]])
    mode_seeking_loss(latents.reshape(2, 1, 1, 1) * spread, latents, torch.zeros(2)).backward()
    assert spread.grad is not None
    assert spread.grad < 0


def test_between_lies_on_the_line() -> None:
    real, fake = torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)
    assert interpolate(real, fake, torch.tensor([0.25, 1.0])).flatten().tolist() == [0.25, 1.0]


def test_the_documentation_lists_every_loss() -> None:
    table = (ROOT / "docs" / "gan.md").read_text(encoding="utf-8").splitlines()
    rows = [f"| `{name}` | {loss.source} | {loss.goes_with} |" for name, loss in LOSSES.items()]
    assert [row for row in rows if row not in table] == []


PROBE = """
import torch
from pipeline.commands.params import as_markdown
from pipeline.gan.losses import LOSSES
from pipeline.gan.recipe import PenaltyParams, Recipe

loss = LOSSES[Recipe(loss="least-squares").loss]
real, fake = torch.tensor([2.0, 0.0]), torch.tensor([0.5, -0.5])
assert loss.discriminator(real, fake).item() == (1.0 + 0.25) / 2
assert loss.generator(real, fake).item() == (0.25 + 2.25) / 4
assert "relativistic, least-squares |" in as_markdown()
"""


def test_loss_of_the_contributing_guide_works_end_to_end(tmp_path: Path) -> None:
    check_example('LOSSES["', "pipeline/gan/losses.py", PROBE, tmp_path)
