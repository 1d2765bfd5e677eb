"""The section `trends` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Count, Section, Seed


class TrendsParams(Section):
    by: Literal["auto", "week", "month"] = "auto"
    """Length of a step; auto: weeks where they hold 20 dated pictures in the median, else months."""
    until: Annotated[str, Field(pattern=r"^\\d{4}-\\d{2}-\\d{2}$")] | None = None
    """Last date of publication that counts, such as 2026-06-30; null: up to the last date that others are near."""
    horizon_weeks: Annotated[int, Field(ge=1, le=104)] = 52
    """How far to forecast."""
    min_pictures: Count = 100
    """Dated pictures of a value that make a series at least."""
    max_series: Annotated[int, Field(ge=1, le=1000)] = 60
    """Series at most; those with the most pictures."""
    styles: Annotated[int, Field(ge=0, le=50)] = 8
    """Clusters of the pictures' features that are followed as styles; 0: none. Needs clothing in inspect.detect."""
    shown: Annotated[int, Field(ge=1, le=60)] = 24
    """Series with a chart on the page."""
    seed: Seed = 0
    """Seed of the styles and of the global model."""
