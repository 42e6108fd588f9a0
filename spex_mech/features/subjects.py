"""The inputs that games are about, kept for views."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spex_mech.features.spans import Span


@dataclass(frozen=True)
class Passage:
    """A text and its players.

    Attributes:
        text: the text.
        spans: the characters of each player, in order.
    """

    text: str
    spans: tuple[Span, ...]

    def __repr__(self) -> str:
        words = " ".join(self.text.split())
        return f"Passage({words if len(words) <= 40 else words[:39] + '…'!r})"


@dataclass(frozen=True, eq=False)
class Picture:
    """An image and its players.

    Attributes:
        pixels: uint8 (h, w, 3), as the model sees it.
        regions: int (h, w), the player of each pixel; −1 everywhere in an image that stays whole.
    """

    pixels: npt.NDArray[np.uint8] = field(repr=False)
    regions: npt.NDArray[np.int64] = field(repr=False)

    @property
    def count(self) -> int:
        """Number of its players."""
        return int(self.regions.max()) + 1

    def __repr__(self) -> str:
        return f"Picture({self.pixels.shape[1]} x {self.pixels.shape[0]})"


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and a text; the image's players come first."""

    picture: Picture
    passage: Passage
