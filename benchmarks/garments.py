"""The presets for photographs of garments: training time and the scores of evaluate, over several seeds.

    python -m benchmarks.garments colour=../colour garments=../garments --seeds 0 1

Each project is a clone whose params.yaml is a preset, after `snakemake --cores 2 models/reference`: this trains with each seed
and evaluates. All scores are by the run's own classifier; the rows of real pictures are training pictures, in place of samples.

    python -m benchmarks.garments --blind reports/blind garments=../garments

draws instead, from the model of a finished project, eight garments of each category in rows without names, in random order:
write down what each row shows, then compare with key.csv.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from pipeline.gan.checkpoints import load_generator
from pipeline.gan.devices import choose_device
from pipeline.gan.sampling import generate_images
from pipeline.imaging.contact_sheets import contact_sheet, enlarged, save_png
from pipeline.inference.latents import draw_latents
from pipeline.inference.transparency import on_ground
from pipeline.params import load_params
from pipeline.stages.evaluate.run import run as evaluate
from pipeline.stages.train.run import run as train
from pipeline.storage.files import write_text
from pipeline.tracking.tracker import Tracker

# Scores and their headings; those with a floor have a row of real pictures.
SCORES = {
    "class_accuracy": "class accuracy",
    "fd_classifier": "fd",
    "precision_classifier": "precision",
    "recall_classifier": "recall",
    "diversity_classifier": "diversity",
    "near_copies_classifier": "near copies",
}
BLIND_COLUMNS = 8
BLIND_ENLARGED = 2


@dataclass(frozen=True)
class Row:
    """One training, or the real pictures beside it."""

    preset: str
    seed: str
    cpu_s: float | None
    images_seen: int | None
    scores: dict[str, float]


def trained_and_scored(preset: str, project: Path, seed: int) -> list[Row]:
    """The rows of one training with the parameters and data of `project`: its own, and that of real pictures."""
    params = load_params(project / "params.yaml")
    with TemporaryDirectory() as folder:
        gan, out = Path(folder) / "gan", Path(folder)
        start = time.process_time()
        recipe = params.train.model_copy(update={"seed": seed})
        train(recipe, train=project / "data" / "train", gan=gan, scratch=out / "scratch", track=Tracker())
        cpu_s = time.process_time() - start
        evaluate(
            params.evaluate,
            train=project / "data" / "train",
            reference=project / "models" / "reference",
            gan=gan,
            metrics=out / "metrics.json",
            scores=out / "scores.json",
            evaluation=out / "evaluation",
            track=Tracker(),
        )
        metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        images_seen = load_generator(gan, choose_device("cpu"))[1].images_seen
    scores = {name: metrics[name]["value"] for name in SCORES if "value" in metrics[name]}
    real = {name: metrics[name]["floor"] for name in SCORES if "floor" in metrics[name]}
    return [Row(preset, str(seed), cpu_s, images_seen, scores), Row(f"real pictures of {preset}", "–", None, None, real)]


def table(rows: list[Row]) -> str:
    """`rows` as Markdown."""
    lines = [
        f"| preset | seed | CPU-s | images | {' | '.join(SCORES.values())} |",
        f"|---|---|---|---|{'---|' * len(SCORES)}",
    ]
    for row in rows:
        cpu = "–" if row.cpu_s is None else f"{row.cpu_s:,.0f}"
        images = "–" if row.images_seen is None else f"{row.images_seen:,}"
        values = [f"{row.scores[name]:.3f}" if name in row.scores else "–" for name in SCORES]
        lines.append(f"| {row.preset} | {row.seed} | {cpu} | {images} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def write_blind_page(project: Path, folder: Path, seed: int) -> None:
    """Write page.png, a row of garments for each category in random order, and key.csv, their names from top to bottom."""
    generator, card = load_generator(project / "models" / "gan", choose_device("cpu"))
    order = np.random.default_rng(seed).permutation(len(card.categories))
    labels = np.repeat(order, BLIND_COLUMNS)
    images = generate_images(generator, draw_latents(seed, len(labels), card.latent_dim), labels)
    folder.mkdir(parents=True, exist_ok=True)
    save_png(folder / "page.png", enlarged(contact_sheet(on_ground(images, "white"), BLIND_COLUMNS), BLIND_ENLARGED))
    key = pd.DataFrame({"row": range(1, len(order) + 1), "category": [card.categories[label] for label in order]})
    key.to_csv(folder / "key.csv", index=False, lineterminator="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("projects", nargs="+", metavar="PRESET=FOLDER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--page", type=Path, help="Markdown file to write")
    parser.add_argument("--blind", type=Path, metavar="FOLDER", help="write the page for naming without looking, and its key")
    options = parser.parse_args()
    projects = {name: Path(folder) for name, _, folder in (project.partition("=") for project in options.projects)}
    if options.blind:
        for project in projects.values():
            write_blind_page(project, options.blind, options.seeds[0])
        return
    rows: list[Row] = []
    for preset, project in projects.items():
        real: list[Row] = []
        for seed in options.seeds:
            trained, *real = trained_and_scored(preset, project, seed)
            rows.append(trained)
            sys.stdout.write(table([trained]).splitlines()[-1] + "\n")
            sys.stdout.flush()
        rows += real
    command = f"python -m benchmarks.garments {' '.join(options.projects)} --seeds {' '.join(map(str, options.seeds))}"
    page = f"# Garments\n\n`{command}`\n\n{table(rows)}"
    if options.page:
        write_text(options.page, page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
