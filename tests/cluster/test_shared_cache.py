"""Two clones with one DVC cache, a cache that may only be read, and what `dvc gc` leaves."""

import os
import shutil
from pathlib import Path

from tests.cluster.conftest import CLUSTER
from tests.cluster.fetched import STAGES, change_a_result, cloned, in_folder, results
from tests.support.checkout import Checkout

pytestmark = CLUSTER

# root may write wherever it likes, but for this
PLAIN_USER = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []


def with_cache(clone: Checkout, cache: Path) -> Checkout:
    """`clone`, whose cache is the folder `cache`."""
    clone.run("dvc", "cache", "dir", "--local", str(cache))
    return clone


def test_a_second_clone_takes_every_result_from_the_cache_and_runs_no_stage(fetched: Checkout, tmp_path: Path) -> None:
    clone = with_cache(cloned(fetched, tmp_path / "clone"), fetched.folder / ".dvc/cache")
    shutil.copytree(fetched.folder / "data/pictures", clone.folder / "data/pictures", dirs_exist_ok=True)
    clone.run("dvc", "checkout", *STAGES)
    assert results(clone, *STAGES) == results(fetched, *STAGES)
    assert not (clone.folder / ".dvc/cache").exists()
    assert "up to date" in clone.run("dvc", "status", *STAGES)
    assert clone.stages_run_by("dvc", "repro", "fetch") == set()


def test_a_cache_that_may_only_be_read_gives_every_result(fetched: Checkout, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(fetched.folder / ".dvc/cache", cache)
    clone = with_cache(cloned(fetched, tmp_path / "clone"), cache)
    clone.run("chmod", "--recursive", "a-w", str(cache))
    try:
        refused = clone.run(*PLAIN_USER, "touch", str(cache / "files/new"), expect=1)
        assert "Permission denied" in refused
        clone.run(*PLAIN_USER, "dvc", "checkout", *STAGES)
        assert results(clone, *STAGES) == results(fetched, *STAGES)
    finally:
        clone.run("chmod", "--recursive", "u+w", str(cache))


def test_gc_of_all_commits_keeps_what_they_name_and_gc_of_the_workspace_does_not(fetched: Checkout, tmp_path: Path) -> None:
    shutil.copytree(fetched.folder, tmp_path / "copy", symlinks=True)
    copy = in_folder(tmp_path / "copy")
    change_a_result(copy, "second")
    second = results(copy, *STAGES)
    copy.run("dvc", "gc", "--all-commits", "--force")
    for revision, expected in (("HEAD~1", results(fetched, *STAGES)), ("-", second)):
        copy.run("git", "checkout", "--quiet", revision)
        copy.run("dvc", "checkout", "--force", *STAGES)
        assert results(copy, *STAGES) == expected
    copy.run("dvc", "gc", "--workspace", "--force")
    copy.run("git", "checkout", "--quiet", "HEAD~1")
    assert "missing-files" in copy.run("dvc", "checkout", "--force", *STAGES, expect=255)
