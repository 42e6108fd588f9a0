"""`prune_curve`: kept sets of several sizes from one search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.evaluation.questions import ALL
from spex_mech.pruning.allowed import Limits, allowed_sets
from spex_mech.pruning.measured import MeasuredMasks
from spex_mech.pruning.moves import AllowedSets
from spex_mech.pruning.nearby import SetFunction
from spex_mech.pruning.proposals import check_rankings, proposed
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
    rankings: npt.ArrayLike | None = None,
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
        rankings: float (r, n), scores of the players, higher = kept longer, such as those of
            `ablation.gate_gradients`. Before anything else, at every size, the sets that keep the highest
            scores are ablated, or race, while the ablations last; the search goes on from them.
        seed: seed of the random starts and the order of questions.

    Raises:
        InputError: no sizes, rankings of another shape, or what `prune` refuses.
    """
    check_players(game, spectrum, known)
    check_ablations(validate)
    check_seed(seed)
    n = spectrum.n
    sizes = sorted({size for keep in keeps if (size := size_of(keep, n))}, reverse=True)
    if not sizes:
        raise InputError("keeps is empty; give the sizes of the curve, such as [28, 20, 12]")
    scores = check_rankings(rankings, n)
    rng = np.random.default_rng(seed)
    state = SearchState(game, spectrum, known, claim, questions=questions, seed=seed)
    levels = [allowed_sets(game, n, size, limits) for size in sizes]
    feasible_sets = [feasible_set(spectrum, level) for level in levels]
    optima = [optimum for _, optimum in feasible_sets]
    starts = [
        first_starts(spectrum, level, rng, feasible)
        for level, (feasible, _) in zip(levels, feasible_sets, strict=True)
    ]
    if validate and len(scores):
        starts = _proposed(state, levels, starts, validate, scores)
    if validate > state.spent:
        _down(state, levels, starts, validate - state.spent, rng)
        _up(state, levels, validate, rng)
    points = (
        best_found(state, spectrum, level, level_starts, optimum)
        for level, level_starts, optimum in zip(levels, starts, optima, strict=True)
    )
    return PruningCurve(tuple(points), state.spent)


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


def _proposed(
    state: SearchState,
    levels: list[AllowedSets],
    starts: list[Bool[np.ndarray, "s n"]],
    validate: int,
    rankings: Float64[np.ndarray, "r n"],
) -> list[Bool[np.ndarray, "t n"]]:
    """Ablate what rankings propose at every size; the sets to start from, with these before them."""
    with_proposals = []
    for k, (level, others) in enumerate(zip(levels, starts, strict=True)):
        sets = proposed(rankings, level)
        rows = (validate * state.questions - state.rows) // (len(levels) - k)
        new = sets[state.is_new(sets)]
        if len(new) and rows >= state.questions:
            state.try_sets(new, level, rows)
        with_proposals.append(np.concatenate([sets, others]))
    return with_proposals


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
