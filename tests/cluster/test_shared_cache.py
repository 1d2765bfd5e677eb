"""Two clones with one DVC cache: what either made, the other restores."""

from pathlib import Path

import pytest

from tests.support.checkout import SNAKEMAKE, Checkout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

MADE = ("collect", "fetch", "inspect", "dedup", "curate", "augment")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose data are made, with a cache outside."""
    folder = tmp_path_factory.mktemp("shared")
    checkout = Checkout.make(folder / "first")
    checkout.run("dvc", "config", "cache.dir", str(folder / "cache"))
    checkout.run("dvc", "config", "cache.shared", "group")
    checkout.run(*SNAKEMAKE, "--until", "augment")
    checkout.commit("data")
    return checkout


def test_another_clone_restores_every_stage_and_recomputes_nothing(first: Checkout, tmp_path: Path) -> None:
    clone = first.clone(tmp_path / "clone")
    clone.run("dvc", "checkout", *MADE)
    assert "Nothing to be done" in clone.run("snakemake", "--dry-run", "--until", "augment")
    assert clone.stages_run_by("dvc", "repro", "augment") == set()


def test_other_parameters_share_what_is_equal(first: Checkout, tmp_path: Path) -> None:
    clone = first.clone(tmp_path / "clone")
    clone.change("curate", lambda section: section.update(test_share=0.4))
    assert clone.stages_run_by("dvc", "repro", "--pull", "augment") == {"curate", "augment"}
    assert {stage: hashes for stage, hashes in clone.hashes().items() if stage.startswith(("data/raw", "data/inspect"))} == {
        stage: hashes for stage, hashes in first.hashes().items() if stage.startswith(("data/raw", "data/inspect"))
    }


def test_gc_keeps_what_commits_name_and_drops_the_rest(first: Checkout, tmp_path: Path) -> None:
    checkout = first.copy(tmp_path / "own")
    checkout.run("dvc", "config", "cache.dir", str(tmp_path / "cache"))
    checkout.run("dvc", "commit", "--force", *MADE)
    committed = checkout.hashes()
    checkout.change("augment", lambda section: section.update(copies=1))
    checkout.run("dvc", "repro", "augment")
    passing = checkout.hashes()["data/train"]
    checkout.run("git", "checkout", "--quiet", "params.yaml", "dvc.lock")
    checkout.run("dvc", "checkout", *MADE)
    checkout.run("dvc", "gc", "--all-commits", "--force")
    left = {f"{path.parent.name}{path.name}" for path in (tmp_path / "cache/files/md5").glob("*/*")}
    assert committed["data/train"] in left
    assert passing not in left
    checkout.run("dvc", "checkout", *MADE)
    assert checkout.hashes() == committed
