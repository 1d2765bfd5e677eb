"""The section `export` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.section import Count, Positive, Section


class ExportParams(Section):
    # Each becomes a file; the first that is within the limits is generator.onnx, which everything opens.
    precisions: Annotated[list[Literal["fp32", "fp16", "int8"]], Field(min_length=1)]
    max_difference: Positive  # largest absolute difference of fp32 from torch, pictures in [-1, 1]; more is an error
    max_mean_difference: Positive  # mean absolute difference of the others from torch, pictures in [-1, 1]
    max_fd_change: Positive  # of the others' fd_classifier from that of fp32
    check_latents: Count
    registered_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]  # in the MLflow model registry

    @field_validator("precisions")
    @classmethod
    def _exact_one_among_them(cls, precisions: list[str]) -> list[str]:
        if "fp32" not in precisions or len(set(precisions)) < len(precisions):
            raise ValueError("names each precision once, and fp32 among them")
        return precisions
