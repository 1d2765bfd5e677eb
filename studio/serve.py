"""The studio as a server: checks of the command line's addresses and token, and uvicorn."""

import errno
import ipaddress
import logging
import os
import re
import resource
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import uvicorn

from pipeline.errors import InputError
from studio.app import create_app
from studio.database import StudioDatabase
from studio.http_limits import Guard, TimeoutProtocol
from studio.model import open_generator
from studio.service import StudioService
from studio.trends import NO_OUTLOOK, read_outlook
from studio.uploads import MAX_UPLOAD_BYTES

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 5
BACKLOG = 512
MAX_HEAD_BYTES = 128 << 10  # of a request; the address of a garment may have 60,300
SHUTDOWN_S = 3
MIN_TOKEN = 16
MAX_PORT = 65535
LOOPBACK_NAME = "localhost"
_NAME_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:\d{1,5})?", re.ASCII)
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+", re.ASCII)
_OWN_PATHS = {"api", "picture"}


def default_state() -> Path:
    """The default database. It is outside the project, because outputs are deleted and made again, and collections are not."""
    try:
        return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "atelier" / "studio.sqlite"
    except RuntimeError:
        raise InputError("there is no home folder for the collections; name a file with --state") from None


def bare_host(host: str) -> str:
    """`host` without the brackets of an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def host_in_address(host: str) -> str:
    """`host` as part of a URL, with IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether `host` is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == LOOPBACK_NAME


def _is_any(host: str) -> bool:
    """Whether `host` means all addresses of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def checked_port(port: int) -> int:
    """`port`. Raises InputError outside 0 to 65535, where the system would take it modulo 65536."""
    if not 0 <= port <= MAX_PORT:
        raise InputError(f"--port {port}: must be 1 to {MAX_PORT}, or 0 for any free port")
    return port


def checked_names(names: Sequence[str]) -> frozenset[str]:
    """`names` as a set, if all are NAME or NAME:PORT. Raises InputError."""
    for name in names:
        if not _NAME_AND_PORT.fullmatch(name):
            raise InputError(
                f"--allowed-host {name}: give NAME or NAME:PORT as in the browser's address, without http:// or path"
            )
    return frozenset(names)


def checked_root_path(prefix: str) -> str:
    """The path prefix of a reverse proxy as "/atelier", or "" for none. Raises InputError."""
    if not prefix.strip("/"):
        return ""
    path = "/" + prefix.strip("/")
    if not _PREFIX.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise InputError(f"--root-path {prefix}: give a path such as /atelier, of letters, digits, ., _, ~ and -")
    if path.split("/")[1] in _OWN_PATHS:
        raise InputError(f"--root-path {prefix}: the studio's own paths begin with {path}; choose another prefix")
    return path


def checked_token(host: str, token: str | None) -> str | None:
    """The token that clients need, or None for none. Raises InputError if a needed one is missing, or if it is too short."""
    if token == "new":
        return secrets.token_urlsafe(24)
    if token is not None and not re.fullmatch(rf"[A-Za-z0-9_-]{{{MIN_TOKEN},200}}", token):
        raise InputError(f"--token: needs at least {MIN_TOKEN} letters, digits, - or _; `--token new` generates one")
    if token is None and not is_loopback(host):
        raise InputError(f"--host {host}: others can reach this address, so give --token as well; `--token new` generates one")
    return token


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`. Raises InputError."""
    try:
        found = socket.getaddrinfo(host, checked_port(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, ValueError) as error:  # UnicodeError, which is a ValueError: a name too long for DNS
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"--host {host}: not an address or name of this machine ({reason})") from None
    family, kind, protocol, _, address = found[0]
    # With `protocol` set to TCP, asyncio turns off Nagle's algorithm, which would delay each response by 40 ms.
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)  # now, so that a port in use is an error at once
    except BaseException as error:
        bound.close()
        if isinstance(error, OSError):
            raise InputError(_why_not_bound(host, port, error)) from None
        raise
    return bound


def _why_not_bound(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"--port {port}: in use by another program; name another port, or 0 for any free one"
        case errno.EACCES | errno.EPERM:
            return f"--port {port}: needs administrator rights; name a port above 1023"
        case errno.EADDRNOTAVAIL:
            return f"--host {host}: not an address of this machine; 0.0.0.0 means all of them"
    return f"--host {host} --port {port}: cannot listen there ({error.strerror}); name another"


def reachable_hosts(host: str, family: socket.AddressFamily) -> list[str]:
    """Hosts under which others reach a socket of `family` on `host`; several if `host` means all addresses."""
    if not _is_any(host):
        return [host]
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    families = {socket.AF_INET, family}  # a socket on :: accepts IPv4 as well
    found = [
        ipaddress.ip_address(one.address.partition("%")[0])
        for name, addresses in psutil.net_if_addrs().items()
        for one in addresses
        if name in up and one.family in families
    ]
    others = [str(one) for one in sorted(set(found), key=lambda one: (one.version, one)) if not one.is_link_local]
    outside = [one for one in others if not is_loopback(one)]
    return outside or [LOOPBACK_NAME]


def _log_addresses(host: str, bound: socket.socket, token: str | None, names: frozenset[str]) -> None:
    port = bound.getsockname()[1]
    query = f"?token={token}" if token else ""
    for one in reachable_hosts(host, bound.family):
        log.info("the studio is open at %s", f"http://{host_in_address(one)}:{port}/{query}")
    if not is_loopback(host):
        also = f" and {', '.join(sorted(names))}" if names else ", and names only with --allowed-host NAME"
        log.info("it accepts IP addresses%s (this machine is %s)", also, socket.gethostname())


def server_of(
    model: Path,
    *,
    state: Path,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    style_weights: Path | None = None,
    person_models: Path | None = None,
    trends: Path | None = None,
    root_path: str = "",
) -> uvicorn.Server:
    """A server of the studio on `model`, not running yet. Raises InputError."""
    if style_weights is not None and not (style_weights / "encoder_conv5_1.pth").is_file():
        raise InputError(f"--style-weights {style_weights}: has no encoder_conv5_1.pth; name the folder of a compressed VGG-19")
    names, root_path = checked_names(allowed_hosts), checked_root_path(root_path)
    outlook = NO_OUTLOOK if trends is None else read_outlook(trends)
    service = StudioService(open_generator(model), StudioDatabase(state), style_weights)
    app = Guard(
        create_app(service, person_models, outlook),
        token=token,
        names=names,
        max_upload_bytes=MAX_UPLOAD_BYTES,
        root_path=root_path,
    )
    config = uvicorn.Config(
        app,
        http=TimeoutProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
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
    person_models: Path | None = None,
    trends: Path | None = None,
    root_path: str = "",
) -> None:
    """Serve the studio on `model` until interrupted. Raises InputError."""
    host = bare_host(host)
    if not host:
        raise InputError("--host: is empty; give an address of this machine, or 0.0.0.0 for all")
    token, names = checked_token(host, token), checked_names(allowed_hosts)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # every slow client has a socket open
    with listening_socket(host, port) as bound:  # before the model, so that a wrong port is an error at once
        server = server_of(
            model,
            state=state or default_state(),
            token=token,
            allowed_hosts=allowed_hosts,
            style_weights=style_weights,
            person_models=person_models,
            trends=trends,
            root_path=root_path,
        )
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        _log_addresses(host, bound, token, names)
        with suppress(KeyboardInterrupt):  # uvicorn raises it again after its shutdown
            server.run([bound])
