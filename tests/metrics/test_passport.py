"""Which scores may be compared."""

import numpy
import PIL
import torch

from pipeline.metrics.passport import library_versions, why_not_comparable

PASSPORT = {"extractor": {"name": "efflite0", "input_px": "64×64"}, "samples": {"pictures": 10000}, "settings": {}}


def test_passports_are_equal_in_any_order_of_keys() -> None:
    again = {"settings": {}, "samples": {"pictures": 10000}, "extractor": {"input_px": "64×64", "name": "efflite0"}}
    assert why_not_comparable(PASSPORT, again) == []


def test_each_difference_is_one_line_with_its_key() -> None:
    other = {"extractor": {"name": "efflite0", "input_px": "112×112"}, "samples": {"pictures": 10000}, "settings": {"k": 3}}
    differences = why_not_comparable(PASSPORT, other)
    assert [line.partition(":")[0] for line in differences] == ["extractor.input_px", "settings.k"]
    assert "64×64" in differences[0]
    assert "112×112" in differences[0]


def test_library_versions_are_those_imported() -> None:
    versions = library_versions()
    assert (versions["numpy"], versions["pillow"]) == (numpy.__version__, PIL.__version__)
    assert versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
