"""Sizes of feature maps, without torch, so that params.yaml can be checked quickly before anything runs."""

import math

from pipeline.errors import TrainingError

COARSEST_SIDE_PX = 4


def coarsest_grid(height: int, width: int) -> tuple[int, int, int]:
    """Height and width of the coarsest feature map, its shorter side 4 to 7, and the number of doublings up to the image.

    Raises TrainingError if the sides are not the coarsest ones times one power of two.
    """
    shorter = min(height, width)
    doublings = max(1, int(math.log2(shorter / COARSEST_SIDE_PX))) if shorter >= COARSEST_SIDE_PX else 1
    step = 2**doublings
    if shorter < 2 * COARSEST_SIDE_PX or height % step or width % step:
        raise TrainingError(
            f"pictures of {height}×{width} cannot be drawn: set augment.height and width to multiples of {step}"
        )
    return height // step, width // step, doublings
