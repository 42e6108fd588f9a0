"""`Canvas`: an image as a model sees it, and what stands in the place of its missing regions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Int64
from scipy import ndimage

from spex_mech.core.errors import InputError
from spex_mech.features.options import Regions
from spex_mech.features.pictures import read_image
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


def canvas_of(image: Any, processor: Any | None, regions: Regions) -> Canvas:
    """Preprocess an image and its fill, and cut it into regions.

    Args:
        image: see `read_image`; the model's own float pixel values (c, h, w) need no processor.
        processor: a Hugging Face image processor.
        regions: how the image is cut and filled.

    Raises:
        InputError: an image, level, grid or fill that cannot be used.
        MissingFileError: a file that does not exist.
    """
    values = pixel_values(image, processor)
    colors = _visible(values, processor)
    if regions.level == "patches":
        grid = regions.grid
        rows, columns = (grid, grid) if isinstance(grid, int) else grid
        labels = patches(values.shape[1], values.shape[2], rows, columns)
    elif regions.level == "superpixels":
        labels = superpixels(colors, regions.segments)
    else:
        raise InputError(f"level is {regions.level!r}, expected 'patches' or 'superpixels'")
    return Canvas(values, _filled(values, regions, processor), labels, Picture(colors, labels))


def pixel_values(image: Any, processor: Any | None) -> Float32[np.ndarray, "c h w"]:
    """An image as the model's pixel values.

    Raises:
        InputError: something that is not an image, or needs a processor.
        MissingFileError: a file that does not exist.
    """
    array = read_image(image)
    if array.dtype != np.uint8:
        return array
    if processor is None:
        raise InputError("an image needs processor=, the model's image processor or its folder")
    batch = getattr(processor, "image_processor", processor)(images=array, return_tensors="np")
    return np.asarray(batch["pixel_values"], dtype=np.float32)[0]


def region_names(regions: Regions, count: int) -> list[str]:
    """Names of the regions, such as ``row 2 col 0`` or ``segment 7``."""
    if regions.level == "superpixels":
        return [f"segment {i}" for i in range(count)]
    return [f"row {i // regions.columns} col {i % regions.columns}" for i in range(count)]


def _filled(
    values: Float32[np.ndarray, "c h w"], regions: Regions, processor: Any | None
) -> Float32[np.ndarray, "c h w"]:
    fill, blur = regions.fill, regions.blur
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
    scaler = getattr(processor, "image_processor", processor)
    mean, std = getattr(scaler, "image_mean", None), getattr(scaler, "image_std", None)
    if mean is not None and std is not None and len(mean) == len(values):
        colors = values * np.array(std)[:, None, None] + np.array(mean)[:, None, None]
    else:
        low, high = float(values.min()), float(values.max())
        colors = (values - low) / ((high - low) or 1.0)
    rgb = np.moveaxis(colors, 0, -1)
    rgb = rgb if rgb.shape[2] == 3 else np.repeat(rgb[:, :, :1], 3, axis=2)
    return (np.clip(rgb, 0, 1) * 255).round().astype(np.uint8)


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


def superpixels(pixels: npt.NDArray[np.uint8], segments: int) -> Int64[np.ndarray, "h w"]:
    """Regions of similar colour and compact shape: SLIC (Achanta et al. 2012), by scikit-image.

    Args:
        pixels: uint8 (h, w, 3), colours.
        segments: about how many regions.

    Returns:
        int64 (h, w), numbers from 0 without gaps; each region in one piece.

    Raises:
        InputError: fewer than one segment, more than pixels, or scikit-image is not installed.
    """
    height, width, _ = pixels.shape
    if not 1 <= segments <= height * width:
        raise InputError(f"segments is {segments}, expected 1 to {height * width}, the pixels")
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise InputError(
            "superpixels need the package scikit-image, which is not installed; install it with "
            "pip install 'spex_mech[features]'"
        ) from error
    labels = slic(pixels, n_segments=segments, start_label=0)
    return np.unique(labels, return_inverse=True)[1].reshape(height, width).astype(np.int64)
