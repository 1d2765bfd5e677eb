"""List the pictures of the source in a manifest."""

import dataclasses
import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from pipeline.errors import SourceError
from pipeline.params import CollectParams
from pipeline.sources import Listed, datasets, folder
from pipeline.store.tables import MANIFEST, write_table
from pipeline.store.tracking import Tracker

log = logging.getLogger(__name__)


def key_of(url: str) -> str:
    """The first 16 hex digits of the SHA-256 of `url`."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def manifest_of(pictures: Iterable[Listed], source: str) -> pd.DataFrame:
    """A row of tables.MANIFEST for each picture, in their order."""
    rows = [dataclasses.asdict(picture) | {"key": key_of(picture.url), "source": source} for picture in pictures]
    return pd.DataFrame(rows, columns=MANIFEST.names, dtype=object)


def _pictures(params: CollectParams, downloads: Path) -> Iterable[Listed]:
    if params.source == "fashion-mnist":
        given = params.fashion_mnist.path
        files = datasets.fashion_mnist_folder(downloads, Path(given) if given else None)
        return datasets.list_pictures(files, params.fashion_mnist.limit)
    if params.folder.path is None:
        raise SourceError("collect.folder.path: name the folder that holds the pictures, one sub-folder per category")
    return folder.list_pictures(Path(params.folder.path), params.folder.licence)


def run(params: CollectParams, *, manifest: Path, track: Tracker) -> None:
    """Write the manifest; datasets are unpacked beside it, under sources/."""
    pictures = _pictures(params, downloads=manifest.parent / "sources")
    rows = manifest_of(tqdm(pictures, desc="collect", unit=" pictures", mininterval=1.0), params.source)
    write_table(manifest, rows, MANIFEST)
    counts = {
        "pictures": len(rows),
        "categories": rows["category"].nunique(),
        "without_category": int(rows["category"].isna().sum()),
    }
    log.info("%(pictures)d pictures in %(categories)d categories, %(without_category)d without one", counts)
    for name, count in (rows["split"].fillna("") + " " + rows["category"]).value_counts(sort=False).items():
        log.info("%s: %d", str(name).strip(), count)
    track.metrics(counts)
