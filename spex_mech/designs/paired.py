"""Paired masks: each mask with its complement (antithetic sampling)."""

from __future__ import annotations

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.designs.design import MaskDesign, check_size, rates
from spex_mech.designs.uniform import uniform


def paired(n: int, budget: int, *, seed: int = 0) -> MaskDesign:
    """Draw budget / 2 distinct uniform masks and follow each by its complement.

    A complement flips the sign of every odd-order Fourier term and of no even-order one, so errors in
    the one kind do not enter the estimates of the other (Covert and Lee 2021, section 4.1).

    Args:
        n: number of players.
        budget: number of masks, even and at most 2^n.
        seed: seed of the draw.

    Raises:
        InputError: an odd budget, or one above 2^n.
    """
    check_size(n, budget, seed)
    if budget % 2:
        raise InputError(f"a paired design needs an even budget, got {budget}; use {budget + 1}")
    # One mask of each pair has player 0 absent, so that no pair is drawn twice.
    if n == 1:
        half = np.zeros((budget // 2, 1), dtype=bool)
        if budget > 2:
            raise InputError(f"a budget of {budget} exceeds the 2 masks of 1 player; use 2")
    else:
        rest = uniform(n - 1, budget // 2, seed=seed).masks
        half = np.concatenate([np.zeros((budget // 2, 1), dtype=bool), rest], axis=1)
    flip = np.random.default_rng([seed, 1]).random(budget // 2) < 0.5
    half[flip] = ~half[flip]
    masks = np.stack([half, ~half], axis=1).reshape(budget, n)
    inclusion = np.full(n + 1, budget * 0.5**n)
    return MaskDesign(masks, seed, "paired", rates(n, 0.5), inclusion=inclusion)
