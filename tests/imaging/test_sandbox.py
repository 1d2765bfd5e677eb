import io
import os
import signal
import time
import zlib
from functools import partial

import pytest
from PIL import Image

from pipeline.imaging.sandbox import BATCH, SandboxFailure, SandboxLimits, guarded_by_key, sandboxed_map

LIMITS = SandboxLimits(memory_bytes=300_000_000, timeout_s=20.0)


def misbehave(item: int) -> int:
    """Twice `item`, unless it is one of those that break a process."""
    match item:
        case 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 30:
            os._exit(7)
        case 31:
            return len(bytearray(10_000_000_000))
    return 2 * item


def slow(item: int) -> int:
    """`item`, or nothing for a minute."""
    if item == 2:
        time.sleep(60)
    return item


def wrong(item: int) -> int:
    """A mistake in the code."""
    return [][item]


def blas_threads(_: int) -> str | None:
    """With how many threads a process multiplies matrices."""
    return os.environ.get("OPENBLAS_NUM_THREADS")


def pixels(content: bytes) -> int:
    """The number of pixels of a picture, decoded whole."""
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.width * image.height


def test_one_bad_item_costs_itself_and_nothing_else() -> None:
    results = list(sandboxed_map(misbehave, range(3 * BATCH), LIMITS, 2))
    assert results[3] == SandboxFailure("its process died (SIGSEGV)")
    assert results[30] == SandboxFailure("its process died (exit status 7)")
    assert results[31] == SandboxFailure("needs more than 300000000 bytes of memory")
    assert [result for result in results if not isinstance(result, SandboxFailure)] == [
        2 * item for item in range(3 * BATCH) if item not in (3, 30, 31)
    ]


def test_what_takes_too_long_is_ended() -> None:
    started = time.perf_counter()
    results = list(sandboxed_map(slow, range(4), SandboxLimits(300_000_000, timeout_s=3.0), 1))
    assert results == [0, 1, SandboxFailure("took longer than 3 s"), 3]
    assert time.perf_counter() - started < 50


def test_a_mistake_in_the_work_is_raised_and_not_hidden() -> None:
    with pytest.raises(IndexError):
        list(sandboxed_map(wrong, [1], LIMITS, 1))


def test_results_come_in_order_however_many_processes_there_are() -> None:
    assert list(sandboxed_map(partial(pow, 2), range(100), LIMITS, 3)) == [2**item for item in range(100)]


def test_a_process_is_for_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    assert list(sandboxed_map(blas_threads, [0], LIMITS, 1)) == ["1"]
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_nothing_in_nothing_out_and_no_process_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.imaging.sandbox._Pool", None)
    assert list(sandboxed_map(misbehave, [], LIMITS, 1)) == []


def bomb() -> bytes:
    """A PNG of 21 KB that unfolds to 177 megapixels."""
    side = 13_300

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(bytes((side // 8 + 2) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_bomb_hits_the_limit_and_its_neighbours_do_not_notice() -> None:
    small = io.BytesIO()
    Image.new("RGB", (30, 20)).save(small, "PNG")
    content = bomb()
    assert len(content) < 25_000
    results = list(sandboxed_map(pixels, [small.getvalue(), content, small.getvalue()], SandboxLimits(100_000_000, 20.0), 1))
    assert results == [600, SandboxFailure("needs more than 100000000 bytes of memory"), 600]


def length(content: bytes) -> int:
    """How many bytes there are."""
    return len(content)


def test_items_too_large_for_the_memory_are_lost_and_their_neighbours_are_not() -> None:
    items = [b"small", bytes(200_000_000), b"little"]
    limits = SandboxLimits(100_000_000, 20.0)
    assert list(sandboxed_map(length, items, limits, 1)) == [5, SandboxFailure("needs more than 100000000 bytes of memory"), 6]


def test_results_come_with_their_keys_in_order() -> None:
    pairs = [(str(number), bytes(number)) for number in range(3 * BATCH)]
    results = list(guarded_by_key(length, pairs, LIMITS, 2, batch=3))
    assert results == [(str(number), number) for number in range(3 * BATCH)]
