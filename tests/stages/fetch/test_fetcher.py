import multiprocessing
import os
import random
import re
import shutil
import subprocess
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.imaging.metadata_stripping import without_metadata
from pipeline.stages.fetch import web_fetcher as fetcher
from pipeline.storage.shards import read_shard
from pipeline.storage.tables import RAW, read_table
from pipeline.web.responses import Response
from pipeline.web.scratch import BodyStore
from tests.support.web_fetch_run import fetch_shard, fetched, list_urls
from tests.support.web_pictures import SECRET, jpeg, telling
from tests.support.web_server import Reply, Request, Route, Server, serving

PICTURE = jpeg(0)
FORKS = multiprocessing.get_context("forkserver")  # a child in milliseconds, forked from a process that has no threads
FORKS.set_forkserver_preload(["tests.support.web_fetch_run"])


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({}) as server:
        yield server


def test_every_row_ends_with_a_status_and_a_reason(server: Server, tmp_path: Path) -> None:
    server.routes |= {
        "/a.jpg": Reply(PICTURE, headers={"Content-Type": "text/html"}),
        "/untyped": Reply(PICTURE),
        "/page.jpg": Reply(b"<!DOCTYPE html><html>", headers={"Content-Type": "image/jpeg"}),
        "/drawing.jpg": Reply(b"<?xml version='1.0'?><svg></svg>"),
        "/empty.jpg": Reply(b""),
        "/noise.jpg": Reply(b"\x01\x02\x03"),
        "/away.jpg": Reply(status=302, headers={"Location": "/a.jpg"}),
    }
    names = ["a.jpg", "untyped", "page.jpg", "drawing.jpg", "empty.jpg", "noise.jpg", "away.jpg", "gone.jpg"]
    urls = [f"{server.url}/{name}" for name in names] + ["file:///etc/passwd", "not a url", ""]
    outcomes = fetched(urls, tmp_path)
    assert [(outcome.status, outcome.extension, outcome.reason) for outcome in outcomes] == [
        ("ok", "jpg", None),
        ("ok", "jpg", None),
        ("refused", None, "a web page, by its bytes"),
        ("refused", None, "an SVG drawing, by its bytes"),
        ("failed", None, "an empty body"),
        ("refused", None, "no picture, by its bytes"),
        ("ok", "jpg", None),
        ("failed", None, "404 Not Found"),
        ("refused", None, "the scheme 'file' is not http(s)"),
        ("refused", None, "the URL contains spaces or control characters"),
        ("refused", None, "not an absolute URL: no scheme"),
    ]
    assert outcomes[0].sha256 == outcomes[6].sha256
    assert BodyStore(tmp_path / "bodies").get(outcomes[0].sha256 or "") == PICTURE


def test_a_second_run_makes_no_request(server: Server, tmp_path: Path) -> None:
    server.routes |= {"/a.jpg": Reply(PICTURE)}
    urls = [f"{server.url}/a.jpg", f"{server.url}/gone.jpg"]
    first = fetched(urls, tmp_path)
    connections = server.connections
    assert fetched(urls, tmp_path) == first
    assert server.connections == connections


def test_what_failed_for_the_moment_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.routes["/a.jpg"] = Reply(status=500)
    assert fetched([f"{server.url}/a.jpg"], tmp_path, retries=0)[0].status == "failed"
    server.routes["/a.jpg"] = Reply(PICTURE)
    assert fetched([f"{server.url}/a.jpg"], tmp_path)[0].status == "ok"


def test_a_lost_body_is_fetched_again(server: Server, tmp_path: Path) -> None:
    server.routes["/a.jpg"] = Reply(PICTURE)
    [outcome] = fetched([f"{server.url}/a.jpg"], tmp_path)
    BodyStore(tmp_path / "bodies").remove(outcome.sha256 or "")
    assert fetched([f"{server.url}/a.jpg"], tmp_path) == [outcome]
    assert server.paths() == ["/a.jpg"] * 2


