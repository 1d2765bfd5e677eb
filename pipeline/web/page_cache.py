"""A cache of the pages of a crawl, so that a killed crawl resumes and a repeated one sends no request."""

import hashlib
import time
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from pipeline.web.polite_client import PoliteClient, accept_any_headers
from pipeline.web.responses import Response
from pipeline.web.scratch import BodyStore, Journal

ACCEPT = "text/html,application/xhtml+xml,application/rss+xml,application/atom+xml,application/xml;q=0.9,*/*;q=0.5"
MAX_PAGE_BYTES = 20_000_000


class PageCache:
    """Responses to single requests, redirects included, from `journal` and `bodies` where an earlier crawl stored them.

    A response older than `max_age_s` is requested again, and its body is removed.
    """

    def __init__(self, client: PoliteClient, bodies: BodyStore, journal: Journal, max_age_s: float) -> None:
        self._client = client
        self._bodies = bodies
        self._journal = journal
        oldest = time.time() - max_age_s
        stored = journal.latest()
        self._records = {key: record for key, record in stored.items() if record["written"] > oldest}
        current = {record["sha256"] for record in self._records.values()}
        for stale in {record["sha256"] for record in stored.values()} - current:
            bodies.remove(stale)

    async def get(self, url: str) -> Response:
        """The response to a request for `url`, without following redirects. Raises RefusedError or FailedError."""
        key = hashlib.sha256(url.encode()).hexdigest()
        record = self._records.get(key)
        if record is not None and self._bodies.has(record["sha256"], record["size_bytes"]):
            return _cached_response(record, self._bodies)
        response = await self._client.get_once(url, accept=ACCEPT, max_bytes=MAX_PAGE_BYTES, check_headers=accept_any_headers)
        self._journal.append(
            {
                "key": key,
                "url": response.url,
                "status": response.status,
                "headers": list(response.headers.items()),
                "sha256": self._bodies.put(response.body),
                "size_bytes": len(response.body),
            }
        )
        return response


def _cached_response(record: dict[str, Any], bodies: BodyStore) -> Response:
    headers = CIMultiDictProxy(CIMultiDict((name, value) for name, value in record["headers"]))
    return Response(record["url"], record["status"], headers, bodies.get(record["sha256"]))
