"""The section `fetch` of params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.section import Count, Section
from pipeline.web.params import WebParams


class FetchParams(Section):
    max_bytes: Count = 20_000_000
    """Size of the largest file that is accepted."""
    strip_metadata: bool = True
    """Remove EXIF, GPS, XMP and comments losslessly before a file is stored."""
    licences: Annotated[list[str], Field(min_length=1)] | None = None
    """Fetch only pictures under these licences; null: under any."""
    refresh: bool = False
    """Ask the server again for pictures that are already here, by ETag and date."""
    web: WebParams = WebParams()
    """How the downloader behaves."""
