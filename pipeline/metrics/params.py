"""Feature extractors that a user adds."""

from typing import Annotated, Any

from pydantic import Field

from pipeline.section import Positive, Section


class ModuleParams(Section):
    """A torch module that turns pictures into features (N, D) or feature maps (N, D, H, W)."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]
    """Its metrics are called fd_<name> and so on."""
    build: Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")]
    """package.module:callable that returns the module."""
    arguments: dict[str, Any] = {}
    """Keyword arguments of that callable."""
    side_px: Annotated[int, Field(ge=16, le=1024)] = 224
    """Side of its input, RGB in [0, 1]."""
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    """Subtracted from each channel of the input."""
    deviation: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    """Divides each channel of the input, after the subtraction."""
