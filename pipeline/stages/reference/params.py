"""The section `reference` of params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pipeline.inference.transparency import Ground
from pipeline.section import Count, ExistingPath, Positive, Section, Seed


class ModuleParams(Section):
    """A torch module that turns images into features (N, D) or feature maps (N, D, H, W)."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]
    """Its scores are called fd_<name> and so on."""
    build: Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")]
    """package.module:callable that returns the module."""
    arguments: dict[str, Any] = {}
    """Keyword arguments of that callable."""
    side_px: Annotated[int, Field(ge=16, le=1024)] = 224
    """Side of its input, RGB in [0, 1]."""
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    """Subtracted from each channel of the input."""
    deviation: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    """Divides each channel of the input, after the subtraction."""


class ClassifierParams(Section):
    epochs: Count = 2
    """Passes over the training set."""
    batch_size: Annotated[int, Field(ge=2)] = 128
    """Images per step."""
    peak_rate: Positive = 0.01
    """Highest learning rate of AdamW's one cycle."""
    seed: Seed = 0
    """Seed of the weights and of the order of the images."""


class ReferenceParams(Section):
    floor_pictures: Annotated[int, Field(ge=2)] = 10_000
    """Training images scored in place of samples: the floor."""
    noise_pictures: Annotated[int, Field(ge=2)] = 1000
    """Images of noise scored in place of samples: the ceiling."""
    seed: Seed = 0
    """Seed of the choice of training images and of the noise."""
    classifier: ClassifierParams = ClassifierParams()
    """The classifier that scores the samples."""
    efflite0_px: Annotated[int, Field(ge=32, le=512)] = 64
    """Side of EfficientNet-Lite0's input."""
    inception_weights: Literal["download"] | ExistingPath | None = None
    """Path of inception-2015-12-05.pt, or download; null: no fid."""
    ground: Ground = "white"
    """What is behind pictures with alpha when the classifier and every other extractor sees them, here and in evaluate."""
    modules: list[ModuleParams] = []
    """Further feature extractors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA when available."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads; fixed, because the last bits of the results depend on their number."""

    @field_validator("modules")
    @classmethod
    def _check_names(cls, modules: list[ModuleParams]) -> list[ModuleParams]:
        if not modules:
            return modules
        from pipeline.metrics.extractors import reserved_names  # which imports torch, so only where it is needed

        names = [module.name for module in modules]
        if taken := sorted({name for name in names if name in reserved_names() or names.count(name) > 1}):
            raise ValueError(f"name taken: {', '.join(taken)}")
        return modules
