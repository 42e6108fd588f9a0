"""Pruning: which players to keep, found on a surrogate and checked by true ablations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning.integer_program import Optimum, best_set
from spex_mech.pruning.moves import Budget, random_sets, resized
from spex_mech.pruning.search import Evaluated, Evidence, Game, candidates, carried, explore

OURS = "ours"
"""The name of this package's own method among all methods."""

_STARTS = 24
_STARTED_PLAYERS = 4000  # in all starts together: a climb takes longer with many players
_FEASIBLE_SECONDS = 10.0
_DESCENT = 0.4  # of the ablations go to sizes between all players and the one asked for
_EQUAL = 1e-9
_PER_LEVEL = 4  # ablations that such a size is worth at least


@dataclass(frozen=True, eq=False)
class Pruned:
    """A kept set that a method has chosen.

    Attributes:
        mask: bool (n,), True = kept.
        predicted: the surrogate's value of the mask; None of a method without a surrogate.
        measured: the game's value of the mask on the examples of the search; None if it was not ablated.
            As the highest of many values on the same examples it is too high on average: measure again
            on examples that the search has not seen.
        ablations: true ablations that the method spent, on all of its sizes together.
        optimum: the best set of the spectrum's own terms, where the integer program was solved.
        expected: the surrogate's value of the mask after all ablations have corrected it.
        method: the method's name.
    """

    mask: Bool[np.ndarray, " n"]
    predicted: float | None
    measured: float | None
    ablations: int
    optimum: Optimum | None = None
    expected: float | None = None
    method: str = OURS

    @property
    def keep(self) -> int:
        """Number of players kept."""
        return int(self.mask.sum())


def prune(
    game: Game,
    spectrum: Spectrum,
    *,
    keep: int | float | None = None,
    limits: Sequence[Limit] = (),
    validate: int = 200,
    programme: float = 0.0,
    known: Evaluated | None = None,
    claim: str | None = None,
    seed: int = 0,
) -> Pruned:
    """Find a set of players whose value is high, within a budget.

    Swap search on the spectrum's terms from several starts yields candidates, which its full model
    ranks and which are truly ablated in rounds. After every round a Gaussian process of the errors
    corrects the surrogate where the search now looks, and the search goes on from the best sets so far
    and where the corrected surrogate hopes for more: a surrogate is most wrong where it promises most.
    With a number to keep and no limits, two fifths of the ablations go to the sizes on the way down from
    all players, so that the surrogate is right before the search arrives. Nothing outside the game's own
    examples is looked at.

    Args:
        game: the value function; called on bool masks (m, n).
        spectrum: the decoded surrogate of the same players.
        keep: number of players to keep; as a float between 0 and 1 the share of them, rounded down but
            one at least; None leaves the number to the limits.
        limits: what the kept players may take in all: `limits.per_layer`, `limits.kv_groups`,
            `parameter_counts.parameter_limit`, or a `Limit` of your own.
        validate: true ablations to spend on checking and improving candidates.
        programme: seconds for the integer programme that finds the best set of the spectrum's terms
            (`programme.best_set`), from which the search starts as well; 0 leaves it out, unless there
            are limits.
        known: a `Run` of this very game, or other masks with their values, which are not ablated again.
        claim: another metric that matters in the end, such as ``accuracy`` for a game of margins, whose
            noise is smaller: of the ablated sets within one standard error of the best (paired over the
            examples) the best in this metric is taken. Needs a `TaskGame`.
        seed: seed of the random starts.

    Raises:
        InputError: ``keep`` out of range, limits that no such set satisfies (the message says which, and
            the least that is possible), neither ``keep`` nor limits, or a spectrum of other players.
    """
    check_players(game, spectrum, known)
    budget = Budget(spectrum.n, size_of(keep, spectrum.n), tuple(limits))
    if budget.keep is None and not limits:
        raise InputError("give keep=, a number or share of players to keep, or limits=")
    check_ablations(validate)
    rng = np.random.default_rng(seed)
    evidence = Evidence(game, spectrum, known, claim)
    allowed, optimum = programmed(spectrum, budget, programme)
    starts = first_starts(spectrum, budget, rng, allowed)
    if validate and budget.keep is not None and not limits:
        full = np.ones((1, spectrum.n), dtype=bool)
        starts = descend(evidence, full, budget, int(_DESCENT * validate), rng, starts)
    explore(evidence, budget, validate - evidence.spent, starts=starts, rng=rng)
    return found(evidence, spectrum, budget, starts, optimum)


def ranked(scores: Float64[np.ndarray, " n"], keep: int) -> Bool[np.ndarray, " n"]:
    """Keep the players with the highest scores; ties go to the first."""
    mask = np.zeros(len(scores), dtype=bool)
    mask[np.argsort(-scores, kind="stable")[:keep]] = True
    return mask


def size_of(keep: int | float | None, n: int) -> int | None:
    """A number of players from a number or a share.

    Raises:
        InputError: a number outside 1 to n, or a share outside 0 to 1.
    """
    if keep is None:
        return None
    if isinstance(keep, (int, np.integer)) and not isinstance(keep, bool):
        if not 1 <= keep <= n:
            raise InputError(f"keep is {keep}, expected a number of players from 1 to {n}")
        return int(keep)
    if not isinstance(keep, (float, np.floating)) or not 0.0 < keep < 1.0:
        raise InputError(
            f"keep is {keep!r}, expected an integer from 1 to {n}, or a share of the players, a float "
            "between 0 and 1"
        )
    return max(1, int(keep * n + 1e-9))


