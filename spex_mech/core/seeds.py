"""What a seed may be: the same everywhere, and refused before anything is drawn or evaluated."""

from __future__ import annotations

import numpy as np

from spex_mech.core.errors import InputError

MOST_SEED = (1 << 32) - 1
"""Largest seed: what scikit-learn and XGBoost take."""


def check_seed(seed: object) -> None:
    """Refuse what is no seed.

    Raises:
        InputError: not a whole number from 0 to 2^32 - 1.
    """
    if (
        not isinstance(seed, int | np.integer)
        or isinstance(seed, bool)
        or not 0 <= int(seed) <= MOST_SEED
    ):
        raise InputError(f"seed is {seed!r}, expected a whole number from 0 to {MOST_SEED}")
