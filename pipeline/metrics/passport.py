"""What a number was measured with. Numbers are compared only if their passports agree."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from pipeline.section import dotted

LIBRARIES = ("torch", "onnxruntime", "numpy", "scipy", "pillow", "clean-fid")
# The first of these that both generators have with equal passports decides. Lower is better.
DECISIVE_SCORES = ("fid", "fd_classifier")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a number may depend on."""
    return {name: version(name) for name in LIBRARIES}


def why_not_comparable(passport: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """One line for each difference between two passports; empty if their numbers may be compared."""
    ours, theirs = dotted(passport), dotted(other)
    pairs = {key: (ours.get(key, "nothing"), theirs.get(key, "nothing")) for key in sorted(ours.keys() | theirs.keys())}
    return [f"{key}: {our} here, {their} there" for key, (our, their) in pairs.items() if our != their]


class Verdict(NamedTuple):
    """Whether the challenger beats the champion, and the reason."""

    better: bool
    why: str


def _format(entry: Mapping[str, Any]) -> str:
    return f"{entry['value']:.4g} ± {entry['plus_minus']:.2g}"


def compare_with_champion(challenger: Mapping[str, Any], champion: Mapping[str, Any]) -> Verdict:
    """Compare two metrics.json: better only if a decisive score is lower by more than both ± together."""
    reasons = []
    for name in DECISIVE_SCORES:
        ours, theirs = challenger.get(name, {}), champion.get(name, {})
        if "value" not in ours or "value" not in theirs:
            reasons.append(f"{name} is not in both")
            continue
        if differences := why_not_comparable(ours["passport"], theirs["passport"]):
            reasons.append(f"{name} was measured differently: {'; '.join(differences)}")
            continue
        gain, doubt = theirs["value"] - ours["value"], ours["plus_minus"] + theirs["plus_minus"]
        values = f"{name} {_format(ours)} against {_format(theirs)}"
        if abs(gain) <= doubt:
            return Verdict(False, f"no difference beyond ±: {values}")
        return Verdict(gain > 0, f"{'better' if gain > 0 else 'worse'}: {values}")
    return Verdict(False, f"not comparable: {'. '.join(reasons)}")
