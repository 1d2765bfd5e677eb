"""The section `train` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.gan.recipe import Recipe
from pipeline.section import Count, Positive


class TrainParams(Recipe):
    """The recipe, and what a training logs, draws and keeps on the way, none of which changes its weights."""

    log_every_kimg: Positive
    sample_every_kimg: Positive
    samples_per_category: Annotated[int, Field(ge=1, le=64)]
    checkpoint_every_kimg: Positive
    keep_checkpoints: Count  # the last ones; a damaged one is passed over for the one before it
    best_by: Literal["swd"] | None  # keeps the best generator, too, by its samples' sliced Wasserstein distance
