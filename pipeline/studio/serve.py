"""The studio as a server: checks of its address and token, the model opened, uvicorn run until interrupted."""

import ipaddress
import logging
import os
import re
import resource
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from pipeline.errors import InputError
from pipeline.studio.app import create_app
from pipeline.studio.desk import Desk
from pipeline.studio.guard import Guard, PatientProtocol
from pipeline.studio.model import open_generator
from pipeline.studio.shelf import Shelf
from pipeline.studio.uploads import MAX_UPLOAD_BYTES

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 5
BACKLOG = 512
SHUTDOWN_S = 3
MIN_TOKEN = 16


def default_state() -> Path:
    """Where the studio remembers, outside the project: outputs are deleted and made again, collections are not."""
    return Path(os.environ.get("XDG_DATA_HOME", "~/.local/share")).expanduser() / "atelier" / "studio.sqlite"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_token(host: str, token: str | None) -> str | None:
    """The token to ask for, or None where none is needed. Raises InputError where one is missing or too short."""
    if token == "new":
        return secrets.token_urlsafe(24)
    if token is not None and not re.fullmatch(rf"[A-Za-z0-9_-]{{{MIN_TOKEN},200}}", token):
        raise InputError(f"--token: needs at least {MIN_TOKEN} letters, digits, - or _; `--token new` makes one up")
    if token is None and not is_loopback(host):
        raise InputError(f"--host {host}: others can reach this address, so give --token as well; `--token new` makes one up")
    return token


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`. Raises InputError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio turns Nagle's algorithm off on sockets that say they are TCP's; with it each answer would wait 40 ms.
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port}: cannot listen there ({error}); name another port") from None
    return bound


def server_of(
    model: Path, *, state: Path, token: str | None = None, allowed_hosts: Sequence[str] = (), style_weights: Path | None = None
) -> uvicorn.Server:
    """A server of the studio on `model`, not yet running. Raises InputError."""
    if style_weights is not None and not (style_weights / "encoder_conv5_1.pth").is_file():
        raise InputError(
            f"--style-weights {style_weights}: holds no encoder_conv5_1.pth; name the folder of a compressed VGG-19"
        )
    desk = Desk(open_generator(model), Shelf(state), style_weights)
    app = Guard(create_app(desk), token=token, names=frozenset(allowed_hosts), max_upload_bytes=MAX_UPLOAD_BYTES)
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        backlog=BACKLOG,
        server_header=False,
        proxy_headers=False,
    )
    return uvicorn.Server(config)


def serve(
    model: Path,
    *,
    host: str,
    port: int,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    state: Path | None = None,
    style_weights: Path | None = None,
) -> None:
    """Serve the studio on `model` until interrupted. Raises InputError."""
    token = checked_token(host, token)
    server = server_of(
        model, state=state or default_state(), token=token, allowed_hosts=allowed_hosts, style_weights=style_weights
    )
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # slow clients each hold a file open
    with listening_socket(host, port) as bound:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{bound.getsockname()[1]}/"
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        log.info("the studio is open at %s", f"{address}?token={token}" if token else address)
        server.run([bound])
