"""The section `evaluate` of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.section import Count, FieldError, Section, Seed


class LookAlikeParams(Section):
    """When a sample counts as a look-alike of a training image: inclusive limits, as in dedup."""

    max_distance_bits: Annotated[int, Field(ge=0, le=16)] = 4
    """Largest Hamming distance between the hashes."""
    max_thumbnail_difference: Annotated[float, Field(ge=0, le=2)] = 0.1
    """Largest √(2 - 2 correlation) of the 16×16 thumbnails."""


class EvaluateParams(Section):
    samples: Annotated[int, Field(ge=2)] = 10_000
    """Images generated per repeat, with the test split's shares of the categories."""
    repeats: Annotated[int, Field(ge=2)] = 3
    """Repeats, with the seeds seed, seed + 1, …; ± is their standard deviation."""
    seed: Seed = 0
    """Seed of the first repeat."""
    neighbours: Count = 3
    """k of precision, recall, density and coverage."""
    kid_subsets: Count = 50
    """Subsets that the kernel distance is averaged over."""
    kid_subset_size: Annotated[int, Field(ge=2)] = 1000
    """Images in each of these subsets."""
    fd_counts: list[Annotated[int, Field(ge=2)]] = [2500, 5000]
    """Smaller sample counts, ascending, from which fd is extrapolated to infinitely many samples."""
    bootstraps: Annotated[int, Field(ge=0)] = 3
    """Bootstrap resamples of the images for the ± of fd and is; below 2: none."""
    near_copy_quantile: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Quantile of the distances of unseen real images to the training set; a closer sample is a near copy."""
    look_alikes: LookAlikeParams = LookAlikeParams()
    """When a sample counts as a look-alike of a training image."""
    ppl_paths: Annotated[int, Field(ge=0)] = 200
    """Steps along paths between latents, per repeat, for the perceptual path length; 0: not measured."""
    attribute_samples: Count = 500
    """Samples per repeat, and real test images, whose asked colour and pattern are measured, if the model takes any."""
    pictures_per_category: Annotated[int, Field(ge=2, le=64)] = 16
    """Samples of each category on the contact sheets in reports/evaluation."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA when available."""
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    """CPU threads; fixed, because the last bits of the results depend on their number."""

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if list(self.fd_counts) != sorted({count for count in self.fd_counts if count < self.samples}):
            raise FieldError("fd_counts", f"must ascend and stay below samples, {self.samples}")
        return self
