"""Uniform masks: every coalition is equally likely, and none is drawn twice."""

from __future__ import annotations

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique, unpack
from spex_mech.designs.design import MaskDesign, check_size, rates

_TABLE_PLAYERS = 20


def uniform(n: int, budget: int, *, ends: bool = False, seed: int = 0) -> MaskDesign:
    """Draw ``budget`` distinct masks uniformly from all 2^n.

    Args:
        n: number of players.
        budget: number of masks, at most 2^n; at least 2 with ``ends``.
        ends: whether the empty and the full mask come first, in place of the last two. Interaction indices
            depend on these two more than on any other, and `decode` keeps them apart: it takes their values
            as known, and fits the others.
        seed: seed of the draw.

    Raises:
        InputError: a budget below 1 or above 2^n, or below 2 with ``ends``.
    """
    check_size(n, budget, seed)
    if ends and budget < 2:
        raise InputError(
            f"budget is {budget}, expected at least 2 with ends: the empty and the full mask"
        )
    if n < 63 and budget > 1 << n:
        raise InputError(
            f"a budget of {budget} exceeds the 2^{n} = {1 << n} masks of {n} players; "
            f"use designs.exhaustive({n})"
        )
    rng = np.random.default_rng(seed)
    if n <= _TABLE_PLAYERS:
        index = rng.choice(1 << n, size=budget, replace=False)
        masks = unpack(index.astype(np.uint64)[:, None], n)
    else:
        masks = np.empty((0, n), dtype=bool)
        while len(masks) < budget:
            masks = np.concatenate([masks, rng.random((budget - len(masks), n)) < 0.5])
            masks = masks[unique(masks)[0]]
    if ends:
        inner = masks[masks.any(axis=1) & ~masks.all(axis=1)]
        masks = np.concatenate([[[False] * n, [True] * n], inner[: budget - 2]])
        inclusion = np.full(n + 1, (budget - 2) / max(2.0**n - 2.0, 1.0))
        inclusion[[0, n]] = 1.0
        return MaskDesign(masks, seed, "uniform", rates(n, 0.5), inclusion=inclusion)
    inclusion = np.full(n + 1, budget * 0.5**n)
    return MaskDesign(masks, seed, "uniform", rates(n, 0.5), inclusion=inclusion)
