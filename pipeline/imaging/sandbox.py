"""Run untrusted work in memory- and time-limited subprocesses.

A decoder that asks for ten gigabytes gets an error, one that hangs is killed, and one that crashes loses only its own item.
The processes are reused: starting one per item would cost more than most decoding does.
"""

import contextlib
import itertools
import os
import resource
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH = 16  # items sent to a process in one message, at most
AHEAD = 4  # finished batches kept per process while an earlier batch is late
# A fork of a large parent would start with all of its memory; a fork of a server that has only imported the work does not.
FORKS = get_context("forkserver")
OUT_OF_MEMORY = 77  # exit status of a process that cannot even receive its items
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class SandboxFailure:
    """The result for an item that exceeded a limit or crashed its process."""

    reason: str


@dataclass(frozen=True)
class SandboxLimits:
    """Limits of one process."""

    memory_bytes: int  # in addition to what the process has when it starts
    timeout_s: float  # per item


def sandboxed_map(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    limits: SandboxLimits,
    processes: int,
    batch: int = BATCH,
) -> Generator[Result | SandboxFailure, None, None]:
    """`work(item)` for each of `items`, in order, in `processes` sandboxes; a SandboxFailure for an item that exceeded a limit.

    `work` must be importable by name, or a `functools.partial` of such a function. Its exceptions are raised here, except
    MemoryError. Up to AHEAD batches of results per process are buffered, so use a small `batch` for large results.
    """
    rest = iter(items)
    if not (first := list(itertools.islice(rest, 1))):
        return  # without starting a process
    _start_server(_module_of(work))
    pool = _Pool(work, limits, processes, batch)
    try:
        yield from pool.results(itertools.chain(first, rest))
    finally:
        pool.stop()


def sandboxed_map_by_key(
    work: Callable[[Item], Result],
    pairs: Iterable[tuple[Key, Item]],
    limits: SandboxLimits,
    processes: int,
    batch: int = BATCH,
) -> Generator[tuple[Key, Result | SandboxFailure], None, None]:
    """(key, result of `sandboxed_map` for the item) for each (key, item) in `pairs`; the keys stay in this process."""
    keys: deque[Key] = deque()

    def items() -> Iterator[Item]:
        for key, item in pairs:
            keys.append(key)
            yield item

    with contextlib.closing(sandboxed_map(work, items(), limits, processes, batch)) as results:
        for result in results:
            yield keys.popleft(), result


