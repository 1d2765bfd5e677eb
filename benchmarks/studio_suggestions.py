"""Rounds until simulated designers are satisfied, with the preference model and with random search, on an exported model.

python -m benchmarks.studio_suggestions models/export
"""

import argparse
from pathlib import Path

import numpy as np

from studio.model import open_generator
from tests.support.simulated_designers import GRID, ROUNDS, rounds_by_search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/export"))
    parser.add_argument("--designers", type=int, default=60)
    options = parser.parse_args()
    print(f"{'taste':<16} {'search':<12} satisfied within 1 … {ROUNDS} rounds of {GRID}")
    for (kind, search), needed in rounds_by_search(open_generator(options.model), options.designers).items():
        shares = [np.mean([n <= limit for n in needed]) for limit in range(1, ROUNDS + 1)]
        print(f"{kind:<16} {search:<12} " + " ".join(f"{share:5.0%}" for share in shares))


if __name__ == "__main__":
    main()
