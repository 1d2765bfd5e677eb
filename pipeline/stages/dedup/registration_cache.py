"""Cache pair registrations across runs."""

import hashlib
from itertools import chain

import numpy as np
import pandas as pd

from pipeline.imaging.sketches import SketchRows, blocks
from pipeline.stages.dedup.registration import Fit, Indices, Maps, Sketches, register

DIGEST_BYTES = 16
MAP_BYTES = 24  # 2×3 float32
# pair: digest of the two sketches and the guesses, on which the result depends; map: bytes of (2, 3) float32.
COLUMNS = ["pair", "map", "agreement", "texture"]


class RegistrationCache:
    """`registration.register` on `pixels` (N, 64, 64), with the results in `before` (columns COLUMNS) reused."""

    def __init__(self, pixels: SketchRows, before: pd.DataFrame | None = None) -> None:
        self._sketches = Sketches(pixels)
        each = chain.from_iterable(blocks(pixels))
        self._digests = [hashlib.blake2b(sketch.tobytes(), digest_size=DIGEST_BYTES).digest() for sketch in each]
        self._before = pd.DataFrame(columns=COLUMNS) if before is None else before
        self._place = {pair: place for place, pair in enumerate(self._before["pair"])}
        self._used = np.zeros(len(self._before), dtype=bool)
        self._new: list[pd.DataFrame] = []

    def register(self, still: Indices, moving: Indices, guesses: Maps) -> Fit:
        """`registration.register` of P pairs, starting from their `guesses` (P, G, 2, 3)."""
        names = [
            hashlib.blake2b(self._digests[one] + self._digests[other] + guess.tobytes(), digest_size=DIGEST_BYTES).digest()
            for one, other, guess in zip(still, moving, guesses, strict=True)
        ]
        places = np.array([self._place.get(name, -1) for name in names], dtype=np.int64)
        new = places < 0
        made = register(self._sketches, still[new], moving[new], guesses[new])
        rows = pd.DataFrame({"pair": [name for name, unknown in zip(names, new, strict=True) if unknown]}).assign(
            map=[one.tobytes() for one in made.maps], agreement=made.agreement, texture=made.texture
        )
        self._new.append(rows)
        known = self._before.iloc[places[~new]]
        self._used[places[~new]] = True
        maps = np.empty((len(names), 2, 3), dtype=np.float32)
        maps[new], maps[~new] = made.maps, np.frombuffer(b"".join(known["map"]), dtype=np.float32).reshape(-1, 2, 3)
        numbers = []
        for column, values in (("agreement", made.agreement), ("texture", made.texture)):
            both = np.empty(len(names), dtype=np.float32)
            both[new], both[~new] = values, known[column].to_numpy(np.float32)
            numbers.append(both)
        return Fit(maps, *numbers)

    def table(self) -> pd.DataFrame:
        """Every result that was requested: the next run's `before`."""
        parts = [part for part in (self._before[self._used], *self._new) if len(part)]
        rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
        return rows.drop_duplicates("pair").sort_values("pair", ignore_index=True)
