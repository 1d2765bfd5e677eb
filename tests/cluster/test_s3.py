"""Results in a bucket: pushed, pulled, damaged there, interrupted, and pushed by two clones at once."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import CLUSTER
from tests.cluster.fetched import STAGES, change_a_result, cloned, in_folder, results
from tests.cluster.processes import end, started
from tests.cluster.s3_server import Bucket, s3_server
from tests.support.checkout import Checkout

pytestmark = CLUSTER


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def with_remote(checkout: Checkout, bucket: Bucket, name: str) -> Checkout:
    """`checkout`, whose default remote is the folder `name` of the bucket, as docs/cluster.md says to set it up."""
    config = f"[core]\n    remote = store\n['remote \"store\"']\n    url = s3://store/{name}\n"
    config += f"    endpointurl = {bucket.url}\n    verify = true\n"
    (checkout.folder / ".dvc/config.local").write_text(config)
    return checkout


def test_a_clone_pulls_one_stage_alone_and_then_the_rest_with_the_same_bytes(
    fetched: Checkout, bucket: Bucket, tmp_path: Path
) -> None:
    with_remote(fetched, bucket, "whole").run("dvc", "push", *STAGES)
    clone = with_remote(cloned(fetched, tmp_path / "clone"), bucket, "whole")
    clone.run("dvc", "pull", "fetch")
    assert results(clone, *STAGES) == results(fetched, "fetch")
    clone.run("dvc", "pull", *STAGES)
    assert results(clone, *STAGES) == results(fetched, *STAGES)
    assert len(results(clone, *STAGES)) == 2 + 4  # of two shards: a manifest, a tar and a table each


def test_a_flipped_byte_in_the_bucket_is_refused_until_it_is_repaired(
    fetched: Checkout, bucket: Bucket, tmp_path: Path
) -> None:
    with_remote(fetched, bucket, "flipped").run("dvc", "push", *STAGES)
    key = max(bucket.objects("flipped/"), key=lambda name: len(bucket.read(name)))  # a shard
    content = bucket.read(key)
    middle = len(content) // 2
    bucket.write(key, content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    clone = with_remote(cloned(fetched, tmp_path / "clone"), bucket, "flipped")
    message = clone.run("dvc", "pull", "fetch", expect=1)
    assert "Traceback" not in message
    right = results(fetched, "fetch")
    assert all(right[path] == sha256 for path, sha256 in results(clone, "fetch").items())
    assert len(results(clone, "fetch")) < len(right)
    bucket.write(key, content)
    clone.run("dvc", "pull", "fetch")
    assert results(clone, "fetch") == right


def test_a_push_that_was_killed_sends_only_what_is_missing(fetched: Checkout, bucket: Bucket, tmp_path: Path) -> None:
    clone = with_remote(cloned(fetched, tmp_path / "clone"), bucket, "killed")
    many = {f"{number:03d}.txt": str(number) for number in range(300)}
    (clone.folder / "many").mkdir()
    for name, text in many.items():
        (clone.folder / "many" / name).write_text(text)
    clone.run("dvc", "add", "many")
    clone.commit("many")
    push = ["dvc", "push", "--jobs", "1", "many.dvc"]
    with started(push, tmp_path / "push.log", clone.environment, clone.folder) as process:
        while not bucket.objects("killed/"):
            assert process.poll() is None, (tmp_path / "push.log").read_text()
            time.sleep(0.01)
        end(process, signal.SIGKILL)
    count = len(many) + 1  # and the folder's own object
    assert len(bucket.objects("killed/")) < count
    clone.run(*push)
    assert len(bucket.objects("killed/")) == count
    assert bucket.uploads("killed/") <= count + 1, "but what the killed process was at, nothing is sent twice"
    other = with_remote(cloned(clone, tmp_path / "other"), bucket, "killed")
    other.run("dvc", "pull", "many.dvc")
    assert {path.name: path.read_text() for path in (other.folder / "many").iterdir()} == many


def test_two_clones_that_push_at_once_both_find_their_results(fetched: Checkout, bucket: Bucket, tmp_path: Path) -> None:
    clones = []
    for name in ("one", "two"):
        shutil.copytree(fetched.folder, tmp_path / name, symlinks=True)
        clone = with_remote(in_folder(tmp_path / name), bucket, "race")
        change_a_result(clone, name)
        clones.append(clone)
    processes = [
        subprocess.Popen(["dvc", "push", *STAGES], cwd=clone.folder, env=clone.environment, stdout=subprocess.DEVNULL)
        for clone in clones
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert results(clones[0], "collect") != results(clones[1], "collect")
    for clone in clones:
        third = with_remote(cloned(clone, tmp_path / f"pulled-{clone.folder.name}"), bucket, "race")
        third.run("dvc", "pull", *STAGES)
        assert results(third, *STAGES) == results(clone, *STAGES)
