"""Style transfer through networks: closed forms, a loss that falls, and weights that are not there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from studio import dressing
from studio.dressing import DressingOrder, dressed
from studio.features import autoencoder, feature_network
from studio.patterns import pattern
from studio.style_networks import PaintingOptions
from studio.style_transfer import gram, painted, whitened

OPTIONS = PaintingOptions("efflite0", content_weight=1.0, style_weight=100.0, layers=(), steps=20, seed=0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """One thread, as in the sandbox where painting runs: others wait busily, for minutes where another test has their core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(name: str, side_px: int = 64) -> np.ndarray:
    return pattern(name, side_px).astype(np.float32) / 255


def style_distance(found: np.ndarray, wanted: np.ndarray) -> float:
    network = feature_network("efflite0", None)
    layers = [network(torch.from_numpy(one.transpose(2, 0, 1).copy())[None]) for one in (found, wanted)]
    first, second = (gram(features["block0"]) for features in layers)
    return float(((first - second) ** 2).sum() / (second**2).sum())


def test_gram_matrix_is_the_mean_of_products() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]])
    assert torch.allclose(gram(features), torch.tensor([[[2.5, 6.5], [6.5, 17.0]]]))


def test_painting_approaches_the_style_and_reports_its_progress() -> None:
    content, style = picture("gingham"), picture("camouflage")
    steps = list(painted(content, style, OPTIONS, None))
    assert [share for share, _ in steps] == [0.5, 1.0]
    last = steps[-1][1]
    assert last.shape == content.shape
    assert 0 <= last.min() <= last.max() <= 1
    assert style_distance(last, style) < 0.75 * style_distance(content, style)


def test_the_same_seed_paints_the_same_picture() -> None:
    content, style = picture("gingham"), picture("camouflage")
    few = replace(OPTIONS, steps=4)  # each with a random jitter
    first, second = (list(painted(content, style, few, None))[-1][1] for _ in range(2))
    assert np.array_equal(first, second)


def test_missing_weights_raise_an_error_that_names_an_alternative() -> None:
    with pytest.raises(InputError, match="efflite0"):
        feature_network("compressed-vgg19", None)


def test_compressed_vgg_decodes_what_it_encoded_and_whitens(shared_data: Path) -> None:
    folder = shared_data / "weights" / "compressed-vgg19"
    content, style = picture("houndstooth"), picture("ikat")
    encode, decode = autoencoder(folder, 1)
    with torch.no_grad():
        back = decode(encode(torch.from_numpy(content.transpose(2, 0, 1).copy())[None]))[0].permute(1, 2, 0).numpy()
    assert np.abs(back - content).mean() < 0.06
    coloured = list(whitened(content, style, 1.0, folder))
    assert [share for share, _ in coloured] == [0.2, 0.4, 0.6, 0.8, 1.0]
    before, after = (np.abs(one.mean(axis=(0, 1)) - style.mean(axis=(0, 1))).max() for one in (content, coloured[-1][1]))
    assert after < before / 2
    assert set(feature_network("compressed-vgg19", folder)(torch.zeros(1, 3, 64, 64))) >= {"conv11", "conv51"}


def order_to_paint(network: str) -> DressingOrder:
    content = np.zeros((32, 32, 1), np.uint8)
    content[6:28, 10:22] = 180
    options = PaintingOptions(network, 1.0, 10.0, (), 10, 0)
    return DressingOrder(content, pattern("check", 64), True, True, "paint", 1.0, options)


def test_painting_in_the_sandbox_changes_the_garment_and_not_its_backdrop() -> None:
    *_, last = dressed(order_to_paint("efflite0"), None)
    assert last.share == 1
    assert last.picture is not None
    assert last.picture.shape == (256, 256, 3)
    assert last.picture[:20].max() <= 1
    assert last.picture[100:200, 100:150].std() > 5


def test_a_quarter_of_the_strength_paints_a_quarter_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dressing, "_in_sandbox", lambda _: iter([(1.0, np.ones((256, 256, 3), np.float32))]))
    order = replace(order_to_paint("efflite0"), content=np.full((32, 32, 3), 51, np.uint8), garment_only=False, strength=0.25)
    [last] = dressed(order, None)
    assert last.picture is not None
    assert np.abs(last.picture.astype(int) - 102).max() <= 1  # 0.2 becomes 0.4


def test_an_error_in_the_sandbox_is_raised_here() -> None:
    with pytest.raises(InputError, match="compressed-vgg19"):
        list(dressed(order_to_paint("compressed-vgg19"), None))
