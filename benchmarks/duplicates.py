"""Recall and precision of near-duplicate detection on photographs and their edits, compared with imagehash and imagededup.

    python -m benchmarks.duplicates FOLDER --judging 160 --rival PYTHON --page docs/benchmarks/duplicates.md

Every picture appears unchanged, with each of fifteen edits, and with some pairs of edits. Half of the folder's pictures,
edited and among many unrelated ones, choose `min_texture`; unseen pictures of the other half judge. Pairs that show the
same thing by eye (pairs of SHA-256 in benchmarks/true_repeats.csv) count neither for nor against.
"""

import argparse
import csv
import hashlib
import json
import os
import random
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.photographs import photographs
from pipeline.params import load_params
from pipeline.stages.dedup.params import DedupParams
from pipeline.stages.dedup.run import Memory
from pipeline.stages.inspect.params import InspectParams
from pipeline.stages.inspect.run import rows_of
from pipeline.storage.files import write_text
from tests.support.duplicates import duplicates_among
from tests.support.edits import EDITS, SAVED_QUALITY, jpeg

ORIGINAL = "original"
TEXTURES = (0.5, 0.55, 0.6, 0.65)
MIN_PRECISION = 0.99
TRUE_REPEATS = Path(__file__).parent / "true_repeats.csv"
PRESET = Path(__file__).parents[1] / "presets" / "colour-64.yaml"

Pairs = set[tuple[str, str]]


@dataclass(frozen=True)
class Planted:
    """An image of the benchmark."""

    origin: str  # SHA-256 of the picture it was made from
    edit: str
    path: Path

    @property
    def name(self) -> str:
        return self.path.name


def _cpu_s() -> float:
    """CPU time of this process and of its ended children, in seconds."""
    return sum(os.times()[:4])


def plant(files: list[Path], folder: Path, pairs_each: int, unrelated: list[Path]) -> list[Planted]:
    """Write every picture of `files` and its edits to `folder`, and the pictures `unrelated` without edits."""
    folder.mkdir()
    planted, sources = [], set(files)
    for number, (file, image) in enumerate(photographs([*files, *unrelated])):
        content = file.read_bytes()
        origin = hashlib.sha256(content).hexdigest()
        drawn = random.Random(origin).sample(list(combinations(EDITS, 2)), pairs_each)
        versions = {ORIGINAL: content}
        if file in sources:
            versions |= {name: jpeg(edit(image), SAVED_QUALITY) for name, edit in EDITS.items()}
            versions |= {f"{one} + {other}": jpeg(EDITS[other](EDITS[one](image)), SAVED_QUALITY) for one, other in drawn}
        for version, (edit, edited) in enumerate(versions.items()):
            planted.append(Planted(origin, edit, folder / f"{number:05d}-{version:02d}.jpg"))
            planted[-1].path.write_bytes(edited)
    return planted


def _pairs_within(groups: Iterable[Iterable[str]]) -> Pairs:
    return {pair for group in groups for pair in combinations(sorted(group), 2)}


class Ours:
    """The stages of this pipeline on the planted pictures."""

    def __init__(self, planted: list[Planted]) -> None:
        start = _cpu_s()
        members = [(file.name, file.path.read_bytes()) for file in planted]
        rows = rows_of(members, InspectParams.model_validate(load_params(PRESET).inspect.model_dump()))
        self._pictures = pd.DataFrame(rows, dtype=object).assign(
            key=[file.name for file in planted],
            sha256=[hashlib.sha256(content).hexdigest() for _, content in members],
            size_bytes=[len(content) for _, content in members],
            split=None,
            licence=None,
        )
        self.inspect_cpu_s = _cpu_s() - start
        self._memory = Memory()  # so that trying the next limit costs little

    def pairs(self, params: DedupParams) -> Pairs:
        """Every pair of pictures in one group."""
        groups = duplicates_among(self._pictures, params, memory=self._memory).groupby("group")["key"]
        return _pairs_within(list(members) for _, members in groups)