def check_ablations(validate: int) -> None:
    """Refuse a negative number of ablations."""
    if validate < 0:
        raise InputError(f"validate is {validate}, expected a number of ablations, 0 or more")


def check_players(game: Game, spectrum: Spectrum, known: Evaluated | None) -> None:
    """Refuse a spectrum or known values of other players.

    Raises:
        InputError: another number of players.
    """
    players = getattr(game, "players", None)
    if players is not None and players.n != spectrum.n:
        raise InputError(
            f"the spectrum has {spectrum.n} players, the game {players.n}; decode this game's run"
        )
    if known is not None and known.masks.shape[1] != spectrum.n:
        raise InputError(
            f"known masks are {known.masks.shape[1]} players wide, the spectrum has {spectrum.n}; give "
            "a run of this game"
        )


def programmed(
    spectrum: Spectrum, budget: Budget, seconds: float = 0.0
) -> tuple[Bool[np.ndarray, " n"] | None, Optimum | None]:
    """A set within the budget to start from, and the optimum of the spectrum's terms.

    Neither without limits, unless ``seconds`` asks for it. With limits, a set that keeps them is always
    programmed, on single players alone; the optimum is None where all terms are too many or take too long.

    Raises:
        InputError: limits that no set satisfies; or with ``seconds``, terms that cannot be programmed.
    """
    if seconds > 0:
        optimum = best_set(spectrum, keep=budget.keep, limits=budget.limits, seconds=seconds)
        return optimum.mask, optimum
    if not budget.limits:
        return None, None
    singles = spectrum.degrees <= 1
    first = replace(
        spectrum,
        words=spectrum.words[singles],
        coefficients=spectrum.coefficients[singles],
        predictor=None,
    )
    within = {"keep": budget.keep, "limits": budget.limits, "seconds": _FEASIBLE_SECONDS}
    start = best_set(first, **within).mask
    try:
        optimum = best_set(spectrum, **within)
    except InputError:
        return start, None
    return optimum.mask, optimum


def first_starts(
    spectrum: Spectrum,
    budget: Budget,
    rng: np.random.Generator,
    allowed: Bool[np.ndarray, " n"] | None = None,
) -> Bool[np.ndarray, "s n"]:
    """Sets to search from: a given one, by first-order coefficient, by greedy removal, and at random."""
    terms = replace(spectrum, predictor=None)
    everything = np.ones(spectrum.n, dtype=bool)
    made = [resized(terms, everything, budget), allowed]
    if budget.keep is not None:
        made.append(ranked(np.array([-spectrum[(i,)] for i in range(spectrum.n)]), budget.keep))
    count = min(_STARTS, max(2, _STARTED_PLAYERS // spectrum.n))
    known = np.array([mask for mask in made if mask is not None], dtype=bool)
    starts = np.concatenate([known.reshape(-1, spectrum.n), random_sets(budget, count, rng)])
    return starts[budget.allows(starts)]


def descend(
    evidence: Evidence,
    leaders: Bool[np.ndarray, "l n"],
    budget: Budget,
    ablations: int,
    rng: np.random.Generator,
    starts: Bool[np.ndarray, "s n"],
) -> Bool[np.ndarray, "t n"]:
    """Spend ablations at sizes between that of ``leaders`` and a smaller budget's.

    Returns:
        ``starts``, and the best sets of the sizes above brought down to the budget.
    """
    top, bottom = int(leaders[0].sum()), budget.keep or 0
    levels = min(top - bottom - 1, ablations // _PER_LEVEL)
    for level in range(levels):
        size = top - round((top - bottom) * (level + 1) / (levels + 1))
        here = Budget(budget.n, size, budget.limits)
        share = ablations * (level + 1) // levels - ablations * level // levels
        explore(evidence, here, share, starts=carried(evidence, here, leaders), rng=rng)
        best, _ = evidence.best(here, 3)
        leaders = best if len(best) else leaders
    return np.concatenate([carried(evidence, budget, leaders), starts])


def found(
    evidence: Evidence,
    spectrum: Spectrum,
    budget: Budget,
    starts: Bool[np.ndarray, "s n"],
    optimum: Optimum | None = None,
) -> Pruned:
    """The best set within a budget that was ablated; without any, the one that promises most.

    Of sets with the same value, as accuracies on few questions are, the one of which the corrected
    surrogate expects most.
    """
    best, values = evidence.best(budget, evidence.count)
    claimed = evidence.claimed(budget)
    if claimed is not None:
        mask, measured = claimed
    elif len(best):
        equal = best[values >= values[0] - _EQUAL]
        mask, measured = equal[evidence.full(equal).argmax()], float(values[0])
    else:
        mask, measured = candidates(evidence, budget, starts, boldness=0.0)[0], None
    predicted, expected = spectrum(mask[None])[0], evidence.full(mask[None])[0]
    return Pruned(mask, float(predicted), measured, evidence.spent, optimum, float(expected))
