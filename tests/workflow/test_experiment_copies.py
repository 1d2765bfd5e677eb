"""Copies of the project in which DVC runs experiments, and the name by which the stages of one belong together."""

from pathlib import Path

import psutil
import pytest

from pipeline.workflow import snakemake_dvc_sync as sync
from pipeline.workflow.experiment_copies import keep_spools_in, project_of


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("/home/a/shop/.dvc/tmp/exps/tmp1234", "/home/a/shop"),
        ("/home/a/shop/.dvc/tmp/exps/standalone/tmp1234", "/home/a/shop"),
        ("/home/a/shop/.dvc/tmp/exps/tmp1234/sub", "/home/a/shop"),
        ("/home/a/shop", None),
        ("/home/a/shop/.dvc/tmp/exps", None),
    ],
)
def test_a_copy_names_its_project_and_no_other_folder_does(folder: str, project: str | None) -> None:
    assert project_of(Path(folder)) == (Path(project) if project else None)


def test_what_a_copy_notes_for_mlflow_stays_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "shop"
    copy = project / ".dvc/tmp/exps/tmp1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    for _ in range(2):  # every snakemake of the experiment does it
        keep_spools_in(project)
    (copy / "logs/tracking/run").mkdir()
    assert (project / "logs/tracking/run").is_dir()


def test_stages_of_one_dvc_share_an_invocation_though_the_clock_is_set_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    boot_s = 1.0e9

    class Dvc(psutil.Process):
        def create_time(self) -> float:
            return boot_s + 123.45  # as psutil has it: what the kernel counts from boot, after the time of boot

        def cmdline(self) -> list[str]:
            return ["python", "/bin/dvc", "repro"]

    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_s)
    dvc = Dvc()
    monkeypatch.setattr(psutil.Process, "parents", lambda _: [dvc])
    first = sync._invocation()
    boot_s += 41
    assert sync._invocation() == first
