"""The section `report` of params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.section import Section


class ReportParams(Section):
    title: Annotated[str, Field(min_length=1)] = "Atelier"
    """Title of the report."""
    pictures_per_category: Annotated[int, Field(ge=1, le=32)] = 16
    """Images shown of each category."""
