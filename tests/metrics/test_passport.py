"""Which numbers may be compared."""

from importlib.metadata import version

from pipeline.metrics.passport import library_versions, why_not_comparable

PASSPORT = {"extractor": {"name": "efflite0", "input_px": "64×64"}, "samples": {"pictures": 10000}, "settings": {}}


def test_equal_passports_are_comparable() -> None:
    again = {"settings": {}, "samples": {"pictures": 10000}, "extractor": {"input_px": "64×64", "name": "efflite0"}}
    assert why_not_comparable(PASSPORT, again) == []


def test_each_difference_is_told() -> None:
    other = {"extractor": {"name": "efflite0", "input_px": "112×112"}, "samples": {"pictures": 10000}, "settings": {"k": 3}}
    assert why_not_comparable(PASSPORT, other) == [
        "extractor.input_px: 64×64 here, 112×112 there",
        "settings.k: nothing here, 3 there",
    ]


def test_library_versions_are_those_installed() -> None:
    assert library_versions()["clean-fid"] == version("clean-fid")
