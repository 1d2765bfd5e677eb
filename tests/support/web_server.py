"""A server on loopback with scripted responses, bad ones too, that records who requested what."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """What was asked."""

    path: str
    headers: Headers  # names in lower case
    at_s: float


@dataclass(frozen=True)
class Reply:
    """A whole, well-behaved answer."""

    body: bytes = b""
    status: int = 200
    headers: Headers = field(default_factory=dict)

    def head(self) -> bytes:
        """Status line and headers."""
        given = {"content-length": str(len(self.body)), **{name.lower(): value for name, value in self.headers.items()}}
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in given.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


Answer = Reply | Iterable[bytes]  # or whatever bytes, after which the connection is closed
Route = Reply | Callable[[Request], Answer]


class Server:
    """Answers each path by `routes`; what is not there is a 404."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[Request] = []
        self.connections = 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family, backlog=128)
        self.port: int = self._listener.getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def paths(self) -> list[str]:
        """Paths asked for, in order, without the rules of the site."""
        return [request.path for request in self.requests if request.path not in ("/robots.txt", "/.well-known/tdmrep.json")]

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(30)
            try:
                while (request := _read_request(connection)) is not None:
                    self.requests.append(request)
                    route = self.routes.get(request.path, Reply(status=404))
                    answer = route if isinstance(route, Reply) else route(request)
                    for part in (answer.head(), answer.body) if isinstance(answer, Reply) else answer:
                        connection.sendall(part)
                    if not isinstance(answer, Reply):
                        return
            except OSError:
                return


def _read_request(connection: socket.socket) -> Request | None:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            return None
        head += received
    first, *lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(first.split(" ")[1], headers, time.monotonic())


@contextmanager
def serving(routes: Mapping[str, Route], address: str = "127.0.0.1") -> Iterator[Server]:
    """A server with `routes`, gone after the block."""
    server = Server(address)
    server.routes.update(routes)
    try:
        yield server
    finally:
        server.close()
