"""The section `collect` of params.yaml."""

from typing import Self

from pydantic import model_validator

from pipeline.sources.registry import SOURCES, section_name, source_sections
from pipeline.web.params import WebParams


class CollectParams(source_sections(SOURCES)):  # type: ignore[misc]  # its keys follow the registry
    web: WebParams = WebParams()
    """How the crawler behaves."""

    @model_validator(mode="after")
    def _check_chosen_sources(self) -> Self:
        for name in map(section_name, self.source):
            getattr(self, name).check(name, self.web)
        return self
