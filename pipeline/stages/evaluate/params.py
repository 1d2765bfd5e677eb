"""The section `evaluate` of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.section import BelowError, Count, Section, Seed


class LookAlikeParams(Section):
    """When a sample looks like a training picture, both inclusive and as in dedup."""

    max_distance_bits: Annotated[int, Field(ge=0, le=16)]
    max_thumbnail_difference: Annotated[float, Field(ge=0, le=2)]


class EvaluateParams(Section):
    samples: Annotated[int, Field(ge=2)]  # generated pictures a repeat, in equal shares of the categories
    repeats: Annotated[int, Field(ge=2)]  # each from its own seed: seed, seed + 1, …; ± is their standard deviation
    seed: Seed
    neighbours: Count  # k of precision, recall, density and coverage
    kid_subsets: Count
    kid_subset_size: Annotated[int, Field(ge=2)]
    fd_counts: list[Annotated[int, Field(ge=2)]]  # fewer samples, ascending, from which fd is extrapolated to infinitely many
    bootstraps: Annotated[int, Field(ge=0)]  # resamples behind the ± of fd and is by drawing the pictures again; below 2: none
    near_copy_quantile: Annotated[float, Field(gt=0, lt=1)]  # of unseen real pictures' distances to the training set
    look_alikes: LookAlikeParams
    ppl_paths: Annotated[int, Field(ge=0)]  # steps along paths between latents, a repeat; 0: no perceptual path length
    pictures_per_category: Annotated[int, Field(ge=2, le=64)]
    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=256)]  # on a CPU; fixed, for the last bits of the results depend on it

    @model_validator(mode="after")
    def _counts_ascend_to_the_samples(self) -> Self:
        if list(self.fd_counts) != sorted({count for count in self.fd_counts if count < self.samples}):
            raise BelowError("fd_counts", f"must ascend and stay below samples, {self.samples}")
        return self
