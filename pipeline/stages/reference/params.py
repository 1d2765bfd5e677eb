"""The section `reference` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.metrics.params import ModuleParams
from pipeline.section import Count, ExistingPath, Positive, Section, Seed

EXTRACTORS = ("efflite0", "classifier", "inception", "phash")  # the names that no module of the user may take


class ClassifierParams(Section):
    epochs: Count = 2
    """Passes over the training set."""
    batch_size: Annotated[int, Field(ge=2)] = 128
    """Pictures per step."""
    peak_rate: Positive = 0.01
    """Highest learning rate of AdamW's one cycle."""
    seed: Seed = 0
    """Seed of the weights and of the order of the pictures."""


class ReferenceParams(Section):
    floor_pictures: Annotated[int, Field(ge=2)] = 10_000
    """Training pictures scored in place of samples, to show what real pictures score."""
    noise_pictures: Annotated[int, Field(ge=2)] = 1000
    """Pictures of noise scored in place of samples, to show the worst score."""
    seed: Seed = 0
    """Seed of the choice of pictures and of the noise."""
    classifier: ClassifierParams = ClassifierParams()
    """The classifier that judges the samples."""
    efflite0_px: Annotated[int, Field(ge=32, le=512)] = 64
    """Side of EfficientNet-Lite0's input."""
    inception_weights: Literal["download"] | ExistingPath | None = None
    """A copy of inception-2015-12-05.pt, or download; null: no fid."""
    modules: list[ModuleParams] = []
    """Further feature extractors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA when available."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads; fixed, because the last bits of the results depend on their number."""

    @field_validator("modules")
    @classmethod
    def _check_names(cls, modules: list[ModuleParams]) -> list[ModuleParams]:
        names = [module.name for module in modules]
        if taken := sorted({name for name in names if name in EXTRACTORS or names.count(name) > 1}):
            raise ValueError(f"name taken: {', '.join(taken)}")
        return modules
