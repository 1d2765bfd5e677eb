"""The section `trends` of params.yaml."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pipeline.section import Count, Section, Seed


def check_date(value: Any) -> Any:
    if isinstance(value, date):  # of a date without quotes in YAML, which DVC refuses as an "unexpected error"
        raise ValueError(f'put the date in quotes: "{value}"')
    if isinstance(value, str):
        try:
            is_date = date.fromisoformat(value).isoformat() == value
        except ValueError:
            is_date = False
        if not is_date:
            raise ValueError('no such date; write one as "2026-06-30"')
    return value


class TrendsParams(Section):
    by: Literal["auto", "week", "month"] = "auto"
    """Length of a step; auto: weeks where they hold 20 dated pictures in the median, else months."""
    until: Annotated[str, BeforeValidator(check_date)] | None = None
    """Last date of publication that counts, such as "2026-06-30"; null: up to the last date that others are near."""
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
