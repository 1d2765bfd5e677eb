"""Addresses: they round-trip, and anything else is refused."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.inference.latents import draw_latents
from studio.recipe import (
    Recipe,
    SeedSource,
    format_address,
    latent_source,
    normalised_mix,
    parse_address,
    recipe_latents,
    recipe_mixes,
    single_category,
)

MODEL = "0123456789ab"


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(MODEL, single_category(0), SeedSource(0, 0, 1000)),
        Recipe(MODEL, single_category(9), SeedSource(2**32 - 1, 255, 0)),
        Recipe(MODEL, ((2, 400), (7, 600)), latent_source(np.array([0.1, -3.25, 1e-7], np.float32))),
    ],
)
def test_an_address_parses_to_its_recipe(recipe: Recipe) -> None:
    assert parse_address(format_address(recipe)) == recipe


def test_addresses_have_the_documented_format() -> None:
    assert format_address(Recipe(MODEL, single_category(3), SeedSource(42, 7, 700))) == "0123456789ab-3-s42.7.700"
    assert (
        format_address(Recipe(MODEL, ((3, 600), (7, 400)), latent_source(np.zeros(1, np.float32))))
        == "0123456789ab-3.600_7.400-zAAAAAA"
    )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "../../etc/passwd",
        "0123456789ab-3",
        "0123456789AB-3-s1.0.1000",
        "0123456789ab-3-s4294967296.0.1000",
        "0123456789ab-3-s1.256.1000",
        "0123456789ab-3-s1.0.1001",
        "0123456789ab-3.500-s1.0.1000",
        "0123456789ab-7.500_3.500-s1.0.1000",
        "0123456789ab-3.500_3.500-s1.0.1000",
        "0123456789ab-3.1000_4.0-s1.0.1000",
        "0123456789ab-3-zAAAA",
        "0123456789ab-3-zAADAfw",  # not a number
        "0123456789ab-3-zAABIQw",  # 200
        "0123456789ab-3-zA",
        "0123456789ab-3-s1.0.1000\n",
        "0123456789ab-٣-s1.0.1000",
    ],
)
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(InputError):
        parse_address(address)


def test_a_seeded_latent_is_a_row_of_the_draw_times_truncation() -> None:
    recipes = [Recipe(MODEL, single_category(0), SeedSource(5, index, 500)) for index in (3, 0)]
    assert np.array_equal(recipe_latents(recipes, 6), draw_latents(5, 4, 6)[[3, 0]] * np.float32(0.5))


def test_a_latent_of_another_dimension_is_refused() -> None:
    with pytest.raises(InputError):
        recipe_latents([Recipe(MODEL, single_category(0), latent_source(np.zeros(3, np.float32)))], 8)


def test_twenty_layers_of_512_dimensions_fit_an_address() -> None:
    recipe = Recipe(MODEL, single_category(0), latent_source(draw_latents(0, 20, 512)))
    assert parse_address(format_address(recipe)) == recipe


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(InputError, match="0 to 2"):
        recipe_mixes([Recipe(MODEL, single_category(3), SeedSource(0, 0, 1000))], 3)


def test_normalised_mixes_sum_to_a_thousand() -> None:
    assert normalised_mix({0: 1.0, 2: 1.0, 1: 1.0}) == ((0, 334), (1, 333), (2, 333))
    assert normalised_mix({4: 2.0, 1: 0.0}) == single_category(4)
    assert recipe_mixes([Recipe(MODEL, normalised_mix({0: 3, 1: 1}), SeedSource(0, 0, 0))], 2).tolist() == [[0.75, 0.25]]
