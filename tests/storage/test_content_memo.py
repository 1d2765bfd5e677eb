"""Rows cached by content: exact, shared by processes, whole after kill -9, computed again when damaged, and bounded."""

import hashlib
import multiprocessing
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest import mock

import pandas as pd
import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.storage import content_memo
from pipeline.storage.content_memo import LOCK, ContentMemo, drop_contents

SCHEMA = pa.schema(
    [
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("decoded", pa.bool_()),
        pa.field("width", pa.int32()),
        pa.field("sharpness", pa.float32()),
        pa.field("phash", pa.uint64()),
        pa.field("sketch", pa.binary(4096)),
    ]
)
FORK = multiprocessing.get_context("fork")


def sha256(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def rows(*numbers: int) -> pd.DataFrame:
    """A row of SCHEMA for each of `numbers`, decided by it."""
    columns = {
        "sha256": [sha256(number) for number in numbers],
        "decoded": [number % 2 == 0 for number in numbers],
        "width": [number if number % 3 else None for number in numbers],
        "sharpness": [number / 7 for number in numbers],
        "phash": [2**64 - 1 - number for number in numbers],
        "sketch": [bytes([number % 256]) * 4096 for number in numbers],
    }
    return pd.DataFrame(columns, dtype=object)


def memo(folder: Path, shard: str = "00000", key: str = "a") -> ContentMemo:
    return ContentMemo(folder, key * 64, SCHEMA, shard)


def known(folder: Path, *numbers: int, key: str = "a") -> set[int]:
    """Those of `numbers` whose rows are cached, every one of them as `rows` has it."""
    found = memo(folder, key=key).known([sha256(number) for number in numbers]).set_index("sha256")
    here = [number for number in numbers if sha256(number) in found.index]
    schema = pa.schema([field for field in SCHEMA if field.name != "sha256"])
    read, written = (
        pa.Table.from_pandas(frame.loc[[sha256(number) for number in here]], schema=schema, preserve_index=False)
        for frame in (found, rows(*numbers).set_index("sha256"))
    )
    assert read.equals(written)
    assert len(found) == len(here)
    return set(here)


def test_rows_come_back_exactly_whichever_shard_asks(tmp_path: Path) -> None:
    memo(tmp_path, "00000").add(rows(1, 2, 3))
    memo(tmp_path, "00001").add(rows(3, 4))
    assert known(tmp_path, *range(6)) == {1, 2, 3, 4}
    assert memo(tmp_path).known([]).empty
    assert memo(tmp_path).known([sha256(4)])["phash"].dtype == pd.UInt64Dtype()


def test_rows_of_another_key_are_removed_with_their_journal_and_an_earlier_versions_files(tmp_path: Path) -> None:
    memo(tmp_path).add(rows(1))
    (tmp_path / f"{'a' * 16}.sqlite-journal").touch()
    (tmp_path / "00003.parquet").touch()
    (tmp_path / "fits.parquet").touch()
    assert known(tmp_path, 1, key="b") == set()
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, f"{'b' * 16}.sqlite", "fits.parquet"]


def test_a_row_that_moves_to_another_shard_outlives_the_first_shards_run(tmp_path: Path) -> None:
    first, second = memo(tmp_path, "00000"), memo(tmp_path, "00001")
    first.add(rows(1, 2))
    first.keep([sha256(1), sha256(2)])
    for _ in range(3):
        first.keep([sha256(1)])
        second.keep([sha256(2)])
        assert known(tmp_path, 1, 2) == {1, 2}


def test_a_row_that_no_shard_has_in_two_runs_is_removed(tmp_path: Path) -> None:
    first = memo(tmp_path)
    first.add(rows(1, 2))
    first.keep([sha256(1), sha256(2)])
    first.keep([sha256(1)])
    assert known(tmp_path, 1, 2) == {1, 2}
    first.keep([sha256(1)])
    assert known(tmp_path, 1, 2) == {1}


def test_a_shard_whose_pictures_all_change_every_run_leaves_a_file_that_stops_growing(tmp_path: Path) -> None:
    sizes = []
    for run in range(8):
        numbers = range(100 * run, 100 * run + 100)
        memo(tmp_path).add(rows(*numbers))
        memo(tmp_path).keep(map(sha256, numbers))
        sizes.append(next(tmp_path.glob("*.sqlite")).stat().st_size)
    assert known(tmp_path, *range(800)) == set(range(600, 800))
    assert sizes[-1] <= 1.1 * sizes[2]


