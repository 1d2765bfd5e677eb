"""Access control, size and time limits for requests, and security headers of responses."""

import asyncio
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from uvicorn.protocols.http.h11_impl import H11Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 256 << 10
MAX_TOTAL_BODY_BYTES = 64 << 20  # of all bodies in memory
MAX_INCOMPLETE_BODIES = 256
UPLOAD_PATH = "/api/uploads"
HEAD_TIMEOUT_S = 10.0
MAX_INCOMPLETE_HEADS = 256
BODY_TIMEOUT_S = 30.0
READ_TIMEOUT_S = 30.0
MIN_READ_BYTES = 64 << 10  # of its response, or all of it, that a client must read within READ_TIMEOUT_S
COOKIE = "atelier-token"
SAFE_METHODS = {"GET", "HEAD"}
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}
SINGLE_HEADERS = {"host", "origin", "content-length", "content-type", "sec-fetch-site", "authorization"}
MAX_LENGTH_DIGITS = 20

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class BodyLimitError(Exception):
    """The body is too large or too slow; the guard responds in place of the app."""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True


def host_name(host: str) -> str:
    """The name or address in a Host header, without the port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isascii() and port.isdecimal() else host).lower()


def _origin_host(origin: str) -> str | None:
    """Host and port of an Origin header, in lower case; None if it is not an origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:  # `http://[::1`, or characters that normalise to a slash
        return None


