"""Pruning: which players to keep, found on a surrogate and checked by true ablations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.errors import InputError
from spex_mech.masks import pack, unique
from spex_mech.programme import Limit, Optimum, best_set
from spex_mech.spectrum import Spectrum

_STARTS = 24
_LEADERS = 4
_ROUND = 16
_FEASIBLE_SECONDS = 10.0

Surrogate = Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Pruned:
    """A kept set.

    Attributes:
        mask: bool (n,), True = kept.
        predicted: the surrogate's value of the mask.
        measured: the game's value of the mask, on the examples of the search; None if no
            ablations were spent on it.
        ablations: how many true ablations were spent.
        optimum: the best set of the spectrum's own terms and how surely it is that, where it was
            programmed.
    """

    mask: Bool[np.ndarray, " n"]
    predicted: float
    measured: float | None
    ablations: int
    optimum: Optimum | None = None


def prune(
    game: Surrogate,
    spectrum: Spectrum,
    *,
    keep: int,
    limits: Sequence[Limit] = (),
    validate: int = 200,
    programme: float = 0.0,
    seed: int = 0,
) -> Pruned:
    """Find ``keep`` players whose value is high.

    Swap search on the spectrum's terms from several starts yields candidates, which its full model
    ranks and which are truly ablated in rounds. After every round a ridge regression of the errors on
    the players corrects the surrogate where the search now looks, and the search goes on from the
    best sets so far: a surrogate is most wrong where it promises most. Nothing outside the game's own
    examples is looked at.

    Args:
        game: the value function; called on bool masks (m, n).
        spectrum: the decoded surrogate of the same players.
        keep: number of players to keep.
        limits: what the kept players may take in all, such as `programme.per_layer`.
        validate: true ablations to spend on checking and improving candidates.
        programme: seconds for the integer programme that finds the best set of the spectrum's terms
            (`programme.best_set`), from which the search starts as well; 0 leaves it out, unless there
            are limits.
        seed: seed of the random starts.

    Raises:
        InputError: ``keep`` out of range, limits that no such set satisfies, or a spectrum of other
            players.
    """
    n = spectrum.n
    players = getattr(game, "players", None)
    if players is not None and players.n != n:
        raise InputError(
            f"the spectrum has {n} players, the game {players.n}; decode this game's run"
        )
    if not 1 <= keep <= n:
        raise InputError(f"keep is {keep}, expected a number of players from 1 to {n}")
    if validate < 0:
        raise InputError(f"validate is {validate}, expected a number of ablations, 0 or more")
    rng = np.random.default_rng(seed)
    # A decoder's full model can take longer for one swap than its terms for thousands of swaps.
    terms = replace(spectrum, predictor=None)
    starts = _starts(terms, keep, rng)
    optimum = None
    if programme > 0 or limits:
        seconds = programme or _FEASIBLE_SECONDS
        optimum = best_set(spectrum, keep=keep, limits=limits, seconds=seconds)
        starts = np.concatenate([optimum.mask[None], starts])
        starts = starts[_allowed(starts, limits)]
    candidates = _candidates(terms, spectrum, starts, limits)
    if validate == 0:
        best, measured, spent = candidates[0], None, 0
    else:
        masks, values = _validate(game, spectrum, candidates, validate, limits, rng)
        best, measured, spent = masks[values.argmax()], float(values.max()), len(masks)
    return Pruned(best, float(spectrum(best[None])[0]), measured, spent, optimum)


def ranked(scores: Float64[np.ndarray, " n"], keep: int) -> Bool[np.ndarray, " n"]:
    """Keep the players with the highest scores; ties go to the first."""
    mask = np.zeros(len(scores), dtype=bool)
    mask[np.argsort(-scores, kind="stable")[:keep]] = True
    return mask


def best_of_random(game: Surrogate, n: int, *, keep: int, budget: int, seed: int) -> Pruned:
    """The best of ``budget`` random sets of ``keep`` players: the baseline that needs no surrogate."""
    masks = _random_sets(n, keep, budget, np.random.default_rng(seed))
    values = np.asarray(game(masks))
    best = int(values.argmax())
    return Pruned(masks[best], float("nan"), float(values[best]), len(masks))


def swaps(mask: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, "s n"]:
    """All masks that exchange one kept player for a removed one."""
    kept, gone = np.flatnonzero(mask), np.flatnonzero(~mask)
    out = np.repeat(mask[None], len(kept) * len(gone), axis=0)
    rows = np.arange(len(out))
    out[rows, np.repeat(kept, len(gone))] = False
    out[rows, np.tile(gone, len(kept))] = True
    return out


def _starts(spectrum: Spectrum, keep: int, rng: np.random.Generator) -> np.ndarray:
    """Sets to search from: by first-order coefficient, by greedy removal, and at random."""
    first = ranked(np.array([-spectrum[(i,)] for i in range(spectrum.n)]), keep)
    greedy = _shrink(spectrum, spectrum.n, keep)
    return np.stack([first, greedy, *_random_sets(spectrum.n, keep, _STARTS, rng)])


def _allowed(masks: np.ndarray, limits: Sequence[Limit]) -> np.ndarray:
    """Which masks are within all limits."""
    inside = np.ones(len(masks), dtype=bool)
    for limit in limits:
        inside &= masks @ np.asarray(limit.weights, dtype=np.float64) <= limit.most + 1e-9
    return inside


def _candidates(
    quick: Surrogate, surrogate: Surrogate, starts: np.ndarray, limits: Sequence[Limit]
) -> np.ndarray:
    """Local optima of the quick surrogate, then the starts, then the optima's neighbours, best first."""
    optima = np.stack([_climb(quick, start, limits) for start in starts])
    optima = optima[unique(optima)[0]]
    optima = optima[np.argsort(-surrogate(optima), kind="stable")]
    near = np.concatenate([swaps(mask) for mask in optima])
    near = near[_allowed(near, limits)]
    near = near[np.argsort(-surrogate(near), kind="stable")]
    pool = np.concatenate([optima, starts[:2], near])
    return pool[unique(pool)[0]]


