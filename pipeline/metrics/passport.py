"""What a number was measured with: it stands beside the number, and decides which numbers may be compared."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

LIBRARIES = ("torch", "onnxruntime", "numpy", "scipy", "pillow", "clean-fid")


def library_versions() -> dict[str, str]:
    """Versions of the libraries a number may depend on."""
    return {name: version(name) for name in LIBRARIES}


def _flat(passport: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for key, value in passport.items():
        pairs |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return pairs


def why_not_comparable(passport: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Each difference of two passports in words; empty when the two numbers may stand in one comparison."""
    ours, theirs = _flat(passport), _flat(other)
    told = {key: (ours.get(key, "nothing"), theirs.get(key, "nothing")) for key in sorted(ours.keys() | theirs.keys())}
    return [f"{key}: {mine} here, {yours} there" for key, (mine, yours) in told.items() if mine != yours]
