import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pipeline.web.polite_client import PoliteClient
from pipeline.web.reservations import (
    forbids_following,
    header_reservation,
    meta_reservation,
    parse_tdmrep,
    robots_directives,
    tdmrep_reservation,
)
from pipeline.web.responses import RefusedError
from tests.support.web_params import web
from tests.support.web_server import Reply, serving

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def tags(*values: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(("X-Robots-Tag", value) for value in values))


@pytest.mark.parametrize(
    ("values", "reserved"),
    [
        (["noai"], True),
        (["NoImageAI"], True),
        (["noindex"], True),
        (["noimageindex"], True),
        (["none"], True),
        (["all"], False),
        (["nofollow"], False),
        (["nofollow, noai"], True),
        (["nofollow", "noai"], True),
        (["noaid"], False),
        (["atelier: noai"], True),
        (["Atelier/1.0: noai"], True),
        (["ATELIER: nofollow, noindex"], True),
        (["googlebot: noindex"], False),
        (["googlebot: noindex, nofollow, noai"], False),
        (["googlebot: nofollow, atelier: noai"], True),
        (["googlebot: noindex", "noimageai"], True),
        (["*: noai"], True),
        (["max-image-preview: none"], False),
        (["max-snippet: 20, noai"], True),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], True),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 GMT"], True),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 GMT, nofollow"], True),
        (["unavailable_after: 2030-01-01"], False),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], True),
        (["unavailable_after: next Tuesday"], True),
        (["atelier: unavailable_after: 25 Jun 2010 15:00:00 PST"], True),
        (["otherbot: unavailable_after: 25 Jun 2010 15:00:00 PST"], False),
        ([""], False),
        ([], False),
    ],
)
def test_x_robots_tag(values: list[str], reserved: bool) -> None:
    assert (header_reservation(tags(*values), NOW) is not None) is reserved


@pytest.mark.parametrize(
    ("metas", "reserved"),
    [
        ([("robots", "noai, noimageai")], True),
        ([("ROBOTS", "NOINDEX,FOLLOW")], True),
        ([("atelier", "noimageindex")], True),
        ([("googlebot", "noindex")], False),
        ([("robots", "index, follow, max-image-preview:large")], False),
        ([("robots", "unavailable_after: 2020-01-01T00:00:00Z")], True),
        ([("tdm-reservation", "1")], True),
        ([("tdm-reservation", "0")], False),
        ([("tdm-reservation", "yes")], False),
        ([], False),
    ],
)
def test_meta_tags(metas: list[tuple[str, str]], reserved: bool) -> None:
    assert (meta_reservation(metas, NOW) is not None) is reserved


def test_nofollow_is_for_us_when_it_names_us_or_nobody() -> None:
    assert forbids_following(robots_directives("noindex, nofollow"))
    assert forbids_following(robots_directives("none"))
    assert forbids_following(robots_directives("atelier: nofollow"))
    assert not forbids_following(robots_directives("otherbot: nofollow"))
    assert not forbids_following(robots_directives("noindex, follow"))


def test_the_tdm_header_refuses_and_records_its_policy() -> None:
    headers = CIMultiDictProxy(CIMultiDict({"TDM-Reservation": "1", "tdm-policy": "https://shop.example/policy.json"}))
    assert header_reservation(headers, NOW) == "tdm-reservation header, policy https://shop.example/policy.json"
    assert header_reservation(CIMultiDictProxy(CIMultiDict({"tdm-reservation": "0"})), NOW) is None
    assert header_reservation(CIMultiDictProxy(CIMultiDict({"tdm-reservation": "2"})), NOW) is None


# The example of the TDM Reservation Protocol's final report, 10 May 2024.
REPORT_EXAMPLE = [
    {"location": "/directory-a/", "tdm-reservation": 1},
    {"location": "/directory-b/html/", "tdm-reservation": 1, "tdm-policy": "https://provider.com/policies/policy.json"},
    {"location": "/directory-b/images/*.jpg", "tdm-reservation": 0},
]


@pytest.mark.parametrize(
    ("rules", "path", "reason"),
    [
        (REPORT_EXAMPLE, "/directory-a/x.pdf", "tdmrep.json"),
        (REPORT_EXAMPLE, "/directory-b/html/x", "tdmrep.json, policy https://provider.com/policies/policy.json"),
        (REPORT_EXAMPLE, "/directory-b/images/x.jpg", None),
        (REPORT_EXAMPLE, "/elsewhere", None),
        ([{"location": "/a/open$", "tdm-reservation": 0}, {"location": "/a/", "tdm-reservation": 1}], "/a/open", None),
        (
            [{"location": "/a/open$", "tdm-reservation": 0}, {"location": "/a/", "tdm-reservation": 1}],
            "/a/opened",
            "tdmrep.json",
        ),
        ([{"location": "/", "tdm-reservation": "1"}], "/x", "tdmrep.json"),
        ([{"location": "/", "tdm-reservation": 7}], "/x", None),
        ([{"tdm-reservation": 1}], "/x", None),
        ([{"location": "/x\nDisallow: /", "tdm-reservation": 1}], "/y", None),
        ({"location": "/", "tdm-reservation": 1}, "/x", None),
        (["nonsense", None, 3], "/x", None),
    ],
)
def test_the_mining_file(rules: object, path: str, reason: str | None) -> None:
    assert tdmrep_reservation(parse_tdmrep(json.dumps(rules).encode()), URL(f"https://provider.com{path}")) == reason


@pytest.mark.parametrize("content", [b"", b"not json", b"[" * 100_000, b"\xff\xfe"])
def test_a_broken_mining_file_reserves_nothing(content: bytes) -> None:
    assert parse_tdmrep(content) == []


def reason_for(picture: Reply, folder: Path, mining: Reply | None = None) -> tuple[str | None, list[str]]:
    async def run(url: str) -> None:
        async with PoliteClient(web(), folder) as client:
            await client.get(url, accept="image/*", max_bytes=100)

    with serving({"/a.jpg": picture, "/.well-known/tdmrep.json": mining or Reply(status=404)}) as server:
        try:
            asyncio.run(run(f"{server.url}/a.jpg"))
        except RefusedError as error:
            return error.reason, server.paths()
        return None, server.paths()


def test_headers_are_checked_before_the_body_is_read(tmp_path: Path) -> None:
    # The body is over the limit: had it been read, that would be the reason.
    reply = Reply(b"x" * 1000, headers={"X-Robots-Tag": "noimageai"})
    assert reason_for(reply, tmp_path) == ("X-Robots-Tag: noimageai", ["/a.jpg"])


def test_a_url_reserved_by_tdmrep_is_not_requested(tmp_path: Path) -> None:
    mining = Reply(json.dumps([{"location": "/*.jpg", "tdm-reservation": 1}]).encode())
    assert reason_for(Reply(b"x"), tmp_path, mining) == ("tdmrep.json", [])


def test_a_mining_file_that_cannot_be_had_is_no_reservation(tmp_path: Path) -> None:
    assert reason_for(Reply(b"x"), tmp_path, Reply(status=500)) == (None, ["/a.jpg"])
