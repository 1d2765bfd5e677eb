"""The section `reference` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.metrics.params import ModuleParams
from pipeline.section import Count, ExistingPath, Positive, Section, Seed

EXTRACTORS = ("efflite0", "classifier", "inception", "phash")  # those that are always known


class ClassifierParams(Section):
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    peak_rate: Positive  # AdamW's, at the top of its one cycle
    seed: Seed


class ReferenceParams(Section):
    floor_pictures: Annotated[int, Field(ge=2)]  # training pictures that stand in for samples: what real pictures score
    noise_pictures: Annotated[int, Field(ge=2)]  # of nothing: what no picture scores worse than
    seed: Seed
    classifier: ClassifierParams
    efflite0_px: Annotated[int, Field(ge=32, le=512)]  # side of the pictures EfficientNet-Lite0 is given
    inception_weights: Literal["download"] | ExistingPath | None  # a copy of inception-2015-12-05.pt; null: no fid
    modules: list[ModuleParams]  # further extractors
    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=256)]  # on a CPU; fixed, for the last bits of the results depend on it

    @field_validator("modules")
    @classmethod
    def _names_are_free(cls, modules: list[ModuleParams]) -> list[ModuleParams]:
        names = [module.name for module in modules]
        if taken := sorted({name for name in names if name in EXTRACTORS or names.count(name) > 1}):
            raise ValueError(f"name taken: {', '.join(taken)}")
        return modules
