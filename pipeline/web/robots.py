"""What a robots.txt allows, by RFC 9309: this module finds the rules that are for us, Protego matches URLs with them."""

import codecs
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from protego import Protego
from yarl import URL

PRODUCT_TOKEN = "Atelier"  # the name that a robots.txt calls us by
READ_BYTES = 512_000  # 500 KiB: the least a crawler must read, and all that this one does
LINE_END = re.compile(r"\r\n|\r|\n")
NAME_AND_VALUE = re.compile(r"\s*([a-z]{1,20}(?:[-_ ][a-z]{1,20})?)(?:\s*:|\s)\s*(.*)", re.IGNORECASE | re.DOTALL)
AGENT_TOKEN = re.compile(r"[A-Za-z_-]+")
# What a line may be called: the names of RFC 9309, the others that we obey, and how people misspell them.
NAMES = {
    "useragent": "user-agent",
    "useragents": "user-agent",
    "allow": "allow",
    **dict.fromkeys(("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), "disallow"),
    "crawldelay": "crawl-delay",
    "requestrate": "request-rate",
    "sitemap": "sitemap",
    "sitemaps": "sitemap",
}
# What a query may hold as it is or percent-encoded, meaning the same: RFC 9309, section 2.2.2, has `https://` as an example.
ENCODED_IN_QUERY = re.compile(r"%(?:3[AF]|2F|40)", re.IGNORECASE)
SECONDS = re.compile(r"\d{1,9}(?:[.,]\d{1,9})?(?=$|[\s;]|s(?:ec(?:onds?)?)?$)", re.IGNORECASE)
UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")


@dataclass(frozen=True)
class Robots:
    """The rules of one origin."""

    rules: Protego | None  # none: everything is allowed
    unreachable: str | None = None  # why the file could not be read, which disallows everything

    def refusal(self, url: URL) -> str | None:
        """Why `url` must not be asked for, or none."""
        if self.unreachable is not None:
            return f"robots.txt cannot be had ({self.unreachable}), which disallows everything"
        if self.rules is not None and not self.rules.can_fetch(_comparable(str(url)), PRODUCT_TOKEN):
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
        content = content[:READ_BYTES]
        content = content[: max(content.rfind(b"\n"), content.rfind(b"\r"), 0)]
    return Robots(Protego.parse(rules_for_us(_text(content))))


def _text(content: bytes) -> str:
    """The text of a file that should be UTF-8; UTF-16 says so, and has a zero in about every other byte."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and 3 * content.count(0) > len(content):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace").lstrip("\ufeff")


@dataclass
class _Group:
    """Lines of one group: user agents, then rules."""

    agents: set[str] = field(default_factory=set)  # product tokens in lower case, `*` among them
    lines: list[str] = field(default_factory=list)
    closed: bool = False  # a rule came: the next user agent begins another group


def rules_for_us(text: str) -> str:
    """The robots.txt `text`, reduced to one group: the rules of all groups that name us, else of those for everybody.

    By RFC 9309, section 2.2.1, only `allow` and `disallow` end the user agents of a group: what else stands between does not.
    """
    groups = [_Group()]
    sitemaps: list[str] = []
    for line in LINE_END.split(text):
        if (named := _named(line)) is None:
            continue
        name, value = named
        if name == "sitemap":
            sitemaps.append(f"Sitemap: {value}")
        elif name == "user-agent":
            if groups[-1].closed:
                groups.append(_Group())
            groups[-1].agents.add(_product_token(value))
        elif groups[-1].agents:
            groups[-1].lines.append(f"{name}: {value}")
            groups[-1].closed = groups[-1].closed or name in ("allow", "disallow")
    ours = PRODUCT_TOKEN.lower()
    wanted = next((agent for agent in (ours, "*") if any(agent in group.agents for group in groups)), None)
    lines = [line for group in groups if wanted in group.agents for line in group.lines]
    return "\n".join([*sitemaps, "User-agent: *", *lines])


def _named(line: str) -> tuple[str, str] | None:
    """The name of a line in our spelling and its value without comment; None for a line that says nothing to us."""
    match = NAME_AND_VALUE.fullmatch(line.partition("#")[0].rstrip(" \t"))
    if match is None:
        return None
    name, value = match.groups()
    known = NAMES.get(re.sub("[-_ ]", "", name).lower())
    if known in ("allow", "disallow"):
        # What ends a line for Protego, though not here, must not end the rule.
        value = _comparable(UNPRINTABLE.sub(lambda signs: quote(signs[0]), value))
    elif known == "crawl-delay" and (seconds := SECONDS.match(value)) is not None:
        value = seconds[0].replace(",", ".")
    return (known, value) if known is not None else None


def _comparable(place: str) -> str:
    """A URL or the path of a rule with its query decoded as far as that changes no meaning."""
    path, mark, query = place.partition("?")
    return path + mark + ENCODED_IN_QUERY.sub(lambda sign: unquote(sign[0]), query)


def _product_token(value: str) -> str:
    """The name of a crawler in a user agent, without its version, in lower case: `Atelier/1.0 (+https://…)` is `atelier`."""
    if UNPRINTABLE.split(value.strip())[0] == "*":
        return "*"
    match = AGENT_TOKEN.match(value.replace("*", "").strip())
    return match[0].lower() if match is not None else ""


def by_status(status: int) -> Robots:
    """The rules of an origin whose robots.txt ended in `status`, not 200: RFC 9309, sections 2.3.1.3 and 2.3.1.4."""
    if 400 <= status < 500:
        return Robots(None)
    return Robots(None, unreachable=f"status {status}")
