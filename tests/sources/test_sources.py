"""Sources: a folder nothing in which can stop a run, and Fashion-MNIST found, fetched and checked."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import SourceError
from pipeline.sources import datasets, folder, split_of
from pipeline.web.responses import NotFetchedError

PICTURE = b"not looked at by the source"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a category `dress` that holds one file."""
    place = tmp_path / "pictures"
    (place / "dress").mkdir(parents=True)
    (place / "dress" / "a.jpg").write_bytes(PICTURE)
    return place


def _refusal(path: Path, root: Path, max_bytes: int = 1000) -> tuple[str, str]:
    listed = {Path(folder.path_of_url(row.url)): row for row in folder.list_pictures(root, None)}
    row = listed[path]
    with pytest.raises(NotFetchedError) as caught:
        folder.read_picture(row.url, row.page, max_bytes)
    return caught.value.status, caught.value.reason


def test_the_folder_lists_pictures_only_and_in_order(pictures: Path) -> None:
    for name in ("b.PNG", "notes.txt", ".hidden.png", "c.webp"):
        (pictures / "dress" / name).write_bytes(PICTURE)
    (pictures / "coat" / "winter").mkdir(parents=True)
    (pictures / "coat" / "winter" / "z.jpeg").write_bytes(PICTURE)
    (pictures / ".git").mkdir()
    (pictures / ".git" / "a.png").write_bytes(PICTURE)
    (pictures / "at-the-top.png").write_bytes(PICTURE)
    names = [path.relative_to(pictures).as_posix() for path in folder.picture_paths(pictures)]
    assert names == ["coat/winter/z.jpeg", "dress/a.jpg", "dress/b.PNG", "dress/c.webp"]


def test_a_category_is_the_folder_below_the_top_or_below_a_split(pictures: Path) -> None:
    [row] = folder.list_pictures(pictures, "CC0-1.0")
    assert (row.category, row.split, row.licence) == ("dress", None, "CC0-1.0")
    split = pictures.parent / "with-splits"
    split.mkdir()
    pictures.rename(split / "val")
    [row] = folder.list_pictures(split, None)
    assert (row.category, row.split) == ("dress", "validation")


@pytest.mark.parametrize("names", [("train", "Val", "TEST"), ("Training", "dev"), ("train", "__MACOSX", "@eaDir")])
def test_folders_are_splits_by_every_name_and_in_any_case(pictures: Path, names: tuple[str, ...]) -> None:
    root = pictures.parent / "with-splits"
    for name in names:
        shutil.copytree(pictures, root / name)
    (root / names[0] / "dress" / "._a.jpg").write_bytes(b"\0\x05\x16\x07")
    rows = list(folder.list_pictures(root, None))
    assert [row.split for row in rows] == [split_of(name) for name in sorted(names) if split_of(name)]
    assert {row.category for row in rows} == {"dress"}


