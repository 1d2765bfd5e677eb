"""Many designers at once: errors, latency and memory of a studio that this command starts on loopback and stops again.

Each client asks for a wall of sixteen as soon as the last one came. With --slow, so many further clients send the head of a
request a byte a second. First, one client alone: the wall after a click, and a slider.

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


async def _ask(port: int, path: str, body: object) -> tuple[int, dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + content)
    answer = await reader.read()
    writer.close()
    first, _, rest = answer.partition(b"\r\n\r\n")
    return int(first.split(b" ", 2)[1]), json.loads(rest)


async def _alone(port: int, path: str, body: object, times: int) -> list[float]:
    took = []
    for _ in range(times):
        started = time.perf_counter()
        await _ask(port, path, body)
        took.append(1e3 * (time.perf_counter() - started))
    return took


async def _designer(port: int, number: int, until: float, took_ms: list[float], errors: list[str]) -> None:
    seed = number * 100_000
    while time.perf_counter() < until:
        seed += 1
        started = time.perf_counter()
        try:
            status, _ = await _ask(port, "/api/wall", {"seed": seed, "count": 16})
            if status != 200:
                errors.append(str(status))
        except (OSError, ValueError, IndexError) as error:
            errors.append(type(error).__name__)
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
    print(f"{'one client, then many':<34} {'asks':>7} {'p50 ms':>9} {'p95 ms':>9} {'max ms':>9}")
    wall = {"seed": 1, "count": 16}
    await _alone(port, "/api/wall", wall, 3)
    print(_row("wall of 16", await _alone(port, "/api/wall", wall, 30)))
    _, answer = await _ask(port, "/api/wall", {"seed": 1, "count": 1})
    addresses = answer["addresses"]
    assert isinstance(addresses, list)
    move = {"address": addresses[0], "amounts": {"closed-form-1": 1.0}}
    await _alone(port, "/api/move", move, 1)
    slider = await _alone(port, "/api/move", move, 60)
    print(_row(f"slider ({1e3 / np.mean(slider):.0f} a second)", slider))
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
    from pipeline.studio.serve import listening_socket, server_of

    server = server_of(Path(arguments[1]), state=Path(arguments[2]))
    with listening_socket("127.0.0.1", 0) as bound:
        bound.listen()
        print(bound.getsockname()[1], flush=True)
        server.run([bound])


if __name__ == "__main__":
    main()
