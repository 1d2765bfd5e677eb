"""How many images `train.start_from` saves: a further category, and another data set, beside trainings from random weights.

    python -m benchmarks.start_from PROJECT --new-category bag --changed OTHER --kimg 60 --seeds 0

PROJECT and OTHER are folders in which `reference` has run, with pictures of the same shape. PROJECT's settings hold for both.
Every training goes to the end of its own decay of the rates:

- one without the category and one with it, both of `--kimg` thousand images from random weights, and two of a quarter, with it,
  that start from the first: with `keep_known` and `repeat_new`, and with its weights alone;
- one on OTHER of `--kimg` thousand images from random weights, and one of a tenth that starts from PROJECT's.

Judged by the classifier of the data in question, against test pictures of the new category, of the known ones, or of OTHER.
"""

import argparse
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import Judge, Judgement, drawn
from pipeline.gan.checkpoints import CHECKPOINT, load_generator
from pipeline.gan.devices import choose_device
from pipeline.gan.processor import prepare_processor
from pipeline.metrics.classifier import load_classifier
from pipeline.params import load_params
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.run import run
from pipeline.storage.arrays import SPLITS, read_card, read_split, split_sha256, write_card
from pipeline.storage.files import write_text
from pipeline.tracking.tracker import Tracker

SAMPLES = 5_000
QUARTER, TENTH = 0.25, 0.1
NOTHING: Mapping[str, object] = {}
BESIDE_THE_KNOWN: Mapping[str, object] = {"keep_known": 2.0, "repeat_new": 3}  # as docs/training.md advises
GOALS = (
    "Goals: the new category's fd from scratch in a quarter of the images, and at most 5 % more for the known ones; "
    "on other data, the fd from scratch in a tenth."
)


@dataclass(frozen=True)
class Trained:
    """A finished training and pictures that it drew, in equal shares of its categories."""

    gan: Path
    images: NDArray[np.uint8]  # (N, H, W, C)
    labels: NDArray[np.int64]  # (N,)


def write_without(category: str, train: Path, folder: Path) -> Path:
    """The dataset in `train` without the pictures of `category`, written to `folder`; returns `folder`."""
    card = read_card(train)
    left_out = card.categories.index(category)
    folder.mkdir(parents=True)
    for split in SPLITS:
        images, labels = read_split(train, split)
        stays = labels != left_out
        np.save(folder / f"{split}_images.npy", images[stays])
        np.save(folder / f"{split}_labels.npy", labels[stays] - (labels[stays] > left_out))
    categories = [name for name in card.categories if name != category]
    sha256 = {split: split_sha256(folder, split) for split in SPLITS}
    write_card(folder, replace(card, categories=categories, sha256=sha256))
    return folder


def train_model(
    params: TrainParams,
    train: Path,
    folder: Path,
    *,
    kimg: float,
    start: Path | None = None,
    further: Mapping[str, object] = NOTHING,
) -> Trained:
    """Train `kimg` thousand images on the dataset in `train`, and draw.

    From the model in `start` if there is one, with the keys `further` of train.start_from.
    """
    changes: dict[str, object] = {"total_kimg": kimg}
    if start is not None:
        sha256 = hashlib.sha256((start / CHECKPOINT).read_bytes()).hexdigest()
        changes["start_from"] = {"folder": str(start), "sha256": sha256, **further}
    run(
        TrainParams.model_validate(params.model_dump() | changes),
        train=train,
        gan=folder / "gan",
        scratch=folder / "scratch",
        track=Tracker(),
    )
    generator, card = load_generator(folder / "gan", choose_device(params.device))
    return Trained(folder / "gan", *drawn(generator, card.latent_dim, params.seed, len(card.categories), SAMPLES))


def judge_of(train: Path, reference: Path, categories: list[int]) -> Judge:
    """A judge by the test pictures of these labels."""
    images, labels = read_split(train, "reference_test")
    return Judge(load_classifier(reference), images[np.isin(labels, categories)])


