"""How the pipeline behaves towards web servers."""

from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.section import NotNegative, Positive, Section


def check_contact(contact: str) -> str:
    printable = contact.isprintable() and contact.isascii()
    if contact and not (printable and ("@" in contact or contact.startswith(("http://", "https://")))):
        raise ValueError("must be an e-mail address or a web page at which the owner of a site can reach you")
    return contact


class WebParams(Section):
    """How the pipeline behaves towards web servers."""

    contact: Annotated[str, AfterValidator(check_contact)] = ""
    """E-mail address or web page, sent to every host in the User-Agent header; empty: no request is made."""
    delay_s: NotNegative = 1.0
    """Pause between two requests to one host, across all processes; a site may ask for more."""
    connections: Annotated[int, Field(ge=1, le=512)] = 64
    """Simultaneous connections of one process."""
    connections_per_host: Annotated[int, Field(ge=1, le=512)] = 4
    """Simultaneous connections of one process to one host."""
    timeout_s: Positive = 30.0
    """Longest duration of a request, up to its last byte."""
    max_wait_s: Annotated[float, Field(ge=0, le=3600)] = 120.0
    """Longest pause that a host may ask for; one that asks for more is left for another run."""
    retries: Annotated[int, Field(ge=0, le=10)] = 3
    """How often a failed request is repeated."""
    allow_loopback: bool = False
    """For tests: allow requests to servers on this machine."""
