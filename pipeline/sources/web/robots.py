"""What a robots.txt allows, by RFC 9309: Protego matches, this module decides what a missing or broken file means."""

from dataclasses import dataclass

from protego import Protego
from yarl import URL

PRODUCT_TOKEN = "Atelier"  # the name that a robots.txt calls us by
READ_BYTES = 512_000  # 500 KiB: the least a crawler must read, and all that this one does


@dataclass(frozen=True)
class Robots:
    """The rules of one origin."""

    rules: Protego | None  # none: everything is allowed
    unreachable: str | None = None  # why the file could not be read, which disallows everything

    def refusal(self, url: URL) -> str | None:
        """Why `url` must not be asked for, or none."""
        if self.unreachable is not None:
            return f"robots.txt cannot be had ({self.unreachable}), which disallows everything"
        if self.rules is not None and not self.rules.can_fetch(str(url), PRODUCT_TOKEN):
            return "robots.txt disallows it"
        return None

    @property
    def delay_s(self) -> float:
        """Seconds between two requests that the file asks for, 0 when it does not say."""
        if self.rules is None:
            return 0.0
        rate = self.rules.request_rate(PRODUCT_TOKEN)
        asked = rate.seconds / rate.requests if rate is not None else 0.0
        return max(asked, self.rules.crawl_delay(PRODUCT_TOKEN) or 0.0)

    @property
    def sitemaps(self) -> list[str]:
        """The sitemaps that the file lists."""
        return list(self.rules.sitemaps) if self.rules is not None else []


def parse(content: bytes) -> Robots:
    """The rules in `content`, of which the first 500 KiB count; the line cut through there does not."""
    if len(content) >= READ_BYTES:
        content = content[:READ_BYTES].rpartition(b"\n")[0]
    return Robots(Protego.parse(content.decode("utf-8-sig", errors="replace")))


def by_status(status: int) -> Robots:
    """The rules of an origin whose robots.txt ended in `status`, not 200: RFC 9309, sections 2.3.1.3 and 2.3.1.4."""
    if 400 <= status < 500:
        return Robots(None)
    return Robots(None, unreachable=f"status {status}")
