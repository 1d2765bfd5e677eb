"""Pairs of a garment and a person who wears it, of which it is known how it is worn."""

from dataclasses import replace

import numpy as np

from pipeline.imaging.garment_anchors import find_anchors
from pipeline.tryon.corrections import COUNT, Numbers
from pipeline.tryon.learned_warp import PROPORTIONS, Proportions
from pipeline.tryon.learning import LearningPair
from pipeline.tryon.mannequins import Measures, Pose, draw_mannequin
from pipeline.tryon.matching import WornGarment, worn_garment
from pipeline.tryon.person import person_of_figure
from tests.support.drawn_people import drawn_garment

LOWER = 4  # the number that moves all of a garment along the torso
HEIGHT_PX, WIDTH_PX = 176, 132


def worn_skirt() -> WornGarment:
    """A skirt that a small figure wears as geometry has it."""
    figure = draw_mannequin(Measures(), Pose(), HEIGHT_PX, WIDTH_PX)
    garment = drawn_garment("skirt")
    return worn_garment(person_of_figure(figure), garment, find_anchors(garment, "skirt"))


def seen(worn: WornGarment, numbers: Numbers) -> WornGarment:
    """The same person in the same garment, worn with a correction."""
    laid = worn.laid(numbers)
    mask = (laid[..., 3] > 0.5).astype(np.float32)
    lab = (laid[..., :3] / np.maximum(laid[..., 3:], 1e-3)).astype(np.float32)
    return replace(worn, mask=mask, lab=lab, weight=np.ones_like(mask))


def worn_pairs(skirt: WornGarment, mean: float, slope: float, count: int = 30) -> list[LearningPair]:
    """Skirts worn lower by `mean`, more so by `slope` where the hips are broad, and otherwise at random."""
    rng = np.random.default_rng(2)
    found = []
    for number in range(count):
        broad, numbers = rng.normal(), rng.normal(0, 0.02, COUNT)
        numbers[LOWER] += mean + slope * broad
        found.append(LearningPair(f"garment {number // 2}", "skirt", shape(broad), seen(skirt, numbers), numbers))
    return found


def shape(broad: float) -> Proportions:
    """Proportions with hips as broad as that."""
    return 0.6 + 0.1 * broad * np.eye(PROPORTIONS)[2]
