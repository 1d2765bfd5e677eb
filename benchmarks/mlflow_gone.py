"""What an unreachable MLflow server costs a training run, and whether anything is lost.

    python -m benchmarks.mlflow_gone --kimg 20 --rounds 5

Runs a shortened train stage of params.yaml in turns with and without MLflow's server on loopback, each with the background
sender. Then the server is started and `python -m pipeline send` delivers what is queued.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from pipeline.params import load_params
from pipeline.storage.files import write_text
from pipeline.tracking.spools import PROGRESS_FILE
from pipeline.tracking.tracker import INVOCATION_VARIABLE, SPOOLS
from tests.support.mlflow_server import free_port, mlflow_server

ROOT = Path(__file__).parents[1]


def _events(project: Path, invocation: str, kind: str) -> list[dict[str, Any]]:
    lines = (project / SPOOLS / invocation / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def trained(project: Path, section: str, train: Path, invocation: str, address: str) -> dict[str, float]:
    """Train from scratch beside a sender; wall and CPU seconds of the training."""
    environment = os.environ | {
        INVOCATION_VARIABLE: invocation,
        "MLFLOW_TRACKING_URI": address,
        "PYTHONPATH": str(ROOT),
    }
    ended = project / "ended"
    ended.unlink(missing_ok=True)
    pipeline = [sys.executable, "-m", "pipeline"]
    follow = [*pipeline, "send", "--follow", invocation, "--until", str(ended), "--process-id", str(os.getpid())]
    with (project / "sender.log").open("ab") as log:
        sender = subprocess.Popen(follow, cwd=project, env=environment, stdout=log, stderr=log)
        command = [*pipeline, "train", "--params", section, "--log", "logs/train.log", "--train", str(train.resolve())]
        command += ["--gan", f"models/{invocation}", "--scratch", f"scratch/{invocation}"]
        subprocess.run(command, cwd=project, env=environment, stdout=log, stderr=log, check=True)
        ended.touch()
        sender.wait()
    shutil.rmtree(project / "scratch" / invocation)
    metrics: dict[str, float] = {}
    for event in _events(project, invocation, "metrics"):
        metrics |= event["metrics"]
    return {"wall_s": metrics["train_seconds"], "cpu_s": metrics["train_cpu_seconds"]}


def missing(project: Path, invocations: list[str], address: str) -> tuple[int, int]:
    """(number of points queued, number of those missing on the server)."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    points = unknown = 0
    for invocation in invocations:
        sent = json.loads((project / SPOOLS / invocation / PROGRESS_FILE).read_text(encoding="utf-8"))
        run_id, known = sent["runs"]["train"], {}
        for event in _events(project, invocation, "metrics"):
            for name, value in event["metrics"].items():
                if name not in known:
                    known[name] = {(point.step, point.value) for point in client.get_metric_history(run_id, name)}
                points += 1
                unknown += (event["step"], value) not in known[name]
    return points, unknown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--train", type=Path, default=Path("data/train"))
    parser.add_argument("--kimg", type=float, default=20.0, help="thousands of images a training sees (default: 20)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/mlflow_gone.md"))
    options = parser.parse_args()
    content = load_params(options.params).train.model_dump(mode="json") | {"total_kimg": options.kimg}
    content |= {"sample_every_kimg": options.kimg / 2, "checkpoint_every_kimg": options.kimg / 2}
    found: dict[str, list[dict[str, float]]] = {"there": [], "gone": []}
    with tempfile.TemporaryDirectory() as folder:
        project, port, nobody = Path(folder), free_port(), free_port()
        (project / "params.yaml").write_text(yaml.safe_dump({"train": content}), encoding="utf-8")
        with mlflow_server(project, f"sqlite:///{project}/server.db", port) as address:
            for number in range(options.rounds):
                found["there"].append(trained(project, json.dumps(content), options.train, f"there-{number}", address))
                found["gone"].append(
                    trained(project, json.dumps(content), options.train, f"gone-{number}", f"http://127.0.0.1:{nobody}")
                )
            environment = os.environ | {"MLFLOW_TRACKING_URI": address, "PYTHONPATH": str(ROOT)}
            subprocess.run([sys.executable, "-m", "pipeline", "send"], cwd=project, env=environment, check=True)
            points, unknown = missing(project, [f"gone-{number}" for number in range(options.rounds)], address)
    middles = {
        name: [statistics.median(row[key] for row in rounds) for key in ("wall_s", "cpu_s")] for name, rounds in found.items()
    }
    wall, cpu = (
        statistics.median(gone[key] / there[key] for there, gone in zip(found["there"], found["gone"], strict=True)) - 1
        for key in ("wall_s", "cpu_s")
    )
    command = f"python -m benchmarks.mlflow_gone --kimg {options.kimg:g} --rounds {options.rounds}"
    text = [
        "# MLflow's server gone",
        "",
        f"`{command}`: the train stage, medians of {options.rounds} rounds in turns.",
        "",
        "| MLflow's server | seconds | CPU seconds |",
        "|---|---|---|",
        *(f"| {name} | {seconds:.1f} | {cpu_seconds:.1f} |" for name, (seconds, cpu_seconds) in middles.items()),
        "",
        f"Gone, by the median of the rounds' ratios: {wall:+.1%} of the clock, {cpu:+.1%} of the processor. When it was back,",
        f"`python -m pipeline send` sent the rest: of {points:,} points of the trainings without it, {unknown} are missing.",
    ]
    write_text(options.output, "\n".join(text) + "\n")
    sys.stdout.write("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