def test_splits_beside_another_folder_are_categories_and_a_line_names_it(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = pictures.parent / "with-splits"
    for name in ("train", "test", "holdout"):
        shutil.copytree(pictures, root / name)
    assert {row.category for row in folder.list_pictures(root, None)} == {"train", "test", "holdout"}
    assert ["holdout" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize("name", ["a b.jpg", "100%25.jpg", "é#?.jpg", "line\nbreak.jpg", os.fsdecode(b"\xff\xfe.jpg")])
def test_any_file_name_survives_the_manifest(pictures: Path, name: str) -> None:
    (pictures / "dress" / name).write_bytes(name.encode(errors="surrogateescape"))
    found = {folder.read_picture(row.url, row.page, 1000) for row in folder.list_pictures(pictures, None)}
    assert found == {PICTURE, name.encode(errors="surrogateescape")}
    assert all(row.url.isascii() for row in folder.list_pictures(pictures, None))


def test_a_link_may_stay_in_the_folder_but_not_leave_it(pictures: Path) -> None:
    (pictures.parent / "secret.jpg").write_bytes(b"secret")
    (pictures / "dress" / "inside.jpg").symlink_to("a.jpg")
    (pictures / "dress" / "outside.jpg").symlink_to(pictures.parent / "secret.jpg")
    assert _refusal(pictures / "dress" / "outside.jpg", pictures) == ("refused", f"a link out of {pictures}")
    inside = next(row for row in folder.list_pictures(pictures, None) if row.url.endswith("inside.jpg"))
    assert folder.read_picture(inside.url, inside.page, 1000) == PICTURE


def test_what_cannot_be_read_has_a_reason(pictures: Path) -> None:
    os.mkfifo(pictures / "dress" / "pipe.jpg")
    (pictures / "dress" / "large.jpg").write_bytes(bytes(1001))
    (pictures / "dress" / "loop.jpg").symlink_to("loop.jpg")
    (pictures / "dress" / "gone.jpg").symlink_to("nowhere.jpg")
    assert _refusal(pictures / "dress" / "pipe.jpg", pictures) == ("refused", "not a regular file")
    assert _refusal(pictures / "dress" / "large.jpg", pictures) == ("refused", "1001 bytes, more than fetch.max_bytes (1000)")
    assert _refusal(pictures / "dress" / "gone.jpg", pictures) == ("failed", "cannot be read (No such file or directory)")
    assert _refusal(pictures / "dress" / "loop.jpg", pictures)[0] == "failed"


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda _: None], ids=["empty", "a file", "missing"])
def test_a_folder_without_pictures_is_one_clear_error(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "wrong")
    with pytest.raises(SourceError, match=r"^collect\.folder\.path: .*wrong: [^\n]+$"):
        list(folder.list_pictures(tmp_path / "wrong", None))


def _idx(values: np.ndarray) -> bytes:
    magic = bytes([0, 0, 8, values.ndim])
    return magic + b"".join(side.to_bytes(4, "big") for side in values.shape) + values.astype(np.uint8).tobytes()


@pytest.fixture
def small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Fashion-MNIST's four files, of 12 and 5 pictures, whose MD5s pass for the published ones."""
    place = tmp_path / "small"
    place.mkdir()
    random = np.random.default_rng(0)
    md5 = {}
    for prefix, count in (("train", 12), ("t10k", 5)):
        arrays = {"images-idx3": random.integers(0, 256, (count, 28, 28)), "labels-idx1": np.arange(count) % 10}
        for kind, values in arrays.items():
            name = f"{prefix}-{kind}-ubyte.gz"
            packed = datasets._with_published_header(gzip.compress(_idx(values), mtime=0), name)
            (place / name).write_bytes(packed)
            md5[name] = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(datasets, "MD5", md5)
    return place


def _fails(_: Path) -> None:
    raise SourceError("not today")