def by_imagehash(planted: list[Planted]) -> Pairs:
    """Pairs of images within 10 bits by imagehash.phash."""
    hashes = [int(str(imagehash.phash(Image.open(file.path))), 16) for file in planted]
    values = np.array(hashes, dtype=np.uint64)
    names = [file.name for file in planted]
    near: Pairs = set()
    for place, value in enumerate(values):
        others = np.flatnonzero(np.bitwise_count(values[place + 1 :] ^ value) <= 10) + place + 1
        near |= {(names[place], names[other]) for other in others}
    return near


@dataclass(frozen=True)
class Score:
    """The scores of one method."""

    recall: float  # of all pairs of versions of a picture
    precision: float
    by_edit: dict[str, float]  # share of the pictures whose original is found with this edit
    cpu_s: float


def score(planted: list[Planted], found: Pairs, repeats: set[frozenset[str]], cpu_s: float) -> Score:
    """Scores of the pairs `found` against the planted ones."""
    of = {file.name: file for file in planted}
    true = {pair for pair in found if of[pair[0]].origin == of[pair[1]].origin}
    false = {pair for pair in found - true if frozenset((of[pair[0]].origin, of[pair[1]].origin)) not in repeats}
    versions = defaultdict(list)
    for file in planted:
        versions[file.origin].append(file.name)
    wanted = sum(len(names) * (len(names) - 1) // 2 for names in versions.values())
    hits = defaultdict(list)
    for file in planted:
        if file.edit != ORIGINAL:
            hit = (versions[file.origin][0], file.name) in found
            hits["pairs of edits" if " + " in file.edit else file.edit].append(hit)
    recalls = {edit: sum(hit) / len(hit) for edit, hit in hits.items()}
    return Score(len(true) / wanted, len(true) / max(1, len(true) + len(false)), recalls, cpu_s)


def _timed(work: Callable[[], Pairs]) -> tuple[Pairs, float]:
    start = _cpu_s()
    return work(), _cpu_s() - start


def choose(planted: list[Planted], base: DedupParams, repeats: set[frozenset[str]]) -> tuple[DedupParams, list[str]]:
    """`base` with the `min_texture` of the highest recall at a precision of 0.99, and a line for each value tried."""
    ours, tried = Ours(planted), []
    best, best_recall = base, -1.0
    assert base.edited is not None
    for texture in TEXTURES:
        params = base.model_copy(update={"edited": base.edited.model_copy(update={"min_texture": texture})})
        found, cpu_s = _timed(lambda params=params: ours.pairs(params))  # type: ignore[misc]
        result = score(planted, found, repeats, cpu_s)
        tried.append(f"min_texture {texture}: recall {result.recall:.4f}, precision {result.precision:.4f}")
        if result.precision >= MIN_PRECISION and result.recall > best_recall:
            best, best_recall = params, result.recall
    return best, tried


def by_rival(python: Path, folder: Path, planted: list[Planted], repeats: set[frozenset[str]]) -> dict[str, Score | str]:
    """imagededup's scores, or the reason why there are none."""
    with tempfile.TemporaryDirectory() as scratch:
        pairs_file = Path(scratch) / "pairs.json"
        script = Path(__file__).with_name("duplicates_rival.py")
        subprocess.run([python, script, folder, pairs_file], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        results = json.loads(pairs_file.read_text(encoding="utf-8"))
    return {
        method: result.get("absent") or score(planted, {tuple(pair) for pair in result["pairs"]}, repeats, result["cpu_s"])
        for method, result in results.items()
    }


def page_of(scores: dict[str, Score | str], head: list[str]) -> str:
    """The scores as Markdown, one column per method."""
    there = {method: result for method, result in scores.items() if isinstance(result, Score)}
    lines = [*head, "", "| | " + " | ".join(there) + " |", "|---|" + "---|" * len(there)]
    lines.append("| **recall of all pairs** | " + " | ".join(f"**{result.recall:.3f}**" for result in there.values()) + " |")
    lines.append("| **precision** | " + " | ".join(f"**{result.precision:.4f}**" for result in there.values()) + " |")
    lines += [
        f"| {edit} | " + " | ".join(f"{result.by_edit[edit]:.3f}" for result in there.values()) + " |"
        for edit in [*EDITS, "pairs of edits"]
        if all(edit in result.by_edit for result in there.values())
    ]
    lines.append("| CPU seconds | " + " | ".join(f"{result.cpu_s:.0f}" for result in there.values()) + " |")
    lines += ["", *(f"{method}: not run ({why})." for method, why in scores.items() if isinstance(why, str))]
    return "\n".join(lines) + "\n"


def true_repeats(path: Path) -> set[frozenset[str]]:
    """Pairs of SHA-256 that show the same thing by eye, closed transitively."""
    with path.open(encoding="utf-8", newline="") as file:
        pairs = [(row["sha256"], row["repeat_sha256"]) for row in csv.DictReader(file)]
    sets: list[set[str]] = []
    for pair in pairs:
        touched = [known for known in sets if known & set(pair)]
        sets = [known for known in sets if not known & set(pair)] + [set(pair).union(*touched)]
    return {frozenset(pair) for known in sets for pair in product(known, known)}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--judging", type=int, default=160, help="photographs for judging")
    parser.add_argument("--choosing", type=int, default=60, help="edited photographs for choosing the limit …")
    parser.add_argument("--unrelated", type=int, default=600, help="… among this many unedited ones")
    parser.add_argument("--pairs-each", type=int, default=4)
    parser.add_argument("--rival", type=Path, help="a Python that has imagededup")
    parser.add_argument("--page", type=Path, help="where to write the table")
    parser.add_argument("--false-pairs", type=Path, help="folder for the false pairs, to be inspected")
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.jpg"), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    choosing_files, judging_files = files[::2], files[1::2][: options.judging]
    edited, unrelated = choosing_files[: options.choosing], choosing_files[options.choosing :][: options.unrelated]
    repeats = true_repeats(TRUE_REPEATS)
    dedup = load_params(PRESET).dedup
    with tempfile.TemporaryDirectory() as scratch:
        choosing = plant(edited, Path(scratch) / "choose", options.pairs_each, unrelated)
        params, tried = choose(choosing, dedup, repeats)
        print("\n".join(tried), flush=True)
        judging = plant(judging_files, Path(scratch) / "judge", options.pairs_each, [])
        ours = Ours(judging)
        found, cpu_s = _timed(lambda: ours.pairs(params))
        scores: dict[str, Score | str] = {"Atelier": score(judging, found, repeats, ours.inspect_cpu_s + cpu_s)}
        print(scores, flush=True)
        scores["imagehash pHash ≤ 10"] = score(
            judging, *(lambda timed: (timed[0], repeats, timed[1]))(_timed(lambda: by_imagehash(judging)))
        )
        if options.rival:
            scores |= by_rival(options.rival, Path(scratch) / "judge", judging, repeats)
        of = {file.name: file for file in judging}
        mistaken = sorted({tuple(sorted((of[a].origin, of[b].origin))) for a, b in found if of[a].origin != of[b].origin})
    texture = params.edited.min_texture if params.edited else None
    head = [
        "# Near-duplicates",
        "",
        f"`python -m benchmarks.duplicates FOLDER --rival PYTHON --judging {options.judging} --choosing {options.choosing}"
        f" --unrelated {options.unrelated} --pairs-each {options.pairs_each}`",
        "",
        f"{len(judging)} pictures: {len(judging_files)} photographs, each as it is, with 15 edits and some pairs of them.",
        f"The limit `dedup.edited.min_texture`, {texture}, was chosen on the other half of the folder: {len(edited)} pictures",
        f"with their edits among {len(unrelated)} unrelated ones:",
        "",
        *(f"- {line}" for line in tried),
        "",
        f"False pairs: {len(mistaken)} pairs of photographs.",
        "The rows of edits say how many originals are found together with the edited picture.",
    ]
    page = page_of(scores, head)
    print(page)
    if options.page:
        write_text(options.page, page)
    if options.false_pairs:
        write_text(options.false_pairs, "\n".join(",".join(pair) for pair in mistaken) + "\n")


if __name__ == "__main__":
    main()
