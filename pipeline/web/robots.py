"""robots.txt by RFC 9309: this module selects the rules that apply to us, Protego matches URLs against them."""

import codecs
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from protego import Protego
from yarl import URL

PRODUCT_TOKEN = "Atelier"  # our name in robots.txt
MAX_ROBOTS_BYTES = 512_000  # 500 KiB, the minimum that a crawler must read
LINE_END = re.compile(r"\r\n|\r|\n")
DIRECTIVE_LINE = re.compile(r"\s*([a-z]{1,20}(?:[-_ ][a-z]{1,20})?)(?:\s*:|\s)\s*(.*)", re.IGNORECASE | re.DOTALL)
AGENT_TOKEN = re.compile(r"[A-Za-z_-]+")
# Directives of RFC 9309, others that we obey, and common misspellings.
DIRECTIVES = {
    "useragent": "user-agent",
    "useragents": "user-agent",
    "allow": "allow",
    **dict.fromkeys(("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), "disallow"),
    "crawldelay": "crawl-delay",
    "requestrate": "request-rate",
    "sitemap": "sitemap",
    "sitemaps": "sitemap",
}
# Characters that mean the same in a query whether percent-encoded or not: RFC 9309, section 2.2.2 (`https://`).
ENCODED_IN_QUERY = re.compile(r"%(?:3[AF]|2F|40)", re.IGNORECASE)
SECONDS = re.compile(r"\d{1,9}(?:[.,]\d{1,9})?(?=$|[\s;]|s(?:ec(?:onds?)?)?$)", re.IGNORECASE)
UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")


@dataclass(frozen=True)
class Robots:
    """The rules of one origin."""

    rules: Protego | None  # none: everything is allowed
    unreachable: str | None = None  # why the file could not be read, which disallows everything

    def refusal(self, url: URL) -> str | None:
        """Why `url` must not be requested, or none."""
        if self.unreachable is not None:
            return f"robots.txt is unreachable ({self.unreachable}), which disallows everything"
        if self.rules is not None and not self.rules.can_fetch(_normalize_query(str(url)), PRODUCT_TOKEN):
            return "robots.txt disallows it"
        return None

    @property
    def delay_s(self) -> float:
        """The delay in seconds between two requests that the file demands, 0 by default."""
        if self.rules is None:
            return 0.0
        rate = self.rules.request_rate(PRODUCT_TOKEN)
        delay_s = rate.seconds / rate.requests if rate is not None else 0.0
        return max(delay_s, self.rules.crawl_delay(PRODUCT_TOKEN) or 0.0)

    @property
    def sitemaps(self) -> list[str]:
        """The URLs of the sitemaps in the file."""
        return list(self.rules.sitemaps) if self.rules is not None else []


def parse_robots(content: bytes) -> Robots:
    """The rules in the first 500 KiB of `content`, without the line that is cut there."""
    if len(content) >= MAX_ROBOTS_BYTES:
        content = content[:MAX_ROBOTS_BYTES]
        content = content[: max(content.rfind(b"\n"), content.rfind(b"\r"), 0)]
    return Robots(Protego.parse(matching_rules(_decode(content))))


def _decode(content: bytes) -> str:
    """`content` as text: UTF-8, or UTF-16 if it has a byte-order mark and enough zero bytes."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and 3 * content.count(0) > len(content):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace").lstrip("\ufeff")


@dataclass
class _Group:
    """One group of a robots.txt: user agents, then rules."""

    agents: set[str] = field(default_factory=set)  # lower-case product tokens, or `*`
    lines: list[str] = field(default_factory=list)
    closed: bool = False  # after a rule, the next user agent starts another group


def matching_rules(text: str) -> str:
    """The robots.txt `text` reduced to one group: the rules of all groups that name us, else those for `*`.

    By RFC 9309, section 2.2.1, only `allow` and `disallow` end the list of user agents of a group.
    """
    groups = [_Group()]
    sitemaps: list[str] = []
    for line in LINE_END.split(text):
        if (parsed := _parse_line(line)) is None:
            continue
        name, value = parsed
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


def _parse_line(line: str) -> tuple[str, str] | None:
    """The directive of a line in its canonical spelling and its value without comment; none for any other line."""
    match = DIRECTIVE_LINE.fullmatch(line.partition("#")[0].rstrip(" \t"))
    if match is None:
        return None
    name, value = match.groups()
    known = DIRECTIVES.get(re.sub("[-_ ]", "", name).lower())
    if known in ("allow", "disallow"):
        # Characters that Protego takes for a line end must not end the rule.
        value = _normalize_query(UNPRINTABLE.sub(lambda signs: quote(signs[0]), value))
    elif known == "crawl-delay" and (seconds := SECONDS.match(value)) is not None:
        value = seconds[0].replace(",", ".")
    return (known, value) if known is not None else None


def _normalize_query(url: str) -> str:
    """A URL or the path of a rule with its query decoded as far as the meaning stays the same."""
    path, mark, query = url.partition("?")
    return path + mark + ENCODED_IN_QUERY.sub(lambda sign: unquote(sign[0]), query)


def _product_token(value: str) -> str:
    """The lower-case name of a user agent without its version: `atelier` for `Atelier/1.0 (+https://…)`."""
    if UNPRINTABLE.split(value.strip())[0] == "*":
        return "*"
    match = AGENT_TOKEN.match(value.replace("*", "").strip())
    return match[0].lower() if match is not None else ""


def robots_for_status(status: int) -> Robots:
    """The rules of an origin whose robots.txt has a `status` other than 200: RFC 9309, sections 2.3.1.3 and 2.3.1.4."""
    if 400 <= status < 500:
        return Robots(None)
    return Robots(None, unreachable=f"status {status}")
