"""`prune`: which players to keep, searched on a surrogate and checked by ablations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.evaluation.evaluate import check_same_game
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.questions import ALL
from spex_mech.pruning.allowed import Limits, allowed_sets
from spex_mech.pruning.integer_program import Optimum, best_set
from spex_mech.pruning.measured import MeasuredMasks
from spex_mech.pruning.moves import AllowedSets, random_sets, resized
from spex_mech.pruning.nearby import SetFunction, SpectrumTerms
from spex_mech.pruning.search import candidates, resize_sets, search_sets
from spex_mech.pruning.state import SearchState

OURS = "ours"
"""The name of this package's own method among all methods."""

_STARTS = 24
_STARTED_PLAYERS = 4000  # in all starts together, because a climb takes longer with many players
FEASIBLE_SECONDS = 10.0  # for an integer program that looks for any set within limits
_DESCENT = 0.4  # share of the ablations for sizes between all players and the size to keep
_PER_LEVEL, _PER_RACED_LEVEL = 4, 1  # fewest ablations for each such size
_EQUAL = 1e-9  # values that differ by less are the same


@short_repr
@dataclass(frozen=True, eq=False)
class Pruned:
    """A kept set that a method has chosen.

    Attributes:
        mask: bool (n,), True = kept.
        predicted: the surrogate's value of the mask; None for a method without a surrogate.
        measured: the game's value of the mask on the examples of the search; None if it was not ablated.
            It is too high on average, because it is the highest of many values on the same examples:
            measure again on examples that the search has not seen.
        ablations: true ablations that the method spent, on all of its sizes together; where masks were asked
            some questions each, as many as have so many rows, rounded up.
        optimum: the best set of the spectrum's own terms, where the integer program was solved.
        expected: the surrogate's value of the mask after all ablations have corrected it.
        method: the method's name.
        cost: what a rule for layers (`servable`) costs in value: the highest value of any set of this size
            that was ablated, allowed or not, minus ``measured``. None without such a rule or ablations, and
            with limits beside it, since then no other sets are looked for.
    """

    mask: Bool[np.ndarray, " n"]
    predicted: float | None
    measured: float | None
    ablations: int
    optimum: Optimum | None = None
    expected: float | None = None
    method: str = OURS
    cost: float | None = None

    @property
    def keep(self) -> int:
        """Number of players kept."""
        return int(self.mask.sum())


def prune(
    game: SetFunction,
    spectrum: Spectrum,
    *,
    keep: int | float | None = None,
    limits: Limits = (),
    validate: int = 200,
    known: MeasuredMasks | None = None,
    claim: str | None = None,
    questions: str = ALL,
    seed: int = 0,
) -> Pruned:
    """Find a set of players whose value is high; one keyword per choice that callers make.

    A swap search on the spectrum's terms from several starts gives candidates; the spectrum's full model
    ranks them, and the best are ablated in rounds. After every round a Gaussian process of the errors
    corrects the surrogate, and the search goes on from the best sets so far and from sets for which the
    corrected surrogate predicts more. The correction matters because a search picks the sets whose value
    the surrogate overestimates. With a number to keep and no limits, two fifths of the ablations are
    spent on sizes between all players and that number, so that the surrogate is corrected before the
    search arrives at it. Only the game's own examples are used.

    Args:
        game: the value function; called on bool masks (m, n).
        spectrum: the decoded surrogate of the same players.
        keep: number of players to keep, or a float between 0 and 1, the share of them (rounded down,
            but one at least). None leaves the number to the limits.
        limits: upper bounds on what the kept players use: `per_layer`, `kv_groups`, `parameter_limit`, or a
            `Limit` of your own. With limits an integer program looks for a first set within them. `servable`,
            alone or among them: only sets that a form of export can hold. Alone, its ``cost`` against any
            set of the size is told.
        validate: ablations to spend on checking and improving candidates.
        known: a `Run` of this very game, or other masks with their values, which are not ablated again.
        claim: another metric that the set will be reported in, such as ``accuracy`` for a game of margins:
            of the ablated sets within one standard error of the best (paired over the examples), the one
            that is best in this metric is taken. Needs a `TaskGame`.
        questions: ``all``, or ``auto``: candidates answer a few questions first, and only those that may
            still be better than the best set so far are asked more (see `pruning.race`). ``validate`` then
            pays for as many rows, questions under a mask, as so many whole masks have. A game that is asked
            all of its questions at once is asked all.
        seed: seed of the random starts and the order of questions.

    Raises:
        InputError: ``keep`` out of range, limits that no set of the size satisfies (the message says which,
            and the least that is possible), neither ``keep`` nor limits, or a spectrum of other players.
    """
    check_players(game, spectrum, known)
    allowed = allowed_sets(game, spectrum.n, size_of(keep, spectrum.n), limits)
    if allowed.keep is None and not allowed.bounds:
        raise InputError("give keep=, a number or share of players to keep, or limits=")
    check_ablations(validate)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    state = SearchState(game, spectrum, known, claim, questions=questions, seed=seed)
    feasible, optimum = feasible_set(spectrum, allowed)
    starts = first_starts(spectrum, allowed, rng, feasible)
    if validate and allowed.keep is not None and not allowed.bounds:
        full = np.ones((1, spectrum.n), dtype=bool)
        starts = descend(state, full, allowed, int(_DESCENT * validate), rng, starts)
    search_sets(state, allowed, validate - state.spent, starts=starts, rng=rng)
    return best_found(state, spectrum, allowed, starts, optimum)


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


