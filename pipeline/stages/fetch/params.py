"""The section `fetch` of params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.section import Count, Section
from pipeline.web.params import WebParams


class FetchParams(Section):
    shards: Annotated[int, Field(ge=1, le=99_999)]
    max_bytes: Count  # a larger file is refused
    strip_metadata: bool  # EXIF, GPS, XMP and comments are taken out, losslessly, before anything is written
    licences: Annotated[list[str], Field(min_length=1)] | None  # only pictures under these; null: under any
    refresh: bool  # ask again for pictures already here, by ETag and date
    web: WebParams
