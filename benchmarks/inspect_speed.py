"""Pictures inspected a second, beside only decoding them, imagehash and imagededup.

    python -m benchmarks.inspect_speed FOLDER --workers 2 --rival PYTHON --page docs/benchmarks/inspect_speed.md

Inspecting is decoding, every hash and every measure, with presets/colour-64.yaml. All but imagededup run in the same processes
with limits, as many as there are workers. The ways take turns, and each shows its best round: what else a machine does only
ever slows one down. A worker's processor time for a picture is beside it, which other work on the machine hardly changes.
"""

import argparse
import hashlib
import io
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagehash
from PIL import Image

from pipeline.imaging.decoding import decode
from pipeline.imaging.sandbox import SandboxLimits, sandboxed_map
from pipeline.params import load_params
from pipeline.stages.inspect.params import InspectParams
from pipeline.stages.inspect.run import measure_picture, with_hashes
from pipeline.storage.files import write_text

PRESET = Path(__file__).parents[1] / "presets" / "colour-64.yaml"
RIVAL = Path(__file__).with_name("inspect_speed_rival.py")
WARMING = 64  # pictures before the clock starts, for each worker

Work = Callable[[bytes], object]


@dataclass(frozen=True)
class Speed:
    """How fast one way is."""

    a_second: float
    cpu_ms: float  # of the workers, for a picture

    def __str__(self) -> str:
        return f"{self.a_second:.0f} a second, {self.cpu_ms:.2f} ms"


def only_decoded(content: bytes, max_pixels: int) -> None:
    """Decode, as inspect does."""
    decode(content, max_pixels)


def hashed_by_imagehash(content: bytes) -> str:
    """imagehash.phash alone."""
    return str(imagehash.phash(Image.open(io.BytesIO(content))))


def timed(content: bytes, work: Work) -> tuple[object, float]:
    """What `work` gives, and its processor seconds."""
    start = time.process_time()
    result = work(content)
    return result, time.process_time() - start


def _speed(work: Work, contents: list[bytes], limits: SandboxLimits, workers: int) -> Speed:
    warming = contents[: WARMING * workers]
    with closing(sandboxed_map(partial(timed, work=work), [*warming, *contents], limits, workers)) as results:
        for _ in warming:
            next(results)
        rows: list[Any] = []
        start, cpu_s = time.perf_counter(), 0.0
        for row, seconds in results:  # type: ignore[misc]
            cpu_s += seconds
            rows.append(row)
        if isinstance(rows[0], dict):
            with_hashes(rows)
        wall_s = time.perf_counter() - start
    return Speed(len(contents) / wall_s, 1000 * cpu_s / len(contents))


def _rival_speed(python: Path, folder: Path, workers: int) -> Speed:
    told = subprocess.run(
        [python, RIVAL, folder, str(workers)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    seconds = json.loads(told.stdout.splitlines()[-1])
    count = len(list(folder.iterdir()))
    return Speed(count / seconds["wall_s"], 1000 * seconds["cpu_s"] / count)


def _best(speeds: list[Speed]) -> Speed:
    return Speed(max(speed.a_second for speed in speeds), min(speed.cpu_ms for speed in speeds))


def page_of(best: dict[str, Speed], told: str) -> str:
    """The speeds as Markdown, and each way's to only decoding."""
    first = next(iter(best.values()))
    return "\n".join(
        [
            "# Inspecting pictures",
            "",
            told,
            "",
            "| way | pictures a second | to only decoding | processor ms a picture | to only decoding |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | {speed.a_second:.0f} | {speed.a_second / first.a_second:.2f} | {speed.cpu_ms:.2f} "
                f"| {first.cpu_ms / speed.cpu_ms:.2f} |"
                for name, speed in best.items()
            ),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rival", type=Path, help="a Python that has imagededup")
    parser.add_argument("--page", type=Path, help="where to write the table")
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.jpg"), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    contents = [file.read_bytes() for file in files[: options.pictures]]
    params = InspectParams.model_validate(load_params(PRESET).inspect.model_dump())
    limits = SandboxLimits(params.max_memory_bytes, params.timeout_s)
    ways: dict[str, Work] = {
        "decoding alone": partial(only_decoded, max_pixels=params.max_pixels),
        "inspect": partial(measure_picture, params=params),
        "imagehash.phash alone": hashed_by_imagehash,
    }
    speeds: dict[str, list[Speed]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as scratch:
        for number, content in enumerate(contents):
            (Path(scratch) / f"{number:05d}.jpg").write_bytes(content)
        for _ in range(options.rounds):
            for name, work in ways.items():
                speeds[name].append(_speed(work, contents, limits, options.workers))
                print(name, speeds[name][-1], flush=True)
            if options.rival:
                name = "imagededup PHash, encoding alone"
                speeds.setdefault(name, []).append(_rival_speed(options.rival, Path(scratch), options.workers))
                print(name, speeds[name][-1], flush=True)
    told = (
        f"`python -m benchmarks.inspect_speed FOLDER --pictures {options.pictures} --workers {options.workers}"
        f" --rounds {options.rounds}`: {len(contents)} photographs, the best of {options.rounds} rounds."
    )
    page = page_of({name: _best(some) for name, some in speeds.items()}, told)
    print(page)
    if options.page:
        write_text(options.page, page)


if __name__ == "__main__":
    main()
