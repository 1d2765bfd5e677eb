"""Checkpoints: whole or absent, the last few kept, a damaged one passed over."""

import logging
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.storage.checkpoints import checkpoint_bytes, delete_checkpoints, newest_checkpoint, save_checkpoint


def _state(images_seen: int) -> dict[str, Tensor]:
    weights = torch.arange(24.0).reshape(2, 3, 2, 2).contiguous(memory_format=torch.channels_last) + images_seen
    return {"images_seen": torch.tensor(images_seen), "weights": weights}


def test_the_newest_comes_back_and_the_last_two_are_kept(tmp_path: Path) -> None:
    for images_seen in (100, 200, 300):
        save_checkpoint(tmp_path, images_seen, _state(images_seen))
    assert [path.name[:10] for path in sorted(tmp_path.iterdir())] == ["0000000200", "0000000300"]
    state = newest_checkpoint(tmp_path)
    assert state is not None
    assert torch.equal(state["weights"], _state(300)["weights"])
    assert state["weights"].stride() == _state(300)["weights"].stride()


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "empty"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_checkpoint(tmp_path, 100, _state(100))
    path = save_checkpoint(tmp_path, 200, _state(200))
    content = bytearray(path.read_bytes())
    if damage == "flipped bit":
        content[len(content) // 2] ^= 1
    path.write_bytes({"flipped bit": bytes(content), "cut short": bytes(content[:-1]), "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        state = newest_checkpoint(tmp_path)
    assert state is not None
    assert state["images_seen"] == 100
    assert str(path) in caplog.text


def test_equal_states_give_equal_bytes_also_after_a_round_trip(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 100, _state(100))
    state = newest_checkpoint(tmp_path)
    assert state is not None
    assert checkpoint_bytes(state) == checkpoint_bytes(_state(100))


def test_a_full_disk_is_one_line_and_the_old_checkpoint_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, 100, _state(100))

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(TrainingError, match="No space left on device"):
            save_checkpoint(tmp_path, 200, _state(200))
    assert [path.name[:10] for path in tmp_path.iterdir()] == ["0000000100"]
    state = newest_checkpoint(tmp_path)
    assert state is not None
    assert state["images_seen"] == 100


def test_only_checkpoints_are_deleted(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", 100, _state(100))
    (tmp_path / "a" / "notes.pt").write_bytes(b"")
    delete_checkpoints(tmp_path)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["notes.pt"]