def _headers_of(scope: Scope) -> dict[str, str] | None:
    """The headers by lower-case name, repeated ones joined; None if one of SINGLE_HEADERS is repeated."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    if any(len(found.get(name, ())) > 1 for name in SINGLE_HEADERS):
        return None
    return {name: ("; " if name == "cookie" else ", ").join(values) for name, values in found.items()}


class Guard:
    """ASGI middleware that serves only the studio's own page, under its own names, to clients with the token.

    Without a token the Host header must be one of this machine's loopback names or of `names`. With a token any IP address is
    accepted too, because DNS rebinding needs a name. `names` may have ports: pages at `https://NAME:PORT` may then send
    requests, as behind a reverse proxy that changes the Host header. `root_path` is the prefix under which a proxy serves the
    studio ("/atelier"); request paths may include it or not.
    """

    def __init__(
        self,
        app: App,
        *,
        token: str | None,
        names: frozenset[str] = frozenset(),
        max_upload_bytes: int,
        root_path: str = "",
    ) -> None:
        self._app = app
        self._token = token
        self._origins = frozenset(name.lower() for name in names)
        self._names = frozenset(host_name(name) for name in names) | LOCAL_NAMES
        self._max_upload_bytes = max_upload_bytes
        self._root_path = root_path
        self._bodies: dict[LimitedBody, int] = {}  # bytes of each, oldest first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = self._path_within(scope)
        limit = self._max_upload_bytes if path == UPLOAD_PATH else MAX_BODY_BYTES
        body = LimitedBody(receive, limit, self._bodies)
        refused = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal refused
            if refused:
                return
            if message["type"] == "http.response.start" and body.refusal is not None:
                # The app took BodyLimitError for an error of its own or for a malformed body.
                refused = True
                await _respond(send_with_headers, *body.refusal)
                return
            await send_with_headers(message)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in own)]
            await send(message)

        refusal = self._refusal(scope, path, limit)
        if refusal:
            await _respond(send_with_headers, *refusal)
            return
        if self._token is not None and scope["method"] == "GET" and "token" in _query(scope):
            cookie = f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path={self._root_path}/"
            await _redirect(send_with_headers, self._first_page(path), [(b"set-cookie", cookie.encode())])
            return
        if not path:
            await _redirect(send_with_headers, self._first_page(path))
            return
        try:
            await self._app({**scope, "root_path": self._root_path}, body.receive, send_unless_refused)
        except BodyLimitError:
            if body.refusal is not None and not refused:
                await _respond(send_with_headers, *body.refusal)
        finally:
            self._bodies.pop(body, None)

    def _path_within(self, scope: Scope) -> str:
        """The path of a request without the root path; empty if it is the root path without a final slash."""
        path, root = str(scope["path"]), self._root_path
        return path.removeprefix(root) if root and (path == root or path.startswith(root + "/")) else path

    def _first_page(self, path: str) -> str:
        """The first page, relative to `path`, so that the redirect is right under a prefix that the studio does not know."""
        return "../" * (path.count("/") - 1) or "./" if path else f"{self._root_path}/"

    def _refusal(self, scope: Scope, path: str, max_body_bytes: int) -> tuple[int, str] | None:
        headers = _headers_of(scope)
        if headers is None:
            return 400, f"one of the headers {', '.join(sorted(SINGLE_HEADERS))} was repeated"
        host = headers.get("host", "").lower()
        name = host_name(host)
        if name not in self._names and not (self._token is not None and _is_address(name)):
            return 421, "the studio is not served under this name; use its own address, or start it with --allowed-host"
        if "origin" in headers and _origin_host(headers["origin"]) not in {host, *self._origins}:
            return 403, "this request comes from another site"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") and path.startswith("/api"):
            return 403, "this request comes from another site"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS):
            return 400, "the Content-Length is not a number"
        if scope["method"] not in SAFE_METHODS and int(length) > max_body_bytes:
            return 413, _too_large(max_body_bytes)
        if self._token is not None and not self._has_token(scope, headers):
            return 401, "open the address with ?token=… that the studio logged when it started"
        return None

    def _has_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        offered = [*_query(scope).get("token", []), headers.get("authorization", "").removeprefix("Bearer ")]
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None:
            offered.append(cookie.value)
        return any(hmac.compare_digest(one.encode(), (self._token or "").encode()) for one in offered)


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("latin-1"))


class LimitedBody:
    """A request's body that ends in BodyLimitError once it is larger than `max_bytes` or slower than BODY_TIMEOUT_S.

    `bodies` holds the bytes of all; when they are too many, the oldest that still arrives is given up.
    """

    def __init__(self, receive: Receive, max_bytes: int, bodies: dict["LimitedBody", int]) -> None:
        self.refusal: tuple[int, str] | None = None
        self._receive = receive
        self._max_bytes = max_bytes
        self._bodies = bodies
        self._complete = False
        self._deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
        self._timeout: asyncio.Timeout | None = None

    async def receive(self) -> Message:
        if self._complete:  # the next message is the disconnect, which has no timeout
            return await self._receive()
        self._add(0)
        try:
            async with asyncio.timeout_at(self._deadline) as self._timeout:
                message = await self._receive()
        except TimeoutError:
            self.refusal = self.refusal or (408, "the rest of the request did not arrive in time")
        finally:
            self._timeout = None
        if self.refusal is not None:
            raise BodyLimitError
        if message["type"] == "http.request":
            self._complete = not message.get("more_body", False)
            self._add(len(message.get("body", b"")))
        return message

    def _add(self, further_bytes: int) -> None:
        held = self._bodies[self] = self._bodies.get(self, 0) + further_bytes
        if held > self._max_bytes:
            self.refusal = 413, _too_large(self._max_bytes)
        arriving = [body for body in self._bodies if not body._complete]
        if sum(self._bodies.values()) > MAX_TOTAL_BODY_BYTES or len(arriving) > MAX_INCOMPLETE_BODIES:
            (arriving or [self])[0]._abort()
        if self.refusal is not None:
            raise BodyLimitError

    def _abort(self) -> None:
        self.refusal = 503, "the studio is receiving too much at once; try again in a moment"
        self._bodies.pop(self, None)
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())


def _too_large(max_bytes: int) -> str:
    return f"this is larger than {max_bytes >> 10:,} KiB; send less"


async def _respond(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # The refused body is still unread, so the connection cannot serve another request.
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, location: str, further: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"location", location.encode()), *(further or []), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class TimeoutProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with timeouts for request heads and for reading responses, and a limit on incomplete heads.

    uvicorn has no such timeouts: `timeout_keep_alive` runs only between requests, and `limit_concurrency` refuses new clients
    rather than slow ones.
    """

    _waiting: ClassVar[dict["TimeoutProtocol", asyncio.TimerHandle]] = {}  # oldest first

    _read_timer: asyncio.TimerHandle | None = None  # runs while part of a response is unread

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # pause_writing is called as soon as anything is unread
        self._wait_for_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting_for_reader()

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_waiting()
        elif self.cycle is not None and self.cycle.response_complete:
            # Part of the next head has arrived, which stopped the keep-alive timer.
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self in self._waiting or self.transport.is_closing():
            return
        self._waiting[self] = self.loop.call_later(HEAD_TIMEOUT_S, self._abort)
        if len(self._waiting) > MAX_INCOMPLETE_HEADS:
            # A well-behaved client sends its head at once, so the oldest one is aborted.
            next(iter(self._waiting))._abort()

    def _stop_waiting(self) -> None:
        timer = self._waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _abort(self) -> None:
        self._stop_waiting()
        self.transport.close()

    def _wait_for_reader(self) -> None:
        self._read_timer = self.loop.call_later(READ_TIMEOUT_S, self._expect_read, self.transport.get_write_buffer_size())

    def _stop_waiting_for_reader(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()

    def _expect_read(self, waited_bytes: int) -> None:
        if self.transport.get_write_buffer_size() > waited_bytes - MIN_READ_BYTES:
            self.transport.abort()  # close() would wait for the reader
        else:
            self._wait_for_reader()
