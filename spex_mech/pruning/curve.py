"""`prune_curve`: kept sets of several sizes from one search; and `smallest`, which prunes to a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool

from spex_mech.core.errors import InputError
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.evaluation.questions import ALL
from spex_mech.pruning.allowed import Limits, allowed_sets
from spex_mech.pruning.measured import MeasuredMasks
from spex_mech.pruning.moves import AllowedSets, resized
from spex_mech.pruning.nearby import SetFunction
from spex_mech.pruning.prune import (
    Pruned,
    best_found,
    check_ablations,
    check_players,
    descend,
    feasible_set,
    first_starts,
    size_of,
)
from spex_mech.pruning.search import resize_sets, search_sets
from spex_mech.pruning.state import SearchState

_BETWEEN = 0.4  # share of the ablations for sizes between those of the curve, from large to small
_UP = 0.3  # share for a second visit to the curve's sizes, from small to large
_TRY, _PATIENCE = 8, 2  # ablations of one try of a size, and tries in a row that may fail


@short_repr
@dataclass(frozen=True, eq=False)
class PruningCurve:
    """Kept sets of several sizes from one search.

    Attributes:
        points: one for each size, largest first. The ``ablations`` of each are those of the whole search.
        ablations: ablations spent on all sizes together.
    """

    points: tuple[Pruned, ...]
    ablations: int

    @property
    def sizes(self) -> list[int]:
        """Numbers of players kept, largest first."""
        return [int(point.mask.sum()) for point in self.points]

    @property
    def masks(self) -> Bool[np.ndarray, "k n"]:
        """The kept sets, bool (k, n), largest first."""
        return np.stack([point.mask for point in self.points])

    def at(self, keep: int) -> Pruned:
        """The kept set of one size.

        Raises:
            InputError: a size that is not on the curve.
        """
        if keep not in self.sizes:
            raise InputError(f"the curve has no size {keep}; it has {self.sizes}")
        return self.points[self.sizes.index(keep)]


def prune_curve(
    game: SetFunction,
    spectrum: Spectrum,
    *,
    keeps: Sequence[int | float],
    validate: int = 200,
    limits: Limits = (),
    known: MeasuredMasks | None = None,
    claim: str | None = None,
    questions: str = ALL,
    seed: int = 0,
) -> PruningCurve:
    """Find a good set of every size, in one search; one keyword per choice that callers make.

    The search goes from all players down to the smallest size, through sizes between those of ``keeps``, and
    then up again. Every size starts from the best sets of the size before, and the ablations of all sizes
    correct one surrogate. No mask is ablated twice.

    Args:
        game: the value function; called on bool masks (m, n).
        spectrum: the decoded surrogate of the same players.
        keeps: numbers or shares of players to keep; see `prune`.
        validate: ablations to spend on all sizes together.
        limits: limits that every set has to satisfy; see `prune`.
        known: a `Run` of this very game, or other masks with their values, which are not ablated again.
        claim: another metric that the sets will be reported in; see `prune`.
        questions: ``all``, or ``auto`` for candidates that race; see `prune`.
        seed: seed of the random starts and the order of questions.

    Raises:
        InputError: no sizes, or what `prune` refuses.
    """
    check_players(game, spectrum, known)
    check_ablations(validate)
    check_seed(seed)
    n = spectrum.n
    sizes = sorted({size for keep in keeps if (size := size_of(keep, n))}, reverse=True)
    if not sizes:
        raise InputError("keeps is empty; give the sizes of the curve, such as [28, 20, 12]")
    rng = np.random.default_rng(seed)
    state = SearchState(game, spectrum, known, claim, questions=questions, seed=seed)
    levels = [allowed_sets(game, n, size, limits) for size in sizes]
    feasible_sets = [feasible_set(spectrum, level) for level in levels]
    optima = [optimum for _, optimum in feasible_sets]
    starts = [
        first_starts(spectrum, level, rng, feasible)
        for level, (feasible, _) in zip(levels, feasible_sets, strict=True)
    ]
    if validate:
        _down(state, levels, starts, validate, rng)
        _up(state, levels, validate, rng)
    points = (
        best_found(state, spectrum, level, level_starts, optimum)
        for level, level_starts, optimum in zip(levels, starts, optima, strict=True)
    )
    return PruningCurve(tuple(points), state.spent)


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


def keep_rates(keeps: Sequence[int | float], n: int) -> tuple[float, float]:
    """Keep rates (low, high) of a `designs.biased` whose spectrum is to be pruned to these sizes.

    A surrogate is accurate near the masks that it was fitted to. The range begins half a standard deviation
    of a random set's size below the smallest of the sizes, and ends near 1, because a search goes from all
    players through all sizes down to the smallest.

    Args:
        keeps: numbers or shares of players to keep; see `prune`.
        n: number of players.

    Raises:
        InputError: no sizes, or one out of range.
    """
    sizes = [size for keep in keeps if (size := size_of(keep, n))]
    if not sizes:
        raise InputError("keeps is empty; give the sizes of the curve, such as [28, 20, 12]")
    share = min(sizes) / n
    low = share - 0.5 * np.sqrt(share * (1.0 - share) / n)
    return float(np.clip(low, 0.02, 0.9)), float(max(0.95, 1.0 - 1.0 / n))


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


def _down(
    state: SearchState,
    levels: list[AllowedSets],
    starts: list[np.ndarray],
    validate: int,
    rng: np.random.Generator,
) -> None:
    """Search from all players down to the smallest size.

    The sizes of the curve get equal numbers of ablations, the gaps between them in proportion to their width.
    """
    n = levels[0].n
    leaders = np.ones((1, n), dtype=bool)
    between = 0 if levels[0].bounds else int(_BETWEEN * validate)
    sizes = [level.keep or 0 for level in levels]
    gaps = [larger - smaller for larger, smaller in pairwise([n, *sizes])]
    at_sizes = _shares(int(validate * (1.0 - _UP)) - between, [1] * len(levels))
    in_gaps = _shares(between, gaps)
    for k, (level, in_gap, at_size) in enumerate(zip(levels, in_gaps, at_sizes, strict=True)):
        goal = state.spent + in_gap + at_size
        level_starts = descend(state, leaders, level, in_gap, rng, starts[k])
        search_sets(state, level, max(0, goal - state.spent), starts=level_starts, rng=rng)
        best, _ = state.best(level, 3)
        leaders = best if len(best) else leaders


def _up(
    state: SearchState, levels: list[AllowedSets], validate: int, rng: np.random.Generator
) -> None:
    """Search from the smallest size to the largest, with the ablations that are left.

    Every size starts from the best sets of the other sizes.
    """
    for k, level in enumerate(reversed(levels)):
        share = (validate - state.spent) // (len(levels) - k)
        others = [state.best(other, 2)[0] for other in levels if other is not level]
        starts = resize_sets(state, level, np.concatenate([np.zeros((0, level.n), bool), *others]))
        search_sets(state, level, share, starts=starts, rng=rng)


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Whole shares of a total in proportion to weights."""
    ends = [total * sum(weights[: k + 1]) // (sum(weights) or 1) for k in range(len(weights))]
    return [b - a for a, b in pairwise([0, *ends])]
