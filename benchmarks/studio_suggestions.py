"""Rounds until simulated designers are satisfied, by votes, by a profile and votes, and at random, on an exported model.

python -m benchmarks.studio_suggestions models/export
"""

import argparse
from pathlib import Path

import numpy as np

from studio.model import open_generator
from tests.support.simulated_designers import GRID, KINDS, ROUNDS, Kind, Search, found_by_search, open_wardrobe

SEARCHES: dict[Kind, tuple[Search, ...]] = {
    "garment in mind": ("votes", "random"),
    "leaning": ("votes", "random"),
    "profile": ("profile and votes", "votes", "random"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/export"))
    parser.add_argument("--designers", type=int, default=100)
    parser.add_argument("--categories", nargs="*", help="of the model; all by default")
    parser.add_argument("--tastes", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--searches", nargs="*", choices=("votes", "profile and votes", "random"))
    options = parser.parse_args()
    generator = open_generator(options.model)
    labels = [generator.label_of(category) for category in options.categories or generator.card.categories]
    wardrobes = [open_wardrobe(generator, label) for label in labels]
    print(
        f"{'taste':<16} {'search':<18} satisfied within 1 … {ROUNDS} rounds of {GRID}; variety of a grid; ± is a standard error"
    )
    for kind in options.tastes:
        for search in SEARCHES[kind]:
            if options.searches and search not in options.searches:
                continue
            found = found_by_search(generator, wardrobes, kind, search, options.designers)
            shares = [float(np.mean([one.rounds <= limit for one in found])) for limit in range(1, ROUNDS + 1)]
            error = max(np.sqrt(share * (1 - share) / len(found)) for share in shares)
            variety = np.mean([one.variety for one in found])
            print(f"{kind:<16} {search:<18} " + " ".join(f"{share:5.2f}" for share in shares), end="")
            print(f"   ± {error:.2f} at most; variety {variety:.2f}", flush=True)


if __name__ == "__main__":
    main()
