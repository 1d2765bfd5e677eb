"""Adaptive augmentation: how p moves, and that each change is what its name says and can be differentiated twice."""

import math

import pytest
import torch

from pipeline.gan.ada import _colour_matrices, _Draws, ada_augment, adjust_probability, geometric_transforms, warp
from pipeline.gan.penalties import gradient_square_norms


def test_p_follows_the_sign_of_real_scores_and_stays_a_probability() -> None:
    assert adjust_probability(0.5, 0.9, 0.6, 0.1) == pytest.approx(0.6)
    assert adjust_probability(0.5, 0.3, 0.6, 0.1) == pytest.approx(0.4)
    assert adjust_probability(0.95, 1.0, 0.6, 0.1) == 1
    assert adjust_probability(0.0, 0.0, 0.6, 0.1) == 0


def test_nothing_changes_at_probability_zero_and_nearly_everything_at_one() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.rand(16, 3, 12, 8, generator=random)
    assert torch.equal(ada_augment(x, 0.0, random), x)
    torch.testing.assert_close(ada_augment(x, 1e-9, random), x)
    changed = ada_augment(x, 1.0, random)
    assert changed.shape == x.shape
    assert ((changed - x).abs().amax(dim=(1, 2, 3)) > 0.05).all()
    assert changed.isfinite().all()


def test_a_warp_turns_moves_and_mirrors() -> None:
    x = torch.rand(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    torch.testing.assert_close(warp(x, quarter), x.rot90(1, (2, 3)))
    right = torch.tensor([[[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    moved = warp(x, right)
    torch.testing.assert_close(moved[..., :4], x[..., 2:])
    torch.testing.assert_close(moved[..., 4:], x[..., [5, 4]])  # the mirror image
    half = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    torch.testing.assert_close(warp(x, half)[..., :5], (x[..., :5] + x[..., 1:]) / 2)


def test_a_frame_that_is_not_square_is_not_turned_on_its_side() -> None:
    class HalfTurns:
        count, p, random = 200, 1.0, torch.Generator().manual_seed(0)

        def whole(self, least: int, most: int) -> torch.Tensor:
            return torch.full((self.count,), float(most if least == 0 else 0))

        def normal(self, _: float) -> torch.Tensor:
            return torch.zeros(self.count)

        def rotation(self) -> torch.Tensor:
            return torch.zeros(self.count)

    matrices = geometric_transforms(12, 8, HalfTurns())  # type: ignore[arg-type]
    torch.testing.assert_close(matrices[0, :2, :2].abs(), torch.eye(2), atol=1e-6, rtol=0)


def test_of_the_two_rotations_at_least_one_happens_with_probability_p() -> None:
    draws = _Draws(4000, 0.3, torch.Generator().manual_seed(0))
    turned = (draws.rotation() != 0) | (draws.rotation() != 0)
    assert abs(turned.float().mean() - 0.3) < 0.03


def test_colours_turn_about_grey() -> None:
    grey, colour = torch.full((3,), 0.4), torch.tensor([1.0, 0.0, -1.0])
    third = torch.tensor([2 * math.pi / 3])
    turned = _colour_matrices(torch.zeros(1), third, torch.ones(1))[0]
    torch.testing.assert_close(turned @ grey, grey)
    torch.testing.assert_close((turned @ colour).sort().values, colour.sort().values)  # channels change places
    inverted = _colour_matrices(torch.ones(1), torch.zeros(1), torch.ones(1))[0]
    torch.testing.assert_close(inverted @ grey, -grey)
    paled = _colour_matrices(torch.zeros(1), torch.zeros(1), torch.full((1,), 0.5))[0]
    torch.testing.assert_close(paled @ colour, colour / 2)


def test_gradient_penalties_go_through_it() -> None:
    weights = torch.rand(1, 3, 8, 8, requires_grad=True)
    x = torch.rand(4, 3, 8, 8, requires_grad=True)
    seen = ada_augment(x, 0.7, torch.Generator().manual_seed(0))
    gradient_square_norms((seen * weights).tanh().sum(dim=(1, 2, 3)), x).sum().backward()
    assert weights.grad is not None
    assert weights.grad.abs().sum() > 0
