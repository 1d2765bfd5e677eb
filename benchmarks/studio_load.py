"""Many designers at once: errors, latency and memory of a studio that this command runs on loopback.

Each client requests sixteen garments as soon as the last response has arrived. With --slow, further clients send a request's
header at one byte per second. First, a single client measures a click and a slider.

    python -m benchmarks.studio_load models/export --clients 50 --seconds 60 --slow 200
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MAX_CLIENTS, MAX_SECONDS = 200, 120
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class _Browser:
    """A client that keeps its connection open, as browsers do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def at(cls, port: int) -> "_Browser":
        """A client of the studio on `port`."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def request(self, path: str, body: object) -> tuple[int, dict[str, object]]:
        """Status code and body of the response."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        answer = await self._reader.readexactly(int(headers["content-length"]))
        return int(first.split(" ", 2)[1]), json.loads(answer)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def _alone(browser: _Browser, path: str, body: object, times: int) -> list[float]:
    took = []
    for _ in range(times):
        started = time.perf_counter()
        await browser.request(path, body)
        took.append(1e3 * (time.perf_counter() - started))
    return took


async def _designer(port: int, number: int, until: float, took_ms: list[float], errors: list[str]) -> None:
    seed = number * 100_000
    browser = None
    while time.perf_counter() < until:
        seed += 1
        started = time.perf_counter()
        try:
            browser = browser or await _Browser.at(port)
            status, _ = await browser.request("/api/grid", {"seed": seed, "count": 16})
            if status != 200:
                errors.append(str(status))
        except (OSError, EOFError, ValueError) as error:
            errors.append(type(error).__name__)
            browser = None
        took_ms.append(1e3 * (time.perf_counter() - started))


async def _dawdler(port: int, until: float) -> None:
    while time.perf_counter() < until:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            for letter in b"GET / HTTP/1.1\r\nX-Slow: " + b"x" * MAX_SECONDS:
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(min(1.0, max(until - time.perf_counter(), 0)))
                if time.perf_counter() >= until:
                    break
            writer.close()
        except OSError:
            await asyncio.sleep(0.1)


def _resident_mib(process_id: int) -> float:
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


def _row(name: str, took_ms: list[float]) -> str:
    middle, most, worst = np.percentile(took_ms, [50, 95, 100])
    return f"{name:<34} {len(took_ms):>7} {middle:>9.1f} {most:>9.1f} {worst:>9.1f}"


async def _measure(port: int, process_id: int, clients: int, seconds: int, slow: int) -> None:
    print(f"{'one client, then many':<34} {'count':>7} {'p50 ms':>9} {'p95 ms':>9} {'max ms':>9}")
    browser = await _Browser.at(port)
    grid = {"seed": 1, "count": 16}
    await _alone(browser, "/api/grid", grid, 3)
    print(_row("grid of 16", await _alone(browser, "/api/grid", grid, 30)))
    _, answer = await browser.request("/api/grid", {"seed": 1, "count": 1})
    addresses = answer["addresses"]
    assert isinstance(addresses, list)
    move = {"address": addresses[0], "amounts": {"closed-form-1": 1.0}}
    await _alone(browser, "/api/move", move, 1)
    slider = await _alone(browser, "/api/move", move, 60)
    print(_row(f"slider ({1e3 / np.mean(slider):.0f} a second)", slider))
    browser.close()
    before = _resident_mib(process_id)
    took_ms: list[float] = []
    errors: list[str] = []
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(_designer(port, number, until, took_ms, errors))
        for _ in range(slow):
            group.create_task(_dawdler(port, until))
    print(_row(f"{clients} clients, {slow} slow ones, {seconds} s", took_ms))
    print(f"errors: {len(errors)} {sorted(set(errors))}")
    print(f"resident: {before:.0f} MiB before, {_resident_mib(process_id):.0f} MiB after")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/export"))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--slow", type=int, default=0)
    options = parser.parse_args()
    clients, seconds = min(options.clients, MAX_CLIENTS), min(options.seconds, MAX_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "import sys; from benchmarks.studio_load import _serve; _serve(sys.argv)"]
        command += [str(options.model), f"{folder}/studio.sqlite"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            asyncio.run(_measure(port, server.pid, clients, seconds, min(options.slow, 2 * MAX_CLIENTS)))
        finally:
            server.terminate()
            server.wait()


def _serve(arguments: list[str]) -> None:
    from studio.serve import listening_socket, server_of

    server = server_of(Path(arguments[1]), state=Path(arguments[2]))
    with listening_socket("127.0.0.1", 0) as bound:
        bound.listen()
        print(bound.getsockname()[1], flush=True)
        server.run([bound])


if __name__ == "__main__":
    main()
