"""A checkout in which pictures are listed and fetched, its clones, and what they have of it."""

import subprocess
from pathlib import Path

from pipeline.storage.files import sha256_of_file
from tests.cluster.s3_server import KEYS
from tests.support.checkout import SNAKEMAKE, Checkout

FOLDERS = {"collect": "data/manifest", "fetch": "data/raw"}
STAGES = tuple(FOLDERS)
AWAY = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}  # nothing listens there, and nobody waits for it


def in_folder(folder: Path) -> Checkout:
    """The checkout in `folder`, with the keys of a bucket, and what DVC remembers of buckets in a folder of its own."""
    return Checkout(folder, KEYS | AWAY | {"DVC_SITE_CACHE_DIR": str(folder.parent / f"{folder.name}-site-cache")})


def fetched_checkout(folder: Path) -> Checkout:
    """A new checkout with the results of STAGES, in two shards, committed."""
    Checkout.make(folder)
    checkout = in_folder(folder)
    checkout.run(*SNAKEMAKE, "--", "fetch_all")
    checkout.commit("fetched")
    return checkout


def cloned(checkout: Checkout, folder: Path) -> Checkout:
    """A clone of `checkout`, without its results and its pictures."""
    subprocess.run(["git", "clone", "--quiet", str(checkout.folder), str(folder)], check=True)
    return in_folder(folder)


def results(checkout: Checkout, *stages: str) -> dict[str, str]:
    """SHA-256 of every file that `stages` made, by path."""
    paths = [path for stage in stages for path in (checkout.folder / FOLDERS[stage]).glob("[0-9]*")]
    return {str(path.relative_to(checkout.folder)): sha256_of_file(path) for path in sorted(paths)}


def change_a_result(checkout: Checkout, mark: str) -> None:
    """Add `mark` to a result of `collect`, and commit it to DVC and to git, as another run would."""
    table = checkout.folder / "data/manifest/00001.parquet"
    content = table.read_bytes()
    table.unlink()  # it may be a link to the cache's own file
    table.write_bytes(content + mark.encode())
    checkout.run("dvc", "commit", "--force", "collect")
    checkout.commit(mark)
