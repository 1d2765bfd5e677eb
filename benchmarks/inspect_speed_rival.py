"""Seconds that imagededup takes to encode the images of a folder, as JSON. Run it with a Python that has imagededup.

PYTHON benchmarks/inspect_speed_rival.py FOLDER WORKERS
"""

import json
import os
import sys
import time

from imagededup.methods import PHash  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    folder, workers = sys.argv[1], int(sys.argv[2])
    method = PHash(verbose=False)
    start, cpu_s = time.perf_counter(), sum(os.times()[:4])
    method.encode_images(image_dir=folder, num_enc_workers=workers)
    print(json.dumps({"wall_s": time.perf_counter() - start, "cpu_s": sum(os.times()[:4]) - cpu_s}))


if __name__ == "__main__":
    main()