def _shrink(surrogate: Surrogate, n: int, keep: int) -> np.ndarray:
    """Remove the least missed player until ``keep`` are left."""
    mask = np.ones(n, dtype=bool)
    while mask.sum() > keep:
        kept = np.flatnonzero(mask)
        fewer = np.repeat(mask[None], len(kept), axis=0)
        fewer[np.arange(len(kept)), kept] = False
        mask = fewer[surrogate(fewer).argmax()]
    return mask


def _climb(surrogate: Surrogate, mask: np.ndarray, limits: Sequence[Limit]) -> np.ndarray:
    """Best swap after best swap until none helps."""
    value = surrogate(mask[None])[0]
    while True:
        near = swaps(mask)
        near = near[_allowed(near, limits)]
        if not len(near):
            return mask
        values = surrogate(near)
        best = values.argmax()
        if values[best] <= value + 1e-12:
            return mask
        mask, value = near[best], values[best]


def _validate(
    game: Surrogate,
    spectrum: Spectrum,
    candidates: np.ndarray,
    budget: int,
    limits: Sequence[Limit],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Truly ablate rounds of candidates, correcting the surrogate in between."""
    terms = replace(spectrum, predictor=None)
    masks, values = candidates[:0], np.empty(0)
    while len(masks) < budget and len(candidates):
        chosen = candidates[: min(_ROUND, budget - len(masks))]
        masks = np.concatenate([masks, chosen])
        values = np.concatenate([values, np.asarray(game(chosen), dtype=np.float64)])
        quick = _corrected(terms, masks, values)
        surrogate = _corrected(spectrum, masks, values)
        leaders = masks[np.argsort(-values, kind="stable")[:_LEADERS]]
        fresh = _random_sets(spectrum.n, int(masks[0].sum()), _LEADERS, rng)
        fresh = fresh[_allowed(fresh, limits)]
        pool = _candidates(quick, surrogate, np.concatenate([leaders, fresh]), limits)
        tried = {row.tobytes() for row in pack(masks)}
        candidates = pool[[row.tobytes() not in tried for row in pack(pool)]]
    return masks, values


def _corrected(spectrum: Spectrum, masks: np.ndarray, values: np.ndarray) -> Surrogate:
    """The surrogate plus a ridge regression of its errors on the players, tuned by leave-one-out."""
    from sklearn.linear_model import RidgeCV

    if len(masks) < _LEADERS:
        return spectrum
    errors = RidgeCV(alphas=np.logspace(-1, 3, 9)).fit(masks, values - spectrum(masks))
    return lambda x: spectrum(x) + errors.predict(x)


def _random_sets(n: int, keep: int, count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(np.tile(np.arange(n) < keep, (count, 1)), axis=1)
