"""One flipped bit in any file that a stage reads ends the stage with one line that names the file."""

import hashlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from pipeline.__main__ import main
from pipeline.errors import InputError
from pipeline.params import STAGES
from pipeline.storage.checksums import SUMS, check_folder, check_parquet, write_parquet, write_sums
from pipeline.storage.memo_tables import read_memo, write_memo
from pipeline.storage.shards import read_shard, write_shard
from pipeline.storage.tables import read_table
from tests.support.small_project import INPUTS, OUTPUTS, make_project, run_stage

WRITTEN_BY_PEOPLE = {"signals.csv", "forgotten.csv", "overrides.csv"}  # nobody has recorded their bytes
RANDOM_BITS = 6


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose stages have all run; the working folder while the module's tests run."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_project()
        yield folder


def files_read_by(stage: str) -> list[Path]:
    """Every file that `stage` reads and a stage wrote."""
    given = [value for each in INPUTS[stage].values() for value in ([each] if isinstance(each, str) else each)]
    found = [file for path in map(Path, given) for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    # Without dates, as here, `trends` has no series and opens no picture.
    unread = (*WRITTEN_BY_PEOPLE, *(["00000.tar", "00001.tar"] if stage == "trends" else []))
    return [path for path in found if path.is_file() and path.name not in unread]


def flip_bit(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def lines_with(bit: int, path: Path, stage: str, target: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit status of `stage` and its lines on stderr with one bit of `path` flipped; it would write into `target`."""
    whole = path.read_bytes()
    outputs = {name: str(target / Path(output).name) for name, output in OUTPUTS[stage].items()}
    capsys.readouterr()
    flip_bit(path, bit)
    try:
        status = run_stage(stage, outputs, str(target / "scratch"))
    finally:
        path.write_bytes(whole)
    return status, capsys.readouterr().err.splitlines()


def assert_noticed(status: int, lines: list[str], path: Path, bit: int) -> None:
    named = [line for line in lines if str(path) in line]
    assert (status, len(named)) == (1, 1), (path, bit, lines)
    assert "dvc checkout" in named[0]
    assert not [line for line in lines if "Traceback" in line]


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_flipped_bit_in_any_file_that_a_stage_reads_is_exit_status_1_and_its_name(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    del project
    files = files_read_by(stage)
    assert files
    for path in files:
        bit = path.stat().st_size * 8 // 2
        assert_noticed(*lines_with(bit, path, stage, tmp_path, capsys), path, bit)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_flipped_bit_is_noticed_wherever_it_is(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    del project
    numbers = random.Random(stage)
    for path in files_read_by(stage):
        bits = path.stat().st_size * 8
        ends = [numbers.randrange(min(512, bits)), bits - 1 - numbers.randrange(min(8 * 512, bits)), bits - 1]
        for bit in [0, *ends, *(numbers.randrange(bits) for _ in range(RANDOM_BITS))]:
            assert_noticed(*lines_with(bit, path, stage, tmp_path, capsys), path, bit)


@pytest.mark.parametrize("name", ["generator.onnx", "generator.json", SUMS])
def test_a_flipped_bit_in_an_exported_model_is_noticed_by_generate(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    shutil.copytree(project / "models/export", tmp_path / "export")
    path = tmp_path / "export" / name
    flip_bit(path, 8 * path.read_bytes().index(b"generator.json") if name == SUMS else path.stat().st_size * 4)
    assert main(["generate", "--model", str(tmp_path / "export"), str(tmp_path / "sheet.png")]) == 1
    assert str(path) in caplog.text


def test_folders_and_tables_without_a_record_are_read_without_a_check(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    check_folder(tmp_path, "train")
    pd.DataFrame({"key": ["a"]}).to_parquet(tmp_path / "old.parquet")
    check_parquet(tmp_path / "old.parquet")
    assert read_table(tmp_path / "old.parquet", pa.schema([pa.field("key", pa.string())]))["key"].tolist() == ["a"]


def test_images_without_a_record_of_their_own_are_checked_against_dataset_json(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = project / "data/train" / SUMS
    content = record.read_bytes()
    record.unlink()
    path = Path("data/train/reference_test_images.npy")
    try:
        assert_noticed(*lines_with(8 * 200, path, "reference", tmp_path, capsys), path, 8 * 200)
    finally:
        record.write_bytes(content)


def test_a_missing_file_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    write_sums(tmp_path)
    check_folder(tmp_path, "train")
    (tmp_path / "b").unlink()
    with pytest.raises(InputError, match=r"/b: "):
        check_folder(tmp_path, "train")


def test_a_flipped_bit_anywhere_in_a_table_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, pa.table({"key": ["a", "b"]}))
    check_parquet(path)
    bits = path.stat().st_size * 8
    for bit in [*range(0, bits, 23), bits - 1]:
        flip_bit(path, bit)
        with pytest.raises((InputError, OSError, pa.ArrowException)):
            check_parquet(path)
        flip_bit(path, bit)


def test_a_flipped_bit_anywhere_in_a_shard_is_noticed(tmp_path: Path) -> None:
    path, content = tmp_path / "0.tar", b"\xff\xd8 a picture"
    write_shard(path, [(f"{hashlib.sha256(content).hexdigest()}.jpg", content)])
    assert [found for _, found in read_shard(path)] == [content]
    # Its header, content and padding closely, and the zeros that end it here and there.
    for byte in [*range(0, 1024, 3), *range(148, 157), *range(1024, path.stat().st_size, 997)]:
        flip_bit(path, byte * 8 + byte % 8)
        with pytest.raises(InputError, match=r"0\.tar"):
            list(read_shard(path))
        flip_bit(path, byte * 8 + byte % 8)


def test_a_damaged_memory_table_is_computed_again(tmp_path: Path) -> None:
    schema, path = pa.schema([pa.field("key", pa.string())]), tmp_path / "memory.parquet"
    write_memo(path, "terms", pd.DataFrame({"key": ["a"]}), schema)
    assert read_memo(path, "terms", schema)["key"].tolist() == ["a"]
    flip_bit(path, path.read_bytes().index(b"PAR1", 4) * 8 - 80)
    assert read_memo(path, "terms", schema).empty
