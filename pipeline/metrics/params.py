"""Feature extractors that a user names."""

from typing import Annotated, Any

from pydantic import Field

from pipeline.section import Positive, Section


class ModuleParams(Section):
    """Any torch module that makes a row of features (N, D), or feature maps (N, D, H, W), of pictures."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]  # its numbers are called fd_<name> and so on
    build: Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")]  # package.module:callable that returns the module …
    arguments: dict[str, Any]  # … called with these
    side_px: Annotated[int, Field(ge=16, le=1024)]  # of the pictures it is given, as RGB in [0, 1] …
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]  # … less this …
    deviation: Annotated[list[Positive], Field(min_length=3, max_length=3)]  # … and divided by this
