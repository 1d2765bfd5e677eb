"""Fit the clothing map of pipeline/imaging/garment_cutter.py to seven tenths of the photographs, from no labels.

    python -m benchmarks.garment_map ../shared/data/clothing-dataset-small --write

First round: masks by colours alone, where two ways to start GrabCut agree. Two more rounds: masks by the map of the round
before where their confidence is high, and as many composites, whose masks are exact. Prints the share of cells of held-out
photographs that the map names as the masks do. About 15 CPU-minutes; the result depends on the processor in its last bits.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.garment_composites import CutOut, agreement, composites, ground_of, photographs, read
from pipeline.imaging.garment_cutter import CELLS, ClothingMap, GarmentCutter
from pipeline.storage.files import write_text

SIDE_PX = 200
EPOCHS, BATCH, RATE = 14, 32, 4e-3
SURE_BY_COLOUR, SURE, CLEAN = 0.9, 0.7, 0.8
TABLE = Path("pipeline/imaging/clothing_map.py")
NUMBERS_PER_LINE = 12


def cells_of(mask: np.ndarray) -> Tensor:
    """(20, 20) share of garment of each cell, in [0, 1]."""
    return torch.from_numpy(cv2.resize(mask.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA))


def fitted(features: Tensor, targets: Tensor, seed: int = 0) -> ClothingMap:
    """A clothing map that predicts `targets` (N, 20, 20) in [0, 1] from `features` (N, 154, 20, 20), by cross-entropy."""
    torch.manual_seed(seed)
    clothing_map = ClothingMap()
    mean, deviation = features.mean((0, 2, 3)), features.std((0, 2, 3)) + 1e-3
    steps = EPOCHS * (len(features) // BATCH)
    optimiser = torch.optim.AdamW(clothing_map.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(features), generator=generator)[: len(features) // BATCH * BATCH].split(BATCH):
            x = (features[batch] - mean[:, None, None]) / deviation[:, None, None]
            y = targets[batch]
            if torch.rand((), generator=generator) < 0.5:
                x, y = x.flip(-1), y.flip(-1)
            optimiser.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(clothing_map(x), y).backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():  # so that the map takes features as they come
        first = clothing_map.layers[0]
        assert isinstance(first, nn.Conv2d)
        assert first.bias is not None
        first.weight /= deviation[None, :, None, None]
        first.bias -= (first.weight[..., 0, 0] * mean).sum(1)
    return clothing_map


def as_module(clothing_map: ClothingMap) -> str:
    """Python source that holds the map's numbers, three digits each, in the order of its parameters."""
    numbers = [f"{number:.3g}" for number in nn.utils.parameters_to_vector(clothing_map.parameters()).tolist()]
    lines = [" ".join(numbers[start : start + NUMBERS_PER_LINE]) for start in range(0, len(numbers), NUMBERS_PER_LINE)]
    return '"""The numbers of garment_cutter.ClothingMap, written by `python -m benchmarks.garment_map`."""\n\n' + (
        'NUMBERS = """\n' + "\n".join(lines) + '\n"""\n'
    )


def main() -> None:
    """Fit, print, and write the table with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--count", type=int, default=2_400, help="photographs to fit to, at most")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE}")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)

    extractor = GarmentCutter(ClothingMap())
    paths = photographs(arguments.photographs, held_out=False)
    pictures = [read(paths[index], SIDE_PX) for index in rng.permutation(len(paths))[: arguments.count]]
    features = torch.stack([extractor.features(picture) for picture in pictures])
    held_out = [read(path, SIDE_PX) for path in photographs(arguments.photographs, held_out=True)[:400]]
    held_out_features = torch.stack([extractor.features(picture) for picture in held_out])

    masks = [agreement(picture) for picture in pictures]
    sure = [index for index, (_, confidence) in enumerate(masks) if confidence >= SURE_BY_COLOUR]
    clothing_map = fitted(features[sure], torch.stack([cells_of(masks[index][0]) for index in sure]))
    print(f"by colours alone: {len(sure)} of {len(pictures)} photographs are sure", flush=True)

    for round_ in range(2):
        cutter = GarmentCutter(clothing_map)
        cuts = [cutter(picture) for picture in pictures]
        sure = [index for index, cut in enumerate(cuts) if cut.confidence >= SURE]
        whole = [
            CutOut(picture, np.asarray(cv2.resize(cut.pixels, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.uint8))
            for picture, cut in zip(pictures, cuts, strict=True)
            if cut.confidence >= CLEAN and cut.border_share < 0.01
        ]
        grounds = [ground for ground in map(ground_of, whole) if ground is not None]
        made = composites(whole, grounds, len(sure), seed=round_)
        clothing_map = fitted(
            torch.cat([features[sure], torch.stack([extractor.features(each.picture) for each in made])]),
            torch.stack([*(cells_of(cuts[index].pixels) for index in sure), *(cells_of(each.mask) for each in made)]),
        ).eval()
        with torch.inference_mode():
            seen = clothing_map(held_out_features) > 0
        cutter = GarmentCutter(clothing_map)
        cut_out = [cutter(picture) for picture in held_out]
        same = [
            float((seen[index] == (cells_of(cut.pixels) > 0.5)).float().mean())
            for index, cut in enumerate(cut_out)
            if cut.confidence >= SURE
        ]
        print(
            f"round {round_ + 1}: {len(sure)} photographs and {len(made)} composites; held out: "
            f"{len(same)} of {len(cut_out)} sure, {np.mean(same):.4f} of their cells as the mask",
            flush=True,
        )
    if arguments.write:
        write_text(TABLE, as_module(clothing_map))


if __name__ == "__main__":
    main()
