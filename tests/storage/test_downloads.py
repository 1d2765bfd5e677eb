"""Downloads of known content from a server on loopback: broken off, resumed, changed, too long, not there."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.storage import downloads
from pipeline.storage.downloads import download
from tests.support.web_server import Answer, Reply, Request, Server, serving

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MAX_BYTES = 400_000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({}) as running:
        yield running


def _rest(request: Request, content: bytes = CONTENT) -> Reply:
    """What a server that resumes answers."""
    start = int(request.headers.get("range", "bytes=0-")[len("bytes=") : -1])
    if start >= len(content):
        return Reply(status=416)
    if not start:
        return Reply(content)
    return Reply(content[start:], 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"})


def _cut(reply: Reply, after: int) -> Answer:
    return [reply.head(), reply.body[:after]]


def _asked(server: Server) -> list[str]:
    return [request.headers.get("range", "all") for request in server.requests]


def _got(server: Server, path: Path) -> bytes:
    assert download(f"{server.url}/file", path, SHA256, MAX_BYTES) == path
    assert not list(path.parent.glob(".*.partial"))
    return path.read_bytes()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    server.routes["/file"] = _rest
    for _ in range(2):
        assert _got(server, tmp_path / "new" / "file") == CONTENT
    assert _asked(server) == ["all"]


def test_a_damaged_file_is_replaced(server: Server, tmp_path: Path) -> None:
    server.routes["/file"] = _rest
    (tmp_path / "file").write_bytes(CONTENT[:-1] + b"?")
    assert _got(server, tmp_path / "file") == CONTENT


def test_what_broke_off_is_resumed(server: Server, tmp_path: Path) -> None:
    server.routes["/file"] = lambda request: _cut(_rest(request), 100_000) if len(server.requests) < 3 else _rest(request)
    assert _got(server, tmp_path / "file") == CONTENT
    assert _asked(server) == ["all", "bytes=100000-", "bytes=200000-"]


def test_the_next_run_goes_on_where_the_last_one_gave_up(server: Server, tmp_path: Path) -> None:
    server.routes["/file"] = lambda request: _cut(_rest(request), 10_000)
    with pytest.raises(SourceError, match="what came is kept"):
        download(f"{server.url}/file", tmp_path / "file", SHA256, MAX_BYTES)
    assert not (tmp_path / "file").exists()
    server.routes["/file"] = _rest
    assert _got(server, tmp_path / "file") == CONTENT
    assert _asked(server)[-1] == "bytes=30000-"


def test_a_server_that_does_not_resume_is_asked_for_all(server: Server, tmp_path: Path) -> None:
    server.routes["/file"] = lambda _: _cut(Reply(CONTENT), 50_000) if len(server.requests) < 2 else Reply(CONTENT)
    assert _got(server, tmp_path / "file") == CONTENT


def test_a_server_that_resumes_elsewhere_is_not_believed(server: Server, tmp_path: Path) -> None:
    wrong = Reply(CONTENT[7:], 206, {"Content-Range": f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"})
    answers = [_cut(Reply(CONTENT), 50_000), wrong, Reply(CONTENT)]
    server.routes["/file"] = lambda _: answers[len(server.requests) - 1]
    assert _got(server, tmp_path / "file") == CONTENT
    assert _asked(server) == ["all", "bytes=50000-", "all"]


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more", b"of another file"])
def test_what_an_earlier_run_left_is_finished_or_thrown_away(server: Server, tmp_path: Path, left: bytes) -> None:
    server.routes["/file"] = _rest
    (tmp_path / f".file.{SHA256[:16]}.partial").write_bytes(left)
    assert _got(server, tmp_path / "file") == CONTENT


def test_another_file_is_refused_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    server.routes["/file"] = Reply(b"sorry")
    with pytest.raises(SourceError, match="not the file expected"):
        download(f"{server.url}/file", tmp_path / "file", SHA256, MAX_BYTES)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_more_than_expected_is_refused(server: Server, tmp_path: Path) -> None:
    server.routes["/file"] = Reply(bytes(MAX_BYTES * 8))
    with pytest.raises(SourceError, match="more than the 400000 bytes expected"):
        download(f"{server.url}/file", tmp_path / "file", SHA256, MAX_BYTES)
    assert not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (503, downloads.TRIES)])
def test_an_error_is_told_and_a_passing_one_tried_again(server: Server, tmp_path: Path, status: int, asked: int) -> None:
    server.routes["/file"] = Reply(status=status)
    with pytest.raises(SourceError, match=rf"/file: HTTP {status}"):
        download(f"{server.url}/file", tmp_path / "file", SHA256, MAX_BYTES)
    assert len(server.requests) == asked


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with serving({}) as gone:
        pass
    with pytest.raises(SourceError, match="refused"):
        download(f"{gone.url}/file", tmp_path / "file", SHA256, MAX_BYTES)
