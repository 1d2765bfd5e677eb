"""What stands before the app: who may ask, from where, how much and how slowly; and what every answer says about itself."""

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
MAX_HELD_BYTES = 64 << 20  # of all bodies that arrive or are worked on
MAX_ARRIVING = 256  # bodies at once
UPLOAD_PATH = "/api/uploads"
HEAD_TIMEOUT_S = 10.0
MAX_WAITING_HEADS = 256
BODY_TIMEOUT_S = 30.0
READ_TIMEOUT_S = 30.0
MIN_READ_BYTES = 64 << 10  # that a client must take of its answer in that time, or all there is
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


class BodyRefusedError(Exception):
    """The body is too large or too slow; the guard answers for the app."""


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
    """Host and port in an Origin header, in lower case; None where it is no origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:  # `http://[::1`, or characters that normalise to a slash
        return None


def _headers_of(scope: Scope) -> dict[str, str] | None:
    """The headers by lower-case name, repeated ones joined; None where one is repeated that may stand only once."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    if any(len(found.get(name, ())) > 1 for name in SINGLE_HEADERS):
        return None
    return {name: ("; " if name == "cookie" else ", ").join(values) for name, values in found.items()}


class Guard:
    """Refuses what does not come from the studio's own page on an address it is meant to have.

    Without a token only this machine's own names and the `names` given are answered. With one, so are plain addresses, which no
    web site elsewhere can stand behind. `names` may hold ports: pages at `https://NAME:PORT` may then send requests, too, as
    behind a reverse proxy that passes on another Host than the browser's. `root_path` is the prefix that such a proxy serves
    the studio under ("/atelier"); it may be in the paths that arrive or not.
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
        self._bodies: dict[_BoundedBody, int] = {}  # bytes of each, in order of arrival

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = self._path_within(scope)
        limit = self._max_upload_bytes if path == UPLOAD_PATH else MAX_BODY_BYTES
        body = _BoundedBody(receive, limit, self._bodies)
        refused = False

        async def send_in_time(message: Message) -> None:
            nonlocal refused
            if refused:
                return
            if message["type"] == "http.response.start" and body.refusal is not None:
                # The app took the cut for a mistake of its own, or of the body's form.
                refused = True
                await _answer(send_marked, *body.refusal)
                return
            await send_marked(message)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in own)]
            await send(message)

        refusal = self._refusal(scope, path, limit)
        if refusal:
            await _answer(send_marked, *refusal)
            return
        if self._token is not None and scope["method"] == "GET" and "token" in _query(scope):
            cookie = f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path={self._root_path}/"
            await _redirect(send_marked, self._first_page(path), [(b"set-cookie", cookie.encode())])
            return
        if not path:
            await _redirect(send_marked, self._first_page(path))
            return
        try:
            await self._app({**scope, "root_path": self._root_path}, body.receive, send_in_time)
        except BodyRefusedError:
            if body.refusal is not None and not refused:
                await _answer(send_marked, *body.refusal)
        finally:
            self._bodies.pop(body, None)

    def _path_within(self, scope: Scope) -> str:
        """The path of a request without the root path; empty where it is the root path without its slash."""
        path, root = str(scope["path"]), self._root_path
        return path.removeprefix(root) if root and (path == root or path.startswith(root + "/")) else path

    def _first_page(self, path: str) -> str:
        """Where the first page is from `path`: relative, so that it is right under a prefix that the studio does not know."""
        return "../" * (path.count("/") - 1) or "./" if path else f"{self._root_path}/"

    def _refusal(self, scope: Scope, path: str, max_body_bytes: int) -> tuple[int, str] | None:
        headers = _headers_of(scope)
        if headers is None:
            return 400, f"one of the headers {', '.join(sorted(SINGLE_HEADERS))} was sent twice"
        host = headers.get("host", "").lower()
        name = host_name(host)
        if name not in self._names and not (self._token is not None and _is_address(name)):
            return 421, "the studio does not answer under this name; use its own address, or start it with --allowed-host"
        if "origin" in headers and _origin_host(headers["origin"]) not in {host, *self._origins}:
            return 403, "this request comes from another site"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") and path.startswith("/api"):
            return 403, "this request comes from another site"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS):
            return 400, "the Content-Length is not a number"
        if scope["method"] not in SAFE_METHODS and int(length) > max_body_bytes:
            return 413, _too_large(max_body_bytes)
        if self._token is not None and not self._knows_token(scope, headers):
            return 401, "open the address with ?token=… that the studio printed when it started"
        return None

    def _knows_token(self, scope: Scope, headers: dict[str, str]) -> bool:
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


class _BoundedBody:
    """A request's body that ends in BodyRefusedError once it is larger than `max_bytes` or slower than BODY_TIMEOUT_S.

    `bodies` holds the bytes of all; when they are too many, the oldest that still arrives is given up.
    """

    def __init__(self, receive: Receive, max_bytes: int, bodies: dict["_BoundedBody", int]) -> None:
        self.refusal: tuple[int, str] | None = None
        self._receive = receive
        self._max_bytes = max_bytes
        self._bodies = bodies
        self._complete = False
        self._deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
        self._patience: asyncio.Timeout | None = None

    async def receive(self) -> Message:
        if self._complete:  # what comes now is the end of the connection, for which there is no hurry
            return await self._receive()
        self._hold(0)
        try:
            async with asyncio.timeout_at(self._deadline) as self._patience:
                message = await self._receive()
        except TimeoutError:
            self.refusal = self.refusal or (408, "the rest of the request did not arrive in time")
        finally:
            self._patience = None
        if self.refusal is not None:
            raise BodyRefusedError
        if message["type"] == "http.request":
            self._complete = not message.get("more_body", False)
            self._hold(len(message.get("body", b"")))
        return message

    def _hold(self, further_bytes: int) -> None:
        held = self._bodies[self] = self._bodies.get(self, 0) + further_bytes
        if held > self._max_bytes:
            self.refusal = 413, _too_large(self._max_bytes)
        arriving = [body for body in self._bodies if not body._complete]
        if sum(self._bodies.values()) > MAX_HELD_BYTES or len(arriving) > MAX_ARRIVING:
            (arriving or [self])[0]._give_up()
        if self.refusal is not None:
            raise BodyRefusedError

    def _give_up(self) -> None:
        self.refusal = 503, "others are sending a lot; try again in a moment"
        self._bodies.pop(self, None)
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())


def _too_large(max_bytes: int) -> str:
    return f"this is larger than {max_bytes >> 10:,} KiB; send less"


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # A body that was refused is not read: the connection cannot serve another request.
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, location: str, further: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"location", location.encode()), *(further or []), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 that does not wait for ever for a head or a reader, nor for ever more clients for their heads."""

    _waiting: ClassVar[dict["PatientProtocol", asyncio.TimerHandle]] = {}  # in order of arrival

    _reading: asyncio.TimerHandle | None = None  # runs while part of an answer waits to be read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # writing is paused while anything at all waits
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
            # Part of the next head came on a kept connection, where the keep-alive timer no longer runs.
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self in self._waiting or self.transport.is_closing():
            return
        self._waiting[self] = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)
        if len(self._waiting) > MAX_WAITING_HEADS:
            # A client in good faith sends its head at once, so the oldest is the one to let go.
            next(iter(self._waiting))._give_up()

    def _stop_waiting(self) -> None:
        timer = self._waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self) -> None:
        self._stop_waiting()
        self.transport.close()

    def _wait_for_reader(self) -> None:
        self._reading = self.loop.call_later(READ_TIMEOUT_S, self._expect_read, self.transport.get_write_buffer_size())

    def _stop_waiting_for_reader(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    def _expect_read(self, waited_bytes: int) -> None:
        if self.transport.get_write_buffer_size() > waited_bytes - MIN_READ_BYTES:
            self.transport.abort()  # closing would wait for the reader
        else:
            self._wait_for_reader()
