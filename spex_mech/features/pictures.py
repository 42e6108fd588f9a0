"""Pictures of every kind as 8-bit RGB: files, PIL images of every mode, arrays and tensors.

One rule for brightness: 16-bit pictures go from 0 to 65535; numbers of other kinds from 0 to 255, except
that integers above 255 are read as 16 bits, and floats that are all at most 1 as going from 0 to 1.
Transparency is dropped, as Hugging Face's image processors do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError, MissingFileError

_CHANNELS = (1, 3, 4)
_EXPECTED = (
    "expected a file, a PIL image, an array (height, width) or (height, width, 1 to 4 channels), or the "
    "model's own float pixel values (channels, height, width)"
)


def read_image(image: Any) -> npt.NDArray[Any]:
    """An image as uint8 RGB (h, w, 3), or as it is where it is a model's own pixel values, float (c, h, w).

    Args:
        image: a file, a PIL image of any mode, or an array or tensor: grey (h, w), or with one (grey), two
            (and transparency), three (RGB) or four channels (and transparency), which stand last or, in
            integers, first. Floats whose channels stand first are pixel values.

    Raises:
        InputError: something that is not one image, or whose numbers are out of range.
        MissingFileError: a file that does not exist.
    """
    if isinstance(image, (str, Path)):
        return _from_file(Path(image))
    if hasattr(image, "getbands"):
        return _from_pil(image)
    if hasattr(image, "detach"):
        image = image.detach().cpu()
        image = image.float() if image.is_floating_point() else image
    try:
        array = np.asarray(image)
    except ValueError as error:  # lists of unequal lengths
        raise InputError(f"the image is no array ({error}); {_EXPECTED}") from None
    if array.dtype.kind not in "buif" or array.ndim not in (2, 3) or not array.size:
        raise InputError(f"the image is {array.dtype} {array.shape}; {_EXPECTED}")
    if not np.isfinite(array).all():
        raise InputError("the image has values that are not finite; replace them")
    if array.ndim == 3 and array.dtype.kind == "f":
        if array.shape[0] in _CHANNELS or array.shape[2] > 4:
            return array.astype(np.float32)
    elif array.ndim == 3 and array.shape[2] > 4 and array.shape[0] in _CHANNELS:
        array = np.moveaxis(array, 0, 2)
    return _rgb(_eight_bits(array))


def _from_file(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image

    if not path.is_file():
        raise MissingFileError(f"image {str(path)!r} does not exist; give a file, or an image")
    try:
        with Image.open(path) as image:
            return _from_pil(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"image {str(path)!r} cannot be read: {error}; give a picture such as PNG or JPEG"
        ) from None


def _from_pil(image: Any) -> npt.NDArray[np.uint8]:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)  # cameras store how they were held
    if image.mode[0] in "IF":
        return _rgb(_eight_bits(np.asarray(image)))
    try:
        straight = image.convert("LA") if image.mode == "La" else image
        return np.asarray(straight.convert("RGB"))
    except ValueError as error:
        raise InputError(
            f"Pillow cannot read the image of mode {image.mode!r} ({error}); convert it to RGB"
        ) from None


def _eight_bits(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    low, high = array.min(), array.max()
    is_float = array.dtype.kind == "f"
    if low < 0 or high > (255 if is_float else 65535):
        raise InputError(
            f"the image has values from {low:g} to {high:g}; expected 0 to 1 or 0 to 255, or in integers 0 "
            "to 65535 (a model's own pixel values are floats whose channels stand first)"
        )
    if array.dtype == np.bool_ or (is_float and high <= 1):
        scale = 255.0
    elif array.dtype.name == "uint16" or high > 255:
        scale = 1 / 257
    else:
        scale = 1.0
    return (array * scale).round().astype(np.uint8)


def _rgb(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    array = array[..., None] if array.ndim == 2 else array
    channels = array.shape[2]
    if channels > 4:
        raise InputError(f"the image has shape {array.shape}; {_EXPECTED}")
    return np.ascontiguousarray(
        array[..., :3] if channels > 2 else np.repeat(array[..., :1], 3, axis=2)
    )
