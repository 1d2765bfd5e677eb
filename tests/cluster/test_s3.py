"""A DVC remote on S3: everything arrives, damage is refused, an interruption and a race leave it whole."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.processes import started
from tests.cluster.s3 import BUCKET, S3, s3
from tests.support.checkout import SNAKEMAKE, Checkout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def augmented(server: S3, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose data are made, committed, and which has a remote that verifies."""
    checkout = Checkout.make(tmp_path_factory.mktemp("checkout") / "project", server.environment)
    checkout.run(*SNAKEMAKE, "--until", "augment")
    checkout.run("dvc", "remote", "add", "--default", "store", f"s3://{BUCKET}/first")
    checkout.run("dvc", "remote", "modify", "store", "endpointurl", server.url)
    checkout.run("dvc", "remote", "modify", "store", "verify", "true")
    checkout.commit("data")
    return checkout


def _remote(checkout: Checkout, prefix: str) -> None:
    checkout.run("dvc", "remote", "modify", "store", "url", f"s3://{BUCKET}/{prefix}")


def _clone(checkout: Checkout, folder: Path, prefix: str) -> Checkout:
    clone = checkout.clone(folder)
    _remote(clone, prefix)
    return clone


def _outputs(checkout: Checkout, stage: str) -> list[str]:
    lock = yaml.safe_load((checkout.folder / "dvc.lock").read_text())
    return [out["path"] for out in lock["stages"][stage]["outs"]]


def test_a_push_is_pulled_whole_or_by_stage_and_a_flipped_byte_is_refused(
    augmented: Checkout, server: S3, tmp_path: Path
) -> None:
    _remote(augmented, "whole")
    augmented.run("dvc", "push")
    one = _clone(augmented, tmp_path / "one", "whole")
    one.run("dvc", "pull", "curate")
    assert all((one.folder / path).exists() for path in _outputs(augmented, "curate"))
    assert not (one.folder / "data/train").exists(), "a pull of one stage brings that stage only"
    one.run("dvc", "pull", "collect", "fetch", "inspect", "dedup", "augment")
    assert "Nothing to be done" in one.run("snakemake", "--dry-run", "--until", "augment")

    client, lock = server.client(), yaml.safe_load((augmented.folder / "dvc.lock").read_text())
    md5 = next(out["md5"] for out in lock["stages"]["curate"]["outs"] if out["path"] == "data/curated.parquet")
    key = f"whole/files/md5/{md5[:2]}/{md5[2:]}"
    content = bytearray(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    content[len(content) // 2] ^= 1
    client.put_object(Bucket=BUCKET, Key=key, Body=bytes(content))
    two = _clone(augmented, tmp_path / "two", "whole")
    said = two.run("dvc", "pull", "curate", expect=None)
    assert "failed" in said.lower()
    assert not (two.folder / "data/curated.parquet").exists()


def test_a_push_that_was_killed_is_resumed_by_the_same_command(augmented: Checkout, server: S3, tmp_path: Path) -> None:
    _remote(augmented, "interrupted")
    with started(["dvc", "push", "--jobs", "1"], tmp_path / "push.log", augmented.environment, augmented.folder) as push:
        while not server.keys("interrupted/"):
            assert push.poll() is None, (tmp_path / "push.log").read_text()
            time.sleep(0.01)
        push.kill()
        push.wait()
    augmented.run("dvc", "push")
    clone = _clone(augmented, tmp_path / "clone", "interrupted")
    clone.run("dvc", "pull", "collect", "fetch", "inspect", "dedup", "curate", "augment")
    assert clone.hashes() == augmented.hashes()
    assert clone.run("dvc", "status", "--cloud").strip().endswith("in sync.")


def test_two_clones_that_push_at_once_lose_nothing(augmented: Checkout, tmp_path: Path) -> None:
    clones = [augmented.copy(tmp_path / name) for name in ("one", "two")]
    for name, clone in zip(("one", "two"), clones, strict=True):
        _remote(clone, "race")
        (clone.folder / f"{name}.bin").write_bytes(name.encode() * 100_000)
        clone.run("dvc", "add", f"{name}.bin")
    pushes = [subprocess.Popen(["dvc", "push"], cwd=clone.folder, env=clone.environment) for clone in clones]
    assert [push.wait() for push in pushes] == [0, 0]
    for clone in clones:
        assert clone.run("dvc", "status", "--cloud").strip().endswith("in sync.")


def test_a_list_of_pictures_comes_from_s3_by_dvc_import_url_and_is_updated(
    server: S3, augmented: Checkout, tmp_path: Path
) -> None:
    clone = _clone(augmented, tmp_path / "clone", "lists")
    (clone.folder / "data/lists").mkdir(parents=True, exist_ok=True)
    for content in (b"url,category\nhttps://shop.example/1.jpg,hat\n", b"url,category\nhttps://shop.example/2.jpg,hat\n"):
        server.client().put_object(Bucket=BUCKET, Key="lists/hats.csv", Body=content)
        known = (clone.folder / "data/lists/hats.csv.dvc").exists()
        source = (
            ["update", "data/lists/hats.csv.dvc"] if known else ["import-url", f"s3://{BUCKET}/lists/hats.csv", "data/lists"]
        )
        clone.run("dvc", *source)
        assert (clone.folder / "data/lists/hats.csv").read_bytes() == content
