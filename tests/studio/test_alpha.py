"""The studio on a model that draws alpha: measures, downloads, fabrics and projection by the model's own alpha."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import as_images
from pipeline.inference.transparency import on_ground
from studio import service as studio_service
from studio.cut_outs import garment_of
from studio.directions import draw_samples, find_directions
from studio.measures import garment_masks, measure
from studio.model import Generator, open_generator
from studio.projection import fit_encoder, fit_framing, framed_cut_out, project
from studio.sheets import enlarged_to
from studio.taste_features import fit_features
from tests.support.studio_model import DIM, SIDE, alpha_graph, write_stand_in
from tests.support.studio_server import Client, served_studio

PHOTOGRAPHS = Path(__file__).parents[1] / "photographs"


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return open_generator(write_stand_in(tmp_path_factory.mktemp("model"), alpha_graph()))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served_studio(tmp_path_factory.mktemp("studio"), alpha_graph()) as found:
        yield found


def _opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_masks_are_the_models_alpha_and_colours_are_seen_on_white(generator: Generator) -> None:
    samples = draw_samples(generator, 1, 64)
    assert generator.alpha
    assert samples.pictures.shape == (64, SIDE, SIDE, 4)
    masks = garment_masks(samples.pictures)
    assert np.array_equal(masks, samples.pictures[..., 3] >= 128)
    assert 0.05 < masks.mean() < 0.8
    assert measure(samples.pictures)["asymmetry"] == pytest.approx(measure(on_ground(samples.pictures, "white"))["asymmetry"])
    assert "saturation" in samples.measures
    directions = find_directions(generator, 1, samples)
    assert {"measured", "classified"} <= {one.kind for one in directions}
    assert all(0 < one.strength < 255 for one in directions)
    features = fit_features(samples)
    rows = features.of(samples.pictures)
    assert np.isfinite(rows).all()
    assert np.array_equal(features.of(samples.pictures, samples.measures), rows)


def test_a_drawn_garment_is_found_again_by_premultiplied_colour_and_alpha(generator: Generator) -> None:
    encoder = fit_encoder(draw_samples(generator, 1, 256))
    target = as_images(generator.draw_category(draw_latents(99, 1, DIM), 1))[0]
    *_, (_, found) = project(generator, {1: target}, lambda _: encoder)
    assert found.distance < 3


def test_a_cut_out_is_framed_as_the_models_garments_are_and_keeps_a_soft_edge(generator: Generator) -> None:
    framing = fit_framing(draw_samples(generator, 0, 64))
    assert framing.backdrop == pytest.approx([255, 255, 255], abs=2)
    cut = np.zeros((120, 80, 4), np.uint8)
    cut[..., :3] = (90, 40, 20)
    cut[10:110, 20:60, 3] = 255
    cut[10:110, 60:63, 3] = 140
    seen = framed_cut_out(cut, generator, framing)
    assert seen.shape == (SIDE, SIDE, 4)
    rows, columns = np.flatnonzero((seen[..., 3] > 128).any(1)), np.flatnonzero((seen[..., 3] > 128).any(0))
    assert len(rows) == pytest.approx(framing.share * SIDE, abs=1)
    assert (rows[0] + rows[-1] + 1) / 2 == pytest.approx(SIDE / 2, abs=1)
    assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(SIDE / 2, abs=1)
    assert np.abs(seen[..., :3].astype(int) - (90, 40, 20)).max() <= 2


def test_the_api_sends_straight_rgba_and_downloads_keep_it(client: Client) -> None:
    studio = client.request("GET", "/api/studio").json
    assert studio["alpha"]
    assert studio["channels"] == 4
    assert "saturation" in studio["measures"]
    grid = client.request("POST", "/api/grid", {"category": "dress", "count": 2, "seed": 1}).json
    drawn = np.frombuffer(base64.b64decode(grid["pixels"]), np.uint8).reshape(2, SIDE, SIDE, 4)
    single = _opened(client.request("GET", f"/picture/{grid['addresses'][0]}.png?side={SIDE}").content)
    assert single.mode == "RGBA"
    assert single.info["ai_generated"] == "true"
    assert np.array_equal(np.asarray(single), drawn[0])
    sheet = _opened(client.request("POST", "/api/sheet", {"addresses": grid["addresses"]}).content)
    assert sheet.mode == "RGB"
    assert min(np.asarray(sheet)[40, 40]) >= 250  # paper behind the garment's corner


def test_an_enlarged_garment_has_no_dark_rim() -> None:
    white = np.zeros((16, 16, 4), np.uint8)
    white[..., :3] = 250
    white[4:12, 4:12, 3] = 255
    large = np.asarray(enlarged_to(white, 64))
    assert large.shape == (64, 64, 4)
    assert on_ground(large[None], "white").min() >= 245


def test_a_fabric_is_laid_by_the_models_alpha_and_kept_with_it(client: Client) -> None:
    address = client.request("POST", "/api/grid", {"category": "dress", "count": 1, "seed": 1}).json["addresses"][0]
    job = client.request("POST", "/api/styles", {"address": address, "pattern": "gingham", "mode": "print"}).json
    assert client.finished(job)["state"] == "done"
    dressed = np.asarray(_opened(client.request("GET", f"/api/jobs/{job['id']}/picture?side=256").content))
    plain = np.asarray(_opened(client.request("GET", f"/picture/{address}.png?side=256").content))
    assert dressed.shape == plain.shape == (256, 256, 4)
    assert np.abs(dressed[..., 3].astype(int) - plain[..., 3]).max() <= 1
    inside = plain[..., 3] > 250
    assert np.abs(dressed[inside][:, :3].astype(int) - plain[inside][:, :3]).mean() > 20
    collection = client.request("POST", "/api/collections", {"name": "cut out"}).json["id"]
    assert client.request("POST", f"/api/collections/{collection}/pieces", {"job": job["id"], "name": "g"}).status == 201
    piece = client.request("GET", f"/api/collections/{collection}/pieces").json[0]["id"]
    kept = _opened(client.request("GET", f"/api/collections/{collection}/pieces/{piece}/picture").content)
    assert kept.mode == "RGBA"
    board = client.request("GET", f"/api/collections/{collection}/sheet.png")
    assert _opened(board.content).mode == "RGB"


def _projected(client: Client, picture: Image.Image) -> dict[str, Any]:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    upload = client.request("POST", "/api/uploads", file.getvalue(), {"content-type": "image/png"}).json["upload"]
    job = client.request("POST", "/api/projections", {"upload": upload, "category": "dress"}).json
    return client.finished(job)


@pytest.mark.parametrize("found", [True, False])
def test_a_photograph_is_cut_out_for_projection(client: Client, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph = np.full((160, 120, 3), 240, np.uint8)
    photograph[20:140, 35:85] = (60, 50, 90)
    cut = np.dstack([photograph, (photograph[..., 0] < 100) * np.uint8(255)])
    monkeypatch.setattr(studio_service, "garment_of", lambda _: cut if found else None)
    job = _projected(client, Image.fromarray(photograph))
    assert job["state"] == "done", job["reason"]
    seen = np.asarray(_opened(base64.b64decode(job["result"]["seen_as"])))
    assert seen.shape == (SIDE, SIDE, 4)
    assert seen[0, 0, 3] == 0
    assert seen[SIDE // 2, SIDE // 2].tolist() == pytest.approx([60, 50, 90, 255], abs=2)
    assert not job["result"]["negative"]


@pytest.mark.slow
def test_the_pipelines_mask_cuts_a_real_photograph_out() -> None:
    path = sorted((PHOTOGRAPHS / "dress").glob("*.jpg"))[0]
    photograph = np.asarray(Image.open(path).convert("RGB"))
    cut = garment_of(photograph)
    assert cut is not None
    assert cut.shape[2] == 4
    assert 0.1 < (cut[..., 3] > 128).mean() < 0.9
    assert cut[0, 0, 3] < 50
