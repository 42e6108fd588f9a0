"""Cutting an image into regions: a grid of patches, or superpixels that follow colours (SLIC)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64
from scipy import ndimage

from spex_mech.core.errors import InputError

_ROUNDS = 10


def patches(height: int, width: int, rows: int, columns: int) -> Int64[np.ndarray, "h w"]:
    """A grid of patches, numbered row by row; their sizes differ by at most a pixel.

    Raises:
        InputError: more rows or columns than pixels, or none.
    """
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise InputError(
            f"the grid is {rows} x {columns}, expected 1 to {height} rows and 1 to {width} columns: the "
            f"model sees {height} x {width} pixels"
        )
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    return row[:, None] * columns + column[None, :]


def superpixels(
    pixels: npt.NDArray[np.floating], segments: int, *, compactness: float = 0.3
) -> Int64[np.ndarray, "h w"]:
    """Regions of similar colour and compact shape: SLIC (Achanta et al. 2012).

    K-means over place and colour, in which a centre sees only pixels within twice the grid's step;
    stray pieces then go to the neighbour they touch most.

    Args:
        pixels: float (h, w, channels), of any scale.
        segments: about how many regions.
        compactness: how much a step of the grid weighs against the colours' spread: small values follow
            edges, large ones make squares.

    Returns:
        int64 (h, w), numbers from 0 without gaps.

    Raises:
        InputError: fewer than one segment, or more than pixels.
    """
    height, width, _ = pixels.shape
    if not 1 <= segments <= height * width:
        raise InputError(f"segments is {segments}, expected 1 to {height * width}, the pixels")
    step = np.sqrt(height * width / segments)
    rows = max(1, min(height, round(height / step)))
    columns = max(1, min(width, round(width / step)))
    spread = float(pixels.std()) or 1.0
    place = np.moveaxis(np.indices((height, width)), 0, -1) * (compactness / step)
    points = np.concatenate([place, pixels / spread], axis=-1).astype(np.float64)
    labels = patches(height, width, rows, columns)
    for _ in range(_ROUNDS):
        moved = _assign(points, _centres(points, labels, rows * columns), step, compactness)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return _joined(labels)


def _centres(
    points: Float64[np.ndarray, "h w c"], labels: Int64[np.ndarray, "h w"], count: int
) -> Float64[np.ndarray, "k c"]:
    """Mean point of each region that has any."""
    index = np.arange(count)
    sizes = ndimage.sum_labels(np.ones(labels.shape), labels, index)
    means = [ndimage.sum_labels(points[..., c], labels, index) for c in range(points.shape[2])]
    return np.stack(means, axis=1)[sizes > 0] / sizes[sizes > 0, None]


def _assign(
    points: Float64[np.ndarray, "h w c"],
    centres: Float64[np.ndarray, "k c"],
    step: float,
    compactness: float,
) -> Int64[np.ndarray, "h w"]:
    """The nearest centre of each pixel, among those within twice the step."""
    height, width, _ = points.shape
    best = np.full((height, width), np.inf)
    labels = np.zeros((height, width), dtype=np.int64)
    reach = int(np.ceil(2 * step))
    for k, centre in enumerate(centres):
        y, x = (centre[:2] * step / compactness).astype(int)
        window = (slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1))
        distance = ((points[window] - centre) ** 2).sum(axis=-1)
        nearer = distance < best[window]
        best[window][nearer] = distance[nearer]
        labels[window][nearer] = k
    return labels


def _joined(labels: Int64[np.ndarray, "h w"]) -> Int64[np.ndarray, "h w"]:
    """Keep the largest piece of each region; give the other pieces to the nearest region."""
    out = np.full(labels.shape, -1, dtype=np.int64)
    for number, label in enumerate(np.unique(labels)):
        found: Any = ndimage.label(labels == label)
        pieces, count = found
        sizes = ndimage.sum_labels(labels == label, pieces, np.arange(1, count + 1))
        out[pieces == 1 + int(np.argmax(sizes))] = number
    stray = out < 0
    if stray.any():
        nearest: Any = ndimage.distance_transform_edt(
            stray, return_distances=False, return_indices=True
        )
        out = out[tuple(nearest)]
    return out
