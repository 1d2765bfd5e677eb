"""How the studio is started: address, port, names and prefix are checked, and a colleague is shown an address that works."""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.__main__ import main
from pipeline.errors import InputError
from studio import serve
from studio.serve import (
    checked_names,
    checked_port,
    checked_root_path,
    checked_token,
    default_state,
    is_loopback,
    listening_socket,
    reachable_hosts,
)
from tests.support.studio_model import write_stand_in

TOKEN = "0123456789abcdef"


def test_an_address_that_others_reach_needs_a_token() -> None:
    assert checked_token("127.0.0.1", None) is None
    assert checked_token("0.0.0.0", TOKEN) == TOKEN
    assert len(checked_token("0.0.0.0", "new") or "") >= 32
    for host, token in (("0.0.0.0", None), ("127.0.0.1", "short"), ("127.0.0.1", "with spaces in the token")):
        with pytest.raises(InputError, match=r"--token|--host"):
            checked_token(host, token)
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.com")] == [True] * 3 + [
        False
    ] * 2


@pytest.mark.parametrize("port", [-1, 65536, 70000, 80000, 2**16 + 80, 2**32, 10**30])
def test_a_port_out_of_range_is_refused_and_not_taken_modulo(port: int) -> None:
    with pytest.raises(InputError, match=f"--port {port}: .*65535"):
        listening_socket("127.0.0.1", port)


@pytest.mark.parametrize("port", [0, 1, 65535])
def test_every_other_port_is_taken_as_it_is(port: int) -> None:
    assert checked_port(port) == port


def test_a_port_that_is_taken_is_named() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: in use"):
            listening_socket("127.0.0.1", port)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_port_that_needs_an_administrator_is_one_line(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(InputError, match=r"--port 80: .*1023"):
        listening_socket("127.0.0.1", 80)


@pytest.mark.parametrize(
    "host", ["192.0.2.7", "a" * 70, "300.1.1.1", "no such host", "http://localhost", "a..b", "\u00e9" * 80]
)
def test_a_host_that_is_not_this_machine_is_one_line(host: str) -> None:
    with pytest.raises(InputError) as refused:
        listening_socket(host, 0)
    assert f"--host {host}: " in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_all_addresses_are_shown_as_those_that_a_colleague_can_open(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def address(family: int, text: str) -> object:
        return type("address", (), {"family": family, "address": text})

    six, four = socket.AF_INET6, socket.AF_INET
    addresses = {
        "lo": [address(four, "127.0.0.1"), address(six, "::1")],
        "eth0": [address(four, "192.168.1.7"), address(six, "fd00::7"), address(six, "fe80::7%eth0"), address(17, "02:42:ac")],
        "down0": [address(four, "10.0.0.9")],
    }
    stats = {name: type("stats", (), {"isup": name != "down0"}) for name in addresses}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: addresses)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: stats)
    family = six if host == "::" else four
    assert reachable_hosts(host, family) == ["192.168.1.7", *(["fd00::7"] if host == "::" else [])]
    assert reachable_hosts("192.168.1.7", four) == ["192.168.1.7"]
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": addresses["lo"]})
    assert reachable_hosts(host, family) == ["localhost"]


@pytest.mark.parametrize("name", ["design.example", "design.example:8443", "[fd00::7]:80", "10.0.0.7"])
def test_a_further_name_is_a_host_with_or_without_a_port(name: str) -> None:
    assert checked_names([name]) == {name}


@pytest.mark.parametrize("name", ["", "http://design.example", "design.example/atelier", "a b", "a:b", "a:123456", "*"])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="--allowed-host"):
        checked_names([name])


@pytest.mark.parametrize(
    ("prefix", "path"), [("", ""), ("/", ""), ("atelier", "/atelier"), ("/atelier/", "/atelier"), ("/a/b-c", "/a/b-c")]
)
def test_a_prefix_has_a_slash_before_it_and_none_behind(prefix: str, path: str) -> None:
    assert checked_root_path(prefix) == path


@pytest.mark.parametrize("prefix", ["/a?b", "/a b", "http://x/a", "/../a", "/a//b", "/api", "/picture/x", "/\u00e9", "/a\r\nb"])
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(InputError, match="--root-path"):
        checked_root_path(prefix)


def test_an_empty_data_home_means_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "")
    assert default_state().is_absolute()


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "80000"],
        ["--port", "-1"],
        ["--host", ""],
        ["--host", "a" * 70],
        ["--host", "0.0.0.0"],
        ["--token", ""],
        ["--allowed-host", "http://x"],
        ["--root-path", "/a?b"],
        ["--state", "/dev/null/studio.sqlite"],
        ["--style-weights", "/dev/null"],
    ],
    ids=lambda options: " ".join(options)[:30],
)
def test_a_wrong_option_is_one_line_that_names_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setattr(serve.uvicorn.Server, "run", lambda *_: pytest.fail("it was served"))
    model = write_stand_in(tmp_path / "model")
    given = ["--port", "0", "--state", str(tmp_path / "studio.sqlite"), *options]
    assert main(["studio", "--model", str(model), *given]) == 1
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert options[-1][:20] in line or options[0] in line
    assert "\n" not in line


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_any_free_port_is_printed_as_the_one_it_is(tmp_path: Path, host: str) -> None:
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    model = write_stand_in(tmp_path / "model")
    options = ["--model", str(model), "--port", "0", "--host", host, "--state", str(tmp_path / "studio.sqlite")]
    command = [sys.executable, "-W", "ignore", "-m", "pipeline", "studio", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = line.strip().rpartition("http://")[2].rstrip("/")
        name, _, port = address.rpartition(":")
        assert name == ("127.0.0.1" if ":" not in host else "[::1]")
        with socket.create_connection((name.strip("[]"), int(port)), timeout=60) as connection:
            connection.sendall(f"GET /api/studio HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 0
