"""imagededup's pairs in a folder, as JSON; runs in an environment of its own, which needs nothing of Atelier's.

PYTHON benchmarks/duplicates_rival.py FOLDER PAIRS.json
"""

import json
import sys
import time
from pathlib import Path

from imagededup.methods import CNN, PHash  # type: ignore[import-not-found]


def _pairs(found: dict[str, list[str]]) -> list[list[str]]:
    return sorted({tuple(sorted((one, other))) for one, others in found.items() for other in others})  # type: ignore[misc]


def main() -> None:
    folder, told = sys.argv[1:]
    results: dict[str, object] = {}
    start = time.process_time()
    found = PHash(verbose=False).find_duplicates(
        image_dir=folder, max_distance_threshold=10, num_enc_workers=1, num_dist_workers=1
    )
    results["imagededup PHash ≤ 10"] = {"pairs": _pairs(found), "cpu_s": time.process_time() - start}
    try:
        start = time.process_time()
        found = CNN(verbose=False).find_duplicates(image_dir=folder, min_similarity_threshold=0.9, num_enc_workers=0)
        results["imagededup CNN ≥ 0.9"] = {"pairs": _pairs(found), "cpu_s": time.process_time() - start}
    except Exception as error:  # its weights are a download that may be out of reach
        results["imagededup CNN ≥ 0.9"] = {"absent": f"{type(error).__name__}: {error}".splitlines()[0][:120]}
    Path(told).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
