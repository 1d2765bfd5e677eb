"""Files whole or not at all; tables and shards of equal content have equal bytes."""

import os
import platform
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.storage.arrays import read_attributes, read_split
from pipeline.storage.captions import read_captions
from pipeline.storage.files import whole_file, whole_folder, write_json
from pipeline.storage.shards import read_shard, write_shard
from pipeline.storage.tables import read_table, read_tables, write_table
from tests.support.splits import write_split

ROOT = Path(__file__).parents[2]
SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("width", pa.int32())])


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kept.txt"
    write_json(path, {"old": 1})
    before = path.read_bytes()
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["kept.txt"]


def test_a_failed_folder_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with whole_folder(folder) as partial:
        (partial / "a").write_text("old")
    left = partial / "left by an earlier process of this id"
    left.mkdir(parents=True)
    with pytest.raises(RuntimeError), whole_folder(folder) as partial:
        assert not left.exists()
        (partial / "b").write_text("half")
        raise RuntimeError
    assert [file.name for file in folder.iterdir()] == ["a"]
    with whole_folder(folder) as partial:
        (partial / "c").write_text("new")
    assert [file.name for file in folder.iterdir()] == ["c"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


REPLACE_AND_BE_KILLED = """
import os, sys
from pathlib import Path
from pipeline.storage import files

def killed(*_):
    os._exit(9)

def killed_at_the_second(self, target, renamed=[]):
    if renamed:
        killed()
    renamed.append(os.rename(self, target))

if sys.argv[2] == "between":
    Path.rename = killed_at_the_second
else:
    setattr(*{"before": (Path, "rename"), "after": (files, "remove")}[sys.argv[2]], killed)
with files.whole_folder(Path(sys.argv[1])) as partial:
    (partial / "new").write_text("whole")
"""


@pytest.mark.parametrize(("moment", "found"), [("before", "old"), ("between", "old"), ("after", "new")])
def test_a_folder_is_old_or_new_wherever_the_process_that_replaces_it_is_killed(
    tmp_path: Path, moment: str, found: str
) -> None:
    folder = tmp_path / "folder"
    with whole_folder(folder) as partial:
        (partial / "old").write_text("whole")
    killed = subprocess.run([sys.executable, "-c", REPLACE_AND_BE_KILLED, folder, moment], cwd=ROOT)
    assert killed.returncode == 9
    with pytest.raises(RuntimeError), whole_folder(folder):
        raise RuntimeError
    assert [file.name for file in folder.iterdir()] == [found]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    here, dead = platform.node(), gone.stdout.strip()
    others = [
        f".t.json.another-machine.{dead}.partial",
        f".t.json.{here}.{os.getppid()}.partial",
        f".t.json.{here}.abc.partial",
    ]
    for name in (f".t.json.{here}.{dead}.partial", *others):
        (tmp_path / name).write_text("half")
    write_json(tmp_path / "t.json", {})
    assert {file.name for file in tmp_path.iterdir()} == {*others, "t.json"}


def test_json_that_means_the_same_is_the_same(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"x": 1, "y": 2})
    write_json(tmp_path / "b", {"y": 2, "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "c", {"x": float("nan")})
    assert not (tmp_path / "c").exists()


def test_tables_come_back_and_are_byte_identical(tmp_path: Path) -> None:
    frame = pd.DataFrame({"width": [1, 2], "key": ["a", "b"], "ignored": [0, 0]})
    write_table(tmp_path / "a.parquet", frame, SCHEMA)
    write_table(tmp_path / "b.parquet", frame, SCHEMA)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.parquet", SCHEMA), frame[["key", "width"]], check_dtype=False)
    both = read_tables([tmp_path / "b.parquet", tmp_path / "a.parquet"], SCHEMA, ["key"])
    assert both["shard"].tolist() == ["a", "a", "b", "b"]
    none = read_tables([], SCHEMA, ["key"])
    assert none.empty
    assert none.dtypes.equals(both.dtypes)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"key": ["a"]}), "no column width"),
        (pd.DataFrame({"key": [None], "width": [1]}), "key"),
        (pd.DataFrame({"key": ["a"], "width": ["wide"]}), "width"),
    ],
)
def test_a_table_that_breaks_its_schema_is_refused(tmp_path: Path, frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_table(tmp_path / "t.parquet", frame, SCHEMA)
    assert not (tmp_path / "t.parquet").exists()


@pytest.mark.parametrize("content", [None, b"", b"not parquet at all"])
def test_a_damaged_table_is_one_clear_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "t.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"t\.parquet"):
        read_table(path, SCHEMA)


def test_shards_come_back_are_byte_identical_and_plain_tar(tmp_path: Path) -> None:
    members = [("a.png", b"one"), ("b.jpg", b"\0" * 5000)]
    write_shard(tmp_path / "0.tar", members)
    write_shard(tmp_path / "1.tar", iter(members))
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()
    assert list(read_shard(tmp_path / "0.tar")) == members
    with tarfile.open(tmp_path / "0.tar") as tar:
        assert [(one.mtime, one.uid, one.uname) for one in tar] == [(0, 0, "")] * 2


def test_a_shard_ends_with_two_blocks_of_zeros_at_least(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.tar", [("a.txt", b"a")])
    header_and_content = (tmp_path / "0.tar").read_bytes()[: 2 * tarfile.BLOCKSIZE]
    (tmp_path / "1.tar").write_bytes(header_and_content + bytes(2 * tarfile.BLOCKSIZE))
    assert list(read_shard(tmp_path / "1.tar")) == [("a.txt", b"a")]
    (tmp_path / "1.tar").write_bytes(header_and_content + bytes(tarfile.BLOCKSIZE))
    with pytest.raises(InputError, match="cut short"):
        list(read_shard(tmp_path / "1.tar"))


def test_a_cut_shard_is_one_clear_error(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.tar", [("a.png", bytes(20_000))])
    whole = (tmp_path / "0.tar").read_bytes()
    (tmp_path / "0.tar").write_bytes(whole[:10_000])
    with pytest.raises(InputError, match=r"0\.tar"):
        list(read_shard(tmp_path / "0.tar"))


def test_arrays_are_memory_mapped(tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    write_split(tmp_path, "train", images, np.array([1, 0]))
    read, labels = read_split(tmp_path, "train")
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, images)
    assert labels.tolist() == [1, 0]


@pytest.mark.parametrize("content", [b"", b"no array"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("train_images.npy", lambda folder: read_split(folder, "train")),
        ("train_labels.npy", lambda folder: read_split(folder, "train")),
        ("train_attributes.npy", read_attributes),
        ("caption_embeddings.npy", read_captions),
    ],
)
def test_a_damaged_or_empty_array_is_one_line(
    tmp_path: Path, content: bytes, name: str, read: Callable[[Path], object]
) -> None:
    write_split(tmp_path, "train", np.zeros((2, 4, 4, 3), np.uint8), np.array([1, 0]))
    (tmp_path / "captions.json").write_text('{"encoder": "e5", "texts": []}')
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="run augment again"):
        read(tmp_path)


def test_a_column_that_an_earlier_version_did_not_write_is_null_and_a_needed_one_is_missed(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("mask", pa.binary())])
    path = tmp_path / "table.parquet"
    write_table(path, pd.DataFrame({"key": ["a", "b"]}), pa.schema([schema.field("key")]))
    assert read_table(path, schema)["mask"].tolist() == [None, None]
    needed = pa.schema([schema.field("key"), pa.field("sha256", pa.string(), nullable=False)])
    with pytest.raises(InputError, match="sha256"):
        read_table(path, needed)
