"""fd, precision and recall over the images that a recipe has seen: a table and a plot.

    python -m benchmarks.curve --params presets/long.yaml --every 100

Measured as in benchmarks.quality, with the classifier of the stage `reference`, on the EMA generator at each moment, so the
learning-rate decay at the end is visible.
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.quality import Judge, Judgement, drawn_by, floor_of
from pipeline.gan.devices import choose_device
from pipeline.gan.processor import prepare_processor
from pipeline.gan.training import Trainer
from pipeline.imaging.contact_sheets import contact_sheet, enlarged, save_png
from pipeline.metrics.classifier import load_classifier
from pipeline.params import load_params
from pipeline.stages.train.training_loop import crosses_interval
from pipeline.storage.arrays import read_card, read_split
from pipeline.storage.files import write_json, write_text

COLUMNS = 16


def plot(path: Path, points: list[tuple[int, Judgement]], floor: Judgement) -> None:
    """fd (logarithmic) above precision and recall, over thousands of images seen; real images are dashed."""
    mpl.rcParams["svg.hashsalt"] = "curve"
    figure = Figure(figsize=(7, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    seen = [images / 1000 for images, _ in points]
    above.plot(seen, [judged.fd for _, judged in points], marker=".")
    above.axhline(floor.fd, linestyle="--", linewidth=1)
    above.set(yscale="log", ylabel="Fréchet distance")
    for name, colour in (("precision", "tab:blue"), ("recall", "tab:orange")):
        below.plot(seen, [getattr(judged, name) for _, judged in points], marker=".", color=colour, label=name)
        below.axhline(getattr(floor, name), linestyle="--", linewidth=1, color=colour)
    below.set(xlabel="thousand images seen", ylim=(0, 1))
    below.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--params", type=Path, default=Path("presets/long.yaml"))
    parser.add_argument("--train", type=Path, default=Path("data/train"))
    parser.add_argument("--reference", type=Path, default=Path("models/reference"), help="folder of the classifier")
    parser.add_argument("--every", type=float, default=100.0, help="thousands of images between two points (default: 100)")
    parser.add_argument("--samples", type=int, default=10_000, help="generated pictures that are judged (default: 10000)")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/long.md"))
    parser.add_argument("--picture", type=Path, default=Path("docs/pictures/long.png"))
    parser.add_argument(
        "--sheet", type=Path, default=Path("reports/benchmarks/long.png"), help="samples at the end, to look at"
    )
    options = parser.parse_args()
    params = load_params(options.params).train
    prepare_processor(params.threads)
    judge = Judge(load_classifier(options.reference), read_split(options.train, "reference_test")[0])
    floor = floor_of(judge, options.train, options.samples)
    images, labels = read_split(options.train, "train")
    categories = len(read_card(options.train).categories)
    trainer = Trainer(params, images, labels, categories, choose_device(params.device))
    points: list[tuple[int, Judgement]] = []
    judging_s, started = 0.0, time.process_time()
    for before, after in trainer.steps():
        if crosses_interval(before, after, options.every) or after == trainer.total_images:
            stopped = time.process_time()
            pictures, labels = drawn_by(trainer, categories, options.samples)
            points.append((after, judge(pictures, labels)))
            sys.stdout.write(f"{points[-1]}\n")
            sys.stdout.flush()
            judging_s += time.process_time() - stopped
    cpu_s = time.process_time() - started - judging_s
    rows = [pictures[labels == category][:COLUMNS] for category in range(categories)]
    save_png(options.sheet, enlarged(contact_sheet(np.concatenate(rows), COLUMNS), 2))
    plot(options.picture, points, floor)
    command = f"python -m benchmarks.curve --params {options.params} --every {options.every:g} --samples {options.samples}"
    table = [
        f"| {seen:,} | {judged.fd:.3f} | {judged.precision:.3f} | {judged.recall:.3f} | {judged.class_accuracy:.3f} |"
        for seen, judged in points
    ]
    real = (
        f"| real training pictures | {floor.fd:.3f} | {floor.precision:.3f} | {floor.recall:.3f} | {floor.class_accuracy:.3f} |"
    )
    content = [
        "# More images",
        "",
        f"`{command}`: {cpu_s:.0f} CPU-seconds of training.",
        "",
        "| images seen | fd | precision | recall | class accuracy |",
        "|---|---|---|---|---|",
        *table,
        real,
        "",
        f"![fd, precision and recall against images seen]({Path('..') / options.picture.relative_to('docs')})",
    ]
    write_text(options.output, "\n".join(content) + "\n")
    found = [{"images_seen": seen, **asdict(judged)} for seen, judged in points]
    write_json(options.output.with_suffix(".json"), {"floor": asdict(floor), "points": found, "cpu_s": cpu_s})
    sys.stdout.write("\n".join(content) + "\n")


if __name__ == "__main__":
    main()
