"""Every network with every loss on the default data, after the same number of images: which learn, which collapse, how fast.

    python -m benchmarks.family --kimg 100

All are measured with the classifier of the stage `reference`. Widths, rates, batch and EMA are those of params.yaml; only the
network, the loss and what the loss requires differ: weight clipping or a gradient penalty with five discriminator steps for
wgan, R1 and R2 for relativistic. A row shows how a pair does with the default settings, not its best.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import Judge, Judgement, drawn_by, floor_of
from pipeline.errors import TrainingError
from pipeline.gan.devices import choose_device
from pipeline.gan.processor import prepare_processor
from pipeline.gan.training import Trainer
from pipeline.imaging.contact_sheets import contact_sheet, enlarged, save_png
from pipeline.metrics.classifier import load_classifier
from pipeline.params import load_params
from pipeline.stages.train.params import TrainParams
from pipeline.storage.arrays import read_card, read_split
from pipeline.storage.files import write_json, write_text

COLLAPSED_RECALL = 0.05  # of the real pictures' neighbourhoods, below which hardly any kind of picture is drawn
NO_PENALTY = {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 0.0, "interval": 1, "weight_clip": 0.0}
NETWORKS: dict[str, dict[str, Any]] = {
    "dcgan": {},
    "resnet": {"stddev_group": 4},
    "stylegan2": {
        "stddev_group": 4,
        "style_dim": 64,
        "mapping_layers": 2,
        "style_mixing": 0.5,
        "path_length": 2.0,
        "path_length_interval": 8,
    },
}
LOSSES: dict[str, dict[str, Any]] = {
    "minimax": {"loss": "minimax"},
    "non-saturating": {"loss": "non-saturating"},
    "wgan": {"loss": "wgan", "penalties": NO_PENALTY | {"weight_clip": 0.01}, "discriminator_steps": 5},
    "wgan-gp": {"loss": "wgan", "penalties": NO_PENALTY | {"gradient_penalty": 10.0}, "discriminator_steps": 5},
    "hinge": {"loss": "hinge"},
    "relativistic": {"loss": "relativistic", "r2": True},
}


@dataclass(frozen=True)
class Row:
    """One network with one loss; without a judgement if it diverged."""

    network: str
    loss: str
    images_per_s: float
    judged: Judgement | None

    @property
    def verdict(self) -> str:
        if self.judged is None or not math.isfinite(self.judged.fd):
            return "diverged"
        return "collapsed" if self.judged.recall < COLLAPSED_RECALL else ""


def recipe_of(base: TrainParams, network: str, loss: str, kimg: float) -> TrainParams:
    """`base` with another network and loss, for `kimg` thousand images. Raises ParamsError if they are incompatible."""
    content = base.model_dump()
    common = ("latent_dim", "generator_width", "discriminator_width", "max_width", "truncation")
    content["network"] = {"name": network, **{key: content["network"][key] for key in common}, **NETWORKS[network]}
    changes = dict(LOSSES[loss])
    if changes.pop("r2", False):
        changes["penalties"] = content["penalties"] | {"r2_gamma": content["penalties"]["r1_gamma"]}
    return TrainParams.model_validate(content | changes | {"total_kimg": kimg})


def judged(params: TrainParams, train: Path, judge: Judge, samples: int, columns: int) -> tuple[Row, NDArray[np.uint8]]:
    """A row, and a contact sheet with one row per category."""
    images, labels = read_split(train, "train")
    categories = len(read_card(train).categories)
    trainer = Trainer(params, images, labels, categories, choose_device(params.device))
    loss = "wgan-gp" if params.penalties.gradient_penalty else params.loss
    started = time.perf_counter()
    try:
        for _ in trainer.steps():
            pass
        trainer.history.close_row(trainer.images_seen)
    except TrainingError:
        blank = np.zeros((categories * columns, *images.shape[1:]), np.uint8)
        return Row(params.network.name, loss, math.nan, None), contact_sheet(blank, columns)
    rate = trainer.images_seen / (time.perf_counter() - started)
    pictures, labels = drawn_by(trainer, categories, samples)
    shown = np.concatenate([pictures[labels == label][:columns] for label in range(categories)])
    return Row(params.network.name, loss, rate, judge(pictures, labels)), contact_sheet(shown, columns)


def rows_of(rows: list[Row], floor: Judgement) -> Iterator[str]:
    """The table, as Markdown."""
    yield "| network | loss | fd | precision | recall | class accuracy | images/s | |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        yield f"| {row.network} | {row.loss} | {_numbers(row.judged)} | {row.images_per_s:.0f} | {row.verdict} |"
    yield f"| real training pictures | | {_numbers(floor)} | | |"


def _numbers(of: Judgement | None) -> str:
    return f"{of.fd:.2f} | {of.precision:.3f} | {of.recall:.3f} | {of.class_accuracy:.3f}" if of else "– | – | – | –"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, default=Path("data/train"))
    parser.add_argument("--reference", type=Path, default=Path("models/reference"), help="folder of the classifier")
    parser.add_argument("--kimg", type=float, default=100.0, help="thousands of images each pair sees (default: 100)")
    parser.add_argument("--samples", type=int, default=10_000, help="generated pictures that are judged (default: 10000)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--columns", type=int, default=6, help="pictures of a category on the sheet (default: 6)")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/family.md"))
    parser.add_argument("--picture", type=Path, default=Path("docs/pictures/family.png"))
    options = parser.parse_args()
    params = load_params(options.params)
    prepare_processor(params.train.threads)
    judge = Judge(load_classifier(options.reference), read_split(options.train, "reference_test")[0])
    floor = floor_of(judge, options.train, options.samples)
    rows, lines = [], []
    for network in options.networks:
        sheets = []
        for loss in options.losses:
            recipe = recipe_of(params.train, network, loss, options.kimg)
            row, sheet = judged(recipe, options.train, judge, options.samples, options.columns)
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
            rows.append(row)
            sheets += [sheet, np.full((sheet.shape[0], 4, sheet.shape[2]), 255, np.uint8)]
        line = np.concatenate(sheets[:-1], axis=1)
        lines += [line, np.full((4, line.shape[1], line.shape[2]), 255, np.uint8)]
    save_png(options.picture, enlarged(np.concatenate(lines[:-1]), 1))
    collapsed = [f"{row.network} with {row.loss} {row.verdict}" for row in rows if row.verdict]
    command = f"python -m benchmarks.family --kimg {options.kimg:g} --samples {options.samples}"
    content = [
        "# The family",
        "",
        f"`{command}`: {options.kimg:g} thousand images and {options.samples:,} samples each.",
        f"Collapsed is what has a recall under {COLLAPSED_RECALL}.",
        "",
        *rows_of(rows, floor),
        "",
        f"{'; '.join(collapsed)}." if collapsed else "None collapsed.",
        "",
        f"![Samples]({Path('..') / options.picture.relative_to('docs')})",
        "",
        f"*Rows: {', '.join(options.networks)}, ten categories each; columns: {', '.join(options.losses)}.*",
    ]
    write_text(options.output, "\n".join(content) + "\n")
    found = [{**asdict(row), "verdict": row.verdict} for row in rows]
    write_json(options.output.with_suffix(".json"), {"floor": asdict(floor), "rows": found})


if __name__ == "__main__":
    main()
