"""Pages as a crawl reads them: through the visitor, and kept, so that a killed crawl goes on and a repeated one asks nobody."""

import hashlib
import time
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from pipeline.web.polite_client import PoliteClient, accept_any_headers
from pipeline.web.responses import Answer
from pipeline.web.scratch import Bodies, Journal

ACCEPT = "text/html,application/xhtml+xml,application/rss+xml,application/atom+xml,application/xml;q=0.9,*/*;q=0.5"
MAX_PAGE_BYTES = 20_000_000


class PageCache:
    """Answers to single steps (redirects included), from `journal` and `bodies` where an earlier crawl left them.

    What is older than `max_age_s` is asked for again, and its body is removed.
    """

    def __init__(self, visitor: PoliteClient, bodies: Bodies, journal: Journal, max_age_s: float) -> None:
        self._visitor = visitor
        self._bodies = bodies
        self._journal = journal
        oldest = time.time() - max_age_s
        known = journal.latest()
        self._records = {key: record for key, record in known.items() if record["written"] > oldest}
        for stale in {record["sha256"] for record in known.values()} - {record["sha256"] for record in self._records.values()}:
            bodies.drop(stale)

    async def answer(self, url: str) -> Answer:
        """The answer of one step to `url`. Raises RefusedError or FailedError."""
        key = hashlib.sha256(url.encode()).hexdigest()
        record = self._records.get(key)
        if record is not None and self._bodies.holds(record["sha256"], record["size_bytes"]):
            return _answer(record, self._bodies)
        answer = await self._visitor.step(url, accept=ACCEPT, max_bytes=MAX_PAGE_BYTES, judge=accept_any_headers)
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
