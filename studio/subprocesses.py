"""Work done in a process of its own, which may crash, hang or eat memory without anybody else noticing."""

import multiprocessing
import os
import resource
from collections.abc import Callable, Generator, Iterator
from multiprocessing.connection import Connection
from typing import Any

NICENESS = 5
_SPAWN = multiprocessing.get_context("spawn")  # a fork of a process with threads can deadlock


class ChildError(Exception):
    """The child died, ran too long, or raised; the text says which."""


def _child(pipe: Connection, memory_bytes: int, work: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    try:
        for result in work(*arguments):
            pipe.send((True, result))
        pipe.send((True, None))
    except Exception as error:  # whatever it is, the parent must hear of it
        pipe.send((False, f"{type(error).__name__}: {error}"[:500]))


def results_of_child(
    work: Callable[..., Iterator[Any]], *arguments: Any, timeout_s: float, memory_bytes: int
) -> Generator[Any, None, None]:
    """What `work(*arguments)` yields (never None), as it does so in a child; the child ends when the iterator is closed.

    Raises ChildError when the child dies, raises, or says nothing for `timeout_s`.
    """
    ours, theirs = _SPAWN.Pipe(duplex=False)
    child = _SPAWN.Process(target=_child, args=(theirs, memory_bytes, work, arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        while True:
            if not ours.poll(timeout_s):
                raise ChildError(f"nothing for {timeout_s:g} s")
            try:
                well, result = ours.recv()
            except EOFError:
                raise ChildError("the process died") from None
            if not well:
                raise ChildError(result)
            if result is None:
                return
            yield result
    finally:
        ours.close()
        child.kill()
        child.join()
        child.close()
