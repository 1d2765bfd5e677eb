"""The options of a stage: lists of paths on the command line or in a file."""

from pathlib import Path

import pytest

from pipeline.commands.parser import parse

AUGMENT = ["augment", "--curated", "c.parquet", "--train", "t", "--shards"]


def test_a_list_of_paths_may_come_from_a_file_beside_others(tmp_path: Path) -> None:
    listed = [f"data/raw/{number:05d}.tar" for number in range(10_000)]
    (tmp_path / "shards.txt").write_text("".join(f"{path}\n" for path in listed))
    options = parse([*AUGMENT, "first.tar", f"@{tmp_path / 'shards.txt'}"])
    assert options.shards == [Path("first.tar"), *map(Path, listed)]


def test_a_missing_list_is_named_with_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse([*AUGMENT, "@gone.txt"])
    assert "argument --shards: gone.txt: not a readable list of paths" in capsys.readouterr().err
