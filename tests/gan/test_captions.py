"""Captions in training: which are drawn, which are refused, and that a stopped training draws the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.gan.captions import CaptionDraw
from pipeline.gan.losses import LOSSES, discriminator_loss
from pipeline.gan.sampling import OfCategories, generate_images, to_uint8
from pipeline.gan.starting import ConditionNames, start_from
from pipeline.gan.training import Trainer
from pipeline.inference.latents import draw_latents
from pipeline.storage.captions import NO_CAPTION, Captions, read_captions, write_captions
from tests.support.captions import unit_rows, write_two_captions
from tests.support.training import TINY, tiny_params, whole_and_resumed, write_data

COUNT = 20  # pictures, the last with one caption only
ROWS = np.arange(2 * COUNT, dtype=np.int32).reshape(COUNT, 2)
ROWS[-1, 1] = NO_CAPTION
EMBEDDINGS = unit_rows(2 * COUNT)
LABELS = np.arange(COUNT) % 2

NETWORKS: dict[str, dict[str, Any]] = {
    "resnet": {},
    "dcgan": {"network": {"name": "dcgan", "latent_dim": 8, "generator_width": 4, "discriminator_width": 4, "max_width": 8}},
    "stylegan2": {
        "network": {**TINY["network"], "name": "stylegan2", "style_dim": 8, "path_length": 2.0, "path_length_interval": 2}
    },
    "projected": {"projected": {"channels": 8, "warm_up_kimg": 0.03}},
}


def _draw() -> CaptionDraw:
    captions = Captions("drawn", [str(place) for place in range(2 * COUNT)], EMBEDDINGS, ROWS)
    return CaptionDraw(captions, LABELS, 2)


def _place(row: torch.Tensor, label: int | None = None) -> int:
    """The caption of an embedding; NO_CAPTION for the usual text of `label`."""
    found = [place for place, embedding in enumerate(EMBEDDINGS) if np.array_equal(embedding, row.numpy())]
    if not found and label is not None:
        own = ROWS[label == LABELS]
        assert np.allclose(row, EMBEDDINGS[own[own != NO_CAPTION]].mean(axis=0), atol=1e-6)
        return NO_CAPTION
    return found[0]


def test_a_picture_gets_each_of_its_captions_or_the_usual_one_and_the_mismatched_one_is_never_its_own() -> None:
    pictures = np.tile(np.arange(COUNT), 100)
    own, mismatched = _draw().own_and_mismatched(pictures, torch.Generator().manual_seed(0))
    seen: dict[int, list[int]] = {picture: [] for picture in range(COUNT)}
    for picture, row, wrong in zip(pictures, own, mismatched, strict=True):
        seen[int(picture)].append(_place(row, LABELS[picture]))
        assert _place(wrong) not in ROWS[picture]
    assert {picture: set(places) for picture, places in seen.items()} == {
        picture: {NO_CAPTION, *ROWS[picture].tolist()} for picture in range(COUNT)
    }
    unsaid = [seen[picture].count(NO_CAPTION) / 100 for picture in range(COUNT)]
    assert 0.05 < np.mean(unsaid[:-1]) < 0.15  # those with two captions
    assert unsaid[-1] > 0.35


def test_without_another_caption_the_mismatched_one_is_the_usual_text_of_another_category() -> None:
    rows = np.array([[0], [1], [0]], np.int32)
    draw = CaptionDraw(Captions("drawn", ["a", "b"], EMBEDDINGS[:2], rows), np.array([0, 1, 0]), 2)
    _, of_first = draw.own_and_mismatched(np.zeros(40, np.int64), torch.Generator().manual_seed(0))
    assert torch.equal(of_first, torch.from_numpy(EMBEDDINGS[[1] * 40]))


def test_with_one_caption_in_all_the_mismatched_one_is_no_text() -> None:
    draw = CaptionDraw(Captions("drawn", ["dress"], EMBEDDINGS[:1], np.zeros((3, 1), np.int32)), np.zeros(3, np.int64), 1)
    own, mismatched = draw.own_and_mismatched(np.arange(3), torch.Generator().manual_seed(0))
    assert np.allclose(own, EMBEDDINGS[:1], atol=1e-6)
    assert not mismatched.any()


def test_the_same_random_state_draws_the_same_captions() -> None:
    first, second = (_draw().own_and_mismatched(np.arange(3), torch.Generator().manual_seed(4)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_category_whose_pictures_have_no_captions_has_no_usual_text() -> None:
    rows = np.array([[0, 1], [NO_CAPTION, NO_CAPTION]], np.int32)
    usual = Captions("drawn", ["a", "b"], EMBEDDINGS[:2], rows).usual(np.array([0, 2]), 3)
    assert np.allclose(usual[0], EMBEDDINGS[:2].mean(axis=0), atol=1e-6)
    assert not usual[1:].any()


def test_half_of_the_weight_of_a_generated_picture_goes_to_a_mismatched_caption() -> None:
    loss = LOSSES["hinge"]
    real, fake, wrong = torch.tensor([0.5]), torch.tensor([-0.5]), torch.tensor([0.25])
    assert discriminator_loss(loss, real, fake, None).item() == 0.5 + 0.5
    assert discriminator_loss(loss, real, fake, wrong).item() == 0.5 + (0.5 + 1.25) / 2


def _trainer(train: Path, **changes: Any) -> Trainer:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    params = tiny_params(condition="text", **changes)
    return Trainer(params, images, labels, 3, torch.device("cpu"), captions=CaptionDraw(read_captions(train), labels, 3))


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data(tmp_path_factory.mktemp("data") / "train")
    write_two_captions(folder, 60)
    return folder


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_with_captions_resumes_to_the_bit(train: Path, name: str) -> None:
    whole, resumed = whole_and_resumed(lambda: _trainer(train, **NETWORKS[name]))
    for key, tensor in whole.state().items():
        assert torch.equal(tensor, resumed.state()[key]), key


@pytest.mark.parametrize("accumulate", [1, 2])
def test_generator_and_discriminator_learn_from_the_captions(train: Path, accumulate: int) -> None:
    trainer = _trainer(train, accumulate=accumulate)
    networks = (trainer.generator, trainer.discriminator)
    tables = [dict(network.named_parameters())["embedding.of_attributes"] for network in networks]
    before = [table.detach().clone() for table in tables]
    for _ in range(3):
        trainer.step()
    assert all((table.detach() - start).abs().max() > 1e-4 for table, start in zip(tables, before, strict=True))


def test_the_average_draws_a_category_by_its_usual_text_where_nothing_is_said(train: Path) -> None:
    trainer = _trainer(train)
    for _ in range(3):
        trainer.step()
    latents, labels = draw_latents(0, 30, 8), np.arange(30) % 3
    unsaid = generate_images(trainer.average, latents, labels)
    captions = read_captions(train)
    usual = captions.usual(trainer.labels, 3)
    with torch.inference_mode():
        expected = trainer.average(torch.from_numpy(latents), torch.from_numpy(labels), torch.from_numpy(usual[labels]))
    assert np.array_equal(unsaid, to_uint8(expected).permute(0, 2, 3, 1).numpy())
    with torch.inference_mode():
        assert torch.equal(OfCategories(trainer.average, None)(torch.from_numpy(latents), torch.from_numpy(labels)), expected)
    said = generate_images(trainer.average, latents, labels, attributes=captions.embeddings[[0] * 30])
    assert (said != unsaid).any()


def test_a_training_that_starts_from_another_keeps_the_usual_texts_of_its_own_captions(train: Path, tmp_path: Path) -> None:
    other = write_data(tmp_path / "train")
    write_captions(other, "drawn", ["one"], unit_rows(1, seed=9), {"train": np.zeros((60, 1), np.int32)})
    finished, trainer = _trainer(other), _trainer(train)
    start_from(trainer.models, finished.state(), *[ConditionNames("text", ["a", "b", "c"])] * 2)
    usual = read_captions(train).usual(trainer.labels, 3)
    for network in (trainer.models.generator, trainer.models.average):
        assert network.usual_texts is not None
        assert np.array_equal(network.usual_texts.numpy(), usual)
    weights = (dict(one.average.named_parameters())["start.weight"] for one in (finished, trainer))
    assert torch.equal(*weights)


def test_the_discriminator_refuses_a_mismatched_caption(tmp_path: Path) -> None:
    """Pictures of one category whose caption says how bright they are; generated ones do not matter here."""
    folder = write_data(tmp_path / "train")
    bright = np.arange(60) % 2
    images = np.broadcast_to((60 + 130 * bright)[:, None, None, None], (60, 16, 16, 1)).astype(np.uint8)
    write_two_captions(folder, 60)
    captions = read_captions(folder)
    params = tiny_params(condition="text", total_kimg=2.0, discriminator_rate=0.005)
    of_one = np.zeros(60, np.int64)
    trainer = Trainer(params, images, of_one, 1, torch.device("cpu"), captions=CaptionDraw(captions, of_one, 1))
    for _ in range(80):
        trainer.step()
    real = torch.from_numpy(images[:10].transpose(0, 3, 1, 2)).float() / 127.5 - 1
    labels = torch.zeros(10, dtype=torch.int64)
    right = torch.from_numpy(captions.embeddings[bright[:10]])
    wrong = torch.from_numpy(captions.embeddings[1 - bright[:10]])
    with torch.no_grad():
        gap = trainer.discriminator(real, labels, right) - trainer.discriminator(real, labels, wrong)
    assert float(gap.mean()) > 0.5
