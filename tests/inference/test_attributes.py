"""Attributes as rows of zeros and ones."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.inference.attributes import attribute_row, columns_of, drawn_attributes
from pipeline.inference.onnx_generator import OnnxGenerator
from tests.support.studio_model import DIM, SHADES, SIDE, generator_graph

KNOWN = {"colour": ["black", "red"], "pattern": ["plain"]}


def test_columns_and_rows_follow_the_order_of_the_attributes() -> None:
    assert columns_of(KNOWN) == ["colour=black", "colour=red", "pattern=plain"]
    assert attribute_row(["pattern=plain", "colour=red"], KNOWN).tolist() == [0, 1, 1]


def test_an_unknown_value_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"--attribute colour=rd: unknown to the model; .*colour=red"):
        attribute_row(["colour=rd"], KNOWN)


def test_drawn_rows_have_at_most_one_value_of_each_attribute_and_depend_on_the_seed_alone() -> None:
    rows = drawn_attributes(0, 400, KNOWN)
    assert rows.shape == (400, 3)
    assert rows[:, :2].sum(axis=1).max() == 1
    assert rows.mean(axis=0) == pytest.approx([0.45, 0.45, 0.9], abs=0.07)
    np.testing.assert_array_equal(rows, drawn_attributes(0, 400, KNOWN))


def test_an_input_that_a_model_of_an_earlier_version_lacks_is_refused() -> None:
    generator = OnnxGenerator(generator_graph(SHADES).SerializeToString(), threads=1)
    latents, labels = np.zeros((2, DIM), np.float32), np.zeros(2, np.int64)
    assert generator.pictures(latents, labels, attributes=None).shape == (2, 1, SIDE, SIDE)
    with pytest.raises(InputError, match="takes no text_change, as those of this version do; run export again"):
        generator.pictures(latents, labels, text_change=np.zeros((2, 5), np.float32))
