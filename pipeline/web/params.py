"""How to behave on the web."""

from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.section import NotNegative, Positive, Section, contact


class WebParams(Section):
    """How to behave on the web."""

    # E-mail address or web page, told to every host that is asked; empty: nothing is asked of the web.
    contact: Annotated[str, AfterValidator(contact)]
    delay_s: NotNegative  # between two requests to a host, from all processes together; a site may ask for more
    connections: Annotated[int, Field(ge=1, le=512)]  # at once, a process
    connections_per_host: Annotated[int, Field(ge=1, le=512)]
    timeout_s: Positive  # for one request in all, to its last byte
    max_wait_s: Annotated[float, Field(ge=0, le=3600)]  # a host that asks for a longer pause is left for another run
    retries: Annotated[int, Field(ge=0, le=10)]
    allow_loopback: bool  # for tests: servers on this machine may be asked
