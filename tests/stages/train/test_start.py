"""Starting a training from a finished one: what is taken over, by name, and what is refused."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import InputError, ParamsError
from pipeline.gan.checkpoints import CHECKPOINT, read_generator_card
from pipeline.gan.models import Models
from pipeline.gan.networks import PictureShape
from pipeline.gan.starting import ConditionNames, start_from
from pipeline.gan.training import Trainer
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.run import run
from pipeline.stages.train.start import log_start, start_from_folder
from pipeline.storage.arrays import DatasetCard, read_card, write_card
from pipeline.storage.checkpoints import read_checkpoint
from pipeline.tracking.tracker import Tracker
from tests.support.training import TINY, hashes, run_and_stop_at, tiny_params, write_data

DCGAN: dict[str, Any] = {
    "name": "dcgan",
    "latent_dim": 16,
    "generator_width": 12,
    "discriminator_width": 12,
    "max_width": 24,
    "truncation": 1.0,
}
STYLEGAN2: dict[str, Any] = {**TINY["network"], "name": "stylegan2", "style_dim": 8}


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture(scope="module")
def finished(train: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a short training on the categories a, b and c."""
    folder = tmp_path_factory.mktemp("finished")
    run(tiny_params(total_kimg=0.08), train=train, gan=folder / "gan", scratch=folder / "scratch", track=Tracker())
    return folder / "gan"


def params_from(finished: Path, *, keep_known: float = 0.0, repeat_new: int = 1, **changes: Any) -> TrainParams:
    sha256 = hashlib.sha256((finished / CHECKPOINT).read_bytes()).hexdigest()
    start_from = {"folder": str(finished), "sha256": sha256, "keep_known": keep_known, "repeat_new": repeat_new}
    return tiny_params(start_from=start_from, **changes)


def make_trainer(params: TrainParams, train: Path, categories: int = 3) -> Trainer:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    return Trainer(params, images, labels, categories, torch.device("cpu"))


def start(params: TrainParams, trainer: Trainer, categories: list[str]) -> None:
    assert params.start_from is not None
    started = start_from_folder(params.start_from, trainer, DatasetCard(categories, 16, 16, 1, "none", {}, {}))
    log_start(params.start_from.folder, started)


def with_a_new_category(train: Path, folder: Path) -> Path:
    """The dataset in `train`, whose last category has another name."""
    shutil.copytree(train, folder)
    write_card(folder, replace(read_card(train), categories=["a", "b", "new"]))
    return folder


def models(categories: int, attributes: int = 0, **changes: Any) -> Models:
    """The networks of a tiny training, with weights that differ everywhere."""
    made = Models(tiny_params(**changes), PictureShape(16, 16, 1), categories, attributes, torch.device("cpu"), graphs=False)
    for network in made.by_name().values():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape))
    return made


def state_of(made: Models) -> dict[str, torch.Tensor]:
    """As in a checkpoint."""
    return {f"{name}.{key}": value for name, net in made.by_name().items() for key, value in net.state_dict().items()}


def test_the_same_network_takes_every_tensor(finished: Path, train: Path) -> None:
    params, state = params_from(finished, seed=1), read_checkpoint((finished / CHECKPOINT).read_bytes())
    trainer = make_trainer(params, train)
    start(params, trainer, ["a", "b", "c"])
    for prefix, network in trainer.models.by_name().items():
        assert all(torch.equal(tensor, state[f"{prefix}.{name}"]) for name, tensor in network.state_dict().items())
    assert trainer.images_seen == 0


