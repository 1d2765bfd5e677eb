"""One HTTP request under every limit: address, scheme, size, time, memory."""

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

from pipeline.web.addresses import ForbiddenAddressError, guarded_sockets
from pipeline.web.compression import Gunzipper
from pipeline.web.responses import Again, Answer, FailedError, RefusedError, SilentError

Judge = Callable[[CIMultiDictProxy[str]], None]  # sees headers, may raise NoAnswerError

MAX_URL_CHARACTERS = 8192
BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
BODIES_IN_FLIGHT_BYTES = 256_000_000  # of all requests together; a request waits for its share before it reads


def checked_url(text: str) -> URL:
    """`text` as a URL that may be asked for. Raises RefusedError: malformed, too long, not http(s), no host, a password."""
    if len(text) > MAX_URL_CHARACTERS:
        raise RefusedError(f"the URL has more than {MAX_URL_CHARACTERS} characters")
    if BLANK_OR_CONTROL.search(text):
        raise RefusedError("the URL has blanks or control characters in it")
    try:
        url = URL(text)
        host = url.host
    except ValueError:
        raise RefusedError("not a URL") from None
    if url.scheme not in ("http", "https"):
        raise RefusedError(f"not http or https but {url.scheme!r}" if url.scheme else "not a whole URL: no scheme")
    if not host:
        raise RefusedError("the URL has no host")
    if url.user is not None or url.password is not None:
        raise RefusedError("the URL carries a user name or password")
    return url.with_fragment(None)


class _Budget:
    """A number of bytes, lent out and given back; who asks for more than is left waits."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._left = total
        self._given_back = asyncio.Condition()

    @asynccontextmanager
    async def lent(self, size: int) -> AsyncIterator[None]:
        size = min(size, self._total)
        async with self._given_back:
            await self._given_back.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            async with self._given_back:
                self._left += size
                self._given_back.notify_all()


async def _plain_body(response: aiohttp.ClientResponse, max_bytes: int, *, cut: bool) -> bytes:
    parts: list[bytes] = []
    room = max_bytes
    async for part in response.content.iter_any():
        parts.append(part)
        room -= len(part)
        if room < 0 and cut:
            return b"".join(parts)[:max_bytes]
        if room < 0:
            raise RefusedError(f"larger than {max_bytes} bytes")
    return b"".join(parts)


async def _gzipped_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    gunzipper = Gunzipper(max_bytes)
    parts = [gunzipper.feed(chunk) async for chunk in response.content.iter_any()]
    if parts:
        gunzipper.finish()
    return b"".join(parts)


class Client:
    """A session that makes single requests: no redirects, no cookies, no proxies, no retries of its own."""

    def __init__(
        self, user_agent: str, *, connections: int, allow_loopback: bool, resolver: AbstractResolver | None = None
    ) -> None:
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())  # beside the machine's own, which a bare container lacks
        connector = aiohttp.TCPConnector(
            limit=connections,
            ssl=context,
            resolver=resolver,
            ttl_dns_cache=300,
            socket_factory=guarded_sockets(allow_loopback),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": user_agent},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            trust_env=False,
        )
        self._memory = _Budget(BODIES_IN_FLIGHT_BYTES)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._session.close()

    async def request(
        self,
        url: URL,
        *,
        accept: str,
        max_bytes: int,
        timeout_s: float,
        headers: Mapping[str, str],
        judge: Judge,
        cut: bool = False,
    ) -> Answer:
        """The answer to one GET of `url`, whatever its status; only a 200 has a body, uncompressed.

        `timeout_s` is for all of it, from the name to the last byte. `judge` sees the headers of a 200 before the body is read
        and may raise. `cut` returns the first `max_bytes` of a longer body. Raises RefusedError or FailedError.
        """
        # A picture gains nothing from compression; pages may come as gzip, in which a bomb is easily stopped.
        encoding = "identity" if cut or accept.startswith("image/") else "gzip"
        asked = {"Accept": accept, "Accept-Encoding": encoding, **headers}
        try:
            async with (
                asyncio.timeout(timeout_s) as limit,
                self._session.get(url, headers=asked, allow_redirects=False) as response,
            ):
                if response.status != 200:  # a body that says what went wrong is of no use here
                    return Answer(str(url), response.status, response.headers, b"")
                judge(response.headers)
                body = await self._body(response, max_bytes, limit, cut=cut)
                return Answer(str(url), response.status, response.headers, body)
        except TimeoutError:
            raise SilentError(f"took longer than {timeout_s:g} s in all", Again.NEXT_RUN) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError):
            raise RefusedError("not a URL that can be asked for") from None
        except aiohttp.ClientPayloadError:
            raise FailedError("the body breaks off before its end", Again.SOON) from None
        except aiohttp.ClientConnectorCertificateError:
            raise FailedError("the certificate is not valid for this host", Again.NEXT_RUN) from None
        except aiohttp.ClientConnectorDNSError:
            raise SilentError(f"{url.host} cannot be resolved", Again.NEXT_RUN) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ForbiddenAddressError):
                raise RefusedError(f"{url.host} is not at a public address") from None
            raise SilentError(f"no connection to {url.host}", Again.SOON) from None
        except (aiohttp.ClientConnectionError, OSError):
            raise FailedError("the connection broke", Again.SOON) from None
        except aiohttp.ClientError:
            raise FailedError("the answer is not proper HTTP", Again.NEXT_RUN) from None

    async def _body(self, response: aiohttp.ClientResponse, max_bytes: int, limit: asyncio.Timeout, *, cut: bool) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise FailedError(f"sent in an encoding not asked for: {encoding[:40]}")
        plain, declared = encoding == "identity", response.content_length
        if declared is not None and declared > max_bytes and not cut:
            raise RefusedError(f"larger than {max_bytes} bytes")
        needed = min(declared, max_bytes) if plain and declared is not None else max_bytes
        clock = asyncio.get_running_loop().time
        left_s = (limit.when() or 0) - clock()
        limit.reschedule(None)  # waiting for our own memory is not the server's fault
        async with self._memory.lent(needed):
            limit.reschedule(clock() + left_s)
            return await (_plain_body(response, max_bytes, cut=cut) if plain else _gzipped_body(response, max_bytes))
