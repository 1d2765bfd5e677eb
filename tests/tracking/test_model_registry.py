"""Models of MLflow's registry opened as export left them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.inference.onnx_generator import CARD_NAME, MODEL_NAME
from pipeline.tracking.model_registry import bring_registered
from tests.support.studio_model import write_stand_in

# In a process of its own: MLflow warns of its own dependencies when it is imported.
REGISTER = """
import sys, mlflow, onnx
folder = sys.argv[1]
with mlflow.start_run():
    mlflow.log_artifact(f"{folder}/generator.json")
    mlflow.onnx.log_model(onnx.load(f"{folder}/generator.onnx"), name="generator", registered_model_name="stand-in",
                          pip_requirements=["onnxruntime"], save_as_external_data=False)
mlflow.MlflowClient().set_registered_model_alias("stand-in", "best", "1")
"""
OPEN = """
import json, sys
from pathlib import Path
from pipeline.errors import InputError
from pipeline.inference.onnx_generator import read_exported
from pipeline.commands.studio import opened_folder
answers = {}
for address in sys.argv[1:]:
    try:
        with opened_folder(address) as folder:
            read_exported(folder)
            answers[address] = {path.name: path.read_bytes().hex() for path in folder.iterdir() if path.is_file()}
        assert not folder.exists()
    except InputError as error:
        answers[address] = str(error)
print(json.dumps(answers))
"""


def _run(script: str, *arguments: str, folder: Path, uri: str = "sqlite:///mlflow.db") -> str:
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "MLFLOW_TRACKING_URI": uri, "PATH": ""}
    command = [sys.executable, "-W", "ignore", "-c", script, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment | {"HOME": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_registered_model_is_the_exported_one_and_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    write_stand_in(tmp_path / "export")
    _run(REGISTER, str(tmp_path / "export"), folder=tmp_path)
    here = ["models:/stand-in", "models:/stand-in/1", "models:/stand-in@best"]
    missing = ["models:/nothing", "models:/stand-in/7", "models:/stand-in@worst"]
    answers = json.loads(_run(OPEN, *here, *missing, folder=tmp_path))
    for address in here:
        assert answers[address] == {name: (tmp_path / "export" / name).read_bytes().hex() for name in (MODEL_NAME, CARD_NAME)}
    for address in missing:
        assert answers[address].startswith(f"{address}: ")
        assert "\n" not in answers[address]


@pytest.mark.parametrize("address", ["models:/../../etc", "models:/a' OR name = 'b", "models:/", "models:/a/1/b", "models:/a@"])
def test_what_is_no_address_of_the_registry_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError, match="write models:/NAME"):
        bring_registered(address, tmp_path)


@pytest.mark.parametrize("uri", ["ftp://registry", "a-folder", "http://[::1", "http://127.0.0.1:80000"])
def test_a_registry_that_is_none_is_one_line(tmp_path: Path, uri: str) -> None:
    answers = json.loads(_run(OPEN, "models:/stand-in", folder=tmp_path, uri=uri))
    assert answers["models:/stand-in"].startswith("models:/stand-in: ")
    assert "\n" not in answers["models:/stand-in"]
