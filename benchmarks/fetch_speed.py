"""Images per second and peak memory of fetching, compared with img2dataset: both from one local nginx, without politeness.

    python -m benchmarks.fetch_speed --img2dataset PYTHON --rows 100000

PYTHON is the interpreter of a separate environment with img2dataset; nginx must be installed. Both tools get the same URLs in
shards of the same size, two processes and 64 connections each, and keep the bytes (`resize_mode=no`). Ours is the stage fetch,
one process per shard, as Snakemake runs it. Rates are for the whole run, and between the first and the last request in nginx's
log. Then ours runs again with nothing new, and with more rows (the same images under other URLs).
"""

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.sources import ListedPicture
from pipeline.sources.forgotten import Forgotten
from pipeline.stages.collect.run import build_manifest
from pipeline.stages.fetch.params import FetchParams
from pipeline.storage.tables import MANIFEST, write_table
from pipeline.web.params import WebParams

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
    """The cost of one run."""

    tool: str
    rows: int
    kept: int
    wall_s: float
    cpu_s: float  # of all its processes together, which a busy machine changes less than the time that passes
    warm_s: float  # between the first and the last picture asked for
    asked: int  # pictures, by nginx's log
    peak_mb: float  # of all its processes together


def draw_pictures(folder: Path) -> None:
    """Write PICTURES different JPEGs of about 25 KB."""
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
    """Serve `folder`/www within the block."""
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
    """Sample the memory of this process's descendants within the block, and append its peak to `peaks`."""
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
    """Times in seconds of the image requests after byte `offset` of nginx's log."""
    time.sleep(1.5)  # the log is flushed every second
    lines = log.read_bytes()[offset:].decode("ascii").splitlines()
    return sorted(float(line.split()[0]) for line in lines if line.endswith(".jpg"))


def our_commands(urls: list[str], folder: Path) -> list[list[str]]:
    """The commands of the stage fetch, one for each shard of `urls`, as Snakemake runs them."""
    folder.mkdir(exist_ok=True)
    params = FetchParams(max_bytes=20_000_000, strip_metadata=False, licences=None, refresh=False, web=EVERYTHING_OFF)
    stage = [sys.executable, "-m", "pipeline", "fetch", "--params", params.model_dump_json()]
    stage += ["--forgotten", os.fspath(folder / "forgotten.csv"), "--scratch", os.fspath(folder / "scratch")]
    stage += ["--downloads", os.fspath(folder / "sources")]
    commands = []
    for number, start in enumerate(range(0, len(urls), SHARD_ROWS)):
        manifest, shard = (folder / kind / f"{number:05d}.parquet" for kind in ("manifest", "raw"))
        listed = (ListedPicture(url, "manifest") for url in urls[start : start + SHARD_ROWS])
        write_table(manifest, build_manifest(listed, Forgotten()), MANIFEST)
        paths = {"manifest": manifest, "shard": shard.with_suffix(".tar"), "table": shard}
        commands.append([*stage, *(word for name, path in paths.items() for word in (f"--{name}", os.fspath(path)))])
    return commands


def children_cpu_s() -> float:
    """CPU time of all finished descendants."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def run_all(commands: list[list[str]]) -> None:
    """Run `commands`, PROCESSES at a time."""
    waiting = list(commands)
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        while waiting and len(running) < PROCESSES:
            running.append(subprocess.Popen(waiting.pop(0), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for process in [process for process in running if process.poll() is not None]:
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, process.args)
            running.remove(process)
        time.sleep(0.01)


def measured(tool: str, rows: int, commands: list[list[str]], log: Path, tables: Path) -> Run:
    """The cost of running `commands`; the number of kept images is read from `tables`."""
    offset = log.stat().st_size
    peaks: list[int] = []
    started, cpu_before_s = time.perf_counter(), children_cpu_s()
    with watched(peaks):
        run_all(commands)
    wall_s, cpu_s = time.perf_counter() - started, children_cpu_s() - cpu_before_s
    moments = requests_in(log, offset)
    statuses = pd.concat([pd.read_parquet(path, columns=["status"]) for path in tables.glob("*.parquet")])["status"]
    kept = int(statuses.isin(["ok", "success"]).sum())
    warm_s = moments[-1] - moments[0] if moments else 0.0
    return Run(tool, rows, kept, wall_s, cpu_s, warm_s, len(moments), max(peaks) / 1e6)


def row_of(run: Run) -> str:
    """One row of the table."""
    warm = f"{run.asked / run.warm_s:.0f}" if run.warm_s else "–"
    counts = f"{run.rows:,} | {run.kept:,} | {run.asked:,}"
    times = f"{run.wall_s:.1f} | {run.cpu_s:.1f} | {run.kept / run.wall_s:.0f} | {warm}"
    return f"| {run.tool} | {counts} | {times} | {run.peak_mb:.0f} |\n"


def compare(img2dataset: Path | None, more_rows: int) -> None:
    """Print the table."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw_pictures(folder / "www")
        log = folder / "access.log"
        load = os.getloadavg()[0]
        sys.stdout.write(f"Load of the machine before the start: {load:.2f} on {os.cpu_count()} cores.\n\n")
        sys.stdout.write(
            "| tool | rows | kept | asked for | s | CPU s | pictures/s | warm, pictures/s | peak MB |\n" + "|---" * 9 + "|\n"
        )
        with nginx(folder):
            base = f"http://127.0.0.1:{PORT}"
            urls = [f"{base}/{number:05d}.jpg" for number in range(PICTURES)]
            url_list = folder / "urls.txt"
            url_list.write_text("".join(f"{url}\n" for url in urls), encoding="ascii")
            if img2dataset is not None:
                for untouched, name in ((False, "img2dataset"), (True, "img2dataset, disable_all_reencoding")):
                    out = folder / f"img2dataset-{untouched}"
                    code = IMG2DATASET.format(
                        urls=os.fspath(url_list),
                        out=os.fspath(out),
                        processes=PROCESSES,
                        threads=CONNECTIONS,
                        shard_rows=SHARD_ROWS,
                        untouched=untouched,
                    )
                    sys.stdout.write(row_of(measured(name, PICTURES, [[os.fspath(img2dataset), "-c", code]], log, out)))
            ours = folder / "ours"
            for name in ("atelier", "atelier, again"):
                commands = our_commands(urls, ours)
                sys.stdout.write(row_of(measured(name, PICTURES, commands, log, ours / "raw")))
            if more_rows:
                other = folder / "more"
                many = [f"{base}/{number % PICTURES:05d}.jpg?{number}" for number in range(more_rows)]
                sys.stdout.write(row_of(measured("atelier", more_rows, our_commands(many, other), log, other / "raw")))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img2dataset", type=Path, help="interpreter of an environment that has img2dataset")
    parser.add_argument("--rows", type=int, default=0, help="rows of one more run of ours, to see whether memory stays flat")
    options = parser.parse_args()
    compare(options.img2dataset, options.rows)


if __name__ == "__main__":
    main()
