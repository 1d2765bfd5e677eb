"""Which of two generators is the better one, from their metrics.json: decided only on numbers that may be compared."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.metrics.passport import why_not_comparable

# The first of these that both have with one passport decides; of each, less is better.
DECIDING = ("fid", "fd_classifier")


class Verdict(NamedTuple):
    """Whether the challenger wins, and why, in words."""

    better: bool
    why: str


def _shown(entry: Mapping[str, Any]) -> str:
    return f"{entry['value']:.4g} ± {entry['plus_minus']:.2g}"


def verdict_on(challenger: Mapping[str, Any], champion: Mapping[str, Any]) -> Verdict:
    """The verdict on two metrics.json: better only where the distances differ by more than both ± together."""
    reasons = []
    for name in DECIDING:
        ours, theirs = challenger.get(name, {}), champion.get(name, {})
        if "value" not in ours or "value" not in theirs:
            reasons.append(f"{name} is not in both")
            continue
        if differences := why_not_comparable(ours["passport"], theirs["passport"]):
            reasons.append(f"{name} was measured otherwise: {'; '.join(differences)}")
            continue
        gain, doubt = theirs["value"] - ours["value"], ours["plus_minus"] + theirs["plus_minus"]
        told = f"{name} {_shown(ours)} against {_shown(theirs)}"
        if abs(gain) <= doubt:
            return Verdict(False, f"no difference beyond ±: {told}")
        return Verdict(gain > 0, f"{'better' if gain > 0 else 'worse'}: {told}")
    return Verdict(False, f"not comparable: {'. '.join(reasons)}")
