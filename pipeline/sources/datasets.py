"""Public data sets.

Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 70,000 grey pictures of 28×28 pixels in ten categories, MIT licence.
"""

import gzip
import hashlib
import io
import logging
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import SourceError
from pipeline.sources import ListedPicture
from pipeline.storage.files import locked, whole_folder
from pipeline.web.responses import NotFetchedError

SCHEME = "fashion-mnist"
LICENCE = "MIT"
PAGE = "https://github.com/zalandoresearch/fashion-mnist"
PICTURES_PER_CATEGORY = 7_000  # in both splits together
CATEGORIES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
PREFIXES = {"train": "train", "test": "t10k"}
MD5 = {  # published by the authors; the same as in torchvision.datasets.FashionMNIST
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
GZIP_MTIME = {"train": 1504176606, "t10k": 1504176627}  # seconds since 1970, in the published files' gzip headers
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("usr/share/datasets/fashion-mnist")
DOWNLOAD_TIMEOUT_S = 300

log = logging.getLogger(__name__)


def _with_published_header(packed: bytes, name: str) -> bytes:
    """`packed` with the gzip header of the published file: Debian removes the name and the time for reproducible builds."""
    if not packed.startswith(b"\x1f\x8b\x08\0"):
        return packed
    packed_at = struct.pack("<I", GZIP_MTIME[name.partition("-")[0]])
    return b"\x1f\x8b\x08\x08" + packed_at + packed[8:10] + name.removesuffix(".gz").encode() + b"\0" + packed[10:]


def published_file(path: Path) -> bytes:
    """The bytes of one of the four files. Raises SourceError if it is missing or its MD5 is not the published one."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    packed = _with_published_header(packed, path.name)
    md5 = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if md5 != MD5[path.name]:
        raise SourceError(f"{path}: MD5 {md5} is not the published {MD5[path.name]}")
    return packed


def _check_files(folder: Path) -> None:
    for name in MD5:
        published_file(folder / name)


def _copy_files(origin: Path, folder: Path) -> None:
    for name in MD5:
        (folder / name).write_bytes(published_file(origin / name))


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=DOWNLOAD_TIMEOUT_S)
    except FileNotFoundError:
        raise SourceError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]}: not finished after {DOWNLOAD_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        errors = (
            [line for line in error.stderr.splitlines() if line.startswith("E:")] or error.stderr.splitlines() or ["failed"]
        )
        raise SourceError(f"{command[0]}: {errors[0].removeprefix('E:').strip()}") from None


def _from_debian_files(folder: Path) -> None:
    _copy_files(Path("/") / DEBIAN_FOLDER, folder)


def _from_debian_package(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".apt-") as name:
        work = Path(name).resolve()
        try:
            _run(["apt-get", "download", DEBIAN_PACKAGE], work)
        except SourceError as error:
            # A fresh machine has no package lists, and only root may fetch the system's, so use lists of our own.
            log.info("%s; trying again with fresh package lists", error)
            own = ["-o", f"Dir::State={work / 'state'}", "-o", f"Dir::Cache={work / 'cache'}"]
            own += ["-o", "Dir::State::status=/var/lib/dpkg/status"]
            for part in ("state/lists/partial", "cache/archives/partial"):
                (work / part).mkdir(parents=True)
            _run(["apt-get", *own, "update"], work)
            _run(["apt-get", *own, "download", DEBIAN_PACKAGE], work)
        package = next(work.glob("*.deb"))
        _run(["dpkg-deb", "-x", package.name, "unpacked"], work)
        _copy_files(work / "unpacked" / DEBIAN_FOLDER, folder)


def _from_torchvision(folder: Path) -> None:
    from torchvision.datasets import FashionMNIST  # slow to import and rarely needed

    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".torchvision-") as name:
        try:
            FashionMNIST(name, download=True)
        except Exception as error:
            raise SourceError(f"torchvision: {' '.join(str(error).split())}") from None
        _copy_files(Path(name) / "FashionMNIST" / "raw", folder)


PROVIDERS: dict[str, Callable[[Path], None]] = {
    f"/{DEBIAN_FOLDER}": _from_debian_files,
    f"Debian's package {DEBIAN_PACKAGE}": _from_debian_package,
    "torchvision's download": _from_torchvision,
}


def _set_aside(folder: Path) -> Path:
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    return folder.rename(aside)


def fashion_mnist_folder(downloads: Path, given: Path | None = None) -> Path:
    """The folder below `downloads` with the four files, verified; they are fetched if they are missing.

    They come from `given`, or else from the first of PROVIDERS that works. Raises SourceError that lists what was tried.
    """
    folder = downloads / SCHEME
    if given is not None:
        try:
            _check_files(given)
        except SourceError as error:
            raise SourceError(
                f"collect.fashion_mnist.path: {error}; name a folder with the published files, or null to download them"
            ) from None
    with locked(downloads / ".lock"):
        tried = []
        if folder.exists():
            try:
                _check_files(folder)
                return folder
            except SourceError as error:
                tried.append(f"{folder} ({error}; set aside as {_set_aside(folder)})")
                log.warning("%s", tried[-1])
        providers = PROVIDERS if given is None else {str(given): lambda to: _copy_files(given, to)}
        for name, provide in providers.items():
            try:
                with whole_folder(folder) as partial:
                    provide(partial)
            except SourceError as error:
                tried.append(f"{name} ({error})")
                log.info("not available from %s", tried[-1])
            else:
                log.info("copied from %s", name)
                return folder
    raise SourceError(
        f"fashion-mnist is not available; tried {'; '.join(tried)}. Put the four files {', '.join(MD5)} into {folder}, "
        "or name their folder in collect.fashion_mnist.path"
    )


def _read_idx(path: Path, header_bytes: int) -> NDArray[np.uint8]:
    return np.frombuffer(gzip.decompress(path.read_bytes()), dtype=np.uint8, offset=header_bytes)


def _labels(folder: Path, split: str) -> NDArray[np.uint8]:
    return _read_idx(folder / f"{PREFIXES[split]}-labels-idx1-ubyte.gz", 8)


def _images(folder: Path, split: str) -> NDArray[np.uint8]:
    return _read_idx(folder / f"{PREFIXES[split]}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)


def list_pictures(folder: Path, limit: int | None) -> Iterator[ListedPicture]:
    """The pictures of the four files in `folder`: the first `limit` of each split, or all."""
    for split in PREFIXES:
        for index, label in enumerate(_labels(folder, split)[:limit]):
            url = f"{SCHEME}:{split}/{index:05d}"
            yield ListedPicture(url, SCHEME, page=PAGE, category=CATEGORIES[label], licence=LICENCE, split=split)


class FashionMnist:
    """The pictures of the four files in a folder, by URL."""

    def __init__(self, folder: Path) -> None:
        self._images = {split: _images(folder, split) for split in PREFIXES}

    def png_of(self, url: str) -> bytes:
        """The picture as a PNG. Raises NotFetchedError if there is none with this URL."""
        split, _, index = url.removeprefix(f"{SCHEME}:").partition("/")
        try:
            pixels = self._images[split][int(index)]
        except (KeyError, ValueError, IndexError):
            raise NotFetchedError("failed", "fashion-mnist has no such picture") from None
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        return content.getvalue()