def check_players(game: SetFunction, spectrum: Spectrum, known: MeasuredMasks | None) -> None:
    """Refuse a spectrum or known values of other players.

    Raises:
        InputError: another number of players, or a run of another game, by its key.
    """
    check_spectrum(as_game(game).players, spectrum)
    if known is not None and known.masks.shape[1] != spectrum.n:
        raise InputError(
            f"known masks are {known.masks.shape[1]} players wide, the spectrum has {spectrum.n}; give "
            "a run of this game"
        )
    key = getattr(known, "key", None)
    if key is not None:  # a run's; plain masks with values have none
        check_same_game(key, as_game(game))


def check_spectrum(players: PlayerSet | None, spectrum: Spectrum) -> None:
    """Refuse a spectrum of another number of players than a game's; None are players that are not known.

    Raises:
        InputError: another number of players.
    """
    if players is not None and players.n != spectrum.n:
        raise InputError(
            f"the spectrum has {spectrum.n} players, the game {players.n}; decode this game's run"
        )


def feasible_set(
    spectrum: Spectrum, allowed: AllowedSets
) -> tuple[Bool[np.ndarray, " n"] | None, Optimum | None]:
    """A set within the limits to start from, and the best set of the spectrum's terms.

    Both are None without limits, and under a rule for layers, which finds its own. With limits, an integer
    program over the terms of single players gives a first set. An integer program over all terms gives a
    better one, the optimum, which is None where the terms are too many or it takes too long.

    Raises:
        InputError: limits that no set satisfies.
    """
    if not allowed.limits:
        return None, None
    singles = spectrum.degrees <= 1
    first = replace(
        spectrum,
        words=spectrum.words[singles],
        coefficients=spectrum.coefficients[singles],
        predictor=None,
    )
    within = {"keep": allowed.keep, "limits": allowed.limits, "seconds": FEASIBLE_SECONDS}
    start = best_set(first, **within).mask
    try:
        optimum = best_set(spectrum, **within)
    except InputError:
        return start, None
    return optimum.mask, optimum


def first_starts(
    spectrum: Spectrum,
    allowed: AllowedSets,
    rng: np.random.Generator,
    feasible: Bool[np.ndarray, " n"] | None = None,
) -> Bool[np.ndarray, "s n"]:
    """Allowed sets to search from.

    They are one by greedy removal, ``feasible``, one by first-order coefficients, and random ones.
    """
    terms = SpectrumTerms(spectrum)
    everything = np.ones(spectrum.n, dtype=bool)
    masks = [resized(terms, everything, allowed), feasible]
    if allowed.keep is not None:
        scores = np.array([-spectrum[(i,)] for i in range(spectrum.n)])
        rule, keep = allowed.rule, allowed.keep
        masks.append(ranked(scores, keep) if rule is None else rule.projected(scores, keep))
    count = min(_STARTS, max(2, _STARTED_PLAYERS // spectrum.n))
    chosen = np.array([mask for mask in masks if mask is not None], dtype=bool)
    starts = np.concatenate([chosen.reshape(-1, spectrum.n), random_sets(allowed, count, rng)])
    return starts[allowed.allows(starts)]


def descend(
    state: SearchState,
    leaders: Bool[np.ndarray, "l n"],
    allowed: AllowedSets,
    ablations: int,
    rng: np.random.Generator,
    starts: Bool[np.ndarray, "s n"],
) -> Bool[np.ndarray, "t n"]:
    """Spend ablations on sizes between that of ``leaders`` and the smaller size of ``allowed``.

    A rule for layers is left out meanwhile, and the last of the sizes is then that of ``allowed`` itself, so
    that it is seen what the rule costs.

    Returns:
        The best sets of the last larger size, changed into allowed ones, and then ``starts``.
    """
    top, bottom = int(leaders[0].sum()), allowed.keep or 0
    own = int(allowed.rule is not None)
    least = _PER_RACED_LEVEL if state.races else _PER_LEVEL
    levels = min(top - bottom - 1 + own, ablations // least)
    for level in range(levels):
        size = top - round((top - bottom) * (level + 1) / (levels + 1 - own))
        level_sets = allowed.without_rule(size)
        share = ablations * (level + 1) // levels - ablations * level // levels
        search_sets(
            state,
            level_sets,
            share,
            starts=resize_sets(state, level_sets, leaders),
            rng=rng,
            guide=True,
        )
        best, _ = state.leaders(level_sets, 3)
        leaders = best if len(best) else leaders
    return np.concatenate([resize_sets(state, allowed, leaders), starts])


def best_found(
    state: SearchState,
    spectrum: Spectrum,
    allowed: AllowedSets,
    starts: Bool[np.ndarray, "s n"],
    optimum: Optimum | None = None,
) -> Pruned:
    """The best allowed set that was ablated; where none was, the set with the highest surrogate value.

    Sets often have the same value, such as accuracies on few questions. Of these, the set with the highest
    value of the corrected surrogate is taken.
    """
    best, values = state.best(allowed, state.count)
    claimed = state.best_by_claim(allowed)
    if claimed is not None:
        mask, measured = claimed
    elif len(best):
        equal = best[values >= values[0] - _EQUAL]
        mask, measured = equal[state.full(equal).argmax()], float(values[0])
    else:
        mask, measured = candidates(state, allowed, starts, boldness=0.0)[0], None
    predicted, expected = spectrum(mask[None])[0], state.full(mask[None])[0]
    cost = None
    if allowed.rule is not None and not allowed.bounds and measured is not None:
        _, freely = state.best(allowed.without_rule(int(mask.sum())))
        cost = float(freely[0]) - measured
    return Pruned(
        mask, float(predicted), measured, state.spent, optimum, float(expected), cost=cost
    )
