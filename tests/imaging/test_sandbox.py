import io
import os
import signal
import time
import zlib
from functools import partial

import pytest
from PIL import Image

from pipeline.imaging.sandbox import BATCH, SandboxFailure, SandboxLimits, sandboxed_map, sandboxed_map_by_key

LIMITS = SandboxLimits(memory_bytes=300_000_000, timeout_s=20.0)


def misbehave(item: int) -> int:
    """Twice `item`; some items crash the process."""
    match item:
        case 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 30:
            os._exit(7)
        case 31:
            return len(bytearray(10_000_000_000))
    return 2 * item


def slow(item: int) -> int:
    """`item`; item 2 takes a minute."""
    if item == 2:
        time.sleep(60)
    return item


def wrong(item: int) -> int:
    """Raises IndexError."""
    return [][item]


def blas_threads(_: int) -> str | None:
    """The BLAS threads of the process."""
    return os.environ.get("OPENBLAS_NUM_THREADS")


def pixels(content: bytes) -> int:
    """The number of pixels of a picture, decoded whole."""
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.width * image.height


def test_crashing_item_fails_and_its_neighbours_succeed() -> None:
    results = list(sandboxed_map(misbehave, range(3 * BATCH), LIMITS, 2))
    assert results[3] == SandboxFailure("its process died (SIGSEGV)")
    assert results[30] == SandboxFailure("its process died (exit status 7)")
    assert results[31] == SandboxFailure("needs more than 300000000 bytes of memory")
    assert [result for result in results if not isinstance(result, SandboxFailure)] == [
        2 * item for item in range(3 * BATCH) if item not in (3, 30, 31)
    ]


def test_slow_item_is_killed() -> None:
    started = time.perf_counter()
    results = list(sandboxed_map(slow, range(4), SandboxLimits(300_000_000, timeout_s=3.0), 1))
    assert results == [0, 1, SandboxFailure("took longer than 3 s"), 3]
    assert time.perf_counter() - started < 50


def test_exception_of_the_work_is_raised() -> None:
    with pytest.raises(IndexError):
        list(sandboxed_map(wrong, [1], LIMITS, 1))


def test_results_are_in_order_with_three_processes() -> None:
    assert list(sandboxed_map(partial(pow, 2), range(100), LIMITS, 3)) == [2**item for item in range(100)]


def test_process_uses_one_blas_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    assert list(sandboxed_map(blas_threads, [0], LIMITS, 1)) == ["1"]
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_no_items_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.imaging.sandbox._Pool", None)
    assert list(sandboxed_map(misbehave, [], LIMITS, 1)) == []


def bomb() -> bytes:
    """A PNG of 21 KB that decodes to 177 megapixels."""
    side = 13_300

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(bytes((side // 8 + 2) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_decompression_bomb_fails_and_its_neighbours_succeed() -> None:
    small = io.BytesIO()
    Image.new("RGB", (30, 20)).save(small, "PNG")
    content = bomb()
    assert len(content) < 25_000
    results = list(sandboxed_map(pixels, [small.getvalue(), content, small.getvalue()], SandboxLimits(100_000_000, 20.0), 1))
    assert results == [600, SandboxFailure("needs more than 100000000 bytes of memory"), 600]


def length(content: bytes) -> int:
    """The number of bytes."""
    return len(content)


def test_item_larger_than_the_memory_limit_fails_and_its_neighbours_succeed() -> None:
    items = [b"small", bytes(200_000_000), b"little"]
    limits = SandboxLimits(100_000_000, 20.0)
    assert list(sandboxed_map(length, items, limits, 1)) == [5, SandboxFailure("needs more than 100000000 bytes of memory"), 6]


def test_results_by_key_are_in_order() -> None:
    pairs = [(str(number), bytes(number)) for number in range(3 * BATCH)]
    results = list(sandboxed_map_by_key(length, pairs, LIMITS, 2, batch=3))
    assert results == [(str(number), number) for number in range(3 * BATCH)]