def test_a_refresh_asks_whether_anything_changed(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        if request.headers.get("if-none-match") == '"one"' and request.headers.get("if-modified-since") == "yesterday":
            return Reply(status=304)
        return Reply(PICTURE, headers={"ETag": '"one"', "Last-Modified": "yesterday"})

    server.routes |= {"/a.jpg": answer, "/b.jpg": Reply(PICTURE)}
    urls = [f"{server.url}/a.jpg", f"{server.url}/b.jpg"]
    first = fetched(urls, tmp_path)
    assert fetched(urls, tmp_path, refresh=True) == first
    server.routes["/a.jpg"] = Reply(jpeg(7), headers={"ETag": '"two"'})
    second = fetched(urls, tmp_path, refresh=True)
    assert second[0].sha256 != first[0].sha256
    assert second[1] == first[1]
    assert fetched(urls, tmp_path) == second


def test_a_refresh_keeps_what_there_is_until_its_host_says_otherwise(server: Server, tmp_path: Path) -> None:
    server.routes["/a.jpg"] = Reply(PICTURE)
    first = fetched([f"{server.url}/a.jpg"], tmp_path)
    server.routes["/a.jpg"] = Reply(status=500)
    assert fetched([f"{server.url}/a.jpg"], tmp_path, refresh=True, retries=0) == first
    server.routes["/a.jpg"] = Reply(PICTURE, headers={"X-Robots-Tag": "noai"})
    assert fetched([f"{server.url}/a.jpg"], tmp_path, refresh=True)[0].reason == "X-Robots-Tag: noai"


def test_a_reservation_that_came_since_counts_in_a_304(server: Server, tmp_path: Path) -> None:
    server.routes["/a.jpg"] = Reply(PICTURE, headers={"ETag": '"one"'})
    fetched([f"{server.url}/a.jpg"], tmp_path)
    server.routes["/a.jpg"] = Reply(status=304, headers={"X-Robots-Tag": "noimageai"})
    assert fetched([f"{server.url}/a.jpg"], tmp_path, refresh=True)[0].reason == "X-Robots-Tag: noimageai"


def test_metadata_never_reaches_the_disk(server: Server, tmp_path: Path) -> None:
    content = telling("JPEG", 6)
    server.routes |= {"/a.jpg": Reply(content), "/a.tif": Reply(b"II*\x00" + SECRET)}
    picture, unclean = fetched([f"{server.url}/a.jpg", f"{server.url}/a.tif"], tmp_path, strip_metadata=True)
    assert BodyStore(tmp_path / "bodies").get(picture.sha256 or "") == without_metadata(content, "jpg")
    assert (unclean.status, unclean.reason) == ("refused", "its metadata cannot be removed: no lossless method for .tif")
    assert not any(SECRET in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_other_terms_make_an_earlier_record_void(server: Server, tmp_path: Path) -> None:
    server.routes["/a.jpg"] = Reply(PICTURE)
    assert fetched([f"{server.url}/a.jpg"], tmp_path, max_bytes=10)[0].reason == "larger than 10 bytes"
    assert fetched([f"{server.url}/a.jpg"], tmp_path)[0].status == "ok"


def test_a_slow_host_holds_up_only_itself(server: Server, tmp_path: Path) -> None:
    def slow(_: Request) -> Reply:
        time.sleep(0.3)
        return Reply(PICTURE)

    server.routes |= {f"/{number}.jpg": slow for number in range(6)}
    with serving({f"/{number}.jpg": Reply(PICTURE) for number in range(6)}, "127.0.0.2") as quick:
        urls = [f"{host.url}/{number}.jpg" for host in (server, quick) for number in range(6)]
        assert {outcome.status for outcome in fetched(urls, tmp_path, connections=4, connections_per_host=1)} == {"ok"}
        assert quick.requests[-1].at_s < server.requests[-2].at_s


def raw(head: bytes, status: bytes = b"200 OK") -> Callable[[Request], list[bytes]]:
    """An answer with PICTURE and the header lines of `head`, byte by byte as they stand there."""
    return lambda _: [b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n" % len(PICTURE) + head + b"\r\n\r\n", PICTURE]


FAR_ZONE = b"Mon, 01 Jun 2026 12:00:30 +9999999999999999"  # a zone that no integer of C can hold


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (raw(b'ETag: "\xff"\r\nLast-Modified: \xe9t\xe9'), "ok", None),
        (raw(b"Content-Encoding: \xff"), "failed", "sent in an encoding that was not requested: ?"),
        (raw(b"tdm-reservation: 1\r\ntdm-policy: \xff"), "refused", "tdm-reservation header, policy ?"),
        (raw(b"X-Robots-Tag: unavailable_after: " + FAR_ZONE), "refused", "X-Robots-Tag: unavailable_after"),
        (raw(b"Retry-After: " + FAR_ZONE, b"503 Busy"), "failed", "503 Service Unavailable"),
        (raw(b"Location: /\xff", b"302 Found"), "failed", "404 Not Found"),
        (raw(b"Location: http://[::1/", b"302 Found"), "failed", "a redirect without a usable address"),
        (raw(b"Set-Cookie: \xff=\x01;;;="), "ok", None),
    ],
)
def test_invalid_headers_fail_only_their_row(
    server: Server, tmp_path: Path, answer: Route, status: str, reason: str | None
) -> None:
    server.routes |= {"/a.jpg": answer, "/b.jpg": Reply(PICTURE)}
    with serving(server.routes, "127.0.0.2") as other:  # another host
        urls = [f"{server.url}/a.jpg", f"{other.url}/b.jpg"]
        for refresh in (False, True):
            odd, good = fetched(urls, tmp_path, retries=0, refresh=refresh)
            assert (odd.status, odd.reason) == (status, reason)
            assert good.status == "ok"


def test_a_host_that_asks_for_an_endless_pause_is_left_alone_for_a_day_and_others_are_not(
    server: Server, tmp_path: Path
) -> None:
    server.routes |= {"/a.jpg": raw(b"Retry-After: " + b"9" * 5000, b"503 Busy"), "/b.jpg": Reply(PICTURE)}
    with serving(server.routes, "127.0.0.2") as other:
        for asked_s in ("inf", r"863\d\d"):
            odd, good = fetched([f"{server.url}/a.jpg", f"{other.url}/b.jpg"], tmp_path, retries=0, refresh=True)
            assert odd.status == "failed"
            assert re.fullmatch(f"the host asks to come back in {asked_s} s", odd.reason or "")
            assert good.status == "ok"


def test_an_unexpected_response_fails_only_its_row(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.routes |= {"/a.jpg": Reply(PICTURE), "/b.jpg": Reply(jpeg(1))}
    urls = [f"{server.url}/a.jpg", f"{server.url}/b.jpg"]
    with monkeypatch.context() as patched:
        keep = fetcher.extract_picture

        def extract_picture(response: Response, settings: fetcher.FetchSettings) -> tuple[bytes, str]:
            if response.url.endswith("a.jpg"):
                raise KeyError(response.url)
            return keep(response, settings)

        patched.setattr(fetcher, "extract_picture", extract_picture)
        odd, good = fetched(urls, tmp_path)
    assert (odd.status, odd.reason) == ("failed", "an unexpected response: KeyError")
    assert good.status == "ok"
    assert fetched(urls, tmp_path)[0].status == "ok"  # it is asked for again


PICTURES = [jpeg(seed) for seed in range(60)]
CONNECTIONS = 4


def gallery(server: Server, count: int) -> list[str]:
    """URLs of `count` pictures, every tenth missing, some the same as others."""
    for number in range(count):
        content = PICTURES[number % len(PICTURES)]
        server.routes[f"/{number}.jpg"] = Reply(status=404) if number % 10 == 9 else Reply(content)
    return [f"{server.url}/{number}.jpg" for number in range(count)]


def run_until(moment: float, server: Server, manifest: Path, scratch: Path, shard: Path) -> bool:
    """Whether a run got to its end before it was killed, `moment` requests after its start."""
    goal = len(server.requests) + moment
    changes = {"connections": CONNECTIONS, "connections_per_host": CONNECTIONS}
    process = FORKS.Process(target=fetch_shard, args=(manifest, scratch, shard, changes))
    process.start()
    while len(server.requests) < goal and process.is_alive():
        time.sleep(0.001)
    time.sleep(0.01 * (moment % 1))
    process.kill()
    process.join()
    return process.exitcode == 0


def undisturbed_after(kills: int, pictures: int, server: Server, folder: Path) -> None:
    """Fail unless a run killed so many times ends in the shard of one never killed, and asks for little twice."""
    urls = gallery(server, pictures)
    manifest, shard, other = folder / "manifest.parquet", folder / "killed" / "00000.tar", folder / "undisturbed" / "00000.tar"
    list_urls(urls, manifest)
    chance = random.Random(0)
    for _ in range(kills):
        assert not run_until(chance.uniform(1, 0.8 * pictures / kills), server, manifest, folder / "scratch", shard)
        assert not shard.exists()
        assert not shard.with_suffix(".parquet").exists()
    assert run_until(1e9, server, manifest, folder / "scratch", shard)
    asked = Counter(server.paths())
    assert run_until(1e9, server, manifest, folder / "other", other)
    assert shard.read_bytes() == other.read_bytes()
    assert shard.with_suffix(".parquet").read_bytes() == other.with_suffix(".parquet").read_bytes()
    assert [path.name for path in sorted(shard.parent.iterdir())] == ["00000.parquet", "00000.tar"]
    assert len(read_table(shard.with_suffix(".parquet"), RAW)) == pictures
    assert set(asked) == {url.removeprefix(server.url) for url in urls}
    assert asked.total() - pictures <= kills * CONNECTIONS  # at most what was in flight is fetched again


def test_three_kills_lose_nothing_double_nothing_and_change_nothing(server: Server, tmp_path: Path) -> None:
    undisturbed_after(3, 60, server, tmp_path)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_double_nothing_and_change_nothing(server: Server, tmp_path: Path) -> None:
    undisturbed_after(20, 300, server, tmp_path)
    assert len(list(read_shard(tmp_path / "killed" / "00000.tar"))) == 54


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let us mount a small tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_one_line_error_and_keeps_finished_rows(server: Server, small_disk: Path, tmp_path: Path) -> None:
    for number in range(100):
        server.routes[f"/{number}.jpg"] = Reply(jpeg(number, quality=95) + bytes(8000))
    urls = [f"{server.url}/{number}.jpg" for number in range(100)]
    with pytest.raises(InputError, match=r"no space left; free some and run again"):
        fetched(urls, small_disk, connections=CONNECTIONS)
    assert not list(small_disk.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert fetched(urls, small_disk, connections=CONNECTIONS) == fetched(urls, tmp_path / "large")
    asked = Counter(server.paths())
    assert asked.total() <= 200 + CONNECTIONS


def test_a_disk_too_small_for_the_shard_is_said_in_a_line(server: Server, small_disk: Path, tmp_path: Path) -> None:
    server.routes |= {f"/{number}.jpg": Reply(jpeg(number, quality=95) + bytes(40_000)) for number in range(20)}
    manifest, shard = tmp_path / "manifest.parquet", small_disk / "00000.tar"
    list_urls([f"{server.url}/{number}.jpg" for number in range(20)], manifest)
    with pytest.raises(SystemExit):
        fetch_shard(manifest, tmp_path / "scratch", shard, {})
    assert list(small_disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    asked = len(server.requests)
    fetch_shard(manifest, tmp_path / "scratch", shard, {})
    assert len(server.requests) == asked
    assert len(list(read_shard(shard))) == 20


def test_memory_does_not_grow_with_the_number_of_rows(server: Server, tmp_path: Path) -> None:
    def peak_bytes(count: int) -> int:
        urls = [f"{server.url}/a.jpg?{number}" for number in range(count)]
        server.routes |= {f"/a.jpg?{number}": Reply(PICTURE + bytes(30_000)) for number in range(count)}
        tracemalloc.start()
        fetched(urls, tmp_path / str(count))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(20)
    assert peak_bytes(400) - peak_bytes(100) < 3_000_000  # what 300 rows need; their bodies would be 9 MB
