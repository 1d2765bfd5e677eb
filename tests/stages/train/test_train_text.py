"""The stage train on captions: what its card says, what lies beside it, and which changed captions start it anew."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.gan.checkpoints import CAPTION_SAMPLE, load_generator
from pipeline.stages.train.resume import run_identity
from pipeline.stages.train.run import run
from pipeline.storage.captions import read_captions
from pipeline.tracking.tracker import Tracker
from tests.support.captions import DIM, write_two_captions
from tests.support.training import hashes, tiny_params, write_data

PARAMS = tiny_params(condition="text", total_kimg=0.08)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    folder = write_data(tmp_path / "train")
    write_two_captions(folder, 60)
    return folder


def test_the_generator_draws_what_the_text_says_and_its_card_names_the_encoder(train: Path, tmp_path: Path) -> None:
    run(PARAMS, train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())
    generator, card = load_generator(tmp_path / "gan", torch.device("cpu"))
    assert (card.condition, card.text_encoder, card.text_dim) == ("text", "drawn", DIM)
    assert card.optional_condition == {"text": DIM}
    latents, labels = torch.zeros(2, 8), torch.tensor([0, 1])
    dark, bright = torch.from_numpy(read_captions(train).embeddings[:2])
    assert torch.equal(generator(latents, labels), generator(latents, labels, torch.zeros(2, DIM)))
    assert not torch.allclose(generator(latents, labels, dark.expand(2, -1)), generator(latents, labels, bright.expand(2, -1)))
    sample = np.load(tmp_path / "gan" / CAPTION_SAMPLE)
    assert sample.tolist() == read_captions(train).embeddings.tolist()


def test_the_same_captions_give_the_same_bytes_and_other_captions_another_model(train: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(PARAMS, train=train, gan=tmp_path / name, scratch=tmp_path / "scratch", track=Tracker())
    assert hashes(tmp_path / "first") == hashes(tmp_path / "second")
    identity = run_identity(PARAMS, train, torch.device("cpu"))
    np.save(train / "train_captions.npy", np.load(train / "train_captions.npy")[::-1])
    assert run_identity(PARAMS, train, torch.device("cpu")).data != identity.data


def test_data_without_captions_are_an_input_error(tmp_path: Path) -> None:
    train = write_data(tmp_path / "train")
    with pytest.raises(InputError, match=r"set augment\.captions and run augment again"):
        run(PARAMS, train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())


def test_a_model_without_text_says_nothing_of_text_in_its_card(tmp_path: Path) -> None:
    train = write_data(tmp_path / "train")
    run(tiny_params(total_kimg=0.04), train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())
    assert "text" not in (tmp_path / "gan" / "generator.json").read_text(encoding="utf-8")
    assert not (tmp_path / "gan" / CAPTION_SAMPLE).exists()
