"""The section `train` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.gan.recipe import Recipe
from pipeline.section import Count, Positive


class TrainParams(Recipe):
    """The recipe, and what a training logs, draws and keeps along the way, none of which changes its weights."""

    log_every_kimg: Positive = 2.0
    """Thousands of images from one row of the history to the next."""
    sample_every_kimg: Positive = 25.0
    """Thousands of images from one sheet of samples to the next."""
    samples_per_category: Annotated[int, Field(ge=1, le=64)] = 16
    """Samples of each category on a sheet."""
    checkpoint_every_kimg: Positive = 25.0
    """Thousands of images from one checkpoint to the next."""
    keep_checkpoints: Count = 2
    """Checkpoints kept; when the newest is damaged, training resumes from the one before."""
    best_by: Literal["swd"] | None = None
    """Also keep the generator whose samples have the smallest sliced Wasserstein distance (swd)."""