def test_embeddings_go_by_the_names_of_the_categories_and_new_ones_differ_as_known_ones_do(
    finished: Path, train: Path, caplog: pytest.LogCaptureFixture
) -> None:
    params, state = params_from(finished), read_checkpoint((finished / CHECKPOINT).read_bytes())
    names = ["b", "c", "a", *(f"new {number}" for number in range(200))]
    trainer = make_trainer(params, train, categories=len(names))
    with caplog.at_level(logging.INFO, logger="pipeline"):
        start(params, trainer, names)
    drawn = []
    for network in ("generator", "average"):
        old, new = state[f"{network}.embedding.weight"], trainer.models.by_name()[network].state_dict()["embedding.weight"]
        assert torch.equal(new[:3], old[[1, 2, 0]])
        drawn.append((new[3:] - old.mean(dim=0)) / old.std(dim=0, correction=0))
    assert drawn[0].mean(dim=0).abs().max() < 0.3
    assert torch.allclose(drawn[0].std(dim=0), torch.ones(64), rtol=0.3)
    assert torch.allclose(drawn[0], drawn[1], atol=1e-3)
    assert "known ones: new 0" in caplog.text


BY_CATEGORY: list[tuple[dict[str, Any], str, Callable[[torch.Tensor], torch.Tensor]]] = [
    ({"network": DCGAN}, "generator.start.weight", lambda weight: weight[:, 16:].T),
    ({"network": STYLEGAN2}, "generator.mean_styles", lambda styles: styles),
    ({"projected": {"channels": 8}}, "heads.0.embedding.weight", lambda table: table),
]


