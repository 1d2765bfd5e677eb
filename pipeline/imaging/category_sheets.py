"""Contact sheets of an evaluation, one row a category; uint8 (H', W', C)."""

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.contact_sheets import contact_sheet

GAP_PX = 2


def rows_by_category(
    labels: NDArray[np.int64], categories: int, per_category: int, order: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The first `per_category` rows of each category, as they come in `order`; a category with fewer repeats them."""
    chosen = [order[labels[order] == category] for category in range(categories)]
    return np.stack([np.resize(rows, per_category) for rows in chosen]).astype(np.int64)


def first_of_each(
    images: NDArray[np.uint8], labels: NDArray[np.int64], categories: int, per_category: int
) -> NDArray[np.uint8]:
    """The first pictures of each category."""
    rows = rows_by_category(labels, categories, per_category, np.arange(len(labels)))
    return contact_sheet(images[rows.ravel()], per_category)


def beside_their_nearest(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    categories: int,
    per_category: int,
    others: NDArray[np.uint8],
    nearest: NDArray[np.int64],
    distances: NDArray[np.floating],
) -> NDArray[np.uint8]:
    """Pairs of a picture and, to its right, the nearest of `others`; of each category the pairs that are closest."""
    rows = rows_by_category(labels, categories, per_category // 2, np.argsort(distances, kind="stable")).ravel()
    pairs = np.stack([images[rows], others[nearest[rows]]], axis=1).reshape(-1, *images.shape[1:])
    return contact_sheet(pairs, per_category // 2 * 2, gap_px=GAP_PX)


def best_and_worst(
    images: NDArray[np.uint8], labels: NDArray[np.int64], categories: int, per_category: int, score: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """Of each category the pictures with the highest `score`, best first; right of a white gap the lowest, worst last."""
    order = np.argsort(-score, kind="stable")
    half = per_category // 2
    best = contact_sheet(images[rows_by_category(labels, categories, half, order).ravel()], half)
    worst = contact_sheet(images[rows_by_category(labels, categories, half, order[::-1])[:, ::-1].ravel()], half)
    gap = np.full((best.shape[0], images.shape[2] // 2, best.shape[2]), 255, dtype=np.uint8)
    return np.concatenate([best, gap, worst], axis=1)