def test_dropped_contents_leave_no_bytes(tmp_path: Path) -> None:
    memo(tmp_path).add(rows(1, 2))
    [file] = tmp_path.glob("*.sqlite")
    assert sha256(1).encode() in file.read_bytes()
    drop_contents(tmp_path, [sha256(1), sha256(9)])
    assert sha256(1).encode() not in file.read_bytes()
    assert known(tmp_path, 1, 2) == {2}
    drop_contents(tmp_path / "missing", [sha256(1)])
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("damage", ["cut short", "no database", "empty"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    memo(tmp_path).add(rows(*range(100)))
    [file] = tmp_path.glob("*.sqlite")
    content = file.read_bytes()
    file.write_bytes({"cut short": content[: len(content) // 2], "no database": b"x" * 5000, "empty": b""}[damage])
    assert known(tmp_path, *range(100)) == set()
    assert ("damaged" in caplog.text) == (damage != "empty")
    memo(tmp_path).add(rows(1))
    assert known(tmp_path, 1) == {1}


def test_drop_contents_replaces_a_damaged_file(tmp_path: Path) -> None:
    memo(tmp_path).add(rows(1))
    [file] = tmp_path.glob("*.sqlite")
    file.write_bytes(b"x" * 5000)
    drop_contents(tmp_path, [sha256(1)])
    assert known(tmp_path, 1) == set()


def test_a_flipped_bit_anywhere_yields_no_wrong_row(tmp_path: Path) -> None:
    memo(tmp_path).add(rows(*range(40)))
    [file] = tmp_path.glob("*.sqlite")
    content = file.read_bytes()
    rng = random.Random(0)
    lost = 0
    for _ in range(60):
        flipped = bytearray(content)
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(flipped)
        lost += known(tmp_path, *range(40)) < set(range(40))
    assert lost


def test_a_full_disk_is_one_sentence_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def small(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 8")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(InputError, match=r"sqlite: database or disk is full; free space or delete .* and run again$"):
        memo(tmp_path).add(rows(*range(200)))


def _work(folder: Path, shard: int) -> None:
    """Cache rows in several steps, half of which the neighbouring shard has, too."""
    numbers = range(50 * shard, 50 * shard + 100)
    for start in numbers[::20]:
        memo(folder, f"{shard:05d}").add(rows(*range(start, start + 20)))
    memo(folder, f"{shard:05d}").keep(map(sha256, numbers))


def _work_in_four_processes(folder: Path) -> None:
    processes = [FORK.Process(target=_work, args=(folder, shard)) for shard in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


def _work_forever(folder: Path) -> None:
    """Transactions that SQLite's cache does not hold, so that most of the time a file is half-written."""
    many = [rows(*range(1000)), rows(*range(500, 1500))]
    for run in range(10**9):
        memo(folder).add(many[run % 2])
        memo(folder).keep(many[run % 2]["sha256"])


def _kill_in_mid_write(folder: Path) -> None:
    rng = random.Random(0)
    for _ in range(12):
        process = FORK.Process(target=_work_forever, args=(folder,))
        process.start()
        journal = folder / f"{'a' * 16}.sqlite-journal"
        while not journal.exists():  # a transaction has begun
            assert process.is_alive()
        time.sleep(rng.random() / 20)
        process.kill()
        process.join()
        with mock.patch.object(content_memo, "_remove_database", side_effect=AssertionError("damaged")):
            known(folder, *range(1500))  # takes the lock, and compares every row
        with closing(sqlite3.connect(folder / f"{'a' * 16}.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _in_a_process(work: Callable[[Path], None], folder: Path) -> int | None:
    """The exit code of `work`, in a process without threads, which may fork."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=(folder,))
    process.start()
    process.join()
    return process.exitcode


def test_four_processes_at_once_lose_no_row(tmp_path: Path) -> None:
    assert _in_a_process(_work_in_four_processes, tmp_path) == 0
    assert known(tmp_path, *range(250)) == set(range(250))


def test_after_kill_9_in_mid_write_the_file_is_whole_and_free(tmp_path: Path) -> None:
    assert _in_a_process(_kill_in_mid_write, tmp_path) == 0
