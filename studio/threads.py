"""Thread pools that run blocking work outside the event loop, one pool for each kind of work."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from studio.jobs import BusyError

MAX_WAITING = 256  # calls in all pools together; further ones raise BusyError

P = ParamSpec("P")
T = TypeVar("T")


class WorkerThreads:
    """Pools for drawing, for work that takes seconds, for the database and for decoding. All methods raise BusyError."""

    def __init__(self) -> None:
        self._draw = ThreadPoolExecutor(2, "draw")
        self._slow = ThreadPoolExecutor(1, "slow")
        self._database = ThreadPoolExecutor(1, "database")
        self._decode = ThreadPoolExecutor(2, "decode")
        self._waiting = 0

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting >= MAX_WAITING:
            raise BusyError("the studio is busy; try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, lambda: call(*args, **kwargs))
        finally:
            self._waiting -= 1

    async def draw(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that draws garments."""
        return await self._run(self._draw, call, *args, **kwargs)

    async def slow(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that takes seconds."""
        return await self._run(self._slow, call, *args, **kwargs)

    async def database(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that waits for the disk."""
        return await self._run(self._database, call, *args, **kwargs)

    async def decode(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that decodes or encodes an image."""
        return await self._run(self._decode, call, *args, **kwargs)

    def close(self) -> None:
        """Drop what waits and return when the running calls have finished."""
        for pool in (self._draw, self._slow, self._database, self._decode):
            pool.shutdown(cancel_futures=True)