def test_the_pictures_and_labels_are_those_of_the_files(small_files: Path) -> None:
    rows = list(datasets.list_pictures(small_files, limit=None))
    assert [row.url for row in rows[:2]] == ["fashion-mnist:train/00000", "fashion-mnist:train/00001"]
    assert [row.split for row in rows] == ["train"] * 12 + ["test"] * 5
    assert [row.category for row in rows[:10]] == list(datasets.CATEGORIES)
    assert len(list(datasets.list_pictures(small_files, limit=3))) == 6
    picture = Image.open(io.BytesIO(datasets.FashionMnist(small_files).png_of("fashion-mnist:test/00004")))
    expected = np.frombuffer(gzip.decompress((small_files / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    assert np.array_equal(np.asarray(picture), expected.reshape(-1, 28, 28)[4])


@pytest.mark.parametrize(
    "url", ["fashion-mnist:test/00005", "fashion-mnist:validation/00000", "fashion-mnist:train", "fashion-mnist:train/x"]
)
def test_a_picture_that_is_not_there_fails(small_files: Path, url: str) -> None:
    with pytest.raises(NotFetchedError, match="no such picture"):
        datasets.FashionMnist(small_files).png_of(url)


def test_a_copy_already_there_is_used_and_nothing_else_tried(
    small_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(small_files, tmp_path / "sources" / "fashion-mnist")
    monkeypatch.setattr(datasets, "PROVIDERS", {"a way": _fails})
    assert datasets.fashion_mnist_folder(tmp_path / "sources") == tmp_path / "sources" / "fashion-mnist"


def test_a_wrong_copy_is_set_aside_and_the_next_way_tried(
    small_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "sources" / "fashion-mnist"
    shutil.copytree(small_files, wrong)
    (wrong / "train-labels-idx1-ubyte.gz").write_bytes(b"flipped")
    ways = {"first": _fails, "second": lambda to: datasets._copy_files(small_files, to)}
    monkeypatch.setattr(datasets, "PROVIDERS", ways)
    found = datasets.fashion_mnist_folder(tmp_path / "sources")
    assert {path.name for path in found.iterdir()} == set(datasets.MD5)
    assert (tmp_path / "sources" / "fashion-mnist.damaged" / "train-labels-idx1-ubyte.gz").read_bytes() == b"flipped"


def test_a_way_that_brings_wrong_files_leaves_nothing(
    small_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_files / "t10k-images-idx3-ubyte.gz").write_bytes(b"flipped")
    monkeypatch.setattr(
        datasets, "PROVIDERS", {"a copy": lambda to: datasets._copy_files(small_files, to), "a download": _fails}
    )
    with pytest.raises(SourceError) as caught:
        datasets.fashion_mnist_folder(tmp_path / "sources")
    message = str(caught.value)
    assert "a copy (" in message
    assert "is not the published" in message
    assert "a download (not today)" in message
    assert f"into {tmp_path / 'sources' / 'fashion-mnist'}" in message
    assert "\n" not in message
    assert [path.name for path in (tmp_path / "sources").iterdir()] == [".lock"]


def test_a_folder_named_in_the_parameters_must_be_right(small_files: Path, tmp_path: Path) -> None:
    found = datasets.fashion_mnist_folder(tmp_path / "sources", given=small_files)
    assert (found / "train-labels-idx1-ubyte.gz").read_bytes() == (small_files / "train-labels-idx1-ubyte.gz").read_bytes()
    (small_files / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(SourceError, match=r"^collect\.fashion_mnist\.path: .*train-labels-idx1-ubyte\.gz: No such file"):
        datasets.fashion_mnist_folder(tmp_path / "sources", given=small_files)


def test_debians_gzip_header_becomes_the_published_one(small_files: Path) -> None:
    name = "t10k-labels-idx1-ubyte.gz"
    published = (small_files / name).read_bytes()
    assert published[3:8] == b"\x08" + (1504176627).to_bytes(4, "little")
    debian = published[:3] + b"\0" + bytes(4) + published[8:10] + published[10 + len("t10k-labels-idx1-ubyte\0") :]
    assert gzip.decompress(debian) == gzip.decompress(published)
    (small_files / name).write_bytes(debian)
    assert datasets.published_file(small_files / name) == published


def test_debians_package_is_fetched_and_unpacked_without_root(
    small_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb here")
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    control = {"Package": "dataset-fashion-mnist", "Version": "1", "Architecture": "all", "Description": "test"}
    control["Maintainer"] = "Nobody <nobody@example.org>"
    (tree / "DEBIAN" / "control").write_text("".join(f"{name}: {value}\n" for name, value in control.items()))
    shutil.copytree(small_files, tree / datasets.DEBIAN_FOLDER)
    subprocess.run(["dpkg-deb", "--build", tree, tmp_path / "package.deb"], check=True, capture_output=True)
    # An apt-get that knows the package only after an update into folders of our own, as on a fresh machine without root.
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "apt-get"
    script.write_text(
        '#!/bin/sh\ncase "$*" in\n'
        f"*Dir::State=*update) touch {tmp_path}/updated ;;\n"
        f"*download*) test -e {tmp_path}/updated || {{ echo 'E: Unable to locate package' >&2; exit 100; }}\n"
        f"cp {tmp_path}/package.deb . ;;\n*) exit 1 ;;\nesac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(datasets, "PROVIDERS", {"package": datasets._from_debian_package})
    found = datasets.fashion_mnist_folder(tmp_path / "sources")
    assert len(list(datasets.list_pictures(found, None))) == 17
    assert sorted(path.name for path in found.parent.iterdir()) == [".lock", "fashion-mnist"]


def test_without_apt_get_the_reason_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="apt-get is not installed"):
        datasets._from_debian_package(tmp_path / "partial")
