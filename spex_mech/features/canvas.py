"""`Canvas`: an image as a model sees it, and what stands in the place of its missing regions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Float64, Int64
from scipy import ndimage

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.features.spans import Picture

FILLS = ("mean", "blur", "zero")


@dataclass(frozen=True, eq=False)
class Canvas:
    """An image after the model's own preprocessing, cut into regions.

    Attributes:
        values: float32 (c, h, w), the model's pixel values.
        fill: float32 (c, h, w), what stands in the place of missing regions.
        regions: int64 (h, w), the region of each pixel, from 0.
        picture: the same for views.
    """

    values: Float32[np.ndarray, "c h w"]
    fill: Float32[np.ndarray, "c h w"]
    regions: Int64[np.ndarray, "h w"]
    picture: Picture

    @property
    def n(self) -> int:
        """Number of regions."""
        return int(self.regions.max()) + 1

    @property
    def digest(self) -> str:
        """SHA-256 of values, fill and regions."""
        parts = (self.values, self.fill, self.regions)
        return hashlib.sha256(
            b"".join(np.ascontiguousarray(p).tobytes() for p in parts)
        ).hexdigest()

    def compose(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m c h w"]:
        """The image with the regions of each mask; True = present."""
        return np.where(masks[:, None][..., self.regions], self.values, self.fill)


def canvas_of(
    image: Any,
    processor: Any | None,
    *,
    level: str,
    grid: int | tuple[int, int],
    segments: int,
    fill: Any,
    blur: float,
) -> Canvas:
    """Preprocess an image and its fill, and cut it into regions.

    Args:
        image: a file, a PIL image, an array uint8 (h, w, 3), or the model's own float pixel values
            (c, h, w), which need no processor.
        processor: a Hugging Face image processor.
        level: ``patches`` or ``superpixels``.
        grid: rows and columns of patches, or one number for both.
        segments: about how many superpixels.
        fill: ``mean`` (the image's mean colour), ``blur``, ``zero`` (pixel values 0, the mean colour of the
            processor), or another image of the same kind.
        blur: standard deviation of the blur as a share of the image's longer side.

    Raises:
        InputError: an image, level, grid or fill that cannot be used.
        MissingFileError: a file that is not there.
    """
    values = pixel_values(image, processor)
    height, width = values.shape[1:]
    if level == "patches":
        rows, columns = (grid, grid) if isinstance(grid, int) else grid
        regions = patches(height, width, rows, columns)
    elif level == "superpixels":
        regions = superpixels(np.moveaxis(values, 0, -1), segments)
    else:
        raise InputError(f"level is {level!r}, expected 'patches' or 'superpixels'")
    picture = Picture(_visible(values, processor), regions)
    return Canvas(values, _filled(values, fill, blur, processor), regions, picture)


def pixel_values(image: Any, processor: Any | None) -> Float32[np.ndarray, "c h w"]:
    """An image as the model's pixel values.

    Raises:
        InputError: something that is not an image, or needs a processor.
        MissingFileError: a file that is not there.
    """
    if isinstance(image, (str, Path)):
        from PIL import Image

        if not Path(image).is_file():
            raise MissingFileError(f"image {str(image)!r} does not exist; give a file, or an image")
        image = Image.open(image).convert("RGB")
    array = np.asarray(image)
    if array.dtype.kind == "f":
        if array.ndim != 3 or not np.isfinite(array).all():
            raise InputError(
                f"pixel values have shape {array.shape}, expected finite (channels, h, w)"
            )
        return array.astype(np.float32)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise InputError(
            f"the image is {array.dtype} {array.shape}, expected uint8 (height, width, 3), a PIL image, a "
            "file, or float pixel values (channels, height, width)"
        )
    if processor is None:
        raise InputError("an image needs processor=, the model's image processor or its folder")
    found = getattr(processor, "image_processor", processor)(images=array, return_tensors="np")
    return np.asarray(found["pixel_values"], dtype=np.float32)[0]


def region_names(level: str, canvas: Canvas, grid: int | tuple[int, int]) -> list[str]:
    """Names of the regions, such as ``row 2 col 0`` or ``segment 7``."""
    if level == "superpixels":
        return [f"segment {i}" for i in range(canvas.n)]
    columns = grid if isinstance(grid, int) else grid[1]
    return [f"row {i // columns} col {i % columns}" for i in range(canvas.n)]


def _filled(
    values: Float32[np.ndarray, "c h w"], fill: Any, blur: float, processor: Any | None
) -> Float32[np.ndarray, "c h w"]:
    if isinstance(fill, str) and fill in FILLS:
        if fill == "zero":
            return np.zeros_like(values)
        if fill == "mean":
            return np.broadcast_to(values.mean(axis=(1, 2), keepdims=True), values.shape).copy()
        if not blur > 0:
            raise InputError(f"blur is {blur}, expected a share of the image's side above 0")
        sigma = blur * max(values.shape[1:])
        return ndimage.gaussian_filter(values, (0, sigma, sigma), mode="nearest")
    if isinstance(fill, str) and not Path(fill).is_file():
        raise InputError(f"fill is {fill!r}, expected one of {', '.join(FILLS)}, or another image")
    other = pixel_values(fill, processor)
    if other.shape != values.shape:
        raise InputError(
            f"the fill has pixel values of shape {other.shape}, the image {values.shape}; give one that "
            "is processed to the same size"
        )
    return other


def _visible(values: Float32[np.ndarray, "c h w"], processor: Any | None) -> npt.NDArray[np.uint8]:
    """Pixel values as colours: by the processor's own mean and deviation, else from least to most."""
    own = getattr(processor, "image_processor", processor)
    mean, std = getattr(own, "image_mean", None), getattr(own, "image_std", None)
    if mean is not None and std is not None and len(mean) == len(values):
        colors = values * np.array(std)[:, None, None] + np.array(mean)[:, None, None]
    else:
        low, high = float(values.min()), float(values.max())
        colors = (values - low) / ((high - low) or 1.0)
    rgb = np.moveaxis(colors, 0, -1)
    rgb = rgb if rgb.shape[2] == 3 else np.repeat(rgb[:, :, :1], 3, axis=2)
    return (np.clip(rgb, 0, 1) * 255).round().astype(np.uint8)


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
