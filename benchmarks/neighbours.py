"""Pairs of 64-bit hashes within a radius, found among many: recall against brute force, seconds and memory.

    python -m benchmarks.neighbours 10000 100000 1000000 --page docs/benchmarks/neighbours.md

Random hashes, and for one in ten of them a copy with 1 to 4 bits flipped. Brute force compares up to 1,000 of them with all.
Every count runs in a process of its own, whose peak memory is the kernel's figure.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.neighbours import pairs_within
from pipeline.storage.files import write_text

RADIUS_BITS = 4
COPIED = 0.1
CHECKED = 1000


def planted(count: int, random: np.random.Generator) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """`count` hashes, of which the last are copies of the first with some bits flipped; and how many bits."""
    copies = int(COPIED * count)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    flipped_bits = random.integers(1, RADIUS_BITS + 1, copies)
    for copy, bits in enumerate(flipped_bits):
        places = random.choice(64, bits, replace=False).astype(np.uint64)
        hashes[count - copies + copy] = hashes[copy] ^ np.bitwise_or.reduce(np.uint64(1) << places)
    return hashes, flipped_bits


def measure(count: int) -> str:
    """A row of the table."""
    random = np.random.default_rng(count)
    hashes, flipped = planted(count, random)
    wall, cpu = time.perf_counter(), time.process_time()
    found = set()
    for first, second, _ in pairs_within(hashes, RADIUS_BITS):
        found |= set(zip(first.tolist(), second.tolist(), strict=True))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    recalled = sum((copy, count - len(flipped) + copy) in found for copy in range(len(flipped)))
    truth = set()
    for one in random.choice(count, min(count, CHECKED), replace=False):
        near = np.flatnonzero(np.bitwise_count(hashes ^ hashes[one]) <= RADIUS_BITS)
        truth |= {(min(int(one), int(other)), max(int(one), int(other))) for other in near if other != one}
    return (
        f"| {count:,} | {recalled / len(flipped):.4f} | {len(truth & found) / max(1, len(truth)):.4f} of {len(truth)} "
        f"| {wall:.1f} | {cpu:.1f} | {peak_mb:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("counts", type=int, nargs="+")
    parser.add_argument("--page", type=Path, help="where to write the table")
    options = parser.parse_args()
    if len(options.counts) == 1 and not options.page:
        print(measure(options.counts[0]))
        return
    lines = [
        "# Hashes within a radius",
        "",
        f"`python -m benchmarks.neighbours {' '.join(map(str, options.counts))}`: "
        f"64-bit hashes, radius {RADIUS_BITS}, one in ten a copy with 1 to 4 bits flipped.",
        "",
        "| hashes | recall of the copies | recall against brute force | seconds | CPU seconds | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for count in options.counts:
        told = subprocess.run([sys.executable, "-m", __spec__.name, str(count)], check=True, capture_output=True, text=True)
        lines.append(told.stdout.strip())
        print(lines[-1], flush=True)
    if options.page:
        write_text(options.page, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
