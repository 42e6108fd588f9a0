"""A set function that computes each set's value once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.masks import mask_keys, unique
from spex_mech.pruning.nearby import SetFunction


class AskedOnce:
    """A set function and its values so far; a search asks for many sets again, with every new ablation.

    `evaluation.wrappers.Remembered` does the same for games, which have players and a fingerprint.
    """

    def __init__(self, function: SetFunction) -> None:
        self._function = function
        self._values: dict[bytes, float] = {}

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Values (m,) of masks (m, n)."""
        keys = mask_keys(masks)
        first = unique(masks)[0]
        new = np.array([i for i in first if keys[i] not in self._values], dtype=np.int64)
        if len(new):
            values = self._function(masks[new])
            self._values.update(zip((keys[i] for i in new), values.tolist(), strict=True))
        return np.array([self._values[key] for key in keys], dtype=np.float64)
