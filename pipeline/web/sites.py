"""What each site allows: its robots.txt and its tdmrep.json, read once and kept for a day."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarl import URL

from pipeline.storage.files import write_json
from pipeline.web import reservations, robots
from pipeline.web.reservations import MiningRule
from pipeline.web.responses import Answer, FailedError, NoAnswerError
from pipeline.web.robots import Robots

KEPT_S = 86_400.0  # RFC 9309, section 2.4: not longer than a day
IN_MEMORY = 1_000  # origins; the others are read again from the folder
MAX_REDIRECTS = 5  # RFC 9309, section 2.3.1.2

Ask = Callable[[URL, float], Awaitable[Answer]]


@dataclass(frozen=True)
class Site:
    """The rules of one origin."""

    robots: Robots
    mining: list[MiningRule]

    def refusal(self, url: URL) -> str | None:
        """Why `url` must not be asked for, or none."""
        return self.robots.refusal(url) or reservations.file_reservation(self.mining, url)


class Sites:
    """The rules of every origin met, asked for through `ask(url, delay_s)`, which makes one paced request."""

    def __init__(self, folder: Path, ask: Ask) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ask = ask
        self._known: OrderedDict[URL, tuple[float, asyncio.Task[Site]]] = OrderedDict()

    async def rules(self, origin: URL) -> Site:
        """The rules of `origin`; whoever comes while they are being read waits for the same answer."""
        known = self._known.get(origin)
        if known is None or known[0] < time.time():
            known = time.time() + KEPT_S, asyncio.create_task(self._read(origin))
            self._known[origin] = known
        self._known.move_to_end(origin)
        if len(self._known) > IN_MEMORY:
            self._known.popitem(last=False)
        # Shielded: one visitor that runs out of patience must not take the answer from the others.
        return await asyncio.shield(known[1])

    async def _read(self, origin: URL) -> Site:
        path = self._folder / f"{hashlib.sha256(str(origin).encode()).hexdigest()[:32]}.json"
        kept = _kept(path)
        if kept is None:
            kept = await self._ask_site(origin)
            if kept["robots_unreachable"] is None:
                with contextlib.suppress(OSError):  # a full disk: then the next run asks again
                    write_json(path, kept)
        return _site(kept)

    async def _ask_site(self, origin: URL) -> dict[str, Any]:
        found: dict[str, Any] = {"kept_until": time.time() + KEPT_S, "robots": None, "robots_unreachable": None, "mining": ""}
        delay_s = 0.0
        try:
            answer = await self._followed(origin / "robots.txt", delay_s)
        except NoAnswerError as error:
            found["robots_unreachable"] = error.reason
            return found
        if answer is not None and answer.status == 200:
            found["robots"] = answer.body.decode("latin-1")
            delay_s = robots.parse(answer.body).delay_s
        elif answer is not None and (reason := robots.by_status(answer.status).unreachable) is not None:
            found["robots_unreachable"] = reason
            return found
        try:
            answer = await self._followed(origin / ".well-known" / "tdmrep.json", delay_s)
        except NoAnswerError:
            return found  # "implies that the origin server does not implement this protocol"
        if answer is not None and answer.status == 200:
            found["mining"] = answer.body.decode("latin-1")
        return found

    async def _followed(self, url: URL, delay_s: float) -> Answer | None:
        """The answer after at most five redirects, over hosts too; none after more, which RFC 9309 calls unavailable."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._ask(url, delay_s)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = redirect_target(url, answer)
        return None


def redirect_target(url: URL, answer: Answer) -> URL:
    """Where a redirect leads. Raises FailedError when it does not say."""
    try:
        return url.join(URL(answer.headers["Location"])).with_fragment(None)
    except (KeyError, ValueError):
        raise FailedError("a redirect that leads nowhere") from None


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept if kept["kept_until"] > time.time() else None
    except (OSError, ValueError, TypeError, KeyError):  # not there, or damaged
        return None


def _site(kept: dict[str, Any]) -> Site:
    if kept["robots_unreachable"] is not None:
        rules = Robots(None, unreachable=kept["robots_unreachable"])
    elif kept["robots"] is None:
        rules = Robots(None)
    else:
        rules = robots.parse(kept["robots"].encode("latin-1"))
    return Site(rules, reservations.mining_rules(kept["mining"].encode("latin-1")))
