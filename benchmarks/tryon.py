"""Try-on against a known warp: garments of photographs laid on drawn figures in 200 poses, five kinds, three body shapes.

For each pair a garment is cut out of its photograph, turned, scaled and bent at random; that is the input. The truth is the
unbent garment laid on the figure through a mesh of triangles, which shares with the try-on the rule of where a garment's rungs
belong on a body (pipeline/tryon/fitting.py), but neither its spline nor its search for anchors.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.metrics import structural_similarity

from benchmarks.garment_composites import photographs
from pipeline.imaging.cut_outs import cut_out
from pipeline.imaging.garment_anchors import find_anchors
from pipeline.imaging.garment_cutter import GarmentCutter
from pipeline.imaging.garment_kinds import Kind
from pipeline.imaging.outlines import SIDES, Line
from pipeline.storage.files import write_text
from pipeline.tryon.compose import TryOn, try_on
from pipeline.tryon.fitting import PlacedPart, placed_parts
from pipeline.tryon.mannequins import HEIGHT_PX, WIDTH_PX, Figure, Measures, Pose, draw_mannequin, mannequin_body
from pipeline.tryon.person import person_of_figure
from pipeline.tryon.warp import CELL_PX, STIFFNESSES, part_warp
from pipeline.tryon.worn import alpha_without_fringe, part_shares

FOLDERS: dict[Kind, tuple[str, ...]] = {
    "top": ("t-shirt", "longsleeve", "shirt"),
    "dress": ("dress",),
    "skirt": ("skirt",),
    "trousers": ("pants",),
    "shorts": ("shorts",),
}
SHAPES = (Measures(164, 37, 84, 66, 92), Measures(172, 40, 96, 80, 100), Measures(166, 42, 116, 104, 120))
POSES, WARPS = 200, 1000
MIN_CONFIDENCE, MAX_BORDER_SHARE = 0.8, 0.005
GARMENTS_PER_FOLDER = 12
SAMPLES = 3  # along each side of a pixel of the truth
BEND = 0.003  # of the garment's size
Garment = NDArray[np.uint8]


@dataclass(frozen=True)
class Mark:
    """A landmark: the corner of a part's outline."""

    part: str
    bent: NDArray[np.float64]  # (2,) in the bent garment
    wanted: NDArray[np.float64]  # (2,) where it belongs in the picture


@dataclass(frozen=True)
class Pair:
    """A garment, its bent copy, a figure, and what the figure looks like in it."""

    kind: Kind
    bent: Garment  # the input
    marks: list[Mark]
    figure: Figure
    truth: NDArray[np.float32]  # (H, W, 4) the garment on the figure, premultiplied
    best: NDArray[np.float32]  # likewise, from the bent garment by its true anchors: what no try-on can exceed by much


def random_pose(rng: np.random.Generator) -> Pose:
    """Arms hanging, lifted, or with the hands in front; legs together or apart."""
    arms = {}
    for side in SIDES:
        upper = float(rng.uniform(8, 75))
        fore = float(rng.uniform(-70, -10)) if rng.random() < 0.25 else float(rng.uniform(0, 40)) + 0.6 * upper
        arms[side] = (min(upper, 30.0) if fore < 0 else upper, fore)
    legs = {side: (float(rng.uniform(2, 13)), float(rng.uniform(0, 10))) for side in SIDES}
    return Pose(arms, legs, lean=float(rng.uniform(-5, 5)), yaw=float(rng.uniform(0, 20)))


def cut_garments(folder: Path, count: int) -> dict[Kind, list[Garment]]:
    """Up to `count` garments of each of the folders, cut out of photographs whose masks can be trusted."""
    cutter = GarmentCutter()
    found: dict[Kind, list[Garment]] = {}
    for kind, names in FOLDERS.items():
        for name in names:
            here = 0
            for path in photographs(folder / name, held_out=True):
                image = Image.open(path).convert("RGB")
                image.thumbnail((480, 480))
                mask = cutter(np.asarray(image))
                if mask.confidence >= MIN_CONFIDENCE and mask.border_share <= MAX_BORDER_SHARE and mask.pieces == 1:
                    found.setdefault(kind, []).append(np.asarray(cut_out(image, mask.pixels)))
                    here += 1
                if here == count:
                    break
    return found


