"""A learned warp of try-on against the geometric one, on pairs of a garment and a drawn figure that wears it, made two ways.

In one set garments are worn as no geometry can know: lower, with wider hems, draped to one side, by kind and by the figure's
width. In the other there are only the differences from one pair to the next that both sets have. The first has to be learned;
of the second it has to be found that nothing is to be learned. Photographs, figures and meshes are those of tryon.py.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.tryon import (
    FOLDERS,
    GARMENTS_PER_FOLDER,
    SHAPES,
    Garment,
    Pair,
    bent_copy,
    cut_garments,
    landmarks,
    mesh_layer,
    random_pose,
)
from pipeline.imaging.garment_anchors import find_anchors
from pipeline.imaging.garment_kinds import Kind
from pipeline.imaging.outlines import SIDES, Line
from pipeline.storage.files import write_text
from pipeline.tryon.body import Body
from pipeline.tryon.corrections import COUNT, Numbers, corrected
from pipeline.tryon.fitting import PlacedPart, placed_parts
from pipeline.tryon.learned_warp import proportions
from pipeline.tryon.learning import STANDARD_ERRORS, LearningPair, Verdict, learned_without, verdict
from pipeline.tryon.mannequins import HEIGHT_PX, PART, WIDTH_PX, Figure, Measures, draw_mannequin
from pipeline.tryon.matching import WornGarment, matched, worn_garment
from pipeline.tryon.person import Person, soft
from pipeline.tryon.warp import STIFFNESSES, thin_plate_spline
from pipeline.tryon.worn import alpha_without_fringe, part_shares

SKINS = ((224, 172, 140), (141, 85, 52), (240, 205, 180))
OTHER_CLOTHES = {"top": "leg", "dress": "", "skirt": "torso arm", "trousers": "torso arm", "shorts": "torso arm"}
SHIFT = 0.02  # spread of what differs from pair to pair, of the shoulders' distance
NOISE = 3.0  # of the photograph, in levels


@dataclass(frozen=True)
class Habit:
    """How garments are worn otherwise than geometry says; lengths in distances between the shoulders, at the hem."""

    lower: float
    wider: float  # share of the width
    aside: float  # to the viewer's right
    limbs_wider: float


NO_HABIT = Habit(0, 0, 0, 0)
HABITS: dict[Kind, Habit] = {
    "top": Habit(0.12, 0.16, -0.07, 0.15),
    "dress": Habit(0.10, 0.22, 0.10, 0.1),
    "skirt": Habit(0.08, 0.22, 0.10, 0),
    "trousers": Habit(0.08, 0.0, 0.0, 0.25),
    "shorts": Habit(0.08, 0.0, 0.03, 0.25),
}


def worn_by_habit(parts: list[PlacedPart], body: Body, habit: Habit, rng: np.random.Generator) -> list[PlacedPart]:
    """The parts where this figure wears them: by the habit, more so the broader the figure, and a little at random."""
    span = body.shoulders_px
    broad = 1 + 1.5 * (body.widths.chest / span - 0.55)
    strength = broad * np.maximum(rng.normal(1, 0.25, 4), 0)
    shift = SHIFT * rng.standard_normal(2)
    levels = [body.level_of(point) for part in parts if not part.name.endswith("sleeve") for point in part.target]
    low, high = min(levels), max(levels)

    def moved(line: Line, part: PlacedPart) -> Line:
        held = line
        if part.name.endswith("sleeve"):
            held = np.broadcast_to((part.target_outline[0] + part.target_outline[-1]) / 2, line.shape)
        offset = held - body.shoulders
        share = np.clip((offset @ body.down / body.torso_px - low) / (high - low), 0, 1)
        across = (strength[0] * habit.wider * share**1.5) * (offset @ body.across)
        across = across + span * (strength[1] * habit.aside * np.sin(np.pi / 2 * share) + shift[0])
        along = span * (strength[2] * habit.lower * (0.4 + 0.6 * share**2) + shift[1])
        found = line + across[:, None] * body.across + along[:, None] * body.down
        if part.name != "trunk":
            count = len(part.target_outline) // 2
            middles = (part.target_outline[:count] + part.target_outline[count:][::-1]) / 2
            nearest = np.linalg.norm(line[:, None] - middles, axis=-1).argmin(axis=1)
            growth = strength[3] * habit.limbs_wider * (nearest / (count - 1)) ** 2
            found = found + growth[:, None] * (line - middles[nearest])
        return np.asarray(found)

    return [replace(part, target=moved(part.target, part), target_outline=moved(part.target_outline, part)) for part in parts]


def photographed(
    garment: Garment, parts: list[PlacedPart], figure: Figure, kind: Kind, rng: np.random.Generator
) -> tuple[Person, NDArray[np.float32]]:
    """The figure as photographed in the garment, arms and head in front of it, and the garment (H, W, 4), premultiplied."""
    alpha = alpha_without_fringe(garment)
    colour = garment[..., :3].astype(np.float32) / 255
    arms = {side: soft(np.isin(figure.parts, [PART[f"{side}_arm"], PART[f"{side}_hand"]])) for side in SIDES}
    head, neck = (soft(figure.parts == PART[name]) for name in ("head", "neck"))
    rough = rng.normal(1, 0.08, (5, 4)).astype(np.float32)
    light = cv2.resize(rough, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)[..., None]
    worn = np.zeros((HEIGHT_PX, WIDTH_PX, 4), np.float32)
    for part, share in zip(parts, part_shares(alpha, [part.source_outline for part in parts]), strict=True):
        own = alpha * share
        layer = mesh_layer(np.dstack([colour * own[..., None], own]), part, (HEIGHT_PX, WIDTH_PX))
        worn = layer + worn * (1 - layer[..., 3:])
        if part.name == "trunk":
            worn = worn * (1 - np.maximum(*arms.values()))[..., None]
    if kind in ("trousers", "shorts"):
        worn = worn * (1 - np.maximum(*arms.values()))[..., None]
    worn = np.asarray(worn * (1 - head)[..., None], np.float32)
    picture = figure.picture / 255 * (1 - worn[..., 3:]) + worn[..., :3] * light
    noisy = (255 * picture + rng.normal(0, NOISE, picture.shape)).clip(0, 255).round().astype(np.uint8)
    inside = np.maximum(soft(figure.parts > 0), worn[..., 3])
    person = Person(noisy, figure.body, inside, head, neck, arms, worn[..., 3] > 0.5, (0.8, 0.6, 0.5))
    return person, worn


@dataclass(frozen=True)
class WornPair:
    """A bent garment, the figure that wears the unbent one, and the truth of benchmarks/tryon.py."""

    name: str  # of the garment
    kind: Kind
    garment: Garment
    person: Person
    truth: Pair


def worn_pairs(
    garments: dict[Kind, list[Garment]], kinds: list[Kind], count: int, habits: bool, seed: int
) -> Iterator[WornPair]:
    """`count` pairs of each kind."""
    rng = np.random.default_rng(seed)
    for kind in kinds:
        for number in range(count):
            which = number % len(garments[kind])
            garment = garments[kind][which]
            skin = SKINS[int(rng.integers(len(SKINS)))]
            red, green, blue = (int(level) for level in rng.integers(20, 235, 3))
            cloth = (red, green, blue)
            others = OTHER_CLOTHES[kind].split()
            colours = {name: cloth if name.split("_")[-1] in others else skin for name in PART if name != "ground"}
            drawn = SHAPES[int(rng.integers(len(SHAPES)))]
            girths = rng.uniform(0.95, 1.08)
            measures = Measures(
                drawn.height_cm, drawn.shoulder_cm, drawn.chest_cm * girths, drawn.waist_cm * girths, drawn.hip_cm * girths
            )
            figure = draw_mannequin(measures, random_pose(rng), colours=colours)
            parts = worn_by_habit(
                placed_parts(find_anchors(garment, kind), figure.body), figure.body, HABITS[kind] if habits else NO_HABIT, rng
            )
            bent, forward = bent_copy(garment, rng)
            person, worn = photographed(garment, parts, figure, kind, rng)
            yield WornPair(
                f"{kind}{which}", kind, bent, person, Pair(kind, bent, landmarks(parts, forward), figure, worn, worn)
            )


@dataclass(frozen=True)
class Row:
    """What is found about one kind in one set."""

    habits: bool
    verdict: Verdict
    errors: NDArray[np.float64]  # (pairs, 3) true landmark errors: by geometry, as learned without the pair, as matched to it
    ious: NDArray[np.float64]  # (pairs, 3) likewise, with the garment's true mask where it is visible
    seconds: float  # CPU time for a pair


def row(garments: list[Garment], kind: Kind, count: int, habits: bool, seed: int) -> Row:
    """Learn from `count` pairs as `tryon --learn` does, and compare with what is known about them."""
    pairs: list[LearningPair] = []
    errors: list[Callable[[Numbers], float]] = []
    ious: list[Callable[[Numbers], float]] = []
    seconds = 0.0
    for pair in worn_pairs({kind: garments}, [kind], count, habits, seed):
        started = time.process_time()
        anchors = find_anchors(pair.garment, kind)
        worn = worn_garment(pair.person, pair.garment, anchors)
        pairs.append(LearningPair(pair.name, kind, proportions(anchors, pair.person.body), worn, matched(worn)))
        seconds += time.process_time() - started
        errors.append(partial(true_error, pair.truth, placed_parts(anchors, pair.person.body)))
        ious.append(partial(true_iou, pair.truth, worn))
    corrections = [(np.zeros(COUNT), one, pair.numbers) for one, pair in zip(learned_without(pairs), pairs, strict=True)]
    known_errors, known_ious = (
        np.array([[measure(numbers) for numbers in three] for measure, three in zip(measures, corrections, strict=True)])
        for measures in (errors, ious)
    )
    return Row(habits, verdict(pairs), known_errors, known_ious, seconds / count)


def true_error(truth: Pair, parts: list[PlacedPart], numbers: Numbers) -> float:
    """Mean distance between where corrected parts put landmarks and where they belong, relative to the shoulders' distance.

    A landmark of a part that was not found counts as 1.
    """
    body = truth.figure.body
    span = body.shoulders_px
    splines = {
        part.name: thin_plate_spline(part.source, part.target, STIFFNESSES[0]) for part in corrected(parts, body, numbers)
    }
    errors = [
        float(np.linalg.norm(splines[mark.part](mark.bent) - mark.wanted)) / span if mark.part in splines else 1.0
        for mark in truth.marks
    ]
    return float(np.mean(errors))


def true_iou(truth: Pair, worn: WornGarment, numbers: Numbers) -> float:
    """IoU of a garment laid with a correction and the true one, where nothing is in front of it."""
    true = cv2.resize(truth.truth[..., 3], worn.mask.shape[::-1], interpolation=cv2.INTER_AREA) > 0.5
    mine, visible = worn.laid(numbers)[..., 3] > 0.5, worn.weight > 0.5
    return float((mine & true & visible).sum() / ((mine | true) & visible).sum())


def page(rows: list[Row], count: int) -> str:
    """The section of docs/benchmarks/tryon.md."""
    lines = [
        "## A learned warp",
        "",
        f"`python -m benchmarks.tryon_warp FOLDER --count {count}`: of each kind so many pairs of a garment and a figure that "
        "wears it, in two sets. In the first, garments are worn lower, with wider hems or legs, and to one side, by kind and "
        "by the figure's width; in the second only as differently from pair to pair as in the first. What the command finds: "
        "the distance from the correction that is found in the pair's own photograph, relative to the shoulders' distance, "
        f"and IoU; the warp is kept if both are better by {STANDARD_ERRORS:g} standard errors of the garments. What is "
        "true: how far landmarks are from where they belong, mean and median, and IoU with the true mask; `own` is the "
        "correction from the pair's own photograph, the best that can be learned from it. CPU seconds for a pair.",
        "",
        "| worn | kind | found: geometry | learned | IoU: geometry | learned | kept "
        "| true: geometry | learned | own | IoU: geometry | learned | own | s |",
        "|---" * 14 + "|",
    ]
    for one in rows:
        landmark, iou = (one.verdict.means(measure) for measure in ("landmark", "iou"))
        true = [f"{np.mean(column):.1%}, {np.median(column):.1%}" for column in one.errors.T]
        true += [f"{np.mean(column):.3f}" for column in one.ious.T]
        found = [f"{landmark[0]:.1%}", f"{landmark[1]:.1%}", f"{iou[0]:.3f}", f"{iou[1]:.3f}"]
        kept = "yes" if one.verdict.is_better else "no"
        worn = "by habit" if one.habits else "as geometry says"
        lines.append(f"| {' | '.join([worn, one.verdict.kind, *found, kept, *true, f'{one.seconds:.1f}'])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, and write it with --page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder of photographs with a folder for each category")
    parser.add_argument("--count", type=int, default=30, help="pairs of each kind")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    garments = cut_garments(options.photographs, GARMENTS_PER_FOLDER)
    rows = []
    for habits, kind in itertools.product((True, False), FOLDERS):
        rows.append(row(garments[kind], kind, options.count, habits, seed=3))
        print(page(rows[-1:], options.count).splitlines()[-1], flush=True)
    if options.page:
        write_text(options.page, page(rows, options.count))


if __name__ == "__main__":
    main()
