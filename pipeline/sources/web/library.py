"""Pages as a crawl reads them: through the visitor, and kept until the crawl is over, so that a killed one goes on."""

import hashlib
import time
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from pipeline.sources.web.answers import Answer
from pipeline.sources.web.scratch import Bodies, Journal
from pipeline.sources.web.visitor import Visitor, mind_nothing

ACCEPT = "text/html,application/xhtml+xml,application/rss+xml,application/atom+xml,application/xml;q=0.9,*/*;q=0.5"
MAX_PAGE_BYTES = 20_000_000
KEPT_S = 86_400.0  # an older page tells of another shop


class Library:
    """Answers to single steps (redirects included), from `journal` and `bodies` where an interrupted crawl left them."""

    def __init__(self, visitor: Visitor, bodies: Bodies, journal: Journal) -> None:
        self._visitor = visitor
        self._bodies = bodies
        self._journal = journal
        self._records = {key: record for key, record in journal.latest().items() if record["written"] > time.time() - KEPT_S}

    async def answer(self, url: str) -> Answer:
        """The answer of one step to `url`. Raises RefusedError or FailedError."""
        key = hashlib.sha256(url.encode()).hexdigest()
        record = self._records.get(key)
        if record is not None and self._bodies.holds(record["sha256"], record["size_bytes"]):
            return _answer(record, self._bodies)
        answer = await self._visitor.step(url, accept=ACCEPT, max_bytes=MAX_PAGE_BYTES, judge=mind_nothing)
        self._journal.append(
            {
                "key": key,
                "url": answer.url,
                "status": answer.status,
                "headers": list(answer.headers.items()),
                "sha256": self._bodies.put(answer.body),
                "size_bytes": len(answer.body),
            }
        )
        return answer


def _answer(record: dict[str, Any], bodies: Bodies) -> Answer:
    headers = CIMultiDictProxy(CIMultiDict((name, value) for name, value in record["headers"]))
    return Answer(record["url"], record["status"], headers, bodies.get(record["sha256"]))