@pytest.mark.parametrize(("changes", "name", "rows"), BY_CATEGORY)
def test_what_a_network_knows_of_categories_goes_by_their_names(
    changes: dict[str, Any], name: str, rows: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    old, new = models(3, **changes), models(4, **changes)
    started = start_from(
        new, state_of(old), ConditionNames("category", ["a", "b", "c"]), ConditionNames("category", ["aa", "c", "b", "a"])
    )
    before, after = rows(state_of(old)[name]), rows(state_of(new)[name])
    assert torch.equal(after[1:], before[[2, 1, 0]])
    assert torch.allclose(after[0], before.mean(dim=0)) is (name == "generator.mean_styles")  # a statistic
    assert ((after[0] - before.mean(dim=0)).abs() <= 5 * before.std(dim=0)).all()
    assert started.fresh == []


@pytest.mark.parametrize("network", [TINY["network"], DCGAN])
def test_attributes_go_by_name_and_value_and_a_new_one_starts_at_nothing(network: dict[str, Any]) -> None:
    old, new = (models(2, count, network=network, condition="attributes") for count in (3, 4))
    names = ["colour=red", "pattern=dotted", "pattern=plain"]
    start_from(
        new,
        state_of(old),
        ConditionNames("attributes", ["a", "b"], names),
        ConditionNames("attributes", ["a", "b"], [*names[1:], "colour=blue", names[0]]),
    )
    dcgan = network["name"] == "dcgan"
    name = "generator.start_attributes.weight" if dcgan else "generator.embedding.of_attributes"
    before, after = (state_of(made)[name].T if dcgan else state_of(made)[name] for made in (old, new))
    assert torch.equal(after[[0, 1, 3]], before[[1, 2, 0]])
    assert not after[2].any()


def test_texts_are_not_taken_for_attributes() -> None:
    old, new = models(2, 3, condition="attributes"), models(2, 3, condition="text")
    kept = state_of(new)["generator.embedding.of_attributes"].clone()
    started = start_from(
        new, state_of(old), ConditionNames("attributes", ["a", "b"], ["x=1", "x=2", "x=3"]), ConditionNames("text", ["a", "b"])
    )
    assert torch.equal(state_of(new)["generator.embedding.of_attributes"], kept)
    assert "generator.embedding.of_attributes" in started.fresh


def test_heads_are_taken_over_with_the_random_maps_that_they_read() -> None:
    old, new = models(3, projected={"channels": 8}), models(3, projected={"channels": 8}, seed=1)
    names = ConditionNames("category", ["a", "b", "c"])
    start_from(new, state_of(old), names, names)
    pictures = torch.rand(2, 1, 16, 16)
    scores = []
    for made in (old, new):
        assert made.projected is not None
        scores.append(made.projected.heads(made.projected.maps(pictures), torch.tensor([0, 2])))
    assert all(torch.equal(one, other) for one, other in zip(*scores, strict=True))


def test_heads_without_the_maps_that_they_read_start_at_random() -> None:
    old, new = models(3, projected={"channels": 8}), models(3, projected={"channels": 8}, seed=1)
    names = ConditionNames("category", ["a", "b", "c"])
    earlier = {name: tensor for name, tensor in state_of(old).items() if not name.startswith("mixing.")}
    started = start_from(new, earlier, names, names)
    assert {name.partition(".")[0] for name in started.fresh} == {"heads", "mixing"}


def test_an_unconditional_training_has_no_new_categories() -> None:
    started = start_from(models(1), state_of(models(1)), ConditionNames("none", ["a"]), ConditionNames("none", ["a", "b"]))
    assert (started.new_categories, started.fresh) == ([], [])


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
    params = params_from(finished, network=DCGAN)
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
    more = with_a_new_category(train, tmp_path / "train")
    outputs = []
    for name, params in {
        "one": params_from(finished, total_kimg=0.04),
        "two": params_from(finished, total_kimg=0.04),
        "scratch": tiny_params(total_kimg=0.04),
    }.items():
        run(params, train=more, gan=tmp_path / name, scratch=tmp_path / f".{name}", track=Tracker())
        outputs.append(hashes(tmp_path / name)["generator.safetensors"])
    assert outputs[0] == outputs[1] != outputs[2]


def test_keep_known_holds_pictures_of_known_categories_to_what_they_were(finished: Path, train: Path) -> None:
    distances = []
    for weight in (0.0, 100.0):
        params = params_from(finished, keep_known=weight, total_kimg=0.16)
        trainer = make_trainer(params, train)
        start(params, trainer, ["a", "b", "new"])
        latents, labels = torch.randn(60, 8, generator=torch.Generator().manual_seed(1)), torch.arange(60) % 3
        before = trainer.generator(latents, labels).detach()
        for _ in trainer.steps():
            pass
        changes = (trainer.generator(latents, labels).detach() - before).square().mean(dim=(1, 2, 3))
        distances.append([changes[labels < 2].mean().item(), changes[labels == 2].mean().item()])
    (known, new), (kept, added) = distances
    assert kept < 0.5 * known
    assert kept / added < 0.7 * known / new


def test_repeat_new_shows_pictures_of_new_categories_so_many_times_an_epoch(finished: Path, train: Path) -> None:
    params = params_from(finished, repeat_new=3)
    trainer = make_trainer(params, train)
    start(params, trainer, ["a", "b", "new"])
    repeats = np.where(trainer.labels == 2, 3, 1)
    sampler = trainer._batches._sampler
    shown = np.concatenate([sampler.rows(batch) for batch in range(repeats.sum() // params.batch_size)])
    counts = np.bincount(shown, minlength=len(repeats))
    assert (counts <= repeats).all()
    assert repeats.sum() - counts.sum() < 2 * params.batch_size  # incomplete groups and the incomplete batch are dropped
    drawn = np.bincount(trainer.labels[sampler.random_rows(4000, np.random.default_rng(0))])
    assert drawn / 4000 == pytest.approx(np.bincount(trainer.labels, repeats) / repeats.sum(), abs=0.03)


def test_a_stopped_training_that_keeps_known_categories_goes_on_to_the_same_bytes(
    finished: Path, train: Path, tmp_path: Path
) -> None:
    more = with_a_new_category(train, tmp_path / "train")
    params = params_from(finished, keep_known=10.0, repeat_new=2, total_kimg=0.16)
    run_and_stop_at(80, params, more, tmp_path / "stopped")
    for name in ("stopped", "whole"):
        run(params, train=more, gan=tmp_path / name / "gan", scratch=tmp_path / name / "scratch", track=Tracker())
    assert hashes(tmp_path / "stopped" / "gan") == hashes(tmp_path / "whole" / "gan")