def _start_server(module: str) -> None:
    """Start the fork server with `module` imported, unless it runs; limit BLAS to one thread per process."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        FORKS.set_forkserver_preload([module])
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _module_of(work: Callable[[Item], Result]) -> str:
    return work.func.__module__ if isinstance(work, partial) else work.__module__


@dataclass(frozen=True)
class _Batch(Generic[Item]):
    """Consecutive items."""

    first: int  # index of the first item
    items: list[Item]


class _Worker(Generic[Item, Result]):
    """A process that works on one batch at a time."""

    def __init__(self, work: Callable[[Item], Result], limits: SandboxLimits) -> None:
        self.batch: _Batch[Item] | None = None
        self.pipe, theirs = FORKS.Pipe()
        self._limits = limits
        self._process: BaseProcess = FORKS.Process(target=_serve, args=(work, limits, theirs), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe closes when the process ends

    def send(self, batch: _Batch[Item]) -> None:
        """Send `batch` to the process."""
        self.batch = batch
        with contextlib.suppress(BrokenPipeError):  # the process died while idle; recv() will report it
            self.pipe.send(batch.items)

    def stop(self) -> None:
        """End the process."""
        self.pipe.close()
        self._process.kill()
        self._process.join()

    def exit_reason(self) -> str:
        """Why the process, whose pipe has closed, ended."""
        self._process.join()
        code = self._process.exitcode or 0
        if code == -signal.SIGALRM:
            return f"took longer than {self._limits.timeout_s:g} s"
        if code == OUT_OF_MEMORY:
            return _too_much_memory(self._limits)
        return f"its process died ({signal.Signals(-code).name if code < 0 else f'exit status {code}'})"


class _Pool(Generic[Item, Result]):
    """Workers, finished results, and items to be retried."""

    def __init__(self, work: Callable[[Item], Result], limits: SandboxLimits, processes: int, batch: int) -> None:
        self._batch = batch
        self._work = work
        self._limits = limits
        self._workers = [self._worker() for _ in range(processes)]
        self._retries: deque[_Batch[Item]] = deque()  # single items of batches that killed their process
        self._done: dict[int, list[Result | SandboxFailure]] = {}

    def results(self, items: Iterable[Item]) -> Iterator[Result | SandboxFailure]:
        """The result for each of `items`, in order."""
        numbered = enumerate(items)
        index = 0
        while True:
            self._dispatch(numbered)
            if (results := self._done.pop(index, None)) is not None:
                index += len(results)
                yield from results
            elif any(worker.batch is not None for worker in self._workers):
                self._collect()
            else:
                return

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.stop()

    def _worker(self) -> _Worker[Item, Result]:
        return _Worker(self._work, self._limits)

    def _dispatch(self, numbered: Iterator[tuple[int, Item]]) -> None:
        for worker in self._workers:
            if worker.batch is not None:
                continue
            if self._retries:
                worker.send(self._retries.popleft())
            elif len(self._done) < AHEAD * len(self._workers) and (pairs := list(itertools.islice(numbered, self._batch))):
                worker.send(_Batch(pairs[0][0], [item for _, item in pairs]))

    def _collect(self) -> None:
        busy = {worker.pipe: index for index, worker in enumerate(self._workers) if worker.batch is not None}
        for pipe in wait(list(busy)):
            assert isinstance(pipe, Connection)
            worker = self._workers[busy[pipe]]
            batch, worker.batch = worker.batch, None
            assert batch is not None
            try:
                reply = pipe.recv()
            except (EOFError, OSError):
                self._replace_worker(busy[pipe], batch)
                continue
            if isinstance(reply, BaseException):
                raise reply
            self._done[batch.first] = reply

    def _replace_worker(self, index: int, batch: _Batch[Item]) -> None:
        """Replace a worker that died while it worked on `batch`, and retry the items one by one."""
        reason = self._workers[index].exit_reason()
        self._workers[index].stop()
        self._workers[index] = self._worker()
        if len(batch.items) == 1:
            self._done[batch.first] = [SandboxFailure(reason)]
        else:
            self._retries.extend(_Batch(batch.first + place, [item]) for place, item in enumerate(batch.items))


def _serve(work: Callable[[Item], Result], limits: SandboxLimits, pipe: Connection) -> None:
    """Answer the batches from `pipe` until it closes; runs in the worker's process."""
    pages_in_use = int(Path("/proc/self/statm").read_text().split()[0])
    ceiling = pages_in_use * resource.getpagesize() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # codecs print hundreds of lines for one file
    while True:
        try:
            items: list[Item] = pipe.recv()
        except EOFError:
            return
        except MemoryError:
            os._exit(OUT_OF_MEMORY)  # the rest of the message is still in the pipe
        # The default action of SIGALRM ends the process even inside a decoder that never returns to Python.
        signal.setitimer(signal.ITIMER_REAL, limits.timeout_s)
        reply: object
        try:
            reply = [_within_memory(work, item, limits) for item in items]
        except Exception as error:  # the parent raises it
            reply = error
        signal.setitimer(signal.ITIMER_REAL, 0)
        pipe.send(reply)


def _within_memory(work: Callable[[Item], Result], item: Item, limits: SandboxLimits) -> Result | SandboxFailure:
    try:
        return work(item)
    except MemoryError:
        return SandboxFailure(_too_much_memory(limits))


def _too_much_memory(limits: SandboxLimits) -> str:
    return f"needs more than {limits.memory_bytes} bytes of memory"
