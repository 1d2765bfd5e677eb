"""How Snakemake calls Apptainer, which Debian does not have: a stand-in notes its arguments and runs the command here."""

import os
from pathlib import Path

from tests.cluster.conftest import CLUSTER
from tests.support.checkout import SNAKEMAKE, Checkout

pytestmark = CLUSTER

STAND_IN = """#!/bin/bash
if [ "$1" = --version ]; then echo "apptainer version 1.3.4"; exit; fi
echo "$@" >> "$(dirname "$0")/calls"
while [ "${1##*.}" != sif ]; do shift; done
shift
exec "$@"
"""


def test_a_job_runs_in_the_named_image_with_the_given_options_and_the_project_as_its_home(
    checkout: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "apptainer").write_text(STAND_IN)
    (tmp_path / "apptainer").chmod(0o755)
    (checkout.folder / "atelier.sif").touch()
    checkout.environment["PATH"] = f"{tmp_path}{os.pathsep}{checkout.environment['PATH']}"
    options = ["--sdm", "apptainer", "--apptainer-args=--nv --bind /srv", "--config", "container=atelier.sif"]
    checkout.run(*SNAKEMAKE, *options, "--", "data/manifest.parquet")
    (call,) = (tmp_path / "calls").read_text().splitlines()
    before, _, after = call.partition(" atelier.sif bash -c ")
    assert before.startswith(f"exec --home {checkout.folder} --nv --bind /srv")
    assert "python -m pipeline collect" in after
    assert (checkout.folder / "data/manifest.parquet").exists()
