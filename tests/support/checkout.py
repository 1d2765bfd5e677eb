"""Copies of the project on the tiny preset, in which tests run Snakemake, DVC and git."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.garments import draw_wardrobe
from tests.support.project import ROOT

BIN = Path(sys.executable).parent
SNAKEMAKE = ["snakemake", "--cores", "2", "--resources", "gpu=1"]


def clean_environment() -> dict[str, str]:
    """The environment of a user who has only installed the project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ATELIER_", "DVC_", "MLFLOW_", "GIT_"))}
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}


class Checkout:
    """A copy of the project in a folder of its own, on the tiny preset."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """`environment`: variables of its commands beside those of every user."""
        self.folder = folder
        self.environment = clean_environment() | dict(environment or {})

    @classmethod
    def make(cls, folder: Path, environment: Mapping[str, str] | None = None) -> "Checkout":
        """A new checkout of the working tree, with drawn garments as its pictures."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)  # of a run in the project's own folder
        shutil.copy(ROOT / "presets/tiny.yaml", folder / "params.yaml")
        checkout = cls(folder, environment)
        pictures = folder / checkout.params()["collect"]["folder"]["path"]
        draw_wardrobe(pictures, ["dress", "hat", "shirt"], 24, seed=0)
        checkout.run("git", "init", "--quiet")
        checkout.commit("start")
        return checkout

    def copy(self, folder: Path) -> "Checkout":
        """A copy of everything in `folder`, with results, cache and records."""
        shutil.copytree(self.folder, folder, symlinks=True)
        copy = Checkout(folder)
        copy.run("python", "-m", "pipeline", "send", "--relocate")
        return copy

    def run(self, *command: str, expect: int | None = 0) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert expect is None or done.returncode == expect, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-6000:]}"
        return done.stdout

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message", message)

    def params(self) -> dict[str, Any]:
        return yaml.safe_load((self.folder / "params.yaml").read_text())

    def change(self, stage: str, change: Callable[[dict[str, Any]], None]) -> None:
        params = self.params()
        change(params[stage])
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def hashes(self) -> dict[str, str]:
        """MD5 of every output, by path, as DVC recorded them."""
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())
        return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}

    def stages_run_by(self, *command: str) -> set[str]:
        """The stages whose log `command` wrote anew."""
        before = time.time()
        self.run(*command)
        logs = [path for path in (self.folder / "logs").rglob("*.log") if path.stat().st_mtime >= before]
        return {path.relative_to(self.folder / "logs").with_suffix("").parts[0] for path in logs}

    def assert_all_up_to_date(self) -> None:
        assert "up to date" in self.run("dvc", "status")
        assert "Nothing to be done" in self.run("snakemake", "--dry-run")
        assert self.stages_run_by("dvc", "repro") == set()
        assert "Nothing to be done" in self.run(*SNAKEMAKE)