def judged(judge: Judge, drawn_by: Trained, categories: list[int], names: list[int] | None = None) -> Judgement:
    """`judge`'s scores of what a model drew of the labels in `categories`, which the judge calls `names`."""
    called = np.array(names if names is not None else categories)
    some = np.isin(drawn_by.labels, categories)
    return judge(drawn_by.images[some], called[np.searchsorted(categories, drawn_by.labels[some])])


def row(name: str, kimg: float, scores: Judgement) -> str:
    """A line of the table."""
    return (
        f"| {name} | {kimg:g} | {scores.fd:.2f} | {scores.precision:.3f} | {scores.recall:.3f} | {scores.class_accuracy:.3f} |"
    )


def added_category(params: TrainParams, project: Path, category: str, kimg: float, folder: Path) -> tuple[list[str], Path]:
    """Rows of the table for a category that is added to a model of the others; and the model of all from random weights."""
    train, reference = project / "data/train", project / "models/reference"
    names = read_card(train).categories
    new = names.index(category)
    known = [label for label in range(len(names)) if label != new]
    base = train_model(params, write_without(category, train, folder / "known"), folder / "base", kimg=kimg)
    scratch = train_model(params, train, folder / "all", kimg=kimg)
    quarter = partial(train_model, params, train, kimg=kimg * QUARTER, start=base.gan)
    started = quarter(folder / "started", further=BESIDE_THE_KNOWN)
    plainly = quarter(folder / "plainly")
    short = train_model(params, train, folder / "short", kimg=kimg * QUARTER)
    of_known, of_new = judge_of(train, reference, known), judge_of(train, reference, [new])
    rows = [row("the known, before", kimg, judged(of_known, base, list(range(len(known))), known))]
    for name, images, model in (
        ("from scratch", kimg, scratch),
        ("started", kimg * QUARTER, started),
        ("started, weights alone", kimg * QUARTER, plainly),
        ("from scratch, as short", kimg * QUARTER, short),
    ):
        rows.append(row(f"the known, {name}", images, judged(of_known, model, known)))
        rows.append(row(f"{category}, {name}", images, judged(of_new, model, [new])))
    return rows, scratch.gan


def changed_data(params: TrainParams, other: Path, start: Path, kimg: float, folder: Path) -> list[str]:
    """Rows of the table for a model that goes on with the data of the project `other`."""
    train = other / "data/train"
    everything = list(range(len(read_card(train).categories)))
    judge = judge_of(train, other / "models/reference", everything)
    trainings = (
        ("from scratch", kimg, None),
        ("started", kimg * TENTH, start),
        ("from scratch, as short", kimg * TENTH, None),
        ("started, a quarter", kimg * QUARTER, start),
    )
    return [
        row(
            f"other data, {name}",
            images,
            judged(judge, train_model(params, train, folder / name, kimg=images, start=origin), everything),
        )
        for name, images, origin in trainings
    ]


def main() -> None:
    """Print the table, and write it as a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--new-category", required=True)
    parser.add_argument("--changed", type=Path, help="a project with other pictures of the same shape")
    parser.add_argument("--kimg", type=float, default=60.0, help="thousands of images of a training from random weights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--output", type=Path, help="page of documentation to write the table to")
    options = parser.parse_args()
    recipe = load_params(options.project / "params.yaml").train
    prepare_processor(recipe.threads)
    lines = ["| training | thousand images | fd | precision | recall | class accuracy |", "|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for seed in options.seeds:
        params = recipe.model_copy(update={"seed": seed})
        with TemporaryDirectory() as folder:
            rows, model = added_category(params, options.project, options.new_category, options.kimg, Path(folder))
            print("\n".join(rows), flush=True)
            if options.changed:
                rows += (other := changed_data(params, options.changed, model, options.kimg, Path(folder) / "other"))
                print("\n".join(other), flush=True)
        lines += [f"| **seed {seed}** | | | | | |", *rows]
    if options.output:
        command = f"`python -m benchmarks.start_from {' '.join(sys.argv[1:])}`"
        write_text(options.output, "\n".join(["# Start from a model", "", command, "", GOALS, "", *lines, ""]))


if __name__ == "__main__":
    main()
