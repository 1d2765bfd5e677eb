"""One HTTP request within limits of address, scheme, size, time and memory."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from pipeline.web.addresses import ForbiddenAddressError, public_only_socket_factory
from pipeline.web.compression import Gunzipper
from pipeline.web.responses import FailedError, RefusedError, Response, Retry, UnresponsiveHostError

HeaderCheck = Callable[[CIMultiDictProxy[str]], None]  # may raise RequestError

MAX_URL_CHARACTERS = 8192
SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
MAX_BUFFERED_BYTES = 256_000_000  # of all requests together; a request reserves its share before it reads


def checked_url(text: str) -> URL:
    """`text` as a URL that may be requested, without its fragment.

    Raises RefusedError if it is malformed, too long, not http(s), or has no host or a password.
    """
    if len(text) > MAX_URL_CHARACTERS:
        raise RefusedError(f"the URL has more than {MAX_URL_CHARACTERS} characters")
    if SPACE_OR_CONTROL.search(text):
        raise RefusedError("the URL contains spaces or control characters")
    try:
        url = URL(text)
        host = url.host
    except ValueError:
        raise RefusedError("not a URL") from None
    if url.scheme not in ("http", "https"):
        raise RefusedError(f"the scheme {url.scheme!r} is not http(s)" if url.scheme else "not an absolute URL: no scheme")
    if not host:
        raise RefusedError("the URL has no host")
    if url.user is not None or url.password is not None:
        raise RefusedError("the URL contains a user name or password")
    return url.with_fragment(None)


class _MemoryBudget:
    """A budget of bytes for concurrent requests; a reservation waits until enough is free."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._released = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[None]:
        size = min(size, self._total)
        async with self._released:
            await self._released.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            async with self._released:
                self._free += size
                self._released.notify_all()


async def _read_identity(response: aiohttp.ClientResponse, max_bytes: int, *, truncate: bool) -> bytes:
    parts: list[bytes] = []
    remaining = max_bytes
    async for part in response.content.iter_any():
        parts.append(part)
        remaining -= len(part)
        if remaining < 0 and truncate:
            return b"".join(parts)[:max_bytes]
        if remaining < 0:
            raise RefusedError(f"larger than {max_bytes} bytes")
    return b"".join(parts)


async def _read_gzip(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    gunzipper = Gunzipper(max_bytes)
    parts = [gunzipper.feed(chunk) async for chunk in response.content.iter_any()]
    if parts:
        gunzipper.finish()
    return b"".join(parts)


class HttpClient:
    """An HTTP session that makes single requests, without redirects, cookies, proxies or retries."""

    def __init__(
        self, user_agent: str, *, connections: int, allow_loopback: bool, resolver: AbstractResolver | None = None
    ) -> None:
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())  # in addition to the system's, which a bare container lacks
        connector = aiohttp.TCPConnector(
            limit=connections,
            ssl=context,
            resolver=resolver,
            ttl_dns_cache=300,
            socket_factory=public_only_socket_factory(allow_loopback),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": user_agent},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            trust_env=False,
        )
        self._memory = _MemoryBudget(MAX_BUFFERED_BYTES)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def request(
        self,
        url: URL,
        *,
        accept: str,
        max_bytes: int,
        timeout_s: float,
        headers: Mapping[str, str],
        check_headers: HeaderCheck,
        truncate: bool = False,
    ) -> Response:
        """The response to one GET of `url`, whatever its status. Only a 200 has a body, decompressed.

        `timeout_s` covers everything from resolving the name to the last byte. `check_headers` is called with the headers of
        a 200 before the body is read. `truncate` returns the first `max_bytes` of a longer body. Raises RefusedError or
        FailedError.
        """
        # Pictures do not compress; pages may be gzip, where a decompression bomb is easily stopped.
        encoding = "identity" if truncate or accept.startswith("image/") else "gzip"
        request_headers = {"Accept": accept, "Accept-Encoding": encoding, **headers}
        try:
            async with (
                asyncio.timeout(timeout_s) as limit,
                self._session.get(url, headers=request_headers, allow_redirects=False) as response,
            ):
                if response.status != 200:  # an error page is of no use here
                    return Response(str(url), response.status, response.headers, b"")
                check_headers(response.headers)
                body = await self._body(response, max_bytes, limit, truncate=truncate)
                return Response(str(url), response.status, response.headers, body)
        except TimeoutError:
            raise UnresponsiveHostError(f"took longer than {timeout_s:g} s in total", Retry.NEXT_RUN) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError):
            raise RefusedError("not a URL that can be requested") from None
        except aiohttp.ClientPayloadError:
            raise FailedError("the body is incomplete", Retry.SOON) from None
        except aiohttp.ClientConnectorCertificateError:
            raise FailedError("the certificate is not valid for this host", Retry.NEXT_RUN) from None
        except aiohttp.ClientConnectorDNSError:
            raise UnresponsiveHostError(f"{url.host} cannot be resolved", Retry.NEXT_RUN) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ForbiddenAddressError):
                raise RefusedError(f"{url.host} is not at a public address") from None
            raise UnresponsiveHostError(f"no connection to {url.host}", Retry.SOON) from None
        except (aiohttp.ClientConnectionError, OSError):
            raise FailedError("the connection broke", Retry.SOON) from None
        except aiohttp.ClientError:
            raise FailedError("the response is not valid HTTP", Retry.NEXT_RUN) from None

    async def _body(self, response: aiohttp.ClientResponse, max_bytes: int, limit: asyncio.Timeout, *, truncate: bool) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise FailedError(f"sent in an encoding that was not requested: {encoding[:40]}")
        identity, declared = encoding == "identity", response.content_length
        if declared is not None and declared > max_bytes and not truncate:
            raise RefusedError(f"larger than {max_bytes} bytes")
        needed = min(declared, max_bytes) if identity and declared is not None else max_bytes
        clock = asyncio.get_running_loop().time
        left_s = (limit.when() or 0) - clock()
        limit.reschedule(None)  # the wait for memory does not count against the server
        async with self._memory.reserve(needed):
            limit.reschedule(clock() + left_s)
            if identity:
                return await _read_identity(response, max_bytes, truncate=truncate)
            return await _read_gzip(response, max_bytes)
