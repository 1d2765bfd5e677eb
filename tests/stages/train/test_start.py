"""Starting a training from a finished one: what is taken over, by name, and what is refused."""

import hashlib
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import InputError, ParamsError
from pipeline.gan.checkpoints import CHECKPOINT, read_generator_card
from pipeline.gan.training import Trainer
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.run import run
from pipeline.stages.train.start import start_from_folder
from pipeline.storage.arrays import read_card, write_card
from pipeline.storage.checkpoints import read_checkpoint
from pipeline.tracking.tracker import Tracker
from tests.support.training import hashes, tiny_params, write_data


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture(scope="module")
def finished(train: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a short training on the categories a, b and c."""
    folder = tmp_path_factory.mktemp("finished")
    run(tiny_params(total_kimg=0.08), train=train, gan=folder / "gan", scratch=folder / "scratch", track=Tracker())
    return folder / "gan"


def params_from(finished: Path, **changes: Any) -> TrainParams:
    sha256 = hashlib.sha256((finished / CHECKPOINT).read_bytes()).hexdigest()
    return tiny_params(start_from={"folder": str(finished), "sha256": sha256}, **changes)


def make_trainer(params: TrainParams, train: Path, categories: int = 3) -> Trainer:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    return Trainer(params, images, labels, categories, torch.device("cpu"))


def start(params: TrainParams, trainer: Trainer, categories: list[str]) -> None:
    assert params.start_from is not None
    start_from_folder(params.start_from, trainer, categories)


def test_the_same_network_takes_every_tensor(finished: Path, train: Path) -> None:
    params, state = params_from(finished, seed=1), read_checkpoint((finished / CHECKPOINT).read_bytes())
    trainer = make_trainer(params, train)
    start(params, trainer, ["a", "b", "c"])
    for prefix, network in trainer.models.by_name().items():
        assert all(torch.equal(tensor, state[f"{prefix}.{name}"]) for name, tensor in network.state_dict().items())
    assert trainer.images_seen == 0


def test_embeddings_go_by_the_names_of_the_categories_and_a_new_one_is_their_mean(
    finished: Path, train: Path, caplog: pytest.LogCaptureFixture
) -> None:
    params, state = params_from(finished), read_checkpoint((finished / CHECKPOINT).read_bytes())
    trainer = make_trainer(params, train, categories=4)
    with caplog.at_level(logging.INFO, logger="pipeline"):
        start(params, trainer, ["aa", "b", "c", "a"])
    old, new = state["generator.embedding.weight"], trainer.generator.state_dict()["embedding.weight"]
    assert torch.equal(new[1:], old[[1, 2, 0]])
    assert torch.allclose(new[0], old.mean(dim=0))
    assert "known ones: aa" in caplog.text


def test_a_larger_side_takes_the_coarse_layers_and_names_the_fresh_ones(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    larger = write_data(tmp_path / "train")
    images = np.load(larger / "train_images.npy").repeat(2, axis=1).repeat(2, axis=2)
    np.save(larger / "train_images.npy", images)
    params = params_from(finished)
    trainer = make_trainer(params, larger)
    before = trainer.generator.state_dict()["start.weight"].clone()
    with caplog.at_level(logging.INFO, logger="pipeline"):
        start(params, trainer, ["a", "b", "c"])
    state = read_checkpoint((finished / CHECKPOINT).read_bytes())
    taken = trainer.generator.state_dict()["start.weight"]
    assert torch.equal(taken, state["generator.start.weight"])
    assert not torch.equal(taken, before)
    assert "tensors start at random" in caplog.text
    assert trainer.generator(torch.zeros(1, 8), torch.tensor([0])).shape == (1, 1, 32, 32)


def test_another_model_than_the_parameters_name_is_refused_with_its_hash(finished: Path, train: Path) -> None:
    params = tiny_params(start_from={"folder": str(finished), "sha256": "0" * 64})
    with pytest.raises(InputError, match=r"its SHA-256 is [0-9a-f]{64}, not train\.start_from\.sha256"):
        start(params, make_trainer(params, train), ["a", "b", "c"])


def test_a_folder_without_a_checkpoint_and_a_network_of_another_family_are_one_line(
    finished: Path, train: Path, tmp_path: Path
) -> None:
    empty = tiny_params(start_from={"folder": str(tmp_path), "sha256": "0" * 64})
    with pytest.raises(InputError, match=r"checkpoint\.pt: cannot be read"):
        start(empty, make_trainer(empty, train), ["a", "b", "c"])
    dcgan = {
        "name": "dcgan",
        "latent_dim": 16,
        "generator_width": 12,
        "discriminator_width": 12,
        "max_width": 24,
        "truncation": 1.0,
    }
    params = params_from(finished, network=dcgan)
    with pytest.raises(ParamsError, match=r"no layer that fits"):
        start(params, make_trainer(params, train), ["a", "b", "c"])


def test_a_model_started_from_one_with_heads_is_not_judged_through_their_network_either(
    finished: Path, train: Path, tmp_path: Path
) -> None:
    card = json.loads((finished / "generator.json").read_text(encoding="utf-8"))
    with_heads = tmp_path / "with heads"
    shutil.copytree(finished, with_heads)
    card["recipe"]["projected"] = {"weight": 0.5}
    (with_heads / "generator.json").write_text(json.dumps(card), encoding="utf-8")
    for name, folder in (("apart", finished), ("through", with_heads)):
        params = params_from(folder, total_kimg=0.008)
        run(params, train=train, gan=tmp_path / name, scratch=tmp_path / f".{name}", track=Tracker())
    assert read_generator_card(tmp_path / "through").trained_through == "efflite0"
    assert read_generator_card(tmp_path / "apart").trained_through is None


def test_the_stages_own_output_is_refused_before_it_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "gan").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match=r"start_from\.folder: models/gan is what this training replaces; copy it first"):
        tiny_params(start_from={"folder": "models/gan", "sha256": "0" * 64})


def test_a_started_training_gives_the_same_bytes_twice_and_others_than_one_from_scratch(
    finished: Path, train: Path, tmp_path: Path
) -> None:
    more = tmp_path / "train"
    more.mkdir()
    for path in train.iterdir():
        (more / path.name).write_bytes(path.read_bytes())
    write_card(more, replace(read_card(train), categories=["a", "b", "new"]))
    outputs = []
    for name, params in {
        "one": params_from(finished, total_kimg=0.04),
        "two": params_from(finished, total_kimg=0.04),
        "scratch": tiny_params(total_kimg=0.04),
    }.items():
        run(params, train=more, gan=tmp_path / name, scratch=tmp_path / f".{name}", track=Tracker())
        outputs.append(hashes(tmp_path / name)["generator.safetensors"])
    assert outputs[0] == outputs[1] != outputs[2]
