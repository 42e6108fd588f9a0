"""The search for good sets: ablate sets of high expected value, correct the surrogate, search again."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from spex_mech.core.masks import unique
from spex_mech.pruning.moves import (
    AllowedSets,
    climb,
    neighbours,
    random_sets,
    resized,
)
from spex_mech.pruning.nearby import SetFunction
from spex_mech.pruning.state import SearchState

_LEADERS = 4
_NEAR = 6  # local optima whose neighbours are candidates
_RANKED = 32  # neighbours of each that the full model ranks
_ELSEWHERE = 256  # random sets to choose from where climbing finds no new set
_BOLDNESS = (
    1.0  # standard deviations added to expected values, so that uncertain sets are tried as well
)


def search_sets(
    state: SearchState,
    allowed: AllowedSets,
    ablations: int,
    *,
    starts: Bool[np.ndarray, "s n"],
    rng: np.random.Generator,
    guide: bool = False,
) -> None:
    """Spend ablations on allowed sets, in rounds; see `SearchState.try_sets`.

    A round climbs on the corrected surrogate from the best sets so far, from ``starts`` and from random
    sets. It then ablates the local optima and neighbours whose expected value plus one standard deviation
    is highest, and corrects the surrogate.

    Args:
        state: all ablations so far; the new ones are added to it.
        allowed: the sets allowed.
        ablations: how many to spend, or as many rows as these have; fewer are spent if no new set is left.
        starts: bool (s, n), allowed sets to climb from in the first round.
        rng: draws the random sets, also those that are ablated where climbing finds no new set.
        guide: the sets only lead to others; see `SearchState.try_sets`.
    """
    end = state.rows + ablations * state.questions
    while state.rows + state.questions <= end:
        leaders, _ = state.leaders(allowed, _LEADERS)
        pool = candidates(
            state,
            allowed,
            np.concatenate([leaders, starts, random_sets(allowed, _LEADERS, rng)]),
            boldness=_BOLDNESS,
        )
        pool = pool[state.is_new(pool)]
        if not len(pool):  # all climbs end where everything near has been ablated
            pool = random_sets(allowed, _ELSEWHERE, rng)
            pool = pool[state.is_new(pool)]
            pool = pool[unique(pool)[0]]
            pool = pool[np.argsort(-state.full.optimistic(_BOLDNESS)(pool), kind="stable")]
        if not len(pool):
            return
        state.try_sets(pool, allowed, end - state.rows, guide=guide)
        starts = starts[:0]


def candidates(
    state: SearchState, allowed: AllowedSets, starts: Bool[np.ndarray, "s n"], *, boldness: float
) -> Bool[np.ndarray, "c n"]:
    """Local optima of the corrected terms, and their neighbours, sorted by the corrected full model.

    Args:
        state: holds the corrected surrogates.
        allowed: the sets allowed.
        starts: bool (s, n), sets to climb from; those that are not allowed are left out.
        boldness: standard deviations that are added to expected values.

    Returns:
        Distinct allowed sets (c, n), best first: the optima, and up to 32 neighbours of each of the best
        six.
    """
    starts = starts[allowed.allows(starts)]
    if not len(starts):
        return starts
    quick, full = state.quick.optimistic(boldness), state.full.optimistic(boldness)
    optima = np.stack([climb(quick, start, allowed) for start in starts[unique(starts)[0]]])
    optima = optima[unique(optima)[0]]
    optima = optima[np.argsort(-full(optima), kind="stable")]
    pool = np.concatenate([optima, *(_best_near(m, allowed, quick) for m in optima[:_NEAR])])
    pool = pool[unique(pool)[0]]
    return pool[np.argsort(-full(pool), kind="stable")]


def resize_sets(
    state: SearchState, allowed: AllowedSets, sets: Bool[np.ndarray, "s n"]
) -> Bool[np.ndarray, "c n"]:
    """Change sets (s, n) into allowed ones by the corrected terms; fewer where that fails. See `resized`."""
    masks = [resized(state.quick, mask, allowed) for mask in sets]
    return np.array([mask for mask in masks if mask is not None], dtype=bool).reshape(-1, allowed.n)


def _best_near(
    mask: Bool[np.ndarray, " n"], allowed: AllowedSets, quick: SetFunction
) -> Bool[np.ndarray, "k n"]:
    """The neighbours that the corrected terms value most."""
    sets, values = neighbours(mask, allowed, quick)
    return sets[np.argsort(-values, kind="stable")[:_RANKED]]
