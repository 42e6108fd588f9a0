"""Stratified masks: coalition sizes in the proportions that Shapley values weigh them."""

from __future__ import annotations

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.designs.design import MaskDesign, check_size, inclusion_of, log_binomial, rates


def stratified(n: int, budget: int, *, seed: int = 0) -> MaskDesign:
    """Draw masks whose sizes follow the Shapley kernel, after the empty and the full mask.

    Size k in 1..n-1 gets a share proportional to 1 / (k (n - k)), the total Shapley-kernel weight
    of its C(n, k) coalitions (Lundberg and Lee 2017, theorem 2). Sizes are allotted by systematic
    sampling, so each count is within one of its share. Masks of equal size are equally likely.

    Args:
        n: number of players.
        budget: number of masks, at least 2.
        seed: seed of the draw.

    Raises:
        InputError: a budget below 2.
    """
    check_size(n, budget, seed)
    if budget < 2:
        raise InputError(
            f"a stratified design holds the empty and the full mask, got budget {budget}; use at least 2"
        )
    rng = np.random.default_rng(seed)
    masks = np.zeros((budget, n), dtype=bool)
    masks[1] = True
    inclusion = np.ones(n + 1)
    inclusion[1:-1] = 0.0
    if n > 1 and budget > 2:
        sizes = np.arange(1, n)
        weight = 1.0 / (sizes * (n - sizes))
        edges = np.cumsum(weight) / weight.sum()
        of_masks = np.exp(-log_binomial(n, sizes))
        inclusion[1:-1] = inclusion_of(of_masks, (budget - 2) * weight / weight.sum())
        ticks = (np.arange(budget - 2) + rng.random()) / (budget - 2)
        chosen = sizes[np.minimum(np.searchsorted(edges, ticks), n - 2)]
        masks[2:] = rng.permuted(np.arange(n) < chosen[:, None], axis=1)
        masks[2:] = masks[2:][rng.permutation(budget - 2)]
    return MaskDesign(masks, seed, "stratified", rates(n, 0.5), inclusion=inclusion)
