"""Pictures a second and peak memory of fetching, beside img2dataset: both from one local nginx, politeness off.

    python -m benchmarks.fetch_speed --img2dataset PYTHON

PYTHON is the interpreter of an environment of its own that has img2dataset; nginx must be installed. Both tools get the same
URLs in shards of the same size, two processes and 64 connections each, and keep the bytes as they are (`resize_mode=no`). Ours
runs a process a shard, as Snakemake does, and checks and writes what the stage checks and writes. Rates: whole run, and between
the first and the last request in nginx's log. Then ours runs again with nothing new, and with ten times as many rows.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.sources.web.fetcher import Terms, Wanted, fetch
from pipeline.sources.web.forgotten import Forgotten
from pipeline.sources.web.params_draft import WebParams
from pipeline.sources.web.scratch import Bodies
from pipeline.store.shards import write_shard

PICTURES = 10_000
PROCESSES, CONNECTIONS = 2, 64
SHARD_ROWS = 5_000
PORT = 18_080
DRAWN = 100  # different pictures; the others differ in a comment, so that every body is its own
EVERYTHING_OFF = WebParams(
    contact="benchmark@localhost",
    delay_s=0.0,
    connections=CONNECTIONS,
    connections_per_host=CONNECTIONS,
    timeout_s=30.0,
    max_wait_s=30.0,
    retries=1,
    allow_loopback=True,
)
NGINX = """
worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit; daemon off;
events {{ worker_connections 1024; }}
http {{
  log_format moment '$msec $status $uri'; access_log {folder}/access.log moment buffer=64k flush=1s;
  sendfile on; keepalive_requests 1000000; types {{ image/jpeg jpg; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""
IMG2DATASET = """
from img2dataset import download
download(url_list={urls!r}, input_format="txt", output_folder={out!r}, output_format="webdataset", resize_mode="no",
         processes_count={processes}, thread_count={threads}, number_sample_per_shard={shard_rows}, enable_wandb=False,
         disable_all_reencoding={untouched})
"""


@dataclass(frozen=True)
class Run:
    """What one run took."""

    tool: str
    rows: int
    kept: int
    wall_s: float
    warm_s: float  # between the first and the last picture asked for
    asked: int  # pictures, by nginx's log
    peak_mb: float  # of all its processes together


def draw_pictures(folder: Path) -> None:
    """Write PICTURES JPEGs of about 25 KB, no two the same."""
    folder.mkdir()
    numbers = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWN):
        image = Image.fromarray(numbers.integers(0, 256, (12, 9, 3), dtype=np.uint8)).resize(
            (400, 533), Image.Resampling.BICUBIC
        )
        path = folder / "drawn.jpg"
        image.save(path, quality=88)
        drawn.append(path.read_bytes())
        path.unlink()
    for number in range(PICTURES):
        start, rest = drawn[number % DRAWN][:2], drawn[number % DRAWN][2:]
        (folder / f"{number:05d}.jpg").write_bytes(start + b"\xff\xfe\x00\x07%05d" % number + rest)


@contextmanager
def nginx(folder: Path) -> Iterator[None]:
    """A server of `folder`/www, gone after the block."""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=PORT), encoding="utf-8")
    folder.chmod(0o755)  # its worker is another user
    server = subprocess.Popen(["nginx", "-c", os.fspath(configuration)])
    time.sleep(1)
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def family_rss_bytes(pid: int) -> int:
    """Resident memory of a process and all its descendants."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(family_rss_bytes(int(child)) for child in children)


@contextmanager
def watched(peaks: list[int]) -> Iterator[None]:
    """A block during which the memory of this process's descendants is sampled; its peak is appended to `peaks`."""
    over = threading.Event()
    samples = [0]

    def sample() -> None:
        own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        while not over.wait(0.05):
            samples.append(sum(family_rss_bytes(int(child)) for child in own.read_text(encoding="ascii").split()))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        peaks.append(max(samples))


def requests_in(log: Path, offset: int) -> list[float]:
    """Moments in seconds of the pictures asked for since byte `offset` of nginx's log."""
    time.sleep(1.5)  # the log is flushed every second
    lines = log.read_bytes()[offset:].decode("ascii").splitlines()
    return sorted(float(line.split()[0]) for line in lines if line.endswith(".jpg"))


def fetch_one_shard(urls: Path, number: int, folder: Path) -> None:
    """Fetch and write shard `number` of the list `urls`; a process of its own runs this."""
    lines = urls.read_text(encoding="ascii").split()[number * SHARD_ROWS : (number + 1) * SHARD_ROWS]
    rows = [Wanted(hashlib.sha256(url.encode()).hexdigest()[:16], url, None) for url in lines]
    terms = Terms(EVERYTHING_OFF, 20_000_000, False, None, False, Forgotten())
    outcomes = fetch(rows, terms, folder / "scratch", f"{number:05d}", progress=lambda _: None)
    bodies = Bodies(folder / "scratch" / "bodies")
    kept = {outcome.sha256: outcome.extension for outcome in outcomes.values() if outcome.sha256 is not None}
    write_shard(folder / f"{number:05d}.tar", ((f"{sha}.{end}", bodies.get(sha)) for sha, end in sorted(kept.items())))
    table = pd.DataFrame([{"key": row.key, "url": row.url, **asdict(outcomes[row.key])} for row in rows])
    table.to_parquet(folder / f"{number:05d}.parquet")


def our_commands(urls: Path, count: int, folder: Path) -> list[list[str]]:
    """A command for each shard."""
    folder.mkdir(exist_ok=True)
    me = [sys.executable, "-m", "benchmarks.fetch_speed", "--urls", os.fspath(urls), "--folder", os.fspath(folder), "--shard"]
    return [[*me, str(number)] for number in range(-(-count // SHARD_ROWS))]


def run_all(commands: list[list[str]]) -> None:
    """Run `commands`, PROCESSES at a time."""
    waiting = list(commands)
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        while waiting and len(running) < PROCESSES:
            running.append(subprocess.Popen(waiting.pop(0), stdout=subprocess.DEVNULL))
        for process in [process for process in running if process.poll() is not None]:
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, process.args)
            running.remove(process)
        time.sleep(0.01)


def measured(tool: str, rows: int, commands: list[list[str]], log: Path, tables: Path) -> Run:
    """What running `commands` takes; the tables in `tables` say how many pictures were kept."""
    offset = log.stat().st_size
    peaks: list[int] = []
    started = time.perf_counter()
    with watched(peaks):
        run_all(commands)
    wall_s = time.perf_counter() - started
    moments = requests_in(log, offset)
    statuses = pd.concat([pd.read_parquet(path, columns=["status"]) for path in tables.glob("*.parquet")])["status"]
    kept = int(statuses.isin(["ok", "success"]).sum())
    warm_s = moments[-1] - moments[0] if moments else 0.0
    return Run(tool, rows, kept, wall_s, warm_s, len(moments), max(peaks) / 1e6)


def row_of(run: Run) -> str:
    """One row of the table."""
    warm = f"{run.asked / run.warm_s:.0f}" if run.warm_s else "–"
    counts = f"{run.rows:,} | {run.kept:,} | {run.asked:,}"
    return f"| {run.tool} | {counts} | {run.wall_s:.1f} | {run.kept / run.wall_s:.0f} | {warm} | {run.peak_mb:.0f} |\n"


def compare(img2dataset: Path | None, more_rows: int) -> None:
    """Print the table."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw_pictures(folder / "www")
        log = folder / "access.log"
        sys.stdout.write(
            "| tool | rows | kept | asked for | s | pictures/s | warm, pictures/s | peak MB |\n" + "|---" * 8 + "|\n"
        )
        with nginx(folder):
            urls = folder / "urls.txt"
            base = f"http://127.0.0.1:{PORT}"
            urls.write_text("".join(f"{base}/{number:05d}.jpg\n" for number in range(PICTURES)), encoding="ascii")
            if img2dataset is not None:
                for untouched, name in ((False, "img2dataset"), (True, "img2dataset, disable_all_reencoding")):
                    out = folder / f"img2dataset-{untouched}"
                    code = IMG2DATASET.format(
                        urls=os.fspath(urls),
                        out=os.fspath(out),
                        processes=PROCESSES,
                        threads=CONNECTIONS,
                        shard_rows=SHARD_ROWS,
                        untouched=untouched,
                    )
                    sys.stdout.write(row_of(measured(name, PICTURES, [[os.fspath(img2dataset), "-c", code]], log, out)))
            ours = folder / "ours"
            sys.stdout.write(row_of(measured("atelier", PICTURES, our_commands(urls, PICTURES, ours), log, ours)))
            sys.stdout.write(row_of(measured("atelier, again", PICTURES, our_commands(urls, PICTURES, ours), log, ours)))
            if more_rows:
                many = folder / "many.txt"
                many.write_text("".join(f"{base}/{n % PICTURES:05d}.jpg?{n}\n" for n in range(more_rows)), encoding="ascii")
                other = folder / "more"
                sys.stdout.write(row_of(measured("atelier", more_rows, our_commands(many, more_rows, other), log, other)))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img2dataset", type=Path, help="interpreter of an environment that has img2dataset")
    parser.add_argument("--more-rows", type=int, default=100_000, help="rows of the last run; 0: none")
    parser.add_argument("--urls", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--shard", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.shard is not None:
        fetch_one_shard(options.urls, options.shard, options.folder)
    else:
        compare(options.img2dataset, options.more_rows)


if __name__ == "__main__":
    main()
