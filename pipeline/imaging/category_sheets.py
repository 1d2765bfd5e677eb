"""Contact sheets (H', W', C) uint8 of an evaluation, one row per category."""

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.contact_sheets import contact_sheet
from pipeline.storage.arrays import has_alpha

GAP_PX = 2


def rows_by_category(
    labels: NDArray[np.int64], categories: int, per_category: int, order: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Indices (categories, per_category) of the first pictures of each category in `order`; small categories repeat theirs."""
    chosen = [order[labels[order] == category] for category in range(categories)]
    return np.stack([np.resize(rows, per_category) for rows in chosen]).astype(np.int64)


def first_of_each(
    images: NDArray[np.uint8], labels: NDArray[np.int64], categories: int, per_category: int
) -> NDArray[np.uint8]:
    """A sheet of the first pictures of each category."""
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
    """A sheet of the closest pairs of each category: a picture, and to its right its nearest neighbour among `others`."""
    rows = rows_by_category(labels, categories, per_category // 2, np.argsort(distances, kind="stable")).ravel()
    pairs = np.stack([images[rows], others[nearest[rows]]], axis=1).reshape(-1, *images.shape[1:])
    return contact_sheet(pairs, per_category // 2 * 2, gap_px=GAP_PX)


def best_and_worst(
    images: NDArray[np.uint8], labels: NDArray[np.int64], categories: int, per_category: int, score: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """A sheet of the pictures with the highest `score` of each category, best first, and after a gap those with the lowest."""
    order = np.argsort(-score, kind="stable")
    half = per_category // 2
    best = contact_sheet(images[rows_by_category(labels, categories, half, order).ravel()], half)
    worst = contact_sheet(images[rows_by_category(labels, categories, half, order[::-1])[:, ::-1].ravel()], half)
    gap = np.full((best.shape[0], images.shape[2] // 2, best.shape[2]), 0 if has_alpha(best.shape[2]) else 255, dtype=np.uint8)
    return np.concatenate([best, gap, worst], axis=1)