def bent_copy(garment: Garment, rng: np.random.Generator) -> tuple[Garment, NDArray[np.float64]]:
    """The garment turned, scaled and bent, and for each of its pixels (h, w, 2) where it came to lie."""
    height, width = garment.shape[:2]
    side = int(1.25 * max(height, width))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-7, 7)), float(rng.uniform(0.85, 1.1)))
    turn[:, 2] += [side / 2 - width / 2, side / 2 - height / 2]
    rough = rng.standard_normal((2, 5, 5)).astype(np.float32) * BEND * side
    bend = np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in rough], axis=-1)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    back = cv2.invertAffineTransform(turn)
    from_pixels = (np.dstack([x, y]) - bend) @ back[:, :2].T + back[:, 2]
    premultiplied = garment.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 255
    mapped = from_pixels.astype(np.float32)
    warped = np.asarray(cv2.remap(premultiplied, mapped[..., 0], mapped[..., 1], cv2.INTER_LINEAR), np.float32)
    warped[..., :3] /= np.maximum(warped[..., 3:] / 255, 1e-3)
    places = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float64)
    straight = np.asarray(places @ turn[:, :2].T + turn[:, 2], np.float64)
    forward = straight
    for _ in range(8):  # a point lies where the bend, which is given there, has moved it
        place = forward.astype(np.float32)
        moved = cv2.remap(bend, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        forward = np.asarray(straight + moved, np.float64)
    return warped.clip(0, 255).round().astype(np.uint8), forward


def mesh_layer(garment: NDArray[np.float32], part: PlacedPart, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 4) a part laid through triangles between its rungs; both premultiplied."""
    layer = np.zeros((SAMPLES * shape[0], SAMPLES * shape[1], 4), np.float32)
    target = (part.target + 0.5) * SAMPLES - 0.5
    for triangle in _triangles(len(part.source)):
        _lay_triangle(layer, garment, part.source[triangle], target[triangle])
    return np.asarray(cv2.resize(layer, shape[::-1], interpolation=cv2.INTER_AREA))


def _triangles(points: int) -> list[list[int]]:
    """Triangles of a part's points: between rungs, and from the first rung of a trunk up to its shoulders and collar."""
    named = points % 3 + (3 if points % 3 else 0)  # collar, left neck, left shoulder, right neck, right shoulder
    count = (points - named) // 3
    left, middle, right = (named + place * count for place in range(3))
    found = []
    for first, second in ((left, middle), (middle, right)):
        for row in range(count - 1):
            found += [[first + row, second + row, second + row + 1], [first + row, second + row + 1, first + row + 1]]
    if named:
        found += [[0, 1, middle], [1, 2, middle], [2, left, middle], [0, middle, 3], [3, middle, 4], [4, middle, right]]
    return found


def _lay_triangle(layer: NDArray[np.float32], garment: NDArray[np.float32], source: Line, target: Line) -> None:
    grown = target + 0.75 * (target - target.mean(axis=0)) / np.maximum(
        np.linalg.norm(target - target.mean(axis=0), axis=1, keepdims=True), 1e-6
    )
    low = np.floor(grown.min(axis=0)).astype(int)
    size = np.ceil(grown.max(axis=0)).astype(int) - low + 1
    inside = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(inside, np.round((grown - low) * 16).astype(np.int32), 1, shift=4)
    back = cv2.getAffineTransform((target - low).astype(np.float32), source.astype(np.float32))
    piece = cv2.warpAffine(garment, back, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    top, left = max(low[1], 0), max(low[0], 0)
    bottom, right = min(low[1] + size[1], layer.shape[0]), min(low[0] + size[0], layer.shape[1])
    if bottom > top and right > left:
        cut = (slice(top - low[1], bottom - low[1]), slice(left - low[0], right - low[0]))
        layer[top:bottom, left:right][inside[cut] > 0] = piece[cut][inside[cut] > 0]


def true_layers(garment: Garment, parts: list[PlacedPart], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 4) the garment through the mesh, limbs over the trunk, premultiplied in [0, 1]."""
    alpha = alpha_without_fringe(garment)
    colour = garment[..., :3].astype(np.float32) / 255
    worn = np.zeros((*shape, 4), np.float32)
    for part, share in zip(parts, part_shares(alpha, [part.source_outline for part in parts]), strict=True):
        own = alpha * share
        layer = mesh_layer(np.dstack([colour * own[..., None], own]), part, shape)
        worn = layer + worn * (1 - layer[..., 3:])
    return worn


def pairs(garments: dict[Kind, list[Garment]], count: int, seed: int) -> Iterator[Pair]:
    """`count` pairs, kinds and shapes in turn."""
    rng = np.random.default_rng(seed)
    kinds = list(FOLDERS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        garment = garments[kind][int(rng.integers(len(garments[kind])))]
        pose = random_pose(rng)
        figure = draw_mannequin(SHAPES[number // len(kinds) % len(SHAPES)], pose)
        parts = placed_parts(find_anchors(garment, kind), figure.body)
        bent, forward = bent_copy(garment, rng)
        truth = true_layers(garment, parts, (HEIGHT_PX, WIDTH_PX))
        best = true_layers(bent, [bent_part(part, forward) for part in parts], (HEIGHT_PX, WIDTH_PX))
        yield Pair(kind, bent, landmarks(parts, forward), figure, truth, best)


def bent_part(part: PlacedPart, forward: NDArray[np.float64]) -> PlacedPart:
    """A part with its points where they lie in the bent garment."""
    moved = []
    for line in (part.source, part.source_outline):
        columns, rows = np.clip(line.round(), 0, np.array(forward.shape[1::-1]) - 1).astype(int).T
        moved.append(forward[rows, columns])
    return PlacedPart(part.name, moved[0], part.target, moved[1], part.target_outline)


def landmarks(parts: list[PlacedPart], forward: NDArray[np.float64]) -> list[Mark]:
    """Ends and middles of the two edges of each part."""
    marks = []
    for part in parts:
        count = len(part.source_outline)
        for corner in (0, count // 4, count // 2 - 1, count // 2, 3 * count // 4, count - 1):
            column, row = np.clip(part.source_outline[corner].round(), 0, np.array(forward.shape[1::-1]) - 1).astype(int)
            marks.append(Mark(part.name, forward[row, column], part.target_outline[corner]))
    return marks


def landmark_error(pair: Pair, result: TryOn) -> float:
    """Mean distance between where the try-on puts landmarks and where they belong, relative to the shoulders' distance.

    Measured in the garment and brought to the picture's scale; a landmark of a part that was not found counts as 1.
    """
    span = pair.figure.body.shoulders_px
    warps = {one.name: (one, part_warp(one.source, one.target, one.source_outline, one.target_outline)) for one in result.parts}
    errors = []
    for mark in pair.marks:
        if mark.part not in warps:
            errors.append(1.0)
            continue
        part, warp = warps[mark.part]
        areas = [cv2.contourArea(line.astype(np.float32)) for line in (part.target_outline, part.source_outline)]
        x, y = ((mark.wanted - [warp.left, warp.top]) / CELL_PX).astype(np.float32)
        column, row = (np.array([[one]], np.float32) for one in (x, y))
        found = cv2.remap(warp.grid.astype(np.float32), column, row, cv2.INTER_LINEAR)[0, 0]
        errors.append(float(np.linalg.norm(found - mark.bent)) * float(np.sqrt(areas[0] / areas[1])) / span)
    return float(np.mean(errors))


def ssim_inside(truth: NDArray[np.float32], result: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Structural similarity (Wang et al. 2004, Gaussian weights) averaged over the mask; both (H, W, 3) in [0, 1]."""
    _, similar = structural_similarity(
        truth, result, channel_axis=2, data_range=1.0, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(similar.mean(axis=-1)[mask].mean())


def halved(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture at half its size."""
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


@dataclass(frozen=True)
class Score:
    """The measures of one pair."""

    kind: Kind
    iou: float
    ssim: float
    ssim_half: float  # at 256×192, the size of VITON's evaluations
    landmark: float
    ssim_best: float  # of the bent garment laid by its true anchors
    seconds: float


def score(pair: Pair) -> tuple[Score, NDArray[np.float32]]:
    """Try the bent garment on, and compare the garment's pixels with the truth's; also returns those pixels (H, W, 4)."""
    person = person_of_figure(pair.figure)
    started = time.process_time()
    result = try_on(person, pair.bent, pair.kind)
    seconds = time.process_time() - started
    worn = np.zeros_like(pair.truth)
    for layer in result.layers:
        worn = np.dstack([layer.colour, layer.alpha]) + worn * (1 - layer.alpha[..., None])
    mine, true = worn[..., 3] > 0.5, pair.truth[..., 3] > 0.5
    on_grey = [one[..., :3] + np.float32(0.5) * (1 - one[..., 3:]) for one in (pair.truth, worn, pair.best)]
    measured = Score(
        pair.kind,
        float((mine & true).sum() / max((mine | true).sum(), 1)),
        ssim_inside(on_grey[0], on_grey[1], true),
        ssim_inside(halved(on_grey[0]), halved(on_grey[1]), halved(pair.truth[..., 3]) > 0.5),
        landmark_error(pair, result),
        ssim_inside(on_grey[0], on_grey[2], true),
        seconds,
    )
    return measured, worn


def folds(garments: dict[Kind, list[Garment]], count: int, seed: int) -> tuple[int, int, int]:
    """Of `count` warps on random figures: how many fold, are stiffer than the least, and are similarities."""
    rng = np.random.default_rng(seed)
    anchors = [find_anchors(garment, kind) for kind, several in garments.items() for garment in several]
    folded, stiffer, stiffest, done = 0, 0, 0, 0
    while done < count:
        chosen = anchors[int(rng.integers(len(anchors)))]
        body = mannequin_body(SHAPES[int(rng.integers(len(SHAPES)))], random_pose(rng))
        for part in placed_parts(chosen, body)[: count - done]:
            warp = part_warp(part.source, part.target, part.source_outline, part.target_outline)
            folded += warp.least_jacobian <= 0
            stiffer += warp.stiffness > STIFFNESSES[0]
            stiffest += np.isinf(warp.stiffness)
            done += 1
    return folded, stiffer, stiffest


def row(name: str, scores: list[Score]) -> str:
    """A row of the table."""
    means = [
        float(np.mean([getattr(one, measure) for one in scores]))
        for measure in ("iou", "ssim", "ssim_half", "ssim_best", "landmark", "seconds")
    ]
    low = float(np.percentile([one.iou for one in scores], 5))
    iou, ssim, half, best, landmark, seconds = means
    median = float(np.median([one.landmark for one in scores]))
    shares = f"{landmark:.1%} | {median:.1%}"
    return (
        f"| {name} | {len(scores)} | {iou:.3f} | {low:.3f} | {ssim:.3f} | {half:.3f} | {best:.3f} | {shares} | {seconds:.2f} |"
    )


def main() -> None:
    """Print the table, and write it with --page; keep pairs and results as pictures with --sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder of photographs with a folder for each category")
    parser.add_argument("--count", type=int, default=POSES)
    parser.add_argument("--warps", type=int, default=WARPS)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(2)
    garments = cut_garments(options.photographs, GARMENTS_PER_FOLDER)
    scores: list[Score] = []
    tiles: list[NDArray[np.uint8]] = []
    for pair in pairs(garments, options.count, seed=7):
        measured, worn = score(pair)
        scores.append(measured)
        if options.sheet and len(tiles) < 40:
            tiles.append(tile(pair, worn, measured))
    if options.sheet:
        rows = [np.hstack(tiles[start : start + 8]) for start in range(0, len(tiles) - len(tiles) % 8, 8)]
        Image.fromarray(np.vstack(rows)).save(options.sheet)
    text = page(scores, folds(garments, options.warps, seed=8), options.warps)
    print(text)
    if options.page:
        write_text(options.page, text)


def page(scores: list[Score], folding: tuple[int, int, int], warps: int) -> str:
    """The page of docs/benchmarks."""
    folded, stiffer, stiffest = folding
    lines = [
        "# Try-on",
        "",
        f"`python -m benchmarks.tryon FOLDER --count {len(scores)} --warps {warps}`: held-out photographs of "
        "clothing-dataset-small on drawn figures of three body shapes, 512×384. A garment is cut out, turned, scaled and "
        "bent; the truth is the unbent one, laid on the figure through a mesh. Mask IoU; SSIM inside the garment; landmark "
        "error relative to the shoulders' distance (a sleeve not found counts as 100 %); CPU seconds for the whole try-on.",
        "",
        "| kind | pairs | IoU | its 5th percentile | SSIM | at 256×192 | by true anchors | landmark error | its median | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(row(kind, [one for one in scores if one.kind == kind]) for kind in FOLDERS),
        row("all", scores),
        "",
        f"The slowest try-on took {max(one.seconds for one in scores):.2f} s. Of {warps} warps {folded} fold; "
        f"{stiffer} needed more than the least stiffness, and {stiffest} of those are similarities.",
    ]
    return "\n".join(lines) + "\n"


def tile(pair: Pair, worn: NDArray[np.float32], measured: Score) -> NDArray[np.uint8]:
    """The truth and the try-on, side by side on the figure, with the measures."""
    figure = pair.figure.picture.astype(np.float32) / 255
    both = [one[..., :3] + figure * (1 - one[..., 3:]) for one in (pair.truth, worn)]
    image = Image.fromarray((np.hstack(both).clip(0, 1) * 255).astype(np.uint8)).resize((WIDTH_PX, HEIGHT_PX // 2))
    text = f"IoU {measured.iou:.2f} SSIM {measured.ssim:.2f} {measured.landmark:.1%}"
    ImageDraw.Draw(image).text((4, 4), text, "black")
    return np.asarray(image)


if __name__ == "__main__":
    main()
