"""Every fault that the web may bring, how its row ends, the test that proves it, and the guard that the test would miss.

docs/collecting.md prints FAULTS; tests/test_guards.py keeps it so, and switches each guard off to see its test fail.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Fault:
    """One line of the table, and one guard: `guard` is a piece of `file`, and `without` what stands there when it is off."""

    comes: str
    ends: str
    test: str  # FILE::NAME below tests/
    file: str  # below pipeline/
    guard: str
    without: str

    @property
    def row(self) -> str:
        """The line of the table."""
        return f"| {self.comes} | {self.ends} | `{self.test}` |"


def _off(condition: str, indent: int = 4) -> tuple[str, str]:
    """An `if` that never holds."""
    return f"{' ' * indent}{condition}\n", f"{' ' * indent}if False:\n"


ADDRESSES, CLIENT, VISITOR = "sources/web/addresses.py", "sources/web/client.py", "sources/web/visitor.py"
ROBOTS, SITES, TURNS = "sources/web/robots.py", "sources/web/sites.py", "sources/web/turns.py"
RESERVATIONS, GUNZIP, FETCHER = "sources/web/reservations.py", "sources/web/compression.py", "sources/web/fetcher.py"
SPIDER, FEEDS, SCRATCH = "sources/web/spider.py", "sources/web/feeds.py", "sources/web/scratch.py"
DECODING, GUARDED, METADATA = "images/decoding.py", "images/guarded.py", "sources/metadata.py"
BODIES = "test_web_visitor.py::test_bodies_that_are_not_whole_or_too_much"
ENDS = "test_web_fetcher.py::test_every_row_ends_with_a_status_and_a_reason"

FAULTS = {
    "Addresses": [
        Fault(
            "30 targets inside a network: loopback, private, link-local, cloud metadata, decimal, octal, IPv4-mapped, NAT64",
            "refused, no connection",
            "test_web_addresses.py::test_thirty_targets_get_no_connection",
            ADDRESSES,
            *_off("if not (is_public(address) or (allow_loopback and is_loopback(address))):", 8),
        ),
        Fault(
            "an IPv6 address that carries a private IPv4 one",
            "refused",
            "test_web_addresses.py::test_what_is_not_the_web_is_not",
            ADDRESSES,
            "        address = carried\n",
            "        return True\n",
        ),
        Fault(
            "a name that resolves to another address the second time",
            "refused, judged again at every connection",
            "test_web_addresses.py::test_a_name_bound_anew_between_two_connections_is_judged_again",
            ADDRESSES,
            "            raise ForbiddenAddressError\n",
            "            pass\n",
        ),
        Fault(
            "a redirect into a network, at any hop",
            "refused",
            "test_web_addresses.py::test_every_redirect_hop_is_judged",
            CLIENT,
            "allow_redirects=False",
            "allow_redirects=True",
        ),
        Fault("`file:`, `ftp:`, `data:`, `gopher:`", "refused", ENDS, CLIENT, *_off('if url.scheme not in ("http", "https"):')),
        Fault(
            "a user name or a password in the URL",
            "refused",
            "test_web_addresses.py::test_every_redirect_hop_is_judged",
            CLIENT,
            *_off("if url.user is not None or url.password is not None:"),
        ),
        Fault(
            "a URL of 9,000 characters, or none at all",
            "refused",
            "test_web_addresses.py::test_what_is_no_url_is_refused_before_anything_is_asked",
            CLIENT,
            *_off("if len(text) > MAX_URL_CHARACTERS:"),
        ),
        Fault(
            "no contact in params.yaml",
            "nothing is asked",
            "test_web_visitor.py::test_without_a_contact_nothing_is_asked",
            VISITOR,
            *_off("if not contact:"),
        ),
    ],
    "What a site allows": [
        Fault(
            "robots.txt disallows",
            "refused, not asked for",
            "test_web_robots.py::test_what_is_disallowed_is_not_asked_for",
            ROBOTS,
            *_off("if self.rules is not None and not self.rules.can_fetch(str(url), PRODUCT_TOKEN):", 8),
        ),
        Fault(
            "robots.txt: 5xx, timeout, broken",
            "refused until the next run",
            "test_web_robots.py::test_an_unreachable_robots_txt_disallows_everything",
            ROBOTS,
            *_off("if self.unreachable is not None:", 8),
        ),
        Fault(
            "robots.txt: 4xx",
            "allowed",
            "test_web_robots.py::test_a_missing_file_allows_and_a_broken_server_disallows",
            ROBOTS,
            *_off("if 400 <= status < 500:"),
        ),
        Fault(
            "robots.txt on another host",
            "its rules count",
            "test_web_robots.py::test_a_redirect_to_another_host_gives_the_rules_of_the_first",
            SITES,
            "            if answer.status not in (301, 302, 303, 307, 308):\n",
            "            if True:\n",
        ),
        Fault(
            "an endless robots.txt",
            "500 KiB count",
            "test_web_robots.py::test_only_500_kib_of_an_endless_file_are_read",
            CLIENT,
            *_off("if room < 0 and cut:", 8),
        ),
        Fault(
            "Crawl-delay",
            "kept",
            "test_web_visitor.py::test_a_site_may_ask_for_more",
            VISITOR,
            "max(delay_s, self._web.delay_s)",
            "self._web.delay_s",
        ),
        Fault(
            "a Crawl-delay of an hour",
            "failed until the next run",
            "test_web_visitor.py::test_a_delay_beyond_patience_is_not_waited_for",
            TURNS,
            *_off("if delay_s > self._max_wait_s:", 8),
        ),
        Fault(
            "many requests at once",
            "one every `delay_s`",
            "test_web_visitor.py::test_requests_to_a_host_keep_their_distance",
            TURNS,
            "_write(record, now + delay_s)",
            "_write(record, now)",
        ),
        Fault(
            "several processes at once",
            "one every `delay_s` of all",
            "test_web_visitor.py::test_processes_that_share_a_folder_share_the_pace",
            TURNS,
            "hashlib.sha256(host.encode())",
            'hashlib.sha256(f"{host}{id(self)}".encode())',
        ),
        Fault(
            "429 or 503 with Retry-After",
            "waited for, then asked again",
            "test_web_visitor.py::test_retry_after_is_obeyed",
            VISITOR,
            "                self._turns.hold(host, wait_s)\n",
            "                pass\n",
        ),
        Fault(
            "the same, while others ask the host",
            "all wait",
            "test_web_visitor.py::test_retry_after_holds_up_everybody",
            TURNS,
            "            _write(record, max(_read(record), until))\n",
            "            pass\n",
        ),
        Fault(
            "`X-Robots-Tag: noai`, noimageai, noindex, noimageindex, none",
            "refused before the body",
            "test_web_reservations.py::test_headers_are_judged_before_the_body_is_read",
            CLIENT,
            "                judge(response.headers)\n",
            "",
        ),
        Fault(
            "the same for another crawler by name",
            "taken",
            "test_web_reservations.py::test_x_robots_tag",
            RESERVATIONS,
            *_off('if directive.agent not in (None, "*", PRODUCT_TOKEN.lower()):'),
        ),
        Fault(
            "`unavailable_after` in the past, or unreadable",
            "refused",
            "test_web_reservations.py::test_x_robots_tag",
            RESERVATIONS,
            "return until is None or until <= now",
            "return False",
        ),
        Fault(
            "robots meta tags",
            "refused",
            "test_web_reservations.py::test_meta_tags",
            RESERVATIONS,
            *_off('if name in ("robots", PRODUCT_TOKEN.lower()):', 8),
        ),
        Fault(
            "`tdm-reservation: 1`",
            "refused, with the policy's address",
            "test_web_reservations.py::test_the_tdm_header_is_obeyed_and_its_policy_recorded",
            RESERVATIONS,
            *_off('if headers.get("tdm-reservation", "").strip() == "1":'),
        ),
        Fault(
            "/.well-known/tdmrep.json",
            "refused, not asked for",
            "test_web_reservations.py::test_what_the_mining_file_reserves_is_not_asked_for",
            SITES,
            " or reservations.file_reservation(self.mining, url)",
            "",
        ),
        Fault(
            "a reservation that comes with a 304",
            "refused",
            "test_web_fetcher.py::test_a_reservation_that_came_since_counts_in_a_304",
            VISITOR,
            "            judge(answer.headers)  # a reservation may have come since\n",
            "",
        ),
        Fault(
            "a licence that is not on the list",
            "refused, not asked for",
            "test_fetch.py::test_only_licences_on_the_list_are_fetched",
            "fetch.py",
            *_off('if params.licences is not None and row["licence"] not in params.licences:'),
        ),
        Fault(
            "a forgotten picture under a new address",
            "refused",
            "test_fetch.py::test_a_forgotten_picture_leaves_every_table_and_shard",
            "fetch.py",
            "FORGOTTEN if gone.has_content(outcome.sha256) else outcome",
            "outcome",
        ),
    ],
    "Answers": [
        Fault(
            "more than the cap, as its header says",
            "refused before the body",
            BODIES,
            CLIENT,
            *_off("if declared is not None and declared > max_bytes and not cut:", 8),
        ),
        Fault("more than the cap, unannounced or in chunks", "refused", BODIES, CLIENT, *_off("if room < 0:", 8)),
        Fault("50 MB of zeros in 50 KB of gzip", "refused at the cap", BODIES, GUNZIP, *_off("if self._room < 0:", 8)),
        Fault(
            "a gzip stream that goes on after its end",
            "refused at the cap",
            BODIES,
            GUNZIP,
            *_off("if self._taken > self._max_bytes + OVERHEAD_BYTES:", 8),
        ),
        Fault("half a gzip stream", "failed, tried again", BODIES, GUNZIP, *_off("if not self._stream.eof:", 8)),
        Fault(
            "br, deflate, gzip twice",
            "failed",
            BODIES,
            CLIENT,
            *_off('if encoding not in ("identity", "gzip", "x-gzip"):', 8),
        ),
        Fault(
            "half a body, broken chunks, no HTTP",
            "failed, tried again",
            "test_web_visitor.py::test_a_broken_body_is_tried_again",
            CLIENT,
            'FailedError("the body breaks off before its end", Again.SOON)',
            'FailedError("the body breaks off before its end")',
        ),
        Fault(
            "a server that drips, in the header or in the body",
            "failed after `timeout_s` in all",
            "test_web_visitor.py::test_a_server_that_drips_is_left_after_the_time_for_all",
            CLIENT,
            "asyncio.timeout(timeout_s)",
            "asyncio.timeout(600)",
        ),
        Fault(
            "a host that is silent again and again",
            "given up for this run",
            "test_web_visitor.py::test_a_host_that_falls_silent_is_given_up",
            VISITOR,
            "                    self._silences[host] += 1\n",
            "                    pass\n",
        ),
        Fault(
            "a circle of redirects",
            "failed after five",
            "test_web_visitor.py::test_a_redirect_loop_ends",
            VISITOR,
            "MAX_REDIRECTS = 5\n",
            "MAX_REDIRECTS = 9\n",
        ),
        Fault(
            "404, 410, 403",
            "failed for good; 429, 5xx until the next run",
            "test_web_visitor.py::test_bad_statuses",
            VISITOR,
            "lasting = 400 <= status < 500 and status not in BUSY",
            "lasting = False",
        ),
        Fault(
            "an empty body",
            "failed",
            ENDS,
            FETCHER,
            '        raise FailedError("an empty body", Again.NEXT_RUN)\n',
            "        pass\n",
        ),
        Fault(
            "a web page that calls itself image/jpeg",
            "refused, by its bytes",
            ENDS,
            FETCHER,
            "extension = picture_extension(answer.body)\n",
            'extension = picture_extension(answer.body) or "jpg"\n',
        ),
        Fault(
            "headers of any bytes, dates with twenty digits",
            "its own row's reason",
            "test_web_fetcher.py::test_headers_of_any_bytes_cost_their_row_alone",
            "sources/__init__.py",
            "self.reason = storable(reason)",
            "self.reason = reason",
        ),
        Fault(
            "an answer that a library fails over",
            "failed, asked again by the next run",
            "test_web_fetcher.py::test_an_answer_that_nobody_foresaw_costs_its_row_alone",
            FETCHER,
            "except Exception as error:  # a library's",
            "except ZeroDivisionError as error:  # a library's",
        ),
    ],
    "Pages": [
        Fault(
            "a page that cannot be handled",
            "a row of its own",
            "test_crawl.py::test_a_page_that_cannot_be_handled_is_a_row",
            SPIDER,
            "        else:\n            self._lose(",
            "        elif False:\n            self._lose(",
        ),
        Fault(
            "a page written to take long",
            "a row of its own",
            "test_crawl.py::test_a_page_written_to_take_long_costs_itself_alone",
            SPIDER,
            "    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 1.0)",
            "    signal.setitimer(signal.ITIMER_VIRTUAL, 0)",
        ),
        Fault(
            "XML entities: a billion laughs, a file of this machine",
            "left as they stand",
            "test_web_feeds.py::test_entities_are_not_unfolded_and_no_file_is_read",
            FEEDS,
            "resolve_entities=False, no_network=True",
            "resolve_entities=True, no_network=True",
        ),
        Fault(
            "a crawler that dies",
            "one line; the next run goes on",
            "test_crawl.py::test_a_crawler_that_dies_is_said_in_a_line",
            "sources/crawl.py",
            "except (BrokenProcessPool, MemoryError):",
            "except ZeroDivisionError:",
        ),
        Fault(
            "half a pair of surrogates in JSON",
            "a question mark",
            "test_collect.py::test_what_is_no_character_costs_itself_alone",
            "collect.py",
            "in map(_storable, pictures) if",
            "in pictures if",
        ),
    ],
    "Pictures": [
        Fault(
            "JPEG, PNG, WebP, GIF cut at every 5 %",
            "undecodable, with the reason",
            "test_inspect_hostile.py::test_a_picture_cut_at_every_five_percent_is_a_row_with_a_reason",
            DECODING,
            "AvifImagePlugin.DEFAULT_MAX_THREADS = 1\n",
            "from PIL import ImageFile\n\nImageFile.LOAD_TRUNCATED_IMAGES = True\n",
        ),
        Fault(
            "21 KB of PNG that unfold to 177 megapixels",
            "undecodable, by its pixels",
            "test_inspect_hostile.py::test_a_bomb_of_177_megapixels_is_refused_by_its_pixels_and_else_by_its_memory",
            DECODING,
            "    Image.MAX_IMAGE_PIXELS = max_pixels\n",
            "    Image.MAX_IMAGE_PIXELS = None\n",
        ),
        Fault(
            "the same, where pixels are not limited",
            "undecodable, by its memory",
            "test_images_guarded.py::test_a_bomb_hits_the_limit_and_its_neighbours_do_not_notice",
            GUARDED,
            "    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))\n",
            "",
        ),
        Fault(
            "a decoder that takes too long",
            "undecodable, by its time",
            "test_inspect_hostile.py::test_a_picture_that_takes_too_long_costs_one_row",
            GUARDED,
            "signal.setitimer(signal.ITIMER_REAL, limits.timeout_s)",
            "signal.setitimer(signal.ITIMER_REAL, 0)",
        ),
        Fault(
            "a decoder that crashes",
            "undecodable; its neighbours do not notice",
            "test_images_guarded.py::test_one_bad_item_costs_itself_and_nothing_else",
            GUARDED,
            "            except (EOFError, OSError):\n",
            "            except ZeroDivisionError:\n",
        ),
        Fault(
            "broken EXIF",
            "decoded",
            "test_inspect_hostile.py::test_broken_exif_does_not_cost_the_picture",
            DECODING,
            "with contextlib.suppress(Exception):",
            "with contextlib.suppress(ZeroDivisionError):",
        ),
        Fault(
            "EXIF, GPS, XMP, IPTC, comments, trailers",
            "taken out before anything is written",
            "test_web_fetcher.py::test_metadata_never_reaches_the_disk",
            FETCHER,
            "    if not terms.strip_metadata:\n",
            "    if True:\n",
        ),
        Fault(
            "a million blocks in one picture",
            "refused",
            "test_source_metadata.py::test_a_picture_of_a_million_blocks_takes_no_time",
            METADATA,
            *_off("if number >= MAX_BLOCKS:", 8),
        ),
        Fault(
            "names with `../`",
            "a member is named by its SHA-256",
            "test_fetch.py::test_members_are_named_by_their_content_and_held_once",
            "fetch.py",
            'yield f"{sha256}.{extension}"',
            'yield f"../{sha256}.{extension}"',
        ),
        Fault(
            "a link that leaves its folder",
            "refused",
            "test_fetch.py::test_every_row_ends_with_a_status",
            "sources/folder.py",
            *_off("if not path.resolve(strict=True).is_relative_to(folder.resolve()):", 8),
        ),
    ],
    "This machine": [
        Fault(
            "kill -9, at any moment",
            "the next run goes on; at most what was in flight is asked for twice",
            "test_web_fetcher.py::test_three_kills_lose_nothing_double_nothing_and_change_nothing",
            FETCHER,
            "if record is not None and not _usable(record, terms, bodies):",
            "if record is not None:",
        ),
        Fault(
            "a full disk",
            "one line; nothing half-written",
            "test_web_fetcher.py::test_a_full_disk_is_said_in_a_line_and_costs_nothing_but_time",
            SCRATCH,
            "        if error.errno not in (errno.ENOSPC, errno.EDQUOT):\n",
            "        if True:\n",
        ),
        Fault(
            "a damaged body on the disk",
            "found by its SHA-256, removed, fetched again",
            "test_web_scratch.py::test_a_damaged_body_is_found_out_and_removed",
            SCRATCH,
            *_off("if hashlib.sha256(content).hexdigest() != digest:", 8),
        ),
        Fault(
            "a second run with nothing new",
            "no request at all",
            "test_web_fetcher.py::test_a_second_run_asks_for_nothing",
            FETCHER,
            'return record["again"] == Again.NEVER.value',
            "return False",
        ),
    ],
}
ALL = [fault for faults in FAULTS.values() for fault in faults]


def as_markdown() -> str:
    """The table of docs/collecting.md."""
    head = "| what comes | how it ends | proven by, below tests/ |\n|---|---|---|\n"
    return head + "".join(
        f"| **{room}** | | |\n" + "".join(f"{fault.row}\n" for fault in faults) for room, faults in FAULTS.items()
    )
