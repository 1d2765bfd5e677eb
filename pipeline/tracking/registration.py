"""MLflow's registry of models: exported generators as versions, and the alias `champion` on the best one."""

import io
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.mlflow_values import DESCRIPTION_CHARACTERS, safe_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
METRICS_FILE = "metrics.json"  # the artifact of an evaluation that holds numbers and passports
EXAMPLE_PICTURES = 2  # of the model's input example

# (challenger's metrics.json, champion's) -> whether the challenger takes its place, and why
Judge = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[bool, str]]


def register_generator(
    client: "MlflowClient", run_id: str, path: Path, event: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    """Register the ONNX file at `path`, unless it is, as the next version of the name in `event`, a `model` event."""
    name, registered = event["registered_name"], client.search_model_versions(f"run_id = '{run_id}'")
    version = registered[0].version if registered else _log_model(run_id, path, name)
    for key, value in {"generator_sha256": event["generator_sha256"], **tags}.items():
        client.set_model_version_tag(name, version, key, value)
    client.update_model_version(name, version, safe_text(event["about"], DESCRIPTION_CHARACTERS))


def _log_model(run_id: str, path: Path, name: str) -> str:
    """The version of `name` that the ONNX file at `path` has become."""
    import mlflow
    import numpy as np
    from mlflow.models import infer_signature

    from pipeline.inference.onnx_generator import OnnxGenerator
    from pipeline.inference.onnx_safety import safe_graph

    content = path.read_bytes()
    model = safe_graph(content, str(path))  # MLflow would copy what it keeps outside the file
    latent_dim = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    latents = np.random.default_rng(0).standard_normal((EXAMPLE_PICTURES, latent_dim), dtype=np.float32)
    labels = np.arange(EXAMPLE_PICTURES, dtype=np.int64)
    example = {"latents": latents, "labels": labels}
    pictures = OnnxGenerator(content, threads=1).pictures(latents, labels)
    # MLflow prints what it registers, and no setting keeps it from that.
    with redirect_stderr(io.StringIO()), mlflow.start_run(run_id=run_id, log_system_metrics=False):
        logged = mlflow.onnx.log_model(
            model,
            name="generator",
            registered_model_name=name,
            signature=infer_signature(example, {"pictures": pictures}),
            input_example=example,
            pip_requirements=["onnxruntime"],
            save_as_external_data=False,
        )
    return str(logged.registered_model_version)


def log_evaluation(client: "MlflowClient", run_id: str, metrics: Path, generator_sha256: str) -> None:
    """Log metrics.json to the run, which is tagged with the generator that was evaluated."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / METRICS_FILE
        copy.write_bytes(metrics.read_bytes())
        client.log_artifact(run_id, str(copy))
    client.set_tag(run_id, "generator_sha256", generator_sha256)


def _evaluation_of(client: "MlflowClient", experiment_id: str, generator_sha256: str) -> dict[str, Any] | None:
    """The newest metrics.json that was logged of that generator."""
    wanted = f"tags.stage = 'evaluate' and tags.generator_sha256 = '{generator_sha256}'"
    for run in client.search_runs([experiment_id], wanted, order_by=["attributes.start_time DESC"]):
        if any(file.path == METRICS_FILE for file in client.list_artifacts(run.info.run_id)):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(client.download_artifacts(run.info.run_id, METRICS_FILE, folder))
                return json.loads(path.read_text(encoding="utf-8"))
    return None


def _champion(client: "MlflowClient", name: str) -> "ModelVersion | None":
    aliases = client.get_registered_model(name).aliases
    return client.get_model_version(name, aliases[CHAMPION]) if CHAMPION in aliases else None


def choose_champion(client: "MlflowClient", experiment_id: str, generator_sha256: str, judge: Judge) -> None:
    """Give the newest version of that generator the alias `champion` where its evaluation says so; note why or why not."""
    versions = client.search_model_versions(f"tags.generator_sha256 = '{generator_sha256}'")
    metrics = _evaluation_of(client, experiment_id, generator_sha256)
    if not versions or metrics is None:
        return  # the other half is still to come
    challenger = max(versions, key=lambda version: int(version.version))
    champion = _champion(client, challenger.name)
    if champion is None:
        wins, why = True, "the first version that was evaluated"
    elif champion.tags.get("generator_sha256") == generator_sha256:
        return
    else:
        theirs = _evaluation_of(client, experiment_id, champion.tags.get("generator_sha256", ""))
        wins, why = (False, "its evaluation is not here") if theirs is None else judge(metrics, theirs)
        why = f"beside version {champion.version}: {why}"
    if wins:
        client.set_registered_model_alias(challenger.name, CHAMPION, challenger.version)
    client.set_model_version_tag(challenger.name, challenger.version, CHAMPION, f"{'yes' if wins else 'no'}, {why}")
