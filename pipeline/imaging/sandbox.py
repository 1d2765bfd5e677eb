"""Work on bytes of any origin, done in processes that may die: each is limited in memory and time, and costs one item at most.

A decoder that asks for ten gigabytes gets an error, one that never ends is ended, one that crashes takes only itself along.
The processes live on from item to item: starting one for each would cost more than most decoding does.
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

BATCH = 16  # items a process is given at once, at most, to share the cost of handing over
AHEAD = 4  # batches under way for each process: what is done early waits for what is late
# A fork of a large parent would start out with all its memory; a fork of a server that has only imported the work does not.
FORKS = get_context("forkserver")
OUT_OF_MEMORY = 77  # exit status of a process that cannot even take in its items
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class SandboxFailure:
    """What became of an item that broke a limit, or its process."""

    reason: str


@dataclass(frozen=True)
class SandboxLimits:
    """What one process may use."""

    memory_bytes: int  # beyond what it has when it starts
    timeout_s: float  # for one item


def sandboxed_map(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    limits: SandboxLimits,
    processes: int,
    batch: int = BATCH,
) -> Generator[Result | SandboxFailure, None, None]:
    """`work` of each of `items`, in their order, done in so many processes; Lost for an item that broke a limit.

    `work` must be importable by name, or a `functools.partial` of what is. What it raises is raised here, MemoryError excepted.
    At most AHEAD batches of results for each process wait to be taken: where results are large, `batch` should be small.
    """
    rest = iter(items)
    if not (first := list(itertools.islice(rest, 1))):
        return  # and no process was started
    _start_server(_module_of(work))
    pool = _Pool(work, limits, processes, batch)
    try:
        yield from pool.results(itertools.chain(first, rest))
    finally:
        pool.stop()


def guarded_by_key(
    work: Callable[[Item], Result],
    pairs: Iterable[tuple[Key, Item]],
    limits: SandboxLimits,
    processes: int,
    batch: int = BATCH,
) -> Generator[tuple[Key, Result | SandboxFailure], None, None]:
    """(key, what `guarded` gives for the item) of each (key, item) in `pairs`; the keys stay in this process."""
    keys: deque[Key] = deque()

    def items() -> Iterator[Item]:
        for key, item in pairs:
            keys.append(key)
            yield item

    with contextlib.closing(sandboxed_map(work, items(), limits, processes, batch)) as results:
        for result in results:
            yield keys.popleft(), result


def _start_server(module: str) -> None:
    """Start what the processes fork from, with `module` imported, unless it runs: each is for one core, and so is its BLAS."""
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
    """Neighbouring items."""

    first: int  # place of the first among all
    items: list[Item]


class _Worker(Generic[Item, Result]):
    """A process that works on one batch at a time."""

    def __init__(self, work: Callable[[Item], Result], limits: SandboxLimits) -> None:
        self.batch: _Batch[Item] | None = None
        self.pipe, theirs = FORKS.Pipe()
        self._limits = limits
        self._process: BaseProcess = FORKS.Process(target=_serve, args=(work, limits, theirs), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends when the process does

    def give(self, batch: _Batch[Item]) -> None:
        """Have `batch` worked on."""
        self.batch = batch
        with contextlib.suppress(BrokenPipeError):  # it died idle, which the end of its pipe will tell
            self.pipe.send(batch.items)

    def stop(self) -> None:
        """End the process."""
        self.pipe.close()
        self._process.kill()
        self._process.join()

    def exit_reason(self) -> str:
        """How the process, whose pipe has ended, died."""
        self._process.join()
        code = self._process.exitcode or 0
        if code == -signal.SIGALRM:
            return f"took longer than {self._limits.timeout_s:g} s"
        if code == OUT_OF_MEMORY:
            return _too_much_memory(self._limits)
        return f"its process died ({signal.Signals(-code).name if code < 0 else f'exit status {code}'})"


class _Pool(Generic[Item, Result]):
    """Workers, what they have done, and what waits to be tried again."""

    def __init__(self, work: Callable[[Item], Result], limits: SandboxLimits, processes: int, batch: int) -> None:
        self._batch = batch
        self._work = work
        self._limits = limits
        self._workers = [self._worker() for _ in range(processes)]
        self._alone: deque[_Batch[Item]] = deque()  # items of a batch that killed its process: one of them did it
        self._done: dict[int, list[Result | SandboxFailure]] = {}

    def results(self, items: Iterable[Item]) -> Iterator[Result | SandboxFailure]:
        """What came of each of `items`, in their order."""
        numbered = enumerate(items)
        place = 0
        while True:
            self._hand_out(numbered)
            if (results := self._done.pop(place, None)) is not None:
                place += len(results)
                yield from results
            elif any(worker.batch is not None for worker in self._workers):
                self._take_in()
            else:
                return

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.stop()

    def _worker(self) -> _Worker[Item, Result]:
        return _Worker(self._work, self._limits)

    def _hand_out(self, numbered: Iterator[tuple[int, Item]]) -> None:
        for worker in self._workers:
            if worker.batch is not None:
                continue
            if self._alone:
                worker.give(self._alone.popleft())
            elif len(self._done) < AHEAD * len(self._workers) and (pairs := list(itertools.islice(numbered, self._batch))):
                worker.give(_Batch(pairs[0][0], [item for _, item in pairs]))

    def _take_in(self) -> None:
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
        """Replace a worker that died over `batch`."""
        reason = self._workers[index].exit_reason()
        self._workers[index].stop()
        self._workers[index] = self._worker()
        if len(batch.items) == 1:
            self._done[batch.first] = [SandboxFailure(reason)]
        else:
            self._alone.extend(_Batch(batch.first + place, [item]) for place, item in enumerate(batch.items))


def _serve(work: Callable[[Item], Result], limits: SandboxLimits, pipe: Connection) -> None:
    """Work on what comes through `pipe` until it ends; in the worker's process."""
    pages_in_use = int(Path("/proc/self/statm").read_text().split()[0])
    ceiling = pages_in_use * resource.getpagesize() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # codecs write there, hundreds of lines for one file; what counts is returned
    while True:
        try:
            items: list[Item] = pipe.recv()
        except EOFError:
            return
        except MemoryError:
            os._exit(OUT_OF_MEMORY)  # the pipe still holds the rest: there is no going on
        # The default action of SIGALRM ends the process even deep in a decoder that never comes back to Python.
        signal.setitimer(signal.ITIMER_REAL, limits.timeout_s)
        reply: object
        try:
            reply = [_within_memory(work, item, limits) for item in items]
        except Exception as error:  # for the parent to raise
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
