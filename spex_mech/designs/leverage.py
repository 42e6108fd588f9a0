"""Leverage-score masks: small and large coalitions exhausted first, all other sizes alike."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.designs.design import MaskDesign, check_size, rates

_FIRST = 2  # players, or all but so many, of the coalitions that come before all others


def leverage(n: int, budget: int, *, seed: int = 0) -> MaskDesign:
    """Draw distinct masks with their complements: the smallest and largest, and all other sizes alike.

    The empty and the full mask come first. In the regression whose solution Shapley values are, every
    coalition of k players has leverage 1 / C(n, k), so that all sizes 1..n-1 weigh the same in total
    (Musco and Witter 2025, arXiv 2410.01917). Sizes with fewer coalitions than their share are taken whole,
    and so are those of one or two players, and of all but these, where half of what is left suffices. The
    others divide the rest. (Games are roughest where few players or nearly all are present; where sizes are
    whole, nothing is left to guess.) Each count is within one of its share; masks of a size are drawn
    without replacement, equally likely, and each with its complement. Pairs stand in random order, so that
    the first masks of a design are such a design too, up to the sizes that are whole.

    Args:
        n: number of players.
        budget: number of masks, 2 to 2^n; of the last pair of an odd budget one mask is there.
        seed: seed of the draw.

    Raises:
        InputError: a budget below 2 or above 2^n.
    """
    check_size(n, budget, seed)
    if budget < 2 or (n < 63 and budget > 1 << n):
        raise InputError(
            f"budget is {budget}, expected 2 (the empty and the full mask) to 2^{n}; "
            f"designs.exhaustive has all masks of up to 24 players"
        )
    rng = np.random.default_rng(seed)
    pairs = (budget - 1) // 2
    shares = _shares(n, pairs)
    ends = np.floor(np.cumsum([0.0, *shares]) + rng.random() + 1e-9).astype(np.int64)
    parts = [np.zeros((0, n), dtype=bool)]
    for size, count in enumerate(np.diff(ends).tolist(), start=1):
        if count:
            parts.append(_of_size(n, size, count, rng))
    half = np.concatenate(parts)
    half = half[rng.permutation(len(half))]
    half ^= rng.random(len(half))[:, None] < 0.5
    ends_masks = np.array([[False] * n, [True] * n])
    masks = np.concatenate([ends_masks, np.stack([half, ~half], axis=1).reshape(-1, n)])
    inclusion = np.ones(n + 1)
    kept = (budget - 2) / max(2 * pairs, 1)  # an odd budget leaves one mask out
    for size, share in enumerate(shares, start=1):
        both = 2 * share if 2 * size == n else share
        inclusion[[size, n - size]] = kept * min(both / comb(n, size), 1.0)
    return MaskDesign(masks[:budget], seed, "leverage", rates(n, 0.5), inclusion=inclusion)


def _shares(n: int, pairs: int) -> list[float]:
    """Expected number of pairs of a coalition of 1, 2, ... n // 2 players with its complement.

    One or two players are taken whole if half of what is left suffices. Any other size takes what is left
    times its weight over the weights of the sizes from there on, but no more than it has.
    """
    sizes = range(1, n // 2 + 1)
    weights = [0.5 if 2 * size == n else 1.0 for size in sizes]
    shares: list[float] = []
    left, weight_left = float(pairs), float(sum(weights))
    for size, weight in zip(sizes, weights, strict=True):
        every = comb(n, size) * weight
        share = min(left * weight / weight_left, every)
        if size <= _FIRST and every <= left / 2:
            share = every
        shares.append(share)
        left, weight_left = left - share, weight_left - weight
    return shares


def _of_size(n: int, size: int, count: int, rng: np.random.Generator) -> Bool[np.ndarray, "c n"]:
    """Distinct masks of ``size`` players; of half of all players, no two are complements."""
    middle = 2 * size == n  # then player 0 is absent, so that no pair is drawn twice
    players, first = (n - 1, 1) if middle else (n, 0)
    if comb(players, size) <= 2 * count:
        everything = np.array(list(combinations(range(players), size)))
        chosen = everything[rng.permutation(len(everything))[:count]]
        return _masks(n, chosen + first)
    masks = np.zeros((0, n), dtype=bool)
    while len(masks) < count:
        new = rng.permuted(
            np.broadcast_to(np.arange(players) < size, (count - len(masks), players)), axis=1
        )
        masks = np.concatenate([masks, np.pad(new, ((0, 0), (first, 0)))])
        masks = masks[unique(masks)[0]]
    return masks


def _masks(n: int, chosen: Int64[np.ndarray, "c k"]) -> Bool[np.ndarray, "c n"]:
    masks = np.zeros((len(chosen), n), dtype=bool)
    np.put_along_axis(masks, chosen, True, axis=1)
    return masks
