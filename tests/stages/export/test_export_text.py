"""Export of a generator that was trained on captions: the text is an optional input in every precision, with alpha, too."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.gan.checkpoints import CAPTION_SAMPLE, GeneratorCard, save_generator
from pipeline.gan.networks import PictureShape, build_generator
from pipeline.gan.networks.parts import Generator
from pipeline.inference.latents import draw_latents, labels_in_equal_shares
from pipeline.inference.onnx_generator import OnnxGenerator, read_card
from pipeline.inference.texts import drawn_texts
from pipeline.stages.export import run as export
from pipeline.tracking.tracker import Tracker
from tests.stages.export.test_export import ARGUMENTS, CATEGORIES, PARAMS, check_alpha, write_reference
from tests.support.captions import DIM, unit_rows

TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.05}


def test_drawn_texts_are_unit_vectors_of_the_sample_or_none_and_strengths_scale_them() -> None:
    sample = unit_rows(4)
    rows, stronger = drawn_texts(0, 500, sample), drawn_texts(0, 500, sample, 2.0)
    lengths, scaled = np.linalg.norm(rows, axis=1), np.linalg.norm(stronger, axis=1)
    assert set(np.round(lengths, 5)) == {0, 1}
    assert 0.05 < (lengths == 0).mean() < 0.15
    assert 1.5 < scaled.max() <= 2
    assert np.allclose(stronger, rows * scaled[:, None], atol=1e-6)


def _write_gan(folder: Path, network: str, channels: int = 1) -> Generator:
    torch.manual_seed(0)
    generator = build_generator(network, ARGUMENTS[network], PictureShape(16, 16, channels), 3, 8, DIM).eval()
    generator.expect_texts(torch.from_numpy(0.6 * unit_rows(3, seed=5)))
    folder.mkdir()
    card = GeneratorCard(
        network, ARGUMENTS[network], CATEGORIES, 16, 16, channels, 8, 6400, condition="text", text_encoder="drawn", text_dim=DIM
    )
    save_generator(folder, generator, card)
    np.save(folder / CAPTION_SAMPLE, unit_rows(20))
    return generator


@pytest.fixture(scope="module", params=["dcgan", "resnet"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Generator, Path]:
    """A generator and its folder of gan, reference and export; the residual network also draws alpha: tracing takes seconds."""
    folder, alpha = tmp_path_factory.mktemp(request.param), request.param == "resnet"
    generator = _write_gan(folder / "gan", request.param, channels=4 if alpha else 1)
    write_reference(folder / "reference", channels=3 if alpha else 1, ground="grey" if alpha else None)
    folders = {name: folder / name for name in ("reference", "gan", "export")}
    export.run(PARAMS, **folders, track=Tracker())
    return generator, folder


@pytest.mark.parametrize("exported", ["resnet"], indirect=True)
def test_alpha_is_exported_in_every_precision_and_the_judge_sees_it_on_its_ground(exported: tuple[Generator, Path]) -> None:
    generator, folder = exported
    check_alpha(folder, generator)


def test_a_text_of_any_strength_draws_in_every_precision_what_it_draws_in_torch(exported: tuple[Generator, Path]) -> None:
    generator, folder = exported
    card = read_card(folder / "export")
    assert (card.text_encoder, card.text_dim) == ("drawn", DIM)
    latents, labels = draw_latents(5, 12, 8), labels_in_equal_shares(12, 3)
    change = 0.3 * unit_rows(12, seed=4)

    def in_torch(text: NDArray[np.float32] | None, change: NDArray[np.float32]) -> NDArray[np.float32]:
        of_labels = torch.from_numpy(labels)
        completed = generator.complete(of_labels, None if text is None else torch.from_numpy(text))
        assert completed is not None
        with torch.inference_mode():
            pictures: torch.Tensor = generator(torch.from_numpy(latents), of_labels, completed + torch.from_numpy(change))
        return pictures.numpy()

    for variant in card.variants:
        drawn = OnnxGenerator((folder / "export" / variant.file).read_bytes(), threads=1)
        for strength in (0.5, 1.0, 2.0):
            text = unit_rows(12, seed=3) * np.float32(strength)
            difference = np.abs(drawn.pictures(latents, labels, text=text) - in_torch(text, 0 * change))
            assert difference.mean() < TOLERANCES[variant.precision], (variant.precision, strength)
            one = drawn.pictures(latents[:3], labels[:3], text=np.tile(text[:1], (3, 1)))
            assert np.allclose(one, drawn.pictures(latents[:3], labels[:3], text=text[:1]), atol=1e-6)
        for said in (None, unit_rows(12, seed=3)):
            difference = np.abs(drawn.pictures(latents, labels, text=said, text_change=change) - in_torch(said, change))
            assert difference.mean() < TOLERANCES[variant.precision], (variant.precision, "changed")
        assert np.abs(drawn.pictures(latents, labels) - in_torch(None, 0 * change)).mean() < TOLERANCES[variant.precision]
    assert [variant.precision for variant in card.variants] == ["fp32", "fp16", "int8"]


def test_a_missing_sample_of_captions_is_an_input_error(tmp_path: Path) -> None:
    _write_gan(tmp_path / "gan", "resnet")
    (tmp_path / "gan" / CAPTION_SAMPLE).unlink()
    write_reference(tmp_path / "reference")
    folders = {name: tmp_path / name for name in ("reference", "gan", "export")}
    with pytest.raises(InputError, match=r"caption_sample\.npy: cannot be read .* run train again"):
        export.run(PARAMS, **folders, track=Tracker())
