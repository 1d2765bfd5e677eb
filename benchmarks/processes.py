"""Quality of a training in two processes beside one, over several seeds.

    python -m benchmarks.processes PROJECT --kimg 40 --seeds 0 1 2

PROJECT is a folder in which `reference` has run; its `train` settings hold. Each seed is trained by the command `train` in one
process, in one process with the batch in two parts, as large as those of two processes, and in two processes. The classifier of
PROJECT judges them against its test pictures.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.quality import Judge, Judgement, drawn
from pipeline.gan.checkpoints import load_generator
from pipeline.gan.devices import choose_device
from pipeline.metrics.classifier import load_classifier
from pipeline.params import load_params
from pipeline.stages.train.params import TrainParams
from pipeline.storage.arrays import read_split
from pipeline.storage.files import write_text

ONE, PARTS, TWO = "one process", "one process, two parts", "two processes"
CHANGES = {ONE: {"processes": 1}, PARTS: {"processes": 1, "accumulate": 2}, TWO: {"processes": 2}}
SCORES = (("fd", 2), ("precision", 3), ("recall", 3), ("class_accuracy", 3))


def trained_by_command(params: TrainParams, train: Path, judge: Judge) -> tuple[Judgement, float]:
    """The score of a training by `python -m pipeline train`, and the seconds it took."""
    with TemporaryDirectory() as name:
        gan, scratch = Path(name) / "gan", Path(name) / "scratch"
        command = [sys.executable, "-m", "pipeline", "train", "--params", json.dumps(params.model_dump(mode="json"))]
        start = time.perf_counter()
        subprocess.run([*command, "--train", str(train), "--gan", str(gan), "--scratch", str(scratch)], check=True)
        seconds = time.perf_counter() - start
        generator, card = load_generator(gan, choose_device(params.device))
        return judge(*drawn(generator, card.latent_dim, params.seed, len(card.categories))), seconds


def difference(judged: dict[str, list[Judgement]], name: str, score: str) -> tuple[float, float]:
    """Mean of `score` of `name` less that of one process, seed by seed, and its standard error."""
    pairs = zip(judged[name], judged[ONE], strict=True)
    values = [getattr(one, score) - getattr(other, score) for one, other in pairs]
    return statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def main() -> None:
    """Print the table, and write it as a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--kimg", type=float, default=40.0, help="thousands of images of a training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, help="page of documentation to write the table to")
    options = parser.parse_args()
    recipe, train = load_params(options.project / "params.yaml").train, options.project / "data/train"
    judge = Judge(load_classifier(options.project / "models/reference"), read_split(train, "reference_test")[0])
    lines = ["| training | seed | fd | precision | recall | class accuracy | s |", "|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    judged: dict[str, list[Judgement]] = {name: [] for name in CHANGES}
    for seed in options.seeds:
        for name, changes in CHANGES.items():
            changed = recipe.model_dump() | {"seed": seed, "total_kimg": options.kimg} | changes
            scores, seconds = trained_by_command(TrainParams.model_validate(changed), train, judge)
            judged[name].append(scores)
            values = " | ".join(f"{getattr(scores, score):.{digits}f}" for score, digits in SCORES)
            lines.append(f"| {name} | {seed} | {values} | {seconds:.0f} |")
            print(lines[-1], flush=True)
    for name in (PARTS, TWO):
        cells = []
        for score, digits in SCORES:
            mean, error = difference(judged, name, score)
            cells.append(f"{mean:+.{digits}f} ± {error:.{digits}f}")
        lines.append(f"| {name}, less one | all | {' | '.join(cells)} | |")
        print(lines[-1], flush=True)
    if options.output:
        command = f"`python -m benchmarks.processes {' '.join(sys.argv[1:])}`"
        write_text(options.output, "\n".join(["# Processes", "", command, "", *lines, ""]))


if __name__ == "__main__":
    main()
