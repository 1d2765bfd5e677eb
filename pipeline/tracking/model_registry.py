"""Models of MLflow's registry, brought to a folder as `export` left them."""

import re
import shutil
from pathlib import Path

from pipeline.errors import InputError
from pipeline.inference.onnx_generator import CARD_NAME, EARLY_LAYERS_NAME, JUDGE_NAME, MODEL_NAME
from pipeline.tracking.mlflow_store import UnavailableError, open_client, reason_of

SCHEME = "models:/"
_ADDRESS = re.compile(r"models:/(?P<name>[A-Za-z0-9._-]+)(?:/(?P<version>\d+)|@(?P<alias>[A-Za-z0-9._-]+))?")


def bring_registered(address: str, folder: Path) -> str:
    """Fill `folder` with the generator, its card and, where it was kept, its judge; the version that this is.

    `address` is `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or `models:/NAME` for the newest version; the registry is that
    of MLFLOW_TRACKING_URI, by default mlflow.db here. Raises InputError.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(f"{address}: write models:/NAME/VERSION, models:/NAME@ALIAS, or models:/NAME for the newest")
    try:
        client = open_client(writable=False)
    except UnavailableError as error:
        raise InputError(f"{address}: {error}") from None
    from mlflow.artifacts import download_artifacts  # seconds of import
    from mlflow.exceptions import MlflowException

    try:
        if match["alias"]:
            version = client.get_model_version_by_alias(match["name"], match["alias"])
        elif match["version"]:
            version = client.get_model_version(match["name"], match["version"])
        else:
            versions = client.search_model_versions(f"name = '{match['name']}'")
            if not versions:
                raise InputError(f"{address}: the registry has no model of this name; `mlflow ui` lists them")
            version = max(versions, key=lambda one: int(one.version))
        run_id = version.run_id or ""
        kept = {item.path for item in client.list_artifacts(run_id)} if run_id else set()
        if CARD_NAME not in kept:
            raise InputError(f"{address}: version {version.version} came without its card; export it again")
        for name in {CARD_NAME, JUDGE_NAME, EARLY_LAYERS_NAME} & kept:
            download_artifacts(run_id=run_id, artifact_path=name, dst_path=str(folder))
        model = download_artifacts(artifact_uri=f"{SCHEME}{version.name}/{version.version}", dst_path=str(folder / "mlflow"))
        shutil.copyfile(Path(model) / "model.onnx", folder / MODEL_NAME)
    except (MlflowException, OSError, ValueError) as error:  # ValueError: MLFLOW_TRACKING_URI is no address
        reason = reason_of(error)
        raise InputError(f"{address}: cannot be brought from the registry ({reason}); see MLFLOW_TRACKING_URI") from None
    return f"{version.name} version {version.version}"
