"""DVC's temporary copies of the project, one for each experiment of `dvc exp run --queue` or `--temp`, deleted at its end."""

from pathlib import Path

from pipeline.tracking.tracker import SPOOLS

COPIES = (".dvc", "tmp", "exps")  # the folder of the copies, in the project


def project_of(folder: Path) -> Path | None:
    """The project of which the absolute `folder` is a copy of DVC's; None where it is none."""
    return next((above.parents[2] for above in folder.parents if above.parts[-3:] == COPIES), None)


def keep_spools_in(project: Path) -> None:
    """Make logs/tracking of this copy a link to that of `project`: what MLflow has not taken yet must outlive the copy."""
    spools = project / SPOOLS
    spools.mkdir(parents=True, exist_ok=True)
    SPOOLS.parent.mkdir(exist_ok=True)
    if not SPOOLS.exists():
        SPOOLS.symlink_to(spools)
