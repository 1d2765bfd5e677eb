"""What the Fréchet distance would be of infinitely many samples; apart from what needs torch, for the report draws it, too."""

from collections.abc import Mapping

import numpy as np


def line_to_infinity(distances: Mapping[int, float]) -> tuple[float, float]:
    """Where a line through the distances, by sample count N, against 1/N meets 1/N = 0, and its slope.

    The Fréchet distance of N samples is too large by about a constant over N; Chong & Forsyth 2020, section 3. Two counts or
    more.
    """
    counts = np.array(list(distances), dtype=np.float64)
    line = np.polynomial.Polynomial.fit(1 / counts, list(distances.values()), 1)
    return float(line(0.0)), float(line.deriv()(0.0))
