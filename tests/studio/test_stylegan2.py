"""A StyleGAN2, trained for a moment and exported in every precision, in the studio: its styles are mixed layer by layer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pipeline.inference.latents import draw_latents
from pipeline.stages.export import run as export
from pipeline.stages.train.run import run
from pipeline.tracking.tracker import Tracker
from studio.directions import draw_samples, find_directions
from studio.model import Generator, open_generator
from tests.stages.export.test_export import PARAMS, write_reference
from tests.support.studio_server import served
from tests.support.training import TINY, tiny_params, write_data

NETWORK = TINY["network"] | {
    "name": "stylegan2",
    "latent_dim": 8,
    "generator_width": 8,
    "max_width": 16,
    "style_dim": 8,
    "mapping_layers": 2,
    "style_mixing": 0.9,
    "path_length": 0.0,
    "path_length_interval": 4,
    "truncation": 0.9,
}
LAYERS = 6  # at 16 x 16: convolutions of 1, 2 and 2, and the last image
MAX_DIFFERENCE = {"fp32": 1e-4, "fp16": 0.05, "int8": 0.5}
MAX_MEAN_DIFFERENCE = {"fp32": 1e-5, "fp16": 2e-3, "int8": 0.05}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three exports of one generator, each with another precision in generator.onnx."""
    folder = tmp_path_factory.mktemp("stylegan2")
    write_reference(folder / "reference")
    data = write_data(folder / "train")
    run(tiny_params(network=NETWORK), train=data, gan=folder / "gan", scratch=folder / "scratch", track=Tracker())
    with pytest.MonkeyPatch.context() as patch:
        for graphs in ("export_precisions", "checked_judge", "early_layers_as_onnx"):  # the same in any order of precisions
            patch.setattr(export, graphs, _only_once(getattr(export, graphs)))
        for chosen in MAX_DIFFERENCE:
            order = [chosen, *(precision for precision in MAX_DIFFERENCE if precision != chosen)]
            params = PARAMS.model_copy(update={"precisions": order, "max_mean_difference": 1.0, "max_fd_change": 1e6})
            export.run(params, reference=folder / "reference", gan=folder / "gan", export=folder / chosen, track=Tracker())
    return folder


def _only_once(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make`, whose first result stands for the later ones: a StyleGAN2 is traced for many seconds."""
    made: list[Any] = []

    def first(*arguments: object) -> Any:
        if not made:
            made.append(make(*arguments))
        return made[0]

    return first


@pytest.fixture(scope="module", params=MAX_DIFFERENCE)
def generator(exports: Path, request: pytest.FixtureRequest) -> Generator:
    return open_generator(exports / request.param)


def test_every_precision_draws_what_torch_draws_within_its_limits(generator: Generator) -> None:
    card = generator.card
    (variant,) = (one for one in card.variants if one.precision == card.precision)
    assert variant.max_difference <= MAX_DIFFERENCE[card.precision]
    assert variant.mean_difference <= MAX_MEAN_DIFFERENCE[card.precision]


def test_categories_are_mixed_in_every_precision(generator: Generator) -> None:
    latents = draw_latents(3, 32, generator.card.latent_dim)  # one garment of an untrained network proves nothing
    assert generator.mixes_categories
    first, half, second = (
        generator.draw(latents, np.tile(np.array([mix], np.float32), (32, 1))) for mix in ([1, 0, 0], [0.5, 0.5, 0], [0, 1, 0])
    )
    assert np.abs(first - second).max() > 1e-3
    assert 0 < np.abs(half - first).mean() < np.abs(second - first).mean()


def test_no_variety_at_all_is_a_garment(generator: Generator) -> None:
    assert np.isfinite(generator.draw_category(np.zeros((1, generator.card.latent_dim), np.float32), 0)).all()


def test_the_file_is_what_onnx_wants_of_one(exports: Path) -> None:
    for precision in MAX_DIFFERENCE:
        onnx.checker.check_model(onnx.load(exports / precision / "generator.onnx"))


def test_a_latent_for_each_layer_is_mixed_in_every_precision(generator: Generator) -> None:
    assert generator.style_layers == LAYERS
    coarse, fine = draw_latents(3, 2, generator.card.latent_dim)
    plain = generator.draw_category(np.stack([coarse, fine]), 1)
    alike = np.stack([np.tile(latent, (LAYERS, 1)) for latent in (coarse, fine)])
    assert np.abs(generator.draw_category(alike, 1) - plain).max() < 2e-3
    for layer in range(LAYERS):
        mixed = alike[:1].copy()
        mixed[0, layer] = fine
        assert np.abs(generator.draw_category(mixed, 1) - plain[:1]).max() > 1e-4, f"layer {layer} does nothing"


def test_a_latent_for_each_layer_is_a_style_for_each_layer_of_torchs(exports: Path) -> None:
    """The order is the network's own: the first layers from one garment are its coarse ones."""
    generator = open_generator(exports / "fp32")
    coarse, fine = draw_latents(3, 2, generator.card.latent_dim)
    steps = [np.abs(_mixed(generator, coarse, fine, cut) - _mixed(generator, coarse, fine, LAYERS)).mean() for cut in (1, 3, 5)]
    assert steps[0] > steps[1] > steps[2] > 0


def _mixed(generator: Generator, coarse: np.ndarray, fine: np.ndarray, cut: int) -> np.ndarray:
    latents = np.stack([coarse] * cut + [fine] * (LAYERS - cut))[None]
    return generator.draw_category(latents, 0)


def test_sliders_are_found_in_every_precision(generator: Generator) -> None:
    found = find_directions(generator, 0, draw_samples(generator, 0, 128))
    assert {"activation", "closed-form"} <= {one.kind for one in found}
    assert all(np.isfinite(one.vector).all() and np.isfinite(list(one.effects.values())).all() for one in found)


def test_the_studio_serves_it_in_the_coarsest_precision(exports: Path, tmp_path: Path) -> None:
    with served(exports / "int8", tmp_path) as client:
        assert client.request("GET", "/api/studio").json["style_layers"] == LAYERS
        coarse, fine = client.request("POST", "/api/grid", {"seed": 1, "count": 2, "category": "b"}).json["addresses"]
        mixed = client.request("POST", "/api/style-mix", {"coarse": coarse, "fine": fine}).json
        assert len(set(mixed["addresses"])) == LAYERS - 1
        again = client.request("POST", "/api/pictures", {"addresses": mixed["addresses"]}).json
        assert again["pixels"] == mixed["pixels"]
        move = {"address": mixed["addresses"][3], "amounts": {"closed-form-1": 3.0}, "mix": {"a": 0.5, "b": 0.5}}
        moved = client.request("POST", "/api/move", move)
        assert moved.status == 200
        assert client.request("GET", f"/picture/{moved.json['addresses'][0]}.png").status == 200
