"""DiffAugment in closed form, and an augmentation added as CONTRIBUTING.md says."""

from pathlib import Path

import pytest
import torch

from pipeline.gan.diffaugment import AUGMENTATIONS, cutout, diff_augment, translation
from tests.support.contributing import check_example


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_augmentations_are_seeded_differentiable_and_keep_the_shape(name: str) -> None:
    x = torch.rand(4, 3, 16, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    seen = diff_augment(x, [name], torch.Generator().manual_seed(1))
    again = diff_augment(x, [name], torch.Generator().manual_seed(1))
    other = diff_augment(x, [name], torch.Generator().manual_seed(2))
    assert seen.shape == x.shape
    assert torch.equal(seen, again)
    assert not torch.equal(seen, other)
    (gradient,) = torch.autograd.grad(seen.sum(), x)
    assert gradient.abs().sum() > 0


def test_no_augmentation_leaves_pictures_as_they_are() -> None:
    x = torch.rand(2, 1, 8, 8)
    assert diff_augment(x, [], torch.Generator()) is x


def test_translation_moves_whole_pixels_and_fills_with_zero() -> None:
    x = torch.arange(1.0, 257.0).reshape(1, 1, 16, 16)
    moved = translation(x, torch.Generator().manual_seed(3))
    kept = moved[moved != 0]
    assert 14 * 14 <= len(kept) <= 16 * 16
    assert set(kept.tolist()) <= set(x.flatten().tolist())
    assert len(set(kept.tolist())) == len(kept)


def test_cutout_cuts_at_most_a_quarter() -> None:
    holes = (cutout(torch.ones(64, 1, 16, 16), torch.Generator().manual_seed(0)) == 0).float().mean(dim=(1, 2, 3))
    assert holes.max() == pytest.approx(0.25)
    assert holes.min() >= 0.0625


PROBE = """
import torch
from pipeline.commands.params import as_markdown
from pipeline.gan.diffaugment import diff_augment
from pipeline.gan.recipe import Recipe

names = Recipe(diffaugment=["mirroring"]).diffaugment
x = torch.arange(3.0).expand(64, 1, 3, 3)
seen = diff_augment(x, names, torch.Generator().manual_seed(0))
mirrored = (seen == x.flip(3)).flatten(1).all(1)
assert ((seen == x).flatten(1).all(1) ^ mirrored).all()
assert 16 < mirrored.sum() < 48
assert "list of colour, translation, cutout, mirroring" in as_markdown()
"""


def test_augmentation_of_the_contributing_guide_works_end_to_end(tmp_path: Path) -> None:
    check_example("def mirroring", "pipeline/gan/diffaugment.py", PROBE, tmp_path)
