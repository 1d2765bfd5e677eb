"""Pictures that are added, or edited in their place, concern the jobs of their shard and of no other."""

import shutil
from pathlib import Path

import pytest

from pipeline.workflow.source_files import state_of_listed
from tests.support.checkout import Checkout

pytestmark = [pytest.mark.graph, pytest.mark.timeout(900)]

INSPECT = ["snakemake", "--cores", "2", "--resources", "gpu=1", "--", "inspect_all"]


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which 72 pictures are inspected, 20 in each of four shards but the last."""
    checkout = Checkout.make(tmp_path_factory.mktemp("checkout") / "project")
    checkout.change("collect", lambda section: section.update(shards=4, rows_per_turn=20))
    checkout.run(*INSPECT)
    return checkout


def _jobs_of(checkout: Checkout, *command: str) -> dict[str, list[str]]:
    """The shards whose log `command` wrote anew, by stage."""
    logs = [path for stage in ("fetch", "inspect") for path in (checkout.folder / "logs" / stage).glob("*.log")]
    before = {path: path.stat().st_mtime_ns for path in logs}
    checkout.run(*command)
    written = sorted(path for path in logs if path.stat().st_mtime_ns != before[path])
    return {stage: [path.stem for path in written if path.parent.name == stage] for stage in ("fetch", "inspect")}


def _shards(checkout: Checkout) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (checkout.folder / "data/raw").glob("*.tar")}


def test_pictures_listed_last_make_jobs_of_their_shard_alone(inspected: Checkout) -> None:
    before = _shards(inspected)
    added = inspected.folder / "data/pictures/zz-added"
    added.mkdir()
    shutil.copy(sorted((inspected.folder / "data/pictures/hat").glob("*.png"))[0], added / "hat.png")
    assert _jobs_of(inspected, *INSPECT) == {"fetch": ["00003"], "inspect": ["00003"]}
    after = _shards(inspected)
    assert {name for name, content in after.items() if content != before[name]} <= {"00003.tar"}
    assert "up to date" in inspected.run("dvc", "status", "collect", "fetch", "inspect")
    assert _jobs_of(inspected, "dvc", "repro", "inspect") == {"fetch": [], "inspect": []}


def test_a_picture_edited_in_its_place_makes_jobs_of_its_shard_alone(inspected: Checkout) -> None:
    pictures = sorted((inspected.folder / "data/pictures").glob("*/*.png"))
    shutil.copy(pictures[0], pictures[30])
    assert _jobs_of(inspected, *INSPECT) == {"fetch": ["00001"], "inspect": ["00001"]}


def test_a_table_that_is_missing_or_damaged_lists_no_files(tmp_path: Path) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    assert state_of_listed(tmp_path / "damaged.parquet") == state_of_listed(tmp_path / "missing.parquet")
