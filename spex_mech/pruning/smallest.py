"""`smallest`: the fewest players whose value is high enough, which prunes to a value and not to a size."""

from __future__ import annotations

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.spectrum import Spectrum
from spex_mech.evaluation.questions import ALL
from spex_mech.pruning.allowed import Limits, allowed_sets
from spex_mech.pruning.measured import MeasuredMasks
from spex_mech.pruning.moves import AllowedSets, resized
from spex_mech.pruning.nearby import SetFunction
from spex_mech.pruning.prune import Pruned, best_found, check_players, feasible_set, first_starts
from spex_mech.pruning.search import resize_sets, search_sets
from spex_mech.pruning.state import SearchState

_TRY, _PATIENCE = 8, 2  # ablations of one try of a size, and tries in a row that may fail


def smallest(
    game: SetFunction,
    spectrum: Spectrum,
    *,
    at_least: float,
    validate: int = 200,
    limits: Limits = (),
    known: MeasuredMasks | None = None,
    questions: str = ALL,
    seed: int = 0,
) -> Pruned:
    """The fewest players whose measured value is at least ``at_least``: prune to a value, not to a size.

    The search tries the smallest size at which the corrected surrogate expects that value, with 8 ablations
    at a time. Where 16 in a row do not reach it, a larger size is tried, and in the end one player less than
    the smallest success. Every ablation corrects the surrogate for all sizes. It is not proven that no
    smaller set has the value.

    Args:
        game: the value function; called on bool masks (m, n).
        spectrum: the decoded surrogate of the same players.
        at_least: the value to reach, in the units of the game's metric, on the game's own examples: leave
            a margin for questions that the search does not see, or choose by `choose_size`.
        validate: ablations to spend, one at least.
        limits: limits that the set has to satisfy as well; see `prune`.
        known: a `Run` of this very game, or other masks with their values, which are not ablated again.
        questions: ``all``, or ``auto`` for candidates that race; see `prune`. A set reaches the value by its
            answers to all questions.
        seed: seed of the random starts and the order of questions.

    Raises:
        InputError: no set with that value was found (the message gives the best), or what `prune` refuses.
    """
    check_players(game, spectrum, known)
    if validate < 1:
        raise InputError(f"validate is {validate}; finding the smallest set takes ablations")
    if not np.isfinite(at_least):
        raise InputError(f"at_least is {at_least}, expected a value of the game")
    n, rng = spectrum.n, np.random.default_rng(seed)
    any_size = allowed_sets(game, n, None, limits)
    state = SearchState(game, spectrum, known, questions=questions, seed=seed)
    feasible, _ = feasible_set(spectrum, any_size)
    top = np.ones(n, dtype=bool) if feasible is None else feasible
    if any_size.rule is not None:
        most = any_size.rule.projected(np.ones(n), None)
        top = top if most is None else most
    state.try_sets(top[None], any_size, state.questions)
    failed, tries = 0, 0  # sizes up to ``failed`` have been given up
    while state.spent < validate:
        reached = _reached(state, any_size, at_least)
        above = n + 1 if reached is None else int(reached.sum())
        leader = top if reached is None else reached
        size = _size_to_try(state, any_size, leader, failed, above, at_least)
        if size is None:
            break
        level, before = any_size.of_size(size), state.spent
        starts = np.concatenate(
            [resize_sets(state, level, leader[None]), first_starts(spectrum, level, rng)[:2]]
        )
        search_sets(state, level, min(_TRY, validate - state.spent), starts=starts, rng=rng)
        if state.best(level)[1][:1] >= at_least:
            tries = 0
            continue
        tries += 1
        if tries >= _PATIENCE and size > failed:
            failed, tries = size, 0
        if state.spent == before:
            if size >= above - 1 or size >= n:
                break
            failed = max(failed, size)
    reached = _reached(state, any_size, at_least)
    if reached is None:
        best, values = state.best(any_size)
        raise InputError(
            f"no set with a value of at least {at_least:g} was found in {state.spent} ablations; the "
            f"best has {int(best[0].sum())} players and {values[0]:.4g}; ask for less, or raise validate"
        )
    return best_found(state, spectrum, any_size.of_size(int(reached.sum())), reached[None])


def _reached(state: SearchState, any_size: AllowedSets, at_least: float) -> np.ndarray | None:
    """The smallest ablated set that reaches the value; of several of that size, the best."""
    masks, values = state.best(any_size, state.count)
    enough = masks[values >= at_least]
    return enough[enough.sum(axis=1).argmin()] if len(enough) else None


def _size_to_try(
    state: SearchState,
    any_size: AllowedSets,
    leader: np.ndarray,
    failed: int,
    above: int,
    at_least: float,
) -> int | None:
    """The smallest size between ``failed`` and ``above`` at which the surrogate expects the value.

    It is the largest of these sizes where the surrogate expects the value at none of them, and one player
    less than the smallest success where no size lies between the two.
    """
    path, mask = {}, leader
    for size in range(min(above - 1, int(leader.sum())), 0, -1):
        smaller = resized(state.quick, mask, any_size.of_size(size))
        if smaller is not None:
            path[size] = mask = smaller
    if not path:
        return None
    open_sizes = [size for size in path if failed < size < above]
    if not open_sizes:
        return max(path)
    expected = state.full(np.stack([path[size] for size in open_sizes]))
    enough = [size for size, value in zip(open_sizes, expected, strict=True) if value >= at_least]
    return min(enough, default=max(open_sizes))
