"""Seconds and memory of a dry run by the number of shards.

    python -m benchmarks.planning 500 1000 2000 5000 10000 --page docs/benchmarks/planning.md

Plans the tiny preset from nothing in a fresh checkout, with `fetch.shards` set. CPU seconds and peak memory are the kernel's
figures for `snakemake` and what it starts.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.storage.files import whole_file, write_text
from tests.support.checkout import Checkout

DRY_RUN = ["snakemake", "--dry-run", "--cores", "2", "--quiet", "all"]


def cost_of_planning(checkout: Checkout, shards: int) -> tuple[float, float]:
    """CPU seconds and peak MB of a dry run over so many shards."""
    checkout.change("fetch", lambda section: section.update(shards=shards))
    process = subprocess.Popen(
        DRY_RUN, cwd=checkout.folder, env=checkout.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(DRY_RUN)} failed with {shards} shards: run it in {checkout.folder}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def plot(costs: dict[int, tuple[float, float]], path: Path) -> None:
    """Draw seconds by shards."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(list(costs), [seconds for seconds, _ in costs.values()], "o-")
    axes.set(xlabel="shards", ylabel="CPU seconds of a dry run", xlim=0, ylim=0)
    axes.grid(alpha=0.3)
    with whole_file(path) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("shards", type=int, nargs="+")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout.make(Path(folder) / "project")
        costs = {shards: cost_of_planning(checkout, shards) for shards in options.shards}
    text = f"# Planning by the number of shards\n\n`python -m benchmarks.planning {' '.join(map(str, options.shards))}`\n\n"
    text += "| shards | jobs | CPU seconds | peak MB |\n|---|---|---|---|\n"
    text += "".join(f"| {n:,} | {2 * n + 10:,} | {seconds:.1f} | {mb:,.0f} |\n" for n, (seconds, mb) in costs.items())
    if options.page:
        plot(costs, options.page.with_name("planning.svg"))
        text += "\n![CPU seconds of a dry run by shards](planning.svg)\n"
        write_text(options.page, text)
    print(text)


if __name__ == "__main__":
    main()
