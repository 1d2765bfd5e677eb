"""What a host asks for holds for every process, however long it is and whatever the delay."""

import asyncio
from pathlib import Path

import pytest

from pipeline.web.rate_limiter import HostRateLimiter
from pipeline.web.responses import FailedError


@pytest.mark.parametrize("seconds", [61, 86_400, 86_401, 10**9])
def test_a_host_that_asks_for_a_long_pause_is_not_asked_by_another_process_without_delay(tmp_path: Path, seconds: int) -> None:
    one, other = (HostRateLimiter(tmp_path, max_wait_s=60) for _ in range(2))
    with pytest.raises(FailedError, match=f"come back in {seconds} s"):
        one.hold("a.example", seconds)
    for delay_s in (0, 0.01):
        with pytest.raises(FailedError, match="come back in"):
            asyncio.run(other.acquire("a.example", delay_s))
    asyncio.run(other.acquire("b.example", 0))
