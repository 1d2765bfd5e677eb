"""The section `export` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.section import Count, Positive, Section


class ExportParams(Section):
    precisions: Annotated[list[Literal["fp32", "fp16", "int8"]], Field(min_length=1)] = ["fp32", "fp16", "int8"]
    """Precisions to export, each to a file of its own; the first within the limits becomes generator.onnx."""
    max_difference: Positive = 0.0001
    """Largest absolute difference between fp32 and torch, pictures in [-1, 1]; more is an error."""
    max_mean_difference: Positive = 0.02
    """Largest mean absolute difference between another precision and torch, pictures in [-1, 1]."""
    max_fd_change: Positive = 0.05
    """Largest difference between the fd_classifier of another precision and that of fp32."""
    check_latents: Count = 64
    """Latents that the comparison uses."""
    registered_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "atelier-generator"
    """Name in the MLflow model registry."""

    @field_validator("precisions")
    @classmethod
    def _check_precisions(cls, precisions: list[str]) -> list[str]:
        if "fp32" not in precisions or len(set(precisions)) < len(precisions):
            raise ValueError("must name each precision once, and fp32 among them")
        return precisions
