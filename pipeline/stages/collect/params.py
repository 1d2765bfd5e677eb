"""The section `collect` of params.yaml."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.section import Count
from pipeline.sources.registry import SOURCES, section_name, source_sections
from pipeline.web.params import WebParams


class CollectParams(source_sections(SOURCES)):  # type: ignore[misc]  # its keys follow the registry
    web: WebParams = WebParams()
    """How the crawler behaves."""
    shards: Annotated[int, Field(ge=1, le=99_999)] = 4
    """Shards that the pictures are divided among; each is a job of its own in fetch and inspect."""
    rows_per_turn: Count = 100
    """Consecutive rows of the manifest that a shard gets before the next has its turn; rows added last reach few shards."""

    @model_validator(mode="after")
    def _check_chosen_sources(self) -> Self:
        for name in map(section_name, self.source):
            getattr(self, name).check(name, self.web)
        return self
